import { afterAll, beforeAll, expect, test } from "vitest";
import vheap, { HEAP_BYTES } from "../../generated/vheap/vheap.js";
import vsched from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import { expectCode } from "../expect-code.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");

let kernel: Kernel;
let scheduler: Scheduler;
let heap: Heap;
beforeAll(async () => {
  kernel = await Kernel.boot({ vdsos: [vsched, vheap], log: () => undefined });
  scheduler = await Scheduler.start(kernel, { cpus: 2 });
  heap = new Heap(kernel.attach(vheap));
});
afterAll(async () => {
  await scheduler?.close();
  await kernel?.shutdown({ timeoutMs: 500 });
});
const work = () => scheduler.module<Work>(url);

/** Bytes of the heap that anybody has. */
function inUse(): number {
  const { ownedBytes, sentBytes } = heap.stats();
  return ownedBytes + sentBytes;
}

/** A task's own buffers go back in its thread, a moment after its result was told. */
async function allGivenBack(): Promise<void> {
  while (inUse() > 0) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("arguments and results of any size travel, and their memory is given back", async () => {
  for (const bytes of [100, 1000, 100_000, 4_000_000]) {
    const value = { text: "x".repeat(bytes), list: [1, [2, null]], bytes: new Uint8Array(bytes).fill(7) };
    expect(await work().echo(value)).toEqual(value);
  }
  await allGivenBack();
});

test("a circle arrives as a circle", async () => {
  const circle: { self?: unknown } = {};
  circle.self = circle;
  const copy = (await work().echo(circle)) as typeof circle;
  expect(copy.self).toBe(copy);
});

test("a loan among the arguments is lent: the task works on the sender's memory", async () => {
  using loan = heap.loan(10_000);
  await scheduler.submit(url, "fills", [loan, 9]).result;
  expect(loan.bytes.every((byte) => byte === 9)).toBe(true);
});

test("a loan in a result is handed over, and is its receiver's to release", async () => {
  const bytes = new Uint8Array(5000).fill(21);
  {
    using loan = await work().doubled(bytes);
    expect(loan.bytes.every((byte) => byte === 42)).toBe(true);
    expect(inUse()).toBeGreaterThan(0);
  }
  await allGivenBack();
});

test("what a task borrows and forgets goes back when it has ended", async () => {
  expect(await work().forgets(3000)).toBe(3000);
  await allGivenBack();
});

test("what cannot be sent is refused with the path to it, in arguments and in results", async () => {
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => scheduler.submit(url, "echo", [1, { deep: [Symbol("x")] }]));
  expect(() => scheduler.submit(url, "echo", [1, { deep: [Symbol("x")] }])).toThrow("arguments[1].deep[0]");
  await expect(work().unsendable()).rejects.toMatchObject({
    code: "ERR_VDSO_NOT_CLONABLE",
    message: expect.stringContaining("result.deep[0].callback"),
  });
});

test("what is larger than the heap is refused, and takes nothing with it", async () => {
  await expectCode("ERR_VDSO_HEAP_SIZE", () => scheduler.submit(url, "echo", [new Uint8Array(HEAP_BYTES)]));
  await expect(work().large(HEAP_BYTES)).rejects.toMatchObject({ code: "ERR_VDSO_HEAP_SIZE" });
  await allGivenBack();
});

test("arguments leave room for results: more than half of the heap is refused", async () => {
  const tasks: Promise<unknown>[] = [];
  await expectCode("ERR_VDSO_OUT_OF_MEMORY", () => {
    for (;;) tasks.push(scheduler.submit(url, "echo", [new Uint8Array(HEAP_BYTES / 8 - 1000)]).result);
  });
  expect(tasks.length).toBe(4);
  await Promise.all(tasks);
  await allGivenBack();
});

test("large results wait for room while nobody takes them", async () => {
  const bytes = HEAP_BYTES / 8 - 1000;
  const tasks = Array.from({ length: 12 }, () => work().large(bytes));
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  for (const text of await Promise.all(tasks)) expect(text.length).toBe(bytes);
  await allGivenBack();
});

test("memory is given back when the task is cancelled, or dies with its thread", async () => {
  const abort = new AbortController();
  const cancelled = scheduler.submit(url, "holds", [new Uint8Array(10_000), 1e6], { signal: abort.signal });
  setTimeout(() => abort.abort(), 10);
  await expect(cancelled.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
  await expect(scheduler.submit(url, "dies", [new Uint8Array(10_000)]).result).rejects.toMatchObject({
    code: "ERR_VDSO_TASK_KILLED",
  });
  await allGivenBack();
});
