import { describe, expect, test } from "vitest";
import { type CheckSpec, check, exhaustive, goal, random, replay, type ThreadBody } from "../../runtime/check/index.ts";
import { expectCode } from "../expect-code.ts";
import { image, imageOf } from "./images.ts";
import { imageOfWat } from "./operations.ts";
import "../../runtime/check/vitest.ts";

const SAMPLE = `
  export enum Mode { Idle, Counting = 5 }
  @vvar class Sample { at: f64; value: u32; ok: bool; }
  @vvar class VvarData {
    count: Atomic<u64>;
    mode: Mode;
    event: Atomic<u32>;
    @len(2) history: FixedArray<Sample>;
    big: u64;
    small: Atomic<u8>;
  }
  const shared = vvarRoot<VvarData>();
  let calls: u32 = 0;
  let pid: u32 = 0;
  @host declare class Observer { static now(): f64; changed(value: u64): bool; }
  @apistruct class Pair { a: u32; b: Option<f64>; name: string; }

  export function init(): void { shared.history[1].at = 2.5; }
  export function processInit(p: u32): void { pid = p; shared.count.add(100); }
  export function processDrop(p: u32): void { shared.count.sub(100); }
  export function increment(n: u64 = 1): u64 { calls++; return shared.count.add(n) + n; }
  export function callsOfMine(): u32 { return calls; }
  export function myPid(): u32 { return pid; }
  export function note(at: f64, who: Observer): bool {
    shared.history[0].at = at;
    shared.history[0].ok = true;
    return who.changed(<u64>Observer.now());
  }
  export function enter(mode: Mode): void { shared.mode = mode; }
  export function pair(p: Pair): Pair {
    shared.count.add(p.a);
    const it = new Pair();
    it.a = p.a + 1;
    it.b = p.b;
    it.name = p.name;
    return it;
  }
  export function divide(n: i32): Result<i32, Mode> {
    if (n == 0) return Result.err<i32, Mode>(Mode.Counting);
    shared.count.load();
    return Result.ok<i32, Mode>(100 / n);
  }
  export function positive(n: i32): void { shared.count.load(); if (n <= 0) panic("n must be positive, not {}", n); }
  export function doze(): i32 { return shared.event.wait(0, 1000); }
  export function sleep(): i32 { return shared.event.wait(0); }
  export function wakeOne(): u32 { return shared.event.notify(1); }
  export function setBig(n: u64): void { shared.big = n; }
  export function getBig(): u64 { return shared.big; }
  export function fenced(): void { vvar.fence(); shared.count.load(); vvar.fence(); }
  export function outside(): u32 { return changetype<Atomic<u32>>(<usize>4096).load(); }
  export function atNull(): u32 { return changetype<Atomic<u32>>(<usize>0).load(); }
`;

const observer = { changed: (value: bigint) => value === 7n };
const host = { Observer: { now: () => 7 } };

test("values of every kind cross the API as they do in the API library", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const seen: unknown[] = [];
  const result = await check({
    image: sample,
    host,
    threads: {
      *a(t) {
        seen.length = 0;
        seen.push(yield* t.call("increment"));
        seen.push(yield* t.call("increment", 5n));
        seen.push(yield* t.call("note", 1.5, observer));
        seen.push(yield* t.call("pair", { a: 1, b: undefined, name: "ä" }));
        seen.push(yield* t.call("pair", { a: 2, b: 0.5, name: "" }));
        seen.push(yield* t.call("divide", 7));
        seen.push(yield* t.call("divide", 0));
        seen.push(yield* t.call("callsOfMine"));
        seen.push(yield* t.call("myPid"));
        yield* t.call("enter", 5);
      },
    },
    safety: ({ threads, vvar }) => {
      if (threads[0]!.status !== "finished") return;
      expect(JSON.parse(JSON.stringify(vvar, (_, value) => (typeof value === "bigint" ? `${value}n` : value)))).toEqual(
        {
          count: "109n",
          mode: 5,
          event: 0,
          history: [
            { at: 1.5, value: 0, ok: true },
            { at: 2.5, value: 0, ok: false },
          ],
          big: "0n",
          small: 0,
        },
      );
    },
  });
  expect(result.ok, String(result)).toBe(true);
  expect(seen).toEqual([
    101n,
    106n,
    true,
    { a: 2, b: undefined, name: "ä" },
    { a: 3, b: 0.5, name: "" },
    { ok: true, value: 14 },
    { ok: false, error: 5 },
    2,
    2,
  ]);
});

