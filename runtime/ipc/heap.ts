/**
 * The shared heap: buffers that processes lend to each other without a copy.
 *
 * ```ts
 * import { Heap } from "wasm-vdso/ipc";
 * import { attach } from "wasm-vdso/process";
 * import vheap from "wasm-vdso/vdso/vheap";
 *
 * const heap = new Heap(attach(vheap));
 * {
 *   using loan = heap.loan(100_000);
 *   loan.bytes.set(frame);
 *   channel.post({ handle: loan.transfer(receiver), length: loan.length });
 * }
 * // In the receiver:
 * using loan = heap.accept(message.handle, message.length);
 * show(loan.bytes);
 * ```
 *
 * The bytes are shared memory: what another process still has a view of, it can still write.
 */
import type { HeapError, HeapStats, VheapApi } from "../../generated/vheap/vheap.js";
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import { vvarOf } from "../loader/attach.ts";

export type { HeapStats } from "../../generated/vheap/vheap.js";

type Refusal = Exclude<HeapError, -1 | -2>;

const REFUSALS: Readonly<Record<Refusal, readonly [code: VdsoErrorCode, expected: string, found: string]>> = {
  [-3]: ["ERR_VDSO_HEAP_SIZE", "at least one byte", "0"],
  [-4]: ["ERR_VDSO_BAD_HANDLE", "a handle", "a number that is none"],
  [-5]: ["ERR_VDSO_DOUBLE_FREE", "a block that is lent", "one that was released already"],
  [-6]: [
    "ERR_VDSO_STALE_HANDLE",
    "a handle that still counts",
    "one of a block that was released or transferred since",
  ],
  [-7]: ["ERR_VDSO_NOT_OWNER", "a block of this process", "one of another process"],
  [-8]: ["ERR_VDSO_IN_TRANSIT", "a block that this process has", "one on its way that nobody has accepted"],
  [-9]: ["ERR_VDSO_NO_PROCESS", "a process that is attached", "none with that pid"],
  [-10]: [
    "ERR_VDSO_RECEIVER_ENDED",
    "a receiver that lives",
    "one that ended when it had the block, which went with it",
  ],
  [-11]: [
    "ERR_VDSO_HEAP_BUSY",
    "a heap at rest",
    "nothing free, but processes in the middle of something, or dead and not reaped",
  ],
  [-12]: ["ERR_VDSO_NOT_ENDED", "a process that has ended", "one that is attached"],
  [-13]: ["ERR_VDSO_HEAP_CORRUPT", "a word that makes sense", "garbage: some process wrote where only the heap may"],
};

/** Attempts while others are in the middle of something; all but the first few with a short sleep before them. */
const BUSY_ATTEMPTS = 256;
const EAGER_ATTEMPTS = 32;
const NAP_MS = 0.1;

/** By attachment, since each part of a program may have a `Heap` of its own. */
const takers = new WeakMap<VheapApi, Set<() => void>>();

/** This process's side of the heap. */
export class Heap {
  /** Handles instead of objects, for code on top that keeps its own: negative results are {@link HeapError}s. */
  readonly api: VheapApi;
  /** The whole vVAR: where `api.offsetOf` points into. */
  readonly memory: Uint8Array<SharedArrayBuffer>;

  /** @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not an API that `attach` returned. */
  constructor(api: VheapApi) {
    this.api = api;
    this.memory = new Uint8Array(vvarOf(api));
  }

