/** The final image, by the checker: what is called exhaustive is every interleaving of every access to the vVAR. */
import { describe, expect, test } from "vitest";
import { pct } from "../../runtime/check/index.ts";
import { run } from "./system.ts";

/** A lap before the turns wrap. */
const NEAR_WRAP = { START_TURN: String(2n ** 45n - 1n) };
/**
 * Batches write all words of a run but the first plainly. Others may read one of them meanwhile: who counts how many slots it could take before its CAS on
 * the first, which then fails; a reaper, and takers who look around, to whom both values mean the same. Payloads are not on the list.
 */
const BATCHES = { allow: ["Slot.word"] };

async function passes(result: ReturnType<typeof run>, tier = "exhaustive"): Promise<void> {
  const found = await result;
  expect(found).toPass();
  expect(found.tier).toBe(tier);
}

describe("in all interleavings", () => {
  test("one producer's items come once and in order to two consumers", () =>
    passes(run({ sent: [[1, 2]], received: [1, 1], length: 2 })));

  test("two producers' items come once and in order", () =>
    passes(run({ sent: [[1, 2], [11]], received: [3], length: 2 })));

  test("a mailbox of one slot loses and doubles nothing", () =>
    passes(run({ sent: [[1], [11]], received: [2], length: 1 })));

  test("positions wrap", () => passes(run({ sent: [[1, 2, 3]], received: [3], length: 1, constants: NEAR_WRAP })));

  test("one producer and two consumers cannot be told from a plain queue, while positions wrap", () =>
    passes(run({ sent: [[1, 2, 3]], received: [1, 2], length: 2, linearizable: true, constants: NEAR_WRAP })));

  test("two producers and a consumer cannot be told from a plain queue of one slot, while positions wrap", () =>
    passes(
      run({
        sent: [
          [1, 2],
          [11, 12],
        ],
        received: [4],
        length: 1,
        linearizable: true,
        constants: NEAR_WRAP,
      }),
    ));

  test("hints that are published at once change nothing", () =>
    passes(run({ sent: [[1, 2]], received: [1, 1], length: 1, constants: { PUBLISH_EVERY: "1" } })));

  test("batches come whole, once and in order, without a race", () =>
    passes(run({ sent: [[1, 2, 3]], received: [3], length: 2, push: "pushMany", pop: "popMany" })));

  test("batches come once and in order to two consumers", () =>
    passes(
      run({
        sent: [[1, 2]],
        before: [11],
        received: [Infinity, Infinity],
        length: 2,
        push: "pushMany",
        pop: "popMany",
        races: BATCHES,
      }),
    ));

  test("a run that was released at once is cut between a producer of one and one of two, while positions wrap", () =>
    passes(
      run({
        released: 3,
        sent: [[1], [11, 12]],
        received: [3],
        length: 3,
        push: ["push", "pushMany"],
        pop: "popMany",
        races: BATCHES,
        constants: NEAR_WRAP,
      }),
    ));

  test("a run that was released at once goes to a producer of batches", () =>
    passes(
      run({
        released: 2,
        sent: [[1, 2, 3], [11]],
        received: [4],
        length: 3,
        push: "pushMany",
        pop: "popMany",
        races: BATCHES,
      }),
    ));

  test("consumers of one and of many receive what producers of one and of many send", () =>
    passes(
      run({
        released: 2,
        sent: [[1, 2], [11]],
        received: [Infinity, Infinity],
        length: 2,
        push: ["pushMany", "push"],
        pop: ["popMany", "pop"],
        races: BATCHES,
      }),
    ));

  test("who was away for laps of batches takes nothing twice", () =>
    passes(
      run({
        sent: [[1, 2, 3, 4, 5]],
        received: [Infinity, Infinity],
        length: 2,
        push: "pushMany",
        pop: ["popMany", "pop"],
        races: BATCHES,
      }),
    ));

  test("a consumer that sleeps misses no item", () =>
    passes(run({ sent: [[1, 2]], received: [2], length: 2, pop: "popWaiting" })));

  test("a producer that sleeps misses no space", () =>
    passes(run({ sent: [[1, 2]], received: [2], length: 1, push: "pushWaiting", pop: "popWaiting" })));

  test("dropping the oldest never blocks a producer", () =>
    passes(run({ sent: [[1, 2, 3]], received: [Infinity], length: 1, policy: 2 })));

  test("urgent items come once", () => passes(run({ sent: [[1, 2]], received: [2], length: 2, push: "pushUrgent" })));
});

