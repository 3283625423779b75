// One end of queues whose loops are inside WebAssembly, one queue after the other in short rounds. Answers with the median of each.
import { parentPort, workerData } from "node:worker_threads";
import { pin } from "./pin.ts";

const { systems, gate, role, batch, pid, rounds, items } = workerData;
const loops = systems.map(({ module, vvar, mailbox }) => {
  const vdso = new Proxy({ vvar }, { get: (target, name) => target[name] ?? (() => 0) });
  const api = new WebAssembly.Instance(module, { vdso }).exports;
  api._initialize?.();
  api.processInit?.(pid);
  const loop = (batch > 1 && api[`${role}Many`]) || api[role];
  return () => loop(mailbox, items, batch);
});
pin(role === "produce" ? 0 : 1);
const times = systems.map(() => []);
let meetings = 0;

/** Goes on when both ends are here. Spins: who has just been woken is slower for a while. */
function meet() {
  meetings++;
  Atomics.add(gate, 0, 1);
  while (Atomics.load(gate, 0) < 2 * meetings);
}

for (let round = 0; round < rounds; round++) {
  for (const [index, loop] of loops.entries()) {
    meet();
    const start = performance.now();
    loop();
    times[index].push(((performance.now() - start) * 1e6) / items);
  }
}
parentPort.postMessage(times.map((each) => each.sort((a, b) => a - b)[each.length >> 1]));