  /**
   * Borrows a buffer. What is in it is whatever its last user left.
   *
   * @param bytes - 1 to the size of the heap; the block behind it is the next power of two, at least 64.
   * @throws VdsoError `ERR_VDSO_OUT_OF_MEMORY` - no block of that size, and none can be put together; says what was asked and what is left.
   * @throws VdsoError `ERR_VDSO_HEAP_SIZE` - none, or more than the whole heap.
   * @throws VdsoError `ERR_VDSO_HEAP_BUSY` - nothing was free while others were in the middle of something, for a bounded time.
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - not an integer.
   */
  loan(bytes: number): Loan {
    const handle = this.api.allocate(bytes);
    return new Loan(this, handle > 0 ? handle : this.#insist(bytes, handle), bytes);
  }

  /**
   * Takes over a buffer that another process sent.
   *
   * @param handle - What the sender's {@link Loan.transfer} returned.
   * @param bytes - The part of the block that counts, from its start; of an untrusted sender, too.
   * @throws VdsoError `ERR_VDSO_BAD_HANDLE`, `ERR_VDSO_STALE_HANDLE`, `ERR_VDSO_DOUBLE_FREE` - not, or no longer, a block.
   * @throws VdsoError `ERR_VDSO_NOT_OWNER`, `ERR_VDSO_IN_TRANSIT` - not sent to this process.
   * @throws VdsoError `ERR_VDSO_HEAP_SIZE` - the block holds fewer bytes. It is released.
   */
  accept(handle: number, bytes: number): Loan {
    const capacity = this.#done("accept", handle, this.api.accept(handle));
    if (Number.isInteger(bytes) && bytes >= 0 && bytes <= capacity) return new Loan(this, handle, bytes);
    this.api.release(handle);
    throw new VdsoError(
      "ERR_VDSO_HEAP_SIZE",
      `vheap: expected a length of at most ${capacity} bytes, what the block holds, found ${bytes}; the block was released`,
    );
  }

  /**
   * Frees what an ended process sent to this one without a message that names it. Call it when every message of that process has been taken:
   * until then, nobody can tell which buffers it had sent. Those who get buffers over other ways ({@link beforeDiscard}) take theirs first.
   *
   * @returns how many buffers
   * @throws VdsoError `ERR_VDSO_NOT_ENDED` - it may still send.
   */
  discardFrom(pid: number): number {
    // What comes after this look is not of that process.
    if (!this.api.isAttached(pid)) for (const take of takers.get(this.api) ?? []) take();
    return this.#done("discardFrom", pid, this.api.discardFrom(pid));
  }

  /**
   * For those who get buffers over a way of their own, beside other parts of this process that get some over theirs: called before an ended process's
   * buffers are freed, it has to accept what was sent to it. It must not throw.
   *
   * @returns ends that
   */
  beforeDiscard(take: () => void): () => void {
    const all = takers.get(this.api) ?? new Set();
    takers.set(this.api, all.add(take));
    return () => void all.delete(take);
  }

  /** What is lent, and what is left. Looks at every block. */
  stats(): HeapStats {
    return this.api.stats();
  }

  /** Bytes that a process has, or that are on their way to it. Looks at every block. */
  heldBy(pid: number): number {
    return this.api.heldBy(pid);
  }

  /** @throws VdsoError - what a negative result stands for. */
  refuse(call: string, subject: number, result: number): never {
    const [code, expected, found] = REFUSALS[result as Refusal];
    throw new VdsoError(code, `vheap: ${call}(${subject}): expected ${expected}, found ${found}`);
  }

  #done(call: string, subject: number, result: number): number {
    return result >= 0 ? result : this.refuse(call, subject, result);
  }

  #insist(bytes: number, first: number): number {
    let result = first;
    for (let attempt = 0; result === -11 && attempt < BUSY_ATTEMPTS; attempt++) {
      if (attempt >= EAGER_ATTEMPTS) nap();
      result = this.api.allocate(bytes);
    }
    if (result > 0) return result;
    if (result !== -1 && result !== -2) this.refuse("loan", bytes, result);
    const { freeBytes, freeBlocks, largestBytes, ownedBytes, sentBytes, busyBytes, heapBytes } = this.api.stats();
    if (result === -2) {
      throw new VdsoError(
        "ERR_VDSO_HEAP_SIZE",
        `vheap: expected at most ${heapBytes} bytes, all that it has, found ${bytes}`,
      );
    }
    throw new VdsoError(
      "ERR_VDSO_OUT_OF_MEMORY",
      `vheap: expected room for ${bytes} bytes, found at most ${largestBytes} in one block: ${freeBytes} of ${heapBytes} bytes are free, ` +
        `in ${freeBlocks} blocks; ${ownedBytes} are lent, ${sentBytes} on their way, ${busyBytes} being cut up`,
    );
  }
}

/** A buffer that this process has, until it releases or transfers it. `using` releases it unless it was transferred. */
export class Loan implements Disposable {
  readonly heap: Heap;
  /** Bytes that were asked for, or that the sender named. */
  readonly length: number;
  #handle: number;
  #bytes: Uint8Array<SharedArrayBuffer> | undefined;
  #state: "held" | "sent" | "over" = "held";

  /** Made by {@link Heap.loan} and {@link Heap.accept}. */
  constructor(heap: Heap, handle: number, length: number) {
    this.heap = heap;
    this.#handle = handle;
    this.length = length;
  }

