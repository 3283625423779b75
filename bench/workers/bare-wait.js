// A thread that sleeps, and answers each wake-up with one: what no pool can do without.
import { parentPort, workerData } from "node:worker_threads";

const words = new Int32Array(workerData);
parentPort.postMessage("ready");
for (let seen = 0; ; seen++) {
  Atomics.wait(words, 0, seen);
  Atomics.add(words, 1, 1);
  Atomics.notify(words, 1);
}
