import fc from "fast-check";
import { expect, test } from "vitest";
import { check, exhaustive, type ThreadBody } from "../../runtime/check/index.ts";
import { instrument } from "../../runtime/check/instrument.ts";
import { expectCode } from "../expect-code.ts";
import { image } from "./images.ts";
import { imageOfWat } from "./operations.ts";

/** What is not an access to the vVAR has to work as before, with every index in its place. */
const CODE = `
  (type $binary (func (param i32 i32) (result i32)))
  (table $functions 3 3 funcref)
  (elem (i32.const 0) $plus $times $touch)
  (data (memory $own) (i32.const 2048) "\\01\\02\\03\\04\\05\\06\\07\\08")
  (data $passive "\\2a\\00\\00\\00")
  (global $narrow (mut i32) (i32.const 1))
  (global $wide (mut i64) (i64.const 2))
  (global $real (mut f64) (f64.const 0.5))
  (global $fixed i32 (i32.const 7))
  (func $plus (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func $times (param i32 i32) (result i32) (i32.mul (local.get 0) (local.get 1)))
  (func $touch (param i32 i32) (result i32)
    (i32.add (i32.atomic.rmw.add $vvar (i32.const 1024) (local.get 0)) (local.get 1)))
  (func $pick (param $n i32) (result i32)
    (block $two (block $one (block $zero
      (br_table $zero $one $two (local.get $n)))
      (return (i32.const 10)))
      (return (i32.const 11)))
    (i32.const 12))
  (func (export "run") (param $a i32) (param $b i32) (result i32) (local $i i32) (local $sum i32)
    (memory.init $own $passive (i32.const 4096) (i32.const 0) (i32.const 4))
    (loop $again
      (local.set $sum (i32.add (local.get $sum)
        (call_indirect $functions (type $binary) (local.get $a) (local.get $b)
          (i32.rem_u (i32.add (local.get $i) (local.get $a)) (i32.const 3)))))
      (local.set $sum (i32.add (local.get $sum) (call $pick (i32.and (local.get $i) (i32.const 3)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br_if $again (i32.lt_u (local.get $i) (i32.const 4))))
    (global.set $narrow (i32.add (global.get $narrow) (local.get $sum)))
    (global.set $wide (i64.mul (global.get $wide) (i64.extend_i32_s (local.get $a))))
    (global.set $real (f64.add (global.get $real) (f64.convert_i32_s (local.get $b))))
    (i32.store $own (i32.const 4100) (i32.add (i32.load $own (i32.const 4100)) (i32.load8_u $own (i32.const 2050))))
    (memory.fill $own (i32.const 4104) (local.get $a) (i32.const 3))
    (memory.copy $own $own (i32.const 4108) (i32.const 4100) (i32.const 8))
    (i32.store $vvar (i32.const 1028) (local.get $sum))
    (i32.add
      (i32.add (global.get $narrow) (i32.wrap_i64 (global.get $wide)))
      (i32.add
        (i32.trunc_sat_f64_s (f64.mul (global.get $real) (f64.const 4)))
        (i32.add
          (i32.add (i32.load $own (i32.const 4096)) (i32.load $own (i32.const 4108)))
          (select (global.get $fixed) (i32.load $own (i32.const 4112)) (i32.and (local.get $b) (i32.const 1)))))))`;
const EXPORTS = [
  {
    name: "run",
    params: [
      { name: "a", type: "i32" },
      { name: "b", type: "i32" },
    ],
    result: "i32",
  },
];

test("tables, segments, globals, branches and private memory work as in the shipped image", async () => {
  const { image: bytes } = await imageOfWat(CODE, EXPORTS);
  const module = await WebAssembly.compile(bytes);
  const programs = fc.array(fc.tuple(fc.integer(), fc.integer()), { minLength: 1, maxLength: 8 });
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const vvar = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
      const { exports } = new WebAssembly.Instance(module, { vdso: { vvar } });
      const expected = program.map(([a, b]) => (exports["run"] as CallableFunction)(a, b) as unknown);
      let results: unknown[] = [];
      await check({
        image: bytes,
        threads: {
          *a(t) {
            for (const [a, b] of program) yield* t.call("run", a, b);
          },
        },
        safety: ({ threads }) => {
          if (threads[0]!.status === "finished") results = threads[0]!.log.map((call) => call.result);
        },
        strategy: exhaustive(),
      });
      expect(results).toEqual(expected);
    }),
    { numRuns: 60 },
  );
});

test("private state of interleaved threads stays apart: globals, memory and the stack in the middle of a call", async () => {
  const { image: bytes } = await imageOfWat(CODE, EXPORTS);
  const runs: ThreadBody = function* (t) {
    const first = yield* t.call("run", t.pid, 3);
    const second = yield* t.call("run", t.pid, 4);
    if (typeof first !== "number" || typeof second !== "number") throw new Error("no number");
  };
  const outcomes = new Set<string>();
  const result = await check({
    image: bytes,
    threads: { a: runs, b: runs },
    races: false,
    safety: ({ threads }) => {
      if (threads.every((thread) => thread.status === "finished"))
        outcomes.add(String(threads.map((t) => t.log.length)));
    },
    strategy: exhaustive(),
  });
  expect(result.ok, String(result)).toBe(true);
  expect([...outcomes]).toEqual(["2,2"]);
});

test("an image is instrumented once", async () => {
  const { image: bytes, manifest } = await image("queue");
  const first = await instrument(bytes, manifest.layout.end);
  expect((await instrument(bytes.slice(), manifest.layout.end)).module).toBe(first.module);
});

test("no access is left in the instrumented module, and each knows its place in the shipped one", async () => {
  const { image: bytes, manifest } = await image("queue");
  const { module, sites } = await instrument(bytes, manifest.layout.end);
  const memories = WebAssembly.Module.imports(module).filter((entry) => entry.kind === "memory");
  expect(memories).toEqual([]);
  // Every atomic instruction has its prefix there.
  for (const site of sites) expect(bytes[site.position] === 0xfe).toBe(site.atomic);
});

test.each([
  ["memory.grow", "(drop (memory.grow $vvar (i32.const 1)))", /a vVAR never grows/],
  [
    "memory.init",
    "(memory.init $vvar $bytes (i32.const 1024) (i32.const 0) (i32.const 4))",
    /memory\.init of the vVAR/,
  ],
  ["a wait on private memory", "(drop (memory.atomic.notify $own (i32.const 0) (i32.const 1)))", /on private memory/],
])("%s is refused", async (_, instruction, message) => {
  const exports = [{ name: "run", params: [], result: "void" }];
  const { image: bytes } = await imageOfWat(`(data $bytes "1234") (func (export "run") ${instruction})`, exports);
  const error = await expectCode("ERR_VDSO_CHECK_UNSUPPORTED", () => instrument(bytes, 2048));
  expect(error.message).toMatch(message);
});