  /** What the heap knows the buffer by; after {@link Loan.transfer}, what its receiver knows it by. */
  get handle(): number {
    return this.#handle;
  }

  /**
   * The buffer. Other processes see what is written here; a view kept beyond {@link Loan.release} or {@link Loan.transfer} shows somebody
   * else's data.
   *
   * @throws VdsoError `ERR_VDSO_STALE_HANDLE` - released or transferred.
   */
  get bytes(): Uint8Array<SharedArrayBuffer> {
    if (this.#state !== "held") this.heap.refuse("bytes", this.#handle, -6);
    if (this.#bytes) return this.#bytes;
    const { api, memory } = this.heap;
    const offset = api.offsetOf(this.#handle);
    if (offset < 0) this.heap.refuse("bytes", this.#handle, offset);
    this.#bytes = new Uint8Array(memory.buffer, offset, this.length);
    return this.#bytes;
  }

  /**
   * Gives the buffer back.
   *
   * @throws VdsoError `ERR_VDSO_DOUBLE_FREE` - it was released already. `ERR_VDSO_STALE_HANDLE` - it was transferred.
   * @throws VdsoError `ERR_VDSO_HEAP_CORRUPT` - somebody wrote garbage over its word; its memory stays out of use.
   */
  release(): void {
    if (this.#state === "sent") this.heap.refuse("release", this.#handle, -6);
    const result = this.heap.api.release(this.#handle);
    if (result < 0) this.heap.refuse("release", this.#handle, result);
    this.#end("over");
  }

  /**
   * Hands the buffer over to another process. Put the result into a message to it, with the length; claim the message's place before, so that
   * nothing can fail after this, or {@link Loan.takeBack} when there is no place.
   *
   * @returns the handle that the receiver accepts
   * @throws VdsoError `ERR_VDSO_NO_PROCESS` - no such process is attached; the buffer stays here.
   * @throws VdsoError `ERR_VDSO_RECEIVER_ENDED` - it ended in this moment; the buffer is gone with it.
   * @throws VdsoError `ERR_VDSO_DOUBLE_FREE`, `ERR_VDSO_STALE_HANDLE` - released or transferred before.
   */
  transfer(pid: number): number {
    if (this.#state === "sent") this.heap.refuse("transfer", this.#handle, -6);
    const handle = this.heap.api.transfer(this.#handle, pid);
    if (handle === -10) this.#end("over");
    if (handle < 0) this.heap.refuse("transfer", handle === -9 ? pid : this.#handle, handle);
    this.#handle = handle;
    this.#end("sent");
    return handle;
  }

  /** What {@link Loan.transfer} will return, for a message that is written before it: then a death in between leaves nothing that nobody knows of. */
  get sentHandle(): number {
    return this.heap.api.sentHandle(this.#handle);
  }

  /**
   * Undoes {@link Loan.transfer}, for when the message could not be sent.
   *
   * @throws VdsoError `ERR_VDSO_NOT_OWNER`, `ERR_VDSO_DOUBLE_FREE`, `ERR_VDSO_STALE_HANDLE` - the receiver has accepted it, or has ended.
   */
  takeBack(): void {
    const result = this.heap.api.takeBack(this.#handle);
    if (result < 0) this.heap.refuse("takeBack", this.#handle, result);
    this.#state = "held";
  }

  /** Releases the buffer, unless it was released or transferred. */
  [Symbol.dispose](): void {
    if (this.#state === "held") this.release();
  }

  #end(state: "sent" | "over"): void {
    this.#state = state;
    this.#bytes = undefined;
  }
}

/** {@link Loan.takeBack} for whoever has something else to report. @returns false: it was refused, mostly since the receiver has the buffer, or has ended with it */
export function tookBack(loan: Loan): boolean {
  try {
    loan.takeBack();
    return true;
  } catch {
    return false;
  }
}

/** Releases what was to be handed over, if it is a loan, and nobody gets it. */
export function giveBack(data: unknown): void {
  if (data instanceof Loan) data[Symbol.dispose]();
}

let napWord: Int32Array<SharedArrayBuffer> | undefined;

/** A moment for others to get on with it. Where this thread must not sleep, none. */
function nap(): void {
  napWord ??= new Int32Array(new SharedArrayBuffer(4));
  try {
    Atomics.wait(napWord, 0, 0, NAP_MS);
  } catch {
    // A page's main thread: the attempts alone have to do.
  }
}
