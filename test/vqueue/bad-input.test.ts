/** Calls that no well-behaved program makes: each has an answer of its own, and the mailboxes go on. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { imageFrom, type TestImage } from "../check/images.ts";
import { instantiate, type Vqueue } from "./fixtures/peer.ts";
import { Status } from "./status.ts";

const [ITEM, SPACE] = [0, 1];
const FAILED = 2 ** 31;
const PAGE_BYTES = 65536;
const [LENGTH, MAILBOXES, PROCESSES] = [3, 2, 8];
const folder = join(import.meta.dirname, "../../vdso-src/vqueue");

async function createVvar(): Promise<WebAssembly.Memory> {
  const pages = Math.ceil((await built()).manifest.layout.end / PAGE_BYTES);
  return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
}

/** An attachment for each pid; 0: one that no `processInit` ran for. */
async function boot(...pids: number[]): Promise<Vqueue[]> {
  return await bootIn(await createVvar(), ...pids);
}

async function bootIn(vvar: WebAssembly.Memory, ...pids: number[]): Promise<Vqueue[]> {
  const module = new WebAssembly.Module((await built()).image);
  return pids.map((pid) => {
    const api = instantiate(module, vvar);
    if (pid !== 0) api["processInit"]!(pid);
    return api;
  });
}

let image: Promise<TestImage> | undefined;
function built(): Promise<TestImage> {
  image ??= imageFrom(folder, {
    QUEUE_LEN: String(LENGTH),
    URGENT_LEN: "2",
    ARRAY_LEN: String(MAILBOXES),
    MAP_LEN: "2",
    PROCESSES: String(PROCESSES),
    SPIN: "3",
  });
  return image;
}

/** Every call that takes a mailbox, with what it answers with a status. */
const CALLS: Readonly<Record<string, (api: Vqueue, id: number) => number>> = {
  claim: (api, id) => api["claim"]!(id),
  claimUrgent: (api, id) => api["claimUrgent"]!(id),
  claimMany: (api, id) => (api["claimMany"]!(id, 2) >>> 0) - FAILED,
  take: (api, id) => api["take"]!(id),
  takeMany: (api, id) => (api["takeMany"]!(id, 2) >>> 0) - FAILED,
  waitForItem: (api, id) => api["waitForItem"]!(id, -1),
  waitForSpace: (api, id) => api["waitForSpace"]!(id, -1),
  waitForUrgentSpace: (api, id) => api["waitForUrgentSpace"]!(id, -1),
  watchItem: (api, id) => api["watch"]!(id, ITEM),
  watchSpace: (api, id) => api["watch"]!(id, SPACE),
  statusOf: (api, id) => api["statusOf"]!(id),
  share: (api, id) => api["share"]!(id, 3),
  leave: (api, id) => api["leave"]!(id),
  close: (api, id) => api["close"]!(id),
  setPid: (api, id) => api["setPid"]!(id, 7),
  mapAdd: (api, id) => (api["mapAdd"] as unknown as (id: number, type: bigint, n: bigint) => number)(id, 1n, 2n),
  peek: (api, id) => api["peek"]!(id) * 0 + api["lastStatus"]!(),
  receive: (api, id) => api["receive"]!(id) * 0 + api["lastStatus"]!(),
};

describe.each(Object.entries(CALLS))("%s", (name, call) => {
  test("tells ids apart that are of no mailbox, of none yet, stale, closed", async () => {
    const [api] = (await boot(2)) as [Vqueue];
    expect(call(api, MAILBOXES)).toBe(Status.Range);
    expect(call(api, 0xffffffff | 0)).toBe(Status.Range);
    expect(call(api, 0)).toBe(Status.Stale);
    expect(call(api, 1024)).toBe(Status.Stale);
    const id = api["register"]!(0, 0);
    api["close"]!(id);
    expect(call(api, id)).toBe(Status.Closed);
    expect(api["register"]!(0, 0)).not.toBe(id);
    expect(call(api, id)).toBe(Status.Stale);
    expect(call(api, id + 2 * 1024)).toBe(Status.Stale);
  });

  test("of a process without a pid, or of another's mailbox, is refused where it changes or receives", async () => {
    const [owner, foreign, nobody] = (await boot(2, 3, 0)) as [Vqueue, Vqueue, Vqueue];
    const id = owner["register"]!(0, 0);
    const everybody = name === "statusOf";
    const producer = ["claim", "claimUrgent", "claimMany", "waitForSpace", "waitForUrgentSpace", "watchSpace"].includes(
      name,
    );
    expect(call(nobody, id)).toBe(everybody ? Status.Ok : Status.NoProcess);
    const found = call(foreign, id);
    if (everybody || (producer && !name.startsWith("claim"))) expect(found).toBe(Status.Ok);
    else if (!producer) expect(found).toBe(Status.Foreign);
    expect(owner["statusOf"]!(id)).toBe(Status.Ok);
  });
});

