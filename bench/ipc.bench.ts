/** Calls and buffers between two threads. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import vheap from "../generated/vheap/vheap.js";
import vnames from "../generated/vnames/vnames.js";
import vqueue from "../generated/vqueue/vqueue.js";
import type { Delivery } from "../runtime/ipc/index.ts";
import type { Group, Measure, Row } from "./group.ts";
import { DIST, loadPackage } from "./package.ts";
import { pin } from "./workers/pin.ts";

type Kind = "vipc" | "comlink" | "comlink-vipc" | "port";
type Echo = (value: unknown) => Promise<unknown>;

const loadIpc = () =>
  import(new URL("runtime/ipc/index.js", DIST).href) as Promise<typeof import("../runtime/ipc/index.ts")>;

async function start(kind: Kind, delivery: Delivery, read = false) {
  // Both ends run at once, unless they only wake each other.
  const pinned = delivery === "adaptive";
  if (pinned) pin(0);
  const { map, attach } = await loadPackage();
  const { Ipc, Heap, openPort } = await loadIpc();
  const mappings = await Promise.all([map(vqueue), map(vheap), map(vnames)]);
  const [queues, heap, names] = [mappings[0].handle, mappings[1].handle, mappings[2].handle];
  const worker = new Worker(new URL("./workers/ipc.js", import.meta.url), {
    workerData: { kind, delivery, read, pinned, handles: { queues, heap, names } },
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

const CALLS = 5_000;
/** Long enough for the compilers on both sides to be done. */
const WARM_UP_MS = 700;

/** Microseconds from a call to its result, one after the other: the median. */
async function roundTrip(kind: Kind, delivery: Delivery, value: unknown): Promise<number> {
  const { echo, stop } = await echoOf(kind, delivery);
  for (const ends = performance.now() + WARM_UP_MS; performance.now() < ends; ) await echo(value);
  const times = new Float64Array(CALLS);
  for (let i = 0; i < CALLS; i++) {
    const began = performance.now();
    await echo(value);
    times[i] = performance.now() - began;
  }
  await stop();
  return times.sort()[CALLS >> 1]! * 1000;
}

/** A bare ping-pong of two event loops that sleep: what no call between them can do without. */
async function bareWaits(): Promise<number> {
  const words = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./workers/async-wait.js", import.meta.url), { workerData: words.buffer });
  await once(worker, "message");
  const times = new Float64Array(CALLS);
  for (let i = 0; i < CALLS; i++) {
    const began = performance.now();
    Atomics.add(words, 0, 1);
    Atomics.notify(words, 0);
    const { async, value } = Atomics.waitAsync(words, 1, i);
    if (async) await value;
    times[i] = performance.now() - began;
  }
  await worker.terminate();
  return times.sort()[CALLS >> 1]! * 1000;
}

/**
 * Comlink's client by itself, over a port that answers at once and copies nothing: no port makes it faster than this. Thousand calls per second, 1000 in
 * flight.
 */
async function clientAlone(): Promise<number> {
  let tell: (event: { readonly data: unknown }) => void;
  const answers: unknown[] = [];
  const deliver = (): void => {
    for (const data of answers.splice(0)) tell({ data });
  };
  const remote = Comlink.wrap<{ echo(sent: unknown): unknown }>({
    // Comlink adds one listener, and removes none before the port is released.
    addEventListener: (_: string, listener: unknown) => {
      tell = listener as typeof tell;
    },
    removeEventListener: () => undefined,
    postMessage({ id, argumentList: [argument] }: { id: string; argumentList: readonly object[] }) {
      if (answers.length === 0) queueMicrotask(deliver);
      answers.push({ ...argument, id });
    },
  });
  return await inFlight((sent) => remote.echo(sent), value);
}

const MEASURE_MS = 1000;

/** Thousand per second, of what `run` does for so many milliseconds and counts. */
async function perMillisecond(run: (ms: number) => Promise<number>): Promise<number> {
  await run(WARM_UP_MS);
  const began = performance.now();
  const count = await run(MEASURE_MS);
  return count / (performance.now() - began);
}

/** Thousand calls per second, 1000 in flight. */
function inFlight(echo: Echo, sent: unknown): Promise<number> {
  return perMillisecond(async (ms) => {
    const ends = performance.now() + ms;
    let calls = 0;
    const coroutine = async (): Promise<void> => {
      for (; performance.now() < ends; calls++) await echo(sent);
    };
    await Promise.all(Array.from({ length: 1000 }, coroutine));
    return calls;
  });
}

async function rate(kind: Kind, sent: unknown): Promise<number> {
  const { echo, stop } = await echoOf(kind, "adaptive");
  const figure = await inFlight(echo, sent);
  await stop();
  return figure;
}

const BUFFERS_ON_THE_WAY = 16;
const ACKNOWLEDGED_AT_ONCE = 8;

/**
 * By a loop, as whoever computes what it sends: `TypedArray.fill` takes V8 16 times as long in shared memory. The length is read before the loop: where an
 * ArrayBuffer was ever transferred, a loop that reads it each time takes V8 nine times as long.
 */
function fill({ buffer, byteOffset, length }: Uint8Array, value: number): void {
  const words = new Float64Array(buffer, byteOffset, length >>> 3);
  const count = words.length;
  for (let i = 0; i < count; i++) words[i] = value + i;
}

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
      if (touch) fill(loan.bytes, i);
      void client.send(server, 2, loan);
    };
  } else {
    worker.on("message", acknowledge);
    const kept = new ArrayBuffer(bytes);
    send = (i) => {
      const buffer = how === "copy" ? kept : new ArrayBuffer(bytes);
      if (touch) fill(new Uint8Array(buffer), i);
      worker.postMessage(buffer, how === "copy" ? [] : [buffer]);
    };
  }
  const figure = await perMillisecond(async (ms) => {
    const ends = performance.now() + ms;
    let sent = 0;
    // A multiple of what is acknowledged at once.
    while (sent % ACKNOWLEDGED_AT_ONCE !== 0 || performance.now() < ends) {
      while (credit === 0) await wanted.promise;
      credit--;
      send(sent++);
    }
    while (credit < BUFFERS_ON_THE_WAY) await wanted.promise;
    return sent;
  });
  await worker.terminate();
  return figure;
}

const bytes = new Uint8Array(32).fill(7);
const value = { id: 17, name: "some name", list: [1, 2, 3], nested: { ok: true } };

const roundTrips = (name: string, delivery: Delivery, bare?: Record<string, Measure>): Row => ({
  name: `call, 32 bytes, one after the other, ${name}`,
  unit: "us",
  better: "lower",
  ours: () => roundTrip("vipc", delivery, bytes),
  peers: {
    Comlink: () => roundTrip("comlink", delivery, bytes),
    ...bare,
  },
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
  roundTrips("both awake", "adaptive"),
  roundTrips("both parked", "parked"),
  roundTrips("both parked, in their event loops", "eventLoop", { "bare Atomics.waitAsync, no message": bareWaits }),
  rates("32 bytes", bytes),
  rates("values", value),
  ...[1, 64, 1024].map((kilobytes) => handOvers(kilobytes, false)),
  ...[1, 64, 1024].map((kilobytes) => handOvers(kilobytes, true)),
  {
    name: "Comlink over vipc's port, 1000 in flight, values",
    unit: "k/s",
    better: "higher",
    ours: () => rate("comlink-vipc", value),
    peers: {
      "Comlink over a MessagePort": () => rate("comlink", value),
      "Comlink's client alone, nothing copied": clientAlone,
    },
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
