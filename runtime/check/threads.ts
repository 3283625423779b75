/**
 * The states of single threads: each is stored once, as integers, and known by its number. WebAssembly runs only where a thread in one of
 * these states sees a value that it has not seen there before; everything else is a look into a table.
 */
import { VdsoError } from "../errors.ts";
import type { Scalar } from "../image/manifest.ts";
import { fromBits, HEADER_BYTES, type Raw, SCALAR_BYTES, setters } from "../image/scalars.ts";
import { type AccessSite, Bulk, HOST_ACCESSES, Kind, writes } from "./accesses.ts";
import { Logs } from "./logs.ts";
import type {
  CallRecord,
  HostImplementations,
  Panic,
  ThreadBody,
  ThreadContext,
  ThreadStep,
  ThreadView,
} from "./spec.ts";
import { BlobSet, IntList, TripleMap, VectorSet } from "./tables.ts";
import { show, stepText } from "./values.ts";
import { Outcome, type Stop, type Vm } from "./vm.ts";

/** What a thread is doing. */
export const Status = { running: 0, sleeping: 1, finished: 2, killed: 3, panicked: 4, idle: 5, failed: 6 } as const;
export type Status = (typeof Status)[keyof typeof Status];
const STATUS_NAMES = ["running", "sleeping", "finished", "killed", "panicked", "idle", "running"] as const;

/** Places in the vector of a thread's state. */
export const Field = {
  thread: 0,
  status: 1,
  log: 2,
  /** The call that it is in. */
  step: 3,
  /** Private state, a blob. */
  saved: 4,
  // The access that it is about to make:
  kind: 5,
  site: 6,
  address: 7,
  length: 8,
  aLow: 9,
  aHigh: 10,
  bLow: 11,
  bHigh: 12,
  /** Bytes that a split access has done. */
  part: 13,
  /** Bytes to write or read so far, a blob. */
  data: 14,
  flags: 15,
  /** Why it failed. */
  stop: 16,
} as const;
export const FIELDS = 17;

export const Flag = {
  /** First access of its call. */
  first: 1,
  atomic: 2,
  writes: 4,
  /** Done in pieces of at most four bytes, because races on these bytes are allowed and plain accesses may tear. */
  pieces: 8,
  /** Also reads `length` bytes at `aLow`. */
  copies: 16,
} as const;

/** Names of the steps that are no calls. */
const READ = "vvar.read";
const WRITE = "vvar.write";

/** Calls without an access to the vVAR that a thread may make in a row. */
const MAX_SILENT_CALLS = 10_000;

export interface Thread {
  readonly name: string;
  readonly pid: number;
  readonly daemon: boolean;
  readonly host: HostImplementations;
  readonly body: ThreadBody;
  /** Private state that it starts from. */
  initial: number;
}

/** What a thread asks for next. */
type Next =
  | {
      readonly kind: "call";
      readonly step: number;
      readonly fn: string;
      readonly args: readonly unknown[];
      readonly accept: ThreadStep["accept"];
      readonly forgets: boolean;
    }
  /** An access by the thread's own JavaScript. */
  | {
      readonly kind: "access";
      readonly step: number;
      readonly fn: string;
      readonly scalar: Scalar;
      readonly address: number;
      readonly value: Raw;
    }
  | { readonly kind: "finished" }
  | { readonly kind: "idle" }
  | { readonly kind: "threw"; readonly error: unknown };

/** An attempt of a call that ended during a run. */
export interface Attempt {
  readonly step: number;
  readonly result: number;
}

const NO_ATTEMPTS: readonly Attempt[] = [];

export interface ThreadStatesOptions {
  readonly sites: readonly AccessSite[];
  /** Is any byte of this range one on which races are allowed? */
  readonly anyRacy: (address: number, length: number) => boolean;
  /** First byte behind the layout. */
  readonly vvarEnd: number;
  readonly expectPanic: ((panic: Panic) => boolean) | undefined;
  /** Remember the attempts of each run, for rules on histories. */
  readonly attempts: boolean;
}