test("a slot that a process does not hold cannot be finished, whatever address it names", async () => {
  const [a, b] = (await boot(2, 3)) as [Vqueue, Vqueue];
  const [id, other] = [a["register"]!(0, 1), a["register"]!(0, 1)] as [number, number];
  const item = a["claim"]!(id);
  const finishers = ["commit", "abandon", "release", "releaseMany", "putBack"];
  for (const finish of finishers) {
    for (const address of [0, 8, item + 1, item - 8, item + 96, 0xfffffff8 | 0]) {
      expect([finish, address, a[finish]!(id, address)]).toEqual([finish, address, Status.NotYours]);
    }
    expect(b[finish]!(id, item)).toBe(Status.NotYours);
    expect(a[finish]!(other, item)).toBe(Status.NotYours);
    expect(a[finish]!(MAILBOXES, item)).toBe(Status.Range);
  }
  expect(a["commitMany"]!(id, LENGTH, 1)).toBe(Status.Range);
  expect(b["commitMany"]!(id, 0, 1)).toBe(Status.NotYours);
  for (const finish of finishers.slice(2)) expect(a[finish]!(id, item)).toBe(Status.NotYours);
  expect(a["commit"]!(id, item)).toBe(Status.Ok);
  for (const finish of finishers) expect(a[finish]!(id, item)).toBe(Status.NotYours);
  expect(b["take"]!(id)).toBe(item);
  for (const finish of finishers) expect(a[finish]!(id, item)).toBe(Status.NotYours);
  expect(b["release"]!(id, item)).toBe(Status.Ok);
});

test("an item that is too long is not sent", async () => {
  const [api] = (await boot(2)) as [Vqueue];
  const id = api["register"]!(0, 0);
  const memory = api["memory"] as unknown as WebAssembly.Memory;
  // Where the API library encodes arguments.
  const message = (await built()).manifest.private.args;
  for (const [length, status] of [
    [65, 14],
    [65535, 14],
    [64, Status.Ok],
  ] as const) {
    new DataView(memory.buffer).setUint16(message + 4, length, true);
    expect(api["send"]!(id, message, 0)).toBe(status);
  }
  expect(api["depth"]!(id)).toBe(1);
});

test.each([0, 1e-9, 1])("a wait of %d ms ends", async (ms) => {
  const [api] = (await boot(2)) as [Vqueue];
  const id = api["register"]!(0, 0);
  expect(api["waitForItem"]!(id, ms)).toBe(Status.TimedOut);
  while (api["claim"]!(id) >= 64);
  expect(api["waitForSpace"]!(id, ms)).toBe(Status.TimedOut);
  api["watch"]!(id, ITEM);
  expect(api["waitAny"]!(ms)).toBe(Status.TimedOut);
});

test.each([-1, -1e300, -Infinity, Infinity, Number.NaN, 1e300, 2 ** 63])(
  "a wait of %d ms for what is there returns, and does not overflow",
  async (ms) => {
    const [api] = (await boot(2)) as [Vqueue];
    const id = api["register"]!(0, 0);
    expect(api["waitForSpace"]!(id, ms)).toBe(Status.Ok);
    expect(api["commit"]!(id, api["claim"]!(id))).toBe(Status.Ok);
    expect(api["waitForItem"]!(id, ms)).toBe(Status.Ok);
    api["watch"]!(id, ITEM);
    expect(api["waitAny"]!(ms)).toBe(id);
  },
);

test("with all slots claimed and none committed the others are told so, and a death frees them", async () => {
  const [owner, hoarder] = (await boot(2, 3)) as [Vqueue, Vqueue];
  // To drop the oldest is no way out: there is no item yet.
  const id = owner["register"]!(2, 0);
  for (let slot = 0; slot < LENGTH; slot++) expect(hoarder["claim"]!(id)).toBeGreaterThan(63);
  expect(owner["claim"]!(id)).toBe(Status.Full);
  expect(owner["take"]!(id)).toBe(Status.Empty);
  expect(owner["waitForItem"]!(id, 1)).toBe(Status.TimedOut);
  expect(owner["waitForSpace"]!(id, 1)).toBe(Status.TimedOut);
  owner["processDrop"]!(3);
  for (let slot = 0; slot < LENGTH; slot++) expect(owner["commit"]!(id, owner["claim"]!(id))).toBe(Status.Ok);
  expect(owner["claim"]!(id)).toBeGreaterThan(63);
});

test("who has looked around before a death, and waits only after it, does not sleep", async () => {
  const vvar = await createVvar();
  const [api] = (await bootIn(vvar, 2, 3)) as [Vqueue];
  const id = api["register"]!(0, 0);
  api["watch"]!(id, ITEM);
  const seen = new Int32Array(vvar.buffer)[api["wakeWord"]!() >>> 2]!;
  expect(api["waitAnySince"]!(seen, 1)).toBe(Status.TimedOut);
  api["processDrop"]!(3);
  expect(api["waitAnySince"]!(seen, 1000)).toBe(Status.Empty);
  expect(api["waitAny"]!(1)).toBe(Status.TimedOut);
});

