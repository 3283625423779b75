/**
 * Each line of a sample says behind `//!` what is wrong with it: code, the text that is marked, message. All errors of a sample are
 * reported in one build, and no others.
 */
import { describe, expect, test, vi } from "vitest";
import { asc } from "../../runtime/build/dialect/asc.ts";
import { build, type Options } from "./vdso.ts";

const ROOT = "@vvar class VvarData { a: u32; } const shared = vvarRoot<VvarData>();\n";

/** What the comments expect, and what was found, in the same form. */
async function complaints(
  files: Readonly<Record<string, string>>,
  options: Options = {},
): Promise<{ expected: string[]; found: string[]; helps: (string | undefined)[] }> {
  const expected: string[] = [];
  const clean: Record<string, string> = {};
  for (const [file, text] of Object.entries(files)) {
    clean[file] = text.replace(/ *\/\/!.*/g, "");
    for (const [i, line] of text.split("\n").entries()) {
      for (const note of line.split("//!").slice(1)) expected.push(`${file}:${i + 1} ${note.trim()}`);
    }
  }
  const { diagnostics, image } = await build(clean, options);
  expect(image).toBeUndefined();
  const found = diagnostics.map(({ file, line, column, length, code, message, text }) => {
    expect(text).toBe(clean[file]?.split("\n")[line - 1]);
    return `${file}:${line} ${code} <<${text.slice(column - 1, column - 1 + length)}>> ${message}`;
  });
  return { expected: expected.sort(), found: found.sort(), helps: diagnostics.map(({ help }) => help) };
}

