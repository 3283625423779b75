/** What runs in the processes that a {@link Scheduler} starts: one CPU that takes any task. */
import vsched from "../../generated/vsched/vsched.js";
import { attach, current } from "../process/index.ts";
import { Cpu } from "./cpu.ts";
import type { ExecutorData } from "./scheduler.ts";

// While the module loads: whoever started the process may rely on the CPU when it is there.
const { sliceMs, spinUs } = current().data as ExecutorData;
const cpu = new Cpu(attach(vsched), { general: true, blocking: true, sliceMs, spinUs });

export default async function main(): Promise<void> {
  current().onShutdown(() => cpu.stop());
  await cpu.run();
}
