// One end of a queue whose loops are inside WebAssembly; the thread that sets up registers the mailbox. The consumer answers with its best round.
import { parentPort, workerData } from "node:worker_threads";

const { module, vvar, gate, role, batch, pid, rounds, items } = workerData;
const vdso = new Proxy({ vvar }, { get: (target, name) => target[name] ?? (() => 0) });
const api = new WebAssembly.Instance(module, { vdso }).exports;
api._initialize?.();
api.processInit?.(pid);
// The gate: 0 nothing, then 1, then one more for each thread at each round.
if (role === "setup") {
  api.init?.();
  if (api.register) api.register(0, 1);
  Atomics.store(gate, 0, 1);
  Atomics.notify(gate, 0);
  parentPort.postMessage(0);
  // Its mailbox closes with it.
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}
const MAILBOX = 1024;
while (Atomics.load(gate, 0) < 1) Atomics.wait(gate, 0, 0);
const run = batch === 1 ? api[role] : api[`${role}Many`];
let best = Number.POSITIVE_INFINITY;
for (let round = 0; round < rounds; round++) {
  Atomics.add(gate, 0, 1);
  Atomics.notify(gate, 0);
  for (let seen = Atomics.load(gate, 0); seen < 1 + 2 * (round + 1); seen = Atomics.load(gate, 0)) {
    Atomics.wait(gate, 0, seen);
  }
  const start = performance.now();
  run(MAILBOX, items, batch);
  best = Math.min(best, ((performance.now() - start) * 1e6) / items);
}
parentPort.postMessage(best);
