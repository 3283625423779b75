/** What processes do to a small heap while the checker orders and kills them. */
import {
  type CheckSpec,
  type Choose,
  type Goal,
  goal,
  linearizable,
  survivorsFinish,
  type ThreadBody,
  type ThreadContext,
} from "../../runtime/check/index.ts";
import { type Constants, decode, type HeapVvar, handleOf, nothingLost, State, sound } from "./small-heap.ts";

export interface HeapApi {
  allocate(bytes: number): number;
  release(handle: number): number;
  transfer(handle: number, receiver: number): number;
  accept(handle: number): number;
  takeBack(handle: number): number;
  discardFrom(sender: number): number;
}

export interface Scenario {
  readonly title: string;
  readonly constants: Constants;
  readonly spec: Pick<CheckSpec<HeapApi, HeapVvar>, "setup" | "threads" | "safety" | "goals">;
  /** Kills in the second test; 0: there is none. */
  readonly deaths: number;
  readonly reaperDeaths: number;
}

type Body = ThreadBody<HeapApi>;

const UNIT = 64;
const goals = [survivorsFinish(), nothingLost];

/** Borrows blocks of so many units one after the other, and gives each back. */
const cycles = (...units: number[]): Body =>
  function* (t) {
    for (const size of units) {
      const handle = yield* t.call("allocate", size * UNIT);
      if (handle > 0) yield* t.call("release", handle);
    }
  };

/** Borrows blocks of so many units, then gives all of them back. */
const hoard = (...units: number[]): Body =>
  function* (t) {
    const handles: number[] = [];
    for (const size of units) handles.push(yield* t.call("allocate", size * UNIT));
    for (const handle of handles) if (handle > 0) yield* t.call("release", handle);
  };

/** Leaves the heap in single units. */
const crumbs = (units: number): Body => hoard(...Array.from({ length: units }, () => 1));

/** What an allocator of so many units is: any free place will do, and without one it says so; `Busy` it may say at any time. */
function model(units: number, generation = 0): new () => object {
  return class {
    /** By unit: units of the block that begins there; 0: none. */
    readonly blocks: number[] = Array.from({ length: units }, () => 0);
    readonly generations: number[] = Array.from({ length: units }, () => generation);

    allocate(bytes: number, choose: Choose): number {
      const size = 2 ** Math.ceil(Math.log2(bytes / UNIT));
      const places = this.blocks.map((_, unit) => unit).filter((unit) => unit % size === 0 && this.isFree(unit, size));
      const place = choose([...(places.length > 0 ? places : [-1]), -11]);
      if (place < 0) return place;
      this.blocks[place] = size;
      return handleOf(place, this.generations[place]!);
    }

    release(handle: number): number {
      const unit = this.blocks.findIndex((size, at) => size > 0 && handleOf(at, this.generations[at]!) === handle);
      if (unit < 0) throw new Error("not lent");
      this.blocks[unit] = 0;
      this.generations[unit] = this.generations[unit]! + 1;
      return 0;
    }

    private isFree(start: number, size: number): boolean {
      return this.blocks.every((units, unit) => units === 0 || unit + units <= start || unit >= start + size);
    }
  };
}

const A = 2;
const B = 3;
/** Of the only block of a heap of one unit: what its first borrower has, and what the process has that it was sent to. */
const FIRST = handleOf(0, 0);
const SENT = handleOf(0, 1);

/** A call that nobody may succeed with. */
function* refused(t: ThreadContext<HeapApi>, fn: "release" | "takeBack", handle: number) {
  const result = yield* t.call(fn, handle);
  if (result >= 0) throw new Error(`${fn}(${handle}) was not refused`);
}

const send = (receiver: number): Body =>
  function* (t) {
    const handle = yield* t.call("allocate", UNIT);
    if (handle > 0) yield* t.call("transfer", handle, receiver);
  };

/** Sends, and changes its mind. */
const sendAndTakeBack = (receiver: number): Body =>
  function* (t) {
    yield* send(receiver)(t);
    if ((yield* t.call("takeBack", SENT)) === 0) yield* t.call("release", SENT);
  };

const receive: Body = function* (t) {
  if ((yield* t.call("accept", SENT)) > 0) yield* t.call("release", SENT);
};

/** Receives nothing, and tidies up when the sender has ended. */
const tidyUp: Body = function* (t) {
  yield* t.until("discardFrom", [A], (count) => count >= 0);
};

const tidied: Goal<HeapVvar> = goal("a sender's end leaves nothing on its way", ({ thread, reaper, vvar }) => {
  if (thread("a").status === "running" || (reaper && reaper.status !== "idle")) return false;
  if (thread("a").status === "finished") return true;
  return decode(vvar.words[0]!, 0).state === State.free;
});