describe("killed at any access, with the reaper killed as well,", () => {
  test("a producer blocks nobody", () =>
    passes(run({ sent: [[1]], received: [Infinity], length: 2, kills: { threads: ["p0"], reaper: 1 } })));

  test("a producer at a mailbox of one slot blocks nobody", () =>
    passes(run({ sent: [[1, 2]], received: [Infinity], length: 1, kills: { threads: ["p0"], reaper: 1 } })));

  test("a consumer's items go to another", () =>
    passes(run({ sent: [], before: [1, 2], received: [Infinity, Infinity], length: 2, kills: { reaper: 1 } })));

  test("a consumer's batch goes to another", () =>
    passes(
      run({
        sent: [],
        before: [1, 2],
        received: [Infinity, Infinity],
        length: 2,
        pop: "popMany",
        kills: { threads: ["c0"], reaper: 1 },
        races: BATCHES,
      }),
    ));

  test("a producer of batches blocks nobody", () =>
    passes(
      run({
        sent: [[1, 2]],
        received: [Infinity],
        length: 2,
        push: "pushMany",
        pop: "popMany",
        kills: { threads: ["p0"], reaper: 1 },
        races: BATCHES,
      }),
    ));
});

test.each(["push", "pushMany"] as const)("a producer that dies while it cuts a run by %s blocks nobody", (push) =>
  passes(
    run({
      released: 3,
      sent: [[1], [11]],
      received: [Infinity],
      length: 3,
      push: [push, "pushMany"],
      pop: "popMany",
      kills: { threads: ["p0"] },
      races: BATCHES,
    }),
  ),
);

test("two deaths of consumers lose nothing", () =>
  passes(run({ sent: [], before: [1, 2], received: [Infinity, Infinity], length: 2, kills: { max: 2 } })));

test("a producer that dies wakes nobody too few", () =>
  passes(run({ sent: [[1]], received: [Infinity], length: 2, pop: "popWaiting", kills: { threads: ["p0"] } })));

describe("in random schedules", () => {
  const strategy = pct({ schedules: 4000 });

  test("two producers and two consumers lose and double nothing", () =>
    passes(
      run({
        sent: [
          [1, 2],
          [11, 12],
        ],
        received: [2, 2],
        length: 2,
        strategy,
      }),
      "sampled",
    ));

  test("three producers and two consumers that sleep lose and double nothing", () =>
    passes(
      run({ sent: [[1], [11], [21]], received: [2, 1], length: 2, push: "pushWaiting", pop: "popWaiting", strategy }),
      "sampled",
    ));

  test.each([2, 3, 4, 5])("producers and consumers of one and of many at %i slots lose and double nothing", (length) =>
    passes(
      run({
        sent: [
          [1, 2, 3, 4, 5, 6],
          [11, 12, 13],
          [21, 22, 23, 24],
        ],
        received: [Infinity, Infinity, Infinity],
        length,
        push: ["pushMany", "push", "pushMany"],
        pop: ["popMany", "pop", "popMany"],
        races: BATCHES,
        constants: { PUBLISH_EVERY: "4" },
        strategy,
      }),
      "sampled",
    ),
  );

  test("the same with deaths among them", () =>
    passes(
      run({
        sent: [
          [1, 2, 3, 4],
          [11, 12],
          [21, 22, 23],
        ],
        received: [Infinity, Infinity, Infinity],
        length: 3,
        push: ["pushMany", "push", "pushMany"],
        pop: ["popMany", "pop", "popMany"],
        kills: { max: 2, reaper: 1 },
        races: BATCHES,
        constants: NEAR_WRAP,
        strategy,
      }),
      "sampled",
    ));

  test("two deaths among many lose nothing", () =>
    passes(
      run({
        sent: [[1, 2], [11]],
        received: [Infinity, Infinity, Infinity],
        length: 2,
        kills: { max: 2, reaper: 1 },
        strategy: pct({ schedules: 1500 }),
      }),
      "sampled",
    ));
});
