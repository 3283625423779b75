/** A function that has begun, or is about to, as a task of this thread; and what its own code can do about it. */
import { Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { Loan } from "../ipc/heap.ts";
import type { Payloads } from "./payload.ts";
import { cancelled, type Task, type TaskContext } from "./task.ts";

/** Announced: the running task has to wait. */
const WAIT = 2;

/** What a coroutine needs of its CPU. */
export interface CoroutineHost {
  readonly api: VschedApi;
  readonly number: number;
  readonly payloads: Payloads;
  /** Tells the image the time. @returns microseconds, of a clock that all threads share */
  tellTime(): number;
  /** A coroutine began (1) or ended (-1) to wait for what the scheduler knows nothing of. */
  countOutside(change: 1 | -1): void;
}

/** Hands over a value or error. @returns false: there is no room for it now. `now`: then make it an error */
export type Deliver = (ok: boolean, value: unknown, now: boolean) => boolean;

export class Coroutine implements TaskContext {
  readonly id: number;
  readonly run: (context: TaskContext) => unknown;
  readonly deliver: Deliver;
  readonly #host: CoroutineHost;
  #resume: (() => void) | undefined;
  #outside = false;
  #abort: AbortController | undefined;
  #loans: Loan[] | undefined;

  constructor(host: CoroutineHost, id: number, run: (context: TaskContext) => unknown, deliver: Deliver) {
    this.#host = host;
    this.id = id;
    this.run = run;
    this.deliver = deliver;
  }

  /** Is it the running task? If not, its code goes on by itself, or not at all. */
  get isRunning(): boolean {
    return this.#host.api.current() === this.id;
  }

  /** Has it begun? */
  get begun(): boolean {
    return this.#resume !== undefined || this.#outside;
  }

  /** Goes on, after it was picked. A cancelled one that waits for something else hears of that; its own promise will tell when it goes on. */
  goOn(): void {
    const resume = this.#resume;
    this.#resume = undefined;
    if (resume) resume();
    else this.#heed();
  }

  /** It has neither ended nor waited: it awaits something that the scheduler knows nothing of. */
  leave(): void {
    const { api } = this.#host;
    if (!this.#outside) {
      this.#outside = true;
      this.#host.countOutside(1);
    }
    api.prepareWait(0, true);
    // Unless it was unblocked meanwhile: it stays what it is, and is picked again.
    if (api.block() !== 0) api.yieldNow();
  }

  /** Makes it the running task again, after its code went on by itself. */
  enter(): Promise<void> {
    if (this.#resume) {
      throw new VdsoError("ERR_VDSO_TASK_BUSY", `task ${this.id}: expected one wait at a time, found a second one`);
    }
    if (this.#outside) {
      this.#outside = false;
      this.#host.countOutside(-1);
    }
    const entered = this.#parked();
    this.#host.api.unblock(this.id, this.#host.number);
    return entered;
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

  shouldYield(): boolean {
    this.#host.tellTime();
    return this.isRunning && this.#host.api.tick();
  }

  async yieldNow(): Promise<void> {
    if (!this.isRunning) return this.enter();
    const parked = this.#parked();
    this.#host.api.yieldNow();
    await parked;
    this.#heed();
  }

  async sleep(ms: number): Promise<void> {
    const until = this.#host.tellTime() + Math.max(ms, 0) * 1000;
    await this.wait((api) => api.prepareWait(until));
  }

  async join<T>(task: Task<T>): Promise<T> {
    if ((await this.wait((api) => api.join(task.id))) === Failure.Circle) {
      throw new VdsoError(
        "ERR_VDSO_CIRCLE",
        `task ${this.id}: expected a task that does not wait for this one, found ${task.id}`,
      );
    }
    return task.result;
  }

  async wait(call: (api: VschedApi) => number, again = false): Promise<number> {
    const { api } = this.#host;
    while (true) {
      if (!this.isRunning) await this.enter();
      const outcome = call(api);
      if (outcome !== WAIT) return outcome;
      const parked = this.#parked();
      if (api.block() === 0) await parked;
      else this.#resume = undefined;
      this.#heed();
      if (api.whyOfTask(this.id) === Why.Cancelled) throw cancelled(this.id);
      if (!again) return outcome;
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
