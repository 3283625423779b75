/**
 * Native tasks: poll functions that images export. A task's state lies in the vVAR of its image, so that any process that has attached the image can
 * go on with it: it moves between threads at each poll.
 *
 * `poll(state: u32, task: u32): i32` does a piece of the work and returns
 * - {@link AGAIN} (-1): there is more; others run first
 * - {@link WAIT} (-2): until somebody calls `unblock(task)`; it is polled once more after that has been announced, so that no wake-up is lost
 * - 0 or more: it has ended with this value
 */
import { TASKS, type VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import type { Payloads } from "./payload.ts";
import { cancelled, Kind } from "./task.ts";
import { INDEX_MASK } from "./task-table.ts";

export const AGAIN = -1;
export const WAIT = -2;

/** Attaches this thread to the image of an API library. */
export type AttachLibrary = (library: VdsoLibrary) => unknown;
type Poll = (state: number, task: number) => number;

/** Polls between two looks at the clock. */
const POLLS_PER_LOOK = 16;
/** Polls before the loop looks for other things. */
const POLLS_AT_ONCE = 64;

/** The native tasks that one process polls. */
export class NativeTasks {
  readonly #api: VschedApi;
  readonly #attach: AttachLibrary;
  readonly #payloads: Payloads;
  /** By entry. */
  readonly #polls: (Poll | undefined)[] = [];
  // By slot: what was found out about the task with this id.
  readonly #ids = new Uint32Array(TASKS);
  readonly #known: (Poll | undefined)[] = new Array<Poll | undefined>(TASKS).fill(undefined);
  readonly #states = new Uint32Array(TASKS);

  constructor(api: VschedApi, payloads: Payloads, attach: AttachLibrary) {
    this.#api = api;
    this.#payloads = payloads;
    this.#attach = attach;
  }

  /**
   * Loads an API library and finds a poll function in it.
   *
   * @throws VdsoError `ERR_VDSO_NO_EXPORT` - the image has no such function.
   * @throws VdsoError `ERR_VDSO_LIBRARY` - the module is no API library.
   * @throws whatever the import or the attachment is refused with
   */
  async load(entry: number, url: string, name: string): Promise<void> {
    const { default: library } = (await import(url)) as { default: VdsoLibrary };
    const found = (this.#attach(library) as Record<string, unknown>)[name];
    if (typeof found !== "function") {
      throw new VdsoError(
        "ERR_VDSO_NO_EXPORT",
        `${url}: expected a function ${name} of the image, found ${typeof found}`,
      );
    }
    this.#polls[entry] = found as Poll;
  }

  /** Is the running task a native one whose function is loaded here? 0: none runs. */
  knows(id: number): boolean {
    if (id === 0) return false;
    const place = id & INDEX_MASK;
    if (this.#ids[place] === id) return true;
    if (this.#api.kindOf(id) !== Kind.Native) return false;
    const poll = this.#polls[this.#api.entryOf(id)];
    if (poll === undefined) return false;
    this.#ids[place] = id;
    this.#known[place] = poll;
    this.#states[place] = Number(this.#payloads.takeArguments(id)[0]);
    return true;
  }

  /**
   * Polls the running task, then whichever is next, as long as those are native ones that are loaded.
   *
   * @param now - microseconds
   * @param fail - ends the running task with an error
   * @returns the id of the running task, which is none of them; 0: none runs
   */
  run(first: number, now: () => number, fail: (id: number, error: VdsoError) => void): number {
    const api = this.#api;
    let id = first;
    let us = now();
    for (let polls = 1; this.knows(id); polls++) {
      const place = id & INDEX_MASK;
      if (polls % POLLS_PER_LOOK === 0) us = now();
      const last = polls === POLLS_AT_ONCE;
      let outcome = this.#known[place]!(this.#states[place]!, id);
      if (outcome === WAIT) {
        outcome = this.#wait(id, place);
        if (outcome === WAIT) return 0;
      }
      if (outcome >= 0) {
        if (!last) id = api.exitNext(outcome, us);
        else api.exit(outcome);
      } else if (outcome !== AGAIN || api.isCancelled(id)) {
        fail(id, outcome === AGAIN ? cancelled(id) : badOutcome(id, outcome));
        return 0;
      } else if (!last) id = api.yieldNext(us);
      else api.yieldNow();
      if (last) return 0;
    }
    return id;
  }

  /** @returns WAIT: the task has let go of its CPU */
  #wait(id: number, place: number): number {
    const api = this.#api;
    api.prepareWait();
    const outcome = this.#known[place]!(this.#states[place]!, id);
    if (outcome !== WAIT) api.cancelWait();
    else if (api.block() !== 0) return AGAIN;
    return outcome;
  }
}

function badOutcome(id: number, outcome: number): VdsoError {
  return new VdsoError(
    "ERR_VDSO_POLL",
    `task ${id}: expected ${WAIT}, ${AGAIN}, 0 or more from its poll, found ${outcome}`,
  );
}
