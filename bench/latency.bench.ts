/** How long it takes to get a message to another thread and an answer back. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import vqueue, { Policy } from "../generated/vqueue/vqueue.js";
import type { Group } from "./group.ts";
import { loadPackage } from "./package.ts";

type Kind = "vqueue awake" | "vqueue parked" | "spin" | "wait/notify";

/** Long enough for the compilers to be done, for each. */
const ROUND_TRIPS = { "vqueue awake": 400_000, "vqueue parked": 20_000, spin: 400_000, "wait/notify": 20_000 } as const;

/** Microseconds a round trip. */
async function pingPong(kind: Kind): Promise<number> {
  const { map } = await loadPackage();
  const mapping = await map(vqueue);
  const api = mapping.attach();
  const mailboxes = [api.register(Policy.Fail, true), api.register(Policy.Fail, true)];
  const words = new Int32Array(new SharedArrayBuffer(2 * Int32Array.BYTES_PER_ELEMENT));
  const workers = [0, 1].map(
    (side) =>
      new Worker(new URL("./workers/ping-pong.js", import.meta.url), {
        workerData: { handle: mapping.handle, kind, side, mailboxes, words, trips: ROUND_TRIPS[kind] },
      }),
  );
  try {
    const [first] = await Promise.all(workers.map((worker) => once(worker, "message")));
    return first![0] as number;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const group: Group = [
  {
    name: "ping-pong, both awake",
    unit: "us",
    better: "lower",
    ours: () => pingPong("vqueue awake"),
    peers: { "two words, spinning": () => pingPong("spin") },
  },
  {
    name: "ping-pong, both parked",
    unit: "us",
    better: "lower",
    ours: () => pingPong("vqueue parked"),
    peers: { "Atomics.wait and notify": () => pingPong("wait/notify") },
  },
];

export default group;