const SAMPLES: Readonly<Record<string, string>> = {
  "forms that TypeScript has and the dialect has not": `${ROOT}
export function a(): u32 {
  try { return 1; } catch (e) { return 2; } //! ERR_VDSO_UNSUPPORTED <<try { return 1; } catch (e) { return 2; }>> there is no try/catch
}
export function b(): void {
  for (const x of [1]) {} //! ERR_VDSO_UNSUPPORTED <<for (const x of [1]) {}>> there are no iterators
  const c = { d: 1 }; //! ERR_VDSO_UNSUPPORTED <<{ d: 1 }>> there are no object literals
  const e = /x/; //! ERR_VDSO_UNSUPPORTED <</x/>> there are no regular expressions
  console.log("x"); //! ERR_VDSO_UNSUPPORTED <<console.log("x")>> there is no console.log
  const f = Math.random(); //! ERR_VDSO_UNSUPPORTED <<Math.random()>> there is no Math.random
  const g = Date.now(); //! ERR_VDSO_UNSUPPORTED <<Date.now()>> there is no Date.now
  const h = performance.now(); //! ERR_VDSO_UNSUPPORTED <<performance.now()>> there is no performance.now
  const i = new Date(0); //! ERR_VDSO_UNSUPPORTED <<new Date(0)>> there is no Date
  const j = new Atomic<u32>(); //! ERR_VDSO_UNSUPPORTED <<new Atomic<u32>()>> Atomic cannot be created by new
  const k = new Option<u32>(); //! ERR_VDSO_UNSUPPORTED <<new Option<u32>()>> Option cannot be created by new
}
declare function now(): f64; //! ERR_VDSO_UNSUPPORTED <<now>> 'now' has no body: functions from outside come by interfaces only
declare const later: u32; //! ERR_VDSO_UNSUPPORTED <<later: u32>> 'later' comes from nowhere
declare class Elsewhere { a(): void; } //! ERR_VDSO_UNSUPPORTED <<Elsewhere>> class 'Elsewhere' has no code
function bytes(all: FixedArray<u8>): void {} //! ERR_VDSO_UNSUPPORTED <<FixedArray<u8>>> a FixedArray is a field of a @vvar class, and no type of its own
export default function l(): void {} //! ERR_VDSO_UNSUPPORTED <<export default function l(): void {}>> there are no default exports
`,
  "fields of the vVAR": `
class Plain {}
@vvar class Inner { n: u32; }
@vvar class VvarData {
  ok: u32;
  a: string; //! ERR_VDSO_FIELD_TYPE <<string>> 'string' cannot live in the vVAR
  b: Map<u32, u32>; //! ERR_VDSO_FIELD_TYPE <<Map<u32, u32>>> 'Map<u32, u32>' cannot live in the vVAR
  c: Plain; //! ERR_VDSO_FIELD_TYPE <<Plain>> 'Plain' cannot live in the vVAR
  d: Atomic<Inner>; //! ERR_VDSO_FIELD_TYPE <<Inner>> 'Atomic<Inner>' cannot live in the vVAR
  e: VPtr<u32>; //! ERR_VDSO_FIELD_TYPE <<u32>> 'VPtr<u32>' cannot live in the vVAR
  f: Inner | null; //! ERR_VDSO_FIELD_TYPE <<Inner | null>> 'Inner | null' cannot be null in the vVAR
  g: u32 = 5; //! ERR_VDSO_FIELD_INITIALISER <<5>> field 'g' cannot have an initialiser
  h: Atomic; //! ERR_VDSO_FIELD_TYPE <<Atomic>> 'Atomic' cannot live in the vVAR
  i: () => void; //! ERR_VDSO_FIELD_TYPE <<() => void>> '() => void' cannot live in the vVAR
  j: Unknown; //! ERR_VDSO_FIELD_TYPE <<Unknown>> 'Unknown' cannot live in the vVAR
  k: FixedArray<u8>; //! ERR_VDSO_LEN <<FixedArray<u8>>> FixedArray 'k' needs a length
  @len(2) l: FixedArray; //! ERR_VDSO_FIELD_TYPE <<FixedArray>> FixedArray needs an element type
  @len(2) m: u32; //! ERR_VDSO_LEN <<@len(2)>> @len is for FixedArray fields only
  @len n: FixedArray<u8>; //! ERR_VDSO_LEN <<@len n: FixedArray<u8>>> @len of 'n' needs a number
  @len(0) o: FixedArray<u8>; //! ERR_VDSO_LEN <<@len(0) o: FixedArray<u8>>> 'o' would have no elements
  @len(-1) p: FixedArray<u8>; //! ERR_VDSO_CONSTANT <<-1>> the length of 'p' must be a non-negative integer, found -1
  @len(1.5) q: FixedArray<u8>; //! ERR_VDSO_CONSTANT <<1.5>> the length of 'q' must be a non-negative integer, found 1.5
  @len(count()) r: FixedArray<u8>; //! ERR_VDSO_CONSTANT <<count()>> the length of 'r' must be known at build time: 'count()' is not a constant expression
  @len(variable) s: FixedArray<u8>; //!
  @align(3) t: u8; //! ERR_VDSO_ALIGN <<@align(3)>> @align takes a power of two up to 65536, found 3
  @align u: u8; //! ERR_VDSO_ALIGN <<@align>> @align takes a power of two up to 65536, found nothing
  @len(1 / 0) v: FixedArray<u8>; //! ERR_VDSO_CONSTANT <<1 / 0>> the length of 'v' must be known at build time: division by zero
  @len(2) w: FixedArray<string>; //! ERR_VDSO_FIELD_TYPE <<string>> 'string' cannot live in the vVAR
}
let variable: u32 = 5; //! ERR_VDSO_CONSTANT <<variable>> the length of 's' must be known at build time: 'variable' is not a constant
function count(): u32 { return 1; }
const shared = vvarRoot<VvarData>();
export function use(): u32 { return shared.ok + shared.e.get() + shared.j.x + shared.k[0]; }
export function wrong(): u32 { return shared.nothing; } //! TS2339 <<nothing>> Property 'nothing' does not exist on type 'VvarData'.
`.replace("//!\n", "\n"),
  "structs of the vVAR": `
@vvar class A { b: B; } //! ERR_VDSO_STRUCT_RECURSIVE <<A>> struct 'A' contains itself
@vvar class B { a: A; }
@vvar class Generic<T> { a: u32; } //! ERR_VDSO_STRUCT_FORM <<Generic>> @vvar class 'Generic' cannot be generic or extend another
@vvar class Derived extends Plain { //! ERR_VDSO_STRUCT_FORM <<Derived>> @vvar class 'Derived' cannot be generic or extend another
  a: u32;
  constructor() { } //! ERR_VDSO_STRUCT_FORM <<constructor>> @vvar class 'Derived' cannot have a constructor
}
class Plain {}
@vvar class VvarData { next: VPtr<VvarData>; }
const shared = vvarRoot<VvarData>();
export function make(): void {
  const made = new VvarData(); //! ERR_VDSO_STRUCT_NEW <<new VvarData()>> 'VvarData' lives in the vVAR and cannot be created
}
`,
  "two roots": `
@vvar class A { a: u32; }
const s = vvarRoot<A>();
const t = vvarRoot<A>(); //! ERR_VDSO_ROOT_TWICE <<vvarRoot<A>()>> a vDSO has exactly one vvarRoot
`,
  "no root": `export function f(): void {} //! ERR_VDSO_ROOT_MISSING <<e>> the vDSO has no vVAR root`,
  "an empty file": "//! ERR_VDSO_ROOT_MISSING <<>> the vDSO has no vVAR root",
  "a root of a plain class": `
class A { a: u32; }
const s = vvarRoot<A>(); //! ERR_VDSO_ROOT_TYPE <<A>> vvarRoot needs a @vvar class, 'A' is none
`,
  "a root of nothing":
    "const s = vvarRoot(); //! ERR_VDSO_ROOT_TYPE <<vvarRoot()>> vvarRoot needs a @vvar class, none is named",
  "a root that can change": `
@vvar class A { a: u32; }
let s = vvarRoot<A>(); //! ERR_VDSO_ROOT_FORM <<s>> the vVAR's root is a constant
`,
  "a root inside a function": `
@vvar class A { a: u32; }
export function f(): u32 {
  return vvarRoot<A>().a; //! ERR_VDSO_ROOT_FORM <<vvarRoot<A>()>> vvarRoot is the value of a constant, and nothing else
}
`,
  "a layout over 4 GiB": `
@vvar class A { //! ERR_VDSO_LAYOUT_SIZE <<A>> the vVAR would take 8589935616 bytes; a memory has at most 4294967296
  @len(1 << 30) a: FixedArray<f64>;
}
const s = vvarRoot<A>();
`,
  "panics and log lines": `${ROOT}
export function f(n: u32): u32 {
  panic("a" + "b"); //! ERR_VDSO_MESSAGE <<"a" + "b">> the message must be one literal text in quotes
  panic(n); //! ERR_VDSO_MESSAGE <<n>> the message must be one literal text in quotes
  panic(); //! ERR_VDSO_MESSAGE <<panic()>> the message must be one literal text in quotes
  log.info(\`x \${n}\`); //! ERR_VDSO_MESSAGE <<\`x \${n}\`>> the message must be one literal text in quotes
  log.loud("x"); //! ERR_VDSO_LOG_LEVEL <<log.loud("x")>> there is no log.loud
  assert(); //! ERR_VDSO_MESSAGE <<assert()>> assert needs a condition
  assert(n > 1, "x {}", n); //! ERR_VDSO_MESSAGE <<assert(n > 1, "x {}", n)>> assert takes no values for its message
  throw "x"; //! ERR_VDSO_MESSAGE <<"x">> only a new Error can be thrown
}
export function g(n: u32): u32 {
  const a = log.info("x"); //! ERR_VDSO_PANIC_VALUE <<log.info("x")>> a log line has no value
  return g(panic("x")); //! ERR_VDSO_PANIC_VALUE <<panic("x")>> panic has no value
}
`,
  "API structs": `${ROOT}
@apistruct class Generic<T> { a: u32; } //! ERR_VDSO_STRUCT_FORM <<Generic>> @apistruct class 'Generic' cannot be generic or extend another
@apistruct class Made { a: u32;
  constructor() {} //! ERR_VDSO_STRUCT_FORM <<constructor>> @apistruct class 'Made' cannot have a constructor
}
@apistruct class Ping {
  pong: Pong; //! ERR_VDSO_STRUCT_RECURSIVE <<pong>> struct 'Ping' contains itself
}
@apistruct class Pong {
  ping: Ping; //! ERR_VDSO_STRUCT_RECURSIVE <<ping>> struct 'Pong' contains itself
  own: Result<Pong, u32>; //! ERR_VDSO_STRUCT_RECURSIVE <<own>> struct 'Pong' contains itself
  fine: Pong | null;
  option: Option<Pong>;
}
@apistruct class P { q: u32; }
const kept = new P(); //! ERR_VDSO_TEMPORARY <<kept>> 'kept' would keep a temporary, which younger ones overwrite
let none: Option<u32> = Option.none(); //! ERR_VDSO_TEMPORARY <<none>> 'none' would keep a temporary, which younger ones overwrite
class Holder {
  p: P | null = null; //! ERR_VDSO_TEMPORARY <<p>> 'p' would keep a temporary, which younger ones overwrite
  static s: Result<u32, u32> = Result.ok(1); //! ERR_VDSO_TEMPORARY <<s>> 's' would keep a temporary, which younger ones overwrite
}
namespace Inside { export let q = new P(); } //! ERR_VDSO_TEMPORARY <<q>> 'q' would keep a temporary, which younger ones overwrite
export function f(p: Pong): P { return new P(); }
`,
  "what api.ts exports": `${ROOT}
class Plain {}
export let counter: u32 = 1; //! ERR_VDSO_API_FORM <<counter>> variables cannot be exported
export namespace Group { export function g(): void {} } //! ERR_VDSO_API_FORM <<Group>> namespaces cannot be exported
export class Other {} //! ERR_VDSO_API_FORM <<Other>> class 'Other' cannot be exported
export const computed: u32 = Group.h(); //! ERR_VDSO_API_FORM <<computed>> exported constant 'computed' is not known at build time
export function a(p: Plain): void {} //! ERR_VDSO_API_TYPE <<Plain>> parameter 'p' of 'a' cannot be of type 'Plain'
export function b(p: Map<u32, u32>): void {} //! ERR_VDSO_API_TYPE <<Map<u32, u32>>> parameter 'p' of 'b' cannot be of type 'Map<u32, u32>'
export function c(p: VvarData | null): void {} //! ERR_VDSO_API_TYPE <<VvarData | null>> parameter 'p' of 'c' cannot be of type 'VvarData | null'
export function d(p: Option<Plain>): void {} //! ERR_VDSO_API_TYPE <<Plain>> parameter 'p' of 'd' cannot be of type 'Plain'
export function e(p: () => void): void {} //! ERR_VDSO_API_TYPE <<() => void>> parameter 'p' of 'e' cannot be of type '() => void'
export function f(...p: u32[]): void {} //! ERR_VDSO_API_TYPE <<u32[]>> parameter 'p' of 'f' cannot be of type 'u32[]' //! ERR_VDSO_API_FORM <<...p: u32[]>> there are no rest parameters
export function g(): Plain { return new Plain(); } //! ERR_VDSO_API_TYPE <<Plain>> the result of 'g' cannot be of type 'Plain'
export function untyped(p = 5): void {} //! ERR_VDSO_API_TYPE <<p>> parameter 'p' of 'untyped' needs a type
export function h<T>(p: T): void {} //! ERR_VDSO_API_FORM <<h>> exported function 'h' cannot be generic
export function i(p: u32 = now()): void {} //! ERR_VDSO_CONSTANT <<now()>> the default of 'p' must be known at build time: 'now()' is not a constant expression
export function init(p: u32): void {} //! ERR_VDSO_API_FORM <<init>> 'init' has another form than the runtime calls
export function processInit(): u32 { return 1; } //! ERR_VDSO_API_FORM <<processInit>> 'processInit' has another form than the runtime calls
export function memory(): void {} //! ERR_VDSO_API_FORM <<memory>> 'memory' is a name of the runtime's own
export enum Object { A } //! ERR_VDSO_API_NAME <<Object>> 'Object' is taken in JavaScript
export const Set: u32 = 1; //! ERR_VDSO_API_NAME <<Set>> 'Set' is taken in JavaScript
enum Bad {
  A = now(), //! ERR_VDSO_CONSTANT <<now()>> a value of enum Bad must be an integer known at build time: 'now()' is not a constant expression
  B = "b", //! ERR_VDSO_CONSTANT <<"b">> a value of enum Bad must be an integer known at build time: expected an integer, found string b
}
export function j(p: Bad): void {}
function now(): u32 { return 1; }
type Loop = Pool; type Pool = Loop; //! AS100 <<Pool>> Not implemented: Recursive types
export function k(p: Loop): void {} //! ERR_VDSO_API_TYPE <<Loop>> parameter 'p' of 'k' cannot be of type 'Loop'
`,
  interfaces: `${ROOT}
class Plain {}
@apistruct class S { n: u32; }
@host declare class A {
  a: u32; //! ERR_VDSO_HOST_FORM <<a: u32>> interface 'A' has functions only
  retain(): void; //! ERR_VDSO_HOST_FORM <<retain>> every handle has a retain() already
  b(p: Option<u32>): void; //! ERR_VDSO_API_TYPE <<Option<u32>>> parameter 'p' of 'A.b' cannot be of type 'Option<u32>'
  c(): S; //! ERR_VDSO_API_TYPE <<S>> the result of 'A.c' cannot be of type 'S'
  d(p: Plain): void; //! ERR_VDSO_API_TYPE <<Plain>> parameter 'p' of 'A.d' cannot be of type 'Plain'
}
@host interface B { c(): void } //! ERR_VDSO_HOST_FORM <<B>> @host is for classes: editors refuse decorators on interfaces
@host class C { d(): void { } } //! ERR_VDSO_HOST_FORM <<C>> interface 'C' is not declared //! ERR_VDSO_HOST_FORM <<d>> 'C.d' has a body
export function use(a: A, s: S): void {}
`,
  decorators: `${ROOT}
@vvra class Typo { a: u32; } //! ERR_VDSO_DECORATOR <<@vvra>> there is no decorator @vvra
@vvar @apistruct class Both { a: u32; } //! ERR_VDSO_DECORATOR <<Both>> class 'Both' cannot be both @vvar and @apistruct
@inline const x: u32 = 1; //! ERR_VDSO_DECORATOR <<@inline>> variables cannot have decorators: editors refuse them
@vvar enum E { A } //! ERR_VDSO_DECORATOR <<@vvar>> @vvar cannot stand on an enum
@vvar function g(): void {} //! ERR_VDSO_DECORATOR <<@vvar>> @vvar cannot stand on a function
class K {
  @align(8) a: u32; //! ERR_VDSO_DECORATOR <<@align(8)>> @align is for fields of @vvar classes
  @len(2) m(): void {} //! ERR_VDSO_DECORATOR <<@len(2)>> @len cannot stand on a method
}
@align(8) class J {} //! ERR_VDSO_DECORATOR <<@align(8)>> @align on a class is for @vvar classes
@external("a", "b") function h(): void {} //! ERR_VDSO_DECORATOR <<@external("a", "b")>> there is no decorator @external
@align(8) @align(16) @vvar class T { a: u8; } //! ERR_VDSO_DECORATOR <<@align(16)>> @align stands here twice
namespace N { @vvar export class Inner { a: u32; } } //! ERR_VDSO_DECORATOR <<Inner>> @vvar class 'Inner' must stand at the top of its file
`,
  "the dialect's rules and the language's types at once": `
@vvar class VvarData { f: Atomic<f64>; n: Atomic<u8>; w: Atomic<u32>; count: u32; text: string; } //! ERR_VDSO_FIELD_TYPE <<string>> 'string' cannot live in the vVAR
const shared = vvarRoot<VvarData>();
export function a(n: u64): u32 {
  const narrow: u32 = n; //! AS200 <<n>> Conversion from type 'u64' to 'u32' requires an explicit cast.
  shared.w = 5; //! TS2540 <<shared.w>> Cannot assign to 'w' because it is a constant or a read-only property.
  shared.count.load(); //! TS2339 <<load>> Property 'load' does not exist on type 'u32'.
  shared.f.add(1); //! AS102 <<shared.f.add(1)>> an Atomic of a float has load() and store() only
  shared.n.wait(1); //! AS102 <<shared.n.wait(1)>> wait() needs an Atomic of 32 or 64 bits
  shared.text = "x";
  const none = Option.none(); //! ERR_VDSO_TYPE_ARGUMENTS <<Option.none()>> what Option.none(...) is of cannot be told from here
  return missing; //! TS2304 <<missing>> Cannot find name 'missing'.
}
`,
};

