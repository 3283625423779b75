/** Mailboxes that are closed, registered again and shared while others still believe in what was before, in all interleavings and with deaths. */
import { expect, test } from "vitest";
import { goal, survivorsFinish } from "../../runtime/check/index.ts";
import { CLOSED, calls, EMPTY, ID, OK, proves, STALE } from "./calls.ts";

/** The id that the first mailbox has when it is registered again. */
const NEXT = ID + 1024;

const isRegistered = (id: unknown): boolean => (id as number) >= 64;
/** FREE or CLOSED; see gate.ts. */
const isUnused = (mailbox: unknown): boolean =>
  [0n, 3n].includes((BigInt((mailbox as { gate: bigint }).gate) >> 36n) & 7n);

test("a registrar's death leaves a mailbox that can be registered, whatever of the mailbox before is still under way", () =>
  proves(
    {
      dies: { run: calls(["register", 0, true]), daemon: true },
      late: calls(["finishLate"]),
    },
    {
      length: 1,
      *setup(t) {
        yield* t.call("prepare", 0);
        yield* t.call("close", ID);
      },
      kills: { threads: ["dies"], reaper: 1 },
      goals: [
        goal("nothing is left in setup", (state) => {
          const { status } = state.thread("dies");
          if (status !== "killed") return true;
          return state.reaper?.status === "idle" && isUnused((state.vvar["mailboxes"] as unknown[])[0]);
        }),
      ],
    },
  ));

test("who waited for the mailbox before takes no wake-up from who waits for the one after", () =>
  proves(
    {
      late: calls(["waitForItem", ID, -1]),
      *waits(t) {
        yield* t.until("waitForItem", [NEXT, -1], (status) => status === OK);
      },
      *sends(t) {
        yield* t.call("close", ID);
        yield* t.call("register", 0, true);
        yield* t.until("pushTo", [NEXT], (sent) => sent === true);
      },
    },
    {
      *setup(t) {
        yield* t.call("prepare", 0);
        // So that `sends` may close it.
        yield* t.call("enter", 4);
      },
    },
  ));

test("a producer that comes late with the id before is told so, and spoils nothing", () =>
  proves(
    {
      *late(t) {
        const item = (yield* t.call("claim", ID)) as number;
        if (item < 64) return;
        const status = yield* t.call("commit", ID, item);
        if (status !== OK) throw new Error(`commit: ${status}`);
      },
      *owner(t) {
        yield* t.call("close", ID);
        const id = (yield* t.until("register", [0, false], isRegistered)) as number;
        const item = yield* t.call("take", id);
        if (item !== EMPTY) throw new Error(`expected an empty mailbox, found ${item}`);
        const sent = yield* t.call("pushTo", id);
        if (sent !== true) throw new Error("expected room");
      },
    },
    {
      length: 1,
      *setup(t) {
        yield* t.call("prepare", 0);
        yield* t.call("enter", 3);
      },
      // Where the slot is claimed, it is the other that is registered.
      mailboxes: 2,
      safety: ({ calls: made }) =>
        made("claim").every(({ result }) => isRegistered(result) || [CLOSED, STALE].includes(result as number)),
    },
  ));

test("a producer that expects the slot of the next lap, with the id before, does not get it", () =>
  proves(
    {
      *late(t) {
        yield* t.call("pushTo", ID);
        const item = (yield* t.call("claim", ID)) as number;
        if (item >= 64) throw new Error("expected no room");
      },
      *owner(t) {
        yield* t.call("close", ID);
        const id = (yield* t.until("register", [0, false], isRegistered)) as number;
        const item = yield* t.call("take", id);
        if (item !== EMPTY) throw new Error(`expected an empty mailbox, found ${item}`);
      },
    },
    {
      length: 1,
      *setup(t) {
        yield* t.call("prepare", 0);
        yield* t.call("enter", 3);
      },
      mailboxes: 2,
    },
  ));

test("a mailbox closes with its last owner, whoever of owner and shared-with dies when", () =>
  proves(
    {
      owner: { run: calls(["register", 0, false], ["share", ID + 1, 3], ["leave", ID + 1]), daemon: true },
      shared: { run: calls(["statusOf", ID + 1]), daemon: true },
    },
    {
      mailboxes: 2,
      *setup(t) {
        yield* t.call("prepare", 0);
      },
      kills: { threads: ["owner", "shared"], reaper: 1 },
      goals: [
        goal("the mailbox of the dead is closed", (state) => {
          const { reaper, vvar } = state;
          if (reaper !== undefined && reaper.status !== "idle") return false;
          if (state.thread("owner").status === "running" || state.thread("shared").status !== "killed") return true;
          return isUnused((vvar["mailboxes"] as unknown[])[1]);
        }),
      ],
    },
  ));

test("a mailbox that is shared closes when both are dead, whoever dies first and is reaped first", () =>
  proves(
    {
      owner: { run: calls(["register", 0, false], ["share", ID + 1, 3]), daemon: true },
      shared: { run: calls(["statusOf", ID + 1]), daemon: true },
    },
    {
      length: 1,
      mailboxes: 2,
      *setup(t) {
        yield* t.call("prepare", 0);
      },
      kills: { threads: ["owner", "shared"], max: 2, reaper: 1 },
      goals: [
        goal("the mailbox of the dead is closed", (state) => {
          const { reaper, vvar } = state;
          if (reaper !== undefined && reaper.status !== "idle") return false;
          if (["owner", "shared"].some((name) => state.thread(name).status !== "killed")) return true;
          return isUnused((vvar["mailboxes"] as unknown[])[1]);
        }),
      ],
    },
  ));

test("an entry that comes late to the map is of the mailbox before", async () => {
  await proves(
    {
      late: calls(["mapAdd", ID, 1n, 7n]),
      *owner(t) {
        yield* t.call("close", ID);
        const id = (yield* t.until("register", [0, false], isRegistered)) as number;
        yield* t.call("mapAdd", id, 2n, 8n);
        const [own, others] = [yield* t.call("mapGet", id, 2n), yield* t.call("mapGet", id, 1n)];
        if (own !== 8n || others !== undefined) throw new Error(`expected 8 and nothing, found ${own} and ${others}`);
      },
    },
    {
      *setup(t) {
        yield* t.call("prepare", 0);
        for (const pid of [2, 3]) yield* t.call("enter", pid);
      },
    },
  );
});

test("an entry of the map is not taken out by who believes in the mailbox before", () =>
  proves(
    {
      late: calls(["mapPop", ID, 1n]),
      *owner(t) {
        yield* t.call("close", ID);
        const id = (yield* t.until("register", [0, false], isRegistered)) as number;
        yield* t.call("mapAdd", id, 1n, 8n);
        const own = yield* t.call("mapPop", id, 1n);
        if (own !== 8n) throw new Error(`expected 8, found ${own}`);
      },
    },
    {
      *setup(t) {
        yield* t.call("prepare", 0);
        yield* t.call("mapAdd", ID, 1n, 7n);
        yield* t.call("enter", 3);
      },
      goals: [survivorsFinish()],
    },
  ));

test("of those who register at once each has a mailbox of its own", () =>
  proves(
    {
      *a(t) {
        expect(isRegistered(yield* t.call("register", 0, false))).toBe(true);
      },
      *b(t) {
        expect(isRegistered(yield* t.call("register", 0, false))).toBe(true);
      },
    },
    {
      mailboxes: 3,
      *setup(t) {
        yield* t.call("prepare", 0);
      },
      safety: ({ calls: made }) =>
        new Set(made("register").map(({ result }) => result)).size === made("register").length,
    },
  ));
