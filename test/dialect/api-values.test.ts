import { beforeAll, describe, expect, test } from "vitest";
import { expectCode } from "../expect-code.ts";
import { type Running, run } from "./vdso.ts";

const SOURCE = `
export enum Mode { Idle, Counting = 5 }
enum Inside { A, B = 3 }
type Maybe = Option<u64>;
type Count = u32;

@vvar class Slot { n: u32; }
@vvar class VvarData { count: Atomic<u32>; @len(8) slots: FixedArray<Slot>; nameBytes: u32; @len(64) name: FixedArray<u8>; }
const shared = vvarRoot<VvarData>();

/** Where something lies. */
@apistruct export class Point {
  /** To the right. */
  x: f64 = 1.5;
  y: f32;
}
@apistruct class Everything {
  flag: bool = true; n8: u8 = 7; s8: i8 = -7; n16: u16; s16: i16; n32: u32; s32: i32 = shift(2); n64: u64 = 1 << 40; s64: i64;
  f: f32 = 0.5; d: f64; mode: Mode = Mode.Counting;
  text: string = "text"; none: string | null;
  at: Point; elsewhere: Point | null;
  option: Option<u8> = Option.some(9); empty: Maybe; result: Result<Point, string>; done: Result<void, Mode>;
  next: Everything | null;
  describe(): u32 { return this.n8 + this.n32; }
}
function shift(n: i32): i32 { return n << 4; }

export function everything(): Everything { return new Everything(); }
export function echo(value: Everything): Everything { return value; }
export function copied(value: Everything): Everything {
  const out = new Everything();
  out.flag = value.flag; out.n8 = value.n8; out.s8 = value.s8; out.n16 = value.n16; out.s16 = value.s16; out.n32 = value.n32;
  out.s32 = value.s32; out.n64 = value.n64; out.s64 = value.s64; out.f = value.f; out.d = value.d; out.mode = value.mode;
  out.text = value.text; out.none = value.none; out.at = value.at; out.elsewhere = value.elsewhere; out.option = value.option;
  out.empty = value.empty; out.result = value.result; out.done = value.done; out.next = value.next;
  return out;
}
export function describe(value: Everything): u32 { return value.describe(); }
export function moved(p: Point, by: f64): Point { p.x += by; const q = new Point(); q.x = p.x; q.y = -p.y; return q; }
export function pointOrNull(n: u32): Point | null { return n == 0 ? null : new Point(); }
export function xOf(p: Point | null): f64 { return p === null ? -1 : p.x; }

export function optionU8(v: Option<u8>): Option<u8> { return v.isNone ? Option.none() : Option.some(v.value + 1); }
export function optionU64(v: Maybe): Maybe { if (v.isSome) return Option.some(v.value + 1); return Option.none(); }
export function optionF32(v: Option<f32>): Option<f32> { return v; }
export function optionBool(v: Option<bool>): Option<bool> { return v.isSome ? Option.some(!v.value) : Option.none(); }
export function optionMode(v: Option<Mode>): Option<Mode> { return Option.some(v.unwrapOr(Mode.Counting)); }
export function optionPoint(v: Option<Point>): Option<Point> { return v.isSome && v.value.x > 0 ? v : Option.none<Point>(); }
export function optionText(v: Option<string>): Option<string> { const o: Option<string> = v.isSome ? Option.some(v.value + "!") : Option.none(); return o; }
export function optionOption(v: Option<Option<u32>>): Option<Option<u32>> { return v; }
export function assigned(n: u32): Option<f64> {
  let made: Option<f64> = Option.none();
  if (n > 0) made = Option.some(<f64>n);
  return identity(n > 1 ? made : Option.none());
}
function identity(o: Option<f64>): Option<f64> { return o; }

export function resultModes(v: Result<u64, Mode>): Result<u64, Mode> { return v.isOk ? Result.err(Mode.Counting) : Result.ok(7); }
export function resultVoid(n: u32): Result<void, Mode> { if (n == 0) return Result.ok(); return n > 5 ? Result.err(Mode.Counting) : Result.err(Mode.Idle); }
export function resultVoidIn(v: Result<void, string>): u32 { return v.isOk ? 0 : v.error.length; }
export function resultVoidExplicit(fail: bool): Result<void, f64> { if (fail) return Result.err<void, f64>(2.5); return Result.ok<void, f64>(); }
export function resultText(v: Result<string, u8>): Result<string, u8> { return v; }
export function resultPoint(v: Result<f64, Point>): Result<f64, Point> { return v.isErr ? Result.ok(v.error.x) : Result.err(new Point()); }
export function orElse(v: Result<u32, Mode>): u32 { return v.unwrapOr(99); }

export function length(text: string): u32 { return text.length; }
export function same(text: string): string { return text; }
export function nullable(text: string | null): string | null { return text === null ? "was null" : text == "null" ? null : text; }
export function joined(a: string, b: string): string { return a + ", " + b; }
export function bytes(text: string): u32 { return utf8.length(text); }
export function store(text: string, max: u32): u32 { shared.nameBytes = utf8.write(shared.name, text, max); return shared.nameBytes; }
export function stored(): string { return utf8.read(shared.name, shared.nameBytes); }
export function put(i: u32, byte: u8): void { shared.name[i] = byte; }
export function read(n: u32): string { return utf8.read(shared.name, n); }

export function defaults(a: Count = 3, b: u64 = 1 << 33, c: string = "c", d: bool = true, e: Mode = Mode.Counting, f: f64 = -0.5): string {
  return a.toString() + b.toString() + c + (d ? "y" : "n") + (e as i32).toString() + (f == -0.5 ? "half" : "other");
}
export function usesDefaults(): string { return defaults() + defaults(1, 2); }
export function slot(i: u32): Slot { return shared.slots[i]; }
export function slotNumber(at: Slot): u32 { return at.n; }
export function setSlot(at: Slot, n: u32): void { at.n = n; }
export function sizes(a: usize, b: isize): isize { return <isize>a + b; }
export function numbers(a: number, b: boolean): number { return b ? a : -a; }
export function inside(): u32 { return Inside.B; }

export function manyTemporaries(n: u32): u32 {
  let sum: u32 = 0;
  for (let i: u32 = 0; i < n; i++) { const p = new Everything(); p.n32 = i; const o = Option.some(i); sum += p.n32 - o.value; }
  return sum;
}
`;