export class ThreadStates {
  readonly threads: readonly Thread[];
  readonly sites: readonly AccessSite[];
  readonly logs = new Logs();
  readonly blobs = new BlobSet();
  readonly stops: (Stop | { kind: "thread"; message: string })[] = [];
  readonly vm: Vm;
  private readonly options: ThreadStatesOptions;
  private readonly states = new VectorSet(FIELDS);
  private readonly successors = new TripleMap();
  private readonly attemptLists: (readonly Attempt[])[] = [];
  private readonly attemptsOf = new TripleMap();
  private readonly next = new Map<number, Next>();
  private readonly vector = new Int32Array(FIELDS);
  private readonly observed = new VectorSet(4);
  /** What a state shows, as a number: with its log and call, and without. */
  private readonly observations = [new IntList(), new IntList()] as const;
  private readonly views: ThreadView[] = [];
  /** Has anybody looked at a view's log or call? Until then, states that differ in these alone look the same. */
  showsCalls = false;
  /** Attempts that ended in the run that was last made. */
  attempts: readonly Attempt[] = [];

  /** @param threads - the reaper, if there is one, is the last and has no body of its own. */
  constructor(vm: Vm, threads: readonly Thread[], options: ThreadStatesOptions) {
    this.sites = [...options.sites, ...HOST_ACCESSES];
    this.vm = vm;
    this.threads = threads;
    this.options = options;
  }

  /** All states, {@link FIELDS} integers each. */
  get items(): Int32Array {
    return this.states.items;
  }

  get count(): number {
    return this.states.count;
  }

  get(state: number, field: number): number {
    return this.states.items[state * FIELDS + field]!;
  }

  /** State of a thread that has not begun, or begins anew with this log. */
  begin(thread: number, log: number): number {
    const { name, host, initial } = this.threads[thread]!;
    this.vm.enter(name, host);
    this.vm.load(this.blobs.get(initial));
    this.attempts = [];
    return this.proceed(thread, log, 0);
  }

  /** State of a thread whose access yielded this value. */
  advance(state: number, low: number, high: number): number {
    const known = this.successors.get(state, low, high);
    if (known >= 0) return known;
    const base = state * FIELDS;
    const { items } = this.states;
    const thread = items[base + Field.thread]!;
    const log = items[base + Field.log]!;
    const data = items[base + Field.data]!;
    const { name, host } = this.threads[thread]!;
    this.attempts = [];
    this.vm.enter(name, host);
    this.vm.load(this.blobs.get(items[base + Field.saved]!));
    const next = this.nextOf(thread, log);
    let to: number;
    if (next.kind === "access") {
      const result = next.fn === READ ? fromBits(next.scalar, low, high) : undefined;
      const value = this.logs.value(result);
      to = this.proceed(thread, this.logs.append(log, next.step, value), 0);
    } else {
      const step = items[base + Field.step]!;
      const bytes = data < 0 ? undefined : this.blobs.get(data);
      const outcome = this.vm.resume(this.logs.step(step).fn, callKey(thread, log, step), low, high, bytes);
      to = this.settle(thread, log, outcome, 0);
    }
    this.successors.set(state, low, high, to);
    if (this.options.attempts && this.attempts.length > 0) {
      this.attemptsOf.set(state, low, high, this.attemptLists.push(this.attempts) - 1);
    }
    return to;
  }

  /** Attempts that ended while {@link ThreadStates.advance} went from this state with this value; with `attempts` only. */
  ended(state: number, low: number, high: number): readonly Attempt[] {
    const list = this.attemptsOf.get(state, low, high);
    return list < 0 ? NO_ATTEMPTS : this.attemptLists[list]!;
  }

  private proceed(thread: number, log: number, silentCalls: number): number {
    const next = this.nextOf(thread, log);
    if (next.kind === "access") return this.accessing(thread, log, next);
    if (next.kind !== "call") return this.rest(thread, log, next);
    const outcome = this.vm.call(next.fn, next.args, callKey(thread, log, next.step));
    return this.settle(thread, log, outcome, silentCalls);
  }

  /** State of a thread that has no call to make. */
  private rest(thread: number, log: number, next: Exclude<Next, { kind: "call" | "access" }>): number {
    if (next.kind === "threw") {
      const text = next.error instanceof Error ? next.error.message : show(next.error);
      return this.failed(thread, log, -1, { kind: "thread", message: text });
    }
    this.clear(thread, next.kind === "idle" ? Status.idle : Status.finished, log, -1);
    // Its private state is of no more use, except to the reaper, who may have more to do.
    if (next.kind === "idle") this.vector[Field.saved] = this.blobs.add(this.vm.save(false));
    return this.states.add(this.vector);
  }