test("private data belongs to each thread, and the vVAR to all", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const twice: ThreadBody = function* (t) {
    yield* t.call("increment");
    yield* t.call("increment");
    if ((yield* t.call("callsOfMine")) !== 2) throw new Error("somebody else's calls were counted");
    if ((yield* t.call("myPid")) !== t.pid) throw new Error("somebody else's pid");
  };
  const result = await check({
    image: sample,
    threads: { a: twice, b: { run: twice, pid: 77 } },
    goals: [goal("all increments count", ({ vvar }) => vvar["count"] === 204n)],
  });
  expect(result.ok, String(result)).toBe(true);
});

test("an error that a thread throws is a failure, with its schedule", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const increments: ThreadBody = function* (t) {
    if ((yield* t.call("increment")) === 202n) throw new Error("came second");
  };
  const { failure } = await check({ image: sample, threads: { a: increments, b: increments } });
  expect(failure).toMatchObject({ kind: "thread", schedule: "0 1" });
  expect(failure?.message).toContain('thread "b": came second');
});

test("a panic is a failure that names message, arguments and place, unless it is expected", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const spec = {
    image: sample,
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("positive", -3);
      },
    },
  };
  const { failure } = await check(spec);
  expect(failure?.kind).toBe("panic");
  expect(failure?.message).toMatch(
    /thread "a" in positive\(-3\): panic: n must be positive, not -3 \(api\.ts:\d+:\d+\)/,
  );

  const expected = await check({
    ...spec,
    expectPanic: ({ template }) => template.startsWith("n must be positive"),
    safety: ({ threads, reaper }) =>
      threads[0]!.status === "running" || (threads[0]!.status === "panicked" && reaper !== undefined),
    goals: [goal("the dead process is reaped", ({ reaper }) => reaper?.status === "idle" && reaper.log.length === 1)],
  });
  expect(expected.ok, String(expected)).toBe(true);
});

test("a wait with a time-out goes both ways, one without is a deadlock", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const results = new Set<unknown>();
  const calls = (name: string): ThreadBody =>
    function* (t) {
      results.add(yield* t.call(name));
    };
  const both = await check({ image: sample, threads: { a: calls("doze"), b: calls("wakeOne") } });
  expect(both.ok, String(both)).toBe(true);
  // Not woken before it slept, woken, and timed out.
  expect(results).toEqual(new Set([0, 1, 2]));

  const endless = await check({ image: sample, threads: { a: calls("sleep") } });
  expect(endless.failure?.kind).toBe("deadlock");
  expect(endless.failure?.message).toMatch(/^"a" \(sleep\(\)\) sleeps on event = 0/);
  const withoutTimeouts = await check({ image: sample, threads: { a: calls("doze") }, timeouts: false });
  expect(withoutTimeouts.failure?.kind).toBe("deadlock");
});

test("any of several sleepers may be woken first", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const woken = new Set<string>();
  const sleeps: ThreadBody = function* (t) {
    yield* t.call("sleep");
  };
  await check({
    image: sample,
    threads: {
      a: { run: sleeps, daemon: true },
      b: { run: sleeps, daemon: true },
      *c(t) {
        yield* t.call("wakeOne");
      },
    },
    safety: ({ threads }) => {
      const finished = threads.filter((thread) => thread.daemon && thread.status === "finished");
      if (finished.length === 1) woken.add(finished[0]!.name);
    },
    strategy: exhaustive(),
  });
  expect([...woken].sort()).toEqual(["a", "b"]);
});

test("a daemon need not finish", async () => {
  const { image: queue } = await image("queue");
  const result = await check({
    image: queue,
    threads: {
      *producer(t) {
        yield* t.call("tryPush", 1n);
      },
      consumer: {
        daemon: true,
        *run(t) {
          for (;;) yield* t.until("tryPop", [], (item) => item !== undefined);
        },
      },
    },
  });
  expect(result.ok, String(result)).toBe(true);
});

test("races on a field can be allowed by type or by path, and then 64-bit values may tear", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const wide = 0x1_0000_0001n;
  const spec = {
    image: sample,
    threads: {
      *writer(t: Parameters<ThreadBody>[0]) {
        yield* t.call("setBig", wide);
      },
      *reader(t: Parameters<ThreadBody>[0]) {
        const value = yield* t.call("getBig");
        if (value !== 0n && value !== wide) throw new Error(`torn: ${String(value)}`);
      },
    },
  };
  const race = (await check(spec)).failure;
  expect(race).toMatchObject({ kind: "race" });
  expect(race?.message).toMatch(/data race on big \(VvarData\.big\) between/);
  for (const allow of ["VvarData.big", "big"]) {
    const torn = (await check({ ...spec, races: { allow: [allow] } })).failure;
    expect(torn?.message).toMatch(/torn/);
  }
  expect((await check({ ...spec, races: false })).ok).toBe(true);
});

