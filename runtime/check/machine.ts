/**
 * The transition system of a check. A state is a short vector of integers: the state of each thread, the state of the vVAR, and where the
 * specification asks for them, how many threads were killed and what is known about the history. A step changes a vector in place.
 */
import { Kind } from "./accesses.ts";
import { combine, combined } from "./arithmetic.ts";
import type { History } from "./linearizable.ts";
import { Logs } from "./logs.ts";
import { FIELDS, Field, Flag, Status, type ThreadStates } from "./threads.ts";
import type { VvarStates } from "./vvar-states.ts";

/** What happens to a thread in a step. */
export const Act = {
  /** It makes its access; asleep, its wait times out. */
  step: 0,
  /** It dies before its access. */
  kill: 1,
  /** It makes its access, with which its call would return, and dies before it returns. */
  killAfter: 2,
  /** It dies in the middle of a copy or fill into the vVAR: branch 0, its first half is done; 1, its last half, since a copy may go either way. */
  killWithin: 3,
} as const;
export type Act = (typeof Act)[keyof typeof Act];

/** A step as one integer: thread, act, and which of several outcomes. */
export function choice(thread: number, act: Act, branch: number): number {
  return thread | (act << 6) | (branch << 8);
}
export const threadOf = (step: number): number => step & 63;
export const actOf = (step: number): Act => ((step >> 6) & 3) as Act;
export const branchOf = (step: number): number => step >> 8;

export interface MachineOptions {
  /** Threads without the reaper. */
  readonly users: number;
  readonly reaper: boolean;
  readonly maxKills: number;
  readonly maxReaperKills: number;
  /** Threads that may be killed. */
  readonly killable: readonly boolean[];
  readonly timeouts: boolean;
  readonly races: boolean;
  /** Is every byte of this range one on which races are allowed? */
  readonly allRacy: (address: number, length: number) => boolean;
  /** Is any of them? */
  readonly anyRacy: (address: number, length: number) => boolean;
  readonly history: History | undefined;
}

/** Two accesses that are about to happen, at least one a plain write or both atomic with different widths. */
export interface Race {
  readonly first: number;
  readonly second: number;
}

export class Machine {
  readonly threads: ThreadStates;
  readonly vvar: VvarStates;
  readonly options: MachineOptions;
  readonly count: number;
  readonly reaper: number;
  readonly width: number;
  /** Places in the vector behind the threads; -1 for what is not there. */
  readonly shared: number;
  readonly kills: number;
  readonly history: number;
  readonly initial: Int32Array;

  /** Bit mask of the threads that the last step changed. */
  changed = 0;
  /** Thread whose failure the last step brought about, or -1. */
  failedThread = -1;
  /** Set when the last step made a history that the model cannot explain. */
  historyBroken = false;
  /**
   * Does the step that comes next leave a call unbegun that has not begun yet? Where nobody can tell when the step is made, a call that begins
   * behind it has the fewer ways to take effect.
   */
  beginsLater = false;
  /** Thread whose answers nobody hears. */
  private unanswered = -1;

  constructor(threads: ThreadStates, vvar: VvarStates, options: MachineOptions) {
    this.threads = threads;
    this.vvar = vvar;
    this.options = options;
    this.count = options.users + (options.reaper ? 1 : 0);
    this.reaper = options.reaper ? options.users : -1;
    let width = this.count;
    this.shared = width++;
    this.kills = options.maxKills > 0 ? width++ : -1;
    this.history = options.history ? width++ : -1;
    this.width = width;
    this.initial = new Int32Array(width);
    // The reaper first: a thread may be dead before its first access.
    for (let thread = this.count - 1; thread >= 0; thread--) {
      this.initial[thread] = threads.begin(thread, Logs.EMPTY);
      // Calls that need no access end before the first step.
      this.note(this.initial, thread, threads.attempts);
      this.settled(this.initial, thread);
    }
  }

  status(vector: Int32Array, thread: number): Status {
    return this.threads.get(vector[thread]!, Field.status) as Status;
  }

  /** In how many ways the thread can make its step now: 0 when it cannot. */
  branches(vector: Int32Array, base: number, thread: number): number {
    const { items } = this.threads;
    const state = vector[base + thread]! * FIELDS;
    const status = items[state + Field.status]!;
    if (status === Status.running) {
      if (items[state + Field.kind] !== Kind.notify) return 1;
      const waiters = this.waiters(vector, base, items[state + Field.address]!);
      return binomial(waiters.length, Math.min(waiters.length, items[state + Field.aLow]! >>> 0));
    }
    if (status === Status.sleeping) return this.options.timeouts && items[state + Field.bLow]! >= 0 ? 1 : 0;
    return 0;
  }