  private settle(thread: number, log: number, first: Outcome, silent: number): number {
    let outcome = first;
    let at = log;
    let silentCalls = silent;
    for (;;) {
      const next = this.nextOf(thread, at) as Extract<Next, { kind: "call" }>;
      if (outcome === Outcome.suspended) return this.suspended(thread, at, next.step);
      if (outcome === Outcome.stopped) return this.stopped(thread, at, next.step, this.vm.stop);
      const result = this.logs.value(this.vm.result);
      if (this.options.attempts) this.attempts = [...this.attempts, { step: next.step, result }];
      silentCalls = this.vm.accessed ? 0 : silentCalls + 1;
      if (silentCalls > MAX_SILENT_CALLS) {
        const message = `${next.fn}() was called ${MAX_SILENT_CALLS} times in a row without an access to the vVAR`;
        return this.failed(thread, at, next.step, { kind: "endless", message });
      }
      if (!next.accept || (next.accept as (result: unknown) => boolean)(this.vm.result)) {
        at = this.logs.append(at, next.step, next.forgets ? this.logs.value(undefined) : result);
        const following = this.nextOf(thread, at);
        if (following.kind === "access") return this.accessing(thread, at, following);
        if (following.kind !== "call") return this.rest(thread, at, following);
        outcome = this.vm.call(following.fn, following.args, callKey(thread, at, following.step));
      } else outcome = this.vm.call(next.fn, next.args, callKey(thread, at, next.step));
    }
  }

  private clear(thread: number, status: Status, log: number, step: number): void {
    this.vector.fill(0);
    this.vector[Field.thread] = thread;
    this.vector[Field.status] = status;
    this.vector[Field.log] = log;
    this.vector[Field.step] = step;
    this.vector[Field.saved] = this.vector[Field.site] = this.vector[Field.kind] = -1;
    this.vector[Field.data] = this.vector[Field.stop] = -1;
  }

  private suspended(thread: number, log: number, step: number): number {
    const { vector, vm } = this;
    const { pending } = vm;
    const site = this.sites[pending.site]!;
    this.clear(thread, Status.running, log, step);
    vector[Field.saved] = this.blobs.add(vm.save(true));
    vector[Field.kind] = site.kind;
    vector[Field.site] = pending.site;
    vector[Field.address] = pending.address;
    vector[Field.length] = pending.length;
    vector[Field.aLow] = pending.aLow;
    vector[Field.aHigh] = pending.aHigh;
    vector[Field.bLow] = pending.bLow;
    vector[Field.bHigh] = pending.bHigh;
    if (pending.data.length > 0) vector[Field.data] = this.blobs.add(pending.data);
    const copies = site.kind === Kind.copy && site.bulk === Bulk.within;
    let flags = vm.atFirstAccess ? Flag.first : 0;
    if (site.atomic) flags |= Flag.atomic;
    if (site.kind === Kind.copy ? site.bulk !== Bulk.out : writes(site.kind)) flags |= Flag.writes;
    if (copies) flags |= Flag.copies;
    vector[Field.flags] = flags;
    this.splitIfRacy();
    return this.states.add(vector);
  }

  /** State of a thread that is about to read or write the vVAR itself. */
  private accessing(thread: number, log: number, next: Extract<Next, { kind: "access" }>): number {
    const { vector } = this;
    const size = SCALAR_BYTES[next.scalar];
    const kind = next.fn === READ ? Kind.load : Kind.store;
    const site = HOST_ACCESSES.findIndex((access) => access.kind === kind && access.size === size);
    const end = next.address + size;
    if (next.address < HEADER_BYTES || end > this.options.vvarEnd) {
      const message = `${next.fn} of bytes ${next.address} to ${end - 1}, outside the layout`;
      return this.failed(thread, log, next.step, { kind: "outside", message });
    }
    this.clear(thread, Status.running, log, next.step);
    vector[Field.saved] = this.blobs.add(this.vm.save(false));
    vector[Field.kind] = kind;
    vector[Field.site] = this.sites.length - HOST_ACCESSES.length + site;
    vector[Field.address] = next.address;
    vector[Field.length] = size;
    vector[Field.flags] = Flag.first | (kind === Kind.store ? Flag.writes : 0);
    if (kind === Kind.store) {
      const view = new DataView(new ArrayBuffer(8));
      setters[next.scalar](view, 0, next.value);
      vector[Field.aLow] = view.getInt32(0, true);
      vector[Field.aHigh] = view.getInt32(4, true);
    }
    this.splitIfRacy();
    return this.states.add(vector);
  }

