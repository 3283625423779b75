/** Is a state, or the step that led to it, a failure? The same judgement for every strategy. */
import { Kind } from "./accesses.ts";
import type { VvarLayout } from "./layout.ts";
import { Act, choice, type Machine } from "./machine.ts";
import type { Rules } from "./rules.ts";
import type { Goal } from "./spec.ts";
import { TripleMap } from "./tables.ts";
import { Field, Flag, Status } from "./threads.ts";

export type FailureKind =
  /** Two threads access the same bytes at once, at least one of them plainly and at least one writing. */
  | "race"
  /** Two atomic accesses at once to the same bytes, with different widths. */
  | "mixed-size"
  /** A safety predicate does not hold. */
  | "safety"
  /** The results cannot be explained by the sequential model. */
  | "history"
  | "panic"
  | "trap"
  /** An access outside the layout, or not aligned. */
  | "outside"
  /** A loop that never accesses the vVAR. */
  | "endless"
  /** A thread's generator threw. */
  | "thread"
  /** Nobody can go on, and somebody who should finish sleeps. */
  | "deadlock"
  /** A goal cannot be reached any more. */
  | "stuck";

/** A failure and the steps that lead to it. */
export interface Found {
  readonly kind: FailureKind;
  readonly message: string;
  readonly steps: readonly number[];
}

export type Judgement = Omit<Found, "steps">;

/** Steps in which a thread that runs alone has to come back to where it was, to count as spinning. */
const MAX_SPIN_STEPS = 10_000;

export class Judge {
  readonly machine: Machine;
  readonly rules: Rules;
  readonly goals: readonly Goal[];
  private readonly layout: VvarLayout;
  private readonly spinning = new TripleMap();
  private readonly scratch: Int32Array;

  constructor(machine: Machine, rules: Rules, layout: VvarLayout, goals: readonly Goal[]) {
    this.machine = machine;
    this.rules = rules;
    this.layout = layout;
    this.goals = goals;
    this.scratch = new Int32Array(machine.width);
  }

  /** Judges the initial state. */
  initial(): Judgement | undefined {
    const { machine } = this;
    for (let thread = 0; thread < machine.count; thread++) {
      if (machine.status(machine.initial, thread) === Status.failed) return this.stopOf(machine.initial, thread);
    }
    const judgement = this.race(machine.initial, -1) ?? this.safety(machine.initial);
    // So that it is known from the first step on what goals look at.
    for (const goal of this.goals) this.rules.holds(goal, machine.initial, 0);
    return judgement;
  }

  /**
   * Judges the step that the machine has just made.
   *
   * @param showsMore - can predicates see anything new?
   */
  step(vector: Int32Array, showsMore: boolean): Judgement | undefined {
    const { machine } = this;
    if (machine.failedThread >= 0) return this.stopOf(vector, machine.failedThread);
    if (machine.historyBroken) return this.historyOf();
    return this.race(vector, machine.changed) ?? (showsMore ? this.safety(vector) : undefined);
  }

  private stopOf(vector: Int32Array, thread: number): Judgement {
    const { threads } = this.machine;
    const stop = threads.stops[threads.get(vector[thread]!, Field.stop)]!;
    const { name } = threads.threads[thread]!;
    const step = threads.get(vector[thread]!, Field.step);
    const where = step < 0 ? "" : ` in ${threads.logs.step(step).text}`;
    const field = "address" in stop && stop.address !== undefined ? ` (${this.layout.pathOf(stop.address)})` : "";
    return { kind: stop.kind, message: `thread "${name}"${where}: ${stop.message}${field}` };
  }

  private historyOf(): Judgement {
    const model = this.machine.options.history!.modelName;
    return { kind: "history", message: `no order of the calls gives these results in the sequential model ${model}` };
  }

  private race(vector: Int32Array, mask: number): Judgement | undefined {
    const race = this.machine.race(vector, mask);
    if (!race) return undefined;
    const { threads } = this.machine;
    const [a, b] = [vector[race.first]!, vector[race.second]!];
    const atomic = threads.get(a, Field.flags) & threads.get(b, Field.flags) & Flag.atomic;
    const address = Math.max(threads.get(a, Field.address), threads.get(b, Field.address));
    const what = [race.first, race.second].map((thread) => {
      const state = vector[thread]!;
      const call = threads.logs.step(threads.get(state, Field.step)).text;
      return `"${threads.threads[thread]!.name}" (${call}: ${threads.sites[threads.get(state, Field.site)]!.op})`;
    });
    const { path, field } = { path: this.layout.pathOf(address), field: this.layout.fieldOf(address) };
    return atomic
      ? { kind: "mixed-size", message: `${path} is accessed with different widths at once by ${what.join(" and ")}` }
      : { kind: "race", message: `data race on ${path} (${field}) between ${what.join(" and ")}` };
  }

