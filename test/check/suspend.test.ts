import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import wabt from "wabt";
import { WABT_FEATURES } from "../../runtime/build/validate.ts";
import { PREFIXED } from "../../runtime/check/instructions.ts";
import { suspendable } from "../../runtime/check/instrument.ts";
import { outline } from "../../runtime/check/outline.ts";
import { effectOf } from "../../runtime/check/suspend/effects.ts";
import { Mode, RECORD_BYTES } from "../../runtime/check/suspend/frame.ts";
import { makeSuspendable } from "../../runtime/check/suspend/suspend.ts";
import { ValueType } from "../../runtime/check/wasm-binary.ts";
import { expectCode } from "../expect-code.ts";
import { image } from "./images.ts";
import { operationsImage } from "./operations.ts";
import { randomModule } from "./random-module.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const OPTIONS = { hooks: "hook", lasting: new Map([["keep", [0]]]), memory: "stack", pages: 1 };
/** Calls of hooks in one run; a module that makes more is stopped there. */
const MOST = 200;

let assemble: (text: string) => Uint8Array<ArrayBuffer>;
/** A second opinion on what V8 takes as well. */
let validate: (module: Uint8Array<ArrayBuffer>) => void;
beforeAll(async () => {
  const assembler = await wabt();
  validate = (bytes) => {
    const module = assembler.readWasm(bytes, { readDebugNames: false, ...WABT_FEATURES });
    try {
      // Its own types leave the features out.
      (module as { validate(features: typeof WABT_FEATURES): void }).validate(WABT_FEATURES);
    } finally {
      module.destroy();
    }
  };
  assemble = (text) => {
    const module = assembler.parseWat("test.wat", text, WABT_FEATURES);
    try {
      return new Uint8Array(module.toBinary({}).buffer);
    } finally {
      module.destroy();
    }
  };
});

type Value = number | bigint;

/** What the world sees of a run: the hooks' calls, and how it ended. */
interface Observed {
  readonly calls: unknown[][];
  end: unknown;
}

class Enough extends Error {}

/** The answer of a hook: something that depends on all that was asked so far. */
function answer(observed: Observed, name: string, args: readonly Value[]): Value | undefined {
  if (observed.calls.length === MOST) throw new Enough();
  observed.calls.push([name, ...args]);
  const turn = observed.calls.length;
  if (name === "yield") return undefined;
  const value = args[0]!;
  if (typeof value === "bigint") return BigInt.asIntN(64, value * 3n + BigInt(turn));
  return name === "yield_i32" ? (Math.imul(value, 5) + turn) | 0 : value + turn / 2;
}

function finish(observed: Observed, run: () => unknown): Observed {
  try {
    observed.end = run();
  } catch (error) {
    if (error instanceof Enough) observed.end = "stopped";
    else if (error instanceof WebAssembly.RuntimeError) observed.end = error.message;
    else throw error;
  }
  return observed;
}

function imports(module: WebAssembly.Module, hook: (name: string, args: Value[]) => unknown): WebAssembly.Imports {
  const hooks = WebAssembly.Module.imports(module).filter((entry) => entry.module === "hook");
  return {
    hook: Object.fromEntries(hooks.map(({ name }) => [name, (...args: Value[]) => hook(name, args)])),
    other: { use: () => undefined },
  };
}

function runShipped(module: WebAssembly.Module, args: readonly Value[]): Observed {
  const observed: Observed = { calls: [], end: undefined };
  const instance = new WebAssembly.Instance(
    module,
    imports(module, (name, given) => answer(observed, name, given)),
  );
  return finish(observed, () => [
    (instance.exports["main"] as CallableFunction)(...args),
    (instance.exports["count"] as WebAssembly.Global | undefined)?.value,
  ]);
}

