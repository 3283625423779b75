/** Follows a schedule and says what happened in each of its steps, in the author's words. */
import { VdsoError } from "../errors.ts";
import { type AccessSite, Kind } from "./accesses.ts";
import type { Instrumented } from "./instrument.ts";
import type { Judge, Judgement } from "./judge.ts";
import type { VvarLayout } from "./layout.ts";
import { Logs } from "./logs.ts";
import { Act, actOf, branchOf, type Machine, threadOf } from "./machine.ts";
import type { SourceMap, SourcePosition } from "./source-map.ts";
import { Field, Flag, Status } from "./threads.ts";
import { show, stepText } from "./values.ts";

/** One step of a schedule. */
export interface TraceStep {
  /** 1-based. */
  readonly step: number;
  readonly thread: string;
  readonly event:
    | "access"
    | "sleeps"
    | "times out"
    | "killed"
    | "killed after its access"
    | "killed, first half done"
    | "killed, last half done";
  /** The call that the thread is in: `tryPush(1n)`. */
  readonly call: string;
  /** The access that it makes, or when it is killed would have made. */
  readonly access: TraceAccess | undefined;
  /** Calls that returned with this step. */
  readonly returned: readonly { readonly call: string; readonly result: string }[];
  /** Threads that a notify woke. */
  readonly woken: readonly string[];
}

export interface TraceAccess {
  /** Instruction: `i32.atomic.rmw.cmpxchg`. */
  readonly op: string;
  /** Path of the field: `slots[1].turn`. */
  readonly field: string;
  readonly address: number;
  readonly bytes: number;
  /** What it read, wrote, or changed: `0 -> 1`. */
  readonly value: string;
  /** Function of the image that holds the instruction, if it is known by name. */
  readonly function: string | undefined;
  readonly source: SourcePosition | undefined;
}

export interface TraceContext {
  readonly judge: Judge;
  readonly layout: VvarLayout;
  readonly instrumented: Instrumented;
  readonly sourceMap: SourceMap | undefined;
}

/** Two accesses that were about to happen when the schedule ended, for a race. */
export interface Trace {
  readonly steps: readonly TraceStep[];
  /** What each thread would do next, where it was stopped. */
  readonly pending: readonly { readonly thread: string; readonly call: string; readonly access: TraceAccess }[];
  /** The state at the end. */
  readonly end: Int32Array;
  /** What was wrong, and after how many steps. */
  readonly judgement: Judgement | undefined;
}

/**
 * Follows a schedule to its end or to its first failure.
 *
 * @throws VdsoError `ERR_VDSO_CHECK_SCHEDULE` - a step that no thread can take there.
 */
export function trace(context: TraceContext, schedule: readonly number[]): Trace {
  const { judge } = context;
  const { machine } = judge;
  const vector = machine.initial.slice();
  const steps: TraceStep[] = [];
  let judgement = judge.initial();
  for (const step of schedule) {
    if (judgement) break;
    const before = vector.slice();
    const thread = machine.threads.threads[threadOf(step)];
    if (!thread || !machine.take(vector, step)) {
      const name = thread ? `thread "${thread.name}"` : `thread ${threadOf(step)}, which is not there,`;
      throw new VdsoError(
        "ERR_VDSO_CHECK_SCHEDULE",
        `step ${steps.length + 1} of the schedule does not fit: ${name} cannot take it; is it from another image or specification?`,
      );
    }
    judgement = judge.step(vector, true);
    steps.push(describe(context, steps.length + 1, step, before, vector));
  }
  return { steps, pending: pending(context, vector), end: vector, judgement };
}

function describe(
  context: TraceContext,
  number: number,
  step: number,
  before: Int32Array,
  after: Int32Array,
): TraceStep {
  const { machine } = context.judge;
  const { threads } = machine;
  const thread = threadOf(step);
  const state = before[thread]!;
  const asleep = threads.get(state, Field.status) === Status.sleeping;
  const act = actOf(step);
  let event: TraceStep["event"] = "access";
  if (act === Act.kill) event = "killed";
  else if (act === Act.killAfter) event = "killed after its access";
  else if (act === Act.killWithin) event = branchOf(step) === 0 ? "killed, first half done" : "killed, last half done";
  else if (asleep) event = "times out";
  else if (threads.get(after[thread]!, Field.status) === Status.sleeping) event = "sleeps";
  const call = threads.get(state, Field.step);
  return {
    step: number,
    thread: threads.threads[thread]!.name,
    event,
    call: call < 0 ? "" : threads.logs.step(call).text,
    access: accessOf(context, state, before, act === Act.kill || asleep ? undefined : after),
    returned: returned(machine, before, after),
    woken: woken(machine, thread, before, after),
  };
}