describe("a build reports all errors with their places", () => {
  test.each(Object.entries(SAMPLES))("%s", async (_, text) => {
    const { expected, found } = await complaints({ "api.ts": text });
    expect(found).toEqual(expected);
  });

  test("across files", async () => {
    const { expected, found } = await complaints({
      "api.ts": `
        import { Slot } from "./slot";
        import { gone } from "./gone"; //! TS6054 <<"./gone">> File 'gone.ts' not found.
        @vvar class VvarData { s: Slot; }
        const shared = vvarRoot<VvarData>();
        export function f(): u32 { return shared.s.n; }`,
      "slot.ts": "@vvar export class Slot { n: u32; }",
    });
    expect(found).toEqual(expected);
    const second = await complaints({
      "api.ts": `
        import { Slot, helper } from "./slot";
        @vvar class VvarData { s: Slot; t: string; } //! ERR_VDSO_FIELD_TYPE <<string>> 'string' cannot live in the vVAR
        const shared = vvarRoot<VvarData>();
        export function f(): u32 { return helper(); }`,
      "slot.ts": `
        @vvar export class Slot { n: any; } //! ERR_VDSO_FIELD_TYPE <<any>> 'any' cannot live in the vVAR
        export function helper(): u32 { return "x"; } //! TS2322 <<"x">> Type 'string' is not assignable to type 'u32'.`,
    });
    expect(second.found).toEqual(second.expected);
  });

  test("in Windows line endings, at the same places", async () => {
    const text = SAMPLES["decorators"] ?? "";
    const { diagnostics } = await build(text.replace(/ *\/\/!.*/g, ""));
    const windows = await build(text.replace(/ *\/\/!.*/g, "").replaceAll("\n", "\r\n"));
    expect(windows.diagnostics).toEqual(diagnostics);
  });
});

