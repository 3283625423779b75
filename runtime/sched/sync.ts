/**
 * Mutex, Semaphore, Condition, Barrier and Event for tasks of all threads.
 *
 * ```ts
 * using mutex = new Mutex(scheduler);
 * await work.deposit(mutex, 10); // as an argument it is the same mutex in the other thread
 *
 * export async function deposit(mutex: Mutex, amount: number, task: TaskContext) {
 *   using guard = await mutex.lock(task);
 *   if (guard.ownerDied) repair(account);
 *   account.balance += amount;
 * }
 * ```
 *
 * Whoever waits is a task: coroutines and functions of modules by their context and a promise, thread tasks by theirs and without one (`lockSync`). All waits
 * are those of the image: they survive the death of whoever was to end them as far as their kind can (`ownerDied`), and end when their task is
 * cancelled, with `ERR_VDSO_CANCELLED`.
 */
import { Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import { sharedNowUs } from "../platform/clock.ts";
import { type TaskContext, WAIT } from "./task.ts";
import type { ThreadContext } from "./thread.ts";

/** A scheduler, a pool, or a task's context. */
export interface SyncOwner {
  readonly api: VschedApi;
}

export interface SyncOptions {
  /** It outlives the process that makes it. Otherwise it is closed when that ends. Default: false. */
  readonly keep?: boolean;
}

export interface WaitSyncOptions {
  /** Then `ERR_VDSO_TIMEOUT`. Default: for ever. */
  readonly timeoutMs?: number;
}
export interface WaitOptions extends WaitSyncOptions {
  /** Ends the wait with its reason. */
  readonly signal?: AbortSignal;
}

/** What a call returns when its signal was aborted; no result of the image. */
const ABORTED = -1000;

/** One wait of an operation. */
interface Step {
  readonly call: (api: VschedApi) => number;
  /** Call again after the wait, until it returns something else. */
  readonly again: boolean;
  /** It has to come to its end, whoever gives up. */
  readonly heedless?: boolean;
}
/** An operation, apart from how its task waits: it yields waits, and gets what their calls returned last. */
type Operation<T> = Generator<Step, T, number>;
type Waiter = TaskContext | ThreadContext;

async function run<T>(task: TaskContext, operation: Operation<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  const wake = (): void => {
    task.api.unblock(task.id);
  };
  signal?.addEventListener("abort", wake);
  try {
    let step = operation.next();
    while (!step.done) {
      const { call, again, heedless = false } = step.value;
      const heeds = signal !== undefined && !heedless;
      let outcome: number;
      try {
        outcome = await task.wait(heeds ? (api) => (signal.aborted ? ABORTED : call(api)) : call, again);
      } catch (error) {
        step = operation.throw(error);
        continue;
      }
      const aborted = heeds && signal.aborted && (outcome === ABORTED || outcome === WAIT);
      step = aborted ? operation.throw(signal.reason) : operation.next(outcome);
    }
    return step.value;
  } finally {
    signal?.removeEventListener("abort", wake);
  }
}

function runSync<T>(task: ThreadContext, operation: Operation<T>): T {
  let step = operation.next();
  while (!step.done) {
    const { call, again } = step.value;
    let outcome: number;
    try {
      outcome = task.wait(call, again);
    } catch (error) {
      step = operation.throw(error);
      continue;
    }
    step = operation.next(outcome);
  }
  return step.value;
}

/** By what stands in for them among the values of a task. */
const KINDS = "mscbe";

/** What a negative result stands for: code, what was expected, what was found. */
const REFUSALS: Readonly<Record<number, readonly [code: VdsoError["code"], expected: string, found: string]>> = {
  [Failure.Stale]: ["ERR_VDSO_STALE_HANDLE", "one that is open", "that it was closed, or its process has ended"],
  [Failure.Full]: ["ERR_VDSO_QUEUE_LIMIT", "room for one more", "that the image's table is full"],
  [Failure.State]: ["ERR_VDSO_TASK_BUSY", "a task that runs", "one that has ended"],
  [Failure.Owner]: ["ERR_VDSO_CIRCLE", "a mutex that another task has, or none", "that this task has it already"],
  [Failure.Range]: ["ERR_VDSO_ARGUMENT", "a count that there may be", "one that is out of range"],
};

/** What all of them have in common. */
abstract class SyncObject implements Disposable {
  /** A number that stands for it in every process of the kernel, where `at` takes it. To a task the object itself can be passed. */
  readonly handle: number;
  protected readonly api: VschedApi;

  protected constructor({ api }: SyncOwner, handle: number) {
    this.api = api;
    this.handle = this.refuse(handle);
  }

  /** Ends it, for all processes. Whoever waits gets `ERR_VDSO_STALE_HANDLE`. */
  close(): void {
    this.api.closeQueue(this.handle);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** @throws VdsoError - if this is a failure */
  protected refuse(outcome: number): number {
    if (outcome >= 0) return outcome;
    const [code, expected, found] = REFUSALS[outcome]!;
    throw new VdsoError(code, `${this.constructor.name}: expected ${expected}, found ${found}`);
  }

  /** Calls until it is done. Whoever was chosen to go on, and gives up, lets the next one look. */
  protected *until(call: Step["call"]): Operation<number> {
    let outcome: number;
    try {
      outcome = yield { call, again: true };
    } catch (error) {
      this.api.notifyOne(this.handle);
      throw error;
    }
    if (outcome === WAIT) throw this.late();
    return this.refuse(outcome);
  }

  protected late(): VdsoError {
    return new VdsoError("ERR_VDSO_TIMEOUT", `${this.constructor.name}: expected to go on, found that time is up`);
  }
}

/** A mutex that a task has locked, until it is disposed. */
export class LockGuard implements Disposable {
  readonly #api: VschedApi;
  readonly #mutex: number;
  readonly #task: number;
  #held = true;
  #ownerDied: boolean;

  /** Made by {@link Mutex} only. */
  constructor(api: VschedApi, mutex: number, task: number, ownerDied: boolean) {
    this.#api = api;
    this.#mutex = mutex;
    this.#task = task;
    this.#ownerDied = ownerDied;
  }

  /** The task that had the mutex before ended with it, perhaps in the middle of a change: what the mutex protects has to be looked at. */
  get ownerDied(): boolean {
    return this.#ownerDied;
  }

  get held(): boolean {
    return this.#held;
  }

  /** @throws VdsoError `ERR_VDSO_NOT_OWNER` - it has been unlocked. */
  requireHeld(): void {
    if (this.#held) return;
    throw new VdsoError(
      "ERR_VDSO_NOT_OWNER",
      `task ${this.#task}: expected a mutex that it has, found that it has not`,
    );
  }

  /** @throws VdsoError `ERR_VDSO_NOT_OWNER` - it has been unlocked already. */
  unlock(): void {
    this.requireHeld();
    this.#held = false;
    this.#api.unlockFor(this.#mutex, this.#task);
  }

  /** Locks it again, whatever happens meanwhile. Called by {@link Condition} only. */
  *relock(): Operation<void> {
    while (!this.#held) {
      let outcome: number;
      try {
        outcome = yield { call: (api) => api.lock(this.#mutex, 0, true), again: true, heedless: true };
      } catch (error) {
        // Cancelled: the caller hears of it when it has the mutex.
        if ((error as VdsoError).code === "ERR_VDSO_CANCELLED") continue;
        throw error;
      }
      if (outcome < 0) {
        const [code, expected, found] = REFUSALS[outcome]!;
        throw new VdsoError(code, `Mutex: expected ${expected}, found ${found}`);
      }
      this.#held = true;
      this.#ownerDied ||= outcome === 1;
    }
  }

  [Symbol.dispose](): void {
    if (this.#held) this.unlock();
  }
}

/**
 * At most one task has it. When the one that has it ends without unlocking it, or its process dies, the next one hears of that:
 * {@link LockGuard.ownerDied}.
 */
export class Mutex extends SyncObject {
  /** @throws VdsoError `ERR_VDSO_QUEUE_LIMIT` - as many as the image has room for are open. */
  constructor(owner: SyncOwner, { keep = false }: SyncOptions = {}, handle = owner.api.createMutex(keep)) {
    super(owner, handle);
  }

  static at(owner: SyncOwner, handle: number): Mutex {
    return new Mutex(owner, {}, handle);
  }

  /**
   * @returns dispose it to unlock the mutex; also outside of the task's own waits
   * @throws VdsoError `ERR_VDSO_CIRCLE` - the task has it already. `ERR_VDSO_TIMEOUT`. `ERR_VDSO_CANCELLED`. `ERR_VDSO_STALE_HANDLE` - it was closed.
   */
  async lock(task: TaskContext, options: WaitOptions = {}): Promise<LockGuard> {
    return run(task, this.#locking(task, deadlineOf(options)), options.signal);
  }
  lockSync(task: ThreadContext, options: WaitSyncOptions = {}): LockGuard {
    return runSync(task, this.#locking(task, deadlineOf(options)));
  }

  /** @returns undefined: another task has it */
  tryLock(task: Waiter): LockGuard | undefined {
    const outcome = this.refuse(this.api.tryLockFor(this.handle, task.id));
    return outcome === WAIT ? undefined : new LockGuard(this.api, this.handle, task.id, outcome === 1);
  }

  *#locking(task: Waiter, deadline: number): Operation<LockGuard> {
    const outcome = yield* this.until((api) => api.lock(this.handle, deadline));
    return new LockGuard(this.api, this.handle, task.id, outcome === 1);
  }
}

/** A permit that was taken, until it is disposed. */
export class Permit implements Disposable {
  readonly #semaphore: Semaphore;
  #held = true;

  constructor(semaphore: Semaphore) {
    this.#semaphore = semaphore;
  }

  [Symbol.dispose](): void {
    if (!this.#held) return;
    this.#held = false;
    this.#semaphore.release();
  }
}

/** A number of permits. Those of a process that dies are gone: nobody knows whether it still used what they stood for. */
export class Semaphore extends SyncObject {
  /** @throws VdsoError `ERR_VDSO_QUEUE_LIMIT`, `ERR_VDSO_ARGUMENT` - more permits than 2^31 - 1, or no whole number. */
  constructor(owner: SyncOwner, permits: number, { keep = false }: SyncOptions = {}, handle?: number) {
    const isCount = Number.isInteger(permits) && permits >= 0;
    super(owner, handle ?? (isCount ? owner.api.createSemaphore(Math.min(permits, MAX_COUNT), keep) : Failure.Range));
  }

  static at(owner: SyncOwner, handle: number): Semaphore {
    return new Semaphore(owner, 0, {}, handle);
  }

  /** Permits that nobody has. */
  get available(): number {
    return this.refuse(this.api.valueOf(this.handle));
  }

  /** @returns dispose it to give the permit back @throws VdsoError `ERR_VDSO_TIMEOUT`, `ERR_VDSO_CANCELLED`, `ERR_VDSO_STALE_HANDLE` */
  async acquire(task: TaskContext, options: WaitOptions = {}): Promise<Permit> {
    return run(task, this.#acquiring(deadlineOf(options)), options.signal);
  }
  acquireSync(task: ThreadContext, options: WaitSyncOptions = {}): Permit {
    return runSync(task, this.#acquiring(deadlineOf(options)));
  }

  /** @returns undefined: there is none now */
  tryAcquire(): Permit | undefined {
    return this.refuse(this.api.tryAcquire(this.handle)) === 0 ? new Permit(this) : undefined;
  }

  /** Adds permits, from anywhere. @throws VdsoError `ERR_VDSO_ARGUMENT` - there would be more than 2^31 - 1. */
  release(count = 1): void {
    const isCount = Number.isInteger(count) && count >= 0;
    this.refuse(isCount ? this.api.releasePermits(this.handle, Math.min(count, MAX_COUNT)) : Failure.Range);
  }

  *#acquiring(deadline: number): Operation<Permit> {
    yield* this.until((api) => api.acquire(this.handle, deadline));
    return new Permit(this);
  }
}

/** Tasks wait for a change of what a mutex protects. As everywhere, a wait may end without one: look again. */
export class Condition extends SyncObject {
  /** @throws VdsoError `ERR_VDSO_QUEUE_LIMIT` */
  constructor(owner: SyncOwner, { keep = false }: SyncOptions = {}, handle = owner.api.createQueue(keep)) {
    super(owner, handle);
  }

  static at(owner: SyncOwner, handle: number): Condition {
    return new Condition(owner, {}, handle);
  }

  /**
   * Unlocks the mutex and waits in one step, and locks it again, whether it resolves or rejects.
   *
   * @throws VdsoError `ERR_VDSO_NOT_OWNER` - the guard has been unlocked. `ERR_VDSO_TIMEOUT`, `ERR_VDSO_CANCELLED`, `ERR_VDSO_STALE_HANDLE`.
   */
  async wait(task: TaskContext, guard: LockGuard, options: WaitOptions = {}): Promise<void> {
    return run(task, this.#waiting(task, guard, deadlineOf(options)), options.signal);
  }
  waitSync(task: ThreadContext, guard: LockGuard, options: WaitSyncOptions = {}): void {
    runSync(task, this.#waiting(task, guard, deadlineOf(options)));
  }

  /** Lets the one go on that has waited longest. From anywhere, with the mutex or without. */
  notifyOne(): void {
    this.refuse(this.api.notifyOne(this.handle));
  }
  notifyAll(): void {
    this.refuse(this.api.notifyAll(this.handle));
  }

  *#waiting(task: Waiter, guard: LockGuard, deadline: number): Operation<void> {
    guard.requireHeld();
    let why: number = Why.None;
    try {
      const call = (api: VschedApi): number => {
        const begun = api.waitOn(this.handle, deadline);
        // Announced first: who changes something once the mutex is free finds this task waiting.
        if (begun === WAIT) guard.unlock();
        return begun;
      };
      this.refuse(yield { call, again: false });
      why = this.api.whyOfTask(task.id);
    } catch (error) {
      this.api.notifyOne(this.handle);
      throw error;
    } finally {
      yield* guard.relock();
    }
    if (why === Why.TimedOut) throw this.late();
    if (why === Why.Dropped) this.refuse(Failure.Stale);
  }
}

/** Tasks wait until a number of them has arrived; then all go on, and the next round begins. */
export class Barrier extends SyncObject {
  readonly parties: number;

  /** @throws VdsoError `ERR_VDSO_QUEUE_LIMIT`, `ERR_VDSO_ARGUMENT` - not 1 to 65535 parties. */
  constructor(owner: SyncOwner, parties: number, { keep = false }: SyncOptions = {}, handle?: number) {
    const isCount = Number.isInteger(parties) && parties >= 1 && parties <= 0xffff;
    super(owner, isCount ? (handle ?? owner.api.createBarrier(keep)) : Failure.Range);
    this.parties = parties;
  }

  static at(owner: SyncOwner, handle: number, parties: number): Barrier {
    return new Barrier(owner, parties, {}, handle);
  }

  /**
   * Whoever gives up has not arrived. One that dies while it waits has.
   *
   * @returns was it the last?
   * @throws VdsoError `ERR_VDSO_TIMEOUT`, `ERR_VDSO_CANCELLED`, `ERR_VDSO_STALE_HANDLE`
   */
  async arrive(task: TaskContext, options: WaitOptions = {}): Promise<boolean> {
    return run(task, this.#arriving(deadlineOf(options)), options.signal);
  }
  arriveSync(task: ThreadContext, options: WaitSyncOptions = {}): boolean {
    return runSync(task, this.#arriving(deadlineOf(options)));
  }

  *#arriving(deadline: number): Operation<boolean> {
    let phase: number | undefined;
    const call = (api: VschedApi): number => {
      if (phase === undefined) {
        const arrived = api.arrive(this.handle, this.parties);
        if (arrived < 0) return arrived;
        if ((arrived & 1) === 1) return 1;
        phase = arrived >> 1;
      }
      return api.waitBarrier(this.handle, phase, deadline);
    };
    try {
      return (yield* this.until(call)) === 1;
    } catch (error) {
      // Open meanwhile: then it has been counted, and the others rely on it.
      if (phase !== undefined && this.api.withdraw(this.handle, phase) === 0) return false;
      throw error;
    }
  }
}

/** A flag that tasks wait for. */
export class Event extends SyncObject {
  /** @throws VdsoError `ERR_VDSO_QUEUE_LIMIT` */
  constructor(owner: SyncOwner, { keep = false }: SyncOptions = {}, handle = owner.api.createEvent(keep)) {
    super(owner, handle);
  }

  static at(owner: SyncOwner, handle: number): Event {
    return new Event(owner, {}, handle);
  }

  get isSet(): boolean {
    return this.refuse(this.api.valueOf(this.handle)) !== 0;
  }

  /** Lets all go on that wait, and those that come later. From anywhere, as {@link reset}. */
  set(): void {
    this.refuse(this.api.setEvent(this.handle));
  }
  reset(): void {
    this.refuse(this.api.resetEvent(this.handle));
  }

  /** @throws VdsoError `ERR_VDSO_TIMEOUT`, `ERR_VDSO_CANCELLED`, `ERR_VDSO_STALE_HANDLE` */
  async wait(task: TaskContext, options: WaitOptions = {}): Promise<void> {
    await run(task, this.#waiting(deadlineOf(options)), options.signal);
  }
  waitSync(task: ThreadContext, options: WaitSyncOptions = {}): void {
    runSync(task, this.#waiting(deadlineOf(options)));
  }

  #waiting(deadline: number): Operation<number> {
    return this.until((api) => api.waitEvent(this.handle, deadline));
  }
}

/** More than the image takes, but not modulo 2^32. */
const MAX_COUNT = 0xffffffff;

/** Microseconds of the clock that all threads share; 0: none. */
function deadlineOf({ timeoutMs }: WaitSyncOptions): number {
  if (timeoutMs === undefined || timeoutMs === Number.POSITIVE_INFINITY) return 0;
  if (typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
    throw new VdsoError("ERR_VDSO_ARGUMENT", `timeoutMs: expected a number from 0 on, found ${String(timeoutMs)}`);
  }
  return sharedNowUs() + timeoutMs * 1000;
}

/** What stands in for one of them among a task's values; undefined: it is none. */
export function syncToken(value: object): unknown {
  if (!(value instanceof SyncObject)) return undefined;
  const kind = CLASSES.findIndex((each) => value instanceof each);
  return [KINDS[kind], value.handle, value instanceof Barrier ? value.parties : 0];
}

/** @returns undefined: the token stands for something else */
export function syncOf(owner: SyncOwner, token: unknown): SyncObject | undefined {
  const [kind, handle, parties] = token as [unknown, number, number];
  if (typeof kind !== "string") return undefined;
  return CLASSES[KINDS.indexOf(kind)]?.at(owner, handle, parties);
}

const CLASSES: readonly {
  new (...args: never[]): SyncObject;
  at(owner: SyncOwner, handle: number, parties: number): SyncObject;
}[] = [Mutex, Semaphore, Condition, Barrier, Event];
