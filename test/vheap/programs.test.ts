/** Random programs of three processes, one of which may end and be replaced, against a model that knows every block. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { heapOf, type Party } from "./built-heap.ts";
import { tiles, unitOf } from "./small-heap.ts";

const UNITS = 32;
const PARTIES = 3;

interface Block {
  readonly unit: number;
  readonly units: number;
  owner: number;
  /** Pid; 0 when it is not in transit. */
  sender: number;
  /** What its bytes hold. */
  readonly stamp: number;
}

type Command =
  | { readonly kind: "allocate"; readonly by: number; readonly bytes: number }
  | { readonly kind: "release" | "accept" | "takeBack"; readonly by: number; readonly pick: number }
  | { readonly kind: "transfer"; readonly by: number; readonly to: number; readonly pick: number }
  | { readonly kind: "end"; readonly by: number };

const by = fc.nat(PARTIES - 1);
const pick = fc.nat(1000);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("allocate" as const),
      by,
      bytes: fc.integer({ min: 0, max: UNITS * 64 + 1 }),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constant("allocate" as const), by, bytes: fc.integer({ min: 1, max: 300 }) }),
  },
  { weight: 9, arbitrary: fc.record({ kind: fc.constant("release" as const), by, pick }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("transfer" as const), by, to: by, pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("accept" as const, "takeBack" as const), by, pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end" as const), by }) },
);

/** What {@link HeapError} says of a handle that is not the caller's. */
const refused = (result: number) => expect([-5, -6, -7, -8]).toContain(result);

test.each([
  ["close by", undefined],
  ["in turn from 4 units on", 4],
])("random programs, blocks taken %s: every call does what the model says", async (_, far) => {
  // One heap for all programs, emptied after each, so that each meets what the others left of sizes, generations and hints.
  const { attach, mapping, words } = await heapOf(UNITS, far);
  const parties: Party[] = Array.from({ length: PARTIES }, attach);
  let stamp = 0;

  fc.assert(
    fc.property(fc.array(command, { maxLength: 60 }), (program) => {
      const blocks = new Map<number, Block>();
      const ended: number[] = [];
      /** Every handle that ever was, so that used-up ones are tried as well. */
      const handles: number[] = [];
      const isFree = (start: number, units: number) =>
        [...blocks.values()].every((block) => block.unit + block.units <= start || block.unit >= start + units);

      const run = (step: Command): unknown => {
        const { api, heap, pid } = parties[step.by]!;
        if (step.kind === "allocate") {
          const units = 2 ** Math.ceil(Math.log2(Math.max(1, step.bytes / 64)));
          const handle = api.allocate(step.bytes);
          if (step.bytes === 0) return expect(handle).toBe(-3);
          if (units > UNITS) return expect(handle).toBe(-2);
          // The bound on fragmentation: refused only when every part of that size holds something that is lent.
          const room = Array.from({ length: UNITS / units }, (_, at) => at * units).some((at) => isFree(at, units));
          if (!room) return expect(handle).toBe(-1);
          expect(handle).toBeGreaterThan(0);
          const unit = unitOf(handle);
          expect(unit % units).toBe(0);
          expect(isFree(unit, units)).toBe(true);
          expect(blocks.has(handle)).toBe(false);
          blocks.set(handle, { unit, units, owner: pid, sender: 0, stamp: ++stamp & 255 });
          handles.push(handle);
          return heap.memory.fill(stamp & 255, api.offsetOf(handle), api.offsetOf(handle) + units * 64);
        }
        if (step.kind === "end") {
          mapping.drop(pid);
          ended.push(pid);
          for (const [handle, block] of blocks) if (block.owner === pid) blocks.delete(handle);
          parties[step.by] = attach();
          return undefined;
        }
        const handle = handles[step.pick % handles.length];
        if (handle === undefined) return undefined;
        const block = blocks.get(handle);
        const owned = block?.owner === pid && block.sender === 0;
        if (step.kind === "release") {
          if (!owned) return refused(api.release(handle));
          const offset = api.offsetOf(handle);
          const bytes = heap.memory.subarray(offset, offset + block.units * 64);
          expect(bytes.every((byte) => byte === block.stamp)).toBe(true);
          blocks.delete(handle);
          return expect(api.release(handle)).toBe(0);
        }
        if (step.kind === "transfer") {
          const receiver = parties[step.to]!.pid;
          const sent = api.transfer(handle, receiver);
          if (!owned) return refused(sent);
          expect(sent).toBeGreaterThan(0);
          blocks.delete(handle);
          blocks.set(sent, { ...block, owner: receiver, sender: pid });
          return handles.push(sent);
        }
        if (step.kind === "accept") {
          const result = api.accept(handle);
          if (block?.owner !== pid || block.sender === 0) return refused(result);
          block.sender = 0;
          return expect(result).toBe(block.units * 64);
        }
        const result = api.takeBack(handle);
        if (block?.sender !== pid) return refused(result);
        block.owner = pid;
        block.sender = 0;
        return expect(result).toBe(0);
      };

      for (const step of program) {
        run(step);
        const found = tiles([...words]);
        expect(found).toBeInstanceOf(Array);
        const lent = (found as Exclude<typeof found, string>).filter(({ owner }) => owner !== 0);
        expect(lent.map(({ unit }) => unit)).toEqual(
          [...blocks.values()].map(({ unit }) => unit).sort((a, b) => a - b),
        );
      }
      for (const { heap, pid, api } of parties) {
        for (const sender of ended) heap.discardFrom(sender);
        for (const [handle, { owner, sender }] of blocks) {
          if (owner !== pid || ended.includes(sender)) continue;
          if (sender !== 0) api.accept(handle);
          expect(api.release(handle)).toBe(0);
        }
      }
      expect(parties[0]!.heap.stats()).toMatchObject({ freeBytes: UNITS * 64, largestBytes: UNITS * 64 });
    }),
    { numRuns: 1500 },
  );
});

test("a long run at three quarters of the heap does not wear it out", async () => {
  const { attach } = await heapOf(4096);
  const { heap, api } = attach();
  const bytes = 4096 * 64;
  let seed = 1;
  const random = () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  const live: { handle: number; size: number }[] = [];
  let used = 0;
  const refusals = [0, 0];
  const requests = [0, 0];
  const steps = 400_000;
  for (let step = 0; step < steps; step++) {
    // Sizes from 64 bytes to 4 KiB, as many of each doubling.
    const size = 64 * 2 ** Math.floor(random() * 7);
    if (used + size > bytes * 0.75) {
      const [block] = live.splice(Math.floor(random() * live.length), 1);
      api.release(block!.handle);
      used -= block!.size;
    } else {
      const half = step < steps / 2 ? 0 : 1;
      const handle = api.allocate(size);
      requests[half]!++;
      if (handle < 0) refusals[half]!++;
      else {
        live.push({ handle, size });
        used += size;
      }
    }
  }
  // One request in a thousand, in the first half as in the second: it is in equilibrium.
  expect(refusals[0]! / requests[0]!).toBeLessThan(0.001);
  expect(refusals[1]! / requests[1]!).toBeLessThan(0.001);
  for (const { handle } of live) expect(api.release(handle)).toBe(0);
  expect(heap.stats().largestBytes).toBe(bytes);
  expect(api.allocate(bytes)).toBeGreaterThan(0);
});
