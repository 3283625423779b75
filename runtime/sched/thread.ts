/** Thread tasks: synchronous functions that run to their end, and whose waits hold up their thread. */
import { Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import { announced, cancelled, circle, Exit, type Task, WAIT } from "./task.ts";

/** Joins that are followed to see whether somebody waits for this CPU. */
const CHAIN = 100;

/** What a thread task can do; handed to its function as the last argument. */
export class ThreadContext {
  readonly id: number;
  /** The image's API in this process: what mutexes and their like are made with. */
  readonly api: VschedApi;
  readonly #tellTime: () => number;
  readonly #isHere: (id: number) => boolean;
  #returned = false;

  /**
   * @param tellTime - tells the image the time, and returns it in microseconds
   * @param isHere - has this task begun in this thread, and not ended?
   */
  constructor(api: VschedApi, id: number, tellTime: () => number, isHere: (id: number) => boolean) {
    this.api = api;
    this.id = id;
    this.#tellTime = tellTime;
    this.#isHere = isHere;
  }

  /** Its function has returned, be it a promise. */
  end(): void {
    this.#returned = true;
  }

  /** Has somebody asked it to end? Its waits throw then; between them it looks itself. */
  get cancelled(): boolean {
    return this.api.isCancelled(this.id);
  }

  /** Ends the task with this value, from however deep in its calls: by an exception, which `finally` sees. */
  exit(value?: unknown): never {
    throw new Exit(value);
  }

  /** @throws VdsoError `ERR_VDSO_CANCELLED` - as all waits. */
  sleep(ms: number): void {
    const until = this.#tellTime() + Math.max(ms, 0) * 1000;
    this.wait((api) => api.prepareWait(until));
  }

  /**
   * Waits for the end of a task, however it ends.
   *
   * @param task - or its id, which other threads may send
   * @throws VdsoError `ERR_VDSO_CIRCLE` - it waits for this one, or it has begun on this CPU, which stands still until this one ends.
   */
  join(task: Task | number): void {
    const id = typeof task === "number" ? task : task.id;
    for (let at = id, n = 0; at !== 0 && n < CHAIN; at = this.api.joins(at), n++) {
      if (at !== this.id && this.#isHere(at)) {
        throw new VdsoError(
          "ERR_VDSO_CIRCLE",
          `task ${this.id}: expected to wait for what goes on without this CPU, found task ${at}, which has begun here`,
        );
      }
    }
    if (this.wait((api) => api.join(id)) === Failure.Circle) throw circle(this.api, this.id, id);
  }

  /**
   * Waits as a function of the image says; see the context of coroutines.
   *
   * @returns what it returned last; 2: its deadline has passed
   * @throws VdsoError `ERR_VDSO_CANCELLED` - somebody has asked it to end.
   * @throws VdsoError `ERR_VDSO_TASK_BUSY` - the function has returned, or awaits: thread tasks are synchronous.
   */
  wait(call: (api: VschedApi) => number, again = false): number {
    const { api } = this;
    if (this.#returned || api.current() !== this.id) {
      throw new VdsoError(
        "ERR_VDSO_TASK_BUSY",
        `task ${this.id}: expected a wait by its function before it returns, or awaits, found one after that`,
      );
    }
    while (true) {
      const outcome = announced(api, call);
      if (outcome !== WAIT) return outcome;
      this.#tellTime();
      while (api.waitHere() === 0) {
        this.#tellTime();
        api.expire(true);
      }
      const why = api.whyOfTask(this.id);
      if (why === Why.Cancelled) throw cancelled(this.id);
      if (!again || why === Why.TimedOut) return outcome;
    }
  }
}
