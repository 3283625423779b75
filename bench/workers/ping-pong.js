// One side of a ping-pong. Side 0 begins, and answers with the median microseconds a round trip.
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../dist/runtime/index.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { pin } from "./pin.ts";

const { handle, kind, side, mailboxes, words, trips } = workerData;
const isAwake = kind === "vqueue awake" || kind === "spin";
if (isAwake) pin(side);
const api = attach(vqueue, handle);
api.setSpin(kind === "vqueue parked" ? 0 : 1e6);

function send(to) {
  const item = api.claim(to);
  api.commit(to, item);
}

function receive(from) {
  let item = api.take(from);
  for (; item < 64; item = api.take(from)) if (kind === "vqueue parked") api.waitForItem(from);
  api.release(from, item);
}

const pass = {
  "vqueue awake": { ping: () => send(mailboxes[1 - side]), pong: () => receive(mailboxes[side]) },
  "vqueue parked": { ping: () => send(mailboxes[1 - side]), pong: () => receive(mailboxes[side]) },
  spin: {
    ping: () => Atomics.add(words, 1 - side, 1),
    pong: (trip) => {
      while (Atomics.load(words, side) <= trip);
    },
  },
  "wait/notify": {
    ping: () => {
      Atomics.add(words, 1 - side, 1);
      Atomics.notify(words, 1 - side);
    },
    pong: (trip) => {
      while (Atomics.load(words, side) <= trip) Atomics.wait(words, side, trip);
    },
  },
}[kind];

const times = [];
for (let trip = 0; trip < trips; trip++) {
  if (side === 1) {
    pass.pong(trip);
    pass.ping();
    continue;
  }
  const start = performance.now();
  pass.ping();
  pass.pong(trip);
  times.push((performance.now() - start) * 1000);
}
times.sort((a, b) => a - b);
parentPort.postMessage(times[times.length >> 1] ?? 0);
