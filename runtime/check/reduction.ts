/**
 * Which steps of a state need not be tried against all the others.
 *
 * Where a thread is about to make an access that cannot matter to anybody else, and that no rule can see, its step alone is followed: every schedule in
 * which the others go first leads to the same states. (A persistent set of one thread: Godefroid, Partial-Order Methods, LNCS 1032.) Two kinds are such:
 *
 * - an access to words that only this thread touches, or that nobody writes, in the whole search. That is assumed for every word until a second thread
 *   is seen to come there; if a step had relied on it, the search begins again, knowing more.
 * - a plain access. Two that conflict are an error already, and to find that error, what a thread has accessed in this way since its last
 *   synchronising access stays in the state, its block: a conflict of somebody else's next access with a block is a race, because the thread could
 *   have been kept before the access of its block. (Musuvathi, Qadeer: Iterative context bounding, PLDI 2007.)
 *
 * Histories: where nobody can tell when a step is made, the call that it begins begins as late as it can, behind it, and the one that it ends ends as early
 * as it can, with it. A history with shorter calls has fewer explanations: if it has one, so have those of the schedules that are left out.
 *
 * Deaths: the thread's own are followed at each of its accesses. Those of the others lead to the same states a step later.
 * Cycles: an access that the block has already is not passed over, so that nobody is kept waiting for a thread that goes round.
 */
import { Kind } from "./accesses.ts";
import { Act, choice, type Machine } from "./machine.ts";
import { TripleMap } from "./tables.ts";
import { FIELDS, Field, Flag, Status } from "./threads.ts";

/** A range that a thread has accessed ahead of the others. */
interface Ahead {
  readonly address: number;
  readonly length: number;
  readonly writes: boolean;
  readonly site: number;
}

const MAYBE = 0;
const CONFLICT = 1;

export class Reduction {
  private readonly machine: Machine;
  private readonly scratch: Int32Array;
  /** Per word of the vVAR, the threads that come there and those that write it. */
  private readonly touching: Int32Array;
  private readonly writing: Int32Array;
  /** Words that some step took for unshared. */
  private readonly relied: Uint8Array;
  private learned = 0;
  /** Blocks by number; 0 is the empty one. */
  private readonly blocks: (readonly Ahead[])[] = [[]];
  private readonly blockNumbers = new Map<string, number>([["", 0]]);
  private readonly longer = new TripleMap();
  private readonly conflicts = new TripleMap();
  /** How often one thread alone was followed. */
  passed = 0;
  /** Was a word shared that some step had taken for unshared? */
  private wasShared = false;
  /** Did rules look at logs and calls when the search began? */
  private showedCalls = false;

  constructor(machine: Machine) {
    this.machine = machine;
    this.scratch = new Int32Array(machine.width);
    const words = (machine.vvar.initial.length >> 2) + 1;
    this.touching = new Int32Array(words);
    this.writing = new Int32Array(words);
    this.relied = new Uint8Array(words);
    this.learn();
  }

  /** Begins a search anew with what has been learned. */
  restart(): void {
    this.relied.fill(0);
    this.passed = 0;
    this.wasShared = false;
    this.showedCalls = this.machine.threads.showsCalls;
  }

  /** Did something that steps had relied on turn out not to be so? */
  get mistaken(): boolean {
    return this.wasShared || this.showedCalls !== this.machine.threads.showsCalls;
  }

  /** Takes note of the accesses of all thread states that are new. */
  learn(): void {
    const { threads } = this.machine;
    for (; this.learned < threads.count; this.learned++) {
      const state = this.learned * FIELDS;
      const { items } = threads;
      if (items[state + Field.status] !== Status.running) continue;
      const flags = items[state + Field.flags]!;
      const length = items[state + Field.length]!;
      const thread = items[state + Field.thread]!;
      this.touch(thread, items[state + Field.address]!, length, (flags & Flag.writes) !== 0);
      if ((flags & Flag.copies) !== 0) this.touch(thread, items[state + Field.aLow]!, length, false);
    }
  }

