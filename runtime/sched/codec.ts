/**
 * Values in a task's bytes: arguments on the way in, a result or an error on the way out.
 *
 * A tag byte, then what it needs: numbers as 8 bytes (small integers as 4), text as UTF-8 behind its length, arrays and objects as a count
 * and their members. Little endian, as wasm is. What comes back is a new value; functions and symbols cannot be sent, cycles neither.
 */
import { VdsoError } from "../errors.ts";

const Tag = {
  Undefined: 0,
  Null: 1,
  False: 2,
  True: 3,
  Int: 4,
  Float: 5,
  BigInt: 6,
  Text: 7,
  Array: 8,
  Object: 9,
  Bytes: 10,
  Date: 11,
  Error: 12,
  Map: 13,
  Set: 14,
} as const;

const MAX_DEPTH = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export class Writer {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #end = 0;
  #at = 0;
  #depth = 0;
  // encodeInto takes no shared memory.
  readonly #scratch: Uint8Array<ArrayBuffer>;

  /** For values of at most `maxBytes` bytes in a buffer. */
  constructor(buffer: SharedArrayBuffer, maxBytes: number) {
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
    this.#scratch = new Uint8Array(maxBytes);
  }

  /**
   * Writes a value at a place of the buffer.
   *
   * @returns bytes written
   * @throws VdsoError `ERR_VDSO_TOO_LARGE` - it does not fit.
   * @throws VdsoError `ERR_VDSO_SERIALIZE` - a function, a symbol, or nested too deeply (or in a circle).
   */
  write(at: number, value: unknown): number {
    this.#at = at;
    this.#end = at + this.#scratch.length;
    this.#depth = 0;
    this.#value(value);
    return this.#at - at;
  }

  #value(value: unknown): void {
    if (value === null) this.#byte(Tag.Null);
    else if (value === undefined) this.#byte(Tag.Undefined);
    else if (typeof value === "boolean") this.#byte(value ? Tag.True : Tag.False);
    else if (typeof value === "number") this.#number(value);
    else if (typeof value === "object") this.#object(value);
    else if (typeof value === "string") {
      this.#byte(Tag.Text);
      this.#text(value);
    } else if (typeof value === "bigint") {
      this.#byte(Tag.BigInt);
      this.#text(value.toString(16));
    } else {
      throw new VdsoError(
        "ERR_VDSO_SERIALIZE",
        `expected a value that can be sent to another thread, found a ${typeof value}`,
      );
    }
  }

  #object(value: object): void {
    if (++this.#depth > MAX_DEPTH) {
      throw new VdsoError(
        "ERR_VDSO_SERIALIZE",
        `expected values nested at most ${MAX_DEPTH} deep, found a deeper one or a circle`,
      );
    }
    if (Array.isArray(value)) this.#list(Tag.Array, value);
    else if (value instanceof Uint8Array) this.#blob(value);
    else if (value instanceof Date) {
      this.#byte(Tag.Date);
      this.#float(value.getTime());
    } else if (value instanceof Error) {
      this.#byte(Tag.Error);
      const { name, message, stack, code } = value as Error & { code?: unknown };
      this.#list(Tag.Array, [name, message, stack, code === undefined ? undefined : String(code)]);
    } else if (value instanceof Map) this.#list(Tag.Map, [...value].flat());
    else if (value instanceof Set) this.#list(Tag.Set, [...value]);
    else {
      const entries = Object.entries(value);
      this.#byte(Tag.Object);
      this.#word(entries.length);
      for (const [key, member] of entries) {
        this.#text(key);
        this.#value(member);
      }
    }
    this.#depth--;
  }

  #list(tag: number, members: readonly unknown[]): void {
    this.#byte(tag);
    this.#word(members.length);
    for (const member of members) this.#value(member);
  }

  #blob(bytes: Uint8Array): void {
    this.#byte(Tag.Bytes);
    this.#word(bytes.length);
    this.#need(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #number(value: number): void {
    if ((value | 0) === value && !Object.is(value, -0)) {
      this.#byte(Tag.Int);
      this.#word(value);
    } else {
      this.#byte(Tag.Float);
      this.#float(value);
    }
  }

  #text(text: string): void {
    const { read, written } = encoder.encodeInto(text, this.#scratch);
    if (read < text.length) this.#need(Number.POSITIVE_INFINITY);
    this.#word(written);
    this.#need(written);
    this.#bytes.set(this.#scratch.subarray(0, written), this.#at);
    this.#at += written;
  }

  #byte(value: number): void {
    this.#need(1);
    this.#view.setUint8(this.#at++, value);
  }

  #word(value: number): void {
    this.#need(4);
    this.#view.setInt32(this.#at, value, true);
    this.#at += 4;
  }

  #float(value: number): void {
    this.#need(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  #need(bytes: number): void {
    if (this.#at + bytes <= this.#end) return;
    throw new VdsoError(
      "ERR_VDSO_TOO_LARGE",
      `expected a value of at most ${this.#scratch.length} bytes, found a larger one`,
    );
  }
}