test("what cannot pass to or from a host gets help that fits", async () => {
  const { diagnostics } = await build(`${ROOT}
    @apistruct class S { n: u32; }
    @host declare class H { static a(): Option<u32>; static b(): S; static c(p: S): void; static d(p: Map<u32, u32>): void; }
    export function f(): void {}`);
  const [option, struct, parameter, other] = diagnostics.map(({ help }) => help);
  expect(option).toContain("return a value that means none");
  expect(struct).toBe("declare a function per field");
  expect(parameter).toBe("pass the fields one by one");
  expect(other).not.toMatch(/Option|Result|@apistruct/);
});

test.each([
  ["abc", 'LENGTH must be of type u32, found "abc" (from the build\'s options)'],
  ["0", "LENGTH must be from 1 to 64, found 0 (from the build's options)"],
  ["4000000000", "LENGTH must be from 1 to 64, found 4000000000 (from the build's options)"],
])("a constant of %s is the only error: the build goes on with the default", async (value, message) => {
  const files = {
    "api.ts": `import { LENGTH, Slot } from "./layout";
      @vvar class VvarData { @len(LENGTH) a: FixedArray<Slot>; @len(64 / LENGTH) b: FixedArray<u32>; }
      const shared = vvarRoot<VvarData>();
      export function f(): u64 { return shared.a[0].n + shared.b[0]; }`,
    "layout.ts": `export const LENGTH: u32 = config.range("LENGTH", 4, 1, 64);
      @vvar export class Slot { @len(1 << 24) a: FixedArray<u32>; n: u64; }`,
  };
  const { diagnostics } = await build(files, { config: { LENGTH: value } });
  expect(diagnostics.map(({ file, message }) => ({ file, message }))).toEqual([{ file: "layout.ts", message }]);
});

