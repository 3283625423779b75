/** Random programs of three processes, any of which may end and be replaced, against a plain model of mailboxes: every call does what the model says. */
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { imageFrom } from "../check/images.ts";
import { instantiate, type Vqueue } from "./fixtures/peer.ts";
import { Status } from "./status.ts";

const [DROP_OLDEST, FAILED, FIRST_ADDRESS, MAX_RUN] = [2, 2 ** 31, 64, 64];
const PAGE_BYTES = 65536;
const PARTIES = 3;
const DATA = 24;
const WILDCARD = 2n ** 64n - 1n;
const NOBODY = 0;
/** Of 1000. */
const OFTEN = 850;

interface Constants {
  readonly length: number;
  readonly urgentLength: number;
  readonly mailboxes: number;
  readonly entries: number;
  readonly more?: Readonly<Record<string, string>>;
}

/** What a slot of a lane holds. A run: its first slot knows how long it is. */
interface ModelSlot {
  position: number;
  state: "free" | "claimed" | "full" | "taken" | "again" | "skip";
  owner: number;
  /** Slots of the run, at its first; 0 at the others. */
  run: number;
  /** Slots that were released at once, at the first of them; 0 at the others, 1 at a single one. */
  empty: number;
  value: number;
}

class Lane {
  readonly slots: ModelSlot[];
  next = 0;
  dropped = 0;
  constructor(length: number) {
    this.slots = Array.from({ length }, (_, index) => ({
      position: index - length,
      state: "free",
      owner: NOBODY,
      run: 0,
      empty: 1,
      value: 0,
    }));
  }

  at(position: number): ModelSlot {
    return this.slots[position % this.slots.length]!;
  }

  canClaim(drops: boolean): boolean {
    const { state } = this.at(this.next);
    return state === "free" || state === "skip" || (drops && (state === "full" || state === "again"));
  }

  /**
   * Slots that a claim may get: the fewest, the most. A taker whose id is of no use may have freed what is to be skipped. What was released at once is
   * claimed with the single slots behind it, not with those before.
   */
  claimable(want: number, drops: boolean): [least: number, most: number] {
    if (!this.canClaim(drops)) return [0, 0];
    const run = (isEmpty: (slot: ModelSlot) => boolean): number => {
      const first = this.at(this.next);
      if (!isEmpty(first)) return 1;
      let count = Math.min(first.empty, want);
      const isNext = (slot: ModelSlot): boolean => isEmpty(slot) && slot.empty === 1;
      while (count < want && isNext(this.at(this.next + count))) count++;
      return count;
    };
    return [run(({ state }) => state === "free"), run(({ state }) => state === "free" || state === "skip")];
  }

  claim(run: number, owner: number): void {
    const { state, empty } = this.at(this.next);
    if (state === "full" || state === "again") this.dropped++;
    // What is left of slots released at once stays so for whom claims several, falls apart for whom claims one.
    for (let k = run; k < empty; k++) this.at(this.next + k).empty = run === 1 ? 1 : k === run ? empty - run : 0;
    for (let k = 0; k < run; k++) {
      Object.assign(this.at(this.next), {
        position: this.next,
        state: "claimed",
        owner,
        run: k === 0 ? run : 0,
        empty: 1,
      });
      this.next++;
    }
  }

  /** From the oldest on. */
  inOrder(): ModelSlot[] {
    return [...this.slots].sort((a, b) => a.position - b.position);
  }

  again(): ModelSlot | undefined {
    return this.inOrder().find(({ state }) => state === "again");
  }

  /** The next that can be taken; a taker frees what it skips on the way. */
  first(frees: boolean): ModelSlot | undefined {
    for (const slot of this.inOrder()) {
      if (slot.state === "claimed") return undefined;
      if (slot.state === "full" || slot.state === "again") return slot;
      if (slot.state === "skip" && frees) slot.state = "free";
    }
    return undefined;
  }

  take(first: ModelSlot, want: number, owner: number): number {
    let run = 1;
    const isNext = (slot: ModelSlot): boolean => slot.state === "full" && slot.position === first.position + run;
    if (first.state === "full") while (run < want && isNext(this.at(first.position + run))) run++;
    for (let k = 0; k < run; k++) {
      Object.assign(this.at(first.position + k), { state: "taken", owner, run: k === 0 ? run : 0 });
    }
    return run;
  }

