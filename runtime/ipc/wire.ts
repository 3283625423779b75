/**
 * Frames: how messages lie in the items of mailboxes.
 *
 * ```
 * item    0 sender's mailbox   4 length u16, flags u16   8 type   12 receiver's local id   16 call   20 sender's local id, window   24 data (64 bytes)
 * flags   0..3 kind   4..5 form   6 the data is 24 handle f64, 32 length u32 of a buffer in the heap   7 the caller takes a stream
 * ```
 * Everything in an item is copied once and checked before it is used: any process could have written it.
 */
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import { VdsoError } from "../errors.ts";
import { vvarOf } from "../loader/attach.ts";
import type { Codec, Replace } from "./codec.ts";
import { FIRST_ADDRESS } from "./failure.ts";
import { type Heap, Loan, tookBack } from "./heap.ts";

export const Kind = {
  Message: 0,
  Call: 1,
  /** The last answer. */
  Reply: 2,
  /** The last answer: an error. */
  Failure: 3,
  /** One answer of a stream. */
  Answer: 4,
  /** The caller has room for more answers: `type` of them. */
  Credit: 5,
  /** A `Cancel` is on its way, for who has no room for what comes before it. */
  Urge: 6,
  /** The sender's mailbox has closed. */
  Gone: 7,
  /** The caller has lost interest: why. */
  Cancel: 8,
  /** As `Failure`, of who got no call, or has closed. */
  Refusal: 9,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** What goes by the urgent lane: a process with no room for more takes it all the same, since it may be what makes room. */
export function isUrgent(kind: number): boolean {
  return kind >= Kind.Credit && kind <= Kind.Gone;
}

export const Form = { None: 0, Bytes: 1, Value: 2 } as const;
export type Form = (typeof Form)[keyof typeof Form];

const FORM_SHIFT = 4;
const LENT = 1 << 6;
const STREAM = 1 << 7;
/** More go into the heap. */
export const INLINE_BYTES = 64;
const WINDOW_SHIFT = 21;
/** Most answers of a stream that may be on their way. */
export const MAX_WINDOW = 2047;

export const Put = { Ok: 0, Full: 1, Gone: 2 } as const;
export type Put = (typeof Put)[keyof typeof Put];

/** Statuses of vqueue that say: not now. */
const FULL = 1;
const BUSY = 10;

/** Where a frame goes, and what it is about. */
export interface Address {
  readonly mailbox: number;
  readonly pid: number;
}

/** A payload, ready to be put. Bytes belong to somebody else until they were copied. */
export interface Payload {
  readonly form: Form;
  readonly bytes: Uint8Array | undefined;
  readonly loan: Loan | undefined;
  /** Was the loan made here? Else it is the sender's, who keeps it when it cannot be sent. */
  readonly own: boolean;
}

export const NOTHING: Payload = { form: Form.None, bytes: undefined, loan: undefined, own: false };

/** A value with what stands in for parts of it. */
export class Substituted {
  readonly value: unknown;
  readonly replace: Replace;
  /** Called when the value cannot be sent: nothing stands in for anything. */
  readonly undo: () => void;

  constructor(value: unknown, replace: Replace, undo: () => void) {
    this.value = value;
    this.replace = replace;
    this.undo = undo;
  }
}

/** A value that the codec has encoded already. */
export class Encoded {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** A frame that was taken: one at a time, overwritten by the next. */
export class Wire {
  readonly queues: VqueueApi;
  readonly heap: Heap;
  readonly codec: Codec;
  readonly inbox: number;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Uint32Array<SharedArrayBuffer>;
  readonly #floats: Float64Array<SharedArrayBuffer>;

  // The frame that was taken last.
  sender = 0;
  kind = 0;
  form = 0;
  lent = false;
  streams = false;
  type = 0;
  to = 0;
  call = 0;
  from = 0;
  window = 0;
  length = 0;
  handle = 0;
  bytes: Uint8Array | undefined;

  constructor(queues: VqueueApi, heap: Heap, codec: Codec, inbox: number) {
    this.queues = queues;
    this.heap = heap;
    this.codec = codec;
    this.inbox = inbox;
    const vvar = vvarOf(queues);
    this.#bytes = new Uint8Array(vvar);
    this.#words = new Uint32Array(vvar);
    this.#floats = new Float64Array(vvar);
  }

  /** Bytes go as they are, a loan is handed over, anything else goes through the codec. What does not fit into an item goes into the heap. */
  pack(data: unknown): Payload {
    if (data === undefined) return NOTHING;
    if (data instanceof Loan) return { form: Form.Bytes, bytes: undefined, loan: data, own: false };
    if (data instanceof Uint8Array) return this.#packBytes(Form.Bytes, data);
    if (data instanceof Encoded) return this.packEncoded(data.bytes);
    if (data instanceof Substituted) return this.#packSubstituted(data);
    return this.packEncoded(this.codec.encode(data));
  }

  #packSubstituted({ value, replace, undo }: Substituted): Payload {
    try {
      return this.packEncoded(this.codec.encode(value, replace));
    } catch (error) {
      undo();
      throw error;
    }
  }

  /** A value's bytes. */
  packEncoded(bytes: Uint8Array): Payload {
    return this.#packBytes(Form.Value, bytes);
  }

  #packBytes(form: Form, bytes: Uint8Array): Payload {
    if (bytes.length <= INLINE_BYTES) return { form, bytes, loan: undefined, own: false };
    const loan = this.heap.loan(bytes.length);
    loan.bytes.set(bytes);
    return { form, bytes: undefined, loan, own: true };
  }

  /** @throws VdsoError - a loan that cannot be handed over; the frame was not sent. */
  put(
    peer: Address,
    kind: Kind,
    type: number,
    to: number,
    call: number,
    from: number,
    payload: Payload,
    window: number,
  ): Put {
    const { queues } = this;
    const { mailbox } = peer;
    const { form, bytes, loan } = payload;
    // Before the claim: a receiver that waits for the slot looks at it again and again, and each look takes its line from who fills it.
    const handle = loan === undefined ? 0 : loan.transfer(peer.pid);
    const urgent = isUrgent(kind);
    const item = urgent ? queues.claimUrgent(mailbox) : queues.claim(mailbox);
    if (item < FIRST_ADDRESS) {
      if (loan && !tookBack(loan)) return Put.Gone;
      return item === FULL || item === BUSY ? Put.Full : Put.Gone;
    }
    const at = item >>> 2;
    const words = this.#words;
    let flags = kind | (form << FORM_SHIFT);
    let length = 0;
    if (window > 0) flags |= STREAM;
    if (loan) {
      flags |= LENT;
      this.#floats[(item + 24) >>> 3] = handle;
      words[at + 8] = loan.length;
    } else if (bytes) {
      length = bytes.length;
      const start = item + 24;
      // A call of `set` costs as much as twenty bytes.
      if (length > 16) this.#bytes.set(bytes, start);
      else for (let k = 0; k < length; k++) this.#bytes[start + k] = bytes[k]!;
    }
    words[at] = this.inbox;
    words[at + 1] = (flags << 16) | length;
    words[at + 2] = type;
    words[at + 3] = to;
    words[at + 4] = call;
    words[at + 5] = from | (window << WINDOW_SHIFT);
    queues.commit(mailbox, item);
    if (urgent) queues.wakeOwners(mailbox);
    // Did the mailbox close around the commit? Then nobody takes the message out, unless somebody just has.
    return loan && queues.statusOf(mailbox) !== 0 && tookBack(loan) ? Put.Gone : Put.Ok;
  }

  /** Gives back what was made for a frame that was not sent. */
  unpack({ loan, own }: Payload): void {
    if (own) loan?.[Symbol.dispose]();
  }

  /** Tells a mailbox that ours has closed, if there is room for that. */
  sayGone(mailbox: number): void {
    const item = this.queues.claimUrgent(mailbox);
    if (item < FIRST_ADDRESS) return;
    const at = item >>> 2;
    this.#words.fill(0, at, at + 6);
    this.#words[at] = this.inbox;
    this.#words[at + 1] = Kind.Gone << 16;
    this.queues.commit(mailbox, item);
    this.queues.wakeOwners(mailbox);
  }

  /** Is the next frame one of those that go by the urgent lane? */
  isUrgentNext(): boolean {
    const next = this.queues.peek(this.inbox);
    return next !== undefined && isUrgent(next.flags & 15);
  }

  /** Takes the next frame out. */
  take(): boolean {
    const { queues, inbox } = this;
    const item = queues.take(inbox);
    if (item < FIRST_ADDRESS) return false;
    const at = item >>> 2;
    const words = this.#words;
    const flags = words[at + 1]! >>> 16;
    this.sender = words[at]!;
    this.kind = flags & 15;
    this.form = (flags >> FORM_SHIFT) & 3;
    this.lent = (flags & LENT) !== 0;
    this.length = words[at + 1]! & 0xffff;
    this.type = words[at + 2]!;
    this.to = words[at + 3]!;
    this.call = words[at + 4]!;
    const source = words[at + 5]!;
    this.from = source & (2 ** WINDOW_SHIFT - 1);
    this.window = source >>> WINDOW_SHIFT;
    this.streams = (flags & STREAM) !== 0;
    this.bytes = undefined;
    if (this.lent) {
      this.handle = this.#floats[(item + 24) >>> 3]!;
      this.length = words[(item + 32) >>> 2]!;
    } else if (this.form !== Form.None) {
      const start = item + 24;
      const bytes = new Uint8Array(Math.min(this.length, INLINE_BYTES));
      // `slice` of shared memory costs more than all of it.
      for (let k = 0; k < bytes.length; k++) bytes[k] = this.#bytes[start + k]!;
      this.bytes = bytes;
    }
    queues.release(inbox, item);
    return true;
  }

  /**
   * The buffer that came with the frame; undefined when none did.
   *
   * @throws VdsoError `ERR_VDSO_GARBAGE` - no such buffer was sent to this process, or the frame makes no sense.
   */
  accept(): Loan | undefined {
    if (this.form === 3 || (!this.lent && this.length > INLINE_BYTES)) {
      if (this.lent) this.discard();
      throw new VdsoError("ERR_VDSO_GARBAGE", `expected a payload, found form ${this.form} and length ${this.length}`);
    }
    if (!this.lent) return undefined;
    try {
      return this.heap.accept(this.handle, this.length);
    } catch (cause) {
      const { message } = cause as Error;
      throw new VdsoError("ERR_VDSO_GARBAGE", `expected a buffer sent to this process: ${message}`, { cause });
    }
  }

  /** Gives back the buffer of a frame that nobody wants. */
  discard(): void {
    if (this.lent && this.heap.api.accept(this.handle) > 0) this.heap.api.release(this.handle);
  }
}
