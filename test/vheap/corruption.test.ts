/** A peer that writes garbage into the heap's own words: nobody hangs, nobody traps, nobody gets a block outside the heap. */
import { expect, test } from "vitest";
import { VdsoError } from "../../runtime/errors.ts";
import type { Loan } from "../../runtime/ipc/heap.ts";
import { heapOf } from "./built-heap.ts";
import { encode } from "./small-heap.ts";

const WRITES = 1_000_000;

function generator(start: number): () => number {
  let state = start;
  return () => {
    // xorshift32
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

test(`${WRITES} random writes over the vVAR, with calls between them`, async () => {
  const { attach, mapping, words, bytes } = await heapOf(64);
  const parties = [attach(), attach(), attach()];
  const random = generator(20251123);
  const heapStart = 1024 + bytes.length - 64 * 64;
  const handles: number[] = Array.from({ length: 16 }, () => 1);
  const codes = new Set<number>();

  for (let write = 0; write < WRITES; write++) {
    const value = random();
    if (value % 3 === 0) bytes[random() % bytes.length] = value >>> 8;
    else if (value % 3 === 1) words[random() % 64] = (BigInt(random()) << 32n) | BigInt(random());
    else {
      // Nearly right: these get further.
      const owner = parties[random() % 3]!.pid;
      words[random() % 64] = encode({ state: random() % 6, order: random() % 8, generation: random() % 4, owner });
    }
    const { api, pid } = parties[random() % 3]!;
    const slot = random() % 16;
    const handle = value % 5 === 0 ? 1 + (random() % 64) + (random() % 4) * 2 ** 25 : handles[slot]!;
    switch (random() % 8) {
      case 0:
      case 1: {
        const result = api.allocate(1 + (random() % 4096));
        if (result > 0) {
          handles[slot] = result;
          const offset = api.offsetOf(result);
          const capacity = api.capacityOf(result);
          if (offset < heapStart || offset + capacity > heapStart + 64 * 64) throw new Error(`outside: ${offset}`);
        } else codes.add(result);
        break;
      }
      case 2:
        codes.add(api.release(handle));
        break;
      case 3: {
        const result = api.transfer(handle, parties[random() % 3]!.pid);
        if (result > 0) handles[slot] = result;
        else codes.add(result);
        break;
      }
      case 4:
        codes.add(Math.min(0, api.accept(handle)));
        break;
      case 5:
        codes.add(api.takeBack(handle));
        break;
      case 6:
        api.stats();
        api.heldBy(pid);
        break;
      default:
        if (value % 16 === 0) mapping.drop(parties[random() % 3]!.pid);
        else codes.add(Math.min(0, api.discardFrom(random() % 4)));
    }
  }
  for (const code of codes) expect(Number.isInteger(code) && code <= 0 && code >= -13).toBe(true);
  for (const code of [0, -1, -5, -6, -7, -8, -9, -13]) expect([...codes]).toContain(code);
}, 120_000);

test("after garbage, the library's errors are named, and what is left of the heap goes on", async () => {
  const { attach, words } = await heapOf(64);
  const { heap } = attach();
  const random = generator(7);
  const named = new Set<string>();
  for (let round = 0; round < 300; round++) {
    if (round % 10 === 0) {
      words.fill(0n);
      words[0] = encode({ state: 1, order: 6, generation: round, owner: 0 });
    }
    const loans: Loan[] = [];
    const attempt = (work: () => void): void => {
      try {
        work();
      } catch (error) {
        if (!(error instanceof VdsoError)) throw error;
        named.add(error.code);
      }
    };
    for (let count = 0; count < 4; count++) attempt(() => loans.push(heap.loan(1 + (random() % 600))));
    words[random() % 64] = (BigInt(random()) << 32n) | BigInt(random());
    for (const loan of loans) attempt(() => loan.bytes.fill(1));
    for (const loan of loans) attempt(() => loan.release());
  }
  expect(
    [...named].filter(
      (code) =>
        !/^ERR_VDSO_(OUT_OF_MEMORY|HEAP_BUSY|HEAP_CORRUPT|STALE_HANDLE|NOT_OWNER|IN_TRANSIT|DOUBLE_FREE)$/.test(code),
    ),
  ).toEqual([]);
  words.fill(0n);
  words[0] = encode({ state: 1, order: 6, generation: 9, owner: 0 });
  expect(heap.loan(4096).bytes.length).toBe(4096);
});
