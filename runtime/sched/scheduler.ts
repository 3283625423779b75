/**
 * Runs tasks on all threads: coroutines of this one, and functions of modules wherever a CPU is free.
 *
 * ```ts
 * import { Kernel, Scheduler } from "wasm-vdso";
 * import vsched from "./generated/vsched/vsched.js";
 *
 * await using kernel = await Kernel.boot({ vdsos: [vsched] });
 * await using scheduler = await Scheduler.start(kernel, { cpus: 2 });
 *
 * const work = scheduler.module<typeof import("./work.ts")>(new URL("./work.ts", import.meta.url));
 * console.log(await Promise.all([work.fibonacci(30), work.fibonacci(31)]));
 *
 * const task = scheduler.spawn(async (task) => {
 *   await task.sleep(10);
 *   return "rested";
 * });
 * console.log(await task.result);
 * ```
 */
import vsched, { CPUS, type CpuStats, Policy, State, type VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import type { Loan } from "../ipc/heap.ts";
import { membersOnDemand } from "../ipc/members.ts";
import { attach as attachProcess } from "../process/attach.ts";
import { Cpu } from "./cpu.ts";
import { Executors, heapOf, type SchedulerKernel } from "./executors.ts";
import type { Task, TaskContext, TaskOptions } from "./task.ts";
import type { ThreadContext } from "./thread.ts";

export interface SchedulerOptions extends ThreadOptions {
  /** Executor processes; with 0 only threads that are lent run functions of modules. Default: one for each core but this thread's, at least one. */
  readonly cpus?: number;
  /** Default: `Fifo`. */
  readonly policy?: Policy;
  /** Ticks of a slice under round-robin. Default: 5. */
  readonly sliceTicks?: number;
  /** Under CFS a task is preempted when it is so far ahead of the next. Default: 1000. */
  readonly granularityUs?: number;
}

export interface ThreadOptions {
  /** How long tasks may run before a thread's event loop gets a turn. Default: 10. */
  readonly sliceMs?: number;
  /**
   * How long an executor, and this thread while others work for it, looks for news before it sleeps, at most: how long it does so follows what came of
   * it. Waking takes longer, but on a machine with fewer free cores than threads looking holds up who is waited for. So long, at most, this thread
   * also sleeps without its event loop when it submits tasks after a rest of ten times that, and such tasks ended that soon lately. Default: 100.
   */
  readonly spinUs?: number;
}

export interface LendOptions {
  /** How long tasks of others may run before the event loop gets a turn. A task that does not give way holds it up for longer. Default: 5. */
  readonly sliceMs?: number;
}

/** That a thread is lent; see {@link Scheduler.lend}. */
export class Lease implements AsyncDisposable {
  readonly #leave: () => Promise<void>;
  #left: Promise<void> | undefined;

  constructor(leave: () => Promise<void>) {
    this.#leave = leave;
  }

  /** The thread takes no more tasks of others; those that have not begun move on. @returns a promise for the end of those that have begun in it */
  leave(): Promise<void> {
    this.#left ??= this.#leave();
    return this.#left;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.leave();
  }
}

/** A module's functions, each as a task: without the context that may be their last parameter, and always with a promise. */
export type Portable<Module> = {
  readonly [K in keyof Module as Module[K] extends (...args: never[]) => unknown ? K : never]: Module[K] extends (
    ...args: infer Args
  ) => infer Result
    ? (...args: Lendable<WithoutContext<Args>>) => Promise<Awaited<Result>>
    : never;
};
/** Bytes may be lent. */
type Lendable<Args extends unknown[]> = { [N in keyof Args]: Args[N] extends Uint8Array ? Args[N] | Loan : Args[N] };
type WithoutContext<Args extends unknown[]> = Args extends [...infer Rest, TaskContext | ThreadContext] ? Rest : Args;

export class Scheduler implements AsyncDisposable {
  readonly #cpu: Cpu;
  /** Of the one that the kernel's thread has. */
  #executors: Executors | undefined;
  readonly #running: Promise<void>;
  #lease: Lease | undefined;
  #closing = false;

  private constructor(cpu: Cpu) {
    this.#cpu = cpu;
    this.#running = cpu.run();
  }

  /**
   * Starts executors, and makes this thread a CPU for its own coroutines. The kernel has to be booted with the image `vsched`, and
   * with `vheap` for values that are larger than a task. An
   * executor that dies is replaced; the tasks that it ran fail with `ERR_VDSO_TASK_KILLED`, the others are taken over.
   *
   * @throws VdsoError `ERR_VDSO_SCHED_STARTED` - this kernel has a scheduler already.
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - as many CPUs do not fit.
   * @throws VdsoError - whatever `kernel.attach` and `kernel.spawn` refuse.
   */
  static async start(kernel: SchedulerKernel, options: SchedulerOptions = {}): Promise<Scheduler> {
    const {
      cpus = Math.max(navigator.hardwareConcurrency - 1, 1),
      policy = Policy.Fifo,
      sliceTicks = 5,
      granularityUs = 1000,
      sliceMs = 10,
      spinUs = 100,
    } = options;
    if (!Number.isInteger(cpus) || cpus < 0 || cpus >= CPUS) {
      throw new VdsoError("ERR_VDSO_ARGUMENT", `start: expected 0 to ${CPUS - 1} CPUs, found ${cpus}`);
    }
    const api = kernel.attach(vsched);
    if (!api.configure(policy, sliceTicks, granularityUs)) {
      throw new VdsoError("ERR_VDSO_SCHED_STARTED", "start: expected a kernel without a scheduler, found one");
    }
    const attach = (library: VdsoLibrary): unknown => kernel.attach(library);
    const heap = heapOf(kernel);
    const cpu = new Cpu(api, { dedicated: false, sliceMs, spinUs, heap, attach });
    const scheduler = new Scheduler(cpu);
    const data = { sliceMs, spinUs, withHeap: heap !== undefined };
    const executors = new Executors(kernel, api, data, {}, () => {
      // Not awaited by anybody: a kernel that shuts down refuses, and then nothing is left to run.
      if (!scheduler.#closing) executors.start().catch(() => undefined);
    });
    scheduler.#executors = executors;
    try {
      await Promise.all(Array.from({ length: cpus }, () => executors.start()));
    } catch (error) {
      await scheduler.#end();
      throw error;
    }
    return scheduler;
  }

  /**
   * Makes this process a CPU for its own tasks, beside those of the scheduler that its kernel's thread has started: they join each other, and wait for
   * the same mutexes. `close` ends this thread's part only.
   *
   * @throws VdsoError `ERR_VDSO_NO_KERNEL`, `ERR_VDSO_NOT_MAPPED` - this thread is no process of a kernel, or of one without the image `vsched`.
   * @throws VdsoError `ERR_VDSO_NO_SCHEDULER` - that kernel has no scheduler.
   * @throws VdsoError `ERR_VDSO_SCHED_STARTED` - this process has one already, as the threads that run tasks have.
   * @throws VdsoError `ERR_VDSO_CPU_LIMIT` - there are as many CPUs as the image has room for.
   */
  static attach({ sliceMs = 10, spinUs = 100 }: ThreadOptions = {}): Scheduler {
    const attach = (library: VdsoLibrary): unknown => attachProcess(library);
    const api = attachProcess(vsched);
    if (!Array.from({ length: CPUS }, (_, number) => api.cpuStats(number)).some(({ live }) => live)) {
      throw new VdsoError("ERR_VDSO_NO_SCHEDULER", "attach: expected a kernel with a scheduler that runs, found none");
    }
    const heap = heapOf({ attach: attachProcess });
    return new Scheduler(new Cpu(api, { dedicated: false, sliceMs, spinUs, heap, attach }));
  }

  /** Number of this thread's CPU. */
  get cpu(): number {
    return this.#cpu.number;
  }

  /**
   * Lets this thread run functions of modules and native tasks, whoever submitted them, for a slice of each turn of its event loop; rather than others
   * only while those are busy. Threads, which may hold up their CPU, never come here.
   *
   * A thread is kept alive by what it waits for and by what has begun in it, not by being lent.
   *
   * @throws VdsoError `ERR_VDSO_LENT` - it is lent already. `ERR_VDSO_ARGUMENT` - the slice is no positive number.
   */
  lend({ sliceMs = 5 }: LendOptions = {}): Lease {
    this.#refuseWhenClosing();
    if (!(Number.isFinite(sliceMs) && sliceMs > 0)) {
      throw new VdsoError("ERR_VDSO_ARGUMENT", `lend: sliceMs: expected a positive number, found ${String(sliceMs)}`);
    }
    if (this.#lease)
      throw new VdsoError("ERR_VDSO_LENT", "lend: expected a thread that is not lent, found one that is");
    const lease = new Lease(() => {
      this.#lease = undefined;
      return this.#cpu.takeBack();
    });
    this.#lease = lease;
    this.#cpu.lend(sliceMs);
    return lease;
  }

  /** The image's API, for statistics, wait queues and the trace. */
  get api(): VschedApi {
    return this.#cpu.api;
  }

  /** Spawns a coroutine (or a plain function) of this thread. For errors see {@link Cpu.spawn}. */
  spawn<T>(run: (task: TaskContext) => T | PromiseLike<T> | Generator<unknown, T>, options?: TaskOptions): Task<T> {
    this.#refuseWhenClosing();
    return this.#cpu.spawn(run, options);
  }

  /**
   * Runs an exported function of a module on some CPU. Arguments, and later the result, are copied; with the image `vheap` in the kernel they may
   * be of any size, otherwise they have to fit into the task: see the image's `DATA_BYTES`. For errors see {@link Cpu.submit}; the result's promise rejects with `ERR_VDSO_NO_EXPORT` or the module's
   * own error when it cannot be loaded.
   */
  submit<T = unknown>(url: string | URL, name: string, args: readonly unknown[] = [], options?: TaskOptions): Task<T> {
    this.#refuseWhenClosing();
    return this.#cpu.submit(String(url), name, args, options);
  }

  /**
   * Runs a poll function that an image exports, until it says that it has ended: -1 there is more, -2 wait until somebody calls `api.unblock(task)`,
   * 0 or more its value. Its state lies in the image's vVAR, and any CPU may poll it next. The kernel has to be booted with the image.
   *
   * @param url - of the image's API library
   * @param state - the function's first argument, a `u32`; its second is the task's id
   */
  native(url: string | URL, name: string, state: number, options?: TaskOptions): Task<number> {
    this.#refuseWhenClosing();
    return this.#cpu.native(String(url), name, state, options);
  }

  /** A module's exported functions, each call a task: {@link submit} with types. */
  module<Module>(url: string | URL, options?: TaskOptions): Portable<Module> {
    return membersOnDemand(
      (name) =>
        (...args: unknown[]) =>
          this.submit(url, name, args, options).result,
    ) as Portable<Module>;
  }

  /** A buffer of the shared heap, to lend to tasks. @throws VdsoError `ERR_VDSO_TOO_LARGE` - the kernel has no image `vheap`. For other errors see `Heap.loan`. */
  loan(bytes: number): Loan {
    return this.#cpu.payloads.loan(bytes);
  }

  /** Id of the task of this thread that runs now; 0: none does. */
  get current(): number {
    return this.api.current();
  }

  /** Resolves when fewer than so many tasks that this thread has spawned or submitted have not ended: for those who make tasks faster than they are done. */
  drain(below = 1000): Promise<void> {
    return this.#cpu.drained(below);
  }

  /**
   * Ends the executor in which a task runs that does not heed its cancellation, and with it what else has begun there. Another executor takes its
   * place.
   *
   * @returns false: the task runs in no executor of this scheduler now; it has ended, waits for a CPU, or is in a thread of the application. One that was
   * attached has no executors
   */
  async kill(task: Task): Promise<boolean> {
    const { cpu, state } = this.api.taskStats(task.id);
    const executor = [...(this.#executors?.running.values() ?? [])].find((each) => each.cpu === cpu);
    const runs = state === State.Running || state === State.Blocking || state === State.Blocked;
    if (!executor || !runs) return false;
    await this.#executors!.kill(executor.pid);
    return true;
  }

  /** Figures of every live CPU; the first is this thread's. */
  stats(): CpuStats[] {
    return Array.from({ length: CPUS }, (_, number) => this.api.cpuStats(number)).filter(({ live }) => live);
  }

  /** Waits for the tasks of this thread to end, then ends the executors. New tasks are refused from the first call on. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#cpu.drained(1);
    await this.#lease?.leave();
    await this.#end();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #end(): Promise<void> {
    this.#closing = true;
    await this.#executors?.killAll();
    this.#cpu.stop();
    await this.#running;
  }

  #refuseWhenClosing(): void {
    if (!this.#closing) return;
    throw new VdsoError("ERR_VDSO_SHUTDOWN", "expected a scheduler that runs, found one that is closing or closed");
  }
}
