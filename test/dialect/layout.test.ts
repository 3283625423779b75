import { expect, test } from "vitest";
import { buildWhole, run } from "./vdso.ts";

const ALL_TYPES = `
export enum Mode { Idle, Counting = 5, Below = -2 }
type Count = u16;

@vvar class Inner { a: u8; b: u64; }
@vvar class VvarData {
  flag: bool;
  n8: u8; s8: i8;
  n16: u16; s16: i16;
  n32: u32; s32: i32;
  n64: u64; s64: i64;
  f: f32; d: f64;
  mode: Mode;
  count: Count;
  size: usize;
  inner: Inner;
  after: u8;
  @align(64) apart: u8;
  @len(3) bytes: FixedArray<u8>;
  @len(2) inners: FixedArray<Inner>;
  next: VPtr<Inner>;
}
const shared = vvarRoot<VvarData>();

export function set(): void {
  shared.flag = true;
  shared.n8 = 255; shared.s8 = -128;
  shared.n16 = 65535; shared.s16 = -32768;
  shared.n32 = 4294967295; shared.s32 = -2147483648;
  shared.n64 = 18446744073709551615; shared.s64 = -9223372036854775808;
  shared.f = 1.5; shared.d = 0.1;
  shared.mode = Mode.Counting;
  shared.count = 40000;
  shared.size = 77;
  shared.inner.a = 9; shared.inner.b = 10;
}
export function flag(): bool { return shared.flag; }
export function n8(): u8 { return shared.n8; }
export function s8(): i8 { return shared.s8; }
export function n16(): u16 { return shared.n16; }
export function s16(): i16 { return shared.s16; }
export function n32(): u32 { return shared.n32; }
export function s32(): i32 { return shared.s32; }
export function n64(): u64 { return shared.n64; }
export function s64(): i64 { return shared.s64; }
export function f(): f32 { return shared.f; }
export function d(): f64 { return shared.d; }
export function mode(): Mode { return shared.mode; }
export function count(): Count { return shared.count; }
export function size(): usize { return shared.size; }
export function inner(): u64 { return shared.inner.b + shared.inner.a; }
export function increment(): void { shared.n32 += 1; shared.n8++; shared.d *= 2; shared.s16 -= 1; }
`;

test("fields of every type keep their extreme values, wrap, and are zero before", async () => {
  const { api, another } = await run(ALL_TYPES);
  for (const name of ["n8", "s8", "n16", "s16", "n32", "s32", "f", "d", "mode", "count", "size"]) {
    expect([name, api[name]!()]).toEqual([name, 0]);
  }
  api["set"]!();
  const other = another();
  expect(other["flag"]!()).toBe(true);
  expect(other["n8"]!()).toBe(255);
  expect(other["s8"]!()).toBe(-128);
  expect(other["n16"]!()).toBe(65535);
  expect(other["s16"]!()).toBe(-32768);
  expect(other["n32"]!()).toBe(4294967295);
  expect(other["s32"]!()).toBe(-2147483648);
  expect(other["n64"]!()).toBe(18446744073709551615n);
  expect(other["s64"]!()).toBe(-9223372036854775808n);
  expect(other["f"]!()).toBe(1.5);
  expect(other["d"]!()).toBe(0.1);
  expect(other["mode"]!()).toBe(5);
  expect(other["count"]!()).toBe(40000);
  expect(other["size"]!()).toBe(77);
  expect(other["inner"]!()).toBe(19n);
  other["increment"]!();
  expect(api["n32"]!()).toBe(0);
  expect(api["n8"]!()).toBe(0);
  expect(api["d"]!()).toBe(0.2);
  expect(api["s16"]!()).toBe(32767);
});

test("fields lie in the author's order, at their natural alignment or the one asked for", async () => {
  const { manifest, vvar, api } = await run(ALL_TYPES);
  const root = manifest.layout.structs[0]!;
  expect(root.fields.map(({ name, offset, type, size }) => `${offset} ${name}: ${type} (${size})`)).toEqual([
    "0 flag: bool (1)",
    "1 n8: u8 (1)",
    "2 s8: i8 (1)",
    "4 n16: u16 (2)",
    "6 s16: i16 (2)",
    "8 n32: u32 (4)",
    "12 s32: i32 (4)",
    "16 n64: u64 (8)",
    "24 s64: i64 (8)",
    "32 f: f32 (4)",
    "40 d: f64 (8)",
    "48 mode: Mode (4)",
    "52 count: u16 (2)",
    "56 size: u32 (4)",
    "64 inner: Inner (16)",
    "80 after: u8 (1)",
    "128 apart: u8 (1)",
    "129 bytes: u8 (3)",
    "136 inners: Inner (32)",
    "168 next: VPtr<Inner> (4)",
  ]);
  expect(root).toMatchObject({ align: 64, size: 192 });
  expect(manifest.layout).toMatchObject({ root: "VvarData", address: 1024, end: 1216 });
  expect(root.fields.find(({ name }) => name === "inners")).toMatchObject({ length: 2, stride: 16 });
  api["set"]!();
  expect(vvar.getUint8(1024 + 1)).toBe(255);
  expect(vvar.getFloat64(1024 + 40, true)).toBe(0.1);
  expect(vvar.getBigUint64(1024 + 64 + 8, true)).toBe(10n);
});

