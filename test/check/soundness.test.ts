/** Programs made to slip through the search: each has an outcome that is lost when states are merged, saved or restored wrongly. */
import { expect, test } from "vitest";
import { check, exhaustive, linearizable, type ThreadBody } from "../../runtime/check/index.ts";
import { expectCode } from "../expect-code.ts";
import { imageOf } from "./images.ts";
import { imageOfWat } from "./operations.ts";

const strategy = exhaustive();

test("what the host answers does not overwrite the arguments of a call that was suspended", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { count: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    @host declare class Names { static of(n: u32): string; }
    export function compare(text: string): bool {
      shared.count.add(1);
      const name = Names.of(1);
      return text == "first" && name == "other";
    }
    export function bump(): u32 { return shared.count.add(1); }
  `);
  const result = await check({
    image,
    host: { Names: { of: () => "other" } },
    threads: {
      *a(t) {
        if ((yield* t.call("compare", "first")) !== true) throw new Error("the argument changed under the call");
      },
      *b(t) {
        yield* t.call("bump");
        yield* t.call("bump");
      },
    },
    strategy,
  });
  expect(result.ok, String(result)).toBe(true);
});

test("objects that the host returns to interleaved calls are told apart", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { count: Atomic<u32>; stop: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    let polls: u32 = 0;
    @host declare class Box { static make(n: u32): Box; value(): u32; }
    export function through(n: u32): u32 {
      shared.count.load();
      const first = Box.make(n);
      shared.count.load();
      const second = Box.make(n + 10);
      shared.count.load();
      return first.value() * 100 + second.value();
    }
    export function poll(): bool {
      if (polls < 4) polls++;
      return shared.stop.load() == 1;
    }
    export function stop(): void { shared.stop.store(1); }
  `);
  const goes: ThreadBody = function* (t) {
    for (const n of [1, 2]) {
      const found = yield* t.call("through", n);
      if (found !== n * 100 + n + 10) throw new Error(`found ${String(found)} for ${n}`);
    }
    yield* t.call("stop");
  };
  const result = await check({
    image,
    host: { Box: { make: (n: number) => ({ value: () => n }) } },
    threads: {
      a: goes,
      *b(t) {
        yield* t.until("poll", [], (done) => done === true);
      },
    },
    strategy,
  });
  expect(result.ok, String(result)).toBe(true);
});

test("refused attempts that differ in private data are different states", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { open: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    let tries: u32 = 0;
    export function tryEnter(): u32 {
      if (shared.open.load() == 1) return tries == 3 ? 13 : 1;
      if (tries < 4) tries++;
      return 0;
    }
    export function open(): void { shared.open.store(1); }
  `);
  const result = await check({
    image,
    threads: {
      *a(t) {
        const got = yield* t.until("tryEnter", [], (value) => value !== 0);
        if (got === 13) throw new Error("in at the fourth attempt");
      },
      *b(t) {
        yield* t.call("open");
      },
    },
    strategy,
  });
  expect(result.failure?.message).toMatch(/in at the fourth attempt/);
});

test("a wake-up that a dying sleeper took is not passed on", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { tokens: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    export function look(): void { while (shared.tokens.load() == 0) shared.tokens.wait(0); shared.tokens.notify(1); }
    export function give(): void { shared.tokens.add(1); shared.tokens.notify(1); }
  `);
  const takes: ThreadBody = function* (t) {
    yield* t.call("look");
  };
  const spec = {
    image,
    threads: {
      a: takes,
      b: { run: takes, daemon: true },
      *giver(t) {
        yield* t.call("give");
      },
    } satisfies Record<string, ThreadBody | { run: ThreadBody; daemon: boolean }>,
    strategy,
  };
  expect((await check(spec)).ok).toBe(true);
  const { failure } = await check({ ...spec, kills: { threads: ["b"] } });
  expect(failure?.kind, String(failure)).toBe("deadlock");
  expect(failure?.message).toMatch(/lost wake-up: "a"/);
  expect(failure?.trace.map(({ event }) => event)).toContain("killed");
});

