import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { CompileInput } from "../../runtime/build/contract.ts";
import { build, buildWhole, run } from "./vdso.ts";

const ROOT = "@vvar class VvarData { a: u32; } const shared = vvarRoot<VvarData>();\n";

const constantsOf = async (text: string, options: Partial<CompileInput> = {}): Promise<Record<string, unknown>> => {
  const { manifest } = await buildWhole(ROOT + text, options);
  return Object.fromEntries(manifest.constants.map(({ name, type, value }) => [name, `${type} ${value}`]));
};

const complaintsAbout = async (text: string, options: Partial<CompileInput> = {}): Promise<string[]> => {
  const { diagnostics } = await build(ROOT + text, options);
  return diagnostics.map(({ code, message, line }) => `${line} ${code} ${message}`);
};

const ALL = `
/** A count. */
export const COUNT: u32 = config("COUNT", 64);
export const SMALL: u8 = config("SMALL", 255);
export const SIGNED: i16 = config("SIGNED", -5);
export const WIDE: u64 = config("WIDE", 0xffff_ffff_ffff_ffff);
export const DEEP: i64 = config("DEEP", -9223372036854775808);
export const RATIO: f64 = config("RATIO", 0.5);
export const SINGLE: f32 = config("SINGLE", 1);
export const FAST: bool = config("FAST", false);
export const NAME: string = config("NAME", "a \\"b\\" é");
const HIDDEN = config("HIDDEN", 3);
const SLOTS: u32 = config.powerOfTwo("SLOTS", 8);
const LEVEL: i32 = config.range("LEVEL", -3, -10, COUNT);
export const MASK: u32 = COUNT - 1;
export const PLAIN = 7;
export function hidden(): u32 { return HIDDEN + SLOTS + LEVEL; }
export function deep(): i64 { return DEEP; }
export function wide(): u64 { return WIDE; }
export function fast(): bool { return FAST; }
export function ratio(): f64 { return RATIO + SINGLE; }
export function name(): string { return NAME; }
`;