/** Stops at every call of a hook, and goes on in an instance that was never used: all of a thread's state is the frames and the globals. */
function runStopping(
  module: WebAssembly.Module,
  args: readonly Value[],
  saved: (frames: Uint8Array) => void = () => undefined,
): Observed {
  const observed: Observed = { calls: [], end: undefined };
  let record = new Int32Array(2);
  let reply: Value | undefined;
  const hook = (name: string, given: Value[]): unknown => {
    if (record[0] === Mode.returning) {
      record[0] = Mode.running;
      return reply;
    }
    reply = answer(observed, name, given);
    record[0] = Mode.leaving;
    record[1] = RECORD_BYTES;
    return typeof reply === "bigint" ? 0n : 0;
  };
  const start = (): WebAssembly.Exports => {
    const { exports } = new WebAssembly.Instance(module, imports(module, hook));
    record = new Int32Array((exports["stack"] as WebAssembly.Memory).buffer, 0, 2);
    return exports;
  };
  const bytes = (exports: WebAssembly.Exports): Uint8Array =>
    new Uint8Array((exports["stack"] as WebAssembly.Memory).buffer);
  return finish(observed, () => {
    let exports = start();
    let given = args;
    for (;;) {
      const result = (exports["main"] as CallableFunction)(...given) as unknown;
      const count = exports["count"] as WebAssembly.Global | undefined;
      if (record[0] === Mode.running) return [result, count?.value];
      expect(record[0]).toBe(Mode.leaving);
      const frames = bytes(exports).slice(0, record[1]);
      saved(frames.subarray(RECORD_BYTES));
      exports = start();
      bytes(exports).set(frames);
      record[0] = Mode.returning;
      if (count) (exports["count"] as WebAssembly.Global).value = count.value;
      // Its arguments are in its frame, as far as it still needs them.
      given = args.map((arg) => (typeof arg === "bigint" ? -1n : -1));
    }
  });
}

test("a random module that stops at every call of a hook does what it does undisturbed", () => {
  const kinds = { stopped: 0, ended: 0 };
  fc.assert(
    fc.property(
      fc.array(fc.nat(9_999), { minLength: 200, maxLength: 2_000, size: "max" }),
      fc.tuple(fc.integer(), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.integer()),
      (choices, args) => {
        const shipped = assemble(randomModule(choices));
        const rewritten = makeSuspendable(shipped, OPTIONS);
        validate(rewritten);
        const expected = runShipped(new WebAssembly.Module(shipped), args);
        const found = runStopping(new WebAssembly.Module(rewritten), args);
        expect(found).toEqual(expected);
        if (process.env["FZ"])
          console.log("S", shipped.length, expected.calls.length, String(expected.end).slice(0, 20));
        kinds[expected.calls.length > 0 ? "stopped" : "ended"]++;
      },
    ),
    { numRuns: 250 },
  );
  // Modules that call no hook prove nothing.
  expect(kinds.stopped).toBeGreaterThan(kinds.ended);
});

const FOLDERS = ["generated", "test/check/vdsos"].map((folder) => join(ROOT, folder));

test.each(readdirSync(FOLDERS[0]!))("the image %s is valid when it is rewritten", (name) => {
  const images = readdirSync(join(FOLDERS[0]!, name)).filter((file) => file.endsWith(".wasm"));
  for (const file of images) {
    const outlined = outline(new Uint8Array(readFileSync(join(FOLDERS[0]!, name, file))), 1);
    validate(outlined.module);
    validate(suspendable(outlined.module));
  }
});

test.each(readdirSync(FOLDERS[1]!))("the checker's test image %s is valid when it is rewritten", async (name) => {
  const { image: bytes } = await image(name, {});
  validate(suspendable(outline(bytes, 1).module));
});

test("an image with every access is valid when it is rewritten", async () => {
  const { image: bytes } = await operationsImage();
  validate(suspendable(outline(bytes, 1).module));
});

