/** Items of 88 bytes through queues between threads, from JavaScript, the whole payload written and read. */

import { once } from "node:events";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { RingBuffer } from "ringbuf.js";
import vqueue, { Policy } from "../generated/vqueue/vqueue.js";
import { type Group, median, nanosecondsEach, type SeparateRow } from "./group.ts";
import { bareExports, imageBytes, loadPackage } from "./package.ts";

type Kind = "vqueue" | "ring" | "port" | "array" | "stamps";

interface Load {
  readonly kind: Kind;
  /** Producers, and as many consumers. */
  readonly pairs: number;
  /** Items that one call sends or receives. */
  readonly batch: number;
}

/** Doubles: 88 bytes. */
const WORDS = 11;
const LENGTH = 4096;
const BATCH = 32;
/** Items in all: some half a second, so that no compiler is at work for a part of it that counts; without a bound messages pile up. */
const ITEMS = { vqueue: 16_000_000, ring: 3_000_000, port: 200_000, array: 16_000_000, stamps: 16_000_000 } as const;

/** Shared words of the threads: how many are ready, go, how many producers have finished. */
const [READY, GO, GATE_WORDS] = [0, 1, 3];

interface Ends {
  /** What each producer and each consumer gets besides its role. */
  readonly producer: (index: number) => object;
  readonly consumer: (index: number) => object;
}

async function connect(kind: Kind, pairs: number): Promise<Ends> {
  if (kind === "vqueue") {
    const { map } = await loadPackage();
    const mapping = await map(vqueue);
    const { handle } = mapping;
    const queue = mapping.attach().register(Policy.Fail, true);
    const both = () => ({ handle, queue });
    return { producer: both, consumer: both };
  }
  // One connection for each producer and consumer: these join exactly two threads.
  if (kind === "ring") {
    const rings = grid(pairs, () => RingBuffer.getStorageForCapacity(WORDS * LENGTH, Float64Array));
    return {
      producer: (index) => ({ rings: rings[index] }),
      consumer: (index) => ({ rings: rings.map((row) => row[index]) }),
    };
  }
  if (kind === "array" || kind === "stamps") {
    const array = new SharedArrayBuffer((32 + 12 * LENGTH) * Float64Array.BYTES_PER_ELEMENT);
    const both = () => ({ array });
    return { producer: both, consumer: both };
  }
  const channels = grid(pairs, () => new MessageChannel());
  return {
    producer: (index) => ({ ports: channels[index]!.map(({ port1 }) => port1) }),
    consumer: (index) => ({ ports: channels.map((row) => row[index]!.port2) }),
  };
}

function grid<T>(size: number, make: () => T): T[][] {
  return Array.from({ length: size }, () => Array.from({ length: size }, make));
}

