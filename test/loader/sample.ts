/**
 * An image written by hand, so that loader and library are tested without the compiler: text assembled by Binaryen, and a manifest to it.
 * Its `echo` functions return the pointer they got; what comes out went through encoding and decoding.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import binaryen from "binaryen";
import { afterAll } from "vitest";
import { type AuthorDocs, generateLibrary } from "../../runtime/build/library.ts";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import type { ApiFunction, Manifest, Parameter } from "../../runtime/image/manifest.ts";
import { writeImage } from "../../runtime/image/write.ts";

export const SAMPLE_WAT = `(module
  (import "vdso" "vvar" (memory $vvar 0 65536 shared))
  (import "vdso" "panic" (func $panic (param i32)))
  (import "vdso" "log" (func $log (param i32)))
  (import "vdso" "argI" (func $argI (param i64)))
  (import "vdso" "argU" (func $argU (param i64)))
  (import "vdso" "argF" (func $argF (param f64)))
  (import "vdso" "argB" (func $argB (param i32)))
  (import "vdso" "abort" (func $abort (param i32 i32 i32 i32)))
  (import "vdso" "retain" (func $retain (param i32)))
  (import "vdso" "release" (func $release (param i32)))
  (import "host" "Observer.now" (func $now (result f64)))
  (import "host" "Observer.greet" (func $greet (param i32) (result i32)))
  (import "host" "Observer.self" (func $self (result i32)))
  (import "host" "Observer#changed" (func $changed (param i32 i64) (result i32)))
  (memory $own 1 1)
  (data (memory $own) (i32.const 32768) "\\02\\00\\00\\00\\08\\00\\00\\00l\\00o\\00s\\00t\\00")
  (global $kept (mut i32) (i32.const 0))
  (global $calls (mut i32) (i32.const 0))
  (export "memory" (memory $own))

  (func (export "init")
    (i32.store $vvar (i32.const 1032) (i32.const 5)))
  (func (export "processInit") (param i32)
    (i32.store $vvar (i32.const 1036) (local.get 0)))
  (func (export "processDrop") (param i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (if (i32.eq (local.get 0) (i32.const 66)) (then (call $argI (i64.extend_i32_s (local.get 0))) (call $panic (i32.const 1)) (unreachable)))
    (if (i32.eq (local.get 0) (i32.const 67)) (then (unreachable)))
    (if (i32.eq (local.get 0) (i32.const 68)) (then (drop (call $now))))
    (i32.store $vvar (i32.const 1040) (i32.add (i32.load $vvar (i32.const 1040)) (global.get $calls))))

  (func (export "zero") (result i32) (i32.load $own (i32.const 64)))
  (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "count") (param i64) (result i64)
    (i64.add (i64.atomic.rmw.add $vvar (i32.const 1024) (local.get 0)) (local.get 0)))
  (func (export "mode") (result i32) (i32.load $vvar (i32.const 1032)))
  (func (export "setMode") (param i32) (i32.store $vvar (i32.const 1032) (local.get 0)))
  (func (export "lastPid") (result i32) (i32.load $vvar (i32.const 1036)))
  (func (export "dropped") (result i32) (i32.load $vvar (i32.const 1040)))
  (func (export "calls") (result i32)
    (global.set $calls (i32.add (global.get $calls) (i32.const 1))) (global.get $calls))
  (func (export "wrap8") (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
  (func (export "negate") (param i32) (result i32) (i32.eqz (local.get 0)))
  (func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
  (func (export "signed") (param i64) (result i64) (local.get 0))

  (func (export "fail") (param i64 i32)
    (call $argU (local.get 0)) (call $argF (f64.const 0.5)) (call $argB (local.get 1)) (call $panic (i32.const 0)) (unreachable))
  (func (export "trap") (result i32) (i32.div_u (i32.const 1) (i32.load $own (i32.const 64))))
  (func $deep (export "deep") (param i32) (result i32) (i32.add (call $deep (local.get 0)) (i32.const 1)))
  (func (export "abort") (call $abort (i32.const 32776) (i32.const 32776) (i32.const 3) (i32.const 4)) (unreachable))
  (func (export "say") (param i32)
    (if (i32.le_u (i32.const 1) (i32.load $own (i32.const 16)))
      (then (call $argI (i64.extend_i32_s (local.get 0))) (call $log (i32.const 0))))
    (if (i32.le_u (i32.const 3) (i32.load $own (i32.const 16)))
      (then (call $log (i32.const 1))))
    (if (i32.le_u (i32.const 5) (i32.load $own (i32.const 16)))
      (then (call $log (i32.const 2)))))

  (func (export "now") (result f64) (call $now))
  (func (export "greet") (param i32) (result i32) (call $greet (local.get 0)))
  (func (export "selfChanged") (param i64) (result i32) (call $changed (call $self) (local.get 0)))
  (func (export "tell") (param i32 i64) (result i32) (call $changed (local.get 0) (local.get 1)))
  (func (export "keep") (param i32) (call $retain (local.get 0)) (global.set $kept (local.get 0)))
  (func (export "hold") (param i32) (global.set $kept (local.get 0)))
  (func (export "kept") (result i32) (global.get $kept))
  (func (export "tellKept") (param i64) (result i32) (call $changed (global.get $kept) (local.get 0)))
  (func (export "letGo") (call $release (global.get $kept)))
  (func (export "cursor") (result i32) (i32.load $own (i32.const 20)))
  (func (export "moveCursor") (param i32) (i32.store $own (i32.const 20) (local.get 0)))
  (func (export "nothing") (result i32) (i32.const 0))

  (func (export "echoText") (param i32) (result i32) (local.get 0))
  (func (export "echoMaybeText") (param i32) (result i32) (local.get 0))
  (func (export "echoOption") (param i32) (result i32) (local.get 0))
  (func (export "echoResult") (param i32) (result i32) (local.get 0))
  (func (export "echoSnapshot") (param i32) (result i32) (local.get 0))
  (func (export "echoNode") (param i32) (result i32) (local.get 0))
)`;

const params = (list: Readonly<Record<string, string>>): Parameter[] =>
  Object.entries(list).map(([name, text]) => {
    const [type = "", value] = text.split(" = ");
    return value === undefined ? { name, type } : { name, type, default: value };
  });

const fn = (name: string, list: Readonly<Record<string, string>>, result: string): ApiFunction => ({
  name,
  params: params(list),
  result,
});

/** A fresh copy: tests change it. */
export function sampleManifest(): Omit<Manifest, "fingerprint"> {
  return {
    name: "sample",
    package: "tests",
    mode: "release",
    log: true,
    features: [],
    builder: "wasm-vdso 0.1.0",
    layout: {
      root: "VvarData",
      address: 1024,
      end: 1048,
      structs: [
        {
          name: "VvarData",
          size: 24,
          align: 8,
          fields: [
            { name: "count", offset: 0, type: "Atomic<u64>", size: 8 },
            { name: "mode", offset: 8, type: "Mode", size: 4 },
            { name: "lastPid", offset: 12, type: "u32", size: 4 },
            { name: "dropped", offset: 16, type: "u32", size: 4, length: 1, stride: 4 },
          ],
        },
      ],
    },
    constants: [
      { name: "LENGTH", type: "u32", value: 64, config: true },
      { name: "LIMIT", type: "u64", value: "18446744073709551615", config: true },
      { name: "NAME", type: "string", value: 'queue "a"', config: true },
      { name: "RATIO", type: "f64", value: -0, config: false },
      { name: "FOREVER", type: "f64", value: Infinity, config: false },
      { name: "FAST", type: "bool", value: true, config: false },
    ],
    enums: [
      {
        name: "Mode",
        values: [
          ["Idle", 0],
          ["Counting", 5],
        ],
      },
      {
        name: "Unused",
        values: [
          ["A", 0],
          ["B", 1],
          ["C", 2],
        ],
      },
    ],
    structs: [
      {
        name: "Snapshot",
        size: 40,
        fields: [
          { name: "count", offset: 0, type: "u64" },
          { name: "mode", offset: 8, type: "Mode" },
          { name: "last", offset: 12, type: "Option<f64>" },
          { name: "label", offset: 16, type: "string?" },
          { name: "ok", offset: 20, type: "bool" },
          { name: "small", offset: 21, type: "i8" },
          { name: "wide", offset: 22, type: "i16" },
          { name: "ratio", offset: 24, type: "f32" },
          { name: "outcome", offset: 28, type: "Result<void,string>" },
          { name: "at", offset: 32, type: "VvarData" },
        ],
      },
      {
        name: "Node",
        size: 8,
        fields: [
          { name: "value", offset: 0, type: "u32" },
          { name: "next", offset: 4, type: "Node?" },
        ],
      },
    ],
    exports: [
      fn("init", {}, "void"),
      fn("processInit", { pid: "i32" }, "void"),
      fn("processDrop", { pid: "i32" }, "void"),
      fn("zero", {}, "u32"),
      fn("add", { a: "u32", b: "u32 = 7" }, "u32"),
      fn("count", { n: "u64" }, "u64"),
      fn("mode", {}, "Mode"),
      fn("setMode", { mode: "Mode" }, "void"),
      fn("lastPid", {}, "i32"),
      fn("dropped", {}, "u32"),
      fn("calls", {}, "i32"),
      fn("wrap8", { n: "i8" }, "u8"),
      fn("negate", { flag: "bool" }, "bool"),
      fn("half", { n: "f64" }, "f64"),
      fn("signed", { n: "i64" }, "i64"),
      fn("fail", { n: "u64", flag: "bool" }, "void"),
      fn("trap", {}, "u32"),
      fn("deep", { n: "i32" }, "i32"),
      fn("abort", {}, "void"),
      fn("say", { n: "i32" }, "void"),
      fn("now", {}, "f64"),
      fn("greet", { whom: "string" }, "string"),
      fn("selfChanged", { value: "u64" }, "bool"),
      fn("tell", { who: "Observer", value: "u64" }, "bool"),
      fn("keep", { who: "Observer" }, "void"),
      fn("hold", { who: "Observer" }, "void"),
      fn("kept", {}, "Observer"),
      fn("tellKept", { value: "u64" }, "bool"),
      fn("letGo", {}, "void"),
      fn("cursor", {}, "u32"),
      fn("moveCursor", { to: "u32" }, "void"),
      fn("nothing", {}, "Snapshot"),
      fn("echoText", { text: "string" }, "string"),
      fn("echoMaybeText", { text: "string?" }, "string?"),
      fn("echoOption", { value: "Option<u64>" }, "Option<u64>"),
      fn("echoResult", { value: "Result<u64,Mode>" }, "Result<u64,Mode>"),
      fn("echoSnapshot", { value: "Snapshot" }, "Snapshot"),
      fn("echoNode", { value: "Node?" }, "Node?"),
    ],
    interfaces: [
      {
        name: "Observer",
        functions: [
          { name: "now", static: true, params: [], result: "f64" },
          { name: "greet", static: true, params: params({ whom: "string" }), result: "string" },
          { name: "self", static: true, params: [], result: "Observer" },
          { name: "changed", static: false, params: params({ value: "u64" }), result: "bool" },
        ],
      },
    ],
    panics: [
      { message: "refused {} and {}", file: "api.ts", line: 12, column: 3 },
      { message: "cannot drop {}", file: "drop.ts", line: 7, column: 1 },
    ],
    logs: [
      { level: "error", message: "value {}", file: "api.ts", line: 20, column: 1 },
      { level: "info", message: "informed", file: "api.ts", line: 21, column: 1 },
      { level: "trace", message: "traced", file: "api.ts", line: 22, column: 1 },
    ],
    private: { pages: 1, logLevel: 16, args: 1024, argsBytes: 4096, ringCursor: 20 },
  };
}

