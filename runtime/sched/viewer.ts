/**
 * What a scheduler does, for people: a table of its CPUs, and a trace for `chrome://tracing` or Perfetto.
 *
 * ```ts
 * import { chromeTrace, formatStats, formatTasks, readTrace } from "wasm-vdso/sched";
 *
 * pool.api.setTrace(true);
 * await work();
 * console.log(formatStats(pool.api));
 * console.log(formatTasks(pool.api));
 * await writeFile("trace.json", JSON.stringify(chromeTrace(readTrace(pool.api))));
 * ```
 */
import { CPUS, State, TRACE_LEN, TraceEvent, type VschedApi } from "../../generated/vsched/vsched.js";
import { sharedNowUs } from "../platform/clock.ts";
import { Kind, NAMED_KINDS } from "./task.ts";

/** Something that happened to a task. */
export interface TraceRecord {
  /** Of the clock that all threads share. */
  readonly us: number;
  readonly event: TraceEvent;
  readonly cpu: number;
  /** The task's id. */
  readonly task: number;
}

/** @see https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU */
export interface ChromeEvent {
  readonly name: string;
  readonly ph: "X" | "i" | "M";
  /** Microseconds. */
  readonly ts: number;
  readonly dur?: number;
  readonly pid: number;
  readonly tid: number;
  readonly s?: "t";
  readonly args: Readonly<Record<string, unknown>>;
}

/** A CPU, and what runs there. */
export interface CpuView {
  readonly cpu: number;
  readonly pid: number;
  /** Ready tasks, about. */
  readonly load: number;
  readonly switches: number;
  readonly steals: number;
  readonly parks: number;
  /** Id of the task that runs; 0: none does. */
  readonly task: number;
  /** Module and export, when the task is one of a module. */
  readonly entry: string;
  /** For how long that task has run without giving way, in milliseconds. One that never yields has a large one. */
  readonly taskMs: number;
}

/** A task, and what it has taken. */
export interface TaskView {
  readonly task: number;
  readonly kind: "coroutine" | "function" | "thread" | "native" | "other";
  readonly state: "ready" | "running" | "waiting" | "ended";
  /** Where it runs, or was last; -1: on none. */
  readonly cpu: number;
  readonly priority: number;
  /** Up to the last time that it gave way. */
  readonly runMs: number;
  /** How often it was picked, has waited, was stolen by an idle CPU. */
  readonly switches: number;
  readonly waits: number;
  readonly steals: number;
  /** Id of the task that it joins; 0: it waits for none. */
  readonly joins: number;
  /** Module and export, when the task is one of a module or an image. */
  readonly entry: string;
}

const EVENTS = new Map<number, string>(Object.entries(TraceEvent).map(([name, value]) => [value, name]));
const KIND_NAMES = new Map<number, TaskView["kind"]>([
  [Kind.Coroutine, "coroutine"],
  [Kind.Portable, "function"],
  [Kind.Thread, "thread"],
  [Kind.Native, "native"],
]);
const STATE_NAMES = new Map<number, TaskView["state"]>([
  [State.Ready, "ready"],
  [State.Running, "running"],
  [State.Exited, "ended"],
]);
const PLACE_MASK = 0x3fff;
const ENDS = new Set<number>([TraceEvent.Yield, TraceEvent.Preempt, TraceEvent.Block, TraceEvent.Exit]);
const MARKS = new Set<number>([TraceEvent.Spawn, TraceEvent.Wake, TraceEvent.Steal, TraceEvent.Migrate]);
const NO_CPU = CPUS;

/** The last events, at most `TRACE_LEN`, by time. An event that is being written may be one of two. `setTrace` turns recording on. */
export function readTrace(api: VschedApi): TraceRecord[] {
  const end = api.traced();
  const records: TraceRecord[] = [];
  for (let n = Math.max(end - TRACE_LEN, 0); n < end; n++) {
    const what = api.traceWhat(n);
    const where = api.traceWhere(n);
    const event = Number(what & 255n);
    if (!EVENTS.has(event)) continue;
    const cpu = Number(where >> 32n);
    records.push({
      us: Number(what >> 8n),
      event: event as TraceEvent,
      cpu: cpu < CPUS ? cpu : NO_CPU,
      task: Number(where & 0xffffffffn),
    });
  }
  return records.sort((a, b) => a.us - b.us);
}

/**
 * A trace as `chrome://tracing` and Perfetto load it: a row for each CPU, a bar for each time that a task ran, a mark for each spawn, wake, steal and
 * migration. A task that still runs has a bar to the end, with `ended: false`.
 *
 * @param untilUs - the end. Default: the last event.
 */