test("a notify wakes as many as it says, of both widths, and those on its own word only", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { wide: Atomic<u64>; narrow: Atomic<u32>; woken: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    export function sleepWide(): u32 { return shared.wide.wait(0x100000000); }
    export function sleepNarrow(): u32 { return shared.narrow.wait(0); }
    export function init(): void { shared.wide.store(0x100000000); }
    export function wake(): u32 { return shared.wide.notify(2); }
  `);
  const sleeps = (fn: string): ThreadBody =>
    function* (t) {
      yield* t.call(fn);
    };
  const counts = new Set<unknown>();
  const result = await check({
    image,
    threads: {
      a: { run: sleeps("sleepWide"), daemon: true },
      b: { run: sleeps("sleepWide"), daemon: true },
      c: { run: sleeps("sleepWide"), daemon: true },
      n: { run: sleeps("sleepNarrow"), daemon: true },
      w: sleeps("wake"),
    },
    safety: (state) => {
      const woken = state.calls("wake")[0]?.result;
      if (woken !== undefined) counts.add(woken);
      const awake = state.threads.filter(({ name, status }) => "abc".includes(name) && status === "finished").length;
      if (state.thread("n").status === "finished") return "woken by a notify on another word";
      return awake === (woken ?? 0) || `${awake} are awake, ${String(woken)} were woken`;
    },
    strategy,
  });
  expect(result.ok, String(result)).toBe(true);
  expect([...counts].sort()).toEqual([0, 1, 2]);
});

test("a plain store to a word that another thread waits on is a race", async () => {
  const { image } = await imageOf(`
    @vvar class Plain { word: u32; }
    @vvar class VvarData { @len(1) at: FixedArray<Atomic<u32>>; other: u32; }
    const shared = vvarRoot<VvarData>();
    export function sleep(): void { shared.at[0].wait(0); }
    export function wake(): void { changetype<Plain>(changetype<usize>(shared)).word = 1; shared.at[0].notify(); }
  `);
  const { failure } = await check({
    image,
    threads: {
      *a(t) {
        yield* t.call("sleep");
      },
      *b(t) {
        yield* t.call("wake");
      },
    },
    strategy,
  });
  expect(failure?.kind, String(failure)).toBe("race");
});

test("a reaper that died behind its last access repeats the whole call", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { inside: Atomic<i32>; }
    const shared = vvarRoot<VvarData>();
    export function enter(): void { shared.inside.add(1); }
    export function processDrop(pid: u32): void { shared.inside.sub(1); }
  `);
  const spec = {
    image,
    threads: {
      *a(t) {
        yield* t.call("enter");
      },
    } satisfies Record<string, ThreadBody>,
    safety: ({
      vvar,
      thread,
    }: {
      vvar: Record<string, unknown>;
      thread: (name: string) => { log: readonly unknown[] };
    }) => thread("a").log.length === 0 || (vvar["inside"] as number) >= 0 || "counted out twice",
    strategy,
  };
  expect((await check({ ...spec, kills: {} })).ok).toBe(true);
  const { failure } = await check({ ...spec, kills: { reaper: 1 } });
  expect(failure?.message, String(failure)).toBe("counted out twice");
});

