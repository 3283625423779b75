/**
 * Small structures with seeded bugs, and the specification that each has to meet. Every bug is a value of the constant `BUG`; 0 is the
 * corrected twin.
 */
import {
  type AnyApi,
  acknowledgedDelivered,
  type CallRecord,
  type CheckSpec,
  type CheckState,
  type FailureKind,
  linearizable,
  survivorsFinish,
  type ThreadBody,
} from "../../runtime/check/index.ts";

export interface Bug {
  readonly bug: number;
  readonly title: string;
  readonly found: readonly FailureKind[];
  /** In place of the structure's specification. */
  readonly spec?: Partial<Spec>;
  readonly config?: Readonly<Record<string, string>>;
}

export type Spec = Omit<CheckSpec<AnyApi>, "image">;

export interface Structure {
  readonly name: string;
  readonly spec: Spec;
  readonly bugs: readonly Bug[];
}

const pushes = (...items: bigint[]): ThreadBody =>
  function* (t) {
    for (const item of items) yield* t.until("tryPush", [item], (done) => done === true);
  };

const pops = (count: number): ThreadBody =>
  function* (t) {
    for (let left = count; left > 0; left--) yield* t.until("tryPop", [], (item) => item !== undefined);
  };

const results = (calls: readonly CallRecord[]): unknown[] => calls.map((call) => call.result);

/** Nothing twice, nothing that was never sent. */
function onlySentItems(received: readonly unknown[], sent: readonly unknown[]): string | undefined {
  const unknown = received.find((item) => !sent.includes(item));
  if (unknown !== undefined) return `received ${String(unknown)}, which nobody sent`;
  const twice = received.find((item, index) => received.indexOf(item) !== index);
  return twice === undefined ? undefined : `received ${String(twice)} twice`;
}

/** A queue whose counters may be full or empty for a moment while others are at work. */
class BoundedQueue {
  items: bigint[] = [];
  tryPush(item: bigint, choose: <T>(options: readonly T[]) => T): boolean {
    if (this.items.length >= 2 || !choose([true, false])) return false;
    this.items.push(item);
    return true;
  }
  tryPop(choose: <T>(options: readonly T[]) => T): bigint | undefined {
    return choose([true, false]) ? this.items.shift() : undefined;
  }
}

export const queue: Structure = {
  name: "queue",
  spec: {
    threads: { p0: pushes(10n, 11n), p1: pushes(20n), c0: pops(2), c1: pops(1) },
    safety: [(state) => onlySentItems(results(state.calls("tryPop")), [10n, 11n, 20n]), linearizable(BoundedQueue)],
    goals: [
      survivorsFinish(),
      acknowledgedDelivered({
        sent: ({ fn, args }) => (fn === "tryPush" ? args[0] : undefined),
        received: ({ fn, result }) => (fn === "tryPop" ? result : undefined),
      }),
    ],
  },
  bugs: [
    { bug: 1, title: "the producers' claim is a load and a store", found: ["race"] },
    { bug: 1, title: "the same, races not looked for", found: ["safety", "history", "stuck"], spec: { races: false } },
    { bug: 2, title: "the consumers' claim is a load and a store", found: ["safety", "history", "race"] },
    { bug: 3, title: "an item is published before it is written", found: ["race"] },
    { bug: 3, title: "the same, races not looked for", found: ["safety", "history"], spec: { races: false } },
    { bug: 4, title: "a slot is released before its item is read", found: ["race"] },
    { bug: 5, title: "a slot is marked full again instead of free", found: ["stuck"] },
    {
      bug: 6,
      title: "positions are compared as numbers, and wrap",
      found: ["stuck"],
      config: { START: "4294967294" },
      spec: {
        threads: {
          *p(t) {
            for (const item of [10n, 11n, 12n]) yield* t.call("tryPush", item);
          },
        },
        goals: [survivorsFinish()],
      },
    },
    { bug: 7, title: "several producers overrun a full queue", found: ["race"] },
    { bug: 7, title: "the same, races not looked for", found: ["safety", "history", "stuck"], spec: { races: false } },
  ],
};

const puts = (item: number): ThreadBody =>
  function* (t) {
    yield* t.call("put", item);
  };
const takes: ThreadBody = function* (t) {
  yield* t.call("take");
};

export const mailbox: Structure = {
  name: "mailbox",
  spec: {
    threads: { p0: puts(1), p1: puts(2), c0: takes, c1: takes },
    safety: (state) => onlySentItems(results(state.calls("take")), [1, 2]),
  },
  bugs: [
    { bug: 1, title: "no second look before the sleep (lost wake-up)", found: ["deadlock"] },
    { bug: 2, title: "the sleepers are notified before the store", found: ["deadlock"] },
    { bug: 3, title: "one sleeper is woken where two kinds of them sleep", found: ["deadlock"] },
    { bug: 4, title: "the place is marked free before its value is read", found: ["race"] },
  ],
};

