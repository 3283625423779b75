/** Pools: ours beside Piscina and tinypool, on one thread each. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Tinypool } from "tinypool";
import type { Group, SeparateRow } from "./group.ts";
import { DIST } from "./package.ts";
import { addTask, latency, type Run, rate, withComlink, withPiscina, work } from "./tasks.ts";

type Sched = typeof import("../runtime/sched/index.ts");
type Pool = Awaited<ReturnType<Sched["Pool"]["start"]>>;

interface Work {
  add(a: number, b: number): number;
  lengthOf(bytes: Uint8Array): number;
  work(counter: Uint8Array): void;
}

const PASSED_MS = 1000;
/** After it both threads sleep. */
const REST_MS = 3;

const functionsOf = (pool: Pool) => pool.module<Work>(work);

async function withOurs<T>(
  measure: (functions: ReturnType<typeof functionsOf>, pool: Pool) => Promise<T>,
  spinUs?: number,
): Promise<T> {
  const { Pool } = (await import(new URL("runtime/sched/index.js", DIST).href)) as Sched;
  await using pool = await Pool.start({ maxThreads: 1, ...(spinUs !== undefined && { spinUs }) });
  return await measure(functionsOf(pool), pool);
}

async function withTinypool<T>(measure: (run: Run) => Promise<T>): Promise<T> {
  const pool = new Tinypool({ filename: work.href, minThreads: 1, maxThreads: 1 });
  try {
    return await measure((name, value) => pool.run(value, { name }));
  } finally {
    await pool.destroy();
  }
}

/** A thread that sleeps is woken by an event loop, which sleeps until it is woken by that thread; nothing is done. */
async function bareWaits(): Promise<number> {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./workers/bare-wait.js", import.meta.url), { workerData: words.buffer });
  await once(worker, "message");
  let answers = 0;
  try {
    return await latency(async () => {
      Atomics.add(words, 0, 1);
      Atomics.notify(words, 0);
      const { async, value } = Atomics.waitAsync(words, 1, answers++);
      if (async) await value;
    }, REST_MS);
  } finally {
    await worker.terminate();
  }
}

/** Tasks of about a millisecond that are done in the second that `pass` lets go by. */
async function tasksDone(
  pass: () => unknown,
  run: (counter: Uint8Array) => Promise<unknown>,
  counter: Uint8Array,
): Promise<number> {
  const count = new Int32Array(counter.buffer, counter.byteOffset, 1);
  Atomics.store(count, 0, 0);
  const tasks = Promise.all(Array.from({ length: 2 * PASSED_MS }, () => run(counter)));
  await new Promise((resolve) => setTimeout(resolve, 50));
  const before = Atomics.load(count, 0);
  const began = performance.now();
  await pass();
  const done = ((Atomics.load(count, 0) - before) * PASSED_MS) / (performance.now() - began);
  await tasks;
  return done;
}

const blocked = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PASSED_MS);
const free = () => new Promise((resolve) => setTimeout(resolve, PASSED_MS));

const shared = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(4));
const counting = (pass: () => unknown): Pick<SeparateRow, "ours" | "peers"> => ({
  ours: () =>
    withOurs(async (functions, pool) => {
      using counter = pool.loan(4);
      return await tasksDone(pass, () => functions.work(counter), counter.bytes);
    }),
  peers: {
    Piscina: () => withPiscina((run) => tasksDone(pass, (counter) => run("work", counter), shared())),
    tinypool: () => withTinypool((run) => tasksDone(pass, (counter) => run("work", counter), shared())),
  },
});

const bytesRow = (name: string, bytes: number, inFlight: number): Group[number] => ({
  name,
  unit: "k/s",
  better: "higher",
  ours: () => withOurs((functions) => rate(() => functions.lengthOf(new Uint8Array(bytes)), inFlight)),
  peers: {
    Piscina: () => withPiscina((run) => rate(() => run("lengthOf", new Uint8Array(bytes)), inFlight)),
    tinypool: () => withTinypool((run) => rate(() => run("lengthOf", new Uint8Array(bytes)), inFlight)),
  },
});

const group: Group = [
  {
    name: "pool: tasks with results, 1000 in flight",
    unit: "k/s",
    better: "higher",
    ours: () => withOurs((functions) => rate((i) => functions.add(i, 1))),
    peers: {
      Piscina: () => withPiscina((run) => rate(addTask(run))),
      tinypool: () => withTinypool((run) => rate(addTask(run))),
      Comlink: () => withComlink((add) => rate((i) => add(i, 1))),
    },
  },
  {
    name: "pool: one task and its result, thread awake",
    unit: "us",
    better: "lower",
    ours: () => withOurs((functions) => latency((i) => functions.add(i, 1)), 1000),
    peers: {
      Piscina: () => withPiscina((run) => latency(addTask(run))),
      tinypool: () => withTinypool((run) => latency(addTask(run))),
    },
  },
  {
    name: "pool: one task and its result, thread asleep",
    unit: "us",
    better: "lower",
    ours: () => withOurs((functions) => latency((i) => functions.add(i, 1), REST_MS)),
    peers: {
      Piscina: () => withPiscina((run) => latency(addTask(run), REST_MS)),
      tinypool: () => withTinypool((run) => latency(addTask(run), REST_MS)),
      "bare Atomics.wait and waitAsync, no task": bareWaits,
    },
  },
  {
    name: "pool: tasks of 1 ms done in 1 s, main thread blocked",
    unit: "tasks",
    better: "higher",
    ...counting(blocked),
  },
  { name: "pool: tasks of 1 ms done in 1 s, main thread free", unit: "tasks", better: "higher", ...counting(free) },
  bytesRow("pool: tasks with 1 KB of arguments, 1000 in flight", 1024, 1000),
  bytesRow("pool: tasks with 64 KB of arguments, 100 in flight", 65536, 100),
];

export default group;
