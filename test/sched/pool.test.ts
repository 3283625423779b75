import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import vheap, { HEAP_BYTES } from "../../generated/vheap/vheap.js";
import vsched, { Policy, TASKS } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import type { LogLine } from "../../runtime/kernel/log.ts";
import type { SchedulerKernel } from "../../runtime/sched/executors.ts";
import { Pool, type PoolOptions } from "../../runtime/sched/pool.ts";
import { Event } from "../../runtime/sched/sync.ts";
import { viewCpus, viewTasks } from "../../runtime/sched/viewer.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");

const pools: Pool[] = [];
async function start(options: PoolOptions = {}): Promise<Pool> {
  const pool = await Pool.start({ log: () => undefined, ...options });
  pools.push(pool);
  return pool;
}
afterEach(async () => {
  await Promise.all(pools.splice(0).map((pool) => pool.destroy()));
});
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const code = (text: string) => expect.objectContaining({ code: text });

function inUse(pool: Pool): number {
  const { ownedBytes, sentBytes } = pool.heap.stats();
  return ownedBytes + sentBytes;
}
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await later(5);
}

/** Tasks that have begun, and not ended. */
const begun = (pool: Pool): number =>
  viewTasks(pool.api).filter(({ waits, kind }) => kind === "function" && waits > 0).length;