  private touch(thread: number, address: number, length: number, writes: boolean): void {
    for (let word = address >> 2; word << 2 < address + length; word++) {
      this.touching[word]! |= 1 << thread;
      if (writes) this.writing[word]! |= 1 << thread;
      if (this.relied[word] === 1 && this.isShared(word)) this.wasShared = true;
    }
  }

  private isShared(word: number): boolean {
    const touching = this.touching[word]!;
    return this.writing[word] !== 0 && (touching & (touching - 1)) !== 0;
  }

  private shares(address: number, length: number): boolean {
    for (let word = address >> 2; word << 2 < address + length; word++) if (this.isShared(word)) return true;
    return false;
  }

  /** Does a thread's next access touch words that others touch as well? */
  private sharesNext(state: number): boolean {
    const { items } = this.machine.threads;
    const base = state * FIELDS;
    const length = items[base + Field.length]!;
    if (this.shares(items[base + Field.address]!, length)) return true;
    return (items[base + Field.flags]! & Flag.copies) !== 0 && this.shares(items[base + Field.aLow]!, length);
  }

  private rely(address: number, length: number): void {
    for (let word = address >> 2; word << 2 < address + length; word++) this.relied[word] = 1;
  }

  /** A thread whose step alone has to be followed, or -1. Behind the machine's vector stands the block of each thread. */
  alone(vector: Int32Array): number {
    const { machine } = this;
    const { items } = machine.threads;
    for (let thread = 0; thread < machine.count; thread++) {
      const state = vector[thread]!;
      const base = state * FIELDS;
      if (items[base + Field.status] !== Status.running) continue;
      const kind = items[base + Field.kind]!;
      if (kind === Kind.wait || kind === Kind.notify) continue;
      const flags = items[base + Field.flags]!;
      if ((flags & Flag.pieces) !== 0) continue;
      // A report of a death changes what the reaper is about to do.
      if (thread === machine.reaper && (vector[machine.kills]! & 0xff) < machine.options.maxKills) continue;
      const shared = this.sharesNext(state);
      if (shared && ((flags & Flag.atomic) !== 0 || this.mayRace(state))) continue;
      if (this.isAhead(vector[machine.width + thread]!, state) || !this.isUnseen(vector, thread)) continue;
      if (!shared) {
        this.rely(items[base + Field.address]!, items[base + Field.length]!);
        if ((flags & Flag.copies) !== 0) this.rely(items[base + Field.aLow]!, items[base + Field.length]!);
      }
      this.passed++;
      return thread;
    }
    return -1;
  }

  /** Is any byte of the access one on which races are allowed? */
  private mayRace(state: number): boolean {
    const { threads, options } = this.machine;
    const length = threads.get(state, Field.length);
    if (!options.races || options.anyRacy(threads.get(state, Field.address), length)) return true;
    return (threads.get(state, Field.flags) & Flag.copies) !== 0
      ? options.anyRacy(threads.get(state, Field.aLow), length)
      : false;
  }

  private isAhead(block: number, state: number): boolean {
    const { threads } = this.machine;
    const site = threads.get(state, Field.site);
    const address = threads.get(state, Field.address);
    return this.blocks[block]!.some((ahead) => ahead.site === site && ahead.address === address);
  }

  /** Makes the step of a thread whose step alone is followed. */
  take(vector: Int32Array, thread: number): void {
    const { machine } = this;
    machine.beginsLater = true;
    machine.take(vector, choice(thread, Act.step, 0));
    machine.beginsLater = false;
  }

  /** Does the step leave everything as it was that rules look at? */
  private isUnseen(vector: Int32Array, thread: number): boolean {
    const { machine, scratch } = this;
    scratch.set(vector.subarray(0, machine.width));
    const before = machine.threads.observe(vector[thread]!);
    this.take(scratch, thread);
    if (machine.changed !== 1 << thread || machine.failedThread >= 0 || machine.historyBroken) return false;
    return machine.threads.observe(scratch[thread]!) === before;
  }

