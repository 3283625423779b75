/** Calls beside sending and receiving, in all interleavings, and killed at every access: closing, registering again, sharing, select, the map. */
import { describe, expect, test } from "vitest";
import { goal, survivorsFinish } from "../../runtime/check/index.ts";
import { CLOSED, calls, EMPTY, ID, OK, proves } from "./calls.ts";
import { run } from "./system.ts";

/** One process does it, and dies at each access; the survivor then sends and receives, and is not held up. What moves whole items is in interleavings.test.ts. */
describe("killed at every access, with the reaper killed as well, nobody is held up by", () => {
  test.each<[string, ...(readonly [string, ...unknown[]])[]]>([
    ["claim", ["claim", ID]],
    ["claimUrgent", ["claimUrgent", ID]],
    ["claimMany", ["claimMany", ID, 2]],
    ["push", ["push", 7]],
    ["pushUrgent", ["pushUrgent", 7]],
    ["take", ["take", ID]],
    ["takeMany", ["takeMany", ID, 2]],
    ["peek", ["peek", ID]],
    ["register and leave", ["register", 0, true], ["leave", ID + 1]],
    ["register, share and close", ["register", 0, true], ["share", ID + 1, 3], ["close", ID + 1]],
    ["mapAdd and mapPop", ["register", 0, true], ["mapAdd", ID + 1, 1n, 2n], ["mapPop", ID + 1, 1n]],
    ["watch and arm", ["watch", ID, 0], ["arm"], ["disarm"]],
    ["passOn", ["passOn", ID, 0]],
    ["wakeOwners", ["wakeOwners", ID]],
    ["waitForSpace", ["waitForSpace", ID, -1]],
    ["waitForItem", ["waitForItem", ID, -1]],
  ])("%s", (_, ...each) =>
    proves(
      {
        dies: { run: calls(...each), daemon: true },
        *lives(t) {
          yield* t.until("push", [1], (done) => done === true);
          yield* t.until("pop", [], (value) => value !== 0);
        },
      },
      {
        // The second one is for who dies.
        mailboxes: 2,
        *setup(t) {
          yield* t.call("prepare", 0);
        },
        kills: { threads: ["dies"], reaper: 1 },
        races: { allow: ["Slot.word", "Slot.item"] },
        // Alive and holding a slot it may hold up others: only its death must not.
        goals: [
          goal(
            "the survivor finishes, if the other died",
            (state) => state.thread("dies").status !== "killed" || state.thread("lives").status === "finished",
          ),
        ],
      },
    ),
  );
});

test("closing ends a wait for an item", () =>
  proves({
    *waits(t) {
      yield* t.until("waitForItem", [ID, -1], (status) => status === CLOSED);
    },
    // Its owner, the kernel, goes; it was the only one.
    *closer(t) {
      yield* t.call("processDrop", 1);
    },
  }));

test("of two mailboxes the one that gets something wakes who waits for either", () =>
  proves(
    {
      *selects(t) {
        yield* t.call("watch", ID, 0);
        yield* t.call("watch", ID + 1, 0);
        yield* t.until("waitAny", [-1], (id) => id !== EMPTY);
      },
      *sends(t) {
        const item = (yield* t.call("claim", ID + 1)) as number;
        const status = yield* t.call("commit", ID + 1, item);
        if (status !== OK) throw new Error(`commit: ${status}`);
      },
    },
    { mailboxes: 2, safety: ({ calls }) => calls("waitAny").every(({ result }) => result === ID + 1) },
  ));

test("dropping the oldest, a producer's death holds up nobody", async () => {
  const result = await run({
    sent: [[1, 2]],
    received: [Infinity],
    length: 1,
    policy: 2,
    kills: { threads: ["p0"], reaper: 1 },
  });
  expect(result).toPass();
});

test("each of two that pop one entry of the map gets it once", () =>
  proves(
    { a: calls(["mapPop", ID, 1n]), b: calls(["mapPop", ID, 1n]) },
    {
      *setup(t) {
        yield* t.call("prepare", 0);
        yield* t.call("mapAdd", ID, 1n, 7n);
      },
      safety: ({ calls }) => calls("mapPop").filter(({ result }) => result !== undefined).length < 2,
      goals: [
        goal("one gets it", ({ calls }) => calls("mapPop").some(({ result }) => result === 7n)),
        survivorsFinish(),
      ],
    },
  ));
