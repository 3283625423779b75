/** Waiting for space, for any of several mailboxes, and in both lanes, in all interleavings: with deaths, and without wake-ups that get lost or never end. */
import { describe, expect, test } from "vitest";
import { pct, survivorsFinish, type ThreadBody } from "../../runtime/check/index.ts";
import { calls, ID, OK, proves } from "./calls.ts";
import { run, type Scenario } from "./system.ts";

async function passes(scenario: Scenario, tier = "exhaustive"): Promise<void> {
  const found = await run(scenario);
  expect(found).toPass();
  expect(found.tier).toBe(tier);
}

const sampled = (scenario: Scenario): Promise<void> =>
  passes({ ...scenario, strategy: pct({ schedules: 2000 }) }, "sampled");

/** Waits for either of two mailboxes, and does not want what there is. */
const selects: ThreadBody = function* (t) {
  yield* t.call("watch", ID, 0);
  yield* t.call("watch", ID + 1, 0);
  const id = (yield* t.call("waitAny", -1)) as number;
  if (id >= 64) yield* t.call("passOn", id, 0);
};

const REAPED = (...threads: string[]) => ({ threads, reaper: 1 });

describe("killed at any access, with the reaper killed as well,", () => {
  test("a producer that waits for space holds up nobody", () =>
    passes({
      sent: [[1]],
      before: [11],
      received: [Infinity],
      length: 1,
      push: "pushWaiting",
      kills: REAPED("p0"),
    }));

  test("a producer that was given a wake-up leaves it to another", () =>
    sampled({
      sent: [[1], [11]],
      before: [21],
      received: [Infinity],
      length: 1,
      push: "pushWaiting",
      kills: { threads: ["p0"] },
    }));

  test("a consumer that waits loses no item to its death", () =>
    sampled({
      sent: [[1]],
      received: [Infinity, Infinity],
      length: 1,
      pop: "popWaiting",
      kills: { threads: ["c0"] },
    }));

  test("a producer that drops the oldest holds up nobody", () =>
    passes({
      sent: [[1, 2]],
      received: [Infinity],
      length: 1,
      policy: 2,
      kills: REAPED("p0", "c0"),
    }));

  test("a producer of urgent items holds up nobody", () =>
    passes({ sent: [[1, 2]], received: [Infinity], length: 1, push: "pushUrgent", kills: REAPED("p0") }));
});

test("two deaths of a producer and a consumer lose nothing that was acknowledged", () =>
  sampled({
    sent: [[1]],
    before: [11],
    received: [Infinity, Infinity],
    length: 1,
    kills: { max: 2, threads: ["p0", "c0"], reaper: 1 },
  }));

describe("killed at any access, nobody is held up by", () => {
  test.each<[string, string]>([
    ["who gives up a slot", "giveUpOne"],
    ["who puts an item back", "returnOne"],
  ])("%s", (_, call) =>
    proves(
      {
        dies: { run: calls([call]), daemon: true },
        *lives(t) {
          yield* t.until("waitForItem", [ID, -1], (status) => status === OK);
          yield* t.until("pop", [], (value) => value === 7);
          yield* t.until("push", [8], (sent) => sent === true);
        },
      },
      {
        *setup(t) {
          yield* t.call("prepare", 0);
          yield* t.call("push", 7);
        },
        kills: { threads: ["dies"], reaper: 1 },
        races: { allow: ["Slot.item"] },
        goals: [survivorsFinish()],
      },
    ),
  );

  test("who waits for either of two mailboxes", () =>
    proves(
      {
        dies: { run: selects, daemon: true },
        *lives(t) {
          yield* t.until("waitForItem", [ID, -1], (status) => status === OK);
        },
        sends: calls(["pushTo", ID]),
      },
      { mailboxes: 2, length: 1, kills: { threads: ["dies"] }, goals: [survivorsFinish()] },
    ));
});

test("who waits for either of two mailboxes passes on the wake-up that it does not use", () =>
  proves(
    {
      selects,
      *waits(t) {
        yield* t.until("waitForItem", [ID, -1], (status) => status === OK);
      },
      sends: calls(["pushTo", ID + 1], ["pushTo", ID]),
    },
    { mailboxes: 2, length: 1 },
  ));

test("space in one lane wakes who waits for it, not only who waits for space in the other", () =>
  proves(
    {
      normal: { run: calls(["waitForSpace", ID, -1]), daemon: true },
      *urgent(t) {
        yield* t.until("waitForUrgentSpace", [ID, -1], (status) => status === OK);
      },
      takes: calls(["pop"]),
    },
    {
      length: 1,
      *setup(t) {
        yield* t.call("prepare", 1);
        yield* t.call("push", 1);
        yield* t.call("pushUrgent", 2);
      },
      races: { allow: ["Slot.item"] },
    },
  ));

test("two that wait, of whom one is woken in vain, do not wake each other for ever", () =>
  proves(
    {
      a: { run: calls(["waitForItem", ID, -1]), daemon: true },
      b: { run: calls(["waitForItem", ID, -1]), daemon: true },
      c: calls(["pushTo", ID], ["popFrom", ID]),
    },
    {
      length: 1,
      // One item, one wake-up.
      safety: ({ vvar }) => (vvar["processes"] as { wake: number }[]).reduce((sum, { wake }) => sum + wake, 0) <= 1,
    },
  ));