describe("config", () => {
  test("gives constants of every type their defaults, in the manifest, the library and the code", async () => {
    const { api, manifest, module, dts } = await run(ROOT + ALL);
    const table = Object.fromEntries(manifest.constants.map((entry) => [entry.name, entry]));
    expect(table["COUNT"]).toEqual({ name: "COUNT", type: "u32", value: 64, config: true });
    expect(table["WIDE"]).toEqual({ name: "WIDE", type: "u64", value: "18446744073709551615", config: true });
    expect(table["DEEP"]).toMatchObject({ type: "i64", value: "-9223372036854775808" });
    expect(table["SINGLE"]).toMatchObject({ type: "f32", value: 1 });
    expect(table["HIDDEN"]).toMatchObject({ type: "i32", value: 3, config: true });
    expect(table["MASK"]).toEqual({ name: "MASK", type: "u32", value: 63, config: false });
    expect(table["PLAIN"]).toMatchObject({ type: "i32", value: 7 });
    expect(module["NAME"]).toBe('a "b" é');
    expect(module["WIDE"]).toBe(18446744073709551615n);
    expect(dts).toContain("A count.");
    expect(api["hidden"]!()).toBe(8);
    expect(api["deep"]!()).toBe(-9223372036854775808n);
    expect(api["wide"]!()).toBe(18446744073709551615n);
    expect(api["ratio"]!()).toBe(1.5);
    expect(api["name"]!()).toBe('a "b" é');
  });

  test("takes values from the environment, options before it, features as booleans", async () => {
    const env = {
      COUNT: "0x80",
      SMALL: " 7 ",
      SIGNED: "-1_000",
      WIDE: "0b11",
      RATIO: "1e-3",
      FAST: "1",
      NAME: "",
      OTHER: "no matter",
    };
    expect(await constantsOf(ALL, { env, config: { COUNT: "32", DEEP: "-1" } })).toMatchObject({
      COUNT: "u32 32",
      MASK: "u32 31",
      SMALL: "u8 7",
      SIGNED: "i16 -1000",
      WIDE: "u64 3",
      DEEP: "i64 -1",
      RATIO: "f64 0.001",
      FAST: "bool true",
      NAME: "string ",
    });
    expect(await constantsOf(ALL, { features: ["FAST"] })).toMatchObject({ FAST: "bool true" });
  });

  test.each([
    ["COUNT", "many", "u32", "write an integer from 0 to 4294967295"],
    ["COUNT", "-1", "u32", "write an integer from 0 to 4294967295"],
    ["COUNT", "1.5", "u32", "write an integer from 0 to 4294967295"],
    ["COUNT", "", "u32", "write an integer from 0 to 4294967295"],
    ["COUNT", "4294967296", "u32", "write an integer from 0 to 4294967295"],
    ["SMALL", "256", "u8", "write an integer from 0 to 255"],
    ["SIGNED", "32768", "i16", "write an integer from -32768 to 32767"],
    ["DEEP", "9223372036854775808", "i64", "write an integer from -9223372036854775808 to 9223372036854775807"],
    ["FAST", "yes", "bool", "write true or false"],
    ["RATIO", "half", "f64", "write a number, for example 0.5"],
    ["RATIO", "0x10", "f64", "write a number, for example 0.5"],
  ])(
    "refuses %s = %s from options and environment, naming constant, value and type",
    async (name, value, type, help) => {
      const { diagnostics, image } = await build(ROOT + ALL, { config: { [name]: value } });
      expect(image).toBeUndefined();
      expect(diagnostics).toHaveLength(1);
      expect(diagnostics[0]).toMatchObject({
        code: "ERR_VDSO_CONFIG_VALUE",
        message: `${name} must be of type ${type}, found "${value}" (from the build's options)`,
        help,
      });
      expect(diagnostics[0]!.text).toContain(`config("${name}"`);
      const [complaint] = await complaintsAbout(ALL, { env: { [name]: value } });
      expect(complaint).toContain(`found "${value}" (from the environment)`);
    },
  );

  test("checks powers of two and ranges, for defaults and overrides", async () => {
    expect(await complaintsAbout(ALL, { config: { SLOTS: "12" } })).toEqual([
      "14 ERR_VDSO_CONFIG_VALUE SLOTS must be a power of two, found 12 (from the build's options)",
    ]);
    expect(await complaintsAbout(ALL, { env: { LEVEL: "65" } })).toEqual([
      "15 ERR_VDSO_CONFIG_VALUE LEVEL must be from -10 to 64, found 65 (from the environment)",
    ]);
    expect(await complaintsAbout('const A: u32 = config.powerOfTwo("A", 0);')).toEqual([
      "2 ERR_VDSO_CONFIG_VALUE A must be a power of two, found 0",
    ]);
    expect(await complaintsAbout('const A: u32 = config.range("A", 11, 1, 10);')).toEqual([
      "2 ERR_VDSO_CONFIG_VALUE A must be from 1 to 10, found 11",
    ]);
    const bounded = 'const A: u32 = config.powerOfTwo("A", 8, 4, 64);';
    for (const A of ["4", "64"]) expect(await complaintsAbout(bounded, { config: { A } })).toEqual([]);
    for (const A of ["2", "12", "128"]) {
      expect(await complaintsAbout(bounded, { env: { A } })).toEqual([
        `2 ERR_VDSO_CONFIG_VALUE A must be a power of two from 4 to 64, found ${A} (from the environment)`,
      ]);
    }
  });

  test.each([
    ['const A: u32 = config("A");', "ERR_VDSO_CONFIG_FORM config takes a name in quotes and a default value"],
    ["const A: u32 = config(A, 1);", "ERR_VDSO_CONFIG_FORM config takes a name in quotes and a default value"],
    ['const A: u32 = config("A", 1, 2);', "ERR_VDSO_CONFIG_FORM config takes 2 arguments, found 3"],
    ['const A: u32 = config.range("A", 1);', "ERR_VDSO_CONFIG_FORM config.range takes 4 arguments, found 2"],
    [
      'const A: u32 = config.powerOfTwo("A", 1, 2);',
      "ERR_VDSO_CONFIG_FORM config.powerOfTwo takes 4 arguments, found 3",
    ],
    ['const A: u32 = config("my-name", 1);', 'ERR_VDSO_CONFIG_FORM "my-name" cannot be the name of a constant'],
    ['const A: u32 = config("default", 1);', 'ERR_VDSO_CONFIG_FORM "default" cannot be the name of a constant'],
    ['const A: VvarData = config("A", 1);', "ERR_VDSO_CONFIG_FORM a config constant cannot be of type VvarData"],
    ['const A: u8 = config("A", 300);', "ERR_VDSO_CONFIG_VALUE A must be of type u8, found 300"],
    ['const A: u32 = config("A", -1);', "ERR_VDSO_CONFIG_VALUE A must be of type u32, found -1"],
    ['const A: u32 = config("A", 1.5);', "ERR_VDSO_CONFIG_VALUE A must be of type u32, found 1.5"],
    ['const A: u32 = config("A", "1");', "ERR_VDSO_CONFIG_VALUE A must be of type u32, found 1"],
    [
      'const A: u32 = config("A", other());',
      "ERR_VDSO_CONSTANT the default of A must be known at build time: 'other()' is not a constant expression",
    ],
    ['let A: u32 = config("A", 1);', "ERR_VDSO_CONFIG_FORM config is the value of a constant, and nothing else"],
    ['const A: u32 = config("A", 1) + 1;', "ERR_VDSO_CONFIG_FORM config is the value of a constant, and nothing else"],
    [
      'export function f(): u32 { return config("A", 1); }',
      "ERR_VDSO_CONFIG_FORM config is the value of a constant, and nothing else",
    ],
    [
      'const A: u32 = config("A", 1); const B: u32 = config("A", 2);',
      'ERR_VDSO_CONFIG_TWICE a constant is called "A" already',
    ],
  ])("refuses %s", async (text, complaint) => {
    expect(await complaintsAbout(text)).toContain(`2 ${complaint}`);
  });

  test("refuses values and features for constants that there are not, listing those that there are", async () => {
    expect(await complaintsAbout('const A: u32 = config("A", 1);', { config: { B: "1" }, features: ["SLOW"] })).toEqual(
      [
        '1 ERR_VDSO_CONFIG_UNKNOWN no constant is called "B"; known: A',
        '1 ERR_VDSO_CONFIG_UNKNOWN no feature is called "SLOW"; known: A',
      ],
    );
    expect(await complaintsAbout("", { config: { B: "1" } })).toEqual([
      '1 ERR_VDSO_CONFIG_UNKNOWN no constant is called "B"; this vDSO has none',
    ]);
  });
});