test("a thread can read and write places that the image gives it, as its JavaScript would", async () => {
  const { image: sample, manifest } = await imageOf(SAMPLE);
  const { address, structs } = manifest.layout;
  const place = address + structs[0]!.fields.find((field) => field.name === "big")!.offset;
  const spec = (values: readonly [bigint, bigint]) => ({
    image: sample,
    threads: Object.fromEntries(
      values.map((value, index) => [
        `t${index}`,
        function* (t: Parameters<ThreadBody>[0]) {
          yield* t.write(place, "u64", value);
          if ((yield* t.read(place, "u64")) !== value) throw new Error("overwritten");
        },
      ]),
    ),
  });
  expect((await check(spec([1n, 2n]))).failure?.kind).toBe("race");
  expect((await check({ ...spec([1n, 1n]), races: false })).ok).toBe(true);
  expect((await check({ ...spec([1n, 2n]), races: false })).failure?.kind).toBe("thread");
});

test("fences are no steps: accesses are sequentially consistent anyway", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const fenced: ThreadBody = function* (t) {
    yield* t.call("fenced");
  };
  expect((await check({ image: sample, threads: { a: fenced } })).transitions).toBe(1);
});

test.each([
  ["outside", /reaches byte \d+ of the vVAR, but its layout ends at \d+/],
  ["atNull", /reaches byte 0 of the vVAR, which is in its header: a null pointer\?/],
])("an access to a place that is none (%s) is a failure", async (name, message) => {
  const { image: sample } = await imageOf(SAMPLE);
  const { failure } = await check({
    image: sample,
    threads: {
      *a(t) {
        yield* t.call(name);
      },
    },
  });
  expect(failure?.kind).toBe("outside");
  expect(failure?.message).toMatch(message);
});

test("atomic accesses of different widths to the same bytes at once are a failure", async () => {
  const exports = [
    { name: "word", params: [], result: "void" },
    { name: "byte", params: [], result: "void" },
  ];
  const mixed = await imageOfWat(
    `(func (export "word") (i32.atomic.store $vvar (i32.const 1024) (i32.const 1)))
     (func (export "byte") (i32.atomic.store8 $vvar (i32.const 1025) (i32.const 1)))`,
    exports,
  );
  const { failure } = await check({
    image: mixed.image,
    threads: {
      *a(t) {
        yield* t.call("word");
      },
      *b(t) {
        yield* t.call("byte");
      },
    },
  });
  expect(failure?.kind).toBe("mixed-size");
  expect(failure?.message).toMatch(/bytes\[1\] is accessed with different widths at once/);
});

test("a copy of many bytes is one step, and several where races on them are allowed", async () => {
  const exports = [{ name: "clear", params: [], result: "void" }];
  const body = `(func (export "clear") (memory.fill $vvar (i32.const 1026) (i32.const 1) (i32.const 9)))`;
  const { image: bulk } = await imageOfWat(body, exports);
  const clears: ThreadBody = function* (t) {
    yield* t.call("clear");
  };
  expect((await check({ image: bulk, threads: { a: clears } })).transitions).toBe(1);
  // Bytes 1026-1027, 1028-1031 and 1032-1034.
  expect((await check({ image: bulk, threads: { a: clears }, races: { allow: ["bytes"] } })).transitions).toBe(3);
  expect((await check({ image: bulk, threads: { a: clears, b: clears } })).failure?.kind).toBe("race");
});

