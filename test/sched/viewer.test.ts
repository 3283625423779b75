import { expect, test } from "vitest";
import vsched, { TraceEvent } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Pool } from "../../runtime/sched/pool.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import {
  chromeTrace,
  formatStats,
  formatTasks,
  readTrace,
  type TaskView,
  type TraceRecord,
  viewCpus,
  viewTasks,
} from "../../runtime/sched/viewer.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");

async function withPool(use: (pool: Pool) => Promise<void>): Promise<void> {
  const pool = await Pool.start({ maxThreads: 1, log: () => undefined });
  try {
    await use(pool);
  } finally {
    await pool.destroy();
  }
}

test("a task that never yields stands in the table, with its function and for how long it has run", () =>
  withPool(async (pool) => {
    void pool
      .module<Work>(url)
      .hangs()
      .catch(() => undefined);
    const running = () => viewCpus(pool.api).find(({ task }) => task !== 0);
    while ((running()?.taskMs ?? 0) < 20) await new Promise((resolve) => setTimeout(resolve, 5));
    expect(running()?.entry).toBe(`${url}#hangs`);
    const [head, ...rows] = formatStats(pool.api).split("\n");
    expect(head).toMatch(/cpu +pid +ready .* function$/);
    expect(rows.length).toBe(2);
    expect(rows.find((row) => row.includes("#hangs"))).toMatch(/ \d\d+ {2}file:/);
  }));

test("each task has its run time, switches and waits; what it joins, and what it is", () =>
  withPool(async (pool) => {
    const work = pool.module<Work>(url);
    const spun = work.spinsAndSleeps(20, 1e6).catch(() => undefined);
    const find = (name: string) => viewTasks(pool.api).find(({ entry }) => entry === `${url}#${name}`);
    // A task that has announced its wait, and has not let go of its CPU yet, stands there as waiting as well.
    while (find("spinsAndSleeps")?.waits !== 1) await new Promise((resolve) => setTimeout(resolve, 5));
    const sleeper = find("spinsAndSleeps")!;
    expect(sleeper).toMatchObject({
      kind: "function",
      state: "waiting",
      cpu: 1,
      priority: 0,
      switches: 1,
      waits: 1,
      steals: 0,
      joins: 0,
    });
    expect(sleeper.runMs).toBeGreaterThanOrEqual(19);
    const joined = work.joins(sleeper.task).catch(() => undefined);
    while (find("joins")?.state !== "waiting") await new Promise((resolve) => setTimeout(resolve, 5));
    expect(find("joins")!.joins).toBe(sleeper.task);
    const [head, first, second, ...rest] = formatTasks(pool.api).split("\n");
    expect(head).toMatch(/task +kind +state .* run ms .* function$/);
    // Those that ran longest come first.
    expect(first).toContain("#spinsAndSleeps");
    expect(second).toMatch(new RegExp(`waiting .* ${sleeper.task} +file:.*#joins`));
    expect(rest).toEqual([]);
    expect(formatTasks(pool.api, 1).split("\n").length).toBe(2);
    pool.api.cancel(sleeper.task);
    await Promise.all([spun, joined]);
  }));

test("coroutines are charged for the time that they ran, not for the time that they waited", async () => {
  await using kernel = await Kernel.boot({ vdsos: [vsched] });
  await using scheduler = await Scheduler.start(kernel, { cpus: 0 });
  const burn = (ms: number) => {
    for (const end = performance.now() + ms; performance.now() < end; ) Math.random();
  };
  const gate = scheduler.api.createEvent();
  const tasks = [10, 20].map((ms) =>
    scheduler.spawn(async (task) => {
      burn(ms);
      await task.yieldNow();
      burn(ms);
      await task.wait((api) => api.waitEvent(gate), true);
    }),
  );
  let views: TaskView[] = [];
  do {
    await new Promise((resolve) => setTimeout(resolve, 5));
    views = viewTasks(scheduler.api);
  } while (views.some(({ state }) => state !== "waiting"));
  scheduler.api.setEvent(gate);
  await Promise.all(tasks.map(({ result }) => result));
  const [first, second] = tasks.map(({ id }) => views.find(({ task }) => task === id)!);
  expect(first).toMatchObject({ kind: "coroutine", switches: 2, waits: 1 });
  expect(first!.runMs).toBeGreaterThanOrEqual(19.9);
  expect(second!.runMs).toBeGreaterThanOrEqual(39.9);
});

test("a trace of real tasks has a bar for each time that one ran", () =>
  withPool(async (pool) => {
    const work = pool.module<Work>(url);
    await work.add(1, 1);
    expect(readTrace(pool.api)).toEqual([]);
    pool.api.setTrace(true);
    await Promise.all([work.spins(3), work.spins(3), work.sleeps(1)]);
    pool.api.setTrace(false);
    const records = readTrace(pool.api);
    const { traceEvents } = chromeTrace(records);
    const bars = traceEvents.filter(({ ph }) => ph === "X");
    // The one that sleeps runs twice.
    expect(bars.length).toBe(4);
    expect(bars.filter(({ args }) => args["how"] === "Exit").length).toBe(3);
    // Those that spin; another too, if the operating system took its CPU away meanwhile.
    expect(bars.filter(({ dur }) => dur! >= 2900).length).toBeGreaterThanOrEqual(2);
    expect(traceEvents.filter(({ name }) => name === "Spawn").length).toBe(3);
    expect(JSON.parse(JSON.stringify(traceEvents))).toEqual(traceEvents);
  }));

test("what runs on at the end of a trace, and what has lost its end, are bars too", () => {
  const at = (us: number, event: TraceEvent, task: number, cpu = 0): TraceRecord => ({ us, event, cpu, task });
  const { traceEvents } = chromeTrace(
    [
      at(100, TraceEvent.Run, 1),
      at(110, TraceEvent.Exit, 1),
      at(120, TraceEvent.Run, 2),
      at(150, TraceEvent.Run, 3),
      at(160, TraceEvent.Exit, 9),
    ],
    200,
  );
  expect(traceEvents).toEqual([
    { name: "thread_name", ph: "M", ts: 0, pid: 1, tid: 0, args: { name: "CPU 0" } },
    { name: "task 1", ph: "X", ts: 0, dur: 10, pid: 1, tid: 0, args: { task: 1, ended: true, how: "Exit" } },
    { name: "task 2", ph: "X", ts: 20, dur: 30, pid: 1, tid: 0, args: { task: 2, ended: true, how: "unknown" } },
    { name: "task 3", ph: "X", ts: 50, dur: 50, pid: 1, tid: 0, args: { task: 3, ended: false } },
  ]);
  expect(chromeTrace([])).toEqual({ traceEvents: [] });
});
