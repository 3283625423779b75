/** The largest heap there is, those that there are not, and how long one lasts. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { buildVdso } from "../../runtime/build/index.ts";
import type { Loan } from "../../runtime/ipc/heap.ts";
import { expectCode } from "../expect-code.ts";
import { buildHeap, heapOf, mapHeap } from "./built-heap.ts";

const GIB = 2 ** 30;

test.each([32, 48, GIB + 64, 2 * GIB])("a heap of %i bytes is refused when it is built", async (bytes) => {
  const outDir = mkdtempSync(join(tmpdir(), "vheap-test-"));
  onTestFinished(() => rmSync(outDir, { recursive: true, force: true }));
  const srcDir = join(import.meta.dirname, "..", "..", "vdso-src", "vheap");
  await expect(
    buildVdso({ srcDir, outDir, imageName: "vheap", packageName: "vheap", config: { HEAP_BYTES: bytes } }),
  ).rejects.toThrow(`HEAP_BYTES must be a power of two from 64 to 1073741824, found ${bytes}`);
});

test("a heap of one GiB is lent whole, and in pieces, to its last byte", async () => {
  const built = await buildHeap(GIB / 64);
  onTestFinished(() => built[Symbol.dispose]());
  const { attach } = await mapHeap(built);
  const { heap } = attach();
  await expectCode("ERR_VDSO_HEAP_SIZE", () => heap.loan(GIB + 1));
  const whole = heap.loan(GIB);
  const end = whole.bytes.byteOffset + GIB;
  expect(end).toBeLessThanOrEqual(heap.memory.length);
  whole.bytes[GIB - 1] = 7;
  await expectCode("ERR_VDSO_OUT_OF_MEMORY", () => heap.loan(1));
  whole.release();
  const halves = [heap.loan(GIB / 2), heap.loan(GIB / 2)];
  const last = halves.find(({ bytes }) => bytes.byteOffset + bytes.length === end);
  expect(last?.bytes[GIB / 2 - 1]).toBe(7);
});

test("a heap that is three quarters full of mixed sizes does not wear out: hardly a request is refused, in the end as in the beginning", async () => {
  const [UNITS, REQUESTS] = [16384, 400_000];
  const { attach } = await heapOf(UNITS);
  const { heap, api } = attach();
  let state = 20251123;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const lent: { readonly handle: number; readonly bytes: number }[] = [];
  const full = UNITS * 64 * 0.75;
  let load = 0;
  const refused = [0, 0];
  for (let request = 0; request < REQUESTS; request++) {
    while (load > full) {
      const at = random(lent.length);
      const { handle, bytes } = lent[at]!;
      lent[at] = lent.at(-1)!;
      lent.pop();
      expect(api.release(handle)).toBe(0);
      load -= bytes;
    }
    const bytes = 64 << random(7);
    const handle = api.allocate(bytes);
    if (handle > 0) {
      lent.push({ handle, bytes });
      load += bytes;
    } else refused[request < REQUESTS / 2 ? 0 : 1]!++;
  }
  for (const count of refused) expect(count).toBeLessThan(REQUESTS / 2 / 1000);
  for (const { handle } of lent) api.release(handle);
  expect(heap.stats()).toMatchObject({ freeBytes: UNITS * 64, largestBytes: UNITS * 64 });
});

test("a request fits as long as fewer blocks are lent than there are parts of its size, wherever they lie", async () => {
  const { attach } = await heapOf(1024);
  const { heap } = attach();
  for (let order = 1; order <= 10; order++) {
    const parts = 1024 / 2 ** order;
    // The worst there is: one unit in each part but one.
    const crumbs: Loan[] = [];
    for (let unit = 0; unit < 1024; unit++) crumbs.push(heap.loan(64));
    const start = Math.min(...crumbs.map(({ bytes }) => bytes.byteOffset));
    const taken = new Set<number>();
    const kept = crumbs.filter((loan) => {
      const part = Math.floor((loan.bytes.byteOffset - start) / 64 / 2 ** order);
      if (taken.has(part) || taken.size === parts - 1) {
        loan.release();
        return false;
      }
      taken.add(part);
      return true;
    });
    expect(kept.length).toBe(parts - 1);
    const fits = heap.loan(64 * 2 ** order);
    await expectCode("ERR_VDSO_OUT_OF_MEMORY", () => heap.loan(64 * 2 ** order));
    for (const loan of [fits, ...kept]) loan.release();
  }
});