  /** Ends a run, slot by slot. */
  end(first: ModelSlot, state: (k: number) => ModelSlot["state"]): void {
    const { run } = first;
    for (let k = 0; k < run; k++) {
      const ended = { state: state(k), owner: NOBODY, run: 0 };
      Object.assign(this.at(first.position + k), ended, { empty: ended.state !== "free" ? 1 : k === 0 ? run : 0 });
    }
  }
}

interface ModelMailbox {
  generation: number;
  phase: "free" | "open" | "closed";
  policy: number;
  anyone: boolean;
  owners: Set<number>;
  pid: number;
  map: Map<bigint, { notification: bigint; owner: number }>;
  lanes: [normal: Lane, urgent: Lane];
}

const by = fc.nat(PARTIES - 1);
const pick = fc.nat(1000);
const count = fc.integer({ min: 0, max: 9 });
const type = fc.constantFrom(1n, 2n, 3n, WILDCARD);
const one = <K extends string, F extends object>(kind: K, fields: { [P in keyof F]: fc.Arbitrary<F[P]> }) =>
  fc.record({ kind: fc.constant(kind), by, pick, ...fields }) as fc.Arbitrary<
    { kind: K; by: number; pick: number } & F
  >;
const command = fc.oneof(
  { weight: 3, arbitrary: one("register", { policy: fc.nat(2), anyone: fc.boolean() }) },
  { weight: 14, arbitrary: one("claim", { urgent: fc.boolean() }) },
  { weight: 14, arbitrary: one("send", { urgent: fc.boolean() }) },
  { weight: 8, arbitrary: one("claimMany", { count }) },
  { weight: 14, arbitrary: one("take", {}) },
  { weight: 8, arbitrary: one("receive", {}) },
  { weight: 8, arbitrary: one("takeMany", { count }) },
  {
    weight: 30,
    arbitrary: one("finish", {
      how: fc.constantFrom("commit", "abandon", "release", "releaseMany", "putBack"),
      slot: pick,
    }),
  },
  { weight: 12, arbitrary: one("commitMany", { count, slot: pick }) },
  { weight: 5, arbitrary: one("look", {}) },
  { weight: 2, arbitrary: one("share", { with: fc.nat(PARTIES) }) },
  { weight: 1, arbitrary: one("leave", {}) },
  { weight: 1, arbitrary: one("close", {}) },
  { weight: 2, arbitrary: one("setPid", {}) },
  { weight: 3, arbitrary: one("mapAdd", { type }) },
  { weight: 4, arbitrary: one("map", { type, pops: fc.boolean() }) },
  { weight: 1, arbitrary: one("end", {}) },
);
type Command = typeof command extends fc.Arbitrary<infer C> ? C : never;

test.each<[string, Constants, number]>([
  ["one of everything", { length: 1, urgentLength: 1, mailboxes: 1, entries: 1 }, 120],
  ["two slots", { length: 2, urgentLength: 1, mailboxes: 2, entries: 2 }, 120],
  ["seven slots", { length: 7, urgentLength: 2, mailboxes: 3, entries: 3 }, 120],
  [
    "four slots, hints published at once, turns that wrap",
    {
      length: 4,
      urgentLength: 3,
      mailboxes: 2,
      entries: 1,
      more: { PUBLISH_EVERY: "1", START_TURN: String(2n ** 45n - 2n) },
    },
    120,
  ],
])("with %s every call does what the model says", async (_, constants, numRuns) => {
  const { image, manifest } = await imageFrom(join(import.meta.dirname, "../../vdso-src/vqueue"), {
    QUEUE_LEN: String(constants.length),
    URGENT_LEN: String(constants.urgentLength),
    ARRAY_LEN: String(constants.mailboxes),
    MAP_LEN: String(constants.entries),
    PROCESSES: "8",
    SPIN: "2",
    ...constants.more,
  });
  const module = new WebAssembly.Module(image);
  const pages = Math.ceil(manifest.layout.end / PAGE_BYTES);
  const boot = (): Machine => {
    const vvar = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
    return new Machine(constants, () => instantiate(module, vvar), vvar, manifest.private.args);
  };
  fc.assert(
    fc.property(fc.array(command, { maxLength: 70, size: "max" }), (program) => {
      const machine = boot();
      for (const step of program) machine.run(step);
      machine.drain();
    }),
    { numRuns },
  );
});

interface Party {
  pid: number;
  api: Vqueue;
}

