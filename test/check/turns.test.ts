import { describe, expect, test } from "vitest";
import {
  acknowledgedDelivered,
  check,
  exhaustive,
  goal,
  survivorsFinish,
  type ThreadBody,
} from "../../runtime/check/index.ts";
import { image as imageOf } from "./images.ts";
import "../../runtime/check/vitest.ts";

/** The first vqueue: what the checker proves of it, and where a death blocks it. */
const turns = imageOf("turns", { QUEUE_LEN: "2", ARRAY_LEN: "1" });
const QUEUE = 0;

const registers: ThreadBody = function* (t) {
  yield* t.call("register", 99);
};

/** Fills items in place, as the API library's users do. */
const sends = (...items: bigint[]): ThreadBody =>
  function* (t) {
    for (const item of items) {
      const place = (yield* t.until("claim", [QUEUE], (address) => address !== 0)) as number;
      yield* t.write(place, "u64", item);
      yield* t.call("commit", QUEUE, place);
    }
  };

const receives = (count: number): ThreadBody =>
  function* (t) {
    for (let left = count; left > 0; left--) {
      const place = (yield* t.until("take", [QUEUE], (address) => address !== 0)) as number;
      yield* t.read(place, "u64");
      yield* t.call("release", QUEUE, place);
    }
  };

/** Sleeps while there is nothing to take. */
const sleepsAndReceives: ThreadBody = function* (t) {
  let place = 0;
  while (place === 0) {
    place = (yield* t.call("take", QUEUE)) as number;
    if (place === 0) yield* t.call("waitForItem", QUEUE);
  }
  yield* t.read(place, "u64");
  yield* t.call("release", QUEUE, place);
};

/** What is written and read stands in the log under these names. */
const received = ({ fn, result }: { fn: string; result: unknown }): unknown =>
  fn === "vvar.read" ? result : undefined;
const written = ({ fn, args }: { fn: string; args: readonly unknown[] }): unknown =>
  fn === "vvar.write" ? args[2] : undefined;

test("all interleavings of two producers and two consumers deliver every item once, in order, without a race", async () => {
  const { image } = await turns;
  const result = await check({
    image,
    setup: registers,
    threads: { p0: sends(10n, 11n), p1: sends(20n), c0: receives(2), c1: receives(1) },
    safety: (state) => {
      const items = state
        .calls()
        .map(received)
        .filter((item) => item !== undefined);
      expect(new Set(items).size).toBe(items.length);
      for (const { log } of state.threads) {
        const fromFirst = log.map(received).filter((item) => item === 10n || item === 11n) as bigint[];
        if (fromFirst.length === 2 && fromFirst[0]! > fromFirst[1]!) return "out of order";
      }
      return true;
    },
    goals: [survivorsFinish(), acknowledgedDelivered({ sent: written, received })],
    strategy: exhaustive(),
  });
  expect(result).toPass();
  expect(result.tier).toBe("exhaustive");
});

test("no wake-up is lost between consumers that sleep and producers", async () => {
  const { image } = await turns;
  const result = await check({
    image,
    setup: registers,
    threads: { p: sends(1n), q: sends(2n), c: sleepsAndReceives, d: sleepsAndReceives },
    timeouts: false,
    strategy: exhaustive(),
  });
  expect(result).toPass();
});

test("a producer that dies between its commit and its wake-up leaves a consumer asleep on an item", async () => {
  const { image } = await turns;
  const { failure } = await check({
    image,
    setup: registers,
    threads: { p: sends(1n), c: sleepsAndReceives },
    kills: { threads: ["p"] },
    timeouts: false,
    strategy: exhaustive(),
  });
  expect(failure?.kind).toBe("deadlock");
  const [death] = failure!.trace.filter((step) => step.event.startsWith("killed"));
  expect(death?.thread).toBe("p");
});

describe("a death in the queue", () => {
  /** Where `victim` can die, and whether that blocks the others. */
  async function deaths(victim: "p0" | "c0"): Promise<{ blocks: string[]; harmless: string[] }> {
    const { image } = await turns;
    const result = await check({
      image,
      setup: registers,
      threads: {
        p0: sends(10n),
        p1: sends(20n, 21n),
        c0: { run: receives(3), daemon: true },
        c1: { run: receives(3), daemon: true },
      },
      kills: { threads: [victim] },
      goals: [
        survivorsFinish(),
        goal("the queue is emptied", ({ vvar }) => {
          const [queue] = vvar["queues"] as readonly { head: number; tail: number }[];
          return queue!.head === queue!.tail;
        }),
      ],
      strategy: exhaustive(),
    });
    expect(result.failure?.kind).toBe("stuck");
    const blocks = new Set<string>();
    const harmless = new Set<string>();
    for (const { call, access, after, stuck } of result.killPoints) {
      const fn = call.replace(/\(.*/, "");
      const [op, field] = access.split(/ (?=queues)/);
      const place =
        call === "" && !access
          ? "finished"
          : `${fn || "in place"}: ${after ? "behind" : "before"} ${op} ${field?.replace(/^.*\./, "")}`;
      (stuck > 0 ? blocks : harmless).add(place);
    }
    return { blocks: [...blocks], harmless: [...harmless.difference(blocks)] };
  }

  test("of a producer blocks it between claim and commit, and nowhere else", async () => {
    expect(await deaths("p0")).toEqual({
      blocks: [
        "claim: behind i32.atomic.rmw.cmpxchg tail",
        "vvar.write: before write of 64 bits by the host sender",
        "vvar.write: behind write of 64 bits by the host sender",
        "commit: before i32.atomic.load turn",
        "commit: before i32.atomic.store turn",
      ],
      harmless: [
        "claim: before i32.atomic.load tail",
        "claim: before i32.atomic.load turn",
        "claim: before i32.atomic.rmw.cmpxchg tail",
        "commit: before i32.atomic.load consumersAsleep",
        "commit: behind i32.atomic.load consumersAsleep",
        "finished",
      ],
    });
  });

  test("of a consumer blocks it between take and release, and nowhere else", async () => {
    expect(await deaths("c0")).toEqual({
      blocks: [
        "take: behind i32.atomic.rmw.cmpxchg head",
        "vvar.read: before read of 64 bits by the host sender",
        "vvar.read: behind read of 64 bits by the host sender",
        "release: before i32.atomic.load turn",
        "release: before i32.atomic.store turn",
      ],
      harmless: [
        "take: before i32.atomic.load head",
        "take: before i32.atomic.load turn",
        "take: before i32.atomic.rmw.cmpxchg head",
        "release: before i32.atomic.load producersAsleep",
        "release: behind i32.atomic.load producersAsleep",
        "finished",
      ],
    });
  });
});