test("a death is reported once, also of a thread whose next call would have panicked", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { drops: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    export function work(): void { shared.drops.load(); }
    export function refuse(): void { panic("refused"); }
    export function processDrop(pid: u32): void { shared.drops.add(1); }
  `);
  const result = await check({
    image,
    threads: {
      *a(t) {
        yield* t.call("work");
        yield* t.call("refuse");
      },
    },
    kills: {},
    expectPanic: () => true,
    safety: ({ vvar }) => (vvar["drops"] as number) <= 1 || "reaped twice",
    strategy,
  });
  expect(result.ok, String(result)).toBe(true);
});

test("a thread that panics in the middle of a call is reaped with what it held", async () => {
  const { image } = await imageOf(`
    @vvar class VvarData { owner: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    let me: u32 = 0;
    export function processInit(pid: u32): void { me = pid; }
    export function enter(fail: bool): bool {
      if (!shared.owner.cas(0, me)) return false;
      if (fail) panic("inside");
      shared.owner.store(0);
      return true;
    }
    export function processDrop(pid: u32): void { if (DROPS) shared.owner.cas(pid, 0); }
    const DROPS: bool = config("DROPS", true);
  `);
  const threads: Record<string, ThreadBody> = {
    *a(t) {
      yield* t.call("enter", true);
    },
    *b(t) {
      yield* t.until("enter", [false], (done) => done === true);
    },
  };
  expect((await check({ image, threads, expectPanic: () => true, strategy })).ok).toBe(true);
  expect((await check({ image, threads, strategy })).failure?.kind).toBe("panic");
});

class Shelf {
  places: Map<number, bigint> = new Map();
  put(key: number, value: bigint): boolean {
    const fresh = !this.places.has(key);
    this.places.set(key, value);
    return fresh;
  }
  get(key: number): bigint | undefined {
    return this.places.get(key);
  }
  remove(key: number): boolean {
    return this.places.delete(key);
  }
}

const MAP = `
  const BUG: u32 = config("BUG", 0);
  @vvar class Entry { lock: Atomic<u32>; used: Atomic<u32>; value: Atomic<u64>; }
  @vvar class VvarData { @len(2) entries: FixedArray<Entry>; }
  const shared = vvarRoot<VvarData>();
  function lock(e: Entry): void { while (!e.lock.cas(0, 1)) e.lock.wait(1); }
  function unlock(e: Entry): void { e.lock.store(0); e.lock.notify(1); }
  export function put(key: u32, value: u64): bool {
    const e = shared.entries[key];
    lock(e);
    const fresh = e.used.load() == 0;
    if (BUG == 1) { e.used.store(1); e.value.store(value); }
    else { e.value.store(value); e.used.store(1); }
    unlock(e);
    return fresh;
  }
  export function get(key: u32): Option<u64> {
    const e = shared.entries[key];
    if (BUG != 1) lock(e);
    const used = e.used.load() == 1;
    const value = e.value.load();
    if (BUG != 1) unlock(e);
    return used ? Option.some<u64>(value) : Option.none<u64>();
  }
  export function remove(key: u32): bool {
    const e = shared.entries[key];
    lock(e);
    const had = e.used.exchange(0) == 1;
    unlock(e);
    return had;
  }
`;

test("a map is specified by a class, and a get that sees an unfinished put is found", async () => {
  const threads: Record<string, ThreadBody> = {
    *a(t) {
      yield* t.call("put", 0, 5n);
      yield* t.call("remove", 0);
    },
    *b(t) {
      yield* t.call("get", 0);
      yield* t.call("put", 1, 6n);
    },
    *c(t) {
      yield* t.call("get", 1);
      yield* t.call("put", 0, 7n);
    },
  };
  for (const bug of [0, 1]) {
    const { image } = await imageOf(MAP, { BUG: String(bug) });
    const { failure } = await check({ image, threads, safety: linearizable(Shelf), strategy });
    expect(failure?.kind, String(failure)).toBe(bug === 1 ? "history" : undefined);
  }
});

/** Hands out any free block; a model may be made of classes of its own. */
class Block {
  free = true;
  take(): void {
    if (!this.free) throw new Error("taken");
    this.free = false;
  }
}
class Allocator {
  blocks = [new Block(), new Block()];
  alloc(choose: <T>(options: readonly T[]) => T): number | undefined {
    const free = [...this.blocks.keys()].filter((index) => this.blocks[index]!.free);
    if (free.length === 0) return undefined;
    const index = choose(free);
    this.blocks[index]!.take();
    return index;
  }
  free(index: number): void {
    this.blocks[index]!.free = true;
  }
}

test("an allocator is specified by a class, and a block that is given to two is found", async () => {
  const source = `
    const BUG: u32 = config("BUG", 0);
    @vvar class VvarData { @len(2) taken: FixedArray<Atomic<u32>>; }
    const shared = vvarRoot<VvarData>();
    export function alloc(): Option<u32> {
      while (true) {
        let busy: u32 = 0;
        for (let i: u32 = 0; i < 2; i++) {
          if (BUG == 1) {
            if (shared.taken[i].load() == 0) { shared.taken[i].store(1); return Option.some<u32>(i); }
          } else if (shared.taken[i].cas(0, 1)) return Option.some<u32>(i);
          busy++;
        }
        if (busy == 2) return Option.none<u32>();
      }
    }
    export function free(i: u32): void { shared.taken[i].store(0); }
  `;
  const uses: ThreadBody = function* (t) {
    const block = yield* t.call("alloc");
    if (block !== undefined) yield* t.call("free", block);
  };
  for (const bug of [0, 1]) {
    const { image } = await imageOf(source, { BUG: String(bug) });
    const { failure } = await check({
      image,
      threads: { a: uses, b: uses },
      safety: linearizable(Allocator),
      strategy,
    });
    expect(failure?.kind, String(failure)).toBe(bug === 1 ? "history" : undefined);
  }
});

test.each([
  [
    "a table that changes",
    `(table $t 2 2 funcref) (elem (i32.const 0) $f $f) (func $f)`,
    "(table.set $t (i32.const 0) (ref.null func))",
  ],
  ["a private memory that grows", "", "(drop (memory.grow $own (i32.const 0)))"],
  ["a segment that is dropped", `(data $d "x")`, "(data.drop $d)"],
])("private state that is not saved is refused: %s", async (_, declarations, code) => {
  const { image } = await imageOfWat(`${declarations} (func (export "run") ${code})`, [
    { name: "run", params: [], result: "void" },
  ]);
  await expectCode("ERR_VDSO_CHECK_UNSUPPORTED", () =>
    check({
      image,
      threads: {
        *a(t) {
          yield* t.call("run");
        },
      },
    }),
  );
});
