/** Calls and buffers between two threads. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import vheap from "../generated/vheap/vheap.js";
import vnames from "../generated/vnames/vnames.js";
import vqueue from "../generated/vqueue/vqueue.js";
import type { Delivery } from "../runtime/ipc/index.ts";
import type { Group, Row } from "./group.ts";
import { DIST, loadPackage } from "./package.ts";

type Kind = "vipc" | "comlink" | "comlink-vipc" | "port";
type Echo = (value: unknown) => Promise<unknown>;

const loadIpc = () =>
  import(new URL("runtime/ipc/index.js", DIST).href) as Promise<typeof import("../runtime/ipc/index.ts")>;

async function start(kind: Kind, delivery: Delivery, read = false) {
  const { map, attach } = await loadPackage();
  const { Ipc, Heap, openPort } = await loadIpc();
  const mappings = await Promise.all([map(vqueue), map(vheap), map(vnames)]);
  const [queues, heap, names] = [mappings[0].handle, mappings[1].handle, mappings[2].handle];
  const worker = new Worker(new URL("./workers/ipc.js", import.meta.url), {
    workerData: { kind, delivery, read, handles: { queues, heap, names } },
  });
  await once(worker, "message");
  const open = () =>
    new Ipc({
      queues: attach(vqueue, queues),
      heap: new Heap(attach(vheap, heap)),
      names: attach(vnames, names),
      delivery,
    });
  return { worker, open, openPort };
}

async function echoOf(kind: Kind, delivery: Delivery): Promise<{ echo: Echo; stop(): Promise<unknown> }> {
  const { worker, open, openPort } = await start(kind, delivery);
  const stop = () => worker.terminate();
  if (kind === "comlink") {
    const remote = Comlink.wrap<{ echo(value: unknown): unknown }>(nodeEndpoint(worker));
    return { echo: (value) => remote.echo(value), stop };
  }
  const ipc = open();
  if (kind === "comlink-vipc") {
    const remote = Comlink.wrap<{ echo(value: unknown): unknown }>(await openPort(ipc, "server"));
    return { echo: (value) => remote.echo(value), stop };
  }
  const client = ipc.entity();
  const server = await ipc.whenNamed("server");
  return { echo: async (value) => (await client.call(server, 1, value)).data, stop };
}

const CALLS = 20_000;
const WARM_UP = 5_000;

/** Microseconds from a call to its result, one after the other: the median. */
async function roundTrip(kind: Kind, delivery: Delivery, value: unknown): Promise<number> {
  const { echo, stop } = await echoOf(kind, delivery);
  for (let i = 0; i < WARM_UP; i++) await echo(value);
  const times = new Float64Array(CALLS);
  for (let i = 0; i < CALLS; i++) {
    const began = performance.now();
    await echo(value);
    times[i] = performance.now() - began;
  }
  await stop();
  return times.sort()[CALLS >> 1]! * 1000;
}

/** Thousand calls per second, 1000 in flight. */
async function rate(kind: Kind, value: unknown): Promise<number> {
  const { echo, stop } = await echoOf(kind, "adaptive");
  const run = async (calls: number): Promise<void> => {
    let left = calls;
    const coroutine = async (): Promise<void> => {
      while (left-- > 0) await echo(value);
    };
    await Promise.all(Array.from({ length: 1000 }, coroutine));
  };
  await run(WARM_UP * 4);
  const calls = CALLS * 5;
  const began = performance.now();
  await run(calls);
  const ms = performance.now() - began;
  await stop();
  return calls / ms;
}

const BUFFERS_ON_THE_WAY = 16;
const ACKNOWLEDGED_AT_ONCE = 8;

/** Thousand buffers per second, at most 16 on the way; `touch`: filled by the sender, read by the receiver. */
async function handOver(how: "vipc" | "copy" | "transfer", bytes: number, touch: boolean): Promise<number> {
  const { worker, open } = await start(how === "vipc" ? "vipc" : "port", "adaptive", touch);
  let credit = BUFFERS_ON_THE_WAY;
  let wanted = Promise.withResolvers<void>();
  const acknowledge = (): void => {
    credit += ACKNOWLEDGED_AT_ONCE;
    wanted.resolve();
    wanted = Promise.withResolvers();
  };
  let send: (i: number) => void;
  if (how === "vipc") {
    const ipc = open();
    const client = ipc.entity().serve(acknowledge);
    const server = await ipc.whenNamed("server");
    send = (i) => {
      const loan = ipc.heap.loan(bytes);
      if (touch) loan.bytes.fill(i);
      void client.send(server, 2, loan);
    };
  } else {
    worker.on("message", acknowledge);
    const kept = new ArrayBuffer(bytes);
    send = (i) => {
      const buffer = how === "copy" ? kept : new ArrayBuffer(bytes);
      if (touch) new Uint8Array(buffer).fill(i);
      worker.postMessage(buffer, how === "copy" ? [] : [buffer]);
    };
  }
  const run = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      while (credit === 0) await wanted.promise;
      credit--;
      send(i);
    }
    while (credit < BUFFERS_ON_THE_WAY) await wanted.promise;
  };
  // A multiple of what is acknowledged at once.
  const count = Math.min(80_000, Math.max(800, Math.ceil(8e8 / bytes / 8) * 8));
  await run(count / 4 - ((count / 4) % 8));
  const began = performance.now();
  await run(count);
  const ms = performance.now() - began;
  await worker.terminate();
  return count / ms;
}

const bytes = new Uint8Array(32).fill(7);
const value = { id: 17, name: "some name", list: [1, 2, 3], nested: { ok: true } };

const roundTrips = (name: string, delivery: Delivery): Row => ({
  name: `call, 32 bytes, one after the other, ${name}`,
  unit: "us",
  better: "lower",
  ours: () => roundTrip("vipc", delivery, bytes),
  peers: { Comlink: () => roundTrip("comlink", delivery, bytes) },
});

const rates = (name: string, sent: unknown): Row => ({
  name: `calls, 1000 in flight, ${name}`,
  unit: "k/s",
  better: "higher",
  ours: () => rate("vipc", sent),
  peers: { Comlink: () => rate("comlink", sent) },
});

const handOvers = (kilobytes: number, touch: boolean): Row => ({
  name: `buffers of ${kilobytes} KB${touch ? ", filled and read" : ", not touched"}`,
  unit: "k/s",
  better: "higher",
  ours: () => handOver("vipc", kilobytes * 1024, touch),
  peers: {
    "postMessage, copy": () => handOver("copy", kilobytes * 1024, touch),
    "postMessage, transfer": () => handOver("transfer", kilobytes * 1024, touch),
  },
});

const group: Group = [
  roundTrips("adaptive", "adaptive"),
  roundTrips("both parked", "eventLoop"),
  rates("32 bytes", bytes),
  rates("values", value),
  ...[1, 64, 1024].map((kilobytes) => handOvers(kilobytes, false)),
  ...[1, 64, 1024].map((kilobytes) => handOvers(kilobytes, true)),
  {
    name: "Comlink over vipc's port, 1000 in flight, values",
    unit: "k/s",
    better: "higher",
    ours: () => rate("comlink-vipc", value),
    peers: { "Comlink over a MessagePort": () => rate("comlink", value) },
  },
  {
    name: "Comlink over vipc's port, one after the other",
    unit: "us",
    better: "lower",
    ours: () => roundTrip("comlink-vipc", "adaptive", value),
    peers: { "Comlink over a MessagePort": () => roundTrip("comlink", "adaptive", value) },
  },
];

export default group;
