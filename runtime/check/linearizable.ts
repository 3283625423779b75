/**
 * Is a history explained by a sequential model? Every call has to take effect at one moment between its beginning and its return, with the
 * result that the model gives at that moment.
 *
 * The search of Wing and Gong, made incremental as by Lowe: instead of a history, a state carries everything that the model could look like by
 * now, together with the open calls that have taken effect in it. Two histories that leave the same possibilities are the same state, so
 * the check merges states as well with a model as without one.
 *
 * @see Wing, Gong: Testing and verifying concurrent objects. J. Parallel Distrib. Comput. 17 (1993)
 * @see Lowe: Testing for linearizability. Concurrency Computat. Pract. Exper. 29 (2017)
 */
import { VdsoError } from "../errors.ts";
import { copyState, StateTexts } from "./model-state.ts";
import type { HistoryRule } from "./spec.ts";
import { show, stepText } from "./values.ts";

/**
 * A rule for {@link CheckSpec.safety}: the calls that the model has methods for behave as if each happened at one moment.
 *
 * A method gets the call's arguments, and behind them `choose(options)`, which returns one of several values that are all right: an
 * allocator may hand out any free block. A method that throws says that the call cannot take effect now. Attempts that `until` refused are part
 * of the history. The model's state is its own fields, with all that they lead to, cycles included; `#private` ones are not seen.
 *
 * ```ts
 * class Queue {
 *   items: bigint[] = [];
 *   tryPush(item: bigint) {
 *     return this.items.length < 2 && this.items.push(item) > 0;
 *   }
 *   tryPop() {
 *     return this.items.shift();
 *   }
 * }
 * await check({ image, threads, safety: linearizable(Queue) });
 * ```
 */
export function linearizable(model: new () => object): HistoryRule {
  return { model };
}

/** Returns one of the options; the check tries all of them. */
export type Choose = <T>(options: readonly T[]) => T;

interface OpenCall {
  /** Thread, or -1 when it died in the call. */
  readonly owner: number;
  readonly fn: string;
  readonly args: readonly unknown[];
  readonly text: string;
}

/** One possibility: a state of the model, and for each open call the result that it has taken effect with. */
interface Possibility {
  readonly model: number;
  readonly effects: readonly (string | undefined)[];
}

function textOf({ model, effects }: Possibility): string {
  return `${model} ${effects.map((effect) => effect ?? "-").join()}`;
}

interface Possibilities {
  readonly open: readonly OpenCall[];
  /** Bit mask of the threads that have an open call. */
  readonly owners: number;
  readonly all: readonly Possibility[];
  readonly next: Map<string, number>;
}

interface Effect {
  readonly model: number;
  readonly result: string;
}

/** A dead caller's result: nobody saw it. */
const UNSEEN = "";

/** What is known about the history so far, each state of knowledge known by its number; 0 is the empty history. */
export class History {
  private readonly methods: Record<string, (...args: unknown[]) => unknown>;
  private readonly models: object[] = [];
  private readonly texts = new StateTexts();
  private readonly modelNumbers = new Map<string, number>();
  private readonly effects = new Map<string, readonly Effect[]>();
  private readonly sets: Possibilities[] = [];
  private readonly setNumbers = new Map<string, number>();
  readonly modelName: string;

  constructor(model: new () => object) {
    this.modelName = model.name;
    this.methods = model.prototype as Record<string, (...args: unknown[]) => unknown>;
    this.intern([], [{ model: this.addModel(new model()), effects: [] }]);
  }

  /** Has the model a method of this name? */
  covers(fn: string): boolean {
    return fn !== "constructor" && typeof this.methods[fn] === "function";
  }

  isOpen(history: number, thread: number): boolean {
    return (this.sets[history]!.owners & (1 << thread)) !== 0;
  }

  invoke(history: number, thread: number, fn: string, args: readonly unknown[]): number {
    const set = this.sets[history]!;
    const text = stepText(fn, args);
    const key = `call ${thread} ${text}`;
    let to = set.next.get(key);
    if (to === undefined) {
      to = this.intern(
        [...set.open, { owner: thread, fn, args, text }],
        set.all.map(({ model, effects }) => ({ model, effects: [...effects, undefined] })),
      );
      set.next.set(key, to);
    }
    return to;
  }

  /** @returns -1 when no possibility is left: the history is not linearizable. */
  respond(history: number, thread: number, result: unknown): number {
    const set = this.sets[history]!;
    const wanted = show(result);
    const key = `return ${thread} ${wanted}`;
    let to = set.next.get(key);
    if (to === undefined) {
      const call = set.open.findIndex((open) => open.owner === thread);
      const left = this.explain(set, call, wanted);
      to = left.length === 0 ? -1 : this.intern(set.open.toSpliced(call, 1), left);
      set.next.set(key, to);
    }
    return to;
  }

