// The other end of a bare ping-pong by Atomics.waitAsync: what two event loops that sleep cannot do without.
import { parentPort, workerData } from "node:worker_threads";

const words = new Int32Array(workerData);
// `waitAsync` keeps nothing alive.
setInterval(() => undefined, 1e6);
parentPort.postMessage("ready");
for (let seen = 0; ; seen++) {
  const { async, value } = Atomics.waitAsync(words, 0, seen);
  if (async) await value;
  Atomics.add(words, 1, 1);
  Atomics.notify(words, 1);
}
