import { expect, test } from "vitest";
import { type Choose, check, exhaustive, linearizable, replay, type ThreadBody } from "../../runtime/check/index.ts";
import { expectCode } from "../expect-code.ts";
import { image, imageOf } from "./images.ts";
import "../../runtime/check/vitest.ts";

const COUNTER = `
  const BUG: u32 = config("BUG", 0);
  @vvar class VvarData { count: Atomic<u32>; }
  const shared = vvarRoot<VvarData>();
  export function increment(): u32 {
    if (BUG == 1) { shared.count.store(shared.count.load() + 1); return shared.count.load(); }
    return shared.count.add(1) + 1;
  }
  export function twice(): u32 { shared.count.add(1); return shared.count.add(1) + 1; }
  export function get(): u32 { return shared.count.load(); }
`;

class Counter {
  count = 0;
  increment(): number {
    this.count += 1;
    return this.count;
  }
  twice(): number {
    this.count += 2;
    return this.count;
  }
  get(): number {
    return this.count;
  }
}

const calls = (...names: string[]): ThreadBody =>
  function* (t) {
    for (const name of names) yield* t.call(name);
  };

test("a counter of atomic additions is linearizable, one of loads and stores is not", async () => {
  const threads = { a: calls("increment", "get"), b: calls("increment"), c: calls("get", "get") };
  const safety = linearizable(Counter);
  const right = await imageOf(COUNTER);
  expect(await check({ ...right, threads, safety, strategy: exhaustive() })).toPass();
  const wrong = await imageOf(COUNTER, { BUG: "1" });
  const { failure } = await check({ ...wrong, threads, safety, strategy: exhaustive() });
  expect(failure?.kind).toBe("history");
  expect(failure?.message).toContain("sequential model Counter");
});

test("a call that others see half done is not linearizable", async () => {
  const built = await imageOf(COUNTER);
  const threads = { a: calls("twice"), b: calls("get") };
  const { failure } = await check({ ...built, threads, safety: linearizable(Counter), strategy: exhaustive() });
  expect(failure).toMatchObject({ kind: "history", schedule: "0 1" });
});

test("calls that do not overlap keep their order, whoever made them", async () => {
  // Two reads one behind the other must not see the count go back; the model would allow it if only each thread's order counted.
  const built = await imageOf(`
    @vvar class VvarData { old: Atomic<u32>; young: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    export function increment(): u32 { shared.young.store(1); shared.old.store(1); return 1; }
    export function get(): u32 { return shared.young.load(); }
    export function getLate(): u32 { return shared.old.load(); }
  `);
  class Late extends Counter {
    getLate(): number {
      return this.count;
    }
  }
  const threads = { a: calls("increment"), b: calls("get"), c: calls("getLate") };
  const { failure } = await check({ ...built, threads, safety: linearizable(Late), strategy: exhaustive() });
  expect(failure).toMatchObject({ kind: "history", schedule: "0 1 2" });
});

class StrictQueue {
  items: bigint[] = [];
  tryPush(item: bigint): boolean {
    return this.items.length < 2 && this.items.push(item) > 0;
  }
  tryPop(): bigint | undefined {
    return this.items.shift();
  }
}

class RelaxedQueue extends StrictQueue {
  override tryPop(...args: unknown[]): bigint | undefined {
    const choose = args.at(-1) as Choose;
    return choose([true, false]) ? super.tryPop() : undefined;
  }
}

test("Vyukov's queue may seem empty while an earlier push is unfinished: the strict model says so, the relaxed one allows it", async () => {
  const built = await image("queue");
  const push = (item: bigint): ThreadBody =>
    function* (t) {
      yield* t.call("tryPush", item);
    };
  const threads = {
    a: push(1n),
    *b(t: Parameters<ThreadBody>[0]) {
      yield* t.call("tryPush", 2n);
      yield* t.call("tryPop");
    },
  };
  const strict = await check({ ...built, threads, safety: linearizable(StrictQueue), strategy: exhaustive() });
  expect(strict.failure?.kind).toBe("history");
  expect(strict.failure?.trace.at(-1)?.returned).toEqual([{ call: "tryPop()", result: "undefined" }]);
  expect(await check({ ...built, threads, safety: linearizable(RelaxedQueue), strategy: exhaustive() })).toPass();
});