test("a length that is no constant is complained about once, and its fields stay", async () => {
  const { expected, found } = await complaints({
    "api.ts": `const LENGTH = length(); //! ERR_VDSO_CONSTANT <<length()>> the length of 'a' must be known at build time: 'length()' is not a constant expression
      @vvar class VvarData { @len(LENGTH) a: FixedArray<u32>; @len(LENGTH) b: FixedArray<u32>; }
      const shared = vvarRoot<VvarData>();
      function length(): u32 { return 1; }
      export function f(): u32 { return shared.a[0] + shared.b[0]; }`,
  });
  expect(found).toEqual(expected);
});

test("the dialect's errors come before the language's, which may follow from them", async () => {
  const { diagnostics } = await build({
    "api.ts": `import { Slot } from "./slot";
      @vvar class VvarData { slot: Slot; }
      const shared = vvarRoot<VvarData>();
      export function f(): u32 { return missing; }`,
    "slot.ts": "@vvar export class Slot { a: u32; b: string; }",
  });
  expect(diagnostics.map(({ code }) => code)).toEqual(["ERR_VDSO_FIELD_TYPE", "TS2304"]);
});

test("beside syntax errors a build reports what is wrong all the same in what does parse", async () => {
  const { expected, found } = await complaints({
    "api.ts": `import { Slot } from "./slot";
      import { LENGTH } from "./sizes";
      import { Gone } from "./broken";
      @vvar class VvarData { slot: Slot; gone: Gone; @len(LENGTH) list: FixedArray<u32>; }
      const shared = vvarRoot<VvarData>();
      export function f(): void { console.log("x"); } //! ERR_VDSO_UNSUPPORTED <<console.log("x")>> there is no console.log`,
    "slot.ts": `@vvar export class Slot {
        a: string; //! ERR_VDSO_FIELD_TYPE <<string>> 'string' cannot live in the vVAR
      }`,
    "sizes.ts": `export const LENGTH: u32 = config("LENGTH", -1); //! ERR_VDSO_CONFIG_VALUE <<-1>> LENGTH must be of type u32, found -1`,
    "broken.ts": `import { Slot } from "./slot";
      export const A: u32 = ; //! TS1109 <<;>> Expression expected.
      @vvar export class Gone { slot: Slot; }`,
  });
  expect(found).toEqual(expected);
});