describe("a frame holds", () => {
  const HOOKS = `
    (import "hook" "yield_i32" (func $yield (param i32) (result i32)))
    (import "hook" "keep" (func $keep (param i32 i32)))
    (import "other" "use" (func $use (param i32)))
    (type $callback (func (param i32) (result i32)))
    (table 1 1 funcref) (elem (i32.const 0) $called)
    (func $called (param i32) (result i32) (call $yield (local.get 0)))`;
  const STOP = 2;

  /** Sizes of all frames at each stop of `main(7, 8)`. */
  function frames(body: string): number[] {
    const text = `(module ${HOOKS} (func (export "main") (param $a i32) (param $b i32) (result i32) (local $c i32) (local $d i64) ${body}))`;
    const bytes = makeSuspendable(assemble(text), OPTIONS);
    validate(bytes);
    const module = new WebAssembly.Module(bytes);
    const sizes: number[] = [];
    runStopping(module, [7, 8], (saved) => sizes.push(saved.length));
    return sizes;
  }

  test.each([
    ["nothing of a call whose locals are read no more", "(call $yield (i32.add (local.get $a) (local.get $b)))", [0]],
    ["a local that is read behind the stop", "(drop (call $yield (i32.const 1))) (local.get $b)", [4]],
    ["no local that is written before it is read", "(local.set $b (call $yield (local.get $b))) (local.get $b)", [0]],
    [
      "each local only as long as it is read",
      "(drop (call $yield (local.get $a))) (call $use (local.get $a)) (drop (call $yield (local.get $b))) (local.get $b)",
      [8, 4],
    ],
    ["an operand below the call", "(i32.add (i32.mul (local.get $a) (i32.const 3)) (call $yield (i32.const 1)))", [4]],
    ["no constant that is one", "(i32.add (i32.const 3) (call $yield (local.get $a)))", [0]],
    [
      "no operand that is dropped",
      "(i32.add (local.get $a) (local.get $b)) (call $yield (i32.const 1)) drop drop (i32.const 0)",
      [0],
    ],
    [
      "no local that only makes up an unused one",
      "(local.set $c (i32.add (local.get $a) (call $yield (i32.const 1)))) (i32.const 0)",
      [0],
    ],
    [
      "no sum that is carried round a loop in vain",
      `(loop $again
        (local.set $c (i32.add (local.get $c) (call $yield (local.get $a))))
        (br_if $again (local.tee $b (i32.shr_u (local.get $b) (i32.const 1)))))
       (i32.const 0)`,
      [8, 8, 8, 8],
    ],
    [
      "all of a 64-bit local",
      "(local.set $d (i64.const 5)) (drop (call $yield (i32.const 1))) (i32.wrap_i64 (local.get $d))",
      [8],
    ],
    [
      "which function an indirect call is in",
      "(call_indirect (type $callback) (local.get $a) (i32.shr_u (local.get $b) (i32.const 4)))",
      [STOP + 4],
    ],
    [
      "an operand that the hook looks at again",
      "(call $keep (i32.add (local.get $a) (i32.const 1)) (local.get $b)) (i32.const 0)",
      [4],
    ],
    ["one frame for each call", "(drop (call $called (local.get $a))) (local.get $b)", [STOP + 4]],
  ])("%s", (_, body, sizes) => {
    expect(frames(body)).toEqual(sizes.map((size) => size + STOP));
  });
});

describe("is refused, with the reason:", () => {
  const HOOK = '(import "hook" "yield_i32" (func $yield (param i32) (result i32)))';
  test.each([
    ["a tail call", "(func (param i32) (result i32) (return_call $yield (local.get 0)))", /a tail call/],
    [
      "a tail call of a callback",
      `(type $t (func (param i32) (result i32))) (table 1 1 funcref) (elem (i32.const 0) $f)
       (func $f (param i32) (result i32) (call $yield (local.get 0)))
       (func (param i32) (result i32) (return_call_indirect (type $t) (local.get 0) (i32.const 0)))`,
      /a tail call/,
    ],
    ["exceptions", "(func (try (do (drop (call $yield (i32.const 1)))) (catch_all)))", /exceptions are handled/],
    [
      "a block that takes operands",
      "(func (result i32) (i32.const 1) (block (param i32) (result i32) call $yield))",
      /a block that takes operands/,
    ],
    [
      "a kept reference",
      "(func (param externref) (result externref) (drop (call $yield (i32.const 1))) (local.get 0))",
      /a reference is kept/,
    ],
  ])("%s", async (_, body, message) => {
    const assembler = await wabt();
    const features = { ...WABT_FEATURES, tail_call: true, exceptions: true };
    const module = assembler.parseWat("test.wat", `(module ${HOOK} ${body})`, features);
    const bytes = new Uint8Array(module.toBinary({}).buffer);
    module.destroy();
    const error = await expectCode("ERR_VDSO_CHECK_UNSUPPORTED", () => makeSuspendable(bytes, OPTIONS));
    expect(error.message).toMatch(message);
  });
});

