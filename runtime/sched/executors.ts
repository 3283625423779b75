/** The processes that run tasks: started, watched, replaced when they die, retired when nobody needs them. */
import vheap from "../../generated/vheap/vheap.js";
import { CPUS, type VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { Heap } from "../ipc/heap.ts";
import type { ResourceLimits } from "../platform/platform.ts";
import type { ExitStatus } from "../platform/protocol.ts";

/** A kernel, or a process. */
interface Attaching {
  attach<Api, Host>(library: VdsoLibrary<Api, Host>): Api;
}
/** What of a kernel is used. */
export interface SchedulerKernel extends Attaching {
  spawn(url: URL, options: ExecutorSpawnOptions): Promise<ExecutorProcess>;
  kill(pid: number): Promise<unknown>;
}
interface ExecutorSpawnOptions extends ExecutorOptions {
  readonly name: string;
  readonly data: ExecutorData;
}
interface ExecutorProcess {
  readonly pid: number;
  readonly name: string;
  readonly exited: Promise<ExitStatus>;
}

/** What the threads of a pool are started with; see the kernel's `spawn`. */
export interface ExecutorOptions {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly resourceLimits?: ResourceLimits;
}

/** What an executor is told. */
export interface ExecutorData {
  readonly sliceMs: number;
  readonly spinUs: number;
  readonly withHeap: boolean;
  /** Functions that may have begun in it at once; absent: no limit. */
  readonly concurrency?: number | undefined;
  /** Ends when it had nothing to do for so long; absent: never. */
  readonly idleMs?: number | undefined;
}

/** One that runs. */
export interface Executor {
  readonly pid: number;
  readonly name: string;
  /** Number of its CPU. */
  readonly cpu: number;
}

const module = new URL(`./executor${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

export class Executors {
  /** By pid. */
  readonly running = new Map<number, Executor>();
  readonly #kernel: SchedulerKernel;
  readonly #api: VschedApi;
  readonly #data: ExecutorData;
  readonly #options: ExecutorOptions;
  readonly #onEnd: (executor: Executor, status: ExitStatus) => void;
  #starting = 0;
  #started = 0;

  /** `onEnd`: hears of each that ended, after everything of it was cleaned up. */
  constructor(
    kernel: SchedulerKernel,
    api: VschedApi,
    data: ExecutorData,
    options: ExecutorOptions,
    onEnd: (executor: Executor, status: ExitStatus) => void,
  ) {
    this.#kernel = kernel;
    this.#api = api;
    this.#data = data;
    this.#options = options;
    this.#onEnd = onEnd;
  }

  /** Those that run, and those that are about to. */
  get count(): number {
    return this.running.size + this.#starting;
  }

  /** @param temporary - it ends when it is idle. @throws what the kernel's `spawn` refuses. */
  async start(temporary = false): Promise<Executor> {
    this.#starting++;
    try {
      const child = await this.#kernel.spawn(module, {
        ...this.#options,
        name: `cpu-${++this.#started}`,
        data: temporary ? this.#data : { ...this.#data, idleMs: undefined },
      });
      const executor = { pid: child.pid, name: child.name, cpu: this.#cpuOf(child.pid) };
      this.running.set(child.pid, executor);
      void child.exited.then((status) => {
        this.running.delete(child.pid);
        this.#onEnd(executor, status);
      });
      return executor;
    } finally {
      this.#starting--;
    }
  }

  /** Ends one, between any two instructions. */
  async kill(pid: number): Promise<void> {
    // It may have ended already.
    if (this.running.has(pid)) await this.#kernel.kill(pid).catch(ignoreEnded);
  }

  async killAll(): Promise<void> {
    await Promise.all([...this.running.keys()].map((pid) => this.kill(pid)));
  }

  #cpuOf(pid: number): number {
    for (let number = 0; number < CPUS; number++) if (this.#api.cpuStats(number).pid === pid) return number;
    return -1;
  }
}

/** The kernel's heap, when it has one. */
export function heapOf(kernel: Attaching): Heap | undefined {
  try {
    return new Heap(kernel.attach(vheap));
  } catch (error) {
    if (error instanceof VdsoError && error.code === "ERR_VDSO_NOT_MAPPED") return undefined;
    throw error;
  }
}

function ignoreEnded(error: unknown): void {
  if (!(error instanceof VdsoError && error.code === "ERR_VDSO_NO_PROCESS")) throw error;
}
