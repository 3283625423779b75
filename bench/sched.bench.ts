/** Functions called in another thread, and coroutines, against what the platform and others offer. */

import { MessageChannel, Worker } from "node:worker_threads";
import { type Endpoint, wrap } from "comlink";
import vsched from "../generated/vsched/vsched.js";
import { type Group, median, nanosecondsEach } from "./group.ts";
import { DIST, loadPackage } from "./package.ts";

type Add = (a: number, b: number) => Promise<number>;
type Scheduler = Awaited<ReturnType<Sched["Scheduler"]["start"]>>;
type Sched = typeof import("../runtime/sched/index.ts");

const IN_FLIGHT = 1000;
const ROUNDS = 20;
const SAMPLES = 2000;

const work = new URL("./workers/sched-work.js", import.meta.url);
const loadSched = () => import(new URL("runtime/sched/index.js", DIST).href) as Promise<Sched>;

async function withScheduler<T>(measure: (scheduler: Scheduler) => Promise<T>): Promise<T> {
  const { Kernel } = await loadPackage();
  const { Scheduler } = await loadSched();
  await using kernel = await Kernel.boot({ vdsos: [vsched] });
  await using scheduler = await Scheduler.start(kernel, { cpus: 1 });
  return await measure(scheduler);
}

async function withComlink<T>(measure: (add: Add) => Promise<T>): Promise<T> {
  const { port1, port2 } = new MessageChannel();
  const options = { workerData: port2, transferList: [port2] };
  const worker = new Worker(new URL("./workers/comlink-work.js", import.meta.url), options);
  try {
    return await measure(wrap<{ add: Add }>(port1 as unknown as Endpoint).add as unknown as Add);
  } finally {
    await worker.terminate();
  }
}

async function withMessages<T>(measure: (add: Add) => Promise<T>): Promise<T> {
  const worker = new Worker(new URL("./workers/message-work.js", import.meta.url));
  const waiting = new Map<number, (value: number) => void>();
  worker.on("message", ({ id, value }: { id: number; value: number }) => {
    waiting.get(id)?.(value);
    waiting.delete(id);
  });
  let next = 0;
  try {
    return await measure(
      (a, b) =>
        new Promise((resolve) => {
          waiting.set(++next, resolve);
          worker.postMessage({ id: next, a, b });
        }),
    );
  } finally {
    await worker.terminate();
  }
}

/** Thousands a second. */
async function throughput(add: Add): Promise<number> {
  const burst = () => Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => add(i, 1)));
  for (let round = 0; round < 5; round++) await burst();
  const began = performance.now();
  for (let round = 0; round < ROUNDS; round++) await burst();
  return (ROUNDS * IN_FLIGHT) / (performance.now() - began);
}

/** Microseconds. */
async function roundTrip(add: Add): Promise<number> {
  for (let i = 0; i < 200; i++) await add(i, 1);
  const times: number[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    const began = performance.now();
    await add(i, 1);
    times.push(performance.now() - began);
  }
  return median(times) * 1000;
}

const calling = (measure: (add: Add) => Promise<number>) => (): Promise<number> =>
  withScheduler((scheduler) => measure(scheduler.module<{ add(a: number, b: number): number }>(work).add));

const group: Group = [
  {
    name: "tasks with results, 1000 in flight",
    unit: "k/s",
    better: "higher",
    ours: calling(throughput),
    peers: { Comlink: () => withComlink(throughput), postMessage: () => withMessages(throughput) },
  },
  {
    name: "one task and its result",
    unit: "us",
    better: "lower",
    ours: calling(roundTrip),
    peers: { Comlink: () => withComlink(roundTrip), postMessage: () => withMessages(roundTrip) },
  },
  {
    name: "async functions as coroutines, spawned, run, joined",
    unit: "k/s",
    better: "higher",
    ours: () =>
      withScheduler(async (scheduler) => {
        const burst = () =>
          Promise.all(Array.from({ length: IN_FLIGHT }, (_, i) => scheduler.spawn(async () => i).result));
        for (let round = 0; round < 20; round++) await burst();
        const began = performance.now();
        for (let round = 0; round < 100; round++) await burst();
        return (100 * IN_FLIGHT) / (performance.now() - began);
      }),
    peers: {},
  },
  {
    name: "spawn, pick, exit of a task in the image",
    unit: "ns",
    better: "lower",
    async ours() {
      const { attach, map } = await loadPackage();
      const { handle } = await map(vsched);
      const cpu = attach(vsched, handle);
      cpu.startCpu();
      return nanosecondsEach(200_000, (n) => {
        let sum = 0;
        for (let i = 0; i < n; i++) {
          cpu.spawn(0, 0, 0, 0xffffffff, false, true);
          sum += cpu.pickNext();
          cpu.exit(0);
        }
        return sum;
      });
    },
    peers: {},
  },
  {
    name: "steal of half of 1024 tasks",
    unit: "us",
    better: "lower",
    async ours() {
      const { attach, map } = await loadPackage();
      const times: number[] = [];
      for (let round = 0; round < 30; round++) {
        const { handle } = await map(vsched);
        const [victim, thief] = [attach(vsched, handle), attach(vsched, handle)];
        victim.startCpu();
        for (let n = 0; n < 1024; n++) victim.spawn(0, 0);
        thief.startCpu();
        const began = performance.now();
        if (thief.steal() !== 512) throw new Error("the thief did not take half");
        times.push(performance.now() - began);
      }
      return median(times) * 1000;
    },
    peers: {},
  },
];

export default group;