  /** A plain access to bytes on which races are allowed may be seen half done. */
  private splitIfRacy(): void {
    const { vector } = this;
    const length = vector[Field.length]!;
    const flags = vector[Field.flags]!;
    if ((flags & Flag.atomic) !== 0 || length <= 4) return;
    const second = (flags & Flag.copies) !== 0 && this.options.anyRacy(vector[Field.aLow]!, length);
    if (!second && !this.options.anyRacy(vector[Field.address]!, length)) return;
    vector[Field.flags] = flags | Flag.pieces;
    if (vector[Field.kind] === Kind.store) {
      const bytes = new Uint8Array(Int32Array.of(vector[Field.aLow]!, vector[Field.aHigh]!).buffer);
      vector[Field.data] = this.blobs.add(bytes);
    }
  }

  private stopped(thread: number, log: number, step: number, stop: Stop): number {
    if (stop.kind === "panic" && stop.panic && this.options.expectPanic?.(stop.panic)) {
      this.clear(thread, Status.panicked, log, step);
      return this.states.add(this.vector);
    }
    return this.failed(thread, log, step, stop);
  }

  private failed(thread: number, log: number, step: number, stop: (typeof this.stops)[number]): number {
    let index = this.stops.findIndex((known) => known.kind === stop.kind && known.message === stop.message);
    if (index < 0) index = this.stops.push(stop) - 1;
    this.clear(thread, Status.failed, log, step);
    this.vector[Field.stop] = index;
    return this.states.add(this.vector);
  }

  /** The same state, one field changed. */
  private with(state: number, change: (vector: Int32Array) => void): number {
    const from = state * FIELDS;
    for (let index = 0; index < FIELDS; index++) this.vector[index] = this.states.items[from + index]!;
    change(this.vector);
    return this.states.add(this.vector);
  }

  /** The thread sleeps in the wait that it was about to make. */
  asleep(state: number): number {
    return this.with(state, (vector) => {
      vector[Field.status] = Status.sleeping;
    });
  }

  /** A bulk or split access has got this far. */
  progressed(state: number, part: number, data: number): number {
    return this.with(state, (vector) => {
      vector[Field.part] = part;
      vector[Field.flags] = vector[Field.flags]! & ~Flag.first;
      vector[Field.data] = data;
    });
  }

  /** The thread is dead; of what it was doing, only what it had called remains. */
  killed(state: number): number {
    const log = this.get(state, Field.log);
    const step = this.get(state, Field.step);
    this.clear(this.get(state, Field.thread), Status.killed, log, step);
    return this.states.add(this.vector);
  }

  /** The reaper learns of a death, and begins if it was idle. */
  deathReported(reaper: number, thread: number): number {
    const log = this.logs.append(this.get(reaper, Field.log), Logs.DEATH, this.logs.value(thread));
    if (this.get(reaper, Field.status) !== Status.idle) {
      return this.with(reaper, (vector) => {
        vector[Field.log] = log;
      });
    }
    const index = this.get(reaper, Field.thread);
    const { name, host } = this.threads[index]!;
    this.vm.enter(name, host);
    this.vm.load(this.blobs.get(this.get(reaper, Field.saved)));
    this.attempts = [];
    return this.proceed(index, log, 0);
  }

  private nextOf(thread: number, log: number): Next {
    const key = log * 64 + thread;
    let next = this.next.get(key);
    if (!next) {
      next = this.isReaper(thread) ? this.nextReaping(log) : this.nextCall(thread, log);
      this.next.set(key, next);
    }
    return next;
  }

  isReaper(thread: number): boolean {
    return this.threads[thread]!.pid === 1;
  }

  private nextReaping(log: number): Next {
    const entries = this.logs.entries(log);
    const deaths = entries.filter((entry) => entry.step === Logs.DEATH);
    const death = deaths[entries.length - deaths.length];
    if (!death) return { kind: "idle" };
    const args = [this.threads[this.logs.values[death.result] as number]!.pid];
    return {
      kind: "call",
      step: this.logs.addStep("processDrop", args),
      fn: "processDrop",
      args,
      accept: undefined,
      forgets: false,
    };
  }

