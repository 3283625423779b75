import { expect, test } from "vitest";
import { Heap, type Loan } from "../../runtime/ipc/heap.ts";
import { expectCode } from "../expect-code.ts";
import { heapOf } from "./built-heap.ts";
import { decode, encode, generationOf, handleOf, tiles, unitOf } from "./small-heap.ts";

const BIGGEST_GENERATION = 2 ** 25 - 1;

test("a loan is a view of the shared memory, as long as asked for, until it is released", async () => {
  const { attach } = await heapOf(64);
  const { heap } = attach();
  const loan = heap.loan(100);
  expect(loan.bytes.length).toBe(100);
  expect(loan.bytes.buffer).toBe(heap.memory.buffer);
  expect(loan.bytes.byteOffset % 64).toBe(0);
  expect(heap.stats()).toMatchObject({ ownedBytes: 128, ownedBlocks: 1, freeBytes: 64 * 64 - 128, corruptWords: 0 });
  loan.release();
  await expectCode("ERR_VDSO_STALE_HANDLE", () => loan.bytes);
  expect(heap.stats()).toMatchObject({ ownedBytes: 0, freeBytes: 64 * 64, largestBytes: 64 * 64 });
});

test("`using` releases a loan, unless it was released or transferred", async () => {
  const { attach } = await heapOf(64);
  const [a, b] = [attach(), attach()];
  {
    using kept = a.heap.loan(64);
    using released = a.heap.loan(64);
    using sent = a.heap.loan(64);
    released.release();
    sent.transfer(b.pid);
    expect(kept.bytes.length).toBe(64);
  }
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 1, sentBytes: 64 });
});

test.each([1, 63, 64, 65, 128, 1000, 2048, 4095, 4096])("%i bytes fit, and nothing else lies in them", async (size) => {
  const { attach } = await heapOf(64);
  const { heap, api } = attach();
  const loan = heap.loan(size);
  expect(api.capacityOf(loan.handle)).toBe(Math.max(64, 2 ** Math.ceil(Math.log2(size))));
  loan.bytes.fill(0xff);
  expect(heap.stats().corruptWords).toBe(0);
  loan.release();
  expect(heap.stats().freeBytes).toBe(4096);
});

test("out of memory says what was asked and what is left, and is over when something is released", async () => {
  const { attach } = await heapOf(16);
  const { heap } = attach();
  const half = heap.loan(512);
  const quarter = heap.loan(256);
  const error = await expectCode("ERR_VDSO_OUT_OF_MEMORY", () => heap.loan(300));
  expect(error.message).toBe(
    "vheap: expected room for 300 bytes, found at most 256 in one block: 256 of 1024 bytes are free, in 1 blocks; " +
      "768 are lent, 0 on their way, 0 being cut up",
  );
  quarter.release();
  heap.loan(300).release();
  half.release();
  expect(heap.stats()).toMatchObject({ refusals: 1, largestBytes: 1024 });
});

test("sizes that no heap has are refused", async () => {
  const { attach } = await heapOf(16);
  const { heap } = attach();
  await expectCode("ERR_VDSO_HEAP_SIZE", () => heap.loan(0));
  await expectCode("ERR_VDSO_HEAP_SIZE", () => heap.loan(1025));
  await expectCode("ERR_VDSO_HEAP_SIZE", () => heap.loan(2 ** 32 - 1));
  await expectCode("ERR_VDSO_ARGUMENT", () => heap.loan(-1));
  await expectCode("ERR_VDSO_ARGUMENT", () => heap.loan(1.5));
  expect(heap.loan(1024).bytes.length).toBe(1024);
});

test("a buffer goes to another process with its content, and its old handle is void", async () => {
  const { attach } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  const sent = a.heap.loan(100);
  sent.bytes.fill(7);
  const old = sent.handle;
  const handle = sent.transfer(b.pid);
  expect(handle).not.toBe(old);
  expect(a.api.release(old)).toBe(-6);
  expect(a.api.release(handle)).toBe(-8);
  expect(b.api.release(handle)).toBe(-8);
  await expectCode("ERR_VDSO_STALE_HANDLE", () => sent.release());
  await expectCode("ERR_VDSO_STALE_HANDLE", () => sent.transfer(b.pid));
  expect(b.heap.heldBy(b.pid)).toBe(128);

  const received = b.heap.accept(handle, 100);
  expect([...received.bytes]).toEqual(Array.from({ length: 100 }, () => 7));
  await expectCode("ERR_VDSO_NOT_OWNER", () => a.heap.accept(handle, 100));
  await expectCode("ERR_VDSO_NOT_OWNER", () => sent.takeBack());
  received.release();
  await expectCode("ERR_VDSO_DOUBLE_FREE", () => received.release());
  expect(a.heap.stats().freeBytes).toBe(1024);
});

