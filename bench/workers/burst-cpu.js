// A CPU of the image, alone in its thread, the first one spawns: runs tasks of a fixed length, and notes when each began and ended.
import { parentPort, workerData } from "node:worker_threads";

const { url, index, handle, pid, tasks, taskMs, times, start } = workerData;
const { attach } = await import(index);
const { default: vsched } = await import(url);
const api = attach(vsched, handle, { pid });
const cpu = api.startCpu();
const now = () => performance.timeOrigin + performance.now();

function spawnAll(count, affinity) {
  for (let n = 0; n < count; n++) api.spawn(1, n, 0, affinity, false, true);
}

const pick = () => api.pickNext() || (api.steal() > 0 ? api.pickNext() : 0);

function run(id, ms) {
  const task = api.entryOf(id);
  const began = now();
  times[2 * task] = began;
  while (now() - began < ms);
  times[2 * task + 1] = now();
  api.exit(0);
}

// What is measured is code that has run before, over memory that has been touched: compiling it takes longer than the burst.
for (let round = 0; round < 10; round++) {
  spawnAll(tasks / 2, (1 << cpu) >>> 0);
  for (let id = pick(); id !== 0; id = pick()) run(id, 0);
}
parentPort.postMessage("ready");

if (pid === 2) {
  Atomics.wait(start, 0, 0);
  times[2 * tasks] = now();
  spawnAll(tasks, 0xffffffff);
}
while (Atomics.load(start, 0) < 2) {
  const id = pick();
  if (id === 0) {
    api.park(1);
    continue;
  }
  run(id, taskMs);
  if (Atomics.add(start, 1, 1) === tasks - 1) Atomics.store(start, 0, 2);
}
parentPort.postMessage("done");
