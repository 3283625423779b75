/** Pools: ours beside Piscina and tinypool, on one thread each. */

import { MessageChannel, Worker } from "node:worker_threads";
import { type Endpoint, wrap } from "comlink";
import { Piscina } from "piscina";
import { Tinypool } from "tinypool";
import { type Group, median, type SeparateRow } from "./group.ts";
import { DIST } from "./package.ts";

type Sched = typeof import("../runtime/sched/index.ts");
type Pool = Awaited<ReturnType<Sched["Pool"]["start"]>>;
/** One call in another thread: `name` of the module with one value. */
type Run = (name: string, value: unknown) => Promise<unknown>;

interface Work {
  add(a: number, b: number): number;
  lengthOf(bytes: Uint8Array): number;
  work(counter: Uint8Array): void;
}

const module = new URL("./workers/sched-work.js", import.meta.url);
const IN_FLIGHT = 1000;
const WARM_MS = 500;
const MEASURED_MS = 1500;
const SAMPLES = 300;
const PASSED_MS = 1000;

async function withOurs<T>(measure: (pool: Pool) => Promise<T>, spinUs?: number): Promise<T> {
  const { Pool } = (await import(new URL("runtime/sched/index.js", DIST).href)) as Sched;
  await using pool = await Pool.start({ maxThreads: 1, ...(spinUs !== undefined && { spinUs }) });
  return await measure(pool);
}

async function withPiscina<T>(measure: (run: Run) => Promise<T>): Promise<T> {
  const pool = new Piscina({ filename: module.href, minThreads: 1, maxThreads: 1 });
  try {
    return await measure((name, value) => pool.run(value, { name }));
  } finally {
    await pool.destroy();
  }
}

async function withTinypool<T>(measure: (run: Run) => Promise<T>): Promise<T> {
  const pool = new Tinypool({ filename: module.href, minThreads: 1, maxThreads: 1 });
  try {
    return await measure((name, value) => pool.run(value, { name }));
  } finally {
    await pool.destroy();
  }
}

async function withComlink<T>(measure: (add: (a: number, b: number) => Promise<number>) => Promise<T>): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  const worker = new Worker(new URL("./workers/comlink-work.js", import.meta.url), {
    workerData: port2,
    transferList: [port2],
  });
  try {
    const { add } = wrap<{ add(a: number, b: number): number }>(port1 as unknown as Endpoint);
    return await measure((a, b) => add(a, b));
  } finally {
    await worker.terminate();
  }
}

/** Thousands a second, in bursts. */
async function rate(one: (i: number) => Promise<unknown>, inFlight = IN_FLIGHT): Promise<number> {
  const burst = () => Promise.all(Array.from({ length: inFlight }, (_, i) => one(i)));
  for (const until = performance.now() + WARM_MS; performance.now() < until; ) await burst();
  const began = performance.now();
  let done = 0;
  for (; performance.now() - began < MEASURED_MS; done += inFlight) await burst();
  return done / (performance.now() - began);
}

/** Microseconds, the median. `restMs`: so long nothing happens before each. */
async function latency(one: (i: number) => Promise<unknown>, restMs = 0): Promise<number> {
  for (let i = 0; i < 500; i++) await one(i);
  const times: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    const began = performance.now();
    await one(i);
    times.push(performance.now() - began);
  }
  return median(times) * 1000;
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

const ours = (pool: Pool) => pool.module<Work>(module);
const addTask = (run: Run) => (i: number) => run("addTask", { a: i, b: 1 });

const shared = (): Uint8Array => new Uint8Array(new SharedArrayBuffer(4));
const counting = (pass: () => unknown): Pick<SeparateRow, "ours" | "peers"> => ({
  ours: () =>
    withOurs(async (pool) => {
      using counter = pool.loan(4);
      return await tasksDone(pass, () => ours(pool).work(counter), counter.bytes);
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
  ours: () => withOurs((pool) => rate(() => ours(pool).lengthOf(new Uint8Array(bytes)), inFlight)),
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
    ours: () => withOurs((pool) => rate((i) => ours(pool).add(i, 1))),
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
    ours: () => withOurs((pool) => latency((i) => ours(pool).add(i, 1)), 1000),
    peers: {
      Piscina: () => withPiscina((run) => latency(addTask(run))),
      tinypool: () => withTinypool((run) => latency(addTask(run))),
    },
  },
  {
    name: "pool: one task and its result, thread asleep",
    unit: "us",
    better: "lower",
    ours: () => withOurs((pool) => latency((i) => ours(pool).add(i, 1), 3)),
    peers: {
      Piscina: () => withPiscina((run) => latency(addTask(run), 3)),
      tinypool: () => withTinypool((run) => latency(addTask(run), 3)),
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
