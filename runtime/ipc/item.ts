/** A view on an item in a slot: reads and writes go straight to the vVAR, nothing is allocated. */
import { VdsoError } from "../errors.ts";

/** Bytes of data in an item. */
export const DATA_BYTES = 64;

// Bytes from the item's address; see vdso-src/vqueue/layout.ts.
const LENGTH = 4;
const FLAGS = 6;
const MESSAGE_TYPE = 8;
const REPLY_TYPE = 16;
const DATA = 24;
const TWO_32 = 2 ** 32;

/** Views on a whole vVAR, made once. */
export interface Views {
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly f64: Float64Array;
  readonly u64: BigUint64Array;
}

export function viewsOf(buffer: ArrayBufferLike): Views {
  return {
    u8: new Uint8Array(buffer),
    u16: new Uint16Array(buffer),
    u32: new Uint32Array(buffer),
    i32: new Int32Array(buffer),
    f64: new Float64Array(buffer),
    u64: new BigUint64Array(buffer),
  };
}

/**
 * The item that a mailbox's `claim()` or `take()` got last: one object for each, pointed at the next slot by the next call. Do not keep it beyond
 * `commit()` or `release()`; others use the slot then.
 */
export class Item {
  /** Address in the vVAR; 0 when the item is done with. */
  at = 0;
  readonly #views: Views;

  constructor(views: Views) {
    this.#views = views;
  }

  get sender(): number {
    return this.#views.u32[this.at >>> 2]!;
  }
  set sender(value: number) {
    this.#views.u32[this.at >>> 2] = value;
  }

  /** Bytes of data that count; up to 64. */
  get length(): number {
    return Math.min(this.#views.u16[(this.at + LENGTH) >>> 1]!, DATA_BYTES);
  }
  set length(value: number) {
    this.#views.u16[(this.at + LENGTH) >>> 1] = value;
  }

  get flags(): number {
    return this.#views.u16[(this.at + FLAGS) >>> 1]!;
  }
  set flags(value: number) {
    this.#views.u16[(this.at + FLAGS) >>> 1] = value;
  }

  /** Exact up to 2^53; beyond, see {@link Item.messageTypeBig}. */
  get messageType(): number {
    return this.#wide(MESSAGE_TYPE);
  }
  set messageType(value: number) {
    this.#setWide(MESSAGE_TYPE, value);
  }

  get messageTypeBig(): bigint {
    return this.#views.u64[(this.at + MESSAGE_TYPE) >>> 3]!;
  }
  set messageTypeBig(value: bigint) {
    this.#views.u64[(this.at + MESSAGE_TYPE) >>> 3] = value;
  }

  /** Exact up to 2^53; beyond, see {@link Item.replyTypeBig}. */
  get replyType(): number {
    return this.#wide(REPLY_TYPE);
  }
  set replyType(value: number) {
    this.#setWide(REPLY_TYPE, value);
  }

  get replyTypeBig(): bigint {
    return this.#views.u64[(this.at + REPLY_TYPE) >>> 3]!;
  }
  set replyTypeBig(value: bigint) {
    this.#views.u64[(this.at + REPLY_TYPE) >>> 3] = value;
  }

  /** The `index`th 32-bit word of the data, 0 to 15. */
  getUint32(index: number): number {
    return this.#views.u32[((this.at + DATA) >>> 2) + (index & 15)]!;
  }
  setUint32(index: number, value: number): void {
    this.#views.u32[((this.at + DATA) >>> 2) + (index & 15)] = value;
  }

  /** The `index`th double of the data, 0 to 7. */
  getFloat64(index: number): number {
    return this.#views.f64[((this.at + DATA) >>> 3) + (index & 7)]!;
  }
  setFloat64(index: number, value: number): void {
    this.#views.f64[((this.at + DATA) >>> 3) + (index & 7)] = value;
  }

  /** A copy of the bytes that count. */
  bytes(): Uint8Array<ArrayBuffer> {
    const start = this.at + DATA;
    return new Uint8Array(this.#views.u8.subarray(start, start + this.length));
  }

  /** Copies bytes in, and sets the length. @throws VdsoError `ERR_VDSO_ITEM_LENGTH` - more than 64. */
  setBytes(bytes: Uint8Array): void {
    checkLength(bytes);
    this.#views.u8.set(bytes, this.at + DATA);
    this.length = bytes.length;
  }

  #wide(offset: number): number {
    const word = (this.at + offset) >>> 2;
    return this.#views.u32[word]! + this.#views.u32[word + 1]! * TWO_32;
  }

  #setWide(offset: number, value: number): void {
    const word = (this.at + offset) >>> 2;
    this.#views.u32[word] = value;
    this.#views.u32[word + 1] = value / TWO_32;
  }
}

/** A message outside of the vVAR. */
export interface Message {
  readonly messageType: number;
  /** Default: 0. */
  readonly replyType?: number;
  /** Default: the sending process's pid. */
  readonly sender?: number;
  /** 16 bits for the application. Default: 0. */
  readonly flags?: number;
  /** Up to 64 bytes. Default: none. */
  readonly data?: Uint8Array;
}

/** @throws VdsoError `ERR_VDSO_ITEM_LENGTH` - more than 64 bytes. */
export function checkLength(bytes: Uint8Array | undefined): void {
  if (bytes === undefined || bytes.length <= DATA_BYTES) return;
  throw new VdsoError("ERR_VDSO_ITEM_LENGTH", `expected at most ${DATA_BYTES} bytes of data, found ${bytes.length}`);
}

export function write(item: Item, message: Message, sender: number): void {
  item.sender = message.sender ?? sender;
  item.flags = message.flags ?? 0;
  item.messageType = message.messageType;
  item.replyType = message.replyType ?? 0;
  if (message.data === undefined) item.length = 0;
  else item.setBytes(message.data);
}

export function read(item: Item): Required<Message> {
  const { messageType, replyType, sender, flags } = item;
  return { messageType, replyType, sender, flags, data: item.bytes() };
}