/** The image, and beside it the model. */
class Machine {
  readonly #constants: Constants;
  readonly #attach: () => Vqueue;
  readonly #words: Uint32Array;
  readonly #message: number;
  readonly #mailboxes: ModelMailbox[];
  readonly #parties: Party[];
  /** Every id that ever was, and some that never were. */
  readonly #ids: number[];
  /** Addresses that were ever handed out. */
  readonly #items: { index: number; address: number; urgent: boolean; slot: number }[] = [];
  #stamp = 0;

  constructor(constants: Constants, attach: () => Vqueue, vvar: WebAssembly.Memory, message: number) {
    this.#constants = constants;
    this.#attach = attach;
    this.#words = new Uint32Array(vvar.buffer);
    this.#message = message;
    this.#mailboxes = Array.from({ length: constants.mailboxes }, () => this.#fresh(0));
    this.#parties = Array.from({ length: PARTIES }, (_, index) => this.#enter(index + 2));
    this.#ids = [0, constants.mailboxes, 5 * 1024];
    this.run({ kind: "register", by: 0, pick: 0, policy: 0, anyone: true });
  }

  #fresh(generation: number): ModelMailbox {
    return {
      generation,
      phase: "free",
      policy: 0,
      anyone: false,
      owners: new Set(),
      pid: 0,
      map: new Map(),
      lanes: [new Lane(this.#constants.length), new Lane(this.#constants.urgentLength)],
    };
  }

  #enter(pid: number): Party {
    const api = this.#attach();
    api["processInit"]!(pid);
    return { pid, api };
  }

  /** The mailbox that an id means, and what is wrong with it. */
  #look(id: number): { status: number; mailbox: ModelMailbox } {
    const mailbox = this.#mailboxes[id & 1023];
    if (mailbox === undefined) return { status: Status.Range, mailbox: this.#fresh(0) };
    if (mailbox.generation !== id >>> 10 || mailbox.phase === "free") return { status: Status.Stale, mailbox };
    return { status: mailbox.phase === "open" ? Status.Ok : Status.Closed, mailbox };
  }