export function chromeTrace(
  records: readonly TraceRecord[],
  untilUs: number = records.at(-1)?.us ?? 0,
): { traceEvents: ChromeEvent[] } {
  const first = records[0]?.us ?? 0;
  const events: ChromeEvent[] = [];
  const open = new Map<number, TraceRecord>();
  const bar = ({ us, cpu, task }: TraceRecord, end: number, how: string | undefined): void => {
    const args = { task, ended: how !== undefined, ...(how !== undefined && { how }) };
    events.push({ name: `task ${task}`, ph: "X", ts: us - first, dur: end - us, pid: 1, tid: cpu, args });
  };
  for (const record of records) {
    const { us, event, cpu, task } = record;
    const running = open.get(cpu);
    const name = EVENTS.get(event)!;
    if (event === TraceEvent.Run) {
      if (running) bar(running, us, "unknown");
      open.set(cpu, record);
    } else if (ENDS.has(event) && running?.task === task) {
      bar(running, us, name);
      open.delete(cpu);
    } else if (MARKS.has(event)) {
      events.push({ name, ph: "i", ts: us - first, pid: 1, tid: cpu, s: "t", args: { task } });
    }
  }
  for (const running of open.values()) bar(running, Math.max(untilUs, running.us), undefined);
  const cpus = [...new Set(records.map(({ cpu }) => cpu))].sort((a, b) => a - b);
  const names = cpus.map((cpu): ChromeEvent => {
    const name = cpu === NO_CPU ? "no CPU" : `CPU ${cpu}`;
    return { name: "thread_name", ph: "M", ts: 0, pid: 1, tid: cpu, args: { name } };
  });
  return { traceEvents: [...names, ...events] };
}

/** Every live CPU. */
export function viewCpus(api: VschedApi): CpuView[] {
  const us = sharedNowUs();
  const views: CpuView[] = [];
  for (let cpu = 0; cpu < CPUS; cpu++) {
    const { live, pid, load, switches, steals, parks, sinceUs, current: task } = api.cpuStats(cpu);
    if (!live) continue;
    views.push({
      cpu,
      pid,
      load,
      switches,
      steals,
      parks,
      task,
      entry: entryOf(api, task),
      taskMs: task === 0 ? 0 : Math.max(us - sinceUs, 0) / 1000,
    });
  }
  return views;
}

/** {@link viewCpus} as a table in text. */
export function formatStats(api: VschedApi): string {
  const head = ["cpu", "pid", "ready", "switches", "steals", "parks", "task", "for ms", "function"];
  const rows = viewCpus(api).map(({ cpu, pid, load, switches, steals, parks, task, taskMs, entry }) => [
    ...[cpu, pid, load, switches, steals, parks].map(String),
    ...(task === 0 ? ["-", "", ""] : [String(task), taskMs.toFixed(0), entry]),
  ]);
  return table(head, rows);
}

/** Every task that has been started and that the table still knows, those first that have run longest. */
export function viewTasks(api: VschedApi): TaskView[] {
  const views: TaskView[] = [];
  for (let task = api.taskFrom(0); task !== 0; task = api.taskFrom((task & PLACE_MASK) + 1)) {
    const { state, cpu, priority, runTimeUs, switches, waits, steals } = api.taskStats(task);
    // It has gone meanwhile.
    if (state < 0) continue;
    views.push({
      task,
      kind: KIND_NAMES.get(api.kindOf(task)) ?? "other",
      state: STATE_NAMES.get(state) ?? "waiting",
      cpu: cpu < CPUS ? cpu : -1,
      priority,
      runMs: runTimeUs / 1000,
      switches,
      waits,
      steals,
      joins: api.joins(task),
      entry: entryOf(api, task),
    });
  }
  return views.sort((a, b) => b.runMs - a.runMs);
}

/** The first of {@link viewTasks} as a table in text. */
export function formatTasks(api: VschedApi, most = 20): string {
  const head = ["task", "kind", "state", "cpu", "prio", "run ms", "switches", "waits", "steals", "joins", "function"];
  const rows = viewTasks(api)
    .slice(0, most)
    .map(({ task, kind, state, cpu, priority, runMs, switches, waits, steals, joins, entry }) => [
      ...[task, kind, state, cpu < 0 ? "-" : cpu, priority, runMs.toFixed(1), switches, waits, steals].map(String),
      joins === 0 ? "" : String(joins),
      entry,
    ]);
  return table(head, rows);
}

function entryOf(api: VschedApi, task: number): string {
  return task !== 0 && NAMED_KINDS.has(api.kindOf(task)) ? api.nameOf(api.entryOf(task)) : "";
}

/** All columns but the last to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)));
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => (column === head.length - 1 ? cell : cell.padStart(widths[column]!)))
      .join("  ")
      .trimEnd();
  return [head, ...rows].map(line).join("\n");
}
