/** The concurrency checker: there is no alternative for JavaScript to measure it against, so its rows stand alone. */

import {
  type CheckResult,
  type CheckSpec,
  check,
  exhaustive,
  pct,
  random,
  type ThreadBody,
} from "../runtime/check/index.ts";
import { instrument } from "../runtime/check/instrument.ts";
import { image } from "../test/check/images.ts";
import type { Group, Measure } from "./group.ts";
import { firstVqueue, imageBytes } from "./package.ts";

const ROUNDS = 4;

const pushes = (...items: bigint[]): ThreadBody =>
  function* (t) {
    for (const item of items) yield* t.until("tryPush", [item], (done) => done === true);
  };
const pops = (count: number): ThreadBody =>
  function* (t) {
    for (let left = count; left > 0; left--) yield* t.until("tryPop", [], (item) => item !== undefined);
  };

/** 2 producers x 2, 2 consumers on a queue of 2 slots: the prototype's system. */
const small = { p0: pushes(10n, 11n), p1: pushes(20n, 21n), c0: pops(2), c1: pops(2) };
/** 1.7 million states when every step of every schedule is followed, as the rows about states do: a reduced search never comes to most of them. */
const large = { p0: pushes(10n, 11n), p1: pushes(20n, 21n), p2: pushes(30n), c0: pops(3), c1: pops(2) };

const EVERYTHING = exhaustive({ states: 10_000_000 });

/** The best of several rounds: the first one warms the code, and what else the machine does only makes a round slower. */
async function measured(spec: Pick<CheckSpec, "threads" | "strategy" | "reduce">): Promise<CheckResult> {
  const { image: bytes } = await image("queue");
  let best = await check({ ...spec, image: bytes });
  for (let round = 1; round < ROUNDS; round++) {
    const result = await check({ ...spec, image: bytes });
    if (result.ms < best.ms) best = result;
  }
  return best;
}

const schedulesPerSecond =
  (strategy: ReturnType<typeof random | typeof pct>): Measure =>
  async () => {
    const { schedules, ms } = await measured({ threads: small, strategy });
    return (schedules / ms) * 1000;
  };

const alone = { peers: {} } as const;

const group: Group = [
  {
    ...alone,
    name: "all interleavings of a queue: 2 producers x 2, 2 consumers",
    unit: "ms",
    better: "lower",
    ours: async () => (await measured({ threads: small, strategy: exhaustive() })).ms,
  },
  {
    ...alone,
    name: "the same queue, not reduced",
    unit: "ms",
    better: "lower",
    ours: async () => (await measured({ threads: small, strategy: exhaustive(), reduce: false })).ms,
  },
  {
    ...alone,
    name: "states merged (not reduced)",
    unit: "states/s",
    better: "higher",
    async ours() {
      const { states, ms } = await measured({ threads: large, strategy: EVERYTHING, reduce: false });
      return (states / ms) * 1000;
    },
  },
  {
    ...alone,
    name: "memory of a million states (not reduced)",
    unit: "MiB",
    better: "lower",
    async ours() {
      const { image: bytes } = await image("queue");
      await check({ image: bytes, threads: small });
      const before = process.memoryUsage.rss();
      const { states } = await check({ image: bytes, threads: large, strategy: EVERYTHING, reduce: false });
      return (process.memoryUsage.rss() - before) / 2 ** 20 / (states / 1e6);
    },
  },
  {
    ...alone,
    name: "random schedules",
    unit: "schedules/s",
    better: "higher",
    ours: schedulesPerSecond(random({ schedules: 20_000 })),
  },
  {
    ...alone,
    name: "PCT schedules",
    unit: "schedules/s",
    better: "higher",
    ours: schedulesPerSecond(pct({ schedules: 20_000 })),
  },
  {
    ...alone,
    name: "instrument the first vqueue (test/check/vdsos/turns), as the first of a process",
    unit: "ms",
    better: "lower",
    ours: () => instrumentMs(firstVqueue()),
  },
  {
    ...alone,
    name: "instrument the first vqueue",
    unit: "ms",
    better: "lower",
    ours: () => instrumentMsWarm(firstVqueue()),
  },
  {
    ...alone,
    name: "instrument today's vqueue, as the first of a process",
    unit: "ms",
    better: "lower",
    ours: () => instrumentMs(imageBytes("vqueue")),
  },
  {
    ...alone,
    name: "instrument today's vqueue",
    unit: "ms",
    better: "lower",
    ours: () => instrumentMsWarm(imageBytes("vqueue")),
  },
];

/** Behind another image. */
async function instrumentMsWarm(bytes: Uint8Array): Promise<number> {
  await instrumentMs(imageBytes("example"));
  return instrumentMs(bytes);
}

async function instrumentMs(bytes: Uint8Array): Promise<number> {
  const start = performance.now();
  await instrument(new Uint8Array(bytes), 65536);
  return performance.now() - start;
}

export default group;