/** Nodes that each thread has by its log. */
function nobodyShares(state: CheckState): string | undefined {
  const held = state.threads.flatMap(({ log }) => {
    const nodes = new Set<unknown>();
    for (const { fn, args, result } of log) {
      if (fn === "alloc" && result !== undefined) nodes.add(result);
      if (fn === "free") nodes.delete(args[0]);
    }
    return [...nodes];
  });
  const shared = held.find((node, index) => held.indexOf(node) !== index);
  return shared === undefined ? undefined : `node ${String(shared)} was given to two at once`;
}

export const freelist: Structure = {
  name: "freelist",
  spec: {
    threads: {
      *a(t) {
        yield* t.call("alloc");
        yield* t.call("alloc");
      },
      *b(t) {
        const first = yield* t.call("alloc");
        yield* t.call("alloc");
        if (first !== undefined) yield* t.call("free", first);
      },
    },
    safety: nobodyShares,
  },
  bugs: [
    { bug: 1, title: "a freelist without tags (ABA)", found: ["safety"] },
    {
      bug: 2,
      title: "two give the same node back (double free)",
      found: ["safety"],
      spec: {
        *setup(t) {
          yield* t.call("alloc");
        },
        threads: {
          *a(t) {
            yield* t.call("free", 0);
          },
          *b(t) {
            yield* t.call("free", 0);
          },
        },
        safety: (state) => {
          const freed = state.calls("free").filter((call) => call.result === true).length;
          return freed <= 1 || "one node was given back twice";
        },
      },
    },
  ],
};

const locks: ThreadBody = function* (t) {
  yield* t.call("lock", t.pid);
  yield* t.call("increment");
  yield* t.call("unlock");
};

export const lock: Structure = {
  name: "lock",
  spec: { threads: { a: locks, b: locks, c: locks }, kills: { max: 1, reaper: 1 } },
  bugs: [
    { bug: 1, title: "the owner is written after the claim", found: ["deadlock", "stuck"] },
    { bug: 2, title: "the lock is not released on death", found: ["deadlock", "stuck"] },
    { bug: 3, title: "the reaper wakes only for what it released itself", found: ["deadlock", "stuck"] },
  ],
};

const usesPermit: ThreadBody = function* (t) {
  yield* t.until("acquire", [t.pid], (taken) => taken === true);
  yield* t.call("release", t.pid);
};

const notTooMany = ({ vvar }: CheckState): unknown =>
  (vvar["left"] as number) <= 1 || `${vvar["left"]} permits are left`;

export const permits: Structure = {
  name: "permits",
  spec: {
    threads: { a: usesPermit, b: usesPermit },
    kills: { max: 1, reaper: 1 },
    safety: notTooMany,
  },
  bugs: [
    { bug: 1, title: "a claim is recorded before it is made", found: ["safety"] },
    { bug: 2, title: "the reaper is not idempotent", found: ["safety"], spec: { goals: [] } },
    { bug: 3, title: "a claim is recorded after it was made", found: ["stuck"] },
  ],
};

const refers: ThreadBody = function* (t) {
  if ((yield* t.call("acquire", 1)) !== true) return;
  yield* t.call("read");
  yield* t.call("release");
};

const valueLives = (state: CheckState): unknown =>
  results(state.calls("read")).every((value) => value === 7) || "somebody refers to a value that is gone";

export const refcount: Structure = {
  name: "refcount",
  spec: {
    threads: {
      *maker(t) {
        yield* t.call("publish", 7, 1);
        yield* t.call("read");
        yield* t.call("release");
      },
      a: refers,
      b: refers,
    },
    safety: valueLives,
  },
  bugs: [
    { bug: 1, title: "a count is published before it is set", found: ["safety", "race"] },
    {
      bug: 2,
      title: "a count overflows",
      found: ["safety", "race"],
      spec: {
        *setup(t) {
          yield* t.call("publish", 7, 254);
        },
        threads: {
          *a(t) {
            if ((yield* t.call("acquire", 3)) !== true) return;
            yield* t.call("release");
            yield* t.call("read");
          },
        },
      },
    },
    { bug: 3, title: "who drops the last reference is decided on a second look", found: ["race", "safety", "thread"] },
    { bug: 4, title: "a count of 0 is brought back to life", found: ["safety", "race"] },
  ],
};

const BEFORE = 0n;
const AFTER = 0x1_0000_0001n;

export const cell: Structure = {
  name: "cell",
  spec: {
    threads: {
      *writer(t) {
        yield* t.call("write", AFTER);
      },
      *reader(t) {
        yield* t.until("read", [], (value) => value !== undefined);
      },
    },
    races: { allow: ["VvarData.value"] },
    safety: (state) => {
      const torn = results(state.calls("read")).find((value) => value !== BEFORE && value !== AFTER);
      return torn === undefined ? undefined : `read ${String(torn)}, which nobody wrote`;
    },
  },
  bugs: [
    { bug: 1, title: "a 64-bit value is written as two words", found: ["safety"] },
    { bug: 2, title: "the reader does not look whether the value changed", found: ["safety"] },
    { bug: 3, title: "the writer announces too late", found: ["safety"] },
  ],
};

export const structures: readonly Structure[] = [queue, mailbox, freelist, lock, permits, refcount, cell];