const EXPRESSIONS = `
enum Bits { A = 1 << 2, B = A | 3, C, D = -B, E = 0x10 }
class Sizes { static readonly SLOT: u32 = 24; }
export const HALF: f64 = 1 / 2;
export const WRAPPED: u32 = -1;
export const SHIFTED: i32 = 1 << 31;
export const BYTE: u8 = <u8>300;
export const SUM: u64 = u32.MAX_VALUE;
export const WIDE: u64 = <u64>u32.MAX_VALUE + 1;
export const OVER: u32 = u32.MAX_VALUE + 2;
export const LOGICAL: u32 = <u32>-8 >>> 28;
export const ARITHMETIC: i32 = -8 >> 1;
export const PICK: u32 = HALF > 0.25 ? 10 : 20;
export const ALL: bool = !(PICK == 20) && true;
export const LEAST: u32 = min(PICK, 7);
export const MOST: u32 = max(PICK, SUM == 0 ? 1 : 12);
export const MEMBER: u32 = Bits.B * 10 + Bits.C;
export const NEGATIVE: i32 = Bits.D;
export const STATIC: u32 = Sizes.SLOT * 2;
export const CALLED: u32 = u32(2.9);
export const TEXT: string = "a" + "b";
export const FLOAT: f32 = 0.1;
export const REST: i32 = -7 % 3;
export const DIVIDED: i32 = -7 / 2;
export const INVERTED: u8 = ~0 & 0xf0;
`;

