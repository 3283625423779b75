/**
 * `node scripts/prove-vqueue.ts [--states n] [--schedules n] [configuration ...]`
 *
 * Runs the checker over the larger configurations of vqueue, against a plain queue: all interleavings where they have at most `--states` states (30 000 000,
 * which take 4 GiB), else random schedules. A configuration is `producers x items, consumers, length`, as in `2x2,2,2`; without any, those four that vqueue has to pass. Positions
 * start a lap before the turns wrap. The exit code is 1 when one fails.
 */
import { parseArgs } from "node:util";
import { exhaustive, pct } from "../runtime/check/index.ts";
import { run } from "../test/vqueue/system.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { states: { type: "string", default: "30000000" }, schedules: { type: "string", default: "100000" } },
});
const names = positionals.length > 0 ? positionals : ["1x3,2,2", "2x2,1,1", "3x1,2,2", "2x2,2,2"];
for (const name of names) {
  const [producers, items, consumers, length] = (/^(\d+)x(\d+),(\d+),(\d+)$/.exec(name) ?? []).slice(1).map(Number);
  if (producers === undefined || items === undefined || consumers === undefined || length === undefined) {
    console.error(`expected producers x items, consumers, length, as in 2x2,2,2; found ${name}`);
    process.exit(2);
  }
  const total = producers * items;
  console.log(`${name}: searching`);
  const began = performance.now();
  const result = await run({
    sent: Array.from({ length: producers }, (_, p) => Array.from({ length: items }, (_, k) => 10 * p + k + 1)),
    received: Array.from({ length: consumers }, (_, c) => Math.floor((total + c) / consumers)),
    length,
    linearizable: true,
    constants: { START_TURN: String(2n ** 45n - 1n) },
    strategy: [exhaustive({ states: Number(values.states) }), pct({ schedules: Number(values.schedules) })],
  });
  console.log(`${name}: ${result} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  if (result.failure) process.exitCode = 1;
}
