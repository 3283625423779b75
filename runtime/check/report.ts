/** The result of a check, for people and for programs. */
import type { KillPoint } from "./explore.ts";
import type { FailureKind, Found } from "./judge.ts";
import type { Machine } from "./machine.ts";
import { writeSchedule } from "./schedule.ts";
import { Field, Status } from "./threads.ts";
import type { Trace, TraceAccess, TraceContext, TraceStep } from "./trace.ts";

/** How far a check went: everything; everything within a bound; samples; one schedule. */
export type Tier = "exhaustive" | "bounded" | "sampled" | "replayed";

export interface TierReport {
  /** `exhaustive`, `preemptions(2)`, `pct(depth 3)`, `random`, `replay`. */
  readonly strategy: string;
  readonly tier: Tier;
  /** Did it get through? A search does not when it meets a failure or more states than it may visit. */
  readonly complete: boolean;
  /** States, schedules or steps that it was allowed. */
  readonly limit: number;
  readonly states: number;
  readonly transitions: number;
  readonly schedules: number;
  /** Schedules that were given up because they were too long. */
  readonly cut: number;
  readonly seed: number | undefined;
  readonly killPoints: readonly KillPoint[];
  /** How often the search followed one thread alone, because its step does not matter to the others; 0: it followed every step. */
  readonly reduced: number;
}

/** What the death of a thread at one place leads to. */
export interface KillPointReport {
  readonly thread: string;
  /** The call that it dies in: `tryPush(1n)`; empty when it has finished. */
  readonly call: string;
  /** The access that it dies before, with `after` behind, or with `within` in the middle of: `i64.store slots[0].item`; behind a wait, asleep, `... (asleep)`. */
  readonly access: string;
  readonly after: boolean;
  /** Of a copy or fill of many bytes into the vVAR, the first or the last half is done. */
  readonly within: boolean;
  /** In how many states it can die there. */
  readonly deaths: number;
  /** From how many of them a goal cannot be reached any more. */
  readonly stuck: number;
}

/** A failure and how to get there. */
export interface CheckFailure {
  readonly kind: FailureKind;
  readonly message: string;
  /** For {@link replay}. */
  readonly schedule: string;
  /** Of the random schedule that found it. */
  readonly seed: number | undefined;
  readonly tier: Tier;
  readonly trace: readonly TraceStep[];
  /** What each thread was about to do when the schedule ended. */
  readonly pending: Trace["pending"];
  /** The failure, its schedule and how to replay it, for people. */
  toString(): string;
}

export interface CheckResult {
  readonly ok: boolean;
  readonly failure: CheckFailure | undefined;
  /** How far the last strategy went. */
  readonly tier: Tier;
  readonly tiers: readonly TierReport[];
  /** Of an exhaustive search with kills that got through: every place to die at. */
  readonly killPoints: readonly KillPointReport[];
  readonly states: number;
  readonly transitions: number;
  readonly schedules: number;
  readonly ms: number;
  /** How often WebAssembly ran; everything else came from tables. */
  readonly wasmRuns: number;
  /** How the last strategy saved states: `"footprints"` (docs/checking.md), or not at all. */
  readonly reduction: "footprints" | "none";
  /** One line: what was covered, or the failure in full. */
  toString(): string;
}

export function resultOf(
  tiers: readonly TierReport[],
  failure: CheckFailure | undefined,
  run: { ms: number; wasmRuns: number },
  context: TraceContext,
): CheckResult {
  const last = tiers.at(-1)!;
  return {
    ok: failure === undefined,
    failure,
    tier: last.tier,
    tiers,
    killPoints: last.killPoints.map((point) => describe(point, context)),
    states: last.states,
    transitions: last.transitions,
    schedules: last.schedules,
    reduction: last.reduced > 0 ? "footprints" : "none",
    ...run,
    toString: () => (failure ? failure.toString() : covered(tiers)),
  };
}

function covered(tiers: readonly TierReport[]): string {
  const texts = tiers.map(({ strategy, tier, complete, states, transitions, schedules, cut, limit, reduced }) => {
    if (!complete) return `${strategy}: given up after ${limit} states`;
    if (tier === "sampled") return `${strategy}: ${schedules} schedules passed${cut > 0 ? `, ${cut} cut short` : ""}`;
    if (tier === "replayed") return "replay: the schedule passed";
    return `${strategy}${reduced > 0 ? ", reduced" : ""}: all ${states} states and ${transitions} steps passed`;
  });
  return texts.join("; ");
}

function describe(point: KillPoint, { judge, layout }: TraceContext): KillPointReport {
  const { threads } = judge.machine;
  const get = (field: number): number => threads.get(point.state, field);
  const site = get(Field.site);
  const step = get(Field.step);
  const asleep = get(Field.status) === Status.sleeping;
  return {
    thread: threads.threads[get(Field.thread)]!.name,
    call: step < 0 ? "" : threads.logs.step(step).text,
    access:
      site < 0 ? "" : `${threads.sites[site]!.op} ${layout.pathOf(get(Field.address))}${asleep ? " (asleep)" : ""}`,
    after: point.after,
    within: point.within,
    deaths: point.deaths,
    stuck: point.stuck,
  };
}

export function failureOf(found: Found, trace: Trace, tier: TierReport, machine: Machine): CheckFailure {
  const failure = {
    kind: found.kind,
    message: found.message,
    schedule: writeSchedule(found.steps, machine.reaper),
    seed: tier.tier === "sampled" ? tier.seed : undefined,
    tier: tier.tier,
    trace: trace.steps,
    pending: trace.pending,
  };
  return { ...failure, toString: () => write(failure, tier) };
}

function write(failure: Omit<CheckFailure, "toString">, tier: TierReport): string {
  const rows = failure.trace.map(row);
  const next =
    failure.kind === "race" || failure.kind === "mixed-size" || failure.kind === "stuck" ? failure.pending : [];
  for (const { thread, call, access } of next) {
    rows.push(["next", thread, call, access.op, access.field, access.value, place(access)]);
  }
  const widths = [0, 1, 2, 3, 4, 5].map((column) => Math.max(...rows.map((cells) => cells[column]!.length), 0));
  const table = rows.map((cells) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padStart(widths[0]!) : cell.padEnd(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
  const steps = failure.trace.length;
  const seed = failure.seed === undefined ? "" : `, seed ${failure.seed}`;
  return [
    `${failure.kind}: ${failure.message}`,
    "",
    `after ${steps} step${steps === 1 ? "" : "s"} (${tier.strategy}${seed}):`,
    ...table.map((line) => `  ${line}`),
    "",
    `again: strategy: replay(${JSON.stringify(failure.schedule)})`,
  ].join("\n");
}

function row(step: TraceStep): string[] {
  const { access } = step;
  const results = step.returned.map(({ call, result }) => `${call} = ${result}`);
  const woken = step.woken.length > 0 ? `wakes ${step.woken.join(", ")}` : "";
  const events = step.event === "access" ? [] : [step.event.toUpperCase()];
  const value = [access?.value ?? "", woken, ...events].filter((part) => part !== "").join(", ");
  const where = access ? place(access) : "";
  return [
    String(step.step),
    step.thread,
    step.call,
    access?.op ?? "",
    access?.field ?? "",
    value,
    [where, ...results.map((result) => `=> ${result}`)].filter((part) => part !== "").join("  "),
  ];
}

function place(access: TraceAccess): string {
  const { source } = access;
  if (source) return `${source.near ? "~" : ""}${source.file}:${source.line}${source.text ? `  ${source.text}` : ""}`;
  return access.function ? `in ${access.function}()` : "";
}
