/** A function that has begun, or is about to, as a task of this thread; and what its own code can do about it. */
import { Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { Loan } from "../ipc/heap.ts";
import type { Payloads } from "./payload.ts";
import { announced, cancelled, circle, Exit, type Task, type TaskContext, WAIT } from "./task.ts";

/** What a coroutine needs of its CPU. */
export interface CoroutineHost {
  readonly api: VschedApi;
  readonly number: number;
  readonly payloads: Payloads;
  /** Tells the image the time. @returns microseconds, of a clock that all threads share */
  tellTime(): number;
  /** A coroutine began (1) or ended (-1) to wait for what the scheduler knows nothing of. */
  countOutside(change: 1 | -1): void;
  isRunning(coroutine: Coroutine): boolean;
  /** The running coroutine has given up its CPU. */
  released(): void;
}

export class Coroutine implements TaskContext {
  readonly id: number;
  readonly api: VschedApi;
  readonly run: (context: TaskContext) => unknown;
  /** Who hears of its end. Absent: it is a function of a module, and its spawner may be another thread. */
  readonly task: Task | undefined;
  readonly #host: CoroutineHost;
  #resume: (() => void) | undefined;
  #outside = false;
  #abort: AbortController | undefined;
  #loans: Loan[] | undefined;

  constructor(host: CoroutineHost, id: number, run: (context: TaskContext) => unknown, task?: Task) {
    this.#host = host;
    this.api = host.api;
    this.id = id;
    this.run = run;
    this.task = task;
  }

  /** Is it the running task? If not, its code goes on by itself, or not at all. */
  get isRunning(): boolean {
    return this.#host.isRunning(this);
  }

  /** Has it begun? */
  get begun(): boolean {
    return this.#resume !== undefined || this.#outside;
  }

  /**
   * Goes on, after it was picked, mostly in a microtask.
   *
   * @returns false: it awaits something else, and only heard that it was cancelled
   */
  goOn(): boolean {
    const resume = this.#resume;
    this.#resume = undefined;
    this.#heed();
    resume?.();
    return resume !== undefined;
  }

  /** It has neither ended nor waited: it awaits something that the scheduler knows nothing of. */
  leave(): void {
    const { api } = this.#host;
    if (!this.#outside) {
      this.#outside = true;
      this.#host.countOutside(1);
    }
    this.#host.tellTime();
    api.prepareWait(0, true);
    // Unless it was unblocked meanwhile: it stays what it is, and is picked again.
    if (api.block() !== 0) api.yieldNow();
  }

  /** Makes it the running task again, after its code went on by itself. */
  async enter(): Promise<void> {
    if (this.#resume) {
      throw new VdsoError("ERR_VDSO_TASK_BUSY", `task ${this.id}: expected one wait at a time, found a second one`);
    }
    if (this.#host.api.stateOfTask(this.id) < 0) {
      throw new VdsoError(
        "ERR_VDSO_STALE_HANDLE",
        `task ${this.id}: expected one that goes on, found that it has ended`,
      );
    }
    return new Promise((resolve) => this.reenter(resolve));
  }

  /** The same, but what it waits for by its context, and has not awaited, is given up. `resume` is called when it is picked. */
  reenter(resume: () => void): void {
    if (this.#outside) {
      this.#outside = false;
      this.#host.countOutside(-1);
    }
    this.#resume = resume;
    this.#host.api.unblock(this.id, this.#host.number);
  }

  /** Gives way; `resume` is called when it is picked again. */
  giveWay(resume: () => void): void {
    this.#resume = resume;
    this.#host.tellTime();
    this.#host.api.yieldNow();
    this.#host.released();
  }

  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    return this.#abort.signal;
  }

  loan(bytes: number): Loan {
    const loan = this.#host.payloads.loan(bytes);
    this.#loans ??= [];
    this.#loans.push(loan);
    return loan;
  }

  /** It has ended: what it borrowed and neither released nor returned goes back. */
  releaseLoans(): void {
    if (this.#loans) for (const loan of this.#loans) loan[Symbol.dispose]();
  }

  exit(value?: unknown): never {
    throw new Exit(value);
  }

  shouldYield(): boolean {
    this.#host.tellTime();
    return this.isRunning && this.#host.api.tick();
  }

  yieldNow(): Promise<void> {
    if (!this.isRunning) return this.enter();
    return new Promise((resolve) => this.giveWay(resolve));
  }

  async sleep(ms: number): Promise<void> {
    const until = this.#host.tellTime() + Math.max(ms, 0) * 1000;
    await this.wait((api) => api.prepareWait(until));
  }

  join<T>(task: Task<T>): Promise<T>;
  join(id: number): Promise<undefined>;
  async join(task: Task | number): Promise<unknown> {
    const id = typeof task === "number" ? task : task.id;
    // What has ended here need not be asked for.
    const over = typeof task !== "number" && task.ended;
    if (!over && (await this.wait((api) => api.join(id))) === Failure.Circle) {
      throw circle(this.#host.api, this.id, id);
    }
    return typeof task === "number" ? undefined : task.result;
  }

  async wait(call: (api: VschedApi) => number, again = false): Promise<number> {
    const { api } = this.#host;
    while (true) {
      if (!this.isRunning) await this.enter();
      const outcome = announced(api, call);
      if (outcome !== WAIT) return outcome;
      const parked = this.#parked();
      this.#host.tellTime();
      if (api.block() === 0) {
        this.#host.released();
        await parked;
      } else {
        this.#resume = undefined;
        this.#heed();
      }
      const why = api.whyOfTask(this.id);
      if (why === Why.Cancelled) throw cancelled(this.id);
      if (!again || why === Why.TimedOut) return outcome;
    }
  }

  #parked(): Promise<void> {
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  #heed(): void {
    if (this.#abort && this.#host.api.isCancelled(this.id)) this.#abort.abort(cancelled(this.id));
  }
}