  private safety(vector: Int32Array): Judgement | undefined {
    const message = this.rules.violation(vector);
    return message === undefined ? undefined : { kind: "safety", message };
  }

  /** Is there a thread that has to finish, cannot go on by itself, and has nobody left to wake it? */
  deadlock(vector: Int32Array): Judgement | undefined {
    const { machine } = this;
    const { threads } = machine;
    const asleep: string[] = [];
    let lost = false;
    for (let thread = 0; thread < machine.count; thread++) {
      if (machine.branches(vector, 0, thread) > 0) return undefined;
      const { name, daemon } = threads.threads[thread]!;
      if (daemon || machine.status(vector, thread) !== Status.sleeping) continue;
      const state = vector[thread]!;
      const address = threads.get(state, Field.address);
      const length = threads.get(state, Field.length);
      const found = machine.vvar.read(vector[machine.shared]!, address, length);
      const expected = threads.get(state, Field.aLow);
      const call = threads.logs.step(threads.get(state, Field.step)).text;
      const path = this.layout.pathOf(address);
      if (found !== expected || (length === 8 && machine.vvar.high !== threads.get(state, Field.aHigh))) {
        lost = true;
        asleep.push(`"${name}" (${call}) sleeps on ${path}, which is no longer ${expected} but ${found}`);
      } else asleep.push(`"${name}" (${call}) sleeps on ${path} = ${found}`);
    }
    if (asleep.length === 0) return undefined;
    const what = lost ? "lost wake-up: " : "";
    return { kind: "deadlock", message: `${what}${asleep.join("; ")}, and nobody is left to wake it` };
  }

  /** Every thread that could go on comes back to where it is without changing anything: then it is so for ever. */
  allSpin(vector: Int32Array): boolean {
    const { machine } = this;
    for (let thread = 0; thread < machine.count; thread++) {
      if (machine.branches(vector, 0, thread) > 0 && !this.spins(vector, thread)) return false;
    }
    return true;
  }

  /** A state that nobody leaves: is it one to be in? */
  resting(vector: Int32Array): Judgement | undefined {
    const deadlock = this.deadlock(vector);
    if (deadlock) return deadlock;
    const goal = this.goals.find((candidate) => !this.rules.holds(candidate, vector, 0));
    return goal && { kind: "stuck", message: this.stuckMessage(goal, vector) };
  }

  stuckMessage(goal: Goal, vector: Int32Array): string {
    const state = this.rules.state(vector, 0);
    const who = state.threads
      .filter((thread) => thread.status !== "finished")
      .map(({ name, status, call }) => `"${name}" is ${status}${call ? ` in ${call.fn}()` : ""}`);
    const where = who.length > 0 ? ` (${who.join(", ")})` : "";
    return `the goal "${goal.name}" cannot be reached any more${where}`;
  }

  /** Would the thread, if it ran alone, come back to the same state without changing anything that others see? */
  spins(vector: Int32Array, thread: number): boolean {
    const { machine, scratch } = this;
    const { threads } = machine;
    const state = vector[thread]!;
    const shared = vector[machine.shared]!;
    const known = this.spinning.get(state, shared, thread);
    if (known >= 0) return known === 1;
    scratch.set(vector.subarray(0, machine.width));
    const log = threads.get(state, Field.log);
    const seen = new Set([state]);
    // Whether a notify wakes somebody is not in the key of this table.
    let keep = true;
    let answer = false;
    while (seen.size < MAX_SPIN_STEPS) {
      if (machine.branches(scratch, 0, thread) === 0) {
        answer = machine.status(scratch, thread) === Status.sleeping;
        break;
      }
      if (machine.status(scratch, thread) === Status.running) {
        keep &&= threads.get(scratch[thread]!, Field.kind) !== Kind.notify;
      }
      machine.take(scratch, choice(thread, Act.step, 0));
      const others = machine.changed & ~(1 << thread);
      if (others !== 0 || scratch[machine.shared] !== shared || machine.failedThread >= 0) break;
      if (threads.get(scratch[thread]!, Field.log) !== log || machine.historyBroken) break;
      if (seen.has(scratch[thread]!)) {
        answer = true;
        break;
      }
      seen.add(scratch[thread]!);
    }
    if (keep) this.spinning.set(state, shared, thread, answer ? 1 : 0);
    return answer;
  }
}
