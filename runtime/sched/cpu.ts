/**
 * A CPU: takes tasks from the shared run queues and runs them in this thread.
 *
 * Coroutines are functions of this thread: plain, async, or generators. One runs until it waits by its context (`task.sleep`, `task.join`, ...),
 * which parks it in the scheduler. When it awaits something else, the scheduler notices in the next turn of the event loop that it has neither
 * ended nor waited, and treats it as blocked from outside; its code goes on when that promise resolves, and joins the queue again at its next
 * call to the context, or at its end.
 *
 * The loop is not one async function: that would cost each task some turns of the microtask queue. It picks and steps tasks until one has begun of
 * which only its promise tells whether it ends or waits; that one's end or wait, in a microtask, goes on with the loop.
 *
 * Portable tasks are exported functions of modules; whichever CPU takes one imports the module (once) and calls the function.
 */
import { CPUS, Failure, State, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { Heap } from "../ipc/heap.ts";
import { vvarOf } from "../loader/attach.ts";
import { nowMs, sharedNowUs } from "../platform/clock.ts";
import { mayBlock } from "../platform/may-block.ts";
import { Coroutine, type CoroutineHost } from "./coroutine.ts";
import { drive, isGenerator } from "./generator.ts";
import { Lookout } from "./lookout.ts";
import { type AttachLibrary, NativeTasks } from "./native.ts";
import { type Packed, Payloads } from "./payload.ts";
import { cancelled, Exit, Kind, Task, type TaskContext, type TaskOptions } from "./task.ts";
import { TaskTable } from "./task-table.ts";
import { ThreadContext } from "./thread.ts";
import { afterMicrotasks, LoopHold, nextTurn } from "./turn.ts";

/** Affinities: on every CPU that takes tasks of others; the same, but no thread that is only lent. */
export const ANYWHERE = 0xffffffff;
const DEDICATED = 0x80000000;
/** Exit codes of portable tasks: their bytes hold a value, or an error. What a native task returns is its own exit code, never negative. */
const RETURNED = 0;
const THREW = -1;
/** How long a task with a result waits until others have given back enough of the heap, and how often it looks. */
const ROOM_WAIT_MS = 30_000;
const ROOM_NAP_MS = 20;
/** Tasks that are run between two looks for tasks of this thread that ended elsewhere. */
const FINISHED_EVERY = 16;
/** Timers cannot wait longer. */
const MAX_TIMER_MS = 2 ** 31 - 1;
/** An event loop that naps had nothing to wait for so many times longer before: it does so for a tenth of the time at most, and where tasks come often, never. */
const REST_BEFORE_NAP = 10;
const settledNow = Promise.resolve();

export interface CpuOptions {
  /** Is the thread there for nothing else? Then it takes tasks of others from the start, and sleeps without an event loop, which wakes it sooner. */
  readonly dedicated: boolean;
  /** How long tasks may run before the event loop gets a turn. */
  readonly sliceMs: number;
  /** How long to look for work before sleeping, at most. */
  readonly spinUs: number;
  /** Functions of modules that may have begun here at once. Default: no limit. Only of a dedicated thread. */
  readonly concurrency?: number | undefined;
  /** It stops when it had nothing to do for so long. Default: never. */
  readonly idleMs?: number | undefined;
  /** For what does not fit into a task. */
  readonly heap?: Heap | undefined;
  /** For native tasks. */
  readonly attach: AttachLibrary;
}

/** What is done when a portable task has ended. */
export interface Outcome {
  settle(ok: boolean, value: unknown, id: number): void;
  /** Its exit code is its value, unless it is negative: then its bytes hold an error. */
  readonly native?: boolean;
}

/** Those that a CPU runs by. */
const inUse = new WeakSet<VschedApi>();

type Callable = (...args: unknown[]) => unknown;

export class Cpu implements CoroutineHost {
  readonly api: VschedApi;
  readonly number: number;
  readonly #options: CpuOptions;
  readonly payloads: Payloads;
  readonly #endTaking: (() => void) | undefined;
  readonly #native: NativeTasks;
  readonly #bell: Int32Array;
  readonly #lookout: Lookout;
  /** For how long to nap. */
  readonly #naps: Lookout;
  #willNap = false;
  /** Did the last nap end before there were news? Those tell how long it should have been. */
  #napInVain = false;
  /** Since when the event loop has nothing to wait for, while it sleeps; microseconds of the shared clock. */
  #restsSince = 0;
  readonly #hold = new LoopHold();
  readonly #hasNews: () => boolean;
  /** Functions that have begun, or will begin, in this thread. */
  readonly #coroutines = new TaskTable<Coroutine>();
  /** Portable tasks of this thread that have not ended, wherever they run. */
  readonly #handles = new TaskTable<Outcome>();
  readonly #functions: (Callable | undefined)[] = [];
  /** Numbers of functions, by module and name: to join the two for each task would cost more than the look. */
  readonly #names = new Map<string, Map<string, number>>();
  /** The function that was asked for last, and most often is asked for again. */
  #asked: { readonly url: string; readonly name: string; readonly number: number } | undefined;
  /** The coroutine that runs, or will go on in a microtask; or the id of a task whose module is being loaded. */
  #running: Coroutine | number | undefined;
  /** Ends {@link Cpu.#work}; undefined while the loop does not run. */
  #drained: PromiseWithResolvers<boolean> | undefined;
  #pumping = false;
  /** When the event loop has to get a turn, in microseconds. */
  #until = 0;
  /** Is it being waited for that every microtask has run, to see whether the running coroutine awaits something else? */
  #watching = false;
  /** Ends the sleep of an idle thread; undefined: it does not sleep. */
  #wake: (() => void) | undefined;
  /** Is there a wait for the bell? It outlives a sleep that something else ended, and is good for the next. */
  #listening = false;
  /** Lent for so many milliseconds of each turn of the event loop. */
  #lentMs: number | undefined;
  /** The time told last, and whether that was when a task gave up this CPU just now. */
  #us = 0;
  #justTold = false;
  /** Exit code of the image's running task, a coroutine of this thread that has ended: it exits in the call that picks the next. */
  #exitCode: number | undefined;
  #outside = 0;
  /** Functions of modules that have begun here, and not ended. */
  #guests = 0;
  readonly #concurrency: number;
  #full = false;
  readonly #onNoGuests: (() => void)[] = [];
  readonly #drains = new Set<{ readonly below: number; readonly resolve: () => void }>();
  #stopped = false;
  /** Tasks picked. */
  #steps = 0;

  /**
   * @throws VdsoError `ERR_VDSO_CPU_LIMIT` - there are as many CPUs as the image has room for.
   * @throws VdsoError `ERR_VDSO_SCHED_STARTED` - this process is one already.
   */
  constructor(api: VschedApi, options: CpuOptions) {
    if (inUse.has(api)) {
      throw new VdsoError("ERR_VDSO_SCHED_STARTED", "expected a process without a scheduler, found one that has it");
    }
    this.api = api;
    this.#options = options;
    this.tellTime();
    this.number = api.startCpu(options.dedicated);
    if (this.number < 0) {
      throw new VdsoError("ERR_VDSO_CPU_LIMIT", "expected room for one more CPU, found that all are taken");
    }
    inUse.add(api);
    this.payloads = new Payloads(api, api.cpuStats(this.number).pid, options.heap);
    this.#endTaking = options.heap?.beforeDiscard(() => this.#takeSent());
    this.#native = new NativeTasks(api, this.payloads, options.attach);
    this.#bell = new Int32Array(vvarOf(api), api.bellAddress(), 1);
    this.#concurrency = options.concurrency ?? Number.POSITIVE_INFINITY;
    this.#lookout = new Lookout(options.spinUs);
    this.#naps = new Lookout(mayBlock() ? options.spinUs : 0);
    this.#hasNews = () => api.hasArrivals();
  }

  /** Tasks of this thread that have not ended: its functions, and what it has submitted. */
  get pending(): number {
    return this.#coroutines.size - this.#guests + this.#handles.size;
  }

  /** Resolves when fewer than so many of them are left. */
  drained(below: number): Promise<void> {
    return new Promise((resolve) => {
      this.#drains.add({ below, resolve });
      this.#tellEnd();
    });
  }

  #tellEnd(): void {
    if (this.#drains.size === 0) return;
    const { pending } = this;
    for (const drain of this.#drains) {
      if (pending >= drain.below) continue;
      this.#drains.delete(drain);
      drain.resolve();
    }
  }

  // ------------------------------------------------------------------ spawning

  /**
   * Makes a task of a function of this thread.
   *
   * @throws VdsoError `ERR_VDSO_TASK_LIMIT` - the task table is full.
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - the priority is out of range.
   */
  spawn<T>(
    run: (task: TaskContext) => T | PromiseLike<T> | Generator<unknown, T>,
    { priority = 0, signal }: TaskOptions = {},
  ): Task<T> {
    signal?.throwIfAborted();
    const { api } = this;
    const id = started(api.spawn(Kind.Coroutine, 0, priority, 1 << this.number, true, true), priority);
    const task = new Task<T>(api, id);
    this.#coroutines.set(id, new Coroutine(this, id, run, task));
    if (signal) this.#watch(signal, task);
    this.#wakeUp();
    return task;
  }

  /**
   * Makes a task that any CPU may run.
   *
   * @throws VdsoError - as {@link Cpu.launch}
   */
  submit<T>(url: string, name: string, args: readonly unknown[], options: TaskOptions = {}): Task<T> {
    const { priority = 0, signal, thread = false, affinity } = options;
    signal?.throwIfAborted();
    const outcome = { settle: (ok: boolean, value: unknown) => task.settle(ok, value) };
    const entry = this.entryFor(url, name);
    // A thread task may hold up its CPU, and nobody lends a thread for that.
    const id = thread
      ? this.launch(entry, args, priority, maskOf(affinity, DEDICATED), outcome, Kind.Thread)
      : this.launch(entry, args, priority, maskOf(affinity, ANYWHERE), outcome);
    const task = new Task<T>(this.api, id);
    if (signal) this.#watch(signal, task);
    return task;
  }

  /**
   * Makes a task of a poll function of an image; see `native.ts`.
   *
   * @param url - of the image's API library
   * @param state - what the function is called with, mostly where in the image's vVAR the task's state is
   * @throws VdsoError - as {@link Cpu.launch}
   */
  native(url: string, name: string, state: number, options: TaskOptions = {}): Task<number> {
    const { priority = 0, signal, affinity } = options;
    signal?.throwIfAborted();
    const outcome = { native: true, settle: (ok: boolean, value: unknown) => task.settle(ok, value) };
    const id = this.launch(
      this.entryFor(url, name),
      [state],
      priority,
      maskOf(affinity, ANYWHERE),
      outcome,
      Kind.Native,
    );
    const task = new Task<number>(this.api, id);
    if (signal) this.#watch(signal, task);
    return task;
  }

  /**
   * Makes a task of a function that {@link entryFor} has a number of.
   *
   * @param affinity - bit n: may run on CPU n; {@link ANYWHERE}
   * @param outcome - hears of its end, never before this returns
   * @returns its id
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE`, `ERR_VDSO_TOO_LARGE`, `ERR_VDSO_HEAP_SIZE`, `ERR_VDSO_OUT_OF_MEMORY` - the arguments cannot be sent.
   * @throws VdsoError `ERR_VDSO_TASK_LIMIT`, `ERR_VDSO_ARGUMENT` - as for {@link spawn}.
   * @throws VdsoError `ERR_VDSO_NO_CPU` - no CPU that the affinity names is running.
   */
  launch(
    entry: number,
    args: readonly unknown[] | Packed,
    priority: number,
    affinity: number,
    outcome: Outcome,
    kind: number = Kind.Portable,
  ): number {
    const { api, payloads } = this;
    const id = started(api.create(kind, entry, priority, affinity, false, false, true), priority);
    try {
      payloads.putArguments(id, args);
    } catch (error) {
      api.release(id);
      throw error;
    }
    const begun = api.start(id);
    if (begun < 0) {
      payloads.freeArguments(id);
      api.release(id);
      started(begun, priority);
    }
    // Not before: meanwhile the thread that runs it wakes up.
    this.#handles.set(id, outcome);
    if (this.#wake && !this.#listening && !this.#willNap) {
      this.#willNap = true;
      queueMicrotask(this.#nap);
    }
    return id;
  }

  #watch(signal: AbortSignal, task: Task): void {
    const cancel = (): void => task.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    void task.result.catch(() => undefined).finally(() => signal.removeEventListener("abort", cancel));
  }

  /** A number for an exported function of a module. @throws VdsoError `ERR_VDSO_NAME` - too long, or too many. */
  entryFor(url: string, name: string): number {
    const asked = this.#asked;
    if (asked?.name === name && asked.url === url) return asked.number;
    const number = this.#names.get(url)?.get(name) ?? this.#newEntry(url, name);
    this.#asked = { url, name, number };
    return number;
  }

  #newEntry(url: string, name: string): number {
    const text = `${url}#${name}`;
    const number = this.api.nameNumber(text);
    if (number < 0) {
      const found = number === Failure.Full ? "that all are taken" : `${text.length} characters`;
      throw new VdsoError("ERR_VDSO_NAME", `expected room for the name of ${text}, found ${found}`);
    }
    const ofModule = this.#names.get(url) ?? new Map<string, number>();
    this.#names.set(url, ofModule.set(name, number));
    return number;
  }

  // ------------------------------------------------------------------ the loop

  /** Runs tasks until {@link stop}. */
  async run(): Promise<void> {
    const { dedicated, idleMs = Number.POSITIVE_INFINITY } = this.#options;
    let turned = nowMs();
    let worked = turned;
    let steps = this.#steps;
    while (!this.#stopped) {
      const busy = await this.#work();
      if (this.#stopped) break;
      if (this.#steps !== steps || this.#coroutines.size > 0) {
        steps = this.#steps;
        worked = nowMs();
      } else if (nowMs() - worked > idleMs) break;
      // A thread that exists for this; another one lives as long as it has something to wait for.
      this.#hold.set(dedicated || this.pending + this.#guests > 0);
      // The event loop has its own things to do: messages, timers, promises of the host. Before a sleep, so that who is woken begins at once.
      if (busy || nowMs() - turned > this.#sliceMs) {
        await nextTurn();
        turned = nowMs();
      } else await this.#idle();
    }
    this.#hold.end();
    this.#endTaking?.();
    this.api.stopCpu();
    inUse.delete(this.api);
  }

  get #sliceMs(): number {
    return this.#lentMs ?? this.#options.sliceMs;
  }

  /** Takes tasks of others as well. */
  lend(sliceMs: number): void {
    this.#lentMs = sliceMs;
    this.api.lend(true);
    this.#wakeUp();
  }

  /** Takes no more of them. @returns a promise for the end of those that have begun here */
  async takeBack(): Promise<void> {
    this.#lentMs = undefined;
    this.api.lend(false);
    this.#wakeUp();
    if (this.#guests > 0) await new Promise<void>((resolve) => this.#onNoGuests.push(resolve));
  }

  stop(): void {
    this.#stopped = true;
    this.api.ringCpu(this.number);
    this.#wakeUp();
    this.#pump();
  }

  tellTime(): number {
    this.#us = sharedNowUs();
    this.#justTold = true;
    this.api.setNow(this.#us);
    return this.#us;
  }

  isRunning(coroutine: Coroutine): boolean {
    return this.#running === coroutine;
  }

  released(): void {
    this.#running = undefined;
    // Not from here: the coroutine's own code is on the stack. Below that may be the loop, which goes on by itself.
    if (!this.#pumping) void settledNow.then(this.#pump);
  }

  countOutside(change: 1 | -1): void {
    this.#outside += change;
  }

  /** Runs what is ready. @returns true: the time is up and there may be more */
  #work(): Promise<boolean> {
    const drained = Promise.withResolvers<boolean>();
    this.#drained = drained;
    this.#until = sharedNowUs() + this.#sliceMs * 1000;
    this.#pump();
    return drained.promise;
  }

  /** Runs tasks until nothing is ready, the time is up, or one has begun that will call this again. */
  readonly #pump = (): void => {
    const drained = this.#drained;
    if (this.#pumping) return;
    if (drained === undefined) {
      this.#exit();
      return;
    }
    if (this.#running !== undefined) {
      this.#watchRunning();
      return;
    }
    this.#pumping = true;
    try {
      const outcome = this.#runTasks();
      if (outcome === undefined) return;
      this.#drained = undefined;
      drained.resolve(outcome);
    } catch (error) {
      this.#drained = undefined;
      drained.reject(error);
    } finally {
      this.#pumping = false;
    }
  };

  /** @returns is the time up, and perhaps more to do? undefined: that is not known yet */
  #runTasks(): boolean | undefined {
    const { api } = this;
    let slept = false;
    for (let round = 0; !this.#stopped; round++) {
      if (round % FINISHED_EVERY === 0 && this.#handles.size > 0) this.takeFinished();
      // Good enough to tell what ran, but older than the code of that task which came after: not when the next one begins.
      const told = this.#justTold;
      const us = told ? this.#us : sharedNowUs();
      this.#justTold = false;
      if (slept) this.#lookout.slept(us);
      slept = false;
      if (us > this.#until) {
        this.#exit();
        return true;
      }
      this.#heedLimit();
      let id = this.#exitCode === undefined ? api.runNext(us) : api.exitNext(this.#exitCode, us);
      this.#exitCode = undefined;
      const pickedUs = id === 0 || told ? undefined : us;
      if (id === 0) {
        this.takeFinished();
        id = this.#lookAround();
      }
      if (id === 0) {
        if (!this.#options.dedicated || this.#outside > 0) return false;
        slept = this.#park(us);
        continue;
      }
      this.#steps++;
      this.#step(id, pickedUs);
      if (this.#running !== undefined) {
        this.#watchRunning();
        return undefined;
      }
    }
    this.#exit();
    return false;
  }

  /** The task whose function has ended exits, and nothing is picked. */
  #exit(): void {
    if (this.#exitCode === undefined) return;
    this.tellTime();
    this.api.exit(this.#exitCode);
    this.#exitCode = undefined;
  }

  #heedLimit(): void {
    const full = this.#guests >= this.#concurrency;
    if (full === this.#full) return;
    this.#full = full;
    this.api.setFull(full);
  }

  /** When every microtask has run, a coroutine that still runs awaits something else. */
  #watchRunning(): void {
    if (this.#watching || !(this.#running instanceof Coroutine)) return;
    this.#watching = true;
    void afterMicrotasks().then(() => {
      this.#watching = false;
      if (!(this.#running instanceof Coroutine)) return;
      this.#running.leave();
      this.#running = undefined;
      this.#pump();
    });
  }

  #lookAround(): number {
    const { api } = this;
    const found = api.expire(true) + (this.#takesAny ? api.steal() : 0);
    return found > 0 ? api.pickNext() : 0;
  }

  get #takesAny(): boolean {
    return this.#options.dedicated || this.#lentMs !== undefined;
  }

  /** A dedicated thread sleeps without its event loop, at most until that has to get a turn: the kernel's requests come by it. @returns has it slept? */
  #park(us: number): boolean {
    if (this.#lookout.look(this.#hasNews, us)) return false;
    this.api.park(Math.max(this.#until - us, 0) / 1000);
    return true;
  }

  async #idle(): Promise<void> {
    const { api } = this;
    // Who waits for nobody need not look.
    const looks = this.#takesAny || this.#handles.size > 0;
    if (looks && this.#lookout.look(this.#hasNews)) return;
    const seen = api.prepareIdle();
    if (!api.hasWork() && !this.#stopped) await this.#sleep(seen, api.idleMs());
    api.endIdle();
    if (looks) this.#lookout.slept();
  }

  /** Until the bell's value is not `seen` any more, {@link Cpu.#wakeUp}, or, if not negative, `ms` are over. */
  async #sleep(seen: number, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // Who waits for nothing is told of nothing.
    const waits = this.#takesAny || this.#coroutines.size > 0 || this.#handles.size > 0;
    if (!waits) this.#restsSince = sharedNowUs();
    else if (!this.#listening) {
      const waiting = Atomics.waitAsync(this.#bell, 0, seen);
      if (!waiting.async) return;
      this.#listening = true;
      void waiting.value.then(() => {
        this.#listening = false;
        if (this.#napInVain) this.#naps.slept();
        this.#napInVain = false;
        // Most often it tells of the end of a task; whoever waits for that goes on before the loop does.
        this.takeFinished();
        this.#wakeUp();
      });
    }
    const timer = ms < 0 ? undefined : setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
    this.#wake = resolve;
    await promise;
    this.#wake = undefined;
    clearTimeout(timer);
  }

  /**
   * The event loop was asleep, with nothing to wait for, when tasks were submitted: after a rest it sleeps by the bell alone until the first has ended,
   * for as long as that took before. To be woken by the event loop takes twice as long.
   */
  readonly #nap = (): void => {
    this.#willNap = false;
    if (!this.#wake || this.#listening) return;
    const now = sharedNowUs();
    if (now - this.#restsSince >= REST_BEFORE_NAP * this.#options.spinUs) {
      const us = this.#naps.begin(now);
      if (us > 0) this.api.park(us / 1000);
      this.#napInVain = !this.api.hasArrivals();
      if (!this.#napInVain) {
        this.#naps.slept();
        this.takeFinished();
      }
    }
    if (this.#handles.size > 0) this.#wakeUp();
    else this.#restsSince = sharedNowUs();
  };

  readonly #wakeUp = (): void => {
    this.#wake?.();
    this.#wake = undefined;
  };

  /** Gives up the portable tasks of this thread, when nobody is left who could run them. */
  abandon(error: () => VdsoError): void {
    this.takeFinished();
    for (const id of this.#handles.ids()) {
      const outcome = this.#handles.get(id);
      this.#handles.delete(id);
      this.payloads.freeArguments(id);
      outcome?.settle(false, error(), id);
      this.api.release(id);
    }
  }

  /** Settles the handles of portable tasks that have ended. The loop does it, too. */
  takeFinished(): void {
    const { api } = this;
    for (let id = api.takeFinished(); id !== 0; id = api.takeFinished()) {
      const outcome = this.#handles.get(id);
      if (outcome !== undefined) this.#settle(id, outcome);
    }
    this.#tellEnd();
  }

  /**
   * The heap is about to free what a process that has ended had sent: takes what is of results. Also of tasks that this thread has not been told of,
   * since it may have died before that.
   */
  #takeSent(): void {
    this.takeFinished();
    for (const id of this.#handles.ids()) {
      const outcome = this.#handles.get(id);
      if (outcome && this.api.stateOfTask(id) === State.Exited) this.#settle(id, outcome);
    }
    this.#tellEnd();
  }

  /** Settles the handle of a task that has ended, and releases it. */
  #settle(id: number, outcome: Outcome): void {
    const { api, payloads } = this;
    this.#handles.delete(id);
    const why = api.whyEnded(id);
    let ok = false;
    let value: unknown;
    if (why !== Why.None) {
      value = ended(id, why);
      payloads.discardResult(id);
    } else {
      const code = api.exitCode(id);
      ok = code >= RETURNED;
      try {
        value = outcome.native && ok ? code : payloads.takeResult(id);
      } catch (error) {
        ok = false;
        value = error;
      }
    }
    payloads.freeArguments(id);
    outcome.settle(ok, value, id);
    api.release(id);
  }

  // ------------------------------------------------------------------ one task

  /** Runs a task that was picked until it ends or waits, or will do so in a microtask. @param us - the time, if it was read just now */
  #step(id: number, us?: number): void {
    const coroutine = this.#coroutines.get(id);
    if (!coroutine) this.#stepElsewhere(id, us);
    else if (!coroutine.begun) this.#begin(coroutine);
    else {
      this.#running = coroutine;
      if (coroutine.goOn()) return;
      coroutine.leave();
      this.#running = undefined;
    }
  }

  #begin(coroutine: Coroutine): void {
    this.#running = coroutine;
    if (this.api.isCancelled(coroutine.id)) {
      this.#end(coroutine, false, cancelled(coroutine.id));
      return;
    }
    let outcome: unknown;
    try {
      outcome = coroutine.run(coroutine);
    } catch (error) {
      this.#end(coroutine, false, error);
      return;
    }
    if (isThenable(outcome)) {
      outcome.then(
        (value) => this.#finish(coroutine, true, value),
        (error: unknown) => this.#finish(coroutine, false, error),
      );
    } else if (isGenerator(outcome)) drive(coroutine, outcome, (ok, value) => this.#finish(coroutine, ok, value));
    else this.#end(coroutine, true, outcome);
  }

  /** A coroutine has ended in a microtask. */
  #finish(coroutine: Coroutine, ok: boolean, value: unknown, waitedMs = 0): void {
    this.#end(coroutine, ok, value, waitedMs);
    this.#pump();
  }

  #end(coroutine: Coroutine, ok: boolean, value: unknown, waitedMs = 0): void {
    if (value instanceof Exit) {
      this.#end(coroutine, true, value.value, waitedMs);
      return;
    }
    if (!coroutine.isRunning) {
      coroutine.reenter(() => this.#finish(coroutine, ok, value, waitedMs));
      return;
    }
    const { id, task } = coroutine;
    if (task) {
      // What it told itself is old.
      this.#justTold = false;
      task.settle(ok, value);
      this.#exitCode = ok ? RETURNED : THREW;
    } else if (!this.#answer(id, ok, value, waitedMs >= ROOM_WAIT_MS)) {
      const ms = Math.min(waitedMs + 1, ROOM_NAP_MS);
      coroutine.sleep(ms).then(
        () => this.#finish(coroutine, ok, value, waitedMs + ms),
        (error: unknown) => this.#finish(coroutine, false, error, waitedMs),
      );
      return;
    }
    this.#coroutines.delete(id);
    if (!task && --this.#guests === 0 && this.#onNoGuests.length > 0) {
      for (const resolve of this.#onNoGuests.splice(0)) resolve();
    }
    coroutine.releaseLoans();
    this.#running = undefined;
    this.#tellEnd();
  }

  // ------------------------------------------------------------------ portable, thread and native tasks

  /** Runs a task that is not one of this thread's coroutines. */
  #stepElsewhere(id: number, us: number | undefined): void {
    const kind = this.api.kindOf(id);
    if (kind === Kind.Native) {
      if (!this.#native.knows(id)) {
        void this.#loadNative(id).finally(this.#pump);
        return;
      }
      const next = this.#native.run(id, sharedNowUs, this.#fail);
      if (next !== 0) this.#step(next);
    } else {
      const run = this.#functions[this.api.entryOf(id)];
      if (run) this.#call(id, run, kind, us);
      else void this.#load(id, kind).finally(this.#pump);
    }
  }

  /** The first task of a poll function waits, and this CPU with it, until its image is attached. */
  async #loadNative(id: number): Promise<void> {
    this.#running = id;
    const entry = this.api.entryOf(id);
    const [url, name] = this.#entryName(entry);
    try {
      await this.#native.load(entry, url, name);
      this.api.yieldNow();
    } catch (error) {
      this.#fail(id, error);
    }
    this.#running = undefined;
  }

  readonly #fail = (id: number, error: unknown): void => {
    this.#answer(id, false, error, true);
  };

  #entryName(entry: number): [url: string, name: string] {
    const text = this.api.nameOf(entry);
    const split = text.lastIndexOf("#");
    return [text.slice(0, split), text.slice(split + 1)];
  }

  /** The first task of a function waits, and this CPU with it, until its module is loaded. */
  async #load(id: number, kind: number): Promise<void> {
    this.#running = id;
    const entry = this.api.entryOf(id);
    const [url, name] = this.#entryName(entry);
    try {
      const found: unknown = ((await import(url)) as Record<string, unknown>)[name];
      if (typeof found !== "function") {
        throw new VdsoError(
          "ERR_VDSO_NO_EXPORT",
          `${url}: expected an exported function ${name}, found ${typeof found}`,
        );
      }
      this.#functions[entry] = found as Callable;
    } catch (error) {
      this.#fail(id, error);
      this.#running = undefined;
      return;
    }
    this.#call(id, this.#functions[entry]!, kind);
  }

  #call(id: number, run: Callable, kind: number, us = this.tellTime()): void {
    const { api, payloads } = this;
    payloads.stampBegin(id, us);
    const thread = kind === Kind.Thread ? this.#threadContext(id) : undefined;
    const coroutine = new Coroutine(this, id, (context) => {
      const outcome = run(...payloads.takeArguments(id, thread ?? context));
      thread?.end();
      return outcome;
    });
    this.#guests++;
    this.#coroutines.set(id, coroutine);
    // From its first wait on it has state in this thread, and may not go on elsewhere.
    api.bind();
    this.#begin(coroutine);
  }

  #threadContext(id: number): ThreadContext {
    return new ThreadContext(
      this.api,
      id,
      () => this.tellTime(),
      (other) => this.#coroutines.get(other) !== undefined,
    );
  }

  /**
   * Writes a portable task's result where its spawner reads it, and ends the task: at once, since somebody waits for that. What cannot be sent becomes
   * an error that can.
   *
   * @param now - a result for which there is no room now is an error, too
   * @returns false: there is no room now
   */
  #answer(id: number, ok: boolean, value: unknown, now: boolean): boolean {
    const { api, payloads } = this;
    const us = this.tellTime();
    const error = this.#put(id, value, us);
    if (error === undefined) {
      api.exit(ok ? RETURNED : THREW);
      return true;
    }
    if (!now && isTemporary(error)) return false;
    const told = ok ? error : value;
    if (this.#put(id, shortened(told, 150, 200), us) && this.#put(id, shortened(told, 50, 0), us)) {
      payloads.putNothing(id, us);
    }
    api.exit(THREW);
    return true;
  }

  /** @returns why the value cannot be sent */
  #put(id: number, value: unknown, us: number): unknown {
    try {
      this.payloads.putResult(id, value, us);
      return undefined;
    } catch (error) {
      return error;
    }
  }
}