describe("a death in the middle of a copy or fill", () => {
  const exports = [
    { name: "fill", params: [], result: "void" },
    { name: "copy", params: [], result: "void" },
    { name: "copyIn", params: [], result: "void" },
    { name: "read", params: [], result: "u64" },
    { name: "publish", params: [], result: "void" },
    { name: "published", params: [], result: "u64" },
    { name: "processDrop", params: [{ name: "pid", type: "u32" }], result: "void" },
  ];
  const image = imageOfWat(
    `(func (export "fill") (memory.fill $vvar (i32.const 1024) (i32.const 1) (i32.const 8)))
     (func (export "copy") (memory.copy $vvar $vvar (i32.const 1024) (i32.const 1040) (i32.const 8)))
     (func (export "copyIn")
       (i64.store $own (i32.const 4096) (i64.const 0x0101010101010101))
       (memory.copy $vvar $own (i32.const 1024) (i32.const 4096) (i32.const 8)))
     (func (export "read") (result i64) (i64.load $vvar (i32.const 1024)))
     (func (export "publish")
       (memory.fill $vvar (i32.const 1024) (i32.const 1) (i32.const 8))
       (i32.atomic.store $vvar (i32.const 1032) (i32.const 1)))
     (func (export "published") (result i64)
       (if (result i64) (i32.atomic.load $vvar (i32.const 1032))
         (then (i64.load $vvar (i32.const 1024))) (else (i64.const 0x0101010101010101))))
     (func (export "processDrop") (param i32))`,
    exports,
  );
  const makes = (name: string): ThreadBody =>
    function* (t) {
      yield* t.call(name);
    };
  const WHOLE = 0x0101010101010101n;

  test.each(["fill", "copyIn"])("%s leaves the first half of the bytes written, or the last", async (name) => {
    const { image: bytes } = await image;
    const seen = new Set<string>();
    const safety: CheckSpec["safety"] = ({ vvar }) => {
      seen.add((vvar["bytes"] as number[]).slice(0, 8).join(""));
    };
    const spec = { image: bytes, threads: { a: makes(name) }, kills: {} };
    const result = await check({ ...spec, safety, strategy: exhaustive() });
    expect(result).toPass();
    expect([...seen].sort()).toEqual(["00000000", "00001111", "11110000", "11111111"]);
    expect(result.killPoints.filter((point) => point.within)).toMatchObject([{ deaths: 2, after: false, stuck: 0 }]);
    seen.clear();
    await check({ ...spec, safety, strategy: random({ schedules: 5_000 }) });
    expect(seen.size).toBe(4);
  });

  test("a copy within the vVAR is half done as well, from where the other half still is", async () => {
    const { image: bytes } = await image;
    const setup: ThreadBody = function* (t) {
      yield* t.call("fill");
    };
    const safety: CheckSpec["safety"] = ({ vvar }) =>
      (vvar["bytes"] as number[]).slice(0, 8).join("") !== "11110000" || "the last half was copied";
    const spec = { image: bytes, setup, threads: { a: makes("copy") }, kills: {}, safety };
    const { failure } = await check({ ...spec, strategy: exhaustive() });
    expect(failure).toMatchObject({ kind: "safety", schedule: "h0.1" });
    expect(failure?.trace[0]?.event).toBe("killed, last half done");
    expect(String(failure)).toContain("KILLED, LAST HALF DONE");
    const again = await check({ ...spec, strategy: replay(failure!.schedule) });
    expect(again.failure?.message).toBe(failure!.message);
  });

  test("nobody sees it who looks at the bytes only once they are published", async () => {
    const { image: bytes } = await image;
    const spec: CheckSpec = {
      image: bytes,
      threads: { a: makes("publish"), b: makes("published") },
      kills: { threads: ["a"] },
      safety: (state) => state.calls("published").every(({ result }) => result === WHOLE) || "half a message",
    };
    const result = await check({ ...spec, strategy: exhaustive() });
    expect(result).toPass();
    expect(result.killPoints.some((point) => point.within)).toBe(true);
  });

  test("is not tried of an access that is no copy or fill", async () => {
    const { image: bytes } = await image;
    const spec: CheckSpec = { image: bytes, threads: { a: makes("read") }, kills: {} };
    expect((await check(spec)).killPoints.some((point) => point.within)).toBe(false);
    await expectCode("ERR_VDSO_CHECK_SCHEDULE", () => check({ ...spec, strategy: replay("h0") }));
  });
});

test("a thread that attaches itself does so while others run", async () => {
  const { image: sample } = await imageOf(SAMPLE);
  const attaches: ThreadBody = function* (t) {
    yield* t.call("processInit", t.pid);
    if ((yield* t.call("myPid")) !== t.pid) throw new Error("somebody else's pid");
  };
  const counts = new Set<unknown>();
  const result = await check({
    image: sample,
    threads: { a: { run: attaches, attach: false }, b: { run: attaches, attach: false } },
    safety: ({ vvar }) => void counts.add(vvar["count"]),
    strategy: exhaustive(),
  });
  expect(result.ok, String(result)).toBe(true);
  expect(counts).toEqual(new Set([0n, 100n, 200n]));
});