function returned(machine: Machine, before: Int32Array, after: Int32Array): TraceStep["returned"] {
  const { threads } = machine;
  const found: { call: string; result: string }[] = [];
  for (let thread = 0; thread < machine.count; thread++) {
    const old = threads.logs.entries(threads.get(before[thread]!, Field.log));
    const now = threads.logs.entries(threads.get(after[thread]!, Field.log));
    for (const entry of now.slice(old.length)) {
      if (entry.step === Logs.DEATH) continue;
      const { fn, args } = threads.logs.step(entry.step);
      found.push({ call: stepText(fn, args), result: show(threads.logs.values[entry.result]) });
    }
  }
  return found;
}

function woken(machine: Machine, self: number, before: Int32Array, after: Int32Array): readonly string[] {
  const names: string[] = [];
  for (let thread = 0; thread < machine.count; thread++) {
    if (thread === self || before[thread] === after[thread]) continue;
    if (machine.status(before, thread) === Status.sleeping) names.push(machine.threads.threads[thread]!.name);
  }
  return names;
}

function pending(context: TraceContext, vector: Int32Array): Trace["pending"] {
  const { machine } = context.judge;
  const found: { thread: string; call: string; access: TraceAccess }[] = [];
  for (let thread = 0; thread < machine.count; thread++) {
    const access = accessOf(context, vector[thread]!, vector, undefined);
    if (!access) continue;
    const call = machine.threads.logs.step(machine.threads.get(vector[thread]!, Field.step)).text;
    found.push({ thread: machine.threads.threads[thread]!.name, call, access });
  }
  return found;
}

/** The access that a thread stands before; with `after`, what it does to the vVAR. */
function accessOf(
  context: TraceContext,
  state: number,
  before: Int32Array,
  after: Int32Array | undefined,
): TraceAccess | undefined {
  const { machine } = context.judge;
  const { threads } = machine;
  const index = threads.get(state, Field.site);
  if (index < 0) return undefined;
  const site = threads.sites[index]!;
  const { functionNames, exportedNames } = context.instrumented;
  const address = threads.get(state, Field.address);
  const length = threads.get(state, Field.length);
  return {
    op: site.op,
    field: context.layout.pathOf(address),
    address,
    bytes: length,
    value: valueText(context, site, state, before, after),
    function: functionNames.get(site.func) ?? exportedNames.get(site.func),
    source: context.sourceMap?.find(site.position, ...site.body),
  };
}

function valueText(
  context: TraceContext,
  site: AccessSite,
  state: number,
  before: Int32Array,
  after: Int32Array | undefined,
): string {
  const { machine } = context.judge;
  const { threads, vvar, shared } = machine;
  const address = threads.get(state, Field.address);
  const length = threads.get(state, Field.length);
  const pieces = (threads.get(state, Field.flags) & Flag.pieces) !== 0;
  if (site.size === 0 || pieces) {
    const part = threads.get(state, Field.part);
    return pieces && part > 0 ? `${length} bytes, from ${part}` : `${length} bytes`;
  }
  const text = (low: number, high: number): string => context.layout.show(address, length, low, high);
  const at = (vector: Int32Array): string => text(vvar.read(vector[shared]!, address, length), vvar.high);
  const operand = (): string => text(threads.get(state, Field.aLow), threads.get(state, Field.aHigh));
  const found = at(before);
  if (site.kind === Kind.load) return found;
  if (site.kind === Kind.wait) return `${found}, expects ${operand()}`;
  if (site.kind === Kind.notify) return "";
  if (!after) return site.kind === Kind.store ? operand() : "";
  if (site.kind === Kind.cas) {
    const replacement = text(threads.get(state, Field.bLow), threads.get(state, Field.bHigh));
    return found === operand() ? `${found} -> ${replacement}` : `${found}, expects ${operand()}: fails`;
  }
  return `${found} -> ${at(after)}`;
}