  /** Brings the blocks up to date. `before`: state of the thread before its step; `alone`: was its step the only one followed? */
  follow(vector: Int32Array, thread: number, before: number, alone: boolean): void {
    const { machine } = this;
    const { threads } = machine;
    const place = machine.width + thread;
    if (alone) vector[place] = this.add(vector[place]!, before);
    else if (vector[place] !== 0) {
      const kind = threads.get(before, Field.kind);
      const isAtomic = (threads.get(before, Field.flags) & Flag.atomic) !== 0;
      const syncs = kind === Kind.wait || kind === Kind.notify || (isAtomic && this.sharesNext(before));
      if (syncs || threads.get(vector[thread]!, Field.status) !== Status.running) vector[place] = 0;
    }
    this.learn();
  }

  private add(block: number, state: number): number {
    const known = this.longer.get(block, state, 0);
    if (known >= 0) return known;
    const { threads } = this.machine;
    const flags = threads.get(state, Field.flags);
    const site = threads.get(state, Field.site);
    const length = threads.get(state, Field.length);
    const writes = (flags & Flag.writes) !== 0;
    const more: Ahead[] = [{ address: threads.get(state, Field.address), length, writes, site }];
    if ((flags & Flag.copies) !== 0) {
      more.push({ address: threads.get(state, Field.aLow), length, writes: false, site });
    }
    // A set: the order in which a thread came there does not matter.
    const all = [...this.blocks[block]!, ...more].sort((a, b) => a.address - b.address || a.site - b.site);
    const key = all.map((ahead) => `${ahead.site} ${ahead.address} ${ahead.length}`).join();
    let number = this.blockNumbers.get(key);
    if (number === undefined) {
      number = this.blocks.push(all) - 1;
      this.blockNumbers.set(key, number);
    }
    this.longer.set(block, state, 0, number);
    return number;
  }

  /** Has a thread gone ahead over an access that conflicts with what another one did ahead, or does next? */
  races(vector: Int32Array): boolean {
    const { machine } = this;
    for (let first = 0; first < machine.count; first++) {
      const block = vector[machine.width + first]!;
      if (block === 0) continue;
      for (let second = 0; second < machine.count; second++) {
        if (second === first) continue;
        const state = vector[second]!;
        const other = vector[machine.width + second]!;
        let known = this.conflicts.get(block, state, other);
        if (known < 0) {
          known = this.conflict(block, state, other) ? CONFLICT : MAYBE;
          this.conflicts.set(block, state, other, known);
        }
        if (known === CONFLICT) return true;
      }
    }
    return false;
  }

  private conflict(block: number, state: number, other: number): boolean {
    const { threads, options } = this.machine;
    const ranges = [...this.blocks[other]!];
    const kind = threads.get(state, Field.kind);
    if (threads.get(state, Field.status) === Status.running && kind !== Kind.notify) {
      const flags = threads.get(state, Field.flags);
      const length = threads.get(state, Field.length);
      const address = threads.get(state, Field.address);
      ranges.push({ address, length, writes: (flags & Flag.writes) !== 0, site: -1 });
      if ((flags & Flag.copies) !== 0) {
        ranges.push({ address: threads.get(state, Field.aLow), length, writes: false, site: -1 });
      }
    }
    return this.blocks[block]!.some((ahead) =>
      ranges.some(({ address, length, writes }) => {
        const from = Math.max(ahead.address, address);
        const to = Math.min(ahead.address + ahead.length, address + length);
        return (writes || ahead.writes) && from < to && !options.allRacy(from, to - from);
      }),
    );
  }

  /** Most steps that a thread can have gone ahead. */
  get longest(): number {
    return Math.max(...this.blocks.map((block) => block.length));
  }
}