test("what a dead thread had called may have taken effect, or not", async () => {
  const built = await imageOf(COUNTER);
  const threads = { a: calls("increment"), b: calls("get", "get") };
  const kills = { threads: ["a"] };
  const result = await check({ ...built, threads, kills, safety: linearizable(Counter), strategy: exhaustive() });
  expect(result).toPass();
});

test("a model may choose between several right results", async () => {
  const built = await image("freelist");
  class Allocator {
    free = [0, 1];
    alloc(choose: Choose): number | undefined {
      if (this.free.length === 0) return undefined;
      const node = choose(this.free);
      this.free = this.free.filter((other) => other !== node);
      return node;
    }
    freeNode(): void {}
  }
  const threads = { a: calls("alloc"), b: calls("alloc"), c: calls("alloc") };
  expect(await check({ ...built, threads, safety: linearizable(Allocator), strategy: exhaustive() })).toPass();
});

interface Link {
  item: bigint;
  before: Link;
  after: Link;
}

/** Both ways round, through an end that stands for none: nothing but cycles. */
class RingQueue {
  readonly end: Link;
  length = 0;
  constructor() {
    const end = { item: 0n } as Link;
    end.before = end.after = end;
    this.end = end;
  }
  tryPush(item: bigint): boolean {
    if (this.length >= 2) return false;
    const link: Link = { item, before: this.end.before, after: this.end };
    this.end.before.after = link;
    this.end.before = link;
    this.length += 1;
    return true;
  }
  tryPop(choose: Choose): bigint | undefined {
    if (this.length === 0 || !choose([true, false])) return undefined;
    const { item, after } = this.end.after;
    this.end.after = after;
    after.before = this.end;
    this.length -= 1;
    return item;
  }
}

test("a model whose fields lead back to themselves has as many states as one whose fields do not", async () => {
  const built = await image("queue");
  const threads = {
    *a(t: Parameters<ThreadBody>[0]) {
      yield* t.call("tryPush", 1n);
      yield* t.call("tryPop");
    },
    *b(t: Parameters<ThreadBody>[0]) {
      yield* t.call("tryPush", 2n);
      yield* t.call("tryPop");
    },
  };
  const ring = await check({ ...built, threads, safety: linearizable(RingQueue), strategy: exhaustive() });
  const list = await check({ ...built, threads, safety: linearizable(RelaxedQueue), strategy: exhaustive() });
  expect(ring).toPass();
  expect(ring.states).toBe(list.states);
});

test("a result that leads back to itself is no image's result", async () => {
  const built = await imageOf(COUNTER);
  class Endless {
    get(): unknown {
      const result: { self?: unknown } = {};
      result.self = result;
      return result;
    }
  }
  const { failure } = await check({ ...built, threads: { a: calls("get") }, safety: linearizable(Endless) });
  expect(failure?.kind).toBe("history");
});

test("states of a model that look alike are two when a part is shared in one of them, or of another class", async () => {
  const built = await imageOf(COUNTER);
  const threads = { a: calls("increment", "get") };
  class Sharing {
    written = { count: 0 };
    read = { count: 0 };
    increment(choose: Choose): number {
      this.read = choose([false, true]) ? this.written : { count: 0 };
      return 1;
    }
    get(): number {
      this.written.count += 1;
      return this.read.count;
    }
  }
  expect(await check({ ...built, threads, safety: linearizable(Sharing) })).toPass();
  class Off {
    count(): number {
      return 0;
    }
  }
  class On {
    count(): number {
      return 1;
    }
  }
  class Switching {
    mode: Off | On = new Off();
    increment(choose: Choose): number {
      this.mode = choose([new Off(), new On()]);
      return 1;
    }
    get(): number {
      return this.mode.count();
    }
  }
  expect(await check({ ...built, threads, safety: linearizable(Switching) })).toPass();
});