  /** May the thread be killed now? */
  mayKill(vector: Int32Array, base: number, thread: number): boolean {
    if (this.kills < 0) return false;
    const used = vector[base + this.kills]!;
    const status = this.threads.get(vector[base + thread]!, Field.status);
    if (thread === this.reaper) return status === Status.running && used >> 8 < this.options.maxReaperKills;
    if (!this.options.killable[thread] || (used & 0xff) >= this.options.maxKills) return false;
    return status === Status.running || status === Status.sleeping || status === Status.finished;
  }

  /** In how many ways the thread's next access can be half done: 0 when it is one step, or several anyway. */
  halves(vector: Int32Array, base: number, thread: number): number {
    const { items } = this.threads;
    const state = vector[base + thread]! * FIELDS;
    const flags = items[state + Field.flags]!;
    const isBulkWrite = items[state + Field.kind]! >= Kind.copy && (flags & Flag.writes) !== 0;
    const running = items[state + Field.status] === Status.running;
    return running && isBulkWrite && (flags & Flag.pieces) === 0 && items[state + Field.length]! > 1 ? 2 : 0;
  }

  /**
   * Makes a step, in place.
   *
   * @returns false when it does not apply: a thread that cannot go on, an {@link Act.killAfter} with which no call would end, or an
   * {@link Act.killWithin} of no copy or fill.
   */
  take(vector: Int32Array, step: number): boolean {
    const thread = threadOf(step);
    const act = actOf(step);
    this.changed = 0;
    this.failedThread = -1;
    this.historyBroken = false;
    if (act === Act.step) return this.step(vector, thread, branchOf(step));
    if (!this.mayKill(vector, 0, thread)) return false;
    const before = vector[thread]!;
    const log = this.threads.get(before, Field.log);
    if (act === Act.killAfter) {
      if (this.threads.get(before, Field.status) !== Status.running) return false;
      const saved = vector.slice();
      // The answer never arrives: for everybody else the call stays open.
      this.unanswered = thread;
      const taken = this.step(vector, thread, branchOf(step));
      this.unanswered = -1;
      if (!taken || this.threads.get(vector[thread]!, Field.log) === log) {
        vector.set(saved);
        return false;
      }
      if (this.failedThread === thread) this.failedThread = -1;
    }
    if (act === Act.killWithin) {
      if (branchOf(step) >= this.halves(vector, 0, thread)) return false;
      this.writeHalf(vector, thread, branchOf(step));
    }
    this.die(vector, thread, before, log);
    return true;
  }

  private die(vector: Int32Array, thread: number, before: number, log: number): void {
    this.changed |= 1 << thread;
    if (this.options.history) vector[this.history] = this.options.history.abandon(vector[this.history]!, thread);
    if (thread === this.reaper) {
      vector[this.kills] = vector[this.kills]! + 0x100;
      vector[thread] = this.threads.begin(thread, log);
      this.note(vector, thread, this.threads.attempts);
      this.settled(vector, thread);
      return;
    }
    vector[this.kills] = vector[this.kills]! + 1;
    vector[thread] = this.threads.killed(before);
    this.reportDeath(vector, thread);
  }

  private reportDeath(vector: Int32Array, thread: number): void {
    const { reaper } = this;
    if (reaper < 0) return;
    const before = vector[reaper]!;
    const idle = this.threads.get(before, Field.status) === Status.idle;
    vector[reaper] = this.threads.deathReported(before, thread);
    this.changed |= 1 << reaper;
    if (idle) {
      this.note(vector, reaper, this.threads.attempts);
      this.settled(vector, reaper);
    }
  }

  private step(vector: Int32Array, thread: number, branch: number): boolean {
    const { items } = this.threads;
    const state = vector[thread]!;
    const base = state * FIELDS;
    const status = items[base + Field.status]!;
    if (status === Status.sleeping) {
      if (!this.options.timeouts || items[base + Field.bLow]! < 0) return false;
      this.yielded(vector, thread, state, 2, 0);
      return true;
    }
    if (status !== Status.running) return false;
    if (this.history >= 0) this.invoke(vector, thread, state);
    const kind = items[base + Field.kind]! as Kind;
    const flags = items[base + Field.flags]!;
    const address = items[base + Field.address]!;
    const length = items[base + Field.length]!;
    if (kind >= Kind.copy || (flags & Flag.pieces) !== 0) {
      this.bulk(vector, thread, state);
      return true;
    }
    if (kind === Kind.notify) return this.notify(vector, thread, state, branch);
    const { vvar } = this;
    const shared = vector[this.shared]!;
    const low = vvar.read(shared, address, length);
    const high = length === 8 ? vvar.high : 0;
    if (kind === Kind.load) {
      this.yielded(vector, thread, state, low, high);
      return true;
    }
    const aLow = items[base + Field.aLow]!;
    const aHigh = items[base + Field.aHigh]!;
    if (kind === Kind.wait) {
      if (low !== aLow || high !== aHigh) this.yielded(vector, thread, state, 1, 0);
      else {
        this.changed |= 1 << thread;
        vector[thread] = this.threads.asleep(state);
      }
      return true;
    }
    if (combine(kind, length, low, high, aLow, aHigh, items[base + Field.bLow]!, items[base + Field.bHigh]!)) {
      vector[this.shared] = vvar.write(shared, address, length, combined.low, combined.high);
    }
    if (kind === Kind.store) this.yielded(vector, thread, state, 0, 0);
    else this.yielded(vector, thread, state, low, high);
    return true;
  }

