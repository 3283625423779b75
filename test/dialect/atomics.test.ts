import { describe, expect, test } from "vitest";
import { type Api, buildWhole, run } from "./vdso.ts";

const WORDS = { u8: 8, i8: 8, u16: 16, i16: 16, u32: 32, i32: 32, u64: 64, i64: 64 } as const;

const source = (types: readonly string[]): string => `
  export enum Mode { Idle, Busy = 9 }
  @vvar class VvarData {
    ${types.map((type) => `${type}_: Atomic<${type}>;`).join(" ")}
    guard: u8;
    flag: Atomic<bool>; mode: Atomic<Mode>; single: Atomic<f32>; double: Atomic<f64>;
  }
  const shared = vvarRoot<VvarData>();
  ${types
    .map(
      (type) => `
  export function ${type}_store(v: ${type}): void { shared.${type}_.store(v); }
  export function ${type}_load(): ${type} { return shared.${type}_.load(); }
  export function ${type}_add(v: ${type}): ${type} { return shared.${type}_.add(v); }
  export function ${type}_sub(v: ${type}): ${type} { return shared.${type}_.sub(v); }
  export function ${type}_and(v: ${type}): ${type} { return shared.${type}_.and(v); }
  export function ${type}_or(v: ${type}): ${type} { return shared.${type}_.or(v); }
  export function ${type}_xor(v: ${type}): ${type} { return shared.${type}_.xor(v); }
  export function ${type}_exchange(v: ${type}): ${type} { return shared.${type}_.exchange(v); }
  export function ${type}_compareExchange(e: ${type}, v: ${type}): ${type} { return shared.${type}_.compareExchange(e, v); }
  export function ${type}_cas(e: ${type}, v: ${type}): bool { return shared.${type}_.cas(e, v); }`,
    )
    .join("\n")}
  export function flag(v: bool): bool { const before = shared.flag.exchange(v); assert(shared.flag.load() == v); return before; }
  export function flagCas(e: bool, v: bool): bool { return shared.flag.cas(e, v); }
  export function mode(v: Mode): Mode { return shared.mode.exchange(v); }
  export function modeCas(e: Mode, v: Mode): bool { return shared.mode.cas(e, v); }
  export function single(v: f32): f32 { shared.single.store(v); return shared.single.load(); }
  export function double(v: f64): f64 { shared.double.store(v); return shared.double.load(); }
  export function guard(): u8 { return shared.guard; }
`;

describe("Atomic<T>", async () => {
  const { api } = await run(source(Object.keys(WORDS)));

  test.each(Object.entries(WORDS))(
    "%s does every operation, wraps at its width and returns the value before",
    (type, bits) => {
      const isBig = bits === 64;
      const signed = type.startsWith("i");
      const made = (value: bigint): number | bigint => {
        const wrapped = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
        return isBig ? wrapped : Number(wrapped);
      };
      const call = (name: string, ...args: bigint[]): unknown => api[`${type}_${name}`]!(...args.map(made));
      const all = -1n;
      const top = 1n << BigInt(bits - 1);
      call("store", all);
      expect(call("load")).toBe(made(all));
      expect(call("add", 3n)).toBe(made(all));
      expect(call("load")).toBe(made(2n));
      expect(call("sub", 3n)).toBe(made(2n));
      expect(call("load")).toBe(made(all));
      expect(call("and", top | 6n)).toBe(made(all));
      expect(call("or", 1n)).toBe(made(top | 6n));
      expect(call("xor", 3n)).toBe(made(top | 7n));
      expect(call("exchange", 100n)).toBe(made(top | 4n));
      expect(call("compareExchange", 99n, 1n)).toBe(made(100n));
      expect(call("compareExchange", 100n, top)).toBe(made(100n));
      expect(call("cas", 0n, 1n)).toBe(false);
      expect(call("cas", top, 5n)).toBe(true);
      expect(call("load")).toBe(made(5n));
      expect(api["guard"]!()).toBe(0);
    },
  );

  test("of bool, enum and floats keep their kind", () => {
    expect([api["flag"]!(true), api["flag"]!(false), api["flag"]!(true)]).toEqual([false, true, false]);
    expect([api["flagCas"]!(false, true), api["flagCas"]!(true, false)]).toEqual([false, true]);
    expect([api["mode"]!(9), api["mode"]!(0)]).toEqual([0, 9]);
    expect([api["modeCas"]!(9, 0), api["modeCas"]!(0, 9)]).toEqual([false, true]);
    expect(api["single"]!(0.1)).toBe(Math.fround(0.1));
    expect(api["double"]!(-0)).toBe(-0);
  });
});

