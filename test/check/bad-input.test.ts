import { expect, test } from "vitest";
import { check, exhaustive, random, replay, type ThreadBody } from "../../runtime/check/index.ts";
import { instrument } from "../../runtime/check/instrument.ts";
import type { ApiFunction } from "../../runtime/image/manifest.ts";
import { expectCode } from "../expect-code.ts";
import { image, imageOf } from "./images.ts";
import { imageOfWat } from "./operations.ts";

const pushOnce: ThreadBody = function* (t) {
  yield* t.call("tryPush", 1n);
};

const HOSTED = `
  @vvar class VvarData { count: Atomic<u32>; }
  const shared = vvarRoot<VvarData>();
  @host declare class Clock { static now(): f64; }
  export function stamp(): f64 { shared.count.add(1); return Clock.now(); }
  export function forever(): void { let i: u32 = 0; while (true) { i++; if (i == 0xffffffff) i = 0; } }
  export function silent(): bool { return false; }
`;

test("a thread that is not deterministic is refused", async () => {
  let calls = 0n;
  const { image: queue } = await image("queue");
  const spec = {
    image: queue,
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("tryPush", calls++);
        yield* t.call("tryPush", 5n);
      },
    },
  };
  const error = await expectCode("ERR_VDSO_CHECK_NONDETERMINISTIC", () => check(spec));
  expect(error.message).toMatch(/thread "a" .*tryPush\(0n\).*tryPush\(1n\)/);
});

test("a host implementation that is not deterministic is refused when its failure does not come back", async () => {
  const { image: hosted } = await imageOf(HOSTED);
  let time = 0;
  const spec = {
    image: hosted,
    host: { Clock: { now: () => time++ } },
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("stamp");
      },
    },
    safety: ({ threads }: { threads: readonly { log: readonly { result: unknown }[] }[] }) =>
      threads[0]!.log.length === 0 || `the time is ${String(threads[0]!.log[0]!.result)}`,
  };
  await expectCode("ERR_VDSO_CHECK_NONDETERMINISTIC", () => check(spec));
});

test("an export that does not exist is named, with those that do", async () => {
  const { image: queue } = await image("queue");
  const spec = {
    image: queue,
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("push");
      },
    },
  };
  const error = await expectCode("ERR_VDSO_CHECK_EXPORT", () => check(spec));
  expect(error.message).toMatch(/"a" calls push\(\).*init, tryPush, tryPop/);
});

test.each<[string, unknown[], RegExp]>([
  ["too few", [], /tryPush\(item\) takes 1 argument, found 0/],
  ["too many", [1n, 2n], /takes 1 argument, found 2/],
  ["of the wrong type", [1], /tryPush: item: expected a bigint that fits u64, found 1/],
])("arguments that are %s are refused", async (_, args, message) => {
  const { image: queue } = await image("queue");
  const spec = {
    image: queue,
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("tryPush", ...args);
      },
    },
  };
  expect((await expectCode("ERR_VDSO_CHECK_ARGUMENT", () => check(spec))).message).toMatch(message);
});

test("a loop that never touches the vVAR is a failure, and does not hang", async () => {
  const { image: hosted, sourceMap } = await imageOf(HOSTED);
  const { failure } = await check({
    image: hosted,
    sourceMap,
    threads: {
      *a(t) {
        yield* t.call("forever");
      },
    },
  });
  expect(failure?.kind).toBe("endless");
  expect(failure?.message).toMatch(/"a" in forever\(\): a loop went round 2000000 times without an access/);
});

test("a thread that repeats a call which never touches the vVAR is a failure, and does not hang", async () => {
  const { image: hosted } = await imageOf(HOSTED);
  const { failure } = await check({
    image: hosted,
    threads: {
      *a(t) {
        yield* t.until("silent", [], (done) => done === true);
      },
    },
  });
  expect(failure?.kind).toBe("endless");
  expect(failure?.message).toContain("silent() was called 10000 times");
});

test("a call into an interface without an implementation names thread and function", async () => {
  const { image: hosted } = await imageOf(HOSTED);
  const spec = {
    image: hosted,
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("stamp");
      },
    },
  };
  const error = await expectCode("ERR_VDSO_CHECK_INTERFACE", () => check(spec));
  expect(error.message).toMatch(/thread "a" called Clock\.now\(\)/);
});

test("a result of the wrong type from an implementation is refused", async () => {
  const { image: hosted } = await imageOf(HOSTED);
  const spec = {
    image: hosted,
    host: { Clock: { now: () => "noon" } },
    threads: {
      *a(t: Parameters<ThreadBody>[0]) {
        yield* t.call("stamp");
      },
    },
  };
  const error = await expectCode("ERR_VDSO_CHECK_INTERFACE", () => check(spec));
  expect(error.message).toMatch(/Clock\.now: expected a number, found "noon"/);
});

test("more states than allowed is an error that says so", async () => {
  const { image: queue } = await image("queue");
  const spec = { image: queue, threads: { a: pushOnce, b: pushOnce }, strategy: exhaustive({ states: 10 }) };
  const error = await expectCode("ERR_VDSO_CHECK_LIMIT", () => check(spec));
  expect(error.message).toMatch(/at most 10 states, found more \(exhaustive\)/);
});

