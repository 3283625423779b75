/** What runs in the processes that a {@link Scheduler} starts: one CPU that takes any task. */
import vheap from "../../generated/vheap/vheap.js";
import vsched from "../../generated/vsched/vsched.js";
import { Heap } from "../ipc/heap.ts";
import { attach, current } from "../process/index.ts";
import { Cpu } from "./cpu.ts";
import type { ExecutorData } from "./executors.ts";

// While the module loads: whoever started the process may rely on the CPU when it is there.
const { withHeap, ...data } = current().data as ExecutorData;
const heap = withHeap ? new Heap(attach(vheap)) : undefined;
const cpu = new Cpu(attach(vsched), { ...data, dedicated: true, heap, attach });

export default async function main(): Promise<void> {
  current().onShutdown(() => cpu.stop());
  await cpu.run();
  // Whatever modules have left open in this thread: nobody asks it for anything any more.
  if (!current().stopping) current().exit(0);
}
