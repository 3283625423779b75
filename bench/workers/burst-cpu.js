// A CPU of the image, alone in its thread, the first one spawns: runs tasks of a fixed length, and notes when each began and ended.
import { parentPort, workerData } from "node:worker_threads";

const { url, index, handle, pid, tasks, taskMs, times, start } = workerData;
const { attach } = await import(index);
const { default: vsched } = await import(url);
const api = attach(vsched, handle, { pid });
api.startCpu();
const now = () => performance.timeOrigin + performance.now();
// What is measured is code that has run before, over memory that has been touched.
for (let round = 0; round < 10; round++) {
  for (let n = 0; n < tasks / 2; n++) api.spawn(1, n, 0, (1 << api.startCpu()) >>> 0, false, true);
  while (api.pickNext() !== 0) {
    now();
    api.exit(0);
  }
}
parentPort.postMessage("ready");

const spawns = pid === 2;
if (spawns) {
  Atomics.wait(start, 0, 0);
  times[2 * tasks] = now();
  for (let n = 0; n < tasks; n++) api.spawn(1, n, 0, 0xffffffff, false, true);
}
while (Atomics.load(start, 0) < 2) {
  const id = api.pickNext() || (api.steal() > 0 ? api.pickNext() : 0);
  if (id === 0) {
    api.park(1);
    continue;
  }
  const task = api.entryOf(id);
  const began = now();
  times[2 * task] = began;
  while (now() - began < taskMs);
  times[2 * task + 1] = now();
  api.exit(0);
  if (Atomics.add(start, 1, 1) === tasks - 1) Atomics.store(start, 0, 2);
}
parentPort.postMessage("done");
