import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { generateLibrary } from "../../runtime/build/library.ts";
import { map } from "../../runtime/loader/map.ts";
import { expectCode } from "../expect-code.ts";
import {
  buildSample,
  type Folder,
  makeFolder,
  NO_DOCS,
  type Sample,
  type SampleApi,
  type SampleModule,
  sampleHost,
  sampleManifest,
  Watcher,
} from "../loader/sample.ts";

let folder: Folder;
let sample: Sample;
let module: SampleModule;
let api: SampleApi;

beforeAll(async () => {
  folder = makeFolder();
  sample = await buildSample();
  module = await folder.load("sample.mjs", sample.js);
});

afterAll(() => folder.remove());

beforeEach(async () => {
  const mapping = await map(module.default);
  api = mapping.attach({ host: sampleHost() });
});

const snapshot = {
  count: 2n ** 64n - 1n,
  mode: 5,
  last: undefined,
  label: "räksmörgås 🦐",
  ok: true,
  small: -128,
  wide: -32768,
  ratio: 0.5,
  outcome: { ok: false, error: "no" },
  at: 1024,
};

describe("the generated module", () => {
  test("stands alone", () => {
    expect(sample.js).not.toMatch(/^\s*import\b|import\(|require\(/m);
  });

  test("exports enums and constants by name", () => {
    expect(module["Mode"]).toEqual({ Idle: 0, Counting: 5 });
    expect(module["LENGTH"]).toBe(64);
    expect(module["LIMIT"]).toBe(2n ** 64n - 1n);
    expect(module["NAME"]).toBe('queue "a"');
    expect(module["RATIO"]).toBe(-0);
    expect(module["FOREVER"]).toBe(Infinity);
    expect(module["FAST"]).toBe(true);
  });

  test("carries the image, a fresh copy each time, in engines without Uint8Array.fromBase64 too", () => {
    expect(module.default.image()).toEqual(sample.image);
    vi.stubGlobal("Uint8Array", class extends Uint8Array {});
    Object.defineProperty(Uint8Array, "fromBase64", { value: undefined });
    try {
      const first = module.default.image();
      first.fill(0);
      expect([...module.default.image()]).toEqual([...sample.image]);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  test("is the same to the byte each time", () => {
    const { js, dts } = generateLibrary({ manifest: sample.manifest, image: sample.image, docs: NO_DOCS });
    expect(js).toBe(sample.js);
    expect(dts).toBe(sample.dts);
  });

  test("offers no lifecycle exports", () => {
    expect(Object.keys(api)).not.toContain("init");
    expect(Object.keys(api)).not.toContain("processInit");
    expect(Object.keys(api)).not.toContain("processDrop");
    expect(sample.dts).not.toContain("processInit");
  });

  test.each([
    ["an enum named as the API", "SampleApi"],
    ["an enum named Host", "Host"],
    ["an enum named Result", "Result"],
    ["an enum named as a constant", "LENGTH"],
    ["an enum named as an interface's statics", "ObserverStatics"],
  ])("is refused for %s", async (_, name) => {
    const manifest = { ...sample.manifest, enums: [...sample.manifest.enums, { name, values: [] }] };
    const run = () => generateLibrary({ manifest, image: sample.image, docs: NO_DOCS });
    const error = await expectCode("ERR_VDSO_LIBRARY_NAME", run);
    expect(error.message).toContain(`"${name}"`);
  });
});

describe("values come out as they went in:", () => {
  test.each([
    ["echoText", ""],
    ["echoText", "räksmörgås 🦐"],
    ["echoText", "lone \ud800 surrogate"],
    ["echoMaybeText", null],
    ["echoOption", undefined],
    ["echoOption", 0n],
    ["echoOption", 2n ** 64n - 1n],
    ["echoResult", { ok: true, value: 7n }],
    ["echoResult", { ok: false, error: 5 }],
    ["echoSnapshot", snapshot],
    ["echoSnapshot", { ...snapshot, last: 0.25, label: null, outcome: { ok: true, value: undefined } }],
    ["echoNode", null],
    ["echoNode", { value: 1, next: { value: 2, next: null } }],
  ])("%s %o", (name, value) => {
    expect(api[name]!(value)).toStrictEqual(value);
  });

  test("numbers keep sign and width", () => {
    expect(api["add"]!(2 ** 32 - 1, 0)).toBe(2 ** 32 - 1);
    expect(api["count"]!(2n ** 64n - 1n)).toBe(2n ** 64n - 1n);
    expect(api["signed"]!(-(2n ** 63n))).toBe(-(2n ** 63n));
    expect(api["wrap8"]!(-128)).toBe((-128 * 3) & 255);
    expect(api["negate"]!(true)).toBe(false);
    expect(api["negate"]!(false)).toBe(true);
    expect(api["half"]!(-5)).toBe(-2.5);
    expect(api["half"]!(Number.NaN)).toBe(Number.NaN);
    api["setMode"]!(0);
    expect(api["mode"]!()).toBe(0);
  });

  test("a default stands in for an argument left out", () => {
    expect(api["add"]!(1)).toBe(8);
    expect(api["add"]!(1, undefined)).toBe(8);
  });

  test("a long string that fits, again and again", () => {
    const text = "x".repeat(1500);
    for (let round = 0; round < 50; round++) expect(api["echoText"]!(text)).toBe(text);
  });
});

describe("a wrong argument is refused, naming function, parameter, expected and found:", () => {
  test.each<[string, unknown[], string]>([
    ["add", [], "sample.add: expected integer number (u32) for a, found undefined"],
    ["add", [-1, 2], "expected integer number (u32) for a, found -1"],
    ["add", [1, 2 ** 32], "for b, found 4294967296"],
    ["add", [1.5, 2], "for a, found 1.5"],
    ["add", ["1", 2], 'for a, found "1"'],
    ["add", [1n, 2], "for a, found 1n"],
    ["add", [{ valueOf: () => 1 }, 2], "for a, found an object"],
    ["add", [1, null], "for b, found null"],
    ["add", [Symbol("s"), 2], "for a, found Symbol(s)"],
    ["wrap8", [128], "expected integer number (i8) for n, found 128"],
    ["count", [1], "expected bigint (u64) for n, found 1"],
    ["count", [-1n], "for n, found -1n"],
    ["count", [2n ** 64n], "for n, found 18446744073709551616n"],
    ["signed", [2n ** 63n], "expected bigint (i64) for n"],
    ["negate", [1], "expected boolean for flag, found 1"],
    ["negate", [undefined], "expected boolean for flag, found undefined"],
    ["half", ["1"], 'expected number (f64) for n, found "1"'],
    ["setMode", [1], "expected Mode (Idle = 0, Counting = 5) for mode, found 1"],
    ["setMode", ["Idle"], 'for mode, found "Idle"'],
    ["echoText", [1], "expected string for text, found 1"],
    ["echoText", [null], "expected string for text, found null"],
    ["echoText", [new String("x")], "for text, found an object"],
    ["echoText", ["x".repeat(4096)], 'encoded, for text, found "xxxxxxxx'],
    ["echoMaybeText", [undefined], "expected string or null for text, found undefined"],
    ["echoOption", [1], "expected bigint (u64) for value, found 1"],
    ["echoOption", [null], "for value, found null"],
    ["echoResult", [{}], "expected { ok: true, value } or { ok: false, error } for value, found an object"],
    ["echoResult", [{ ok: true, value: 1 }], "expected bigint (u64) for value.value, found 1"],
    ["echoResult", [{ ok: false, value: 1n }], "for value.error, found undefined"],
    ["echoSnapshot", [[]], "expected bigint (u64) for value.count, found undefined"],
    ["echoSnapshot", [null], "expected Snapshot for value, found null"],
    ["echoSnapshot", [{ ...snapshot, small: 128 }], "for value.small, found 128"],
    ["echoSnapshot", [{ ...snapshot, last: "x" }], 'for value.last, found "x"'],
    ["echoSnapshot", [{ ...snapshot, outcome: { ok: false, error: 1 } }], "for value.outcome.error, found 1"],
    ["echoSnapshot", [{ ...snapshot, at: -1 }], "expected offset of a VvarData in the vVAR for value.at"],
    ["echoNode", [{ value: 1, next: { value: 2 } }], "expected Node or null for value.next.next, found undefined"],
  ])("%s%o", async (name, args, message) => {
    const error = await expectCode("ERR_VDSO_ARGUMENT", () => api[name]!(...args));
    expect(error.message).toContain(message);
    // Nothing has happened, and nothing is left on the argument stack.
    expect(api["add"]!(1, 2)).toBe(3);
    expect(api["echoText"]!("y".repeat(1500))).toBe("y".repeat(1500));
  });

  test("a struct that contains itself", async () => {
    const node: Record<string, unknown> = { value: 1 };
    node["next"] = node;
    await expectCode("ERR_VDSO_ARGUMENT", () => api["echoNode"]!(node));
  });

  test("an object without the interface's methods, or no object", async () => {
    const error = await expectCode("ERR_VDSO_INTERFACE", () => api["tell"]!({}, 1n));
    expect(error.message).toBe("sample: expected a function as Observer#changed, found undefined");
    await expectCode("ERR_VDSO_INTERFACE", () => api["tell"]!(null, 1n));
    await expectCode("ERR_VDSO_INTERFACE", () => api["tell"]!(5, 1n));
    expect(api["tell"]!(new Watcher(), 1n)).toBe(true);
  });
});

test("null where the signature has none is an error of its own", async () => {
  const error = await expectCode("ERR_VDSO_NULL", () => api["nothing"]!());
  expect(error.message).toContain("nothing()");
});

test("an enum of many values is checked, with gaps and without", async () => {
  const build = async (values: [string, number][]): Promise<SampleApi> => {
    const manifest = sampleManifest();
    manifest.name = `many${values.length}`;
    manifest.enums[0] = { name: "Mode", values };
    const { js } = await buildSample(undefined, manifest);
    const { default: library } = await folder.load(`${manifest.name}.mjs`, js);
    return (await map(library)).attach({ host: sampleHost() });
  };
  const dense = await build(Array.from({ length: 9 }, (_, value) => [`V${value}`, value - 4]));
  const sparse = await build(Array.from({ length: 10 }, (_, value) => [`V${value}`, value * 10]));
  dense["setMode"]!(-4);
  expect(dense["mode"]!()).toBe(-4);
  for (const wrong of [-5, 5, 0.5, "0", null]) await expectCode("ERR_VDSO_ARGUMENT", () => dense["setMode"]!(wrong));
  sparse["setMode"]!(90);
  for (const wrong of [1, 91, "10"]) await expectCode("ERR_VDSO_ARGUMENT", () => sparse["setMode"]!(wrong));
});
