import fc from "fast-check";
import { expect, test } from "vitest";
import { check, exhaustive, type ThreadBody } from "../../runtime/check/index.ts";
import { BASE, type Operation, operations, operationsImage, ROOM } from "./operations.ts";

const RUNS = 60;
const CALLS = 40;

type Call = readonly [fn: string, args: readonly (number | bigint)[]];

const integers = {
  i32: fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, -0x80000000)),
  i64: fc.oneof(
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
    fc.constantFrom(0n, 1n, -1n, 0xffn, 0xffffn, 0xffffffffn, 0x100000000n, -(2n ** 63n)),
  ),
  f32: fc.float(),
  f64: fc.double(),
};

function callOf({ fn, form }: Operation): fc.Arbitrary<Call> {
  if (form) {
    const places = form.atomic ? ROOM / form.size : ROOM;
    const place = fc.nat(places - 1).map((index) => (form.atomic ? index * form.size : index));
    // Few different values, so that compare-exchanges succeed now and then.
    const operand = fc.oneof(fc.constantFrom(0, 1), integers.i32).map((value) => value);
    const value = form.type === "i64" ? integers.i64 : form.type === "i32" ? operand : integers[form.type];
    return fc.tuple(place, ...fn.params.slice(1).map(() => value)).map((args) => [fn.name, args]);
  }
  const where = fc.nat(ROOM / 2);
  return fc.tuple(where, where, fc.nat(ROOM / 2)).map((args) => [fn.name, args]);
}

const programs = fc.array(fc.oneof(...operations.map(callOf)), { minLength: CALLS, maxLength: CALLS });
const WASM_TO_API: Readonly<Record<string, (value: never) => unknown>> = { u32: (value: number) => value >>> 0 };

function runShipped(module: WebAssembly.Module, program: readonly Call[]): { results: unknown[]; bytes: number[] } {
  const vvar = new WebAssembly.Memory({ initial: 1, maximum: 65536, shared: true });
  const { exports } = new WebAssembly.Instance(module, { vdso: { vvar } });
  const results = program.map(([fn, args]) => {
    const raw = (exports[fn] as CallableFunction)(...args) as unknown;
    const convert = WASM_TO_API[operations.find((operation) => operation.name === fn)!.fn.result];
    return convert ? convert(raw as never) : raw;
  });
  return { results, bytes: [...new Uint8Array(vvar.buffer, BASE, ROOM)] };
}

test(`${RUNS * CALLS} calls of every instruction give the same on the instrumented and on the shipped image`, async () => {
  const { image } = await operationsImage();
  const module = await WebAssembly.compile(image);
  await fc.assert(
    fc.asyncProperty(programs, async (program) => {
      const expected = runShipped(module, program);
      // As whole accesses, and in the pieces that plain ones may tear into.
      for (const allow of [[], ["bytes"]]) {
        let results: unknown[] = [];
        let bytes: unknown;
        const result = await check({
          image,
          threads: {
            *only(t) {
              for (const [fn, args] of program) yield* t.call(fn, ...args);
            },
          },
          safety: ({ threads, vvar }) => {
            if (threads[0]!.status !== "finished") return;
            results = threads[0]!.log.map((call) => call.result);
            bytes = (vvar["bytes"] as number[]).slice(0, ROOM);
          },
          races: { allow },
          strategy: exhaustive(),
        });
        expect(result.ok, String(result)).toBe(true);
        expect({ results, bytes }).toEqual(expected);
      }
    }),
    { numRuns: RUNS },
  );
});

test("every instruction that touches the vVAR is a step of its own", async () => {
  const { image } = await operationsImage();
  for (const { name, fn, form } of operations) {
    const args = fn.params.map(({ type }, index) => (type === "i64" ? 0n : index === 2 && !form ? 8 : 0));
    const result = await check({
      image,
      threads: {
        *only(t) {
          yield* t.call(name, ...args);
        },
      },
      strategy: exhaustive(),
    });
    expect([name, result.transitions]).toEqual([name, name === "size" || name === "own" ? 0 : 1]);
  }
});

/** All orders in which two sequences can be mixed, as which of them is next. */
function* interleavings(a: number, b: number): Generator<(0 | 1)[]> {
  if (a === 0 && b === 0) yield [];
  if (a > 0) for (const rest of interleavings(a - 1, b)) yield [0, ...rest];
  if (b > 0) for (const rest of interleavings(a, b - 1)) yield [1, ...rest];
}

test("the outcomes of two threads are those of all interleavings, tried one by one on the shipped image", async () => {
  const { image } = await operationsImage();
  const module = await WebAssembly.compile(image);
  // Words that the two share, and values that meet.
  const atomics = operations.filter(({ form }) => form?.atomic && form.type === "i32" && form.size === 4);
  const call = fc
    .tuple(fc.constantFrom(...atomics), fc.constantFrom(0, 4), fc.nat(2), fc.nat(2))
    .map(([{ name, fn }, ...args]): Call => [name, args.slice(0, fn.params.length)]);
  const sequence = fc.array(call, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(sequence, sequence, async (first, second) => {
      const expected = new Set<string>();
      for (const order of interleavings(first.length, second.length)) {
        const next = [0, 0];
        const mixed = order.map((who) => [first, second][who]![next[who]!++]!);
        const { results, bytes } = runShipped(module, mixed);
        const each = [0, 1].map((who) => results.filter((_, index) => order[index] === who));
        expected.add(JSON.stringify([...each, bytes.slice(0, 8)]));
      }
      const found = new Set<string>();
      const runs = (program: readonly Call[]): ThreadBody =>
        function* (t) {
          for (const [fn, args] of program) yield* t.call(fn, ...args);
        };
      await check({
        image,
        threads: { a: runs(first), b: runs(second) },
        safety: ({ threads, vvar }) => {
          if (threads.some((thread) => thread.status !== "finished")) return;
          const results = threads.map(({ log }) => log.map((record) => record.result));
          found.add(JSON.stringify([...results, (vvar["bytes"] as number[]).slice(0, 8)]));
        },
        strategy: exhaustive(),
      });
      expect([...found].sort()).toEqual([...expected].sort());
    }),
    { numRuns: 40 },
  );
});
