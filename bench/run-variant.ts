/** Measures one variant of one row, or all of a joint row, once: `run-variant.ts <group> <row> [<variant>]`, the figures go to the parent. */

import { type Group, type Measure, OURS, type SeparateRow } from "./group.ts";

const [groupName = "", rowName = "", variant = ""] = process.argv.slice(2);
const { default: group } = (await import(`./${groupName}.bench.ts`)) as { default: Group };
const row = group.find(({ name }) => name === rowName);
if (row === undefined) throw new Error(`no row "${rowName}" in ${groupName}`);
process.send?.("together" in row ? await row.together() : [await measureOf(row)()], () => process.exit(0));

function measureOf({ ours, peers }: SeparateRow): Measure {
  const measure = variant === OURS ? ours : peers[variant];
  if (measure === undefined) throw new Error(`no variant "${variant}" of "${rowName}" in ${groupName}`);
  return measure;
}
