/** Functions called in another thread, coroutines, native tasks and the image's own work, against what the platform and others offer. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { PollersApi } from "../generated/pollers/pollers.js";
import vsched, { Policy } from "../generated/vsched/vsched.js";
import type { VdsoLibrary } from "../runtime/image/library.ts";
import { type Group, median, nanosecondsEach, type SeparateRow } from "./group.ts";
import { DIST, loadPackage } from "./package.ts";
import { type Add, addTask, latency, rate, withComlink, withPiscina, work } from "./tasks.ts";

type Scheduler = Awaited<ReturnType<Sched["Scheduler"]["start"]>>;
type Sched = typeof import("../runtime/sched/index.ts");
type Kernel = Awaited<ReturnType<Awaited<ReturnType<typeof loadPackage>>["Kernel"]["boot"]>>;

const POLLED = 100;
const POLLS_EACH = 100_000;
/** A burst: so many tasks of so many milliseconds, on two CPUs. */
const BURST = { tasks: 10_000, taskMs: 0.1, cpus: 2, windowMs: 5, use: 0.95 };
const TICKS = 10_000;

const pollers = new URL("../generated/pollers/pollers.js", import.meta.url);
const loadPollers = () => import(pollers.href) as Promise<{ default: VdsoLibrary<PollersApi> }>;
const loadSched = () => import(new URL("runtime/sched/index.js", DIST).href) as Promise<Sched>;

