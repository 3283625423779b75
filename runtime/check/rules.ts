/** Asks a specification's predicates about states, and asks each no more often than its answer can change. */
import { VdsoError } from "../errors.ts";
import type { VvarStruct } from "../image/decode.ts";
import type { VvarLayout } from "./layout.ts";
import type { Machine } from "./machine.ts";
import type { CallRecord, CheckState, Goal, SafetyPredicate, ThreadView } from "./spec.ts";
import { IntList, TripleMap, VectorSet } from "./tables.ts";

/** Most bytes of vVARs that are kept for predicates. */
const DECODED_BYTES = 1 << 24;

/** Answers that were given for what the threads show alone, or for that together with the vVAR. */
class Remembered {
  /** By what the threads show: 0 never asked, 1 the vVAR matters, 2 no, 3 yes. */
  private readonly alone = new IntList();
  private readonly together = new TripleMap();

  get(shown: number, shared: number): boolean | undefined {
    while (this.alone.length <= shown) this.alone.push(0);
    const known = this.alone.items[shown]!;
    if (known >= 2) return known === 3;
    if (known === 0) return undefined;
    const answer = this.together.get(shown, shared, 0);
    return answer < 0 ? undefined : answer === 1;
  }

  set(shown: number, shared: number, usedVvar: boolean, answer: boolean): void {
    if (usedVvar) {
      this.alone.items[shown] = 1;
      this.together.set(shown, shared, 0, answer ? 1 : 0);
    } else this.alone.items[shown] = answer ? 3 : 2;
  }
}

export class Rules {
  private readonly machine: Machine;
  private readonly layout: VvarLayout;
  private readonly safety: readonly SafetyPredicate[];
  private readonly shown: VectorSet;
  private readonly scratch: Int32Array;
  private readonly safe = new Remembered();
  private readonly goals = new Map<Goal, Remembered>();
  private readonly decoded = new Map<number, VvarStruct>();
  /** Has any rule looked at the vVAR? */
  usesVvar = false;

  constructor(machine: Machine, layout: VvarLayout, safety: readonly SafetyPredicate[]) {
    this.machine = machine;
    this.layout = layout;
    this.safety = safety;
    this.shown = new VectorSet(machine.count);
    this.scratch = new Int32Array(machine.count);
  }

  /** What the threads show in a state, as a number. */
  private showing(vector: Int32Array, base: number): number {
    const { threads, count } = this.machine;
    for (let thread = 0; thread < count; thread++) this.scratch[thread] = threads.observe(vector[base + thread]!);
    return this.shown.add(this.scratch);
  }

  /** Why a state is not safe, or undefined. */
  violation(vector: Int32Array): string | undefined {
    if (this.safety.length === 0) return undefined;
    const shown = this.showing(vector, 0);
    const shared = vector[this.machine.shared]!;
    if (this.safe.get(shown, shared) === true) return undefined;
    let usedVvar = false;
    const state = this.state(vector, 0, () => {
      usedVvar = true;
    });
    for (const predicate of this.safety) {
      const message = verdict(predicate, state);
      if (message !== undefined) return message;
    }
    this.safe.set(shown, shared, usedVvar, true);
    return undefined;
  }

  holds(goal: Goal, vector: Int32Array, base: number): boolean {
    let remembered = this.goals.get(goal);
    if (!remembered) {
      remembered = new Remembered();
      this.goals.set(goal, remembered);
    }
    const shown = this.showing(vector, base);
    const shared = vector[base + this.machine.shared]!;
    const known = remembered.get(shown, shared);
    if (known !== undefined) return known;
    let usedVvar = false;
    const state = this.state(vector, base, () => {
      usedVvar = true;
    });
    const answer = goal.holds(state);
    remembered.set(shown, shared, usedVvar, answer);
    return answer;
  }

  /** The state as predicates see it. */
  state(vector: Int32Array, base: number, onVvar: () => void = () => undefined): CheckState {
    const { machine } = this;
    const { users, reaper } = machine.options;
    const views: ThreadView[] = [];
    for (let thread = 0; thread < machine.count; thread++) {
      views.push(machine.threads.view(vector[base + thread]!));
    }
    const shared = vector[base + machine.shared]!;
    const threads = views.slice(0, users);
    const vvar = (): VvarStruct => {
      onVvar();
      this.usesVvar = true;
      return this.vvar(shared);
    };
    return {
      threads,
      reaper: reaper ? views[users] : undefined,
      get vvar() {
        return vvar();
      },
      thread: (name) => {
        const found = views.find((view) => view.name === name);
        if (found) return found;
        const names = threads.map((view) => view.name).join(", ");
        throw new VdsoError("ERR_VDSO_CHECK_THREAD", `there is no thread "${name}"; there are ${names}`);
      },
      calls: (fn) => calls(views, fn),
    };
  }

  private vvar(shared: number): VvarStruct {
    let decoded = this.decoded.get(shared);
    if (!decoded) {
      const { vvar } = this.machine;
      const { length } = vvar.initial;
      decoded = this.layout.decode(vvar.readBytes(shared, 0, length));
      // Those that are asked for again are the last ones.
      if (this.decoded.size >= Math.max(2, DECODED_BYTES / length)) this.decoded.clear();
      this.decoded.set(shared, decoded);
    }
    return decoded;
  }
}

function calls(views: readonly ThreadView[], fn: string | undefined): readonly CallRecord[] {
  const all = views.flatMap((view) => view.log);
  return fn === undefined ? all : all.filter((call) => call.fn === fn);
}

function verdict(predicate: SafetyPredicate, state: CheckState): string | undefined {
  try {
    const answer = predicate(state);
    if (typeof answer === "string") return answer;
    return answer === false ? `${predicate.name || "the safety rule"} does not hold` : undefined;
  } catch (error) {
    if (error instanceof VdsoError) throw error;
    return error instanceof Error ? error.message : String(error);
  }
}