  /** Next piece of an access to many bytes: all of them, or where it may tear, those of one word. */
  private bulk(vector: Int32Array, thread: number, start: number): void {
    const { threads, vvar } = this;
    let state = start;
    for (;;) {
      const flags = threads.get(state, Field.flags);
      const address = threads.get(state, Field.address);
      const length = threads.get(state, Field.length);
      const part = threads.get(state, Field.part);
      const data = threads.get(state, Field.data);
      const copies = (flags & Flag.copies) !== 0;
      const reads = copies ? part < length : (flags & Flag.writes) === 0;
      const done = part % length;
      const at = (copies && reads ? threads.get(state, Field.aLow) : address) + done;
      const size = (flags & Flag.pieces) === 0 ? length - done : Math.min(4 - (at & 3), length - done);
      const shared = vector[this.shared]!;
      let bytes = data < 0 ? new Uint8Array(0) : threads.blobs.get(data);
      let to = data;
      if (reads) {
        const more = new Uint8Array(done + size);
        more.set(bytes);
        more.set(vvar.readBytes(shared, at, size), done);
        bytes = more;
        to = threads.blobs.add(more);
      } else vector[this.shared] = vvar.writeBytes(shared, at, bytes.subarray(done, done + size));
      if (part + size < (copies ? length * 2 : length)) {
        state = threads.progressed(state, part + size, to);
        this.changed |= 1 << thread;
        vector[thread] = state;
        if ((flags & Flag.pieces) !== 0) return;
        continue;
      }
      if (threads.get(state, Field.kind) === Kind.load) {
        const view = new DataView(bytes.buffer, bytes.byteOffset);
        this.yielded(vector, thread, state, view.getInt32(0, true), view.getInt32(4, true));
      } else this.yielded(vector, thread, reads ? threads.progressed(state, length, to) : state, 0, 0);
      return;
    }
  }

  private writeHalf(vector: Int32Array, thread: number, branch: number): void {
    const { threads, vvar } = this;
    const state = vector[thread]!;
    if (this.history >= 0) this.invoke(vector, thread, state);
    const shared = vector[this.shared]!;
    const length = threads.get(state, Field.length);
    const copies = (threads.get(state, Field.flags) & Flag.copies) !== 0;
    const bytes = copies
      ? vvar.readBytes(shared, threads.get(state, Field.aLow), length)
      : threads.blobs.get(threads.get(state, Field.data));
    const middle = length >> 1;
    const [from, to] = branch === 0 ? [0, middle] : [middle, length];
    vector[this.shared] = vvar.writeBytes(shared, threads.get(state, Field.address) + from, bytes.subarray(from, to));
  }

  private waiters(vector: Int32Array, base: number, address: number): number[] {
    const { items } = this.threads;
    const found: number[] = [];
    for (let thread = 0; thread < this.count; thread++) {
      const state = vector[base + thread]! * FIELDS;
      if (items[state + Field.status] === Status.sleeping && items[state + Field.address] === address) {
        found.push(thread);
      }
    }
    return found;
  }

  private notify(vector: Int32Array, thread: number, state: number, branch: number): boolean {
    const waiters = this.waiters(vector, 0, this.threads.get(state, Field.address));
    const wanted = Math.min(waiters.length, this.threads.get(state, Field.aLow) >>> 0);
    // Any of the sleepers may be woken: which one is up to the engine.
    const woken = combination(waiters, wanted, branch);
    if (!woken) return false;
    for (const waiter of woken) this.yielded(vector, waiter, vector[waiter]!, 0, 0);
    this.yielded(vector, thread, state, wanted, 0);
    return true;
  }

  /** The thread's access yielded a value: it goes on to its next one. */
  private yielded(vector: Int32Array, thread: number, state: number, low: number, high: number): void {
    const to = this.threads.advance(state, low, high);
    vector[thread] = to;
    this.changed |= 1 << thread;
    if (this.history >= 0) this.note(vector, thread, this.threads.ended(state, low, high));
    if (this.threads.items[to * FIELDS + Field.status]! >= Status.panicked) this.settled(vector, thread);
  }

