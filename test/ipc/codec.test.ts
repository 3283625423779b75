import fc from "fast-check";
import { expect, test } from "vitest";
import vheap from "../../generated/vheap/vheap.js";
import { VdsoError } from "../../runtime/errors.ts";
import { map } from "../../runtime/index.ts";
import { structured } from "../../runtime/ipc/codec.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import { expectCode } from "../expect-code.ts";

const copy = (value: unknown): unknown => structured.decode(Uint8Array.from(structured.encode(value)));

test("values come back as structured clone has them", () => {
  const anything = fc.anything({
    withBigInt: true,
    withDate: true,
    withMap: true,
    withSet: true,
    withTypedArray: true,
    withSparseArray: true,
    withUnicodeString: true,
  } as fc.ObjectConstraints);
  fc.assert(
    fc.property(anything, (value) => {
      expect(copy(value)).toEqual(structuredClone(value));
    }),
    { numRuns: 2000 },
  );
});

test("strings of every kind come back, lone surrogates too", () => {
  const texts = [
    "",
    "a".repeat(48),
    "a".repeat(49),
    "ä".repeat(48),
    "\u{1F600}".repeat(1000),
    "\ud800x",
    "\ufeffx",
    "\0",
  ];
  for (const text of texts) expect(copy(text)).toBe(text);
});

test("numbers, identity, cycles, errors, patterns and buffers come back", () => {
  for (const n of [0, -0, 1, -1, 2 ** 31, -(2 ** 31), 2 ** 31 - 1, 2 ** 53, 0.1, Number.NaN, -Infinity])
    expect(copy(n)).toBe(n);
  for (const n of [0n, -1n, 2n ** 64n, -(2n ** 4000n)]) expect(copy(n)).toBe(n);
  const shared = { x: 1 };
  const many: Record<string, unknown> = { a: shared, b: shared, list: Array.from({ length: 40 }, () => shared) };
  many["self"] = many;
  const back = copy(many) as typeof many;
  expect(back["a"]).toBe(back["b"]);
  expect((back["list"] as unknown[])[39]).toBe(back["a"]);
  expect(back["self"]).toBe(back);
  const error = copy(new RangeError("far", { cause: new VdsoError("ERR_VDSO_X", "why") })) as RangeError;
  expect(error).toBeInstanceOf(RangeError);
  expect(error.cause).toMatchObject({ name: "VdsoError", code: "ERR_VDSO_X", message: "why" });
  expect(copy(/a+/giu)).toEqual(/a+/giu);
  expect(copy(new DataView(new ArrayBuffer(3)))).toEqual(new DataView(new ArrayBuffer(3)));
  expect(Object.keys(copy(JSON.parse('{"__proto__": {"x": 1}}')) as object)).toEqual(["__proto__"]);
  expect(copy(Object.assign(Object.create({ inherited: 1 }) as object, { own: 2 }))).toEqual({ own: 2 });
});

