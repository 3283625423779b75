import { expect, test } from "vitest";
import { TraceEvent } from "../../generated/vsched/vsched.js";
import { Pool } from "../../runtime/sched/pool.ts";
import { chromeTrace, formatStats, readTrace, type TraceRecord, viewCpus } from "../../runtime/sched/viewer.ts";

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