  /** The caller died: its call, if it had begun, may take effect at any later time, or never. */
  abandon(history: number, thread: number): number {
    const set = this.sets[history]!;
    const index = set.open.findIndex((open) => open.owner === thread);
    if (index < 0) return history;
    const key = `death ${thread}`;
    let to = set.next.get(key);
    if (to === undefined) {
      to = this.intern(
        set.open.map((open, at) => (at === index ? { ...open, owner: -1 } : open)),
        set.all.map(({ model, effects }) => ({
          model,
          effects: effects.map((effect, at) => (at === index && effect !== undefined ? UNSEEN : effect)),
        })),
      );
      set.next.set(key, to);
    }
    return to;
  }

  /** Possibilities in which the call has taken effect with this result; other open calls take effect before it where they have to. */
  private explain(set: Possibilities, call: number, wanted: string): Possibility[] {
    const found: Possibility[] = [];
    const seen = new Set<string>();
    const waiting = [...set.all];
    for (let possibility = waiting.pop(); possibility; possibility = waiting.pop()) {
      const { model, effects } = possibility;
      const key = textOf(possibility);
      if (seen.has(key)) continue;
      seen.add(key);
      if (effects[call] !== undefined) {
        if (effects[call] === wanted) found.push({ model, effects: effects.toSpliced(call, 1) });
        continue;
      }
      waiting.push(...this.next(possibility, set.open));
    }
    return found;
  }

  /** What one open call more makes of a possibility. */
  private next({ model, effects }: Possibility, open: readonly OpenCall[]): Possibility[] {
    return open.flatMap((call, index) =>
      effects[index] !== undefined
        ? []
        : this.effectsOf(model, call).map((effect) => ({
            model: effect.model,
            effects: effects.with(index, call.owner < 0 ? UNSEEN : effect.result),
          })),
    );
  }

  /** Texts of all that open calls can make of a possibility. */
  private laterThan(first: Possibility, open: readonly OpenCall[]): ReadonlySet<string> {
    const seen = new Set<string>();
    const waiting = this.next(first, open);
    for (let possibility = waiting.pop(); possibility; possibility = waiting.pop()) {
      const text = textOf(possibility);
      if (seen.has(text)) continue;
      seen.add(text);
      waiting.push(...this.next(possibility, open));
    }
    return seen;
  }

  /** Everything that a call may do to a state of the model. */
  private effectsOf(model: number, call: OpenCall): readonly Effect[] {
    const key = `${model} ${call.text}`;
    const known = this.effects.get(key);
    if (known) return known;
    const found: Effect[] = [];
    // Each run follows one sequence of choices; the next one counts it up, its last choice first.
    const taken: number[] = [];
    const offered: number[] = [];
    do {
      offered.length = 0;
      const choose: Choose = (options) => {
        const position = offered.push(options.length) - 1;
        if (options.length === 0) throw new NoEffect("nothing to choose from");
        taken[position] ??= 0;
        return options[taken[position]]!;
      };
      const state = copyState(this.models[model]!) as Record<string, (...args: unknown[]) => unknown>;
      try {
        const result = state[call.fn]!(...call.args, choose);
        found.push({ model: this.addModel(state), result: show(result) });
      } catch (error) {
        if (error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError) {
          const message = `the model ${this.modelName} failed in ${call.text}: ${error.message}`;
          throw new VdsoError("ERR_VDSO_CHECK_MODEL", message, { cause: error });
        }
      }
      taken.length = offered.length;
      while (taken.length > 0 && taken.at(-1)! + 1 >= offered[taken.length - 1]!) taken.pop();
      if (taken.length > 0) taken[taken.length - 1]! += 1;
    } while (taken.length > 0);
    this.effects.set(key, found);
    return found;
  }

  private addModel(model: object): number {
    const key = this.texts.of(model);
    let number = this.modelNumbers.get(key);
    if (number === undefined) {
      number = this.models.push(model) - 1;
      this.modelNumbers.set(key, number);
    }
    return number;
  }

  private intern(open: readonly OpenCall[], all: readonly Possibility[]): number {
    // The order in which calls began says no more than that they are open.
    const order = open
      .map((call, index) => ({ index, key: `${call.owner} ${call.text}` }))
      .sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.index - b.index));
    const sorted = new Map<string, Possibility>();
    for (const { model, effects } of all) {
      const reordered = order.map(({ index }) => effects[index]);
      const possibility = { model, effects: reordered };
      sorted.set(textOf(possibility), possibility);
    }
    const calls = order.map(({ index }) => open[index]!);
    // What can still come of another one, by the effects of open calls, says nothing of its own. Effects only ever grow, so what remains is one set.
    for (const possibility of [...sorted.values()]) {
      for (const later of this.laterThan(possibility, calls)) sorted.delete(later);
    }
    const key = `${order.map((entry) => entry.key).join("; ")} | ${[...sorted.keys()].sort().join("; ")}`;
    let number = this.setNumbers.get(key);
    if (number === undefined) {
      const owners = calls.reduce((mask, { owner }) => (owner < 0 ? mask : mask | (1 << owner)), 0);
      const set = { open: calls, owners, all: [...sorted.values()], next: new Map() };
      number = this.sets.push(set) - 1;
      this.setNumbers.set(key, number);
    }
    return number;
  }
}

class NoEffect extends Error {}
