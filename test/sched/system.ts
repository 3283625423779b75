/** A kernel with a scheduler, for as long as a test uses it. */
import vsched from "../../generated/vsched/vsched.js";
import { Kernel, type VdsoLibrary } from "../../runtime/index.ts";
import { Scheduler, type SchedulerOptions } from "../../runtime/sched/scheduler.ts";

export async function withScheduler(
  options: SchedulerOptions,
  use: (scheduler: Scheduler, kernel: Kernel) => Promise<void>,
  vdsos: readonly VdsoLibrary[] = [],
): Promise<void> {
  const kernel = await Kernel.boot({ vdsos: [vsched, ...vdsos], log: () => undefined });
  try {
    await using scheduler = await Scheduler.start(kernel, options);
    await use(scheduler, kernel);
  } finally {
    await kernel.shutdown({ timeoutMs: 500 });
  }
}

export const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await later(1);
}
