/**
 * A CPU: takes tasks from the shared run queues and runs them in this thread.
 *
 * Coroutines are async functions of this thread. One runs until it waits by its context (`task.sleep`, `task.join`, ...), which parks it
 * in the scheduler. When it awaits something else, the scheduler notices in the next turn of the event loop that it has neither ended
 * nor waited, and treats it as blocked from outside; its code goes on when that promise resolves, and joins the queue again at its next call
 * to the context, or at its end.
 *
 * Portable tasks are exported functions of modules; whichever CPU takes one imports the module (once) and calls the function.
 */
import { DATA_BYTES, Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import { vvarOf } from "../loader/attach.ts";
import { Reader, Writer } from "./codec.ts";
import { Coroutine, type CoroutineHost } from "./coroutine.ts";
import { cancelled, Task, type TaskContext, type TaskOptions } from "./task.ts";
import { hold, nextTurn } from "./turn.ts";

const COROUTINE = 1;
const PORTABLE = 2;
const ANYWHERE = 0xffffffff;
/** Exit codes of portable tasks: their bytes hold a value, or an error. */
const RETURNED = 0;
const THREW = 1;
/** Microtasks that a coroutine may take to get to its next wait before a turn of the event loop is spent on finding out. */
const SETTLE_MICROTASKS = 4;

export interface CpuOptions {
  /** Does it take any task, or only those that were spawned here? */
  readonly general: boolean;
  /** May the thread sleep? Then it wakes sooner. */
  readonly blocking: boolean;
  /** How long tasks may run before the event loop gets a turn. */
  readonly sliceMs: number;
  /** How long to look for work before sleeping. */
  readonly spinUs: number;
}

type Callable = (...args: unknown[]) => unknown;

export class Cpu implements CoroutineHost {
  readonly api: VschedApi;
  readonly number: number;
  readonly #options: CpuOptions;
  readonly #writer: Writer;
  readonly #reader: Reader;
  readonly #bell: Int32Array;
  /** Functions that have begun, or will begin, in this thread. */
  readonly #coroutines = new Map<number, Coroutine>();
  /** Portable tasks of this thread that have not ended, wherever they run. */
  readonly #handles = new Map<number, Task>();
  readonly #functions: (Callable | undefined)[] = [];
  readonly #names = new Map<string, number>();
  #outside = 0;
  /** Called when a task of this thread has ended. */
  readonly #onEnd: (() => void)[] = [];
  #stopped = false;

  /** @throws VdsoError `ERR_VDSO_CPU_LIMIT` - there are as many CPUs as the image has room for. */
  constructor(api: VschedApi, options: CpuOptions) {
    this.api = api;
    this.#options = options;
    const vvar = vvarOf(api);
    this.#writer = new Writer(vvar, DATA_BYTES);
    this.#reader = new Reader(vvar, DATA_BYTES);
    this.tellTime();
    this.number = api.startCpu(options.general);
    if (this.number < 0) {
      throw new VdsoError("ERR_VDSO_CPU_LIMIT", "expected room for one more CPU, found that all are taken");
    }
    this.#bell = new Int32Array(vvar, api.bellAddress(), 1);
  }

  /** Tasks of this thread that have not ended. */
  get pending(): number {
    return this.#coroutines.size + this.#handles.size;
  }

  /** Resolves when none of them is left. */
  settled(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEnd.push(resolve);
      this.#tellEnd();
    });
  }

  #tellEnd(): void {
    if (this.#onEnd.length > 0 && this.pending === 0) for (const resolve of this.#onEnd.splice(0)) resolve();
  }

  // ------------------------------------------------------------------ spawning

  /**
   * Makes a task of a function of this thread.
   *
   * @throws VdsoError `ERR_VDSO_TASK_LIMIT` - the task table is full.
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - the priority is out of range.
   */
  spawn<T>(run: (task: TaskContext) => T | PromiseLike<T>, { priority = 0, signal }: TaskOptions = {}): Task<T> {
    signal?.throwIfAborted();
    const { api } = this;
    // As unsigned: CPU 31 has the sign bit.
    const id = started(api.create(COROUTINE, 0, priority, (1 << this.number) >>> 0, true, true), priority);
    const task = new Task<T>(api, id);
    this.#coroutines.set(id, new Coroutine(this, id, run, (ok, value) => task.settle(ok, value)));
    started(api.start(id), priority);
    this.#watch(signal, task);
    return task;
  }

  /**
   * Makes a task that any CPU may run.
   *
   * @throws VdsoError `ERR_VDSO_TOO_LARGE`, `ERR_VDSO_SERIALIZE` - the arguments cannot be sent.
   * @throws VdsoError `ERR_VDSO_TASK_LIMIT`, `ERR_VDSO_ARGUMENT` - as for {@link spawn}.
   * @throws VdsoError `ERR_VDSO_NO_CPU` - no CPU that takes any task is running.
   */
  submit<T>(url: string, name: string, args: readonly unknown[], { priority = 0, signal }: TaskOptions = {}): Task<T> {
    signal?.throwIfAborted();
    const { api } = this;
    const entry = this.#nameNumber(`${url}#${name}`);
    const id = started(api.create(PORTABLE, entry, priority, ANYWHERE, false, false, true), priority);
    try {
      api.setDataBytes(id, this.#writer.write(api.dataAddress(id), args));
    } catch (error) {
      api.release(id);
      throw error;
    }
    const task = new Task<T>(api, id);
    this.#handles.set(id, task);
    const outcome = api.start(id);
    if (outcome < 0) {
      this.#handles.delete(id);
      started(outcome, priority);
    }
    this.#watch(signal, task);
    return task;
  }

  #watch(signal: AbortSignal | undefined, task: Task): void {
    if (!signal) return;
    const cancel = (): void => task.cancel();
    signal.addEventListener("abort", cancel, { once: true });
    void task.result.catch(() => undefined).finally(() => signal.removeEventListener("abort", cancel));
  }

  #nameNumber(text: string): number {
    let number = this.#names.get(text);
    if (number === undefined) {
      number = this.api.nameNumber(text);
      if (number < 0) {
        const found = number === Failure.Full ? "that all are taken" : `${text.length} characters`;
        throw new VdsoError("ERR_VDSO_NAME", `expected room for the name of ${text}, found ${found}`);
      }
      this.#names.set(text, number);
    }
    return number;
  }

  // ------------------------------------------------------------------ the loop

  /** Runs tasks until {@link stop}. */
  async run(): Promise<void> {
    // A thread that exists for this; another one lives and ends by its own reasons.
    const release = this.#options.blocking ? hold() : undefined;
    let turned = performance.now();
    while (!this.#stopped) {
      const busy = await this.#work(performance.now() + this.#options.sliceMs);
      if (this.#stopped) break;
      if (!busy) await this.#idle();
      // The event loop has its own things to do: messages, timers, promises of the host.
      if (busy || performance.now() - turned > this.#options.sliceMs) {
        await nextTurn();
        turned = performance.now();
      }
    }
    release?.();
    this.api.stopCpu();
  }

  stop(): void {
    this.#stopped = true;
    this.api.ringCpu(this.number);
  }

  tellTime(): number {
    const us = (performance.timeOrigin + performance.now()) * 1000;
    this.api.setNow(us);
    return us;
  }

  countOutside(change: 1 | -1): void {
    this.#outside += change;
  }

  /** Runs what is ready. @returns true: the time is up and there may be more */
  async #work(until: number): Promise<boolean> {
    const { api } = this;
    while (!this.#stopped) {
      this.tellTime();
      this.#takeFinished();
      api.expire();
      const id = api.pickNext() || this.#lookAround();
      if (id === 0) return false;
      const unsettled = this.#step(id);
      if (unsettled) await unsettled;
      if (performance.now() > until) return true;
    }
    return false;
  }

  #lookAround(): number {
    const { api } = this;
    const found = api.expire(true) + (this.#options.general ? api.steal() : 0);
    return found > 0 ? api.pickNext() : 0;
  }

  async #idle(): Promise<void> {
    const { api } = this;
    // Who waits for nobody need not look.
    if ((this.#options.general || this.#handles.size > 0) && this.#spin()) return;
    if (this.#options.blocking && this.#outside === 0) {
      // Not for ever: the kernel's requests come by the event loop.
      api.park(this.#options.sliceMs);
      return;
    }
    const seen = api.prepareIdle();
    if (!api.hasWork() && !this.#stopped) {
      const ms = api.idleMs();
      const waiting = Atomics.waitAsync(this.#bell, 0, seen, ms < 0 ? Number.POSITIVE_INFINITY : ms);
      if (waiting.async) await waiting.value;
    }
    api.endIdle();
  }

  /** Looks for work for a short while. */
  #spin(): boolean {
    const until = performance.now() + this.#options.spinUs / 1000;
    do {
      for (let i = 0; i < 20; i++) if (this.api.hasArrivals()) return true;
    } while (performance.now() < until);
    return false;
  }

  /** Settles the handles of portable tasks that have ended. */
  #takeFinished(): void {
    const { api } = this;
    for (let id = api.takeFinished(); id !== 0; id = api.takeFinished()) {
      const task = this.#handles.get(id);
      if (task === undefined) continue;
      this.#handles.delete(id);
      const why = api.whyEnded(id);
      if (why !== Why.None) task.settle(false, ended(id, why));
      else {
        let ok = api.exitCode(id) === RETURNED;
        let value: unknown;
        try {
          value = this.#reader.read(api.dataAddress(id), api.dataBytes(id));
        } catch (error) {
          ok = false;
          value = error;
        }
        task.settle(ok, value);
      }
      api.release(id);
    }
    this.#tellEnd();
  }

  // ------------------------------------------------------------------ one task

  /** Runs a task that was picked until it ends or waits. @returns a promise if that is not known yet */
  #step(id: number): Promise<void> | undefined {
    const coroutine = this.#coroutines.get(id);
    if (!coroutine) return this.#beginPortable(id);
    if (!coroutine.begun) return this.#begin(coroutine);
    coroutine.goOn();
    return this.#settled(coroutine);
  }

  #begin(coroutine: Coroutine): Promise<void> | undefined {
    if (this.api.isCancelled(coroutine.id)) {
      this.#end(coroutine, false, cancelled(coroutine.id));
      return undefined;
    }
    let outcome: unknown;
    try {
      outcome = coroutine.run(coroutine);
    } catch (error) {
      this.#end(coroutine, false, error);
      return undefined;
    }
    if (!isThenable(outcome)) {
      this.#end(coroutine, true, outcome);
      return undefined;
    }
    outcome.then(
      (value) => this.#end(coroutine, true, value),
      (error: unknown) => this.#end(coroutine, false, error),
    );
    return this.#settled(coroutine);
  }

  /** Waits until a coroutine that goes on has ended or waits, at the latest for a turn of the event loop. */
  async #settled(coroutine: Coroutine): Promise<void> {
    for (let i = 0; i < SETTLE_MICROTASKS; i++) {
      await undefined;
      if (!coroutine.isRunning) return;
    }
    await nextTurn();
    if (coroutine.isRunning) coroutine.leave();
  }

  #end(coroutine: Coroutine, ok: boolean, value: unknown): void {
    if (!coroutine.isRunning) {
      void coroutine.enter().then(() => this.#end(coroutine, ok, value));
      return;
    }
    this.#coroutines.delete(coroutine.id);
    coroutine.deliver(ok, value);
    this.#tellEnd();
    // A portable task exits when its answer is written.
    if (coroutine.isRunning) this.api.exit(ok ? RETURNED : THREW);
  }

  // ------------------------------------------------------------------ portable tasks

  #beginPortable(id: number): Promise<void> | undefined {
    const { api } = this;
    const run = this.#functions[api.entryOf(id)];
    if (!run) return this.#load(id);
    return this.#call(id, run);
  }

  /** The first task of a function waits, and this CPU with it, until its module is loaded. */
  async #load(id: number): Promise<void> {
    const entry = this.api.entryOf(id);
    const text = this.api.nameOf(entry);
    const split = text.lastIndexOf("#");
    const [url, name] = [text.slice(0, split), text.slice(split + 1)];
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
      this.#answer(id, false, error);
      this.api.exit(THREW);
      return;
    }
    await this.#call(id, this.#functions[entry]!);
  }

  #call(id: number, run: Callable): Promise<void> | undefined {
    const { api } = this;
    const coroutine = new Coroutine(
      this,
      id,
      (context) => run(...(this.#reader.read(api.dataAddress(id), api.dataBytes(id)) as unknown[]), context),
      (ok, value) => this.#answer(id, ok, value),
    );
    this.#coroutines.set(id, coroutine);
    // From its first wait on it has state in this thread, and may not go on elsewhere.
    api.bind();
    return this.#begin(coroutine);
  }

  /** Writes a portable task's result where its spawner reads it. What cannot be sent becomes an error that can. */
  #answer(id: number, ok: boolean, value: unknown): void {
    const { api } = this;
    if (this.#finish(id, ok, value)) return;
    const error = ok
      ? new VdsoError("ERR_VDSO_TOO_LARGE", `the result does not fit into ${DATA_BYTES} bytes, or cannot be sent`)
      : value;
    if (this.#finish(id, false, shortened(error, 150, 200)) || this.#finish(id, false, shortened(error, 50, 0))) return;
    api.setDataBytes(id, 0);
    api.exit(THREW);
  }

  /** @returns false: the value cannot be sent */
  #finish(id: number, ok: boolean, value: unknown): boolean {
    const { api } = this;
    try {
      api.setDataBytes(id, this.#writer.write(api.dataAddress(id), value));
    } catch {
      return false;
    }
    api.exit(ok ? RETURNED : THREW);
    return true;
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (Object(value) as { then?: unknown }).then === "function";
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