async function withScheduler<T>(measure: (scheduler: Scheduler, kernel: Kernel) => Promise<T>): Promise<T> {
  const { Kernel } = await loadPackage();
  const { Scheduler } = await loadSched();
  const { default: library } = await loadPollers();
  await using kernel = await Kernel.boot({ vdsos: [vsched, library] });
  await using scheduler = await Scheduler.start(kernel, { cpus: 1 });
  return await measure(scheduler, kernel);
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

/** Begin and end of each task of the burst, then when it was spawned; milliseconds. */
function burstTimes(): Float64Array {
  return new Float64Array(new SharedArrayBuffer(8 * (2 * BURST.tasks + 1)));
}

/** The burst on CPUs of the image; one of them spawns it. */
async function burstOfOurs(): Promise<Float64Array> {
  const { map } = await loadPackage();
  const { handle } = await map(vsched, { managed: true });
  const times = burstTimes();
  const start = new Int32Array(new SharedArrayBuffer(8));
  const index = new URL("runtime/index.js", DIST).href;
  const url = new URL("../generated/vsched/vsched.js", import.meta.url).href;
  const { tasks, taskMs } = BURST;
  const workers = Array.from({ length: BURST.cpus }, (_, n) => {
    const workerData = { url, index, handle, pid: n + 2, tasks, taskMs, times, start };
    return new Worker(new URL("./workers/burst-cpu.js", import.meta.url), { workerData });
  });
  await Promise.all(workers.map((worker) => once(worker, "message")));
  await new Promise((resolve) => setTimeout(resolve, 100));
  Atomics.store(start, 0, 1);
  Atomics.notify(start, 0);
  // Asleep until all are done: two CPUs are what there is.
  await once(workers[0]!, "message");
  await Promise.all(workers.map((worker) => worker.terminate()));
  return times;
}

function burstOfPiscina(): Promise<Float64Array> {
  const { tasks, taskMs, cpus } = BURST;
  return withPiscina(async (run) => {
    await Promise.all(Array.from({ length: 200 }, (_, i) => addTask(run)(i)));
    const times = burstTimes();
    times[2 * tasks] = performance.timeOrigin + performance.now();
    await Promise.all(Array.from({ length: tasks }, (_, task) => run("burst", { times, task, taskMs })));
    return times;
  }, cpus);
}

/** Milliseconds from the burst's spawn until its CPUs are in use for {@link BURST.use} of the time from there on; all of its time if they never are. */
function untilInUse(times: Float64Array): number {
  const { tasks, windowMs, cpus, use } = BURST;
  const spawned = times[2 * tasks]!;
  const spans = Array.from({ length: tasks }, (_, n): [number, number] => [times[2 * n]!, times[2 * n + 1]!]);
  const last = Math.max(...spans.map(([, end]) => end));
  const step = 0.1;
  // Busy time by slices of a step.
  const slices = new Float64Array(Math.ceil((last - spawned) / step) + 1);
  for (const [begin, end] of spans) {
    for (let at = Math.floor((begin - spawned) / step); at * step < end - spawned; at++) {
      slices[at]! += Math.min(end - spawned, (at + 1) * step) - Math.max(begin - spawned, at * step);
    }
  }
  const window = windowMs / step;
  for (let at = 0; at + window < slices.length; at++) {
    const busy = slices.subarray(at, at + window).reduce((sum, each) => sum + each, 0);
    if (busy >= use * windowMs * cpus) return at * step;
  }
  return last - spawned;
}

/** By how many per cent the share of one of three tasks is off its weight, at most. */
async function shareError(nices: readonly number[], weights: readonly number[]): Promise<number> {
  const { attach, map } = await loadPackage();
  const { handle } = await map(vsched);
  const cpu = attach(vsched, handle);
  cpu.configure(Policy.Cfs);
  cpu.startCpu();
  const ids = nices.map((nice) => cpu.spawn(0, 0, nice));
  const ran = new Map(ids.map((id) => [id, 0]));
  for (let tick = 1; tick <= TICKS; tick++) {
    const id = cpu.current() || cpu.pickNext();
    ran.set(id, ran.get(id)! + 1);
    cpu.setNow(tick * 1000);
    if (cpu.tick()) cpu.preempt();
  }
  const total = weights.reduce((sum, weight) => sum + weight);
  return Math.max(...ids.map((id, n) => 100 * Math.abs(ran.get(id)! / TICKS / (weights[n]! / total) - 1)));
}

const adding = (
  measure: (one: (i: number) => Promise<unknown>) => Promise<number>,
): Pick<SeparateRow, "ours" | "peers"> => ({
  ours: () =>
    withScheduler((scheduler) => {
      const { add } = scheduler.module<{ add(a: number, b: number): number }>(work);
      return measure((i) => add(i, 1));
    }),
  peers: {
    Piscina: () => withPiscina((run) => measure(addTask(run))),
    Comlink: () => withComlink((add) => measure((i) => add(i, 1))),
    postMessage: () => withMessages((add) => measure((i) => add(i, 1))),
  },
});

const group: Group = [
  {
    name: "tasks with results, 1000 in flight",
    unit: "k/s",
    better: "higher",
    ...adding(rate),
  },
  {
    name: "one task and its result",
    unit: "us",
    better: "lower",
    ...adding(latency),
  },
  {
    name: "async functions as coroutines, spawned, run, joined",
    unit: "k/s",
    better: "higher",
    ours: () => withScheduler((scheduler) => rate((i) => scheduler.spawn(async () => i).result)),
    // The same work in its threads.
    peers: { Piscina: () => withPiscina((run) => rate(addTask(run))) },
  },
  {
    name: "polls of native tasks on one CPU",
    unit: "k/s",
    better: "higher",
    ours: () =>
      withScheduler(async (scheduler, kernel) => {
        const states = kernel.attach((await loadPollers()).default);
        const polled = async (polls: number) => {
          const tasks = Array.from({ length: POLLED }, () =>
            scheduler.native(pollers, "countDown", states.create(polls)),
          );
          await Promise.all(tasks.map(({ result }) => result));
        };
        await polled(POLLS_EACH / 10);
        const began = performance.now();
        await polled(POLLS_EACH);
        return (POLLED * POLLS_EACH) / (performance.now() - began);
      }),
    // What gives way to others in plain JavaScript, and lets the event loop go on.
    peers: {
      setImmediate: async () => {
        const polls = POLLS_EACH / 20;
        const began = performance.now();
        const task = async () => {
          for (let n = 0; n < polls; n++) await new Promise((resolve) => setImmediate(resolve));
        };
        await Promise.all(Array.from({ length: POLLED }, task));
        return (POLLED * polls) / (performance.now() - began);
      },
    },
  },
  {
    name: "from a burst of 10 000 tasks of 100 us to 95 % use of 2 CPUs",
    unit: "ms",
    better: "lower",
    ours: async () => untilInUse(await burstOfOurs()),
    peers: { Piscina: async () => untilInUse(await burstOfPiscina()) },
  },
  {
    name: "CFS: shares at nice -5, 0, 5 over 10 000 ticks, off the weights by at most",
    unit: "%",
    better: "lower",
    ours: () => shareError([-5, 0, 5], [3121, 1024, 335]),
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