  private nextCall(thread: number, log: number): Next {
    const { name, pid, body } = this.threads[thread]!;
    const context = threadContext(name, pid);
    let given: IteratorResult<ThreadStep, void>;
    let position = 0;
    const generator = body(context);
    try {
      given = generator.next();
      for (const entry of this.logs.entries(log)) {
        position++;
        const before = this.logs.step(entry.step);
        const now = given.done ? "nothing" : stepText(given.value.fn, given.value.args);
        if (now !== before.text) {
          throw new VdsoError(
            "ERR_VDSO_CHECK_NONDETERMINISTIC",
            `thread "${name}" is not deterministic: after the same results, call ${position} was ${before.text} and is ${now} now`,
          );
        }
        given = generator.next(this.logs.values[entry.result]);
      }
    } catch (error) {
      if (error instanceof VdsoError && error.code.startsWith("ERR_VDSO_CHECK_")) throw error;
      return { kind: "threw", error };
    }
    if (given.done) return { kind: "finished" };
    const { fn, args, accept, scalar, forgets = false } = given.value;
    if (scalar !== undefined) {
      const [address, , value] = args as readonly [number, Scalar, Raw | boolean | undefined];
      const raw = typeof value === "boolean" ? Number(value) : (value ?? 0);
      return { kind: "access", step: this.logs.addStep(fn, args), fn, scalar, address, value: raw };
    }
    if (!this.vm.hasExport(fn)) throw noExport(name, fn, this.vm.exportNames());
    return { kind: "call", step: this.logs.addStep(fn, args), fn, args, accept, forgets };
  }

  /** What predicates look at in a state, as a number: thread and status, and where any has asked for them, log and call. */
  observe(state: number): number {
    return this.observation(state, this.showsCalls);
  }

  private observation(state: number, calls: boolean): number {
    const list = this.observations[calls ? 0 : 1];
    while (list.length <= state) list.push(-1);
    let id = list.items[state]!;
    if (id < 0) {
      const of = (field: number): number => this.get(state, field);
      const seen = [of(Field.thread), of(Field.status), ...(calls ? [of(Field.log), of(Field.step)] : [-2, -2])];
      id = this.observed.add(Int32Array.from(seen));
      list.items[state] = id;
    }
    return id;
  }

  /** The thread as predicates see it. */
  view(state: number): ThreadView {
    const observation = this.observation(state, true);
    let view = this.views[observation];
    if (!view) {
      const thread = this.get(state, Field.thread);
      const step = this.get(state, Field.step);
      const { name, pid, daemon } = this.threads[thread]!;
      const called = step < 0 ? undefined : this.logs.step(step);
      const call = called && { fn: called.fn, args: called.args };
      const log = this.records(thread, this.get(state, Field.log));
      const look = (): void => {
        this.showsCalls = true;
      };
      view = {
        name,
        pid,
        daemon,
        status: STATUS_NAMES[this.get(state, Field.status)]!,
        get log() {
          look();
          return log;
        },
        get call() {
          look();
          return call;
        },
      };
      this.views[observation] = view;
    }
    return view;
  }

  /** Calls in a log. */
  records(thread: number, log: number): readonly CallRecord[] {
    return this.logs
      .entries(log)
      .filter((entry) => entry.step !== Logs.DEATH)
      .map((entry) => {
        const { fn, args } = this.logs.step(entry.step);
        return { thread: this.threads[thread]!.name, fn, args, result: this.logs.values[entry.result] };
      });
  }
}

/** The same for every attempt of a call, so that an attempt that was refused leaves no handle behind that would tell it from the next. */
function callKey(thread: number, log: number, step: number): string {
  return `${thread} ${log} ${step}`;
}

/** What a thread's generator is given. */
export function threadContext(name: string, pid: number): ThreadContext {
  return {
    name,
    pid,
    *call(fn, ...args) {
      return (yield { fn, args, accept: undefined }) as never;
    },
    *until(fn, args, accept) {
      return (yield { fn, args, accept: accept as ThreadStep["accept"] }) as never;
    },
    *forget(fn, args, accept) {
      yield { fn, args, accept: accept as ThreadStep["accept"], forgets: true };
    },
    *read(address, type) {
      return (yield { fn: READ, args: [address, type], accept: undefined, scalar: type }) as never;
    },
    *write(address, type, value) {
      yield { fn: WRITE, args: [address, type, value], accept: undefined, scalar: type };
    },
  };
}

export function noExport(thread: string, fn: string, exports: readonly string[]): VdsoError {
  return new VdsoError(
    "ERR_VDSO_CHECK_EXPORT",
    `thread "${thread}" calls ${fn}(), which the image does not export; it exports ${exports.join(", ")}`,
  );
}
