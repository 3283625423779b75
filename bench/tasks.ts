/** What measurements of tasks in another thread share: how fast they are, and the alternatives that they are compared with. */

import { MessageChannel, Worker } from "node:worker_threads";
import { type Endpoint, wrap } from "comlink";
import { Piscina } from "piscina";
import { median } from "./group.ts";

/** One call in another thread: `name` of the module with one value. */
export type Run = (name: string, value: unknown) => Promise<unknown>;
export type Add = (a: number, b: number) => Promise<number>;

export const work = new URL("./workers/sched-work.js", import.meta.url);
export const IN_FLIGHT = 1000;
const WARM_MS = 500;
const MEASURED_MS = 1500;
const SAMPLES = 300;

export async function withPiscina<T>(measure: (run: Run) => Promise<T>, threads = 1): Promise<T> {
  const pool = new Piscina({ filename: work.href, minThreads: threads, maxThreads: threads });
  try {
    return await measure((name, value) => pool.run(value, { name }));
  } finally {
    await pool.destroy();
  }
}

export async function withComlink<T>(measure: (add: Add) => Promise<T>): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  const options = { workerData: port2, transferList: [port2] };
  const worker = new Worker(new URL("./workers/comlink-work.js", import.meta.url), options);
  try {
    const { add } = wrap<{ add: Add }>(port1 as unknown as Endpoint);
    return await measure((a, b) => add(a, b));
  } finally {
    await worker.terminate();
  }
}

export const addTask = (run: Run) => (i: number) => run("addTask", { a: i, b: 1 });

/** Thousands a second, in bursts. */
export async function rate(one: (i: number) => Promise<unknown>, inFlight = IN_FLIGHT): Promise<number> {
  const burst = () => Promise.all(Array.from({ length: inFlight }, (_, i) => one(i)));
  for (const until = performance.now() + WARM_MS; performance.now() < until; ) await burst();
  const began = performance.now();
  let done = 0;
  for (; performance.now() - began < MEASURED_MS; done += inFlight) await burst();
  return done / (performance.now() - began);
}

/** Microseconds, the median. `restMs`: so long nothing happens before each. */
export async function latency(one: (i: number) => Promise<unknown>, restMs = 0): Promise<number> {
  for (const until = performance.now() + WARM_MS; performance.now() < until; ) await one(0);
  const times: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    const began = performance.now();
    await one(i);
    times.push(performance.now() - began);
  }
  return median(times) * 1000;
}
