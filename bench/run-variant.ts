/** Measures one variant of one row, once: `run-variant.ts <group> <row> <variant>`, the figure goes to the parent. */

import { type Group, OURS } from "./group.ts";

const [groupName = "", rowName = "", variant = ""] = process.argv.slice(2);
const { default: group } = (await import(`./${groupName}.bench.ts`)) as { default: Group };
const row = group.find(({ name }) => name === rowName);
const measure = variant === OURS ? row?.ours : row?.peers[variant];
if (measure === undefined) throw new Error(`no variant "${variant}" of "${rowName}" in ${groupName}`);
const figure = await measure();
process.send?.(figure, () => process.exit(0));
