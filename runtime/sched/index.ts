/**
 * Tasks on all threads, by the image `vsched`.
 *
 * ```ts
 * import { Kernel } from "wasm-vdso";
 * import { Scheduler, vsched } from "wasm-vdso/sched";
 *
 * await using kernel = await Kernel.boot({ vdsos: [vsched] });
 * await using scheduler = await Scheduler.start(kernel, { cpus: 2 });
 * const work = scheduler.module<typeof import("./work.ts")>(new URL("./work.ts", import.meta.url));
 * console.log(await work.fibonacci(30));
 * ```
 */
export { default as vheap } from "../../generated/vheap/vheap.js";
export { default as vsched, Policy, TraceEvent } from "../../generated/vsched/vsched.js";
export type { ExecutorOptions, SchedulerKernel } from "./executors.ts";
export type { Durations } from "./histogram.ts";
export { Pool, type PoolFunction, type PoolOptions, type PoolStats, type RunOptions } from "./pool.ts";
export {
  type Lease,
  type LendOptions,
  type Portable,
  Scheduler,
  type SchedulerOptions,
  type ThreadOptions,
} from "./scheduler.ts";
export {
  Barrier,
  Condition,
  Event,
  type LockGuard,
  Mutex,
  type Permit,
  Semaphore,
  type SyncOptions,
  type SyncOwner,
  type WaitOptions,
  type WaitSyncOptions,
} from "./sync.ts";
export type { Task, TaskContext, TaskOptions } from "./task.ts";
export type { ThreadContext } from "./thread.ts";
export {
  type ChromeEvent,
  type CpuView,
  chromeTrace,
  formatStats,
  formatTasks,
  readTrace,
  type TaskView,
  type TraceRecord,
  viewCpus,
  viewTasks,
} from "./viewer.ts";