test("what another process has released is lent again soon when it is small, last when it is large", async () => {
  const parts = 8;
  const { attach } = await heapOf(512 * parts);
  const [a, b] = [attach(), attach()];
  const handOver = (bytes: number): number => {
    const sent = a.heap.loan(bytes);
    const { byteOffset } = sent.bytes;
    b.heap.accept(sent.transfer(b.pid), bytes).release();
    return byteOffset;
  };
  const small = Array.from({ length: 100 }, () => handOver(64));
  expect(Math.max(...small) - Math.min(...small)).toBeLessThan(1024);
  // One part has been cut up for the small ones.
  const offsets = Array.from({ length: 4 * parts }, () => handOver(32768)).slice(parts);
  for (let from = 0; from + parts <= offsets.length; from++) {
    expect(new Set(offsets.slice(from, from + parts - 1)).size, offsets.join(" ")).toBe(parts - 1);
  }
});

test("the handle that a receiver will get is known before the buffer is sent, also of one that came back", async () => {
  const { attach } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  const loan = a.heap.loan(64);
  for (let round = 0; round < 2; round++) {
    const { sentHandle } = loan;
    expect(b.api.accept(sentHandle)).toBeLessThan(0);
    expect(loan.transfer(b.pid)).toBe(sentHandle);
    if (round === 0) loan.takeBack();
    else b.heap.accept(sentHandle, 64).release();
  }
  for (const handle of [0, -1, 0.5, Number.NaN, 2 ** 50]) expect(a.api.sentHandle(handle)).toBe(-4);
});

test("a buffer whose message could not be sent is taken back", async () => {
  const { attach } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  const loan = a.heap.loan(64);
  loan.bytes[0] = 5;
  const handle = loan.transfer(b.pid);
  expect(b.api.takeBack(handle)).toBe(-7);
  loan.takeBack();
  expect(loan.bytes[0]).toBe(5);
  await expectCode("ERR_VDSO_NOT_OWNER", () => b.heap.accept(handle, 64));
  loan.release();
  await expectCode("ERR_VDSO_DOUBLE_FREE", () => loan.takeBack());
});

test("a process that is not attached, or has ended, is sent nothing", async () => {
  const { attach, mapping } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  const loan = a.heap.loan(64);
  await expectCode("ERR_VDSO_NO_PROCESS", () => loan.transfer(0));
  await expectCode("ERR_VDSO_NO_PROCESS", () => loan.transfer(b.pid + 1));
  await expectCode("ERR_VDSO_NO_PROCESS", () => loan.transfer(b.pid + 1024));
  mapping.drop(b.pid);
  await expectCode("ERR_VDSO_NO_PROCESS", () => loan.transfer(b.pid));
  loan.release();
});

test("an accepted length that the block does not hold is refused, and the block is released", async () => {
  const { attach } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  for (const length of [129, 2 ** 40, -1, 1.5, Number.NaN]) {
    const handle = a.heap.loan(100).transfer(b.pid);
    await expectCode("ERR_VDSO_HEAP_SIZE", () => b.heap.accept(handle, length));
    await expectCode("ERR_VDSO_DOUBLE_FREE", () => b.heap.accept(handle, 100));
  }
  expect(a.heap.stats().freeBytes).toBe(1024);
});

test.each([0, -1, 17, 1.5, 2 ** 25, 2 ** 50, 2 ** 53, 1e300, Number.NaN, Number.NEGATIVE_INFINITY])(
  "%d is no handle",
  async (number) => {
    const { attach } = await heapOf(16);
    const { api } = attach();
    const calls = [api.release, api.offsetOf, api.capacityOf, api.accept, api.takeBack];
    expect(calls.map((call) => call(number))).toEqual([-4, -4, -4, -4, -4]);
    expect(api.transfer(number, 2)).toBe(-4);
  },
);

test("another process's block can be neither read by handle nor released nor sent away", async () => {
  const { attach } = await heapOf(16);
  const [a, b] = [attach(), attach()];
  const { handle } = a.heap.loan(64);
  const { api } = b;
  const calls = [api.release, api.offsetOf, api.capacityOf, api.accept];
  expect(calls.map((call) => call(handle))).toEqual([-7, -7, -7, -7]);
  expect(api.transfer(handle, b.pid)).toBe(-7);
  expect(api.takeBack(handle)).toBe(-7);
});

test("a handle of an earlier life of a block is stale, also where the generation wraps", async () => {
  const { attach, words } = await heapOf(1);
  const { api } = attach();
  words[0] = encode({ state: 1, order: 0, generation: BIGGEST_GENERATION, owner: 0 });
  const last = api.allocate(64);
  expect(generationOf(last)).toBe(BIGGEST_GENERATION);
  expect(api.release(last)).toBe(0);
  expect(api.release(last)).toBe(-5);
  const first = api.allocate(64);
  expect(first).toBe(handleOf(0, 0));
  expect(api.release(last)).toBe(-6);
  expect(api.release(first)).toBe(0);
});

