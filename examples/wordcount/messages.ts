/** What reader and counters tell each other: messages about buffers, as items of a vqueue. The bytes themselves stay where they are. */
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import type { Start } from "../../generated/wordcount/wordcount.js";
import { type Process, vvarOf } from "../../runtime/process/index.ts";

export type Message =
  /** A chunk to count. */
  | { readonly kind: "chunk"; readonly buffer: number; readonly bytes: number; readonly start: Start }
  /** A buffer that may be filled again. */
  | { readonly kind: "free"; readonly buffer: number }
  /** There are no more chunks. */
  | { readonly kind: "end" };

const KINDS = ["chunk", "free", "end"] as const;

// 32-bit words of an item: sender, message type and reply type take two each, then come 64 bytes of data.
const KIND = 2;
const BUFFER = 6;
const BYTES = 7;
const START = 8;

/** What vqueue returns below it is no address, but says why there is none: mostly that there is nothing to take, or no room. */
export const FIRST_ADDRESS = 64;

/** How long a process that has nothing to do sleeps before it looks whether it is asked to end. */
const NAP_MS = 100;

export class Messages {
  readonly #queues: VqueueApi;
  readonly #queue: number;
  readonly #words: Uint32Array<SharedArrayBuffer>;

  constructor(queues: VqueueApi, queue: number) {
    this.#queues = queues;
    this.#queue = queue;
    this.#words = new Uint32Array(vvarOf(queues));
  }

  /** There is always room: a queue is longer than there are buffers and processes. */
  send(message: Message): void {
    const item = this.#queues.claim(this.#queue);
    if (item < FIRST_ADDRESS) throw new Error(`queue ${this.#queue} is full`);
    const at = item / Uint32Array.BYTES_PER_ELEMENT;
    this.#words[at + KIND] = KINDS.indexOf(message.kind);
    if (message.kind !== "end") this.#words[at + BUFFER] = message.buffer;
    if (message.kind === "chunk") {
      this.#words[at + BYTES] = message.bytes;
      this.#words[at + START] = message.start;
    }
    this.#queues.commit(this.#queue, item);
  }

  /** Waits for the next message; returns undefined when the process is asked to end. */
  receive(self: Process): Message | undefined {
    while (!self.stopping) {
      const item = this.#queues.take(this.#queue);
      if (item >= FIRST_ADDRESS) {
        const message = this.#read(item / Uint32Array.BYTES_PER_ELEMENT);
        this.#queues.release(this.#queue, item);
        return message;
      }
      this.#queues.waitForItem(this.#queue, NAP_MS);
    }
    return undefined;
  }

  #read(at: number): Message {
    const kind = KINDS[this.#words[at + KIND]!]!;
    if (kind === "end") return { kind };
    const buffer = this.#words[at + BUFFER]!;
    if (kind === "free") return { kind, buffer };
    return { kind, buffer, bytes: this.#words[at + BYTES]!, start: this.#words[at + START] as Start };
  }
}