  #remove({ owners }: ModelMailbox, mailbox: ModelMailbox, index: number): void {
    owners.delete(index);
    if (owners.size === 0 && mailbox.phase === "open") mailbox.phase = "closed";
  }

  run(step: Command): void {
    const { pid, api } = this.#parties[step.by]!;
    const me = pid & 1023;
    if (step.kind === "register") {
      this.#register(step.policy, step.anyone, pid, api);
      return;
    }
    if (step.kind === "end") {
      api["processDrop"]!(pid);
      api["processDrop"]!(pid);
      for (const mailbox of this.#mailboxes) this.#reap(mailbox, me);
      this.#parties[step.by] = this.#enter(pid + 1024);
      return;
    }
    if (step.kind === "finish" || step.kind === "commitMany") {
      this.#finish(step, me, api);
      return;
    }
    // Mostly one that can be used.
    const open = this.#ids.filter((known) => this.#look(known).status === Status.Ok);
    const ids = step.pick < OFTEN && open.length > 0 ? open : this.#ids;
    const id = ids[step.pick % ids.length]!;
    const { status, mailbox } = this.#look(id);
    const [normal, urgentLane] = mailbox.lanes;
    const drops = mailbox.policy === DROP_OLDEST;
    const owns = mailbox.owners.has(me);
    const asOwner = status !== Status.Ok ? status : owns ? Status.Ok : Status.Foreign;
    const asReceiver = status !== Status.Ok ? status : owns || mailbox.anyone ? Status.Ok : Status.Foreign;

    if (step.kind === "claim" || step.kind === "claimMany" || step.kind === "send") {
      const urgent = step.kind !== "claimMany" && step.urgent;
      const lane = urgent ? urgentLane : normal;
      const want = step.kind === "claimMany" ? Math.min(Math.max(step.count, 1), MAX_RUN, this.#constants.length) : 1;
      const [least, most] = status === Status.Ok ? lane.claimable(want, drops) : [0, 0];
      const refused = status === Status.Ok ? Status.Full : status;
      if (step.kind === "claimMany") {
        const got = api["claimMany"]!(id, step.count) >>> 0;
        if (most === 0) {
          expect(got).toBe(FAILED + refused);
          return;
        }
        expect(got).toBeGreaterThanOrEqual(least);
        expect(got).toBeLessThanOrEqual(most);
        const start = lane.next;
        lane.claim(got, me);
        expect(api["lastIndex"]!()).toBe(start % this.#constants.length);
        const first = api["firstItem"]!(id) >>> 0;
        for (let k = 0; k < got; k++) {
          this.#note(id, false, start + k, first + ((start + k) % this.#constants.length) * 96);
        }
        return;
      }
      const run = least;
      const position = lane.next;
      if (run > 0) lane.claim(run, me);
      if (step.kind === "send") {
        const value = ++this.#stamp;
        const view = new DataView((api["memory"] as unknown as WebAssembly.Memory).buffer);
        view.setUint16(this.#message + 4, 4, true);
        view.setUint32(this.#message + DATA, value, true);
        expect(api["send"]!(id, this.#message, urgent ? 1 : 0)).toBe(run === 1 ? Status.Ok : refused);
        if (run === 1) {
          lane.at(position).value = value;
          lane.end(lane.at(position), () => "full");
        }
        return;
      }
      const address = api[urgent ? "claimUrgent" : "claim"]!(id) >>> 0;
      if (run === 0) expect(address).toBe(refused);
      else this.#note(id, urgent, position, address);
      return;
    }
    if (step.kind === "take" || step.kind === "takeMany" || step.kind === "receive") {
      const want = step.kind === "takeMany" ? Math.min(Math.max(step.count, 1), MAX_RUN, this.#constants.length) : 1;
      let run = 0;
      let from: ModelSlot | undefined;
      let lane = normal;
      if (asReceiver === Status.Ok) {
        from = urgentLane.again();
        if (from !== undefined) lane = urgentLane;
        from ??= normal.again();
        if (from === undefined) {
          from = urgentLane.first(true);
          if (from !== undefined) lane = urgentLane;
        }
        from ??= normal.first(true);
        if (from !== undefined) run = lane.take(from, lane === normal ? want : 1, me);
      }
      const refused = asReceiver === Status.Ok ? Status.Empty : asReceiver;
      if (step.kind === "receive") {
        const found = this.#option(api, api["receive"]!(id));
        expect(found === undefined ? api["lastStatus"]!() : Status.Ok).toBe(run === 1 ? Status.Ok : refused);
        if (found !== undefined) {
          const view = new DataView((api["memory"] as unknown as WebAssembly.Memory).buffer);
          expect(view.getUint32(view.getUint32(found, true) + DATA, true)).toBe(from!.value);
          lane.end(from!, () => "free");
        }
        return;
      }
      if (step.kind === "take") {
        const address = api["take"]!(id) >>> 0;
        if (run === 0) expect(address).toBe(refused);
        else this.#check(id, lane === urgentLane, from!, address);
        return;
      }
      const got = api["takeMany"]!(id, step.count) >>> 0;
      expect(got).toBe(run === 0 ? FAILED + refused : run);
      for (let k = 0; k < run; k++) {
        const slot = lane.at(from!.position + k);
        const first = api["firstItem"]!(id) >>> 0;
        const address = run === 1 ? api["lastAddress"]!() >>> 0 : first + (slot.position % lane.slots.length) * 96;
        this.#check(id, lane === urgentLane, slot, address);
      }
      return;
    }
    if (step.kind === "look") {
      this.#compare(id, api, me);
      return;
    }
    if (step.kind === "share") {
      // One that is there, or one that is not.
      const other = this.#parties[step.with]?.pid ?? 7;
      const expected = asOwner !== Status.Ok ? asOwner : other === 7 ? Status.NoProcess : Status.Ok;
      expect(api["share"]!(id, other)).toBe(expected);
      if (expected === Status.Ok) mailbox.owners.add(other & 1023);
    } else if (step.kind === "leave") {
      expect(api["leave"]!(id)).toBe(asOwner);
      if (asOwner === Status.Ok) this.#remove(mailbox, mailbox, me);
    } else if (step.kind === "close") {
      expect(api["close"]!(id)).toBe(asOwner);
      if (asOwner === Status.Ok) mailbox.phase = "closed";
    } else if (step.kind === "setPid") {
      expect(api["setPid"]!(id, step.pick)).toBe(asOwner);
      if (asOwner === Status.Ok) mailbox.pid = step.pick;
    } else if (step.kind === "mapAdd") {
      const expected =
        asOwner !== Status.Ok
          ? asOwner
          : mailbox.map.has(step.type)
            ? Status.Exists
            : mailbox.map.size === this.#constants.entries
              ? Status.NoRoom
              : Status.Ok;
      const notification = BigInt(++this.#stamp);
      const add = api["mapAdd"] as unknown as (id: number, type: bigint, notification: bigint) => number;
      expect(add(id, BigInt.asIntN(64, step.type), notification)).toBe(expected);
      if (expected === Status.Ok) mailbox.map.set(step.type, { notification, owner: me });
    } else {
      const key = mailbox.map.has(step.type) ? step.type : WILDCARD;
      const expected = status === Status.Ok ? mailbox.map.get(key)?.notification : undefined;
      const find = api[step.pops ? "mapPop" : "mapGet"] as unknown as (id: number, type: bigint) => number;
      const found = find(id, BigInt.asIntN(64, step.type));
      const view = new DataView((api["memory"] as unknown as WebAssembly.Memory).buffer);
      expect(view.getUint32(found, true) === 0 ? undefined : view.getBigUint64(found + 8, true)).toBe(expected);
      if (step.pops && expected !== undefined) mailbox.map.delete(key);
    }
  }

  /** Where an option's value stands; undefined: there is none. */
  #option(api: Vqueue, pointer: number): number | undefined {
    const view = new DataView((api["memory"] as unknown as WebAssembly.Memory).buffer);
    return view.getUint32(pointer, true) === 0 ? undefined : pointer + 4;
  }

  #register(policy: number, anyone: boolean, pid: number, api: Vqueue): void {
    const id = api["register"]!(policy, anyone ? 1 : 0) >>> 0;
    for (const [index, mailbox] of this.#mailboxes.entries()) {
      if (mailbox.phase === "open") continue;
      const generation = mailbox.generation + 1;
      const isHeld = mailbox.lanes.some(({ slots }) =>
        slots.some(({ state }) => state === "claimed" || state === "taken"),
      );
      if (isHeld) {
        // The attempt has used the generation up.
        Object.assign(mailbox, { generation, phase: "closed" });
        continue;
      }
      const owners = new Set([pid & 1023]);
      this.#mailboxes[index] = { ...this.#fresh(generation), phase: "open", policy, anyone, owners, pid };
      expect(id).toBe(generation * 1024 + index);
      this.#ids.push(id);
      return;
    }
    expect(id).toBe(Status.NoRoom);
  }

  #reap(mailbox: ModelMailbox, process: number): void {
    for (const lane of mailbox.lanes) {
      for (const slot of lane.slots) {
        if (slot.owner !== process || slot.run === 0) continue;
        const state = slot.state === "claimed" ? "skip" : "again";
        lane.end(slot, () => state);
      }
    }
    for (const [key, { owner }] of mailbox.map) if (owner === process) mailbox.map.delete(key);
    if (mailbox.owners.has(process)) this.#remove(mailbox, mailbox, process);
  }

  /** A slot that was claimed: it gets its value at once, as if in place. */
  #note(id: number, urgent: boolean, position: number, address: number): void {
    expect(address).toBeGreaterThanOrEqual(FIRST_ADDRESS);
    const index = id & 1023;
    const lane = this.#mailboxes[index]!.lanes[urgent ? 1 : 0];
    const value = ++this.#stamp;
    lane.at(position).value = value;
    this.#words[(address + DATA) >>> 2] = value;
    const slot = position % lane.slots.length;
    if (!this.#items.some((item) => item.address === address)) this.#items.push({ index, address, urgent, slot });
    expect(this.#items.find((item) => item.address === address)).toEqual({ index, address, urgent, slot });
  }

  #check(id: number, urgent: boolean, slot: ModelSlot, address: number): void {
    expect(address).toBeGreaterThanOrEqual(FIRST_ADDRESS);
    const index = id & 1023;
    const length = urgent ? this.#constants.urgentLength : this.#constants.length;
    expect(this.#words[(address + DATA) >>> 2]).toBe(slot.value);
    const item = { index, address, urgent, slot: slot.position % length };
    if (!this.#items.some((known) => known.address === address)) this.#items.push(item);
    expect(this.#items.find((known) => known.address === address)).toEqual(item);
  }

  #finish(step: Extract<Command, { slot: number }>, me: number, api: Vqueue): void {
    const claims = step.kind === "commitMany" || step.how === "commit" || step.how === "abandon";
    // Mostly one that can be finished.
    const own = this.#items.filter(({ index, urgent, slot }) => {
      const { owner, run, state } = this.#mailboxes[index]!.lanes[urgent ? 1 : 0].slots[slot]!;
      return owner === me && run > 0 && state === (claims ? "claimed" : "taken");
    });
    const items = step.slot < OFTEN && own.length > 0 ? own : this.#items;
    const item = items[step.slot % items.length];
    if (item === undefined) return;
    const mailbox = this.#mailboxes[item.index]!;
    const lane = mailbox.lanes[item.urgent ? 1 : 0];
    const slot = lane.slots[item.slot]!;
    const holds = slot.state === (claims ? "claimed" : "taken") && slot.owner === me && slot.run > 0;
    // The generation does not matter: a slot that is held keeps the mailbox from being registered again.
    const id = mailbox.generation * 1024 + item.index;
    if (step.kind === "commitMany") {
      if (item.urgent) return;
      expect(api["commitMany"]!(id, item.slot, step.count)).toBe(holds ? Status.Ok : Status.NotYours);
      if (holds) lane.end(slot, (k) => (k < step.count ? "full" : "skip"));
      return;
    }
    const single = step.how === "commit" || step.how === "release";
    const finishes = holds && (!single || slot.run === 1);
    expect([step.how, api[step.how]!(id, item.address)]).toEqual([step.how, finishes ? Status.Ok : Status.NotYours]);
    if (!finishes) return;
    const states = { commit: "full", abandon: "skip", release: "free", releaseMany: "free", putBack: "again" } as const;
    lane.end(slot, () => states[step.how as keyof typeof states]);
  }

  /** Everything that only looks. */
  #compare(id: number, api: Vqueue, me: number): void {
    const { status, mailbox } = this.#look(id);
    const [normal, urgent] = mailbox.lanes;
    const drops = mailbox.policy === DROP_OLDEST;
    expect(api["statusOf"]!(id)).toBe(status);
    expect(api["getPid"]!(id)).toBe(status === Status.Ok ? mailbox.pid : 0);
    const space = (lane: Lane): number =>
      status !== Status.Ok ? status : lane.canClaim(drops) ? Status.Ok : Status.TimedOut;
    expect(api["waitForSpace"]!(id, 0)).toBe(space(normal));
    expect(api["waitForUrgentSpace"]!(id, 0)).toBe(space(urgent));
    const receives = mailbox.owners.has(me) || mailbox.anyone;
    if (status !== Status.Ok || !receives) {
      const refused = status === Status.Ok ? Status.Foreign : status;
      expect(api["waitForItem"]!(id, 0)).toBe(refused);
      expect(api["watch"]!(id, 0)).toBe(refused);
      return;
    }
    const has = [normal, urgent].some((lane) => lane.again() !== undefined || lane.first(false) !== undefined);
    // It may say that it is worth a try when it is not, and never that it is not when it is.
    const waits = api["waitForItem"]!(id, 0);
    expect(has ? [Status.Ok] : [Status.Ok, Status.TimedOut]).toContain(waits);
    expect(api["watch"]!(id, 0)).toBe(Status.Ok);
    expect(api["watch"]!(id, 0)).toBe(Status.Exists);
    expect(api["waitAny"]!(0)).toBe(waits === Status.Ok ? id : Status.TimedOut);
    api["unwatch"]!(id, 0);
    const stats = this.#option(api, api["stats"]!(id))!;
    const view = new DataView((api["memory"] as unknown as WebAssembly.Memory).buffer);
    expect(view.getUint32(view.getUint32(stats, true) + 20, true)).toBe(normal.dropped + urgent.dropped);
    const isPlain = [normal, urgent].every(({ slots }) =>
      slots.every(({ state }) => state === "free" || state === "full"),
    );
    if (!isPlain) return;
    expect(api["depth"]!(id)).toBe(normal.slots.filter(({ state }) => state === "full").length);
    const next = urgent.first(false) ?? normal.first(false);
    const peeked = this.#option(api, api["peek"]!(id));
    if (next === undefined) expect([peeked, api["lastStatus"]!()]).toEqual([undefined, Status.Empty]);
    else expect(view.getUint32(view.getUint32(peeked!, true) + DATA, true)).toBe(next.value);
  }

  /** Everybody ends; then all that was acknowledged and not received comes, in order, and everything can be used again. */
  drain(): void {
    for (const index of this.#parties.keys()) this.run({ kind: "end", by: index, pick: 0 });
    for (const mailbox of this.#mailboxes) expect(mailbox.phase).not.toBe("open");
    for (let k = 0; k < this.#constants.mailboxes; k++) {
      this.run({ kind: "register", by: 0, pick: 0, policy: 0, anyone: false });
      for (let slot = 0; slot <= this.#constants.length; slot++)
        this.run({ kind: "send", by: 1, pick: 0, urgent: false });
      for (let slot = 0; slot <= this.#constants.length; slot++) this.run({ kind: "receive", by: 0, pick: 0 });
    }
  }
}