test("whatever was released can be lent again as one block", async () => {
  const { attach } = await heapOf(256);
  const parties = [attach(), attach(), attach()];
  const loans: Loan[] = [];
  for (let turn = 0; ; turn++) {
    const { heap } = parties[turn % 3]!;
    if (heap.stats().largestBytes === 0) break;
    loans.push(
      heap.loan([64, 192, 64, 1000][turn % 4]! > heap.stats().largestBytes ? 64 : [64, 192, 64, 1000][turn % 4]!),
    );
  }
  for (const loan of loans) loan.release();
  const whole = parties[1]!.heap.loan(256 * 64);
  expect(whole.bytes.length).toBe(256 * 64);
  whole.release();
});

test("what a process had comes back when it ends, however often that is said", async () => {
  const { attach, mapping, words } = await heapOf(64);
  const [a, b, c] = [attach(), attach(), attach()];
  a.heap.loan(64);
  a.heap.loan(1000);
  const kept = b.heap.loan(64);
  const toDead = b.heap.loan(64).transfer(a.pid);
  const fromDead = a.heap.loan(64).transfer(b.pid);
  const accepted = b.heap.accept(a.heap.loan(64).transfer(b.pid), 64);
  mapping.drop(a.pid);
  mapping.drop(a.pid);
  expect(c.heap.heldBy(a.pid)).toBe(0);
  expect(b.api.takeBack(toDead)).toBe(-5);
  expect(c.heap.stats()).toMatchObject({ ownedBlocks: 2, sentBlocks: 1 });

  // What was on its way may be in a message: the receiver says when there is none left.
  await expectCode("ERR_VDSO_NOT_ENDED", () => b.heap.discardFrom(c.pid));
  expect(c.heap.discardFrom(a.pid)).toBe(0);
  expect(b.heap.discardFrom(a.pid)).toBe(1);
  expect(b.api.accept(fromDead)).toBe(-5);
  kept.release();
  accepted.release();
  expect(c.heap.stats()).toMatchObject({ freeBytes: 4096, largestBytes: 4096 });
  expect(tiles([...words])).toBeInstanceOf(Array);
});

test("before what an ended process sent is freed, each part of the receiver takes what is its own", async () => {
  const { attach, mapping } = await heapOf(64);
  const [a, b] = [attach(), attach()];
  const [forFirst, forSecond] = [a.heap.loan(64).transfer(b.pid), a.heap.loan(64).transfer(b.pid)];
  a.heap.loan(64).transfer(b.pid);
  const taken: Loan[] = [];
  const second = new Heap(b.api);
  b.heap.beforeDiscard(() => taken.push(second.accept(forFirst, 64)));
  second.beforeDiscard(() => taken.push(b.heap.accept(forSecond, 64)));
  const end = second.beforeDiscard(() => expect.unreachable("it has ended"));
  end();
  await expectCode("ERR_VDSO_NOT_ENDED", () => b.heap.discardFrom(a.pid));
  expect(taken).toEqual([]);
  mapping.drop(a.pid);
  expect(b.heap.discardFrom(a.pid)).toBe(1);
  expect(taken.map(({ handle }) => handle)).toEqual([forFirst, forSecond]);
  for (const loan of taken) loan.release();
  expect(b.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("what a dead process had sent to another dead one comes back in either order", async () => {
  for (const first of [0, 1]) {
    const { attach, mapping } = await heapOf(16);
    const [a, b, c] = [attach(), attach(), attach()];
    a.heap.loan(64).transfer(b.pid);
    b.heap.loan(64).transfer(a.pid);
    for (const { pid } of first === 0 ? [a, b] : [b, a]) mapping.drop(pid);
    expect(c.heap.stats().freeBytes).toBe(1024);
  }
});

test("a new process with the index of an old one keeps its blocks when the old one is reaped again", async () => {
  const { mapping, attach } = await heapOf(16);
  const { heap } = attach();
  const old = mapping.attach({ pid: 500 });
  old.allocate(64);
  mapping.drop(500);
  const young = mapping.attach({ pid: 1024 + 500 });
  const handle = young.allocate(64);
  mapping.drop(500);
  expect(heap.heldBy(1024 + 500)).toBe(64);
  expect(heap.loan(64).transfer(1024 + 500)).toBeGreaterThan(0);
  expect(young.release(handle)).toBe(0);
});

test("a garbage word costs its block, and nothing else", async () => {
  const { attach, words } = await heapOf(16);
  const { heap, api } = attach();
  const loans = Array.from({ length: 16 }, () => heap.loan(64));
  const hit = loans[5]!;
  words[unitOf(hit.handle)] = 0xffff_ffff_ffff_ffffn;
  await expectCode("ERR_VDSO_HEAP_CORRUPT", () => hit.release());
  for (const loan of loans) if (loan !== hit) loan.release();
  expect(heap.stats()).toMatchObject({ corruptWords: 1, freeBytes: 15 * 64, largestBytes: 512 });
  // A size that does not fit where the block is.
  const loan = heap.loan(64);
  const unit = unitOf(loan.handle);
  words[unit] = encode({ ...decode(words[unit]!, unit), order: 31 });
  expect(api.release(loan.handle)).toBe(-13);
  expect(api.capacityOf(loan.handle)).toBe(-13);
});