test("wait returns at once when the value differs, times out, and is woken by notify", async () => {
  const { api, handle } = await run(`
    @vvar class VvarData { narrow: Atomic<i32>; wide: Atomic<u64>; }
    const shared = vvarRoot<VvarData>();
    export function waits(): u32 {
      shared.narrow.store(-7); shared.wide.store(9);
      return shared.narrow.wait(1) * 1000 + shared.narrow.wait(-7, 1000) * 100 + shared.wide.wait(1) * 10 + shared.wide.wait(9, 1000);
    }
    export function wake(): u32 { return shared.narrow.notify(1) + shared.narrow.notify() + shared.wide.notify(5); }
  `);
  expect(api["waits"]!()).toBe(1212);
  expect(api["wake"]!()).toBe(0);
  const words = new Int32Array(handle.memory.buffer as unknown as SharedArrayBuffer);
  const woken = Atomics.waitAsync(words, 1024 / 4, -7);
  expect(api["wake"]!()).toBe(1);
  expect(await woken.value).toBe("ok");
});

test("copies and fills reach between the vVAR, private memory and within the vVAR", async () => {
  const { api } = await run(`
    @vvar class Item { a: u64; @len(8) bytes: FixedArray<u8>; }
    @vvar class VvarData { one: Item; two: Item; }
    const shared = vvarRoot<VvarData>();
    const scratch = new StaticArray<u8>(16);
    export function copies(): u32 {
      for (let i = 0; i < 16; i++) scratch[i] = <u8>(i + 1);
      vvar.copyIn(shared.one.bytes, scratch, 8);
      vvar.copy(shared.two, shared.one, 16);
      vvar.fill(shared.one.bytes, 77, 4);
      vvar.copyOut(scratch, shared.two.bytes, 2);
      vvar.copyOut(changetype<usize>(scratch) + 2, shared.one.bytes, 1);
      vvar.store<u16>(changetype<usize>(shared.one), 500);
      assert(vvar.load<u16>(changetype<usize>(shared.one)) == 500 && shared.one.a == 500);
      assert(vvar.pages() == 1);
      return <u32>scratch[0] * 1000000 + <u32>scratch[1] * 10000 + <u32>scratch[2] * 100 + shared.two.bytes[7];
    }`);
  expect(api["copies"]!()).toBe(1 * 1000000 + 2 * 10000 + 7700 + 8);
});

describe("the optimiser", () => {
  const ORDER = `
    @vvar class VvarData { turn: Atomic<u32>; payload: u32; other: u32; }
    const shared = vvarRoot<VvarData>();
    export function publish(value: u32): void {
      shared.payload = value;
      shared.turn.store(1);
      shared.other = value;
    }
    export function fences(): u32 {
      shared.payload = 1;
      vvar.fence();
      const seen = shared.other;
      vvar.fence();
      return seen;
    }
    export function dropped(): void {
      shared.turn.load();
      shared.turn.add(0);
      shared.turn.compareExchange(0, 0);
    }`;

  const body = (wat: string, name: string): string[] => {
    const text = new RegExp(`\\n \\(func \\$api/${name}[\\s\\S]*?\\n \\)`).exec(wat)?.[0] ?? "";
    return [...text.matchAll(/[if]\d\d\.[\w.]*(?:load|store|rmw)[\w.]*/g)].map(([instruction]) => instruction!);
  };

  test("keeps plain and atomic accesses in the author's order", async () => {
    const { wat } = await buildWhole(ORDER);
    expect(body(wat, "publish")).toEqual(["i32.store", "i32.atomic.store", "i32.store"]);
  });

  test("keeps every fence", async () => {
    const { wat } = await buildWhole(ORDER);
    expect(body(wat, "fences")).toEqual(["i32.store", "i32.atomic.rmw.or", "i32.load", "i32.atomic.rmw.or"]);
  });

  test("keeps atomics whose result nobody looks at", async () => {
    const { wat } = await buildWhole(ORDER);
    expect(body(wat, "dropped")).toEqual(["i32.atomic.load", "i32.atomic.rmw.add", "i32.atomic.rmw.cmpxchg"]);
  });

  test("leaves nothing of the helper library around a field: an access is one instruction with a constant address", async () => {
    const { wat } = await buildWhole(ORDER);
    expect(wat).not.toContain("call ");
    expect(wat).not.toContain("vdso/atomic");
  });
});

test("private data is each instance's own, also when its start is computed; shared data is everybody's", async () => {
  const { api, another } = await run(`
    @vvar class VvarData { shared: u32; }
    const root = vvarRoot<VvarData>();
    let own: u32 = 5;
    let computed: u32 = root.shared + 1;
    const table: StaticArray<u32> = [1, 2, 3];
    const scratch = new StaticArray<u32>(2);
    class Counter { n: u32 = 100; static all: u32 = 0; bump(): u32 { Counter.all += 10; return ++this.n; } }
    const counter = new Counter();
    export function set(v: u32): void { own = v; root.shared = v; table[0] = v; scratch[1] = v; }
    export function get(): u32 { return own * 1000 + table[0] * 100 + scratch[1] * 10 + computed; }
    export function shared(): u32 { return root.shared; }
    export function bump(): u32 { return counter.bump() + Counter.all; }
  `);
  api["set"]!(7);
  const other: Api = another();
  expect(api["get"]!()).toBe(7771);
  expect(other["get"]!()).toBe(5108);
  expect(other["shared"]!()).toBe(7);
  expect([api["bump"]!(), api["bump"]!(), other["bump"]!()]).toEqual([111, 122, 111]);
});
