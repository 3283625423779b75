/**
 * `node scripts/prove-vqueue.ts [--states n] [--schedules n] [configuration ...]`
 *
 * Runs the checker over the larger configurations of vqueue: all interleavings where they have at most `--states` states (30 000 000, which take 4 GiB), else
 * random schedules. A configuration is `producers x items, consumers, length`, as in `2x2,2,2`, and is compared with a plain queue; `1x1,2,2+2` has two deaths at
 * any access besides, and that of the reaper: what was acknowledged comes, once. Without any, those that vqueue has to pass. Positions start a lap
 * before the turns wrap. The exit code is 1 when one fails.
 */
import { parseArgs } from "node:util";
import { exhaustive, pct } from "../runtime/check/index.ts";
import { run } from "../test/vqueue/system.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { states: { type: "string", default: "30000000" }, schedules: { type: "string", default: "100000" } },
});
const names =
  positionals.length > 0 ? positionals : ["1x3,2,2", "2x2,1,1", "3x1,2,2", "2x2,2,2", "1x1,2,2+2", "2x1,1,2+2"];
for (const name of names) {
  const match = /^(\d+)x(\d+),(\d+),(\d+)(?:\+(\d+))?$/.exec(name);
  const [producers, items, consumers, length, deaths = 0] = (match ?? []).slice(1).map((text) => Number(text ?? 0));
  if (producers === undefined || items === undefined || consumers === undefined || length === undefined) {
    console.error(`expected producers x items, consumers, length, as in 2x2,2,2, and +deaths; found ${name}`);
    process.exit(2);
  }
  const total = producers * items;
  console.log(`${name}: searching`);
  const began = performance.now();
  const result = await run({
    sent: Array.from({ length: producers }, (_, p) => Array.from({ length: items }, (_, k) => 10 * p + k + 1)),
    received: Array.from({ length: consumers }, (_, c) =>
      deaths > 0 ? Infinity : Math.floor((total + c) / consumers),
    ),
    length,
    ...(deaths > 0 ? { kills: { max: deaths, reaper: 1 } } : { linearizable: true }),
    constants: { START_TURN: String(2n ** 45n - 1n) },
    strategy: [exhaustive({ states: Number(values.states) }), pct({ schedules: Number(values.schedules) })],
  });
  console.log(`${name}: ${result} (${((performance.now() - began) / 1000).toFixed(1)} s)`);
  if (result.failure) process.exitCode = 1;
}