test("constant expressions have the value and type that the language gives them", async () => {
  const names = [...EXPRESSIONS.matchAll(/const (\w+): (\w+)/g)].map(([, name, type]) => [name!, type!] as const);
  const getters = names.map(([name, type]) => `export function get_${name}(): ${type} { return ${name}; }`).join("\n");
  const { api, module } = await run(`${ROOT}${EXPRESSIONS}${getters}`);
  for (const [name] of names) expect([name, api[`get_${name}`]!()]).toEqual([name, module[name]]);
  expect(module).toMatchObject({
    HALF: 0.5,
    WRAPPED: 4294967295,
    BYTE: 44,
    WIDE: 4294967296n,
    MEMBER: 78,
    NEGATIVE: -7,
    LOGICAL: 15,
  });
});

test("manifest and code agree on any constant expression", async () => {
  const type = fc.constantFrom("u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64");
  const { expression } = fc.letrec<{ expression: string }>((tie) => ({
    expression: fc.oneof(
      { depthSize: "small", withCrossShrink: true },
      fc.integer({ min: 0, max: 4294967295 }).map(String),
      fc.integer({ min: 0, max: 255 }).map(String),
      fc.integer({ min: -255, max: -1 }).map((n) => `(${n})`),
      fc.tuple(type, tie("expression")).map(([to, of]) => `(<${to}>(${of}))`),
      fc
        .tuple(
          tie("expression"),
          fc.constantFrom("+", "-", "*", "&", "|", "^", "<<", ">>", ">>>", "<", "=="),
          tie("expression"),
        )
        .map(([a, operator, b]) => `(${a} ${operator} ${b})`),
      fc.tuple(tie("expression"), tie("expression"), tie("expression")).map(([c, a, b]) => `(${c} > 0 ? ${a} : ${b})`),
      tie("expression").map((of) => `(-${of})`),
    ),
  }));
  const samples = fc.sample(fc.tuple(type, expression), { numRuns: 400, seed: 20_26 });
  // One compile for many; what the language refuses (operands that do not go together) is left out, a batch at a time.
  const declare = (list: readonly (readonly [string, string])[]): string =>
    list
      .map(
        ([to, of], i) =>
          `export const C${i}: ${to} = <${to}>(${of});\nexport function f${i}(): ${to} { return C${i}; }\n`,
      )
      .join("");
  const text = ROOT + declare(samples);
  const { diagnostics } = await build(text);
  const lines = text.split("\n");
  const refused = new Set(diagnostics.map(({ line }) => Number(/C(\d+)/.exec(lines[line - 1] ?? "")?.[1] ?? -1)));
  const accepted = samples.filter((_, i) => !refused.has(i));
  expect(accepted.length).toBeGreaterThan(100);
  const { api, module } = await run(ROOT + declare(accepted));
  accepted.forEach(([to, of], i) => {
    if (!(`C${i}` in module)) return;
    expect([to, of, module[`C${i}`]]).toEqual([to, of, api[`f${i}`]!()]);
  });
  expect(accepted.filter((_, i) => `C${i}` in module).length).toBeGreaterThan(100);
});

test("lengths and alignments follow overrides, and so does the fingerprint", async () => {
  const text = `
    const LENGTH: u32 = config("LENGTH", 4);
    @vvar class VvarData { @align(LENGTH * 16) @len(LENGTH + 1) a: FixedArray<u32>; }
    const shared = vvarRoot<VvarData>();
    export function length(): u32 { return shared.a.length; }`;
  const short = await run(text);
  const long = await run(text, { config: { LENGTH: "8" } });
  expect([short.api["length"]!(), long.api["length"]!()]).toEqual([5, 9]);
  expect(long.manifest.layout.structs[0]).toMatchObject({ align: 128, fields: [{ length: 9 }] });
  expect(long.manifest.fingerprint).not.toBe(short.manifest.fingerprint);
});