test("what is not an image is refused", async () => {
  const threads = { a: pushOnce };
  await expectCode("ERR_VDSO_IMAGE_MAGIC", () => check({ image: new Uint8Array(10), threads }));
  const module = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  await expectCode("ERR_VDSO_IMAGE_FOREIGN", () => check({ image: module, threads }));
});

test("an access that has no hook is refused", async () => {
  const wide = await imageOfWat(`(func (export "wide") (drop (v128.load $vvar (i32.const 1024))))`, [
    { name: "wide", params: [], result: "void" },
  ]);
  const spec = { image: wide.image, threads: { a: pushOnce } };
  expect((await expectCode("ERR_VDSO_CHECK_UNSUPPORTED", () => check(spec))).message).toMatch(
    /128-bit access to the vVAR/,
  );
});

test("a specification that contradicts itself is refused", async () => {
  const { image: queue } = await image("queue");
  const threads = { a: pushOnce };
  await expectCode("ERR_VDSO_CHECK_SPEC", () => check({ image: queue, threads: {} }));
  await expectCode("ERR_VDSO_CHECK_SPEC", () => check({ image: queue, threads: { a: { run: pushOnce, pid: 1 } } }));
  await expectCode("ERR_VDSO_CHECK_SPEC", () => check({ image: queue, threads, kills: { threads: ["b"] } }));
  const field = await expectCode("ERR_VDSO_CHECK_FIELD", () =>
    check({ image: queue, threads, races: { allow: ["Slot.itm"] } }),
  );
  expect(field.message).toMatch(/"Slot\.itm".*Slot\.turn, Slot\.item/);
});

test("a schedule that does not fit is refused", async () => {
  const { image: queue } = await image("queue");
  const spec = { image: queue, threads: { a: pushOnce } };
  await expectCode("ERR_VDSO_CHECK_SCHEDULE", () => check({ ...spec, strategy: replay("once upon a time") }));
  const misfit = await expectCode("ERR_VDSO_CHECK_SCHEDULE", () => check({ ...spec, strategy: replay("0x50") }));
  expect(misfit.message).toMatch(/step 6 of the schedule does not fit: thread "a"/);
});

test("a predicate that asks for a thread which does not exist is told so", async () => {
  const { image: queue } = await image("queue");
  const spec = {
    image: queue,
    threads: { a: pushOnce },
    safety: (state: { thread(name: string): unknown }) => state.thread("b"),
  };
  await expectCode("ERR_VDSO_CHECK_THREAD", () => check(spec));
});

test("a set-up that fails or would sleep is an error", async () => {
  const { image: mailbox } = await image("mailbox");
  const takes: ThreadBody = function* (t) {
    yield* t.call("take");
  };
  const error = await expectCode("ERR_VDSO_CHECK_SETUP", () =>
    check({ image: mailbox, setup: takes, threads: { a: takes } }),
  );
  expect(error.message).toMatch(/take\(\) failed: it would sleep for ever/);
});

test("a source map that is none is refused", async () => {
  const { image: queue } = await image("queue");
  await expectCode("ERR_VDSO_CHECK_SOURCE_MAP", () =>
    check({ image: queue, sourceMap: "x", threads: { a: pushOnce } }),
  );
});

test("random schedules do not hang on threads that spin for ever", async () => {
  const { image: queue } = await image("queue");
  const { failure } = await check({
    image: queue,
    threads: {
      *a(t) {
        yield* t.until("tryPop", [], (item) => item !== undefined);
      },
    },
    strategy: random({ schedules: 3 }),
  });
  expect(failure?.kind).toBe("stuck");
});

test("an image whose code is not valid is refused", async () => {
  const exports: ApiFunction[] = [{ name: "run", params: [], result: "void" }];
  const { image: bytes } = await imageOfWat('(func (export "run") (drop (f64.const 7.5)))', exports);
  const constant = [0x44, 0, 0, 0, 0, 0, 0, 0x1e, 0x40, 0x1a];
  const drop = bytes.findIndex((_, at) => constant.every((byte, index) => bytes[at + index] === byte)) + 9;
  bytes[drop] = 0x01; // nop: the constant stays on the operand stack
  const error = await expectCode("ERR_VDSO_CHECK_IMAGE", () => instrument(bytes, 2048));
  expect(error.message).toMatch(/Compiling function .* failed/);
});

test("a recursion whose calls are too many to be saved is a failure", async () => {
  const locals = Array.from({ length: 200 }, (_, index) => index);
  const sum = locals.map((index) => `(local.set 0 (i64.add (local.get 0) (local.get ${index})))`).join(" ");
  const set = locals.map((index) => `(local.set ${index} (i64.add (local.get 0) (i64.const ${index})))`).join(" ");
  const { image: bytes } = await imageOfWat(
    `(func $run (export "run") (param i64) (result i64) (local ${"i64 ".repeat(locals.length)})
      ${set} (drop (i32.atomic.load $vvar (i32.const 1024))) (drop (call $run (local.get 0))) ${sum} (local.get 0))`,
    [{ name: "run", params: [{ name: "n", type: "i64" }], result: "i64" }],
  );
  const { failure } = await check({
    image: bytes,
    threads: {
      *a(t) {
        yield* t.call("run", 1n);
      },
    },
  });
  expect(failure?.kind).toBe("endless");
  expect(failure?.message).toMatch(/more than 64 KiB to save/);
});