describe("what an instruction takes and leaves is what the engine says", () => {
  const types = [ValueType.i32, ValueType.i64, ValueType.f32, ValueType.f64, ValueType.v128, ValueType.funcref];

  /** A function whose locals are one of each type, with this body. */
  function isValid(code: readonly number[]): boolean {
    const body = [types.length, ...types.flatMap((type) => [1, type]), ...code, 0x0b];
    const sized = (bytes: readonly number[]): number[] => [(bytes.length & 0x7f) | 0x80, bytes.length >> 7, ...bytes];
    const section = (id: number, bytes: readonly number[]): number[] => [id, ...sized(bytes)];
    return WebAssembly.validate(
      new Uint8Array([
        ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
        ...section(1, [1, 0x60, 0, 0]),
        ...section(3, [1, 0]),
        ...section(4, [1, ValueType.funcref, 0, 1]),
        ...section(5, [1, 0, 1]),
        ...section(6, [1, ValueType.i32, 1, 0x41, 0, 0x0b]),
        ...section(9, [1, 3, 0, 1, 0]), // declares the function
        ...section(12, [1]),
        ...section(10, [1, ...sized(body)]),
        ...section(11, [1, 1, 0]),
      ]),
    );
  }

  function* operands(count: number): Generator<number[]> {
    if (count === 0) yield [];
    else for (const rest of operands(count - 1)) for (const index of types.keys()) yield [...rest, 0x20, index];
  }

  /** The instruction with immediates that are valid. */
  function encoded(op: number): number[][] {
    const leb = (code: number): number[] => (code < 128 ? [code] : [(code & 0x7f) | 0x80, code >> 7]);
    if (op >= PREFIXED.atomic) {
      const code = op - PREFIXED.atomic;
      if (code === 3) return [[0xfe, 3, 0]];
      return [0, 1, 2, 3].map((align) => [0xfe, ...leb(code), align, 0]);
    }
    if (op >= PREFIXED.vector) {
      const code = op - PREFIXED.vector;
      const laneAccess = code >= 84 && code <= 91;
      const argument = code <= 11 || laneAccess || code === 92 || code === 93 ? [0, 0] : [];
      const lane =
        laneAccess || (code >= 21 && code <= 34) ? [0] : code === 12 || code === 13 ? Array<number>(16).fill(0) : [];
      return [[0xfd, ...leb(code), ...argument, ...lane]];
    }
    if (op >= PREFIXED.bulk) {
      const code = op - PREFIXED.bulk;
      return [[0xfc, code, ...(code >= 8 ? [0] : []), ...(code === 8 || code === 10 ? [0] : [])]];
    }
    if (op >= 0x28 && op <= 0x3e) return [[op, 0, 0]];
    const width: Readonly<Record<number, number>> = { 36: 1, 63: 1, 65: 1, 66: 1, 67: 4, 68: 8, 210: 1 };
    return [[op, ...Array<number>(width[op] ?? 0).fill(0)]];
  }

  test.each([
    ["plain", 0, 0x100, 160],
    ["bulk", PREFIXED.bulk, 18, 12],
    ["vector", PREFIXED.vector, 0x114, 256],
    ["atomic", PREFIXED.atomic, 0x4f, 64],
  ])("%s", (_, first, length, known) => {
    const wrong: string[] = [];
    let count = 0;
    for (let op = first; op < first + length; op++) {
      const effect = effectOf(op);
      if (!effect) continue;
      count++;
      const after = effect.leaves === 0 ? [] : [0x21, types.indexOf(effect.leaves as (typeof types)[number])];
      const fits = [...operands(effect.takes)].some((before) =>
        encoded(op).some((code) => isValid([...before, ...code, ...after])),
      );
      if (!fits) wrong.push(op.toString(16));
    }
    expect(wrong).toEqual([]);
    expect(count).toBe(known);
  });
});