export const scenarios: readonly Scenario[] = [
  {
    title: "two processes that cut up the same block",
    constants: { units: 4 },
    spec: { threads: { a: cycles(1, 1), b: cycles(2) }, safety: sound, goals },
    deaths: 2,
    reaperDeaths: 1,
  },
  {
    title: "two processes that take blocks in turn",
    constants: { units: 4, far: 1 },
    spec: { threads: { a: cycles(1, 1), b: cycles(2) }, safety: sound, goals },
    deaths: 1,
    reaperDeaths: 1,
  },
  {
    title: "two processes that put the same crumbs together",
    constants: { units: 4 },
    spec: { setup: crumbs(4), threads: { a: cycles(2), b: cycles(4) }, safety: sound, goals },
    deaths: 2,
    reaperDeaths: 1,
  },
  {
    title: "cutting up against putting together",
    constants: { units: 4 },
    spec: { setup: crumbs(2), threads: { a: cycles(4), b: hoard(1, 1) }, safety: sound, goals },
    deaths: 1,
    reaperDeaths: 1,
  },
  {
    title: "three processes",
    constants: { units: 2, passes: 2 },
    spec: { threads: { a: cycles(1), b: cycles(2), c: cycles(1) }, safety: sound, goals },
    deaths: 1,
    reaperDeaths: 0,
  },
  {
    title: "an allocator as a model has it, on crumbs",
    constants: { units: 2 },
    spec: {
      setup: crumbs(2),
      threads: { a: cycles(2), b: cycles(1, 1) },
      safety: [sound, linearizable(model(2, 1))],
      goals,
    },
    deaths: 0,
    reaperDeaths: 0,
  },
  {
    title: "an allocator as a model has it, on one block",
    constants: { units: 2 },
    spec: {
      threads: { a: hoard(1, 1), b: cycles(1), c: cycles(1) },
      safety: [sound, linearizable(model(2))],
      goals,
    },
    deaths: 0,
    reaperDeaths: 0,
  },
  {
    title: "a block on its way to a process that may end",
    constants: { units: 1 },
    spec: { threads: { a: send(B), b: receive }, safety: sound, goals },
    deaths: 2,
    reaperDeaths: 2,
  },
  {
    title: "a block that is accepted and taken back at once",
    constants: { units: 1 },
    spec: { threads: { a: sendAndTakeBack(B), b: receive }, safety: sound, goals },
    deaths: 2,
    reaperDeaths: 1,
  },
  {
    title: "a block that goes back to its sender",
    constants: { units: 1 },
    spec: {
      threads: {
        a: function* (t) {
          yield* sendAndTakeBack(B)(t);
          if ((yield* t.call("accept", handleOf(0, 2))) > 0) yield* t.call("release", handleOf(0, 2));
        },
        b: function* (t) {
          yield* refused(t, "takeBack", SENT);
          if ((yield* t.call("accept", SENT)) > 0) yield* t.call("transfer", SENT, A);
        },
      },
      safety: sound,
      goals,
    },
    deaths: 1,
    reaperDeaths: 1,
  },
  {
    title: "a block that its sender lends again when its receiver has released it",
    constants: { units: 2 },
    spec: {
      threads: {
        a: function* (t) {
          yield* send(B)(t);
          yield* hoard(1, 1)(t);
        },
        b: function* (t) {
          yield* receive(t);
          yield* cycles(2)(t);
        },
      },
      safety: sound,
      goals,
    },
    deaths: 1,
    reaperDeaths: 1,
  },
  {
    title: "a receiver that tidies up behind its sender",
    constants: { units: 1 },
    spec: {
      threads: { a: send(B), b: { run: tidyUp, daemon: true } },
      safety: sound,
      goals: [tidied],
    },
    deaths: 2,
    reaperDeaths: 1,
  },
  {
    title: "a handle that was used up",
    constants: { units: 1 },
    spec: {
      threads: {
        a: function* (t) {
          const first = yield* t.call("allocate", UNIT);
          if (first < 0) return;
          yield* t.call("release", first);
          yield* refused(t, "release", first);
          const second = yield* t.call("allocate", UNIT);
          yield* refused(t, "release", first);
          if (second < 0) return;
          const third = yield* t.call("transfer", second, A);
          yield* t.call("accept", third);
          yield* refused(t, "release", second);
          yield* t.call("release", third);
        },
        b: function* (t) {
          yield* refused(t, "release", FIRST);
          yield* hoard(1)(t);
        },
      },
      safety: sound,
      goals,
    },
    deaths: 1,
    reaperDeaths: 1,
  },
];

/** Too many states to see all. */
export const crowd: Scenario = {
  title: "a crowd",
  constants: { units: 8, hints: 4, passes: 4 },
  spec: {
    setup: crumbs(8),
    threads: { a: cycles(4, 1), b: hoard(2, 2), c: cycles(8), d: hoard(1, 1, 1) },
    safety: sound,
    goals,
  },
  deaths: 2,
  reaperDeaths: 1,
};