test("what cannot be sent is named by its path", async () => {
  const detached = new ArrayBuffer(8);
  const view = new Uint8Array(detached);
  detached.transfer();
  const endless: unknown[] = [];
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  let deep: unknown = endless;
  for (let i = 0; i < 3000; i++) deep = [deep];
  const cases: readonly [unknown, string][] = [
    [() => 1, "value: "],
    [{ a: [1, { b: Symbol("s") }] }, "value.a[1].b: "],
    [new Map([["key", Promise.resolve()]]), "value.key: "],
    [[new SharedArrayBuffer(1)], "value[0]: "],
    [{ w: new WeakMap() }, "value.w: "],
    [deep, "nested deeper"],
    [{ n: Object(5) as unknown }, "value.n: expected something that can be sent, found a Number"],
    [{ s: Object("ab") as unknown }, "found a String"],
    [{ u: new URL("data:,") }, "value.u: expected something that can be sent, found a URL"],
    [[1].values(), "found a Array Iterator"],
    [{ g: (async function* () {})() }, "value.g: expected something that can be sent, found a AsyncGenerator"],
    [
      { p: new (class extends Promise<void> {})(() => undefined) },
      "value.p: expected something that can be sent, found a ",
    ],
    [new (class extends URL {})("data:,"), "found a URL"],
    [{ b: detached }, "value.b: expected something that can be sent, found a buffer that was transferred"],
    [[view], "value[0]: expected something that can be sent, found a buffer that was transferred"],
    [{ "a b": [{ 'quo"ted': () => 1 }] }, 'value["a b"][0]["quo\\"ted"]: '],
    [
      [
        {
          get x() {
            throw new RangeError("on purpose");
          },
        },
      ],
      "value[0].x: expected something that can be sent, found what throws",
    ],
    [{ proxy: revoked.proxy }, "value.proxy: expected something that can be sent, found what throws when it is read"],
    [
      { loan: new Heap((await map(vheap)).attach()).loan(64) },
      "value.loan: expected something that can be sent, found a loan",
    ],
  ];
  for (const [value, text] of cases) {
    const { message } = await expectCode("ERR_VDSO_NOT_CLONABLE", () => structured.encode(value));
    expect(message).toContain(text);
    expect(message.length).toBeLessThan(300);
  }
  const reason = new RangeError("of who replaces");
  const replace = (): never => {
    throw reason;
  };
  expect(() => structured.encode([{ a: () => 1 }], replace)).toThrow(reason);
  expect(copy("still works")).toBe("still works");
});

test("an instance of a class is a record, whatever it calls itself", () => {
  class Money {
    readonly cents = 5;
    get [Symbol.toStringTag](): string {
      return "Money";
    }
  }
  expect(copy({ price: new Money() })).toEqual({ price: { cents: 5 } });
});

test("a getter that encodes something itself does no harm", () => {
  const value = {
    get inner() {
      return (copy({ n: 1 }) as { n: number }).n;
    },
    after: "text",
  };
  expect(copy(value)).toEqual({ inner: 1, after: "text" });
});

test("stand-ins nested without end, and names of errors that every object knows, are refused or harmless", async () => {
  await expectCode("ERR_VDSO_GARBAGE", () => structured.decode(new Uint8Array(200_000).fill(21), (token) => token));
  await expectCode("ERR_VDSO_GARBAGE", () => structured.decode(new Uint8Array(200_000).fill(21)));
  for (const name of ["toString", "constructor", "__proto__", "valueOf"]) {
    const error = structured.decode(structured.encode(Object.assign(new Error("x"), { name }))) as Error;
    expect(error).toBeInstanceOf(Error);
    expect([error.name, error.message]).toEqual([name, "x"]);
  }
});

test("a view of a type that the format does not have is refused by its path", async () => {
  const { Float16Array } = globalThis as { Float16Array?: new (length: number) => object };
  if (Float16Array === undefined) return;
  const { message } = await expectCode("ERR_VDSO_NOT_CLONABLE", () =>
    structured.encode({ list: [new Float16Array(2)] }),
  );
  expect(message).toContain("value.list[0]: expected something that can be sent, found a Float16Array");
});

test("garbage decodes to a value or is refused by name, in bounded time", () => {
  const whole = fc
    .anything({ withBigInt: true, withMap: true, withSet: true, withTypedArray: true })
    .map((value) => structured.encode(value).slice());
  const damaged = fc
    .tuple(whole, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.nat())
    .map(([bytes, changes, cut]) => {
      for (const [at, byte] of changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
      return cut % 3 === 0 ? bytes.subarray(0, cut % (bytes.length + 1)) : bytes;
    });
  fc.assert(
    fc.property(fc.oneof(damaged, fc.uint8Array({ maxLength: 100 })), (bytes) => {
      try {
        structured.decode(bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: "ERR_VDSO_GARBAGE" });
      }
    }),
    { numRuns: 5000 },
  );
});