export const NO_DOCS: AuthorDocs = { functions: {}, types: {}, members: {} };

export function assemble(wat: string): Uint8Array<ArrayBuffer> {
  const module = binaryen.parseText(wat);
  try {
    // Not all there are: WABT does not read the encodings that some would bring.
    const { Features } = binaryen;
    module.setFeatures(Features.Atomics | Features.MultiMemory | Features.BulkMemory | Features.MutableGlobals);
    if (!module.validate()) throw new Error("the text of a test's module is not valid");
    return new Uint8Array(module.emitBinary());
  } finally {
    module.dispose();
  }
}

export interface Sample {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly manifest: Manifest;
  readonly js: string;
  readonly dts: string;
}

export async function buildSample(
  wat: string = SAMPLE_WAT,
  description: Omit<Manifest, "fingerprint"> = sampleManifest(),
  docs: AuthorDocs = NO_DOCS,
): Promise<Sample> {
  const { image, manifest } = await writeImage(assemble(wat), description);
  return { image, manifest, ...generateLibrary({ manifest, image, docs }) };
}

/** What a process supplies to the sample. */
export interface SampleHost {
  readonly Observer: {
    now(): unknown;
    greet(whom: string): unknown;
    self(): unknown;
  };
}

/** The sample's API as plain JavaScript sees it: tests pass wrong arguments on purpose. */
export type SampleApi = Record<string, (...args: unknown[]) => unknown>;

