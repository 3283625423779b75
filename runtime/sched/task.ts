/** A task, from the two sides of it: the handle of who spawned it, and the context of its own code. */
import type { VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { Loan } from "../ipc/heap.ts";

/** What a task can be given. */
export interface TaskOptions {
  /** Nice value, -20 (most) to 19; under strict priority the level, 0 (first) to 63. Default: 0. */
  readonly priority?: number;
  /** Cancels the task. */
  readonly signal?: AbortSignal;
  /**
   * Of a function of a module: it is synchronous, runs to its end and may hold up its CPU. It gets a `ThreadContext`, whose waits are synchronous.
   * Default: false.
   */
  readonly thread?: boolean;
  /** Of a function of a module, or a native task: numbers of the CPUs that may run it. Default: all that take tasks of others. */
  readonly affinity?: readonly number[];
}

/** A spawned task. */
export class Task<T = unknown> {
  readonly id: number;
  readonly #api: VschedApi;
  /** Has it returned, or thrown? undefined: it has not ended. */
  #ok: boolean | undefined;
  #value: unknown;
  #promise: Promise<unknown> | undefined;
  #resolve: ((value: unknown) => void) | undefined;
  #reject: ((error: unknown) => void) | undefined;

  constructor(api: VschedApi, id: number) {
    this.#api = api;
    this.id = id;
  }

  /** Its value; rejects with what it threw, or with `ERR_VDSO_CANCELLED`, `ERR_VDSO_TASK_KILLED`. The same promise each time. */
  get result(): Promise<T> {
    this.#promise ??= new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      if (this.#ok !== undefined) this.settle(this.#ok, this.#value);
    });
    return this.#promise as Promise<T>;
  }

  get ended(): boolean {
    return this.#ok !== undefined;
  }

  /**
   * Asks it to end. A task that has not begun will not begin; one that waits gets `ERR_VDSO_CANCELLED` from its wait; one that runs sees it
   * in its `signal` when it waits or yields next.
   */
  cancel(): void {
    if (!this.ended) this.#api.cancel(this.id);
  }

  /** Called once, by its CPU. */
  settle(ok: boolean, value: unknown): void {
    this.#ok = ok;
    this.#value = value;
    if (ok) this.#resolve?.(value);
    else this.#reject?.(value);
  }
}

/** What a task's own code can do; handed to it as its last argument. */
export interface TaskContext {
  readonly id: number;
  /** The image's API in this process: what mutexes and their like are made with. */
  readonly api: VschedApi;
  /** Fires when the task is cancelled, at its next wait or yield. */
  readonly signal: AbortSignal;
  /**
   * A buffer of the shared heap. As part of the task's result it is handed over without a copy: whoever gets the result has to release it.
   * Otherwise it goes back when the task has ended. For errors see `Heap.loan`.
   */
  loan(bytes: number): Loan;
  /** Ends the task with this value, from however deep in its calls: by an exception, which `finally` sees. */
  exit(value?: unknown): never;
  /** Should it yield now, by the scheduler's policy? For loops: `if (task.shouldYield()) await task.yieldNow()`. */
  shouldYield(): boolean;
  /** Lets others run. After the task's end: `ERR_VDSO_STALE_HANDLE`, as for all waits. */
  yieldNow(): Promise<void>;
  sleep(ms: number): Promise<void>;
  /** Waits for a task's end. Rejects as its `result` does, and with `ERR_VDSO_CIRCLE` when it waits for this one. */
  join<T>(task: Task<T>): Promise<T>;
  /** The same by its id, which other threads may send: resolves however it ended, without its value. */
  join(id: number): Promise<undefined>;
  /**
   * Waits as a function of the image says: one that returns 2 when the running task has announced a wait.
   *
   * @param again - call it again after the wait, until it returns something else
   * @returns what it returned last
   */
  wait(call: (api: VschedApi) => number, again?: boolean): Promise<number>;
}

/** Thrown by a task's `exit`. */
export class Exit {
  readonly value: unknown;

  constructor(value: unknown) {
    this.value = value;
  }
}

/** What a task's kind in the image's table says of it. */
export const Kind = { Coroutine: 1, Portable: 2, Thread: 3, Native: 4 } as const;
/** Kinds of tasks that have a function's name. */
export const NAMED_KINDS: ReadonlySet<number> = new Set([Kind.Portable, Kind.Thread, Kind.Native]);

/** What functions of the image return when the running task has announced a wait. */
export const WAIT = 2;

/** Calls what may announce a wait of the running task. One that throws has announced none. */
export function announced(api: VschedApi, call: (api: VschedApi) => number): number {
  try {
    return call(api);
  } catch (error) {
    api.cancelWait();
    throw error;
  }
}

/** The error of a join that closes a circle: who waits for whom, from this task back to it. */
export function circle(api: VschedApi, id: number, target: number): VdsoError {
  const ids = [id, target];
  for (let at = target; at !== id && at !== 0 && ids.length < 100; ids.push(at)) at = api.joins(at);
  return new VdsoError(
    "ERR_VDSO_CIRCLE",
    `expected a task that does not wait for this one, found a circle: ${ids.join(" waits for ")}`,
  );
}

export function cancelled(id: number): VdsoError {
  return new VdsoError("ERR_VDSO_CANCELLED", `task ${id} was cancelled`);
}