const POINT = { x: 2, y: -0.25 };
const EVERYTHING = {
  ...{ flag: false, n8: 255, s8: -128, n16: 65535, s16: -32768, n32: 4294967295, s32: -2147483648 },
  ...{
    n64: 18446744073709551615n,
    s64: -9223372036854775808n,
    f: 1.25,
    d: 0.1,
    mode: 0,
    text: "\u0000é\ud83d\ude00\ud800",
    none: null,
  },
  ...{ at: POINT, elsewhere: null, option: undefined, empty: 1n },
  ...{ result: { ok: true, value: POINT }, done: { ok: false, error: 5 } },
  next: {
    ...{
      flag: true,
      n8: 0,
      s8: 0,
      n16: 0,
      s16: 0,
      n32: 0,
      s32: 0,
      n64: 0n,
      s64: 0n,
      f: 0,
      d: 0,
      mode: 5,
      text: "",
      none: "some",
    },
    ...{ at: POINT, elsewhere: POINT, option: 3, empty: undefined },
    ...{ result: { ok: false, error: "because" }, done: { ok: true, value: undefined }, next: null },
  },
};

describe.each(["release", "debug"] as const)("values over the API, %s", (mode) => {
  let running: Running;
  beforeAll(async () => {
    running = await run(SOURCE, { mode });
  });
  const call = (name: string, ...args: unknown[]): unknown => running.api[name]!(...args);

  test("structs start with their initialisers, and zeros, nothing, empty texts and structs of their own elsewhere", () => {
    expect(call("everything")).toEqual({
      ...{ flag: true, n8: 7, s8: -7, n16: 0, s16: 0, n32: 0, s32: 32, n64: 1n << 40n, s64: 0n, f: 0.5, d: 0, mode: 5 },
      ...{ text: "text", none: null, at: { x: 1.5, y: 0 }, elsewhere: null, option: 9, empty: undefined },
      ...{ done: { ok: true, value: undefined }, next: null },
      result: { ok: true, value: { x: 1.5, y: 0 } },
    });
  });

  test("structs go in and out whole, nested, null and with every type of field", () => {
    expect(call("echo", EVERYTHING)).toEqual(EVERYTHING);
    expect(call("copied", EVERYTHING)).toEqual(EVERYTHING);
    expect(call("describe", { ...EVERYTHING, n8: 1, n32: 2 })).toBe(3);
    expect(call("moved", { x: 1, y: 2 }, 0.5)).toEqual({ x: 1.5, y: -2 });
    expect([call("pointOrNull", 0), call("pointOrNull", 1)]).toEqual([null, { x: 1.5, y: 0 }]);
    expect([call("xOf", null), call("xOf", { x: 4, y: 0 })]).toEqual([-1, 4]);
  });

  test("Option of anything", () => {
    expect([call("optionU8", undefined), call("optionU8", 254)]).toEqual([undefined, 255]);
    expect([call("optionU64", undefined), call("optionU64", 1n << 63n)]).toEqual([undefined, (1n << 63n) + 1n]);
    expect(call("optionF32", 0.25)).toBe(0.25);
    expect([call("optionBool", false), call("optionBool", true), call("optionBool", undefined)]).toEqual([
      true,
      false,
      undefined,
    ]);
    expect([call("optionMode", 0), call("optionMode", undefined)]).toEqual([0, 5]);
    expect([call("optionPoint", POINT), call("optionPoint", { x: -1, y: 0 }), call("optionPoint", undefined)]).toEqual([
      POINT,
      undefined,
      undefined,
    ]);
    expect([call("optionText", "é"), call("optionText", undefined)]).toEqual(["é!", undefined]);
    expect([call("optionOption", 7), call("optionOption", undefined)]).toEqual([7, undefined]);
    expect([call("assigned", 0), call("assigned", 1), call("assigned", 2)]).toEqual([undefined, undefined, 2]);
  });

  test("Result of anything, also of nothing", () => {
    expect(call("resultModes", { ok: true, value: 3n })).toEqual({ ok: false, error: 5 });
    expect(call("resultModes", { ok: false, error: 0 })).toEqual({ ok: true, value: 7n });
    expect([0, 1, 6].map((n) => call("resultVoid", n))).toEqual([
      { ok: true, value: undefined },
      { ok: false, error: 0 },
      { ok: false, error: 5 },
    ]);
    expect([
      call("resultVoidIn", { ok: true, value: undefined }),
      call("resultVoidIn", { ok: false, error: "four" }),
    ]).toEqual([0, 4]);
    expect([call("resultVoidExplicit", false), call("resultVoidExplicit", true)]).toEqual([
      { ok: true, value: undefined },
      { ok: false, error: 2.5 },
    ]);
    expect(call("resultText", { ok: true, value: "x" })).toEqual({ ok: true, value: "x" });
    expect(call("resultText", { ok: false, error: 200 })).toEqual({ ok: false, error: 200 });
    expect(call("resultPoint", { ok: false, error: POINT })).toEqual({ ok: true, value: 2 });
    expect(call("resultPoint", { ok: true, value: 1 })).toEqual({ ok: false, error: { x: 1.5, y: 0 } });
    expect([call("orElse", { ok: true, value: 1 }), call("orElse", { ok: false, error: 0 })]).toEqual([1, 99]);
  });

  test("strings keep every unit, lone surrogates too", () => {
    for (const text of ["", "a", "é😀", "\ud800", "\udc00\ud800", "\u0000", "x".repeat(3000)]) {
      expect(call("same", text)).toBe(text);
      expect(call("length", text)).toBe(text.length);
    }
    expect([call("nullable", null), call("nullable", "null"), call("nullable", "")]).toEqual(["was null", null, ""]);
    expect(call("joined", "a", "é")).toBe("a, é");
  });

  test("text in the vVAR is UTF-8: whole characters only, and what is none reads as U+FFFD", () => {
    const text = "aé€😀\ud800b";
    const asUtf8 = new TextEncoder().encode(text);
    expect(call("bytes", text)).toBe(asUtf8.length);
    expect(call("store", text, 64)).toBe(asUtf8.length);
    expect(call("stored")).toBe("aé€😀\ufffdb");
    expect([1, 2, 3, 5, 6, 9, 10].map((max) => call("store", text, max))).toEqual([1, 1, 3, 3, 6, 6, 10]);
    for (const wrong of [
      [0x80],
      [0xc0, 0x80],
      [0xe2, 0x82],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xff],
      [0x61, 0xc3],
    ]) {
      wrong.forEach((byte, i) => {
        call("put", i, byte);
      });
      expect(String(call("read", wrong.length))).toMatch(/^a?\ufffd+$/);
    }
  });

  test("default parameters apply in JavaScript and inside the image alike", () => {
    const all = "38589934592cy5half";
    expect(call("defaults")).toBe(all);
    expect(call("defaults", undefined, undefined, "d")).toBe("38589934592dy5half");
    expect(call("defaults", 1, 2n, "d", false, 0, 1)).toBe("12dn0other");
    expect(call("usesDefaults")).toBe(`${all}12cy5half`);
    expect(running.dts).toContain(
      "defaults(a?: number, b?: bigint, c?: string, d?: boolean, e?: Mode, f?: number): string;",
    );
  });

  test("references to vVAR structs are offsets; usize and isize are numbers", () => {
    const at = call("slot", 2);
    expect(at).toBe(1024 + 4 + 8);
    call("setSlot", at, 12);
    expect(call("slotNumber", at)).toBe(12);
    expect(call("sizes", 5, -7)).toBe(-2);
    expect([call("numbers", 1.5, true), call("numbers", 1.5, false)]).toEqual([1.5, -1.5]);
  });

  test("temporaries are made in loops without end", () => {
    expect(call("manyTemporaries", 100_000)).toBe(0);
    expect(call("optionU8", 1)).toBe(2);
  });

  test("wrong arguments are refused before anything happens", async () => {
    for (const [name, ...args] of [
      ["moved", { x: 1 }, 1],
      ["moved", null, 1],
      ["optionU8", 256],
      ["resultModes", { ok: true }],
      ["resultModes", 5],
      ["same", 5],
      ["nullable", undefined],
      ["defaults", -1],
      ["defaults", 1, 2],
      ["defaults", 1, 2n, "x", true, 1],
      ["slotNumber", -1],
    ] as [string, ...unknown[]][]) {
      await expectCode("ERR_VDSO_ARGUMENT", () => call(name, ...args));
    }
    expect(call("length", "still alive")).toBe(11);
  });

  test("the types tell the author's names and comments", () => {
    const { dts } = running;
    expect(dts).toContain("/** Where something lies. */");
    expect(dts).toContain("/** To the right. */");
    expect(dts).toContain("resultVoid(n: number): Result<void, Mode>;");
    expect(dts).toContain("optionOption(v: number | undefined | undefined): number | undefined | undefined;");
    expect(dts).toContain("elsewhere: Point | null;");
  });
});
