// Keeps a hundred blocks of mixed sizes, and replaces one after the other.
import { parentPort, workerData } from "node:worker_threads";
import { attach } from "../../dist/runtime/index.js";
import vheap from "../../generated/vheap/vheap.js";

const BLOCKS = 100;
const SIZES = [64, 100, 200, 500, 900, 2000, 4096];
const WARM_UP = 20_000;

const { kind, handle, gate, steps } = workerData;

function fromHeap() {
  const { allocate, release } = attach(vheap, handle);
  const blocks = Array.from({ length: BLOCKS }, () => allocate(64));
  return (count) => {
    for (let i = 0, size = 0; i < count; i++) {
      const at = (i * 37) % BLOCKS;
      if (release(blocks[at]) !== 0) throw new Error("the heap refused to take a block back");
      blocks[at] = allocate(SIZES[size]);
      if (blocks[at] < 0) throw new Error("the heap refused a block");
      if (++size === SIZES.length) size = 0;
    }
  };
}

function fromEngine(Made) {
  const blocks = Array.from({ length: BLOCKS }, () => new Made(64));
  return (count) => {
    for (let i = 0, size = 0; i < count; i++) {
      blocks[(i * 37) % BLOCKS] = new Made(SIZES[size]);
      if (++size === SIZES.length) size = 0;
    }
  };
}

const engine = { SharedArrayBuffer, Uint8Array };
const run = kind === "vheap" ? fromHeap() : fromEngine(engine[kind]);
run(WARM_UP);
Atomics.add(gate, 0, 1);
Atomics.notify(gate, 0);
Atomics.wait(gate, 1, 0);
run(steps);
parentPort.postMessage("done");