  private settled(vector: Int32Array, thread: number): void {
    const status = this.threads.get(vector[thread]!, Field.status);
    if (status === Status.failed) this.failedThread = thread;
    // Of one that was killed meanwhile, the death is reported anyway.
    if (status === Status.panicked && thread !== this.unanswered) {
      if (this.options.history) vector[this.history] = this.options.history.abandon(vector[this.history]!, thread);
      this.reportDeath(vector, thread);
    }
  }

  /** With an access, a call begins for everybody else. */
  private invoke(vector: Int32Array, thread: number, state: number): void {
    if (this.beginsLater || this.options.history!.isOpen(vector[this.history]!, thread)) return;
    const step = this.threads.logs.step(this.threads.get(state, Field.step));
    const history = this.options.history!;
    if (history.covers(step.fn)) {
      vector[this.history] = history.invoke(vector[this.history]!, thread, step.fn, step.args);
    }
  }

  private note(vector: Int32Array, thread: number, attempts: readonly { step: number; result: number }[]): void {
    const { history } = this.options;
    if (!history || thread === this.unanswered) return;
    const { logs } = this.threads;
    for (const attempt of attempts) {
      const { fn, args } = logs.step(attempt.step);
      if (!history.covers(fn)) continue;
      let known = vector[this.history]!;
      // A call without any access has not begun yet.
      if (!history.isOpen(known, thread)) known = history.invoke(known, thread, fn, args);
      const to = history.respond(known, thread, logs.values[attempt.result]);
      if (to < 0) this.historyBroken = true;
      else vector[this.history] = to;
    }
  }

  /** A race between one of the threads of the mask and any other. */
  race(vector: Int32Array, mask: number): Race | undefined {
    if (!this.options.races) return undefined;
    const { items } = this.threads;
    for (let first = 0; first < this.count; first++) {
      if ((mask & (1 << first)) === 0) continue;
      const a = vector[first]! * FIELDS;
      if (items[a + Field.status] !== Status.running || items[a + Field.kind]! === Kind.notify) continue;
      for (let second = 0; second < this.count; second++) {
        if (second === first) continue;
        const b = vector[second]! * FIELDS;
        if (items[b + Field.status] !== Status.running || items[b + Field.kind]! === Kind.notify) continue;
        if (this.conflict(a, b)) return { first, second };
      }
    }
    return undefined;
  }

  private conflict(a: number, b: number): boolean {
    const { items } = this.threads;
    const flagsA = items[a + Field.flags]!;
    const flagsB = items[b + Field.flags]!;
    if (((flagsA | flagsB) & Flag.writes) === 0) return false;
    const addressA = items[a + Field.address]!;
    const addressB = items[b + Field.address]!;
    const lengthA = items[a + Field.length]!;
    const lengthB = items[b + Field.length]!;
    if ((flagsA & flagsB & Flag.atomic) !== 0 && addressA === addressB && lengthA === lengthB) return false;
    const writesA = (flagsA & Flag.writes) !== 0;
    const writesB = (flagsB & Flag.writes) !== 0;
    if (this.overlap(addressA, lengthA, writesA, addressB, lengthB, writesB)) return true;
    const copiesA = (flagsA & Flag.copies) !== 0;
    const copiesB = (flagsB & Flag.copies) !== 0;
    if (copiesA && this.overlap(items[a + Field.aLow]!, lengthA, false, addressB, lengthB, writesB)) return true;
    return copiesB && this.overlap(items[b + Field.aLow]!, lengthB, false, addressA, lengthA, writesA);
  }

  private overlap(a: number, aLength: number, aWrites: boolean, b: number, bLength: number, bWrites: boolean): boolean {
    if (!aWrites && !bWrites) return false;
    const from = Math.max(a, b);
    const to = Math.min(a + aLength, b + bLength);
    return from < to && !this.options.allRacy(from, to - from);
  }
}

function binomial(n: number, k: number): number {
  let result = 1;
  for (let index = 0; index < k; index++) result = (result * (n - index)) / (index + 1);
  return Math.round(result);
}

/** The `branch`-th way to take `count` of the items. */
function combination(items: readonly number[], count: number, branch: number): readonly number[] | undefined {
  if (count === items.length) return branch === 0 ? items : undefined;
  let left = branch;
  for (let mask = 0; mask < 1 << items.length; mask++) {
    const chosen = items.filter((_, index) => (mask & (1 << index)) !== 0);
    if (chosen.length === count && left-- === 0) return chosen;
  }
  return undefined;
}
