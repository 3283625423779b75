/** The service: `main.ts` spawns this file. Clients import its type alone. */
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { expose, Heap, Ipc } from "../../runtime/ipc/index.ts";
import { attach, type Process } from "../../runtime/process/index.ts";

const ipc = new Ipc({ queues: attach(vqueue), heap: new Heap(attach(vheap)), names: attach(vnames) });

export interface Size {
  readonly width: number;
  readonly height: number;
}

const images = {
  /** An asynchronous function: the caller awaits it. */
  async sizeOf(name: string): Promise<Size> {
    await new Promise((resolve) => setImmediate(resolve));
    if (!/\.png$/.test(name)) throw new TypeError(`${name} is no image`);
    return { width: 640, height: 480 };
  },

  /** Many results: the caller reads them with `for await`, and we are a few rows ahead of it at most. */
  async *rows({ width, height }: Size): AsyncGenerator<number[]> {
    for (let row = 0; row < height; row++) yield Array.from({ length: width }, (_, column) => row ^ column);
  },

  /** A callback, which runs where the caller is, and a signal that the caller aborts. */
  async render(frames: number, progress: (done: number) => void, signal: AbortSignal): Promise<string> {
    for (let frame = 1; frame <= frames; frame++) {
      await new Promise((resolve) => setImmediate(resolve));
      signal.throwIfAborted();
      await progress(frame);
    }
    return `${frames} frames`;
  },
};

export type Images = typeof images;

/** Pixels go by an entity of their own, without a copy: what is sent is a buffer in shared memory, and the answer is the same one. */
export const INVERT = 1;

export default async function main({ signal }: Process): Promise<void> {
  // Serving keeps the process alive until the kernel shuts down, or kills it.
  signal.addEventListener("abort", () => ipc.close());
  const pixels = ipc.entity().serve((message) => {
    const loan = message.takeLoan();
    if (message.type !== INVERT || !loan) throw new TypeError("expected pixels in a buffer of the heap");
    const { bytes } = loan;
    for (let at = 0; at < bytes.length; at++) bytes[at] = 255 - bytes[at]!;
    return loan;
  });
  await ipc.register("pixels", pixels);
  await expose(ipc, "images", images);
}