export type SampleModule = { readonly default: VdsoLibrary<SampleApi, SampleHost> } & Readonly<Record<string, unknown>>;

/** A folder for generated files, gone with `remove`. */
export interface Folder {
  readonly path: string;
  write(name: string, text: string): URL;
  load(name: string, js: string): Promise<SampleModule>;
  remove(): void;
}

export function makeFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "vdso-test-"));
  const write = (name: string, text: string): URL => {
    writeFileSync(join(path, name), text);
    return pathToFileURL(join(path, name));
  };
  return {
    path,
    write,
    load: (name, js) => import(/* @vite-ignore */ write(name, js).href),
    remove: () => rmSync(path, { recursive: true, force: true }),
  };
}

/** The sample's API library in a folder that is gone after the tests of this file. */
export async function loadSample(): Promise<{ folder: Folder; library: SampleModule["default"] }> {
  const folder = makeFolder();
  afterAll(() => folder.remove());
  return { folder, library: (await folder.load("sample.mjs", (await buildSample()).js)).default };
}

/** An observer that declines even values and remembers all. */
export class Watcher {
  readonly seen: bigint[] = [];

  changed(value: bigint): boolean {
    this.seen.push(value);
    return value % 2n === 1n;
  }
}

export function sampleHost(changes: Partial<SampleHost["Observer"]> = {}): SampleHost {
  return { Observer: { now: () => 1.5, greet: (whom) => `hello ${whom}`, self: () => new Watcher(), ...changes } };
}