test("an alignment of a class holds for arrays of it, and for the root's address", async () => {
  const { manifest } = await buildWhole(`
    @align(128) @vvar class Slot { n: u32; }
    @align(2048) @vvar class VvarData { a: u8; one: Slot; @len(2) many: FixedArray<Slot>; }
    const shared = vvarRoot<VvarData>();
    export function f(): u32 { return shared.many[1].n; }`);
  const [root, slot] = manifest.layout.structs;
  expect(slot).toMatchObject({ name: "Slot", size: 128, align: 128 });
  expect(root!.fields.map(({ offset }) => offset)).toEqual([0, 128, 256]);
  expect(manifest.layout.address).toBe(2048);
});

const ARRAYS = `
enum Step { First, Second = 7 }
@vvar class Cell { x: u32; @len(3) deep: FixedArray<i16>; }
@vvar class VvarData {
  @len(4) numbers: FixedArray<u32>;
  @len(4) wide: FixedArray<f64>;
  @len(2) flags: FixedArray<bool>;
  @len(2) steps: FixedArray<Step>;
  @len(3) cells: FixedArray<Cell>;
  @len(2) counters: FixedArray<Atomic<u16>>;
  @len(2) links: FixedArray<VPtr<Cell>>;
  single: Cell;
}
const shared = vvarRoot<VvarData>();

export function fill(): void {
  for (let i: u32 = 0; i < shared.numbers.length; i++) { shared.numbers[i] = i * 10; shared.wide[i] = <f64>i / 4; }
  shared.numbers[1] += 5;
  shared.flags[1] = true;
  shared.steps[1] = Step.Second;
  shared.cells[1].x = 42;
  shared.cells[1].deep[2] = -3;
  shared.cells[2] = shared.cells[1];
  shared.single = shared.cells[2];
  shared.counters[1].add(3);
  shared.links[1].set(shared.cells[2]);
}
export function number(i: u32): u32 { return shared.numbers[i]; }
export function wide(i: u32): f64 { return shared.wide[i]; }
export function flag(i: u32): bool { return shared.flags[i]; }
export function step(i: u32): u32 { return shared.steps[i]; }
export function deep(cell: u32, i: u32): i16 { return shared.cells[cell].deep[i]; }
export function single(): i32 { return <i32>shared.single.x + shared.single.deep[2]; }
export function counter(i: u32): u16 { return shared.counters[i].load(); }
export function linked(i: u32): u32 { return shared.links[i].isNull ? 0 : shared.links[i].get().x; }
export function unlink(i: u32): void { shared.links[i].clear(); }
export function below(i: i32): u32 { return shared.numbers[i]; }
export function put(i: u32, value: u32): void { shared.numbers[i] = value; }
export function uncheckedNumber(i: u32): u32 { return unchecked(shared.numbers[i]); }
export function putUnchecked(i: u32, value: u32): void { unchecked(shared.numbers[i] = value); }
export function lengths(): u32 { return shared.numbers.length * 100 + shared.cells[0].deep.length; }
`;

test("arrays hold scalars, enums, structs, atomics and references; assigning a struct copies it", async () => {
  const { api } = await run(ARRAYS);
  api["fill"]!();
  expect([0, 1, 2, 3].map((i) => api["number"]!(i))).toEqual([0, 15, 20, 30]);
  expect(api["wide"]!(3)).toBe(0.75);
  expect([api["flag"]!(0), api["flag"]!(1)]).toEqual([false, true]);
  expect(api["step"]!(1)).toBe(7);
  expect(api["deep"]!(2, 2)).toBe(-3);
  expect(api["single"]!()).toBe(39);
  expect(api["counter"]!(1)).toBe(3);
  expect([api["linked"]!(0), api["linked"]!(1)]).toEqual([0, 42]);
  api["unlink"]!(1);
  expect(api["linked"]!(1)).toBe(0);
  expect(api["lengths"]!()).toBe(403);
  api["putUnchecked"]!(2, 9);
  expect(api["uncheckedNumber"]!(2)).toBe(9);
});

test("an index that is out of range panics, naming field, index and length", async () => {
  const { another } = await run(ARRAYS);
  const panic =
    (name: string, ...args: unknown[]) =>
    () =>
      another()[name]!(...args);
  expect(panic("number", 4)).toThrow("index 4 is out of range: VvarData.numbers has length 4");
  expect(panic("put", 4000, 1)).toThrow("index 4000 is out of range: VvarData.numbers has length 4");
  expect(panic("deep", 3, 0)).toThrow("index 3 is out of range: VvarData.cells has length 3");
  expect(panic("deep", 0, 3)).toThrow("index 3 is out of range: Cell.deep has length 3");
  expect(panic("below", -1)).toThrow("index -1 is out of range: VvarData.numbers has length 4");
});