describe("a pool of two threads", () => {
  let pool: Pool;
  beforeAll(async () => {
    pool = await Pool.start({ maxThreads: 2, graceMs: 50, policy: Policy.Cfs, log: () => undefined });
  });
  afterAll(() => pool?.destroy());
  const work = () => pool.module<Work>(url);

  test("runs functions of modules: by call, by reference, by address and name, by default export", async () => {
    expect(await work().add(1, 2)).toBe(3);
    expect(await pool.run(work().add, [3, 4])).toBe(7);
    expect(await pool.run(url, [5, 6], { name: "add" })).toBe(11);
    expect(await pool.run(url, [21])).toBe(42);
  });

  test("keeps errors as they were thrown", async () => {
    await expect(work().fails("no such thing")).rejects.toMatchObject({ name: "RangeError", message: "no such thing" });
  });

  test("refuses what it cannot run or send, by a rejection that says why", async () => {
    const local = ((): Promise<number> => Promise.resolve(1)) as () => Promise<number>;
    await expect(pool.run(local, [])).rejects.toMatchObject({
      code: "ERR_VDSO_ARGUMENT",
      message: expect.stringContaining("of this thread"),
    });
    await expect(pool.run(url, [1, { a: [() => 1] }], { name: "echo" })).rejects.toMatchObject({
      code: "ERR_VDSO_NOT_CLONABLE",
      message: expect.stringContaining("arguments[1].a[0]"),
    });
    await expect(pool.run(url, [], { name: "nothing" })).rejects.toEqual(code("ERR_VDSO_NO_EXPORT"));
    await expect(pool.run(new URL("./missing.ts", url))).rejects.toThrow("Cannot find module");
    await expect(pool.run(new URL("./throws-at-load.ts", url), [], { name: "never" })).rejects.toMatchObject({
      name: "RangeError",
      message: "thrown while loading",
    });
    await expect(pool.run(work().echo, [1], { priority: 99 })).rejects.toEqual(code("ERR_VDSO_ARGUMENT"));
    await expect(pool.run(work().echo, [1], { timeoutMs: -1 })).rejects.toEqual(code("ERR_VDSO_ARGUMENT"));
    await expect(pool.run(work().echo, [1], { transfer: [new Map() as never] })).rejects.toEqual(
      code("ERR_VDSO_ARGUMENT"),
    );
    await expect(work().echo(new Uint8Array(HEAP_BYTES))).rejects.toEqual(code("ERR_VDSO_HEAP_SIZE"));
    await expect(work().large(HEAP_BYTES)).rejects.toEqual(code("ERR_VDSO_HEAP_SIZE"));
    expect(pool.pending).toBe(0);
    expect(await work().add(1, 1)).toBe(2);
  });

  test("more tasks than the task table has room for wait, and all come back", async () => {
    const count = TASKS + 2000;
    const results = await Promise.all(Array.from({ length: count }, (_, i) => work().add(i, 1)));
    expect(results.every((result, i) => result === i + 1)).toBe(true);
  });

  test("arguments larger than the heap together wait for each other, and leave nothing behind", async () => {
    const bytes = new Uint8Array(HEAP_BYTES / 8);
    const tasks = Array.from({ length: 12 }, (_, i) => pool.run(work().fills, [bytes, i]));
    // What is changed after the call is not what was sent.
    bytes.fill(1);
    await Promise.all(tasks);
    await until(() => inUse(pool) === 0);
  });

  test("a loan is lent, one that is transferred is released, a buffer that is transferred is detached", async () => {
    const lent = pool.loan(1000);
    await work().fills(lent, 5);
    expect(lent.bytes[999]).toBe(5);
    await pool.run(work().fills, [lent, 6], { transfer: [lent] });
    expect(() => lent.bytes).toThrow("vheap");
    const { buffer } = new Uint8Array(2000);
    await pool.run(url, [buffer], { name: "echo", transfer: [buffer] });
    expect(buffer.byteLength).toBe(0);
    await until(() => inUse(pool) === 0);
  });

  test("aborting: before the call, while it waits, while it runs", async () => {
    const reason = new Error("changed my mind");
    await expect(pool.run(work().add, [1, 1], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const busy = Array.from({ length: 4 }, () => work().spins(30));
    const waiting = pool.run(url, [new Uint8Array(5000)], { name: "echo", signal: abort.signal });
    const running = pool.run(url, [1e6], { name: "sleeps", signal: abort.signal });
    setTimeout(() => abort.abort(reason), 10);
    await expect(waiting).rejects.toBe(reason);
    await expect(running).rejects.toBe(reason);
    await Promise.all(busy);
    await until(() => pool.pending === 0 && inUse(pool) === 0);
  });

  test("a task that is aborted and goes on is ended with its thread, which is replaced", async () => {
    await expect(pool.run(work().hangs, [], { timeoutMs: 30 })).rejects.toEqual(code("ERR_VDSO_TIMEOUT"));
    await until(() => pool.pending === 0);
    await until(() => pool.stats().threads.length === 2);
    expect(await work().add(1, 1)).toBe(2);
  });

  test("an abort that comes with the task's end changes nothing", async () => {
    for (let i = 0; i < 50; i++) {
      const abort = new AbortController();
      const task = pool.run(work().add, [i, 1], { signal: abort.signal });
      void (i % 2 === 0 ? Promise.resolve() : later(0)).then(() => abort.abort());
      const [outcome] = await Promise.allSettled([task]);
      if (outcome!.status === "fulfilled") expect(outcome!.value).toBe(i + 1);
    }
    await until(() => pool.pending === 0);
  });

  test("a task whose thread dies says how; the tasks that wait are done by the next one", async () => {
    const outcomes = Promise.allSettled([work().dies(), work().dies()]);
    const others = Promise.all(Array.from({ length: 100 }, (_, i) => work().add(i, 1)));
    for (const outcome of await outcomes) {
      expect(outcome).toMatchObject({
        reason: { code: "ERR_VDSO_TASK_KILLED", message: expect.stringContaining("(exit") },
      });
    }
    expect((await others).length).toBe(100);
  });

  test("a task is begun again as often as was asked for", async () => {
    using counter = pool.loan(1);
    counter.bytes[0] = 0;
    expect(await pool.run(work().diesTimes, [counter, 2], { retries: 2 })).toBe(2);
    counter.bytes[0] = 0;
    await expect(pool.run(work().diesTimes, [counter, 2], { retries: 1 })).rejects.toEqual(
      code("ERR_VDSO_TASK_KILLED"),
    );
  });

  test("a broadcast runs once on every thread", async () => {
    await until(() => pool.stats().threads.length === 2);
    const threads = await pool.broadcast(work().thread, []);
    expect(new Set(threads).size).toBe(2);
  });

  test("its figures count what was done, and how long it took", async () => {
    const before = pool.stats();
    await Promise.all([
      work().spins(20),
      work().spins(20),
      work()
        .fails("x")
        .catch(() => undefined),
    ]);
    const { done, failed, run, wait, threads, queued } = pool.stats();
    expect(done - before.done).toBe(2);
    expect(failed - before.failed).toBe(1);
    expect(run.count - before.run.count).toBe(3);
    expect(run.maxMs).toBeGreaterThanOrEqual(20);
    expect(wait.p50Ms).toBeLessThanOrEqual(wait.p99Ms);
    expect(threads.length).toBe(2);
    expect(queued).toBe(0);
  });

  test("tasks go on while this thread is blocked", async () => {
    const done = () => pool.stats().threads.reduce((sum, { tasks }) => sum + tasks, 0);
    const tasks = Array.from({ length: 30 }, () => work().spins(10));
    const before = done();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
    expect(done() - before).toBeGreaterThan(10);
    await Promise.all(tasks);
  });
});

test("a full queue refuses, and drain says when there is room", async () => {
  const pool = await start({ maxThreads: 1, maxQueue: 2 });
  const work = pool.module<Work>(url);
  const tasks = Array.from({ length: 3 }, () => work.spins(10));
  await expect(work.add(1, 1)).rejects.toEqual(code("ERR_VDSO_QUEUE_FULL"));
  await pool.drain();
  expect(pool.queued).toBe(0);
  await Promise.all(tasks);
  expect(await work.add(1, 1)).toBe(2);
  await pool.drain();
});

test("no more tasks than may be begun in a thread at once are, and all are done", async () => {
  for (const concurrentTasksPerWorker of [1, 3]) {
    const pool = await start({ maxThreads: 1, concurrentTasksPerWorker });
    const work = pool.module<Work>(url);
    const most = await Promise.all(Array.from({ length: 12 }, () => work.overlaps(2)));
    expect(Math.max(...most)).toBe(concurrentTasksPerWorker);
    expect(await work.add(1, 1)).toBe(2);
  }
  const free = await start({ maxThreads: 1 });
  const most = await Promise.all(Array.from({ length: 12 }, () => free.module<Work>(url).overlaps(20)));
  expect(Math.max(...most)).toBe(12);
});

test("tasks that one thread may not begin are begun by another", async () => {
  const pool = await start({ maxThreads: 2, concurrentTasksPerWorker: 1 });
  const work = pool.module<Work>(url);
  using gates = new DisposableStack();
  const [one, other] = [gates.use(new Event(pool)), gates.use(new Event(pool))];
  const held = [work.waitsFor(one), work.waitsFor(other)];
  await until(() => begun(pool) === 2);
  // Wherever they are, the thread whose task ends takes them.
  const rest = Array.from({ length: 10 }, () => work.thread());
  one.set();
  const threads = new Set(await Promise.all(rest));
  expect([...threads]).toEqual([await held[0]]);
  other.set();
  await held[1];
});

test("tasks that may not begin yet keep their order by priority", async () => {
  const pool = await start({ maxThreads: 1, concurrentTasksPerWorker: 1, policy: Policy.Priority });
  const work = pool.module<Work>(url);
  using gate = new Event(pool);
  const held = work.waitsFor(gate);
  await until(() => begun(pool) === 1);
  // Noted where they run: of ends that this thread hears of together it may hear in another order.
  using order = pool.loan(4);
  order.bytes.fill(0);
  const rest = [5, 3, 4].map((priority) => pool.run(work.notes, [order, priority], { priority }));
  gate.set();
  await Promise.all([held, ...rest]);
  expect([...order.bytes]).toEqual([3, 3, 4, 5]);
});

test("a broadcast, and a task whose thread dies, keep to the number of tasks at once", async () => {
  const pool = await start({ maxThreads: 1, concurrentTasksPerWorker: 1 });
  const work = pool.module<Work>(url);
  const slow = work.overlaps(5);
  expect(await pool.broadcast(work.overlaps, [1])).toEqual([1]);
  expect(await slow).toBe(1);
  const died = expect(work.diesLater(10)).rejects.toEqual(code("ERR_VDSO_TASK_KILLED"));
  const rest = Promise.all(Array.from({ length: 5 }, () => work.overlaps(1)));
  await died;
  expect(await rest).toEqual([1, 1, 1, 1, 1]);
});

test("threads come when there is work and go when there is none", async () => {
  const pool = await start({ minThreads: 0, maxThreads: 2, idleTimeoutMs: 30 });
  const work = pool.module<Work>(url);
  expect(pool.stats().threads).toEqual([]);
  for (let round = 0; round < 2; round++) {
    const threads = await Promise.all(Array.from({ length: 20 }, () => work.spins(5)));
    expect(threads.length).toBe(20);
    await until(() => pool.stats().threads.length === 0);
  }
});

test("there are as many threads as tasks that began, from minThreads to maxThreads, and those that were there first stay", async () => {
  const pool = await start({ minThreads: 1, maxThreads: 3, concurrentTasksPerWorker: 1, idleTimeoutMs: 1 });
  const work = pool.module<Work>(url);
  const first = pool.stats().threads.map(({ pid }) => pid);
  expect(first.length).toBe(1);
  using gate = new Event(pool);
  const held = Array.from({ length: 5 }, () => work.waitsFor(gate));
  await until(() => begun(pool) === 3);
  expect(pool.stats().threads.length).toBe(3);
  expect(pool.queued).toBe(2);
  gate.set();
  expect(new Set(await Promise.all(held)).size).toBe(3);
  await until(() => pool.stats().threads.length === 1);
  expect(pool.stats().threads.map(({ pid }) => pid)).toEqual(first);
});

test("its threads have the arguments and the environment that they were given", async () => {
  const pool = await start({ maxThreads: 1, argv: ["of the pool"], env: { POOL_TEST: "set" } });
  expect(await pool.module<Work>(url).startedWith("POOL_TEST")).toEqual(["of the pool", "set"]);
});

test("a pool has its own number of retries, and a call may have another", async () => {
  const pool = await start({ maxThreads: 1, retries: 2 });
  const work = pool.module<Work>(url);
  using counter = pool.loan(1);
  counter.bytes[0] = 0;
  expect(await work.diesTimes(counter, 2)).toBe(2);
  counter.bytes[0] = 0;
  await expect(pool.run(work.diesTimes, [counter, 1], { retries: 0 })).rejects.toEqual(code("ERR_VDSO_TASK_KILLED"));
});

test("how long an aborted task may go on is up to the pool: not at all, or as long as it likes", async () => {
  for (const graceMs of [0, Number.POSITIVE_INFINITY]) {
    const pool = await start({ maxThreads: 1, graceMs });
    const work = pool.module<Work>(url);
    const [before] = pool.stats().threads;
    using told = pool.loan(2);
    told.bytes.fill(0);
    const abort = new AbortController();
    const task = pool.run(work.spinsUntilTold, [told], { signal: abort.signal });
    await until(() => Atomics.load(told.bytes, 1) === 1);
    abort.abort();
    await expect(task).rejects.toBe(abort.signal.reason);
    // Longer than the default, which would have ended it.
    if (graceMs > 0) await later(1100);
    else await until(() => pool.stats().threads.some(({ pid }) => pid !== before!.pid));
    Atomics.store(told.bytes, 0, 1);
    await until(() => pool.pending === 0);
    expect(await work.add(1, 1)).toBe(2);
    expect(pool.stats().threads[0]!.pid === before!.pid).toBe(graceMs > 0);
  }
});

test("drain waits until fewer tasks than were asked for are left to begin", async () => {
  const pool = await start({ maxThreads: 1, concurrentTasksPerWorker: 1 });
  const work = pool.module<Work>(url);
  using gates = new DisposableStack();
  const events = Array.from({ length: 5 }, () => gates.use(new Event(pool)));
  const tasks = events.map((event) => work.waitsFor(event));
  const drained: number[] = [];
  const drains = [4, 2, 1].map((below) => pool.drain(below).then(() => drained.push(below)));
  const seen: number[][] = [];
  for (const [n, event] of events.entries()) {
    event.set();
    await tasks[n];
    // Who drains hears of it in the same turn of the event loop, after who ran the task.
    await later(0);
    seen.push([...drained]);
  }
  await Promise.all(drains);
  expect(seen).toEqual([[4], [4], [4, 2], [4, 2, 1], [4, 2, 1]]);
});

test("the log of a pool that has its own kernel goes where it was told to", async () => {
  const lines: LogLine[] = [];
  const pool = await start({ maxThreads: 1, log: (line) => lines.push(line) });
  await expect(pool.module<Work>(url).crashes()).rejects.toEqual(code("ERR_VDSO_TASK_KILLED"));
  expect(lines.map(({ message }) => message).join()).toContain("crashed on purpose");
});

test("a thread that runs out of memory takes only its task with it, the error says so, and the pool goes on", async () => {
  const pool = await start({ maxThreads: 1, resourceLimits: { maxOldGenerationSizeMb: 32 } });
  const work = pool.module<Work>(url);
  for (let round = 0; round < 2; round++) {
    const [fatal, next] = await Promise.allSettled([work.exhausts(), work.add(1, 1)]);
    expect(fatal).toMatchObject({
      reason: { code: "ERR_VDSO_TASK_KILLED", message: expect.stringMatching(/#exhausts: .*out-of-memory/) },
    });
    expect(next).toMatchObject({ value: 2 });
  }
  await until(() => pool.stats().threads.length === 1);
});

test("when no thread can be started, tasks are refused with the reason", async () => {
  await using kernel = await Kernel.boot({ vdsos: [vsched, vheap] });
  const barren: SchedulerKernel = {
    attach: (library) => kernel.attach(library),
    kill: (pid) => kernel.kill(pid),
    spawn: () => Promise.reject(new Error("no threads today")),
  };
  const pool = await start({ kernel: barren, minThreads: 0, maxThreads: 1 });
  await expect(pool.module<Work>(url).add(1, 1)).rejects.toMatchObject({
    code: "ERR_VDSO_POOL_START",
    message: expect.stringContaining("no threads today"),
  });
  await pool.destroy();
});

test("close waits for what it has, also twice, and refuses more", async () => {
  const pool = await start({ maxThreads: 1 });
  const work = pool.module<Work>(url);
  const tasks = Promise.all([work.spins(5), work.sleeps(20), work.add(1, 2)]);
  const closed = pool.close();
  expect(pool.close()).toBe(closed);
  await expect(work.add(1, 1)).rejects.toEqual(code("ERR_VDSO_SHUTDOWN"));
  await closed;
  expect((await tasks)[2]).toBe(3);
  await expect(pool.run(url, [1])).rejects.toEqual(code("ERR_VDSO_SHUTDOWN"));
});

test("destroy ends what runs and what waits, and gives its memory back", async () => {
  const kernel = await Kernel.boot({ vdsos: [vsched, vheap], log: () => undefined });
  try {
    const pool = await start({ kernel, maxThreads: 1 });
    const work = pool.module<Work>(url);
    const outcomes = Promise.allSettled([
      work.hangs(),
      ...Array.from({ length: 20 }, () => work.echo(new Uint8Array(9000))),
    ]);
    await later(20);
    await pool.destroy();
    for (const outcome of await outcomes) expect(outcome).toMatchObject({ status: "rejected" });
    expect(inUse(pool)).toBe(0);
    expect(kernel.processes()).toEqual([]);
    await pool.close();
  } finally {
    await kernel.shutdown({ timeoutMs: 100 });
  }
});

test("options out of range are refused by name", async () => {
  const wrong: PoolOptions[] = [
    { maxThreads: 0 },
    { maxThreads: 1.5 },
    { maxThreads: 1000 },
    { minThreads: -1 },
    { minThreads: 3, maxThreads: 2 },
    { idleTimeoutMs: -1 },
    { graceMs: Number.NaN },
    { maxQueue: -1 },
    { retries: -1 },
    { concurrentTasksPerWorker: 0 },
    { concurrentTasksPerWorker: 1.5 },
  ];
  for (const options of wrong) await expect(start(options)).rejects.toEqual(code("ERR_VDSO_ARGUMENT"));
});

test("a kernel without the heap, or with a scheduler, is refused", async () => {
  await using without = await Kernel.boot({ vdsos: [vsched] });
  await expect(start({ kernel: without })).rejects.toEqual(code("ERR_VDSO_NOT_MAPPED"));
  await using kernel = await Kernel.boot({ vdsos: [vsched, vheap] });
  await start({ kernel, maxThreads: 1 });
  await expect(start({ kernel, maxThreads: 1 })).rejects.toEqual(code("ERR_VDSO_SCHED_STARTED"));
  await pools[0]!.destroy();
});

test("the first function that is asked for may have no name, and is not another's", async () => {
  const pool = await start({ minThreads: 0, maxThreads: 1 });
  await expect(pool.run("", [7], { name: "" })).rejects.toThrow();
  expect(await pool.run(url, [1, 2], { name: "add" })).toBe(3);
});

test("a task begins when it begins, not when the one before it had ended and its result was not yet written", async () => {
  const pool = await start({ maxThreads: 1 });
  const { readSlowly, add } = pool.module<Work>(url);
  await add(1, 2);
  await Promise.all([readSlowly(300), add(1, 2)]);
  // That the result took so long to write is a part of how long the next task waited, not of how long it ran.
  const { run, wait } = pool.stats();
  expect(wait.maxMs).toBeGreaterThan(200);
  expect(run.maxMs).toBeLessThan(wait.maxMs);
});

test("a list of arguments that holds itself arrives as it was", async () => {
  const pool = await start({ maxThreads: 1 });
  const args: unknown[] = [];
  args.push(args);
  expect(await pool.run<unknown[]>(url, args, { name: "echo" })).toHaveLength(1);
});

test("an argument may close the pool while it is read: its task is done before", async () => {
  const pool = await start({ maxThreads: 1 });
  let closed: Promise<void> | undefined;
  const closes = Object.defineProperty({}, "x", {
    enumerable: true,
    get() {
      closed = pool.close();
      return 1;
    },
  });
  expect(await pool.run(url, [closes], { name: "echo" })).toEqual({ x: 1 });
  await closed;
});

test.each([undefined, 0])(
  "after rests short and long tasks end, and the event loop goes on meanwhile, spinUs %s",
  async (spinUs) => {
    const pool = await start({ maxThreads: 1, ...(spinUs !== undefined && { spinUs }) });
    const { add, spins } = pool.module<Work>(url);
    for (let round = 0; round < 3; round++) {
      for (let n = 0; n < 20; n++) {
        await later(3);
        expect(await add(n, 1)).toBe(n + 1);
      }
      let turns = 0;
      const timer = setInterval(() => turns++, 1);
      await spins(300);
      clearInterval(timer);
      expect(turns).toBeGreaterThan(20);
      expect(await Promise.all([spins(5), add(1, 2), later(1).then(() => add(3, 4))])).toEqual([
        expect.any(Number),
        3,
        7,
      ]);
    }
  },
);

test("only after a rest does an event loop sleep without itself", async () => {
  const pool = await start({ maxThreads: 1, spinUs: 1000 });
  const { add } = pool.module<Work>(url);
  const main = viewCpus(pool.api).find(({ pid }) => !pool.stats().threads.some((thread) => thread.pid === pid))!;
  const naps = async (rest: () => Promise<unknown>): Promise<number> => {
    const { parks } = pool.api.cpuStats(main.cpu);
    for (let n = 0; n < 20; n++) {
      await rest();
      await add(n, 1);
    }
    return pool.api.cpuStats(main.cpu).parks - parks;
  };
  await add(1, 2);
  const rested = await naps(() => later(15));
  // One that it does in vain, on a machine that does something else, keeps it from the next ones.
  expect(rested).toBeGreaterThan(2);
  expect(await naps(() => new Promise((resolve) => setImmediate(resolve)))).toBeLessThan(rested);
});