test("a model that fails is an error of its own", async () => {
  const built = await imageOf(COUNTER);
  class Broken {
    get(): number {
      return (undefined as unknown as Counter).count;
    }
  }
  const spec = { ...built, threads: { a: calls("get") }, safety: linearizable(Broken) };
  const error = await expectCode("ERR_VDSO_CHECK_MODEL", () => check(spec));
  expect(error.message).toMatch(/the model Broken failed in get\(\)/);
});

/** Calls whose first and last access nobody can tell from none. */
const PADDED = `
  @vvar class VvarData { quiet: Atomic<u32>; count: Atomic<u32>; }
  const shared = vvarRoot<VvarData>();
  export function increment(): u32 { shared.quiet.load(); const count = shared.count.add(1) + 1; shared.quiet.load(); return count; }
  export function twice(): u32 { shared.quiet.load(); shared.count.add(1); const count = shared.count.add(1) + 1; shared.quiet.load(); return count; }
  export function get(): u32 { shared.quiet.load(); const count = shared.count.load(); shared.quiet.load(); return count; }
`;

test("calls that begin late and end early, where nobody can tell, are judged as in the full search", async () => {
  const built = await imageOf(PADDED);
  const run = (second: string, reduce: boolean, states = 2_000_000): ReturnType<typeof check> =>
    check({
      ...built,
      threads: { a: calls("increment", second), b: calls("get", "get"), c: calls("increment", "get") },
      safety: linearizable(Counter),
      strategy: exhaustive({ states }),
      reduce,
    });
  const full = await run("increment", false);
  const reduced = await run("increment", true);
  expect(full).toPass();
  expect(reduced).toPass();
  expect(reduced.states).toBeLessThan(full.states / 4);

  const broken = await run("twice", false);
  expect((await run("twice", true)).failure).toMatchObject({
    kind: "history",
    schedule: broken.failure!.schedule,
  });
  // The full search, which would find a shorter schedule, does not get that far.
  const { failure, reduction } = await run("twice", true, Math.floor(broken.states / 2));
  expect(failure?.kind).toBe("history");
  expect(reduction).toBe("footprints");
  const again = await check({
    ...built,
    threads: { a: calls("increment", "twice"), b: calls("get", "get"), c: calls("increment", "get") },
    safety: linearizable(Counter),
    strategy: replay(failure!.schedule),
  });
  expect(again.failure?.message).toBe(failure!.message);
});

test("a result that a thread forgets is the model's business alone", async () => {
  const forgets: ThreadBody = function* (t) {
    const given: unknown = yield* t.forget("increment", [], (count) => (count as number) > 0);
    if (given !== undefined) throw new Error(`given ${given}`);
    yield* t.call("get");
  };
  const threads = { a: forgets, b: forgets };
  const right = await imageOf(COUNTER);
  const logs = new Set<string>();
  const see = ({ threads: [first] }: { threads: readonly { log: readonly { result: unknown }[] }[] }): void => {
    if (first!.log.length > 0) logs.add(String(first!.log[0]!.result));
  };
  expect(
    await check({ ...right, threads, safety: [see as never, linearizable(Counter)], strategy: exhaustive() }),
  ).toPass();
  expect([...logs]).toEqual(["undefined"]);
  const wrong = await imageOf(COUNTER, { BUG: "1" });
  const { failure } = await check({ ...wrong, threads, safety: linearizable(Counter), strategy: exhaustive() });
  expect(failure?.kind).toBe("history");
});

test("what only repeats what can still come of another possibility tells no two histories apart", async () => {
  // Reads that overlap may each have taken effect or not: as long as nothing changed, that is one and the same.
  const built = await imageOf(COUNTER);
  const states = async (safety: [] | ReturnType<typeof linearizable>): Promise<number> => {
    const threads = { a: calls("get", "get"), b: calls("get", "get"), c: calls("get", "increment") };
    const result = await check({ ...built, threads, safety, strategy: exhaustive(), reduce: false });
    expect(result).toPass();
    return result.states;
  };
  expect(await states(linearizable(Counter))).toBe(await states([]));
});