test("methods, getters and static constants of a vvar class work on its own fields", async () => {
  const { api } = await run(`
    @vvar class Slot {
      static readonly FREE: u32 = 0;
      static describe(): u32 { return 7; }
      owner: Atomic<u32>;
      @len(2) data: FixedArray<u32>;
      get isFree(): bool { return this.owner.load() == Slot.FREE; }
      take(pid: u32): bool { return this.owner.cas(Slot.FREE, pid); }
      private sum(): u32 { return this.data[0] + this.data[1]; }
      total(extra: u32 = 3): u32 { return this.sum() + extra; }
    }
    @vvar class VvarData { @len(2) slots: FixedArray<Slot>; }
    const shared = vvarRoot<VvarData>();
    export function isFree(i: u32): bool { return shared.slots[i].isFree; }
    export function take(i: u32, pid: u32): bool { return shared.slots[i].take(pid); }
    export function total(i: u32): u32 { const slot = shared.slots[i]; slot.data[0] = 1; slot.data[1] = 2; return slot.total() + Slot.describe(); }
  `);
  expect(api["isFree"]!(1)).toBe(true);
  expect([api["take"]!(1, 5), api["take"]!(1, 6)]).toEqual([true, false]);
  expect([api["isFree"]!(0), api["isFree"]!(1)]).toEqual([true, false]);
  expect(api["total"]!(0)).toBe(13);
});

test("two files may use one name for different structs, enums and functions", async () => {
  const { manifest, api } = await run({
    "api.ts": `
      import { Sample as Early, helper as first, Mode } from "./early";
      import * as late from "./late";
      @vvar class Sample { own: u8; }
      @vvar class VvarData { own: Sample; early: Early; other: late.Sample; next: VPtr<late.Sample>; earlyMode: Mode; lateMode: late.Mode; }
      const shared = vvarRoot<VvarData>();
      function helper(): u32 { return 1; }
      export function sum(): u32 { return helper() + first() + late.helper(); }
      export function sizes(): u32 { shared.early.at = 2.5; shared.other.count.store(3); shared.next.set(shared.other); return <u32>shared.early.at + shared.next.get().count.load(); }
      export function modes(): u32 { shared.earlyMode = Mode.Late; shared.lateMode = late.Mode.Late; return shared.earlyMode * 10 + shared.lateMode; }
    `,
    "early.ts": `
      export enum Mode { Early, Late }
      @vvar export class Sample { at: f64; }
      export function helper(): u32 { return 10; }`,
    "late.ts": `
      export enum Mode { Early = 3, Late }
      @vvar export class Sample { count: Atomic<u32>; at: f64; }
      export function helper(): u32 { return 100; }`,
  });
  expect(manifest.layout.structs.map(({ name, size }) => `${name} ${size}`).sort()).toEqual([
    "Sample 1",
    "VvarData 48",
    "early_Sample 8",
    "late_Sample 16",
  ]);
  expect(api["sum"]!()).toBe(111);
  expect(api["sizes"]!()).toBe(5);
  expect(api["modes"]!()).toBe(14);
});

test("re-exports, exports of whole files, aliases and folders with an index resolve", async () => {
  const { manifest, api } = await run({
    "api.ts": `
      export { take, LENGTH } from "./queue";
      export * from "./more";
      import { Slot as Place } from "./queue";
      import { Slot as SamePlace } from "./barrel";
      import { depth } from "./deep";
      type Alias = Place;
      @vvar class VvarData { @len(2) a: FixedArray<Alias>; b: SamePlace; }
      const shared = vvarRoot<VvarData>();
      export function size(): u32 { return shared.a[1].n + shared.b.n + depth(); }
      export { size as howLarge };
    `,
    "queue.ts": `
      export const LENGTH: u32 = config("LENGTH", 3);
      @vvar export class Slot { n: u32; }
      export function take(): u32 { return LENGTH; }
      export function hidden(): u32 { return 0; }`,
    "more.ts": `export function more(): u32 { return 2; } export * from "./evenMore";`,
    "evenMore.ts": `export function evenMore(): u32 { return 4; }`,
    "barrel.ts": `export { Slot } from "./queue";`,
    "deep/index.ts": `import { Slot } from "../queue"; export function depth(): u32 { return offsetof<Slot>() == 0 ? 8 : 9; }`,
  });
  expect(manifest.exports.map(({ name }) => name).sort()).toEqual(["evenMore", "howLarge", "more", "size", "take"]);
  expect([api["take"]!(), api["more"]!(), api["evenMore"]!(), api["howLarge"]!()]).toEqual([3, 2, 4, 8]);
});