/** Reads what {@link Writer} wrote. Never reads outside; bytes that make no sense are an error. */
export class Reader {
  readonly #shared: Uint8Array;
  // A copy: another thread may write there, and what was checked has to be what is used.
  readonly #bytes: Uint8Array<ArrayBuffer>;
  readonly #view: DataView;
  #at = 0;
  #end = 0;

  /** For values of at most `maxBytes` bytes in a buffer. */
  constructor(buffer: SharedArrayBuffer, maxBytes: number) {
    this.#shared = new Uint8Array(buffer);
    this.#bytes = new Uint8Array(maxBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  /** @throws VdsoError `ERR_VDSO_SERIALIZE` - these are not bytes of a value. */
  read(from: number, bytes: number): unknown {
    this.#at = 0;
    this.#end = Math.min(bytes, this.#bytes.length);
    this.#bytes.set(this.#shared.subarray(from, from + this.#end));
    try {
      return this.#value();
    } catch (error) {
      if (error instanceof RangeError) throw damaged();
      throw error;
    }
  }

  #value(): unknown {
    if (this.#at >= this.#end) throw damaged();
    const tag = this.#view.getUint8(this.#at++);
    switch (tag) {
      case Tag.Undefined:
        return undefined;
      case Tag.Null:
        return null;
      case Tag.False:
        return false;
      case Tag.True:
        return true;
      case Tag.Int:
        return this.#word();
      case Tag.Float:
        return this.#float();
      case Tag.BigInt:
        return this.#bigint();
      case Tag.Text:
        return this.#text();
      case Tag.Array:
        return this.#members();
      case Tag.Object:
        return this.#object();
      case Tag.Bytes:
        return this.#take(this.#word()).slice();
      case Tag.Date:
        return new Date(this.#float());
      case Tag.Error:
        return this.#error();
      case Tag.Map: {
        const flat = this.#members();
        return new Map(Array.from({ length: flat.length >> 1 }, (_, i) => [flat[2 * i], flat[2 * i + 1]]));
      }
      case Tag.Set:
        return new Set(this.#members());
      default:
        throw damaged();
    }
  }

  #members(): unknown[] {
    const count = this.#word();
    const members: unknown[] = [];
    // A count that lies ends with the bytes.
    for (let i = 0; i < count; i++) members.push(this.#value());
    return members;
  }

  #object(): object {
    const count = this.#word();
    const entries: [string, unknown][] = [];
    for (let i = 0; i < count; i++) entries.push([this.#text(), this.#value()]);
    // Not by assignment: a key may be "__proto__".
    return Object.fromEntries(entries);
  }

  #error(): Error {
    this.#at++;
    const [name, message, stack, code] = this.#members();
    const error =
      code !== undefined && String(code).startsWith("ERR_VDSO_")
        ? new VdsoError(String(code) as `ERR_VDSO_${string}`, String(message))
        : new Error(String(message));
    if (name !== "Error" && error.name !== name)
      Object.defineProperty(error, "name", { value: String(name), configurable: true });
    if (typeof stack === "string") error.stack = stack;
    return error;
  }

  #bigint(): bigint {
    const text = this.#text();
    if (!/^-?[0-9a-f]+$/.test(text)) throw damaged();
    return text.startsWith("-") ? -BigInt(`0x${text.slice(1)}`) : BigInt(`0x${text}`);
  }

  #text(): string {
    return decoder.decode(this.#take(this.#word()));
  }

  #take(bytes: number): Uint8Array<ArrayBuffer> {
    if (bytes < 0 || this.#at + bytes > this.#end) throw damaged();
    const taken = this.#bytes.subarray(this.#at, this.#at + bytes);
    this.#at += bytes;
    return taken;
  }

  #word(): number {
    const value = this.#view.getInt32(this.#at, true);
    this.#at += 4;
    return value;
  }

  #float(): number {
    const value = this.#view.getFloat64(this.#at, true);
    this.#at += 8;
    return value;
  }
}

function damaged(): VdsoError {
  return new VdsoError("ERR_VDSO_SERIALIZE", "expected the bytes of a value, found others");
}