test("a failure of the compiler itself is an error at the function that it was busy with", async () => {
  const compiler = asc.Compiler.prototype as unknown as { compileBinaryExpression(): number };
  const spy = vi.spyOn(compiler, "compileBinaryExpression").mockImplementation(() => {
    throw new Error("no such opcode");
  });
  try {
    const { diagnostics } = await build(
      `${ROOT}export function fine(): void {}\nexport function sum(a: u32): u32 { return a + 1; }`,
    );
    expect(diagnostics).toMatchObject([{ code: "ERR_VDSO_COMPILER", file: "api.ts", line: 3, column: 17, length: 3 }]);
    expect(diagnostics[0]?.message).toContain("no such opcode");
  } finally {
    spy.mockRestore();
  }
});

test.each([
  ["a tuple", "export function f(): [u32, u32] { return [1, 2]; }", "there are no tuple types"],
  ["an async function", "async function f(): void {}", "there are no async functions"],
  ["an exported async function", "export async function f(): void {}", "there are no async functions"],
  ["an async method", "class A { async m(): void {} }", "there are no async functions"],
  ["await", "export function f(): void { await g(); }", "there is no await"],
  ["for ... in", "export function f(o: u32): void { for (const k in o) {} }", "there is no for ... in"],
  ["for ... in with let", "export function f(o: u32): void { for (let k in o) { k; } }", "there is no for ... in"],
  ["a generator", "function* f(): void {}", "there are no generators"],
  ["a class inside a function", "function f(): void { @vvar class X { a: u32; } }", "a decorator cannot stand here"],
  ["a field without a type", "@vvar class X { a; }", "Type expected."],
  [
    "a closure",
    "export function f(): u32 { let k = 2; const g = (): u32 => k; return g(); }",
    "there are no closures: an inner function cannot use variables around it",
  ],
])("%s gets an explanation and what to write instead", async (_, text, message) => {
  const { diagnostics } = await build(ROOT + text);
  expect(diagnostics[0]).toMatchObject({ line: 2, message, help: expect.any(String) });
});

test("errors of the dialect say what to write instead", async () => {
  const without: string[] = [];
  for (const text of Object.values(SAMPLES)) {
    const { diagnostics } = await build(text.replace(/ *\/\/!.*/g, ""));
    for (const { code, help, message } of diagnostics) {
      // What is no constant or too large explains itself.
      if (code.startsWith("ERR_") && help === undefined && code !== "ERR_VDSO_CONSTANT") without.push(message);
    }
  }
  expect(without).toEqual([]);
});
