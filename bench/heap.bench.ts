/** Borrowing and giving back, against the two ways to get memory that every engine has: memory that can be shared, and memory that cannot. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import vheap from "../generated/vheap/vheap.js";
import { type Group, nanosecondsEach, type Row } from "./group.ts";
import { loadPackage } from "./package.ts";

type Kind = "vheap" | "SharedArrayBuffer" | "Uint8Array";

/** Shared words of the threads: how many are ready, go. */
const [READY, GO, GATE_WORDS] = [0, 1, 2];

/** Millions of pairs each second: borrow one block, give it back. */
async function pairs(size: number): Promise<number> {
  const { map } = await loadPackage();
  const { allocate, release } = (await map(vheap)).attach();
  const nanoseconds = nanosecondsEach(2_000_000, (n) => {
    let refused = 0;
    for (let i = 0; i < n; i++) refused += release(allocate(size));
    if (refused !== 0) throw new Error("the heap refused");
    return refused;
  });
  return 1000 / nanoseconds;
}

function made(make: (size: number) => { readonly byteLength: number }, size: number): number {
  const nanoseconds = nanosecondsEach(200_000, (n) => {
    let bytes = 0;
    for (let i = 0; i < n; i++) bytes += make(size).byteLength;
    return bytes;
  });
  return 1000 / nanoseconds;
}

function onePair(size: number, name: string): Row {
  return {
    name: `allocate and release ${name}`,
    unit: "M/s",
    better: "higher",
    ours: () => pairs(size),
    peers: {
      SharedArrayBuffer: () => made((bytes) => new SharedArrayBuffer(bytes), size),
      Uint8Array: () => made((bytes) => new Uint8Array(bytes), size),
    },
  };
}

/** Millions of pairs each second in all, each thread with a hundred blocks of 64 bytes to 4 KiB at a time. */
async function churn(kind: Kind, threads: number): Promise<number> {
  const { map } = await loadPackage();
  const { handle } = await map(vheap);
  const gate = new Int32Array(new SharedArrayBuffer(GATE_WORDS * Int32Array.BYTES_PER_ELEMENT));
  const steps = (kind === "vheap" ? 4_000_000 : 400_000) / threads;
  const workerData = { kind, handle, gate, steps };
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL("./workers/heap.js", import.meta.url), { workerData }),
  );
  try {
    const answers = Promise.all(workers.map((worker) => once(worker, "message")));
    while (Atomics.load(gate, READY) < threads) {
      await Atomics.waitAsync(gate, READY, Atomics.load(gate, READY), 1000).value;
    }
    const began = performance.now();
    Atomics.store(gate, GO, 1);
    Atomics.notify(gate, GO);
    await answers;
    return (steps * threads) / (performance.now() - began) / 1000;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function mixed(threads: number): Row {
  return {
    name: `64 bytes to 4 KiB, 100 blocks a thread, ${threads} thread${threads > 1 ? "s" : ""}`,
    unit: "M/s",
    better: "higher",
    ours: () => churn("vheap", threads),
    peers: {
      SharedArrayBuffer: () => churn("SharedArrayBuffer", threads),
      Uint8Array: () => churn("Uint8Array", threads),
    },
  };
}

const group: Group = [onePair(64, "64 bytes"), onePair(4096, "4 KiB"), onePair(65536, "64 KiB"), mixed(1), mixed(4)];

export default group;