test("a process sends to itself, and fills its own mailbox", async () => {
  const [api] = (await boot(2)) as [Vqueue];
  const id = api["register"]!(1, 0);
  for (let slot = 0; slot < LENGTH; slot++) expect(api["commit"]!(id, api["claim"]!(id))).toBe(Status.Ok);
  expect(api["claim"]!(id)).toBe(Status.Full);
  expect(api["waitForSpace"]!(id, 1)).toBe(Status.TimedOut);
  expect(api["release"]!(id, api["take"]!(id))).toBe(Status.Ok);
  expect(api["waitForSpace"]!(id, -1)).toBe(Status.Ok);
});

test("when the table is full nobody can register until a mailbox is closed", async () => {
  const [a, b, nobody] = (await boot(2, 3, 0)) as [Vqueue, Vqueue, Vqueue];
  const ids = [a["register"]!(0, 0), b["register"]!(0, 0)] as [number, number];
  expect(a["register"]!(0, 0)).toBe(Status.NoRoom);
  expect(b["close"]!(ids[0])).toBe(Status.Foreign);
  expect(b["close"]!(ids[1])).toBe(Status.Ok);
  expect(nobody["register"]!(0, 0)).toBe(Status.NoProcess);
  expect(a["register"]!(0, 0)).toBeGreaterThan(63);
});

test("a pid is shared with only when it is attached; one beyond the table, or twice, does not come in", async () => {
  const [owner, late] = (await boot(2, 0)) as [Vqueue, Vqueue];
  const id = owner["register"]!(0, 0);
  for (const pid of [0, 3, PROCESSES, 1023, -1, 1024 + 2]) expect(owner["share"]!(id, pid)).toBe(Status.NoProcess);
  for (const pid of [PROCESSES, 1024, 2]) expect(() => late["processInit"]!(pid)).toThrow(/panic|unreachable/);
  for (const pid of [0, 3, PROCESSES, -1, 1024 + 2, 0x7fffffff]) owner["processDrop"]!(pid);
  expect(owner["statusOf"]!(id)).toBe(Status.Ok);
  late["processInit"]!(1024 + 3);
  expect(owner["share"]!(id, 3)).toBe(Status.NoProcess);
  expect(owner["share"]!(id, 1024 + 3)).toBe(Status.Ok);
});

test.each([
  ["0 slots", { QUEUE_LEN: "0" }, /QUEUE_LEN/],
  ["half a slot", { QUEUE_LEN: "1.5" }, /QUEUE_LEN/],
  ["more mailboxes than ids", { ARRAY_LEN: "1024" }, /ARRAY_LEN/],
  ["nobody but the kernel", { PROCESSES: "1" }, /PROCESSES/],
  ["more than the address space", { QUEUE_LEN: "524288", ARRAY_LEN: "1023" }, /bytes/],
])("the build refuses %s", async (_, constants, message) => {
  await expect(imageFrom(folder, constants as Record<string, string>)).rejects.toThrow(message);
});

test("the number 0 is no mailbox, whatever the first one holds", async () => {
  const [api, other] = (await boot(2, 3)) as [Vqueue, Vqueue];
  const id = api["register"]!(0, 1);
  expect(api["commit"]!(id, api["claim"]!(id))).toBe(Status.Ok);
  for (const call of ["take", "claim", "waitForItem", "waitForSpace"]) expect(other[call]!(0, -1)).toBe(Status.Stale);
  expect(other["depth"]!(0)).toBe(0);
  const memory = other["memory"] as unknown as WebAssembly.Memory;
  // An option's tag says whether there is anything.
  for (const call of ["peek", "stats"]) expect(new DataView(memory.buffer).getUint32(other[call]!(0), true)).toBe(0);
});

test("a slot that was finished by commitMany is finished", async () => {
  const [api] = (await boot(2)) as [Vqueue];
  const id = api["register"]!(0, 0);
  const item = api["claim"]!(id);
  expect(api["commitMany"]!(id, 0, 1)).toBe(Status.Ok);
  expect(api["release"]!(id, api["take"]!(id))).toBe(Status.Ok);
  expect(api["commit"]!(id, item)).toBe(Status.NotYours);
  expect(api["take"]!(id)).toBe(Status.Empty);
});

test("who comes after one that a mailbox was shared with is not shared with", async () => {
  const [owner, heir, late] = (await boot(2, 3, 0)) as [Vqueue, Vqueue, Vqueue];
  const id = owner["register"]!(0, 0);
  expect(owner["share"]!(id, 3)).toBe(Status.Ok);
  owner["processDrop"]!(3);
  late["processInit"]!(1024 + 3);
  expect(late["take"]!(id)).toBe(Status.Foreign);
  expect(owner["leave"]!(id)).toBe(Status.Ok);
  expect(heir["statusOf"]!(id)).toBe(Status.Closed);
});

test("an urgent item is received that stood behind a slot that was given up", async () => {
  const [api, other] = (await boot(2, 3)) as [Vqueue, Vqueue];
  const id = api["register"]!(0, 0);
  const first = api["claimUrgent"]!(id);
  const second = other["claimUrgent"]!(id);
  expect(other["commit"]!(id, second)).toBe(Status.Ok);
  expect(api["take"]!(id)).toBe(Status.Empty);
  expect(api["abandon"]!(id, first)).toBe(Status.Ok);
  expect(api["take"]!(id)).toBe(second);
});