/** @throws VdsoError `ERR_VDSO_ARGUMENT` - these are no numbers of CPUs. */
function maskOf(affinity: readonly number[] | undefined, otherwise: number): number {
  if (affinity === undefined) return otherwise;
  let mask = 0;
  for (const number of affinity) {
    if (!Number.isInteger(number) || number < 0 || number >= CPUS) {
      throw new VdsoError("ERR_VDSO_ARGUMENT", `affinity: expected CPUs 0 to ${CPUS - 1}, found ${String(number)}`);
    }
    mask |= 1 << number;
  }
  return mask;
}

/** May it be better later? */
function isTemporary(error: unknown): boolean {
  const { code } = error as VdsoError;
  return code === "ERR_VDSO_OUT_OF_MEMORY" || code === "ERR_VDSO_HEAP_BUSY";
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && typeof (value as { then?: unknown }).then === "function";
}

/** An error with the beginnings of its message and its stack. */
function shortened(error: unknown, messageLength: number, stackLength: number): Error {
  const { name, message, code, stack } = Object(error) as Record<"name" | "message" | "code" | "stack", unknown>;
  const short = new Error(String(message ?? error).slice(0, messageLength));
  short.name = String(name ?? "Error").slice(0, 30);
  short.stack = String(stack ?? "").slice(0, stackLength);
  return code === undefined ? short : Object.assign(short, { code: String(code).slice(0, 30) });
}

function ended(id: number, why: number): VdsoError {
  if (why === Why.Cancelled) return cancelled(id);
  return new VdsoError("ERR_VDSO_TASK_KILLED", `task ${id}: the process that ran it ended before it did`);
}

/** @returns the id, or 0 */
function started(outcome: number, priority: number): number {
  if (outcome >= 0) return outcome;
  switch (outcome) {
    case Failure.Full:
      throw new VdsoError("ERR_VDSO_TASK_LIMIT", "expected room for one more task, found that the task table is full");
    case Failure.NoCpu:
      throw new VdsoError("ERR_VDSO_NO_CPU", "expected a CPU that may run the task, found none");
    case Failure.Range:
      throw new VdsoError("ERR_VDSO_ARGUMENT", `expected a priority that the policy knows, found ${priority}`);
    default:
      return outcome;
  }
}
