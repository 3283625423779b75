/**
 * A pool of threads that take their work from shared memory.
 *
 * ```ts
 * import { Pool } from "wasm-vdso/sched";
 *
 * await using pool = await Pool.start({ maxThreads: 4 });
 * const work = pool.module<typeof import("./work.ts")>(new URL("./work.ts", import.meta.url));
 * console.log(await work.fibonacci(30));
 * console.log(await pool.run(work.fibonacci, [30], { signal: AbortSignal.timeout(1000), priority: -5 }));
 * ```
 *
 * Threads take the next task themselves, also while this thread is busy. What shared memory has no room for waits here, in order.
 */
import vheap from "../../generated/vheap/vheap.js";
import vsched, { Policy, type VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import { type Heap, Loan } from "../ipc/heap.ts";
import { membersOnDemand } from "../ipc/members.ts";
import { Kernel } from "../kernel/kernel.ts";
import type { LogLine } from "../kernel/log.ts";
import type { ExitStatus } from "../platform/protocol.ts";
import { Bag, type Placed } from "./bag.ts";
import { ANYWHERE, Cpu, type Outcome } from "./cpu.ts";
import { type Executor, type ExecutorOptions, Executors, heapOf, type SchedulerKernel } from "./executors.ts";
import { type Durations, Histogram } from "./histogram.ts";
import type { Packed } from "./payload.ts";
import type { Portable } from "./scheduler.ts";

export interface PoolOptions extends ExecutorOptions {
  /** Booted with the images `vsched` and `vheap`. Default: one of the pool's own. */
  readonly kernel?: SchedulerKernel;
  /** Threads that are there from the start and stay. Default: `maxThreads`. */
  readonly minThreads?: number;
  /** Default: one for each core but this thread's, at least one. */
  readonly maxThreads?: number;
  /** Tasks that may have begun in a thread at once: others begin when one has ended, not when it awaits something. Default: no limit. */
  readonly concurrentTasksPerWorker?: number;
  /** How long a thread beyond `minThreads` is idle before it ends. Default: 10 000. */
  readonly idleTimeoutMs?: number;
  /** Tasks that may wait for a thread. Default: no limit. */
  readonly maxQueue?: number;
  /** How long a task that was aborted may go on before its thread is ended. `Infinity`: it may. Default: 1000. */
  readonly graceMs?: number;
  /** How often a task whose thread died is begun again. Default: 0. */
  readonly retries?: number;
  /** Default: `Fifo`; priorities mean something under `Cfs` and `Priority`. */
  readonly policy?: Policy;
  /**
   * How long an idle thread looks for work before it sleeps, at most; and how long this one, after a rest of ten times that, sleeps without its event
   * loop until a task ends that was just submitted. Both only as long as that paid lately. Default: 100.
   */
  readonly spinUs?: number;
  /** Takes the log lines of the pool's own kernel. Default: as for `Kernel.boot`. */
  readonly log?: (line: LogLine) => void;
}

export interface RunOptions {
  /** With a module's address: the export to call. Default: `default`. */
  readonly name?: string;
  /** Rejects with its reason. A task that has not begun never does; one that runs hears of it by its context's `signal`, and has `graceMs`. */
  readonly signal?: AbortSignal;
  /** Nice value, -20 (most) to 19; under `Policy.Priority` the level, 0 (first) to 63. */
  readonly priority?: number;
  /** From the call on; then as if aborted, with `ERR_VDSO_TIMEOUT`. */
  readonly timeoutMs?: number;
  /** Loans that the pool releases when the task has ended; buffers that are detached here once they are copied. */
  readonly transfer?: readonly (Loan | ArrayBuffer)[];
  /** As in {@link PoolOptions.retries}. */
  readonly retries?: number;
}

export interface PoolStats {
  readonly threads: readonly { name: string; pid: number; cpu: number; busy: boolean; tasks: number }[];
  /** Tasks that wait for a thread, about. */
  readonly queued: number;
  readonly running: number;
  readonly done: number;
  readonly failed: number;
  /** From the call of `run` to the task's begin. */
  readonly wait: Durations;
  /** From its begin to its end. */
  readonly run: Durations;
}

/** An exported function, as {@link Pool.module} has it. */
export type PoolFunction<Args extends unknown[], Result> = (...args: Args) => Promise<Result>;

interface Reference {
  readonly url: string;
  readonly name: string;
}

const references = new WeakMap<object, Reference>();
const MAX_THREADS = 31;
/** Timers cannot wait longer. */
const MAX_MS = 2 ** 31 - 1;
const NO_LOANS: readonly Loan[] = [];

class Job implements Outcome, Placed {
  readonly entry: number;
  readonly reference: Reference;
  args: readonly unknown[] | Packed;
  readonly priority: number;
  /** Number of the CPU that alone may run it. */
  readonly cpu: number | undefined;
  readonly promise: Promise<unknown>;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  readonly beganUs: number;
  readonly #pool: Pool;
  /** Of the task, 0: not in shared memory. */
  id = 0;
  place = -1;
  retries: number;
  /** The caller has its answer. */
  settled = false;
  /** Undone when the caller has its answer, and when the task has ended. */
  unguard: (() => void) | undefined;
  grace: ReturnType<typeof setTimeout> | undefined;
  loans = NO_LOANS;

  constructor(
    pool: Pool,
    reference: Reference,
    entry: number,
    args: readonly unknown[],
    priority: number,
    retries: number,
    us: number,
    cpu: number | undefined,
  ) {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#pool = pool;
    this.reference = reference;
    this.entry = entry;
    this.args = args;
    this.priority = priority;
    this.retries = retries;
    this.beganUs = us;
    this.cpu = cpu;
    this.promise = promise;
    this.resolve = resolve;
    this.reject = reject;
  }

  settle(ok: boolean, value: unknown, id: number): void {
    this.#pool.taskEnded(this, ok, value, id);
  }
}

export class Pool implements AsyncDisposable {
  readonly heap: Heap;
  readonly #cpu: Cpu;
  readonly #own: Kernel | undefined;
  readonly #executors: Executors;
  readonly #running: Promise<void>;
  readonly #min: number;
  readonly #max: number;
  readonly #maxQueue: number;
  readonly #graceMs: number;
  readonly #retries: number;
  /** All that have not ended. */
  readonly #jobs = new Bag<Job>();
  /** Those of them that shared memory has no room for; taken from `#next` on. */
  #backlog: Job[] = [];
  #next = 0;
  #inFlight = 0;
  readonly #drains = new Set<{ readonly below: number; readonly resolve: () => void }>();
  readonly #wait = new Histogram();
  readonly #run = new Histogram();
  readonly #modules = new Map<string, object>();
  /** How the process ended whose tasks are being told of it. */
  #ending: ExitStatus | undefined;
  #onEmpty: (() => void) | undefined;
  #done = 0;
  #failed = 0;
  #state: "open" | "closing" | "closed" = "open";
  #closed: Promise<void> | undefined;
  #ended: Promise<void> | undefined;

  private constructor(kernel: SchedulerKernel, own: Kernel | undefined, options: PoolOptions, limits: Limits) {
    const { policy = Policy.Fifo, spinUs = 100, argv, env, resourceLimits } = options;
    const heap = heapOf(kernel);
    if (!heap) {
      throw new VdsoError(
        "ERR_VDSO_NOT_MAPPED",
        "pool: expected a kernel with the images vsched and vheap, found no vheap",
      );
    }
    const api = kernel.attach(vsched);
    if (!api.configure(policy)) {
      throw new VdsoError("ERR_VDSO_SCHED_STARTED", "pool: expected a kernel without a scheduler, found one");
    }
    const sliceMs = 10;
    this.heap = heap;
    this.#own = own;
    this.#min = limits.min;
    this.#max = limits.max;
    this.#maxQueue = limits.maxQueue;
    this.#graceMs = limits.graceMs;
    this.#retries = limits.retries;
    this.#cpu = new Cpu(api, {
      dedicated: false,
      sliceMs,
      spinUs,
      heap,
      attach: (library) => kernel.attach(library),
    });
    const given = { ...(argv && { argv }), ...(env && { env }), ...(resourceLimits && { resourceLimits }) };
    const { idleMs, concurrency } = limits;
    const data = { sliceMs, spinUs, withHeap: true, idleMs, concurrency };
    this.#executors = new Executors(kernel, api, data, given, (executor, status) =>
      this.#executorEnded(executor, status),
    );
    this.#running = this.#cpu.run();
  }

  /**
   * Starts `minThreads` threads.
   *
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - an option is out of range.
   * @throws VdsoError `ERR_VDSO_NOT_MAPPED`, `ERR_VDSO_SCHED_STARTED` - the kernel has not both images, or has a scheduler or pool already.
   * @throws VdsoError - whatever `Kernel.boot` and `kernel.spawn` refuse.
   */
  static async start(options: PoolOptions = {}): Promise<Pool> {
    const limits = checked(options);
    const own = options.kernel
      ? undefined
      : await Kernel.boot({ vdsos: [vsched, vheap], ...(options.log && { log: options.log }) });
    let pool: Pool | undefined;
    try {
      pool = new Pool(options.kernel ?? own!, own, options, limits);
      const executors = pool.#executors;
      await Promise.all(Array.from({ length: limits.min }, () => executors.start()));
      return pool;
    } catch (error) {
      if (pool) await pool.destroy();
      else await own?.shutdown();
      throw error;
    }
  }

  /** A module's exported functions, each call a task. Where a function takes bytes, a loan is taken as well. */
  module<Module>(url: string | URL): Portable<Module> {
    const address = String(url);
    let found = this.#modules.get(address);
    if (!found) {
      found = membersOnDemand((name) => {
        const reference = { url: address, name };
        const call = (...args: unknown[]) => this.#submit(reference, args, {});
        references.set(call, reference);
        return call;
      });
      this.#modules.set(address, found);
    }
    return found as Portable<Module>;
  }

  /**
   * Runs a function of a module on whichever thread is free.
   *
   * @param what - a function that {@link module} has, or a module's address, with the export's name in the options
   * @returns its result. Rejects with what it threw, the signal's reason, or a VdsoError:
   * `ERR_VDSO_QUEUE_FULL` more tasks wait than `maxQueue`; `ERR_VDSO_SHUTDOWN` the pool is closing or closed; `ERR_VDSO_ARGUMENT` a function of this
   * thread, or an option out of range; `ERR_VDSO_NOT_CLONABLE` names the path to what cannot be sent; `ERR_VDSO_HEAP_SIZE` larger than the heap;
   * `ERR_VDSO_NO_EXPORT`; `ERR_VDSO_TASK_KILLED` its thread ended; `ERR_VDSO_TIMEOUT`; `ERR_VDSO_POOL_START` no thread can be started.
   */
  run<Args extends unknown[], Result>(
    what: PoolFunction<Args, Result>,
    args: Args,
    options?: RunOptions,
  ): Promise<Result>;
  run<Result = unknown>(what: string | URL, args?: readonly unknown[], options?: RunOptions): Promise<Result>;
  run(what: object | string, args: readonly unknown[] = [], options: RunOptions = {}): Promise<unknown> {
    try {
      return this.#submit(referenceOf(what, options.name), args, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Runs a function once on every thread that runs now, whatever else waits there; not on threads that start later.
   *
   * @returns the results. Rejects as {@link run}, with the first error.
   */
  broadcast<Args extends unknown[], Result>(what: PoolFunction<Args, Result>, args: Args): Promise<Result[]>;
  broadcast<Result = unknown>(what: string | URL, args?: readonly unknown[], options?: RunOptions): Promise<Result[]>;
  async broadcast(what: object | string, args: readonly unknown[] = [], options: RunOptions = {}): Promise<unknown[]> {
    const reference = referenceOf(what, options.name);
    const executors = [...this.#executors.running.values()];
    return Promise.all(executors.map(({ cpu }) => this.#submit(reference, args, options, cpu)));
  }

  /** A buffer of the shared heap, to lend to tasks. For errors see `Heap.loan`. */
  loan(bytes: number): Loan {
    return this.heap.loan(bytes);
  }

  /** The image's API, for the viewer and the trace. */
  get api(): VschedApi {
    return this.#cpu.api;
  }

  /** Tasks that have not ended. */
  get pending(): number {
    return this.#jobs.size;
  }

  /** Tasks that wait for a thread, about: those beyond one for each thread. */
  get queued(): number {
    return Math.max(this.#jobs.size - this.#executors.count, 0);
  }

  /** Resolves when fewer than so many tasks wait: for those who make tasks faster than they are done. Default: as many as there may be threads. */
  drain(below = this.#max): Promise<void> {
    return new Promise((resolve) => {
      this.#drains.add({ below, resolve });
      this.#tellDrained();
    });
  }

  stats(): PoolStats {
    const { api } = this.#cpu;
    const threads = [...this.#executors.running.values()].map(({ name, pid, cpu }) => {
      const { current, switches } = api.cpuStats(cpu);
      return { name, pid, cpu, busy: current !== 0, tasks: switches };
    });
    return {
      threads,
      queued: this.queued,
      running: threads.filter(({ busy }) => busy).length,
      done: this.#done,
      failed: this.#failed,
      wait: this.#wait.summary(),
      run: this.#run.summary(),
    };
  }

  /** Refuses new tasks, waits for all that it has, then ends the threads. Calls after the first get the same promise. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends the threads at once; every task that has not ended rejects with `ERR_VDSO_SHUTDOWN`. */
  destroy(): Promise<void> {
    this.#ended ??= this.#end();
    return this.#ended;
  }

  async #close(): Promise<void> {
    if (this.#state === "open") this.#state = "closing";
    if (this.#jobs.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    await this.destroy();
  }
  async #end(): Promise<void> {
    this.#state = "closed";
    await this.#executors.killAll();
    this.#cpu.abandon(() => closedError());
    for (const job of this.#jobs) this.#finish(job, false, closedError());
    this.#cpu.stop();
    await this.#running;
    await this.#own?.shutdown();
  }

  // ------------------------------------------------------------------ tasks

  #submit(reference: Reference, args: readonly unknown[], options: RunOptions, cpu?: number): Promise<unknown> {
    const { signal, priority = 0, timeoutMs, transfer, retries = this.#retries } = options;
    if (this.#state !== "open") return Promise.reject(closedError());
    if (signal?.aborted) return Promise.reject(signal.reason);
    if (cpu === undefined && this.#jobs.size - this.#max >= this.#maxQueue) {
      const message = `pool: expected at most ${this.#maxQueue} tasks that wait, found that many; await drain() before more`;
      return Promise.reject(new VdsoError("ERR_VDSO_QUEUE_FULL", message));
    }
    let job: Job;
    try {
      if (timeoutMs !== undefined) inRange("run: timeoutMs", timeoutMs, 0, Number.POSITIVE_INFINITY);
      if (retries !== 0) inRange("run: retries", retries, 0, Number.POSITIVE_INFINITY);
      const loans = transfer ? loansOf(transfer) : NO_LOANS;
      const entry = this.#cpu.entryFor(reference.url, reference.name);
      job = new Job(this, reference, entry, args, priority, retries, this.#cpu.tellTime(), cpu);
      // Later changes of the values must reach neither a second try nor one that waits.
      if (retries > 0) job.args = this.#cpu.payloads.pack(args);
      this.#jobs.add(job);
      try {
        this.#place(job);
      } catch (error) {
        this.#jobs.delete(job);
        throw error;
      }
      job.loans = loans;
      if (transfer) detachBuffers(transfer);
    } catch (error) {
      return Promise.reject(error);
    }
    if (signal || timeoutMs !== undefined) this.#guard(job, signal, timeoutMs);
    if (this.#executors.count < this.#max && this.#jobs.size > this.#executors.count) this.#grow();
    return job.promise;
  }

  #place(job: Job): void {
    if (this.#next < this.#backlog.length) {
      job.args = this.#packed(job);
      this.#backlog.push(job);
    } else if (!this.#launch(job)) {
      job.args = this.#packed(job);
      this.#backlog.push(job);
    }
  }

  #packed({ args }: Job): Packed {
    return "bytes" in args ? args : this.#cpu.payloads.pack(args as readonly unknown[]);
  }

  /** @returns false: there is no room now, and there will be */
  #launch(job: Job): boolean {
    const affinity = job.cpu === undefined ? ANYWHERE : (1 << job.cpu) >>> 0;
    try {
      job.id = this.#cpu.launch(job.entry, job.args, job.priority, affinity, job);
    } catch (error) {
      if (this.#inFlight > 0 && NOT_NOW.has((error as VdsoError).code)) return false;
      throw error;
    }
    this.#inFlight++;
    return true;
  }

  /** Gives what waits here to shared memory, as far as there is room. */
  #feed(): void {
    while (this.#next < this.#backlog.length) {
      const job = this.#backlog[this.#next]!;
      if (!job.settled) {
        try {
          if (!this.#launch(job)) return;
        } catch (error) {
          this.#next++;
          this.#finish(job, false, error);
          continue;
        }
      }
      this.#next++;
    }
    this.#backlog = [];
    this.#next = 0;
  }

  /** A task has ended, whether or not its caller still waits. Called by the {@link Cpu}. */
  taskEnded(job: Job, ok: boolean, value: unknown, id: number): void {
    const { payloads } = this.#cpu;
    this.#inFlight--;
    job.id = 0;
    if (job.grace !== undefined) clearTimeout(job.grace);
    const died = !ok && value instanceof VdsoError && value.code === "ERR_VDSO_TASK_KILLED";
    if (died && job.retries > 0 && !job.settled && this.#state !== "closed") {
      job.retries--;
      try {
        this.#place(job);
        return;
      } catch (error) {
        this.#finish(job, false, error);
        return;
      }
    }
    if (!died) {
      const began = payloads.beganAt(id);
      if (began > 0) {
        this.#wait.record(began - job.beganUs);
        this.#run.record(payloads.endedAt(id) - began);
      }
    }
    this.#finish(job, ok, died ? this.#killed(job) : value);
    if (this.#next < this.#backlog.length) this.#feed();
  }

  #killed({ reference }: Job): VdsoError {
    const status = this.#ending;
    const how = status ? ` (${status.reason}${status.error ? `: ${status.error.message}` : ""})` : "";
    return new VdsoError(
      "ERR_VDSO_TASK_KILLED",
      `${reference.url}#${reference.name}: the thread that ran it ended before it did${how}`,
      { cause: status?.error },
    );
  }

  /** The last that is done about a job. */
  #finish(job: Job, ok: boolean, value: unknown): void {
    if (!this.#jobs.delete(job)) return;
    if (ok && !job.settled) this.#done++;
    else this.#failed++;
    this.#answer(job, ok, value);
    for (const loan of job.loans) loan[Symbol.dispose]();
    if (this.#drains.size > 0) this.#tellDrained();
    if (this.#jobs.size === 0) this.#onEmpty?.();
  }

  #answer(job: Job, ok: boolean, value: unknown): void {
    if (job.settled) {
      // Nobody takes what was handed over.
      if (ok && value instanceof Loan) value[Symbol.dispose]();
      return;
    }
    job.settled = true;
    job.unguard?.();
    if (ok) job.resolve(value);
    else job.reject(value);
  }

  #guard(job: Job, signal: AbortSignal | undefined, timeoutMs: number | undefined): void {
    const abort = (): void => this.#abort(job, signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const late = (): void =>
      this.#abort(
        job,
        new VdsoError("ERR_VDSO_TIMEOUT", `run: expected ${job.reference.name} to end within ${timeoutMs} ms`),
      );
    const timer = timeoutMs !== undefined && timeoutMs <= MAX_MS ? setTimeout(late, timeoutMs) : undefined;
    job.unguard = () => {
      signal?.removeEventListener("abort", abort);
      clearTimeout(timer);
    };
  }

  #abort(job: Job, reason: unknown): void {
    if (job.settled) return;
    this.#answer(job, false, reason);
    if (job.id === 0) {
      this.#finish(job, false, reason);
      return;
    }
    this.#cpu.api.cancel(job.id);
    if (this.#graceMs <= MAX_MS) job.grace = setTimeout(() => this.#endThreadOf(job), this.#graceMs);
  }

  /** For a task that was aborted and goes on. One that has not begun ends by itself when its turn comes. */
  #endThreadOf(job: Job): void {
    const { api, payloads } = this.#cpu;
    if (job.id === 0) return;
    const { cpu } = api.taskStats(job.id);
    const executor = [...this.#executors.running.values()].find((each) => each.cpu === cpu);
    if (payloads.beganAt(job.id) > 0 && executor) void this.#executors.kill(executor.pid);
    else job.grace = setTimeout(() => this.#endThreadOf(job), this.#graceMs);
  }

  #tellDrained(): void {
    const { queued } = this;
    for (const drain of this.#drains) {
      if (queued >= drain.below && this.#jobs.size > 0) continue;
      this.#drains.delete(drain);
      drain.resolve();
    }
  }

  // ------------------------------------------------------------------ threads

  /** One thread more. When none can be had and none is there, what waits has nobody to wait for. */
  #grow(): void {
    // Those that are there from the start stay; the others go when they are idle.
    this.#executors.start(this.#executors.count >= this.#min).catch((cause: unknown) => {
      if (this.#executors.count > 0 || this.#state === "closed") return;
      for (const job of this.#jobs) {
        if (job.id !== 0) this.#cpu.api.cancel(job.id);
        const message = `pool: expected a thread that starts, found none: ${(cause as Error).message}`;
        this.#answer(job, false, new VdsoError("ERR_VDSO_POOL_START", message, { cause }));
        if (job.id === 0) this.#finish(job, false, cause);
      }
    });
  }

  #executorEnded({ cpu }: Executor, status: ExitStatus): void {
    // Not by the CPU: one that ended as soon as it had begun may have given its number back before it was asked for.
    this.#ending = status;
    this.#cpu.takeFinished();
    for (const job of this.#jobs) if (job.cpu === cpu) this.#abort(job, this.#killed(job));
    this.#ending = undefined;
    if (this.#state === "closed") return;
    if (
      this.#executors.count < this.#min ||
      (this.#jobs.size > 0 && this.#executors.count < this.#max && this.#jobs.size > this.#executors.count)
    ) {
      this.#grow();
    }
  }
}

const NOT_NOW = new Set<VdsoErrorCode>(["ERR_VDSO_TASK_LIMIT", "ERR_VDSO_OUT_OF_MEMORY", "ERR_VDSO_HEAP_BUSY"]);

interface Limits {
  readonly min: number;
  readonly max: number;
  readonly idleMs: number;
  readonly maxQueue: number;
  readonly graceMs: number;
  readonly retries: number;
  readonly concurrency: number | undefined;
}

function checked(options: PoolOptions): Limits {
  const {
    maxThreads: max = Math.min(Math.max(navigator.hardwareConcurrency - 1, 1, options.minThreads ?? 1), MAX_THREADS),
  } = options;
  const { minThreads: min = max, idleTimeoutMs: idleMs = 10_000, graceMs = 1000, retries = 0 } = options;
  const { maxQueue = Number.POSITIVE_INFINITY, concurrentTasksPerWorker: concurrency } = options;
  inRange("maxThreads", max, 1, MAX_THREADS, true);
  inRange("minThreads", min, 0, max, true);
  inRange("idleTimeoutMs", idleMs, 0, Number.POSITIVE_INFINITY);
  inRange("graceMs", graceMs, 0, Number.POSITIVE_INFINITY);
  inRange("maxQueue", maxQueue, 0, Number.POSITIVE_INFINITY);
  inRange("retries", retries, 0, Number.POSITIVE_INFINITY);
  if (concurrency !== Number.POSITIVE_INFINITY) {
    inRange("concurrentTasksPerWorker", concurrency ?? 1, 1, Number.MAX_SAFE_INTEGER, true);
  }
  return { min, max, idleMs, maxQueue, graceMs, retries, concurrency };
}

function inRange(what: string, value: number, least: number, most: number, whole = false): void {
  if (typeof value === "number" && value >= least && value <= most && (!whole || Number.isInteger(value))) return;
  const kind = whole ? "a whole number" : "a number";
  throw new VdsoError(
    "ERR_VDSO_ARGUMENT",
    `pool: ${what}: expected ${kind} from ${least} to ${most}, found ${String(value)}`,
  );
}

function referenceOf(what: unknown, name = "default"): Reference {
  if (typeof what === "string" || what instanceof URL) return { url: String(what), name };
  const reference = typeof what === "function" ? references.get(what) : undefined;
  if (reference) return reference;
  throw new VdsoError(
    "ERR_VDSO_ARGUMENT",
    "run: expected a function of pool.module(url), or a module's address, found " +
      (typeof what === "function" ? "a function of this thread, which other threads cannot call" : `a ${typeof what}`),
  );
}

/** They have been copied. */
function detachBuffers(transfer: readonly unknown[]): void {
  for (const each of transfer) if (each instanceof ArrayBuffer) structuredClone(each, { transfer: [each] });
}

function loansOf(transfer: readonly unknown[]): Loan[] {
  const loans: Loan[] = [];
  for (const each of transfer) {
    if (each instanceof Loan) loans.push(each);
    else if (!(each instanceof ArrayBuffer)) {
      throw new VdsoError("ERR_VDSO_ARGUMENT", `run: transfer: expected loans and buffers, found ${String(each)}`);
    }
  }
  return loans;
}

function closedError(): VdsoError {
  return new VdsoError("ERR_VDSO_SHUTDOWN", "pool: expected one that is open, found one that is closing or closed");
}
