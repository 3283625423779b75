/** Thread tasks: synchronous functions that run to their end, and whose waits hold up their thread. */
import { Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { cancelled, circle, type Task, WAIT } from "./task.ts";

/** What a thread task can do; handed to its function as the last argument. */
export class ThreadContext {
  readonly id: number;
  readonly #api: VschedApi;
  readonly #tellTime: () => number;

  /** @param tellTime - tells the image the time, and returns it in microseconds */
  constructor(api: VschedApi, id: number, tellTime: () => number) {
    this.#api = api;
    this.id = id;
    this.#tellTime = tellTime;
  }

  /** Has somebody asked it to end? Its waits throw then; between them it looks itself. */
  get cancelled(): boolean {
    return this.#api.isCancelled(this.id);
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
   * @throws VdsoError `ERR_VDSO_CIRCLE` - it waits for this one.
   */
  join(task: Task | number): void {
    const id = typeof task === "number" ? task : task.id;
    if (this.wait((api) => api.join(id)) === Failure.Circle) throw circle(this.#api, this.id, id);
  }

  /**
   * Waits as a function of the image says; see the context of coroutines.
   *
   * @returns what it returned last; 2: its deadline has passed
   */
  wait(call: (api: VschedApi) => number, again = false): number {
    const api = this.#api;
    while (true) {
      const outcome = call(api);
      if (outcome !== WAIT) return outcome;
      while (api.waitHere() === 0) {
        this.#tellTime();
        api.expire();
      }
      const why = api.whyOfTask(this.id);
      if (why === Why.Cancelled) throw cancelled(this.id);
      if (!again || why === Why.TimedOut) return outcome;
    }
  }
}
