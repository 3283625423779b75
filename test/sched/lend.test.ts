/** Threads of an application as CPUs: the one of the kernel, and processes. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { threadId } from "node:worker_threads";
import { expect, test } from "vitest";
import { State } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { vsched } from "../../runtime/sched/index.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import { expectCode } from "../expect-code.ts";
import { later, withScheduler } from "./system.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
const lender = new URL("./fixtures/lender.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");

const code = (code: string) => ({ code });

test("a lent thread runs functions of modules, between turns of its event loop", () =>
  withScheduler({ cpus: 0 }, async (scheduler) => {
    const work = scheduler.module<Work>(url);
    const waiting = work.thread();
    await later(5);
    await using lease = scheduler.lend({ sliceMs: 2 });
    expect(await waiting).toBe(threadId);
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    const spins = Array.from({ length: 40 }, () => work.spins(2));
    const slept = work.sleeps(1);
    await Promise.all(spins);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(10);
    expect(await slept).toBe(threadId);
    await lease.leave();
    // Nobody is left who would run it, until the thread is lent again.
    let ended = false;
    const unheard = work.add(1, 1).then(() => (ended = true));
    await later(20);
    expect(ended).toBe(false);
    await using _again = scheduler.lend();
    await unheard;
  }));

test("coroutines that yield without end leave the event loop its turns", () =>
  withScheduler({ cpus: 0 }, async (scheduler) => {
    let stop = false;
    const yields = scheduler.spawn(async (task) => {
      while (!stop) await task.yieldNow();
    });
    await later(1);
    await later(1);
    stop = true;
    await yields.result;
  }));

test("a lent thread gets tasks while the others are busy, and none while one of them sleeps", () =>
  withScheduler({ cpus: 1 }, async (scheduler) => {
    const work = scheduler.module<Work>(url);
    const other = await work.thread();
    await using _lease = scheduler.lend();
    const here = new Set<number>();
    // Again if the operating system gave the other thread no time to fall asleep.
    for (let round = 0; round < 50 && !here.has(other); round++) {
      await later(20);
      here.add(await work.thread());
    }
    expect(here.has(other)).toBe(true);
    const held = work.spins(100);
    await later(10);
    expect(await work.thread()).toBe(threadId);
    await held;
  }));

test("a thread that is taken back ends what has begun in it; the rest moves on", () =>
  withScheduler({ cpus: 1 }, async (scheduler) => {
    const work = scheduler.module<Work>(url);
    const other = await work.thread();
    const lease = scheduler.lend();
    const begun = scheduler.submit<number>(url, "sleeps", [30], { affinity: [scheduler.cpu] });
    const held = work.spins(30);
    while (scheduler.api.taskStats(begun.id).waits === 0) await later(1);
    // Ready in both threads when this one leaves.
    const rest = Promise.all(Array.from({ length: 20 }, () => work.thread()));
    const left = lease.leave();
    expect(new Set(await rest)).toEqual(new Set([other]));
    await left;
    expect(begun.ended).toBe(true);
    expect(await begun.result).toBe(threadId);
    await held;
  }));

test("a thread task never runs in a lent thread, unless it is told to", () =>
  withScheduler({ cpus: 1 }, async (scheduler) => {
    await using _lease = scheduler.lend();
    const threads = scheduler.module<Work>(url, { thread: true });
    const where = await Promise.all(Array.from({ length: 50 }, () => threads.thread()));
    expect(where).not.toContain(threadId);
    const told = scheduler.submit<number>(url, "thread", [], { thread: true, affinity: [scheduler.cpu] });
    expect(await told.result).toBe(threadId);
  }));

test("a task goes to a CPU that its affinity names; one that names none that runs is refused", () =>
  withScheduler({ cpus: 2 }, async (scheduler) => {
    const there: unknown[] = [];
    for (const { pid } of scheduler.stats()) {
      const number = Array.from({ length: 3 }, (_, n) => n).find((n) => scheduler.api.cpuStats(n).pid === pid)!;
      const runs = Array.from({ length: 5 }, () => scheduler.submit(url, "thread", [], { affinity: [number] }).result);
      const threads = new Set(await Promise.all(runs));
      expect(threads.size).toBe(1);
      there.push(...threads);
    }
    expect(new Set(there).size).toBe(3);
    expect(there).toContain(threadId);
    for (const affinity of [[], [9], [3, 4]]) {
      await expectCode("ERR_VDSO_NO_CPU", () => scheduler.submit(url, "thread", [], { affinity }));
    }
    for (const affinity of [[-1], [31], [1.5]]) {
      await expectCode("ERR_VDSO_ARGUMENT", () => scheduler.submit(url, "thread", [], { affinity }));
    }
  }));

test("a process lends its thread, has tasks of its own, and goes on with its work meanwhile", () =>
  withScheduler({ cpus: 0 }, async (scheduler, kernel) => {
    const child = await kernel.spawn(lender, { data: { url: url.href } });
    const work = scheduler.module<Work>(url);
    const [before, thread] = (await work.turnsOfLender())!;
    expect(thread).not.toBe(threadId);
    expect(new Set(await Promise.all(Array.from({ length: 30 }, () => work.sleeps(1))))).toEqual(new Set([thread]));
    await Promise.all(Array.from({ length: 30 }, () => work.spins(3)));
    const [after] = (await work.turnsOfLender())!;
    expect(after).toBeGreaterThan(before + 10);
    await kernel.kill(child.pid);
  }));

test("when a lending process dies, what had begun in it fails, and the rest is done elsewhere", () =>
  withScheduler({ cpus: 0 }, async (scheduler, kernel) => {
    const child = await kernel.spawn(lender, { data: { url: url.href } });
    const work = scheduler.module<Work>(url);
    await work.thread();
    const begun = scheduler.submit(url, "sleeps", [1e6]);
    while (scheduler.api.taskStats(begun.id).waits === 0) await later(1);
    const held = scheduler.submit(url, "hangs");
    const rest = Array.from({ length: 10 }, () => work.thread());
    while (scheduler.api.stateOfTask(held.id) !== State.Running) await later(1);
    await Promise.all([
      expect(begun.result).rejects.toMatchObject(code("ERR_VDSO_TASK_KILLED")),
      expect(held.result).rejects.toMatchObject(code("ERR_VDSO_TASK_KILLED")),
      kernel.kill(child.pid),
    ]);
    await using _lease = scheduler.lend();
    expect(new Set(await Promise.all(rest))).toEqual(new Set([threadId]));
  }));

test("a program that lends its thread ends by itself when nothing is left to do", async () => {
  const program = fileURLToPath(new URL("./fixtures/ends-alone.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  expect(stdout).toBe("slept\n");
});

test("what cannot be lent or attached is refused", () =>
  withScheduler({ cpus: 1 }, async (scheduler) => {
    for (const sliceMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      await expectCode("ERR_VDSO_ARGUMENT", () => scheduler.lend({ sliceMs }));
    }
    await using _lease = scheduler.lend();
    await expectCode("ERR_VDSO_LENT", () => scheduler.lend());
    await expectCode("ERR_VDSO_NO_KERNEL", () => Scheduler.attach());
    expect(await scheduler.submit(url, "attachesTwice", [], { thread: true }).result).toBe("ERR_VDSO_SCHED_STARTED");
  }));

test("a process of a kernel without a scheduler cannot attach to one", async () => {
  await using kernel = await Kernel.boot({ vdsos: [vsched], log: () => undefined });
  await expect(kernel.spawn(lender, { data: { url: url.href } })).rejects.toThrow(/ERR_VDSO_NO_SCHEDULER|scheduler/);
});
