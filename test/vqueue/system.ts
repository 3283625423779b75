/** vqueue as the checker's tests run it: one mailbox, everybody receives; values stand for items. */
import { join } from "node:path";
import {
  type CheckResult,
  type CheckState,
  type Choose,
  check,
  exhaustive,
  goal,
  type Kills,
  linearizable,
  type Races,
  type Strategy,
  survivorsFinish,
  type ThreadBody,
} from "../../runtime/check/index.ts";
import { imageFrom } from "../check/images.ts";
import "../../runtime/check/vitest.ts";

const MAILBOX = 1024;

type Push = "push" | "pushUrgent" | "pushMany" | "pushWaiting";
type Pop = "pop" | "popMany" | "popWaiting";

export interface Scenario {
  /** Values that each producer sends. */
  readonly sent: readonly (readonly number[])[];
  /** How many each consumer receives; `Infinity`: whatever comes. */
  readonly received: readonly number[];
  /** Values that are there at the beginning. */
  readonly before?: readonly number[];
  /** Slots that were taken and released as one run before all that. */
  readonly released?: number;
  readonly length: number;
  /** How producers send, and consumers receive: all of them, or each. */
  readonly push?: Push | readonly Push[];
  readonly pop?: Pop | readonly Pop[];
  readonly policy?: 0 | 1 | 2;
  readonly constants?: Readonly<Record<string, string>>;
  readonly kills?: Kills;
  readonly races?: Races;
  readonly strategy?: Strategy | readonly Strategy[];
  /** Compare with a plain queue as well. For `push` and `pop`, without kills. */
  readonly linearizable?: boolean;
}

/**
 * A plain queue. It may say that it is full, or empty, when it is not: another call may hold the slot that comes next (docs/vqueue.md). What it says
 * otherwise is what a queue says.
 */
function queueOf(length: number): new () => object {
  return class Queue {
    readonly items: number[] = [];
    push(value: number, choose: Choose): boolean {
      return this.items.length < length && choose([true, false]) && this.items.push(value) > 0;
    }
    pop(choose: Choose): number {
      return this.items.length > 0 && choose([true, false]) ? this.items.shift()! : 0;
    }
  };
}

function each<T extends string>(way: T | readonly T[], threads: readonly unknown[]): readonly T[] {
  return typeof way === "string" ? threads.map(() => way) : way;
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, number) => total + number, 0);

const images = new Map<string, ReturnType<typeof imageFrom>>();

function built(constants: Record<string, string>): ReturnType<typeof imageFrom> {
  const key = JSON.stringify(constants);
  const image = images.get(key) ?? imageFrom(join(import.meta.dirname, "vdsos/checked"), constants);
  images.set(key, image);
  return image;
}

const bytes = (word: number): number[] => [0, 8, 16, 24].map((shift) => (word >>> shift) & 255).filter(Boolean);

/**
 * Runs a scenario. No value comes twice; those of one producer come in order at each consumer, as long as nobody dies; survivors finish, and every
 * value that was acknowledged is received, but for those that a consumer died with in a call that may have finished them.
 */
export async function run(scenario: Scenario): Promise<CheckResult> {
  const { sent, received, before = [], released = 0, length, kills } = scenario;
  const pushes = each(scenario.push ?? "push", sent);
  const pops = each(scenario.pop ?? "pop", received);
  /** Items that popMany() takes. */
  const most = Math.min(length, 3);
  const { image, sourceMap } = await built({
    QUEUE_LEN: String(length),
    URGENT_LEN: "1",
    ARRAY_LEN: "1",
    MAP_LEN: "1",
    PROCESSES: String(2 + sent.length + received.length),
    SPIN: "0",
    COUNTERS: "false",
    ...scenario.constants,
  });

  const produces = (values: readonly number[], push: Push): ThreadBody =>
    function* (t) {
      if (push === "pushMany") {
        for (let done = 0; done < values.length; ) {
          done += (yield* t.until(push, [values[done], values.length - done], (count) => count !== 0)) as number;
        }
        return;
      }
      const tries = push === "pushWaiting" ? [1] : [];
      for (const value of values) yield* t.until(push, [value, ...tries], (done) => done === true);
    };
  const consumes = (count: number, pop: Pop): ThreadBody =>
    function* (t) {
      const args = { pop: [], popMany: [most], popWaiting: [1] }[pop];
      for (let left = count; left > 0; ) {
        if (scenario.linearizable) {
          // What it was is the model's business.
          yield* t.forget(pop, args, (value) => value !== 0);
          left--;
          continue;
        }
        const word = (yield* t.until(pop, args, (value) => value !== 0)) as number;
        left -= pop === "popMany" ? bytes(word).length : 1;
      }
    };

  const popped = (state: CheckState): number[][] =>
    state.threads.map(({ log }) =>
      log
        .filter(({ fn }) => fn.startsWith("pop"))
        .flatMap(({ fn, result }) => (fn === "popMany" ? bytes(result as number) : [result as number])),
    );

  const isSane = (state: CheckState): true | string => {
    const found = popped(state);
    const all = found.flat();
    if (new Set(all).size !== all.length) return `received twice: ${all.join(" ")}`;
    if (kills !== undefined) return true;
    for (const mine of found) {
      for (const values of [...sent, before]) {
        const order = mine.filter((value) => values.includes(value)).map((value) => values.indexOf(value));
        if (order.some((place, index) => index > 0 && place < order[index - 1]!))
          return `out of order: ${mine.join(" ")}`;
      }
    }
    return true;
  };

  const isReceived = goal("what was acknowledged is received", (state) => {
    if (scenario.policy === 2) return true;
    const consumers = state.threads.filter(({ name }) => name.startsWith("c"));
    if (consumers.every(({ status }) => status === "killed")) return true;
    const all = new Set(popped(state).flat());
    const acknowledged = state.threads.flatMap(({ log }) =>
      log
        .filter(({ fn }) => fn.startsWith("push"))
        .flatMap(({ fn, args: [first], result }) =>
          Array.from({ length: fn === "pushMany" ? (result as number) : 1 }, (_, k) => (first as number) + k),
        ),
    );
    const missing = [...before, ...acknowledged].filter((value) => !all.has(value));
    // It may have released the item and died before anybody heard of it.
    const unheard = consumers.filter(({ status, call }) => status === "killed" && call?.fn.startsWith("pop"));
    return missing.length <= sum(unheard.map(({ call }) => (call?.fn === "popMany" ? most : 1)));
  });

  const daemons = received.includes(Infinity);
  return check({
    image,
    sourceMap,
    *setup(t) {
      const id = yield* t.call("prepare", scenario.policy ?? 0);
      if (id !== MAILBOX) throw new Error(`expected mailbox ${MAILBOX}, found ${id}`);
      for (let value = 1; value <= released; value++) yield* t.call("push", value);
      if (released > 0) yield* t.call("popMany", released);
      for (const value of before) yield* t.call("push", value);
    },
    threads: Object.fromEntries([
      ...sent.map((values, index) => [`p${index}`, produces(values, pushes[index]!)] as const),
      ...received.map(
        (count, index) => [`c${index}`, { run: consumes(count, pops[index]!), daemon: daemons }] as const,
      ),
    ]),
    safety: scenario.linearizable ? linearizable(queueOf(length)) : isSane,
    goals: [
      survivorsFinish(),
      // A plain queue gives each item once; when all have finished, all were received.
      ...(scenario.linearizable ? [] : [isReceived]),
    ],
    ...(kills && { kills }),
    ...(scenario.races && { races: scenario.races }),
    timeouts: false,
    strategy: scenario.strategy ?? exhaustive(),
  });
}