/** Million items per second. */
async function throughput({ kind, pairs, batch }: Load): Promise<number> {
  const { producer, consumer } = await connect(kind, pairs);
  const gate = new Int32Array(new SharedArrayBuffer(GATE_WORDS * Int32Array.BYTES_PER_ELEMENT));
  const items = ITEMS[kind] / pairs;
  const common = { kind, gate, items, batch, producers: pairs, consumers: pairs };
  const start = (role: string, own: { ports?: MessagePort[] }) =>
    new Worker(new URL("./workers/queue.js", import.meta.url), {
      workerData: { ...common, role, ...own },
      transferList: own.ports ?? [],
    });
  const workers = Array.from({ length: pairs }, (_, index) => [
    start("producer", producer(index)),
    start("consumer", consumer(index)),
  ]).flat();
  try {
    const answers = Promise.all(workers.map((worker) => once(worker, "message")));
    while (Atomics.load(gate, READY) < workers.length) {
      await Atomics.waitAsync(gate, READY, Atomics.load(gate, READY), 1000).value;
    }
    const began = performance.now();
    Atomics.store(gate, GO, 1);
    Atomics.notify(gate, GO);
    const sums = (await answers).map(([sum]) => sum as number);
    const seconds = (performance.now() - began) / 1000;
    verify(sums, items, pairs);
    return (items * pairs) / seconds / 1e6;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

/** Every word arrived, once. */
function verify(sums: readonly number[], items: number, producers: number): void {
  let each = 0;
  for (let i = 0; i < items; i++) each += WORDS * i + (WORDS * (WORDS - 1)) / 2;
  const found = sums.reduce((total, sum) => total + sum, 0);
  const expected = each * producers;
  if (found !== expected) throw new Error(`expected a sum of ${expected}, found ${found}`);
}

const through = (kind: Kind, pairs: number, batch: number) => () => throughput({ kind, pairs, batch });

/** What two threads reach that do nothing but write and read typed arrays. */
const bare = (batch: number) => ({
  "bare typed arrays": through("array", 1, batch),
  // Both sides read and write a word of each item, as in any queue that more than two threads share.
  "bare typed arrays, a word an item": through("stamps", 1, batch),
});

function row(pairs: number): SeparateRow {
  const peers = { postMessage: through("port", pairs, 1), "ringbuf.js": through("ring", pairs, 1) };
  return {
    name: `${pairs} to ${pairs} threads, 88 bytes`,
    unit: "M/s",
    better: "higher",
    ours: through("vqueue", pairs, 1),
    peers: pairs === 1 ? { ...peers, ...bare(1) } : peers,
  };
}

/** To see whether many threads bring it down. */
function crowd(pairs: number): SeparateRow {
  const name = `${pairs} to ${pairs} threads, 88 bytes, vqueue alone`;
  return { name, unit: "M/s", better: "higher", ours: through("vqueue", pairs, 1), peers: {} };
}

/** What the loops inside WebAssembly are compared with: the yardsticks in `bench/vdso`. */
const YARDSTICKS = { "bare Vyukov": "vyukov", "the same without owners and reaping": "unguarded" } as const;
const LOOPS = "queueloops";

/** Short rounds, image after image: which cores the threads have, and what else these do, is the same for all of them then. */
const ROUNDS = 100;
const ROUND_ITEMS = 20_000;

/** One producer and one consumer, each a loop inside WebAssembly: nanoseconds an item, by image. */
async function insideWasm(images: readonly string[], batch: number): Promise<number[]> {
  const systems = images.map((image) => ({
    module: new WebAssembly.Module(new Uint8Array(imageBytes(image))),
    vvar: new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true }),
    mailbox: 0,
  }));
  for (const system of systems) system.mailbox = await setUp(system.module, system.vvar);
  const gate = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
  const workers = ["produce", "consume"].map(
    (role, index) =>
      new Worker(new URL("./workers/wasm-queue.js", import.meta.url), {
        workerData: { systems, gate, role, batch, pid: index + 2, rounds: ROUNDS, items: ROUND_ITEMS },
      }),
  );
  try {
    const answers = await Promise.all(workers.map((worker) => once(worker, "message")));
    return answers.at(-1)![0] as number[];
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

const PAGES = 600;
const SETTER_UP = 1;

type Exports = Record<string, (...args: number[]) => number>;

async function enter(module: WebAssembly.Module, vvar: WebAssembly.Memory): Promise<Exports> {
  return (await bareExports(module, vvar)) as Exports;
}

/** @returns the mailbox that the loops use; the yardsticks have one only */
async function setUp(module: WebAssembly.Module, vvar: WebAssembly.Memory): Promise<number> {
  const api = await enter(module, vvar);
  api["init"]?.();
  api["processInit"]?.(SETTER_UP);
  return api["register"]?.(Policy.Fail, 1) ?? 0;
}

/** One thread that sends and receives in turn: nanoseconds a pair, by image. */
async function pushPop(images: readonly string[]): Promise<number[]> {
  const loops = await Promise.all(
    images.map(async (image) => {
      const module = new WebAssembly.Module(new Uint8Array(imageBytes(image)));
      const vvar = new WebAssembly.Memory({ initial: PAGES, maximum: PAGES, shared: true });
      const mailbox = await setUp(module, vvar);
      const api = await enter(module, vvar);
      api["processInit"]?.(SETTER_UP + 1);
      return () => Number(api["pushPop"]!(mailbox, ROUND_ITEMS));
    }),
  );
  const times: number[][] = loops.map(() => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, loop] of loops.entries()) times[index]!.push(nanosecondsEach(ROUND_ITEMS, loop, 1));
  }
  return times.map(median);
}

const group: Group = [
  row(1),
  {
    name: `1 to 1 threads, 88 bytes, batches of ${BATCH}`,
    unit: "M/s",
    better: "higher",
    ours: through("vqueue", 1, BATCH),
    peers: {
      "postMessage, single items": through("port", 1, 1),
      "ringbuf.js, single items": through("ring", 1, 1),
      "ringbuf.js": through("ring", 1, BATCH),
      ...bare(BATCH),
    },
  },
  row(2),
  crowd(4),
  crowd(8),
  {
    name: "1 to 1, loops inside WebAssembly",
    unit: "ns an item",
    better: "lower",
    against: Object.keys(YARDSTICKS),
    together: () => insideWasm([LOOPS, ...Object.values(YARDSTICKS)], 1),
  },
  {
    name: `1 to 1, loops inside WebAssembly, batches of ${BATCH}`,
    unit: "ns an item",
    better: "lower",
    against: ["bare Vyukov, single items"],
    together: () => insideWasm([LOOPS, "vyukov"], BATCH),
  },
  {
    name: "push and pop, one thread, inside WebAssembly",
    unit: "ns",
    better: "lower",
    against: Object.keys(YARDSTICKS),
    together: () => pushPop([LOOPS, ...Object.values(YARDSTICKS)]),
  },
];

export default group;
