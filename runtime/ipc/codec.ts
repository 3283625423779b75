/**
 * Turns values into bytes and back: what structured clone knows, and a place for what it does not.
 *
 * ```ts
 * const copy = structured.decode(structured.encode({ when: new Date(), tags: new Set(["a"]) }));
 * ```
 *
 * Our own format. The engine's serializer is Node's only, says nothing of where a value cannot be sent, and takes ten times as long for the small
 * values that calls are made of: with it 1000 calls in flight are 1.4 times as many as Comlink's, with ours 12 times. msgpackr, told to keep what structured
 * clone keeps, takes twice as long as ours, and changes without a word what it does not know: functions, promises, -0, holes, lone surrogates, integers
 * beyond 64 bits, an error's code. Bytes from others are not trusted: whatever they hold, decoding ends with a value or a VdsoError.
 */
import { VdsoError } from "../errors.ts";
import { Loan } from "./heap.ts";

/** What stands in for a function, or an object of some class; undefined: nothing does. */
export type Replace = (value: object) => unknown;
/** What a stand-in stands for. */
export type Revive = (token: unknown) => unknown;

export interface Codec {
  /**
   * @returns bytes that count until the next call
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent.
   */
  encode(value: unknown, replace?: Replace): Uint8Array;
  /**
   * @param bytes - They count until this returns: what is kept of them has to be copied.
   * @throws VdsoError `ERR_VDSO_GARBAGE` - these are not bytes that `encode` made.
   */
  decode(bytes: Uint8Array, revive?: Revive): unknown;
}

const Tag = {
  Undefined: 0,
  Null: 1,
  True: 2,
  False: 3,
  Int: 4,
  Float: 5,
  BigInt: 6,
  Ascii: 7,
  Utf8: 8,
  Utf16: 9,
  Array: 10,
  Object: 11,
  Seen: 12,
  Date: 13,
  Map: 14,
  Set: 15,
  Buffer: 16,
  View: 17,
  Error: 18,
  RegExp: 19,
  Hole: 20,
  Token: 21,
  /** Of an object's members. */
  End: 22,
} as const;

const SHORT_TEXT = 127;
const MAX_DEPTH = 1000;
const FIRST_BYTES = 4096;
/** What engines take. */
const MAX_DIGITS = 2 ** 28;
/** Beyond it a Map finds what was seen before faster than a look at all of it. */
const FEW = 12;

/** Room for so many stays. */
const MOST_KEPT = 1024;
const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Characters of a path in an error. */
const LONGEST_PATH = 200;
const LONGEST_KEY = 32;
/** A power of two. */
const KNOWN_KEYS = 1024;
const knownKeys: (string | undefined)[] = new Array(KNOWN_KEYS).fill(undefined);

const VIEWS = [
  Uint8Array,
  Int8Array,
  Uint8ClampedArray,
  Uint16Array,
  Int16Array,
  Uint32Array,
  Int32Array,
  Float32Array,
  Float64Array,
  BigUint64Array,
  BigInt64Array,
  DataView,
] as const;

/** A map: a name may be one of those that every object has. */
const ERRORS: ReadonlyMap<string, ErrorConstructor> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

const { hasOwnProperty: hasOwn } = Object.prototype;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A part that cannot be sent. Whatever it is in adds where on the way out. */
class Refusal {
  readonly #what: string;
  readonly #cause: unknown;
  #path = "";

  constructor(what: string, cause?: unknown) {
    this.#what = what;
    this.#cause = cause;
  }

  within(key: string | number): this {
    this.#path = step(key) + this.#path;
    return this;
  }

  asError(): VdsoError {
    const path = this.#path;
    const shown =
      path.length > LONGEST_PATH ? `${path.slice(0, LONGEST_PATH / 2)}...${path.slice(-LONGEST_PATH / 2)}` : path;
    return new VdsoError(
      "ERR_VDSO_NOT_CLONABLE",
      `value${shown}: expected something that can be sent, found ${this.#what}`,
      this.#cause === undefined ? undefined : { cause: this.#cause },
    );
  }
}

/** What replaces parts of a value has thrown: that is its caller's affair. */
class Replacing {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

function step(key: string | number): string {
  if (typeof key === "number") return `[${key}]`;
  return /^[\w$(][\w$)]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

function within(error: unknown, key: string | number): unknown {
  if (error instanceof Refusal) return error.within(key);
  return error instanceof Replacing ? error : unreadable(error).within(key);
}

/** A getter, or the trap of a proxy, has thrown. */
function unreadable(error: unknown): Refusal {
  return new Refusal("what throws when it is read", error);
}

/** Objects in the order in which they were met. Its memory stays for the next time, what was in it does not. */
class Seen<T> {
  #items: (T | undefined)[] = [];
  size = 0;

  add(item: T): void {
    this.#items[this.size++] = item;
  }

  at(index: number): T | undefined {
    return this.#items[index];
  }

  indexOf(item: T): number {
    for (let at = 0; at < this.size; at++) if (this.#items[at] === item) return at;
    return -1;
  }

  places(): Map<T, number> {
    const places = new Map<T, number>();
    for (let at = 0; at < this.size; at++) places.set(this.#items[at] as T, at);
    return places;
  }

  clear(): void {
    if (this.size > MOST_KEPT) this.#items = [];
    else for (let at = 0; at < this.size; at++) this.#items[at] = undefined;
    this.size = 0;
  }
}

class Writer {
  #bytes = new Uint8Array(FIRST_BYTES);
  #view = new DataView(this.#bytes.buffer);
  #at = 0;
  #depth = 0;
  readonly #seen = new Seen<object>();
  #index: Map<object, number> | undefined;
  #replace: Replace | undefined;

  encode(value: unknown, replace: Replace | undefined): Uint8Array {
    this.#at = 0;
    this.#depth = 0;
    this.#replace = replace;
    try {
      this.#value(value);
    } catch (error) {
      throw error instanceof Replacing ? error.error : (error instanceof Refusal ? error : unreadable(error)).asError();
    } finally {
      this.#seen.clear();
      this.#index = undefined;
      this.#replace = undefined;
    }
    return this.#bytes.subarray(0, this.#at);
  }

  #room(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#at + bytes));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }

  #byte(byte: number): void {
    if (this.#at === this.#bytes.length) this.#room(1);
    this.#bytes[this.#at++] = byte;
  }

  #count(count: number): void {
    this.#room(5);
    let rest = count;
    while (rest > 127) {
      this.#bytes[this.#at++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#bytes[this.#at++] = rest;
  }

  #float(value: number): void {
    this.#room(8);
    this.#view.setFloat64(this.#at, value, true);
    this.#at += 8;
  }

  #raw(bytes: Uint8Array): void {
    this.#count(bytes.length);
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  #text(text: string): void {
    const { length } = text;
    if (length <= SHORT_TEXT) {
      this.#room(length + 6);
      const start = this.#at;
      this.#bytes[start] = Tag.Ascii;
      this.#bytes[start + 1] = length;
      let at = 0;
      for (; at < length; at++) {
        const unit = text.charCodeAt(at);
        if (unit > 127) break;
        this.#bytes[start + 2 + at] = unit;
      }
      if (at === length) {
        this.#at = start + 2 + length;
        return;
      }
    }
    if (text.isWellFormed()) {
      this.#byte(Tag.Utf8);
      this.#room(length * 3 + 5);
      // The length comes first and is not known yet: a fixed width for it.
      const { written } = encoder.encodeInto(text, this.#bytes.subarray(this.#at + 4));
      this.#view.setUint32(this.#at, written, true);
      this.#at += 4 + written;
      return;
    }
    this.#byte(Tag.Utf16);
    this.#count(length);
    this.#room(length * 2);
    for (let at = 0; at < length; at++) this.#view.setUint16(this.#at + at * 2, text.charCodeAt(at), true);
    this.#at += length * 2;
  }

  #value(value: unknown): void {
    switch (typeof value) {
      case "undefined":
        this.#byte(Tag.Undefined);
        return;
      case "boolean":
        this.#byte(value ? Tag.True : Tag.False);
        return;
      case "number":
        if ((value | 0) === value && !Object.is(value, -0)) {
          this.#byte(Tag.Int);
          this.#count(((value << 1) ^ (value >> 31)) >>> 0);
        } else {
          this.#byte(Tag.Float);
          this.#float(value);
        }
        return;
      case "string":
        this.#text(value);
        return;
      case "bigint":
        this.#byte(Tag.BigInt);
        this.#text(value.toString(16));
        return;
      case "object":
        if (value === null) this.#byte(Tag.Null);
        else this.#object(value);
        return;
      case "function":
        if (this.#token(value)) return;
        throw new Refusal("a function");
      default:
        throw new Refusal(`a ${typeof value}`);
    }
  }

  #token(value: object): boolean {
    const token = this.#standIn(value);
    if (token === undefined) return false;
    this.#byte(Tag.Token);
    this.#value(token);
    return true;
  }

  #standIn(value: object): unknown {
    try {
      return this.#replace?.(value);
    } catch (error) {
      throw new Replacing(error);
    }
  }

  #wasSeen(value: object): boolean {
    const found = this.#index ? this.#index.get(value) : this.#seen.indexOf(value);
    if (found !== undefined && found >= 0) {
      this.#byte(Tag.Seen);
      this.#count(found);
      return true;
    }
    this.#index?.set(value, this.#seen.size);
    this.#seen.add(value);
    if (this.#seen.size === FEW) this.#index = this.#seen.places();
    return false;
  }

  #object(value: object): void {
    const prototype: unknown = Object.getPrototypeOf(value);
    const plain = prototype === Object.prototype || prototype === Array.prototype || prototype === null;
    if (!plain && this.#replace && this.#token(value)) return;
    if (this.#wasSeen(value)) return;
    if (++this.#depth > MAX_DEPTH) throw new Refusal(`a value nested deeper than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) this.#array(value);
    else if (plain || !this.#special(value)) this.#record(value);
    this.#depth--;
  }

  #array(array: readonly unknown[]): void {
    this.#byte(Tag.Array);
    this.#count(array.length);
    let at = 0;
    try {
      for (; at < array.length; at++) {
        const value = array[at];
        if (value === undefined && !(at in array)) this.#byte(Tag.Hole);
        else this.#value(value);
      }
    } catch (error) {
      throw within(error, at);
    }
  }

  /** By `for in`, where the engine finds keys and values without a look-up each. */
  #record(record: object): void {
    this.#byte(Tag.Object);
    let key = "";
    try {
      for (key in record) {
        if (!hasOwn.call(record, key)) continue;
        this.#text(key);
        this.#value((record as Record<string, unknown>)[key]);
      }
    } catch (error) {
      throw within(error, key);
    }
    this.#byte(Tag.End);
  }

  #member(key: string | number, value: unknown): void {
    try {
      this.#value(value);
    } catch (error) {
      throw within(error, key);
    }
  }

  #special(value: object): boolean {
    if (value instanceof Date) {
      this.#byte(Tag.Date);
      this.#float(value.getTime());
    } else if (value instanceof Map) {
      this.#byte(Tag.Map);
      this.#count(value.size);
      for (const [key, item] of value) {
        this.#member("(key)", key);
        this.#member(typeof key === "string" || typeof key === "number" ? key : "(value)", item);
      }
    } else if (value instanceof Set) {
      this.#byte(Tag.Set);
      this.#count(value.size);
      for (const item of value) this.#member("(item)", item);
    } else if (value instanceof ArrayBuffer) {
      checkAttached(value);
      this.#byte(Tag.Buffer);
      this.#raw(new Uint8Array(value));
    } else if (ArrayBuffer.isView(value)) {
      const type = VIEWS.findIndex((each) => value instanceof each);
      if (type < 0) throw new Refusal(`a ${tagOf(value)}`);
      checkAttached(value.buffer);
      this.#byte(Tag.View);
      this.#byte(type);
      this.#raw(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
    } else if (value instanceof Error) this.#error(value);
    else if (value instanceof Loan) throw new Refusal("a loan: send it by itself, or its bytes");
    else if (value instanceof RegExp) {
      this.#byte(Tag.RegExp);
      this.#text(value.source);
      this.#text(value.flags);
    } else {
      // What a copy of its members would not be: a Promise, a URL, a generator, a boxed number.
      const tag = tagOf(value);
      if (tag !== "Object" && !isOfUser(value)) throw new Refusal(`a ${tag}`);
      return false;
    }
    return true;
  }

  #error(error: Error): void {
    this.#byte(Tag.Error);
    this.#text(String(error.name));
    this.#text(String(error.message));
    this.#text(String(error.stack ?? ""));
    // What hangs on errors may be anything: the error counts, not that.
    const extras: [string, unknown][] = [];
    const { code, cause } = error as { code?: unknown; cause?: unknown };
    if (typeof code === "string" || typeof code === "number") extras.push(["code", code]);
    if (cause instanceof Error || typeof cause === "string") extras.push(["cause", cause]);
    this.#count(extras.length);
    for (const [key, value] of extras) {
      this.#text(key);
      this.#member(key, value);
    }
  }
}

function tagOf(value: object): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** Is it of a class that neither the engine nor the platform has, nor what it extends? */
function isOfUser(value: object): boolean {
  let prototype = Object.getPrototypeOf(value) as object | null;
  for (; prototype && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype) as object | null) {
    const type: unknown = prototype.constructor;
    if (typeof type !== "function" || (globalThis as Record<string, unknown>)[type.name] === type) return false;
    if (Function.prototype.toString.call(type).includes("[native code]")) return false;
  }
  return true;
}

function checkAttached(buffer: ArrayBufferLike): void {
  if ((buffer as ArrayBuffer).detached) throw new Refusal("a buffer that was transferred");
}

/** Eight characters at once: each call, and each string on the way, costs more than a character. */
function asciiText(bytes: Uint8Array, start: number, end: number): string {
  let text = "";
  let at = start;
  for (; at + 8 <= end; at += 8) {
    text += String.fromCharCode(
      bytes[at]!,
      bytes[at + 1]!,
      bytes[at + 2]!,
      bytes[at + 3]!,
      bytes[at + 4]!,
      bytes[at + 5]!,
      bytes[at + 6]!,
      bytes[at + 7]!,
    );
  }
  for (; at < end; at++) text += String.fromCharCode(bytes[at]!);
  return text;
}

class Reader {
  #bytes = NO_BYTES;
  #view: DataView | undefined;
  #revive: Revive | undefined;
  readonly #seen = new Seen<unknown>();
  #at = 0;
  #depth = 0;

  decode(bytes: Uint8Array, revive: Revive | undefined): unknown {
    this.#bytes = bytes;
    this.#revive = revive;
    this.#at = 0;
    this.#depth = 0;
    try {
      const value = this.#value();
      if (this.#at !== bytes.length) throw this.#garbage("bytes behind the value");
      return value;
    } finally {
      this.#bytes = NO_BYTES;
      this.#view = undefined;
      this.#revive = undefined;
      this.#seen.clear();
    }
  }

  /** Made when it is needed first: most values do without. */
  #words(): DataView {
    this.#view ??= new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.byteLength);
    return this.#view;
  }

  #garbage(found: string): VdsoError {
    return new VdsoError("ERR_VDSO_GARBAGE", `expected an encoded value, found ${found} at byte ${this.#at}`);
  }

  #byte(): number {
    if (this.#at >= this.#bytes.length) throw this.#garbage("its end");
    return this.#bytes[this.#at++]!;
  }

  #number(): number {
    let result = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte();
      result += (byte & 127) * 2 ** shift;
      if (byte < 128) return result;
    }
    throw this.#garbage("an endless number");
  }

  /** A number of things of which each takes a byte or more. */
  #count(): number {
    const count = this.#number();
    if (count > this.#bytes.length - this.#at) throw this.#garbage(`a count of ${count}`);
    return count;
  }

  #skip(bytes: number): number {
    const start = this.#at;
    if (start + bytes > this.#bytes.length) throw this.#garbage(`a length of ${bytes}`);
    this.#at += bytes;
    return start;
  }

  #isEnd(): boolean {
    if (this.#bytes[this.#at] !== Tag.End) return false;
    this.#at++;
    return true;
  }

  /** Keys come again: a string that the engine knows as a key already is half the time that setting it takes. */
  #key(): string {
    if (this.#bytes[this.#at] !== Tag.Ascii) return this.#text();
    const length = this.#bytes[this.#at + 1] ?? 0;
    const start = this.#at + 2;
    if (length > LONGEST_KEY || start + length > this.#bytes.length) return this.#text();
    let hash = length;
    for (let at = start; at < start + length; at++) hash = (hash * 31 + this.#bytes[at]!) | 0;
    const place = hash & (KNOWN_KEYS - 1);
    const known = knownKeys[place];
    if (known?.length === length && this.#isAt(start, known)) {
      this.#at = start + length;
      return known;
    }
    const key = this.#text();
    knownKeys[place] = key;
    return key;
  }

  #isAt(start: number, text: string): boolean {
    for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== this.#bytes[start + at]) return false;
    return true;
  }

  #text(tag: number = this.#byte()): string {
    if (tag === Tag.Ascii) {
      const length = this.#byte();
      const start = this.#skip(length);
      return asciiText(this.#bytes, start, start + length);
    }
    if (tag === Tag.Utf8) {
      const length = this.#words().getUint32(this.#skip(4), true);
      const start = this.#skip(length);
      try {
        return decoder.decode(this.#bytes.subarray(start, start + length));
      } catch {
        throw this.#garbage("broken text");
      }
    }
    if (tag !== Tag.Utf16) throw this.#garbage(`tag ${tag}`);
    const length = this.#count();
    const start = this.#skip(length * 2);
    let text = "";
    for (let at = 0; at < length; at++) text += String.fromCharCode(this.#words().getUint16(start + at * 2, true));
    return text;
  }

  #value(): unknown {
    const tag = this.#byte();
    switch (tag) {
      case Tag.Undefined:
        return undefined;
      case Tag.Null:
        return null;
      case Tag.True:
        return true;
      case Tag.False:
        return false;
      case Tag.Int: {
        const zigzag = this.#number();
        return (zigzag >>> 1) ^ -(zigzag & 1);
      }
      case Tag.Float:
        return this.#words().getFloat64(this.#skip(8), true);
      case Tag.Ascii:
      case Tag.Utf8:
      case Tag.Utf16:
        return this.#text(tag);
      case Tag.BigInt:
        return this.#bigint();
      case Tag.Seen: {
        const index = this.#number();
        if (index >= this.#seen.size) throw this.#garbage(`a reference to ${index}`);
        return this.#seen.at(index);
      }
      case Tag.Token: {
        if (!this.#revive) throw this.#garbage("a stand-in");
        if (++this.#depth > MAX_DEPTH) throw this.#garbage(`more than ${MAX_DEPTH} levels`);
        const token = this.#value();
        this.#depth--;
        try {
          return this.#revive(token);
        } catch (error) {
          // It may be anything, and whoever looks into it expects what was made on the other side.
          throw error instanceof VdsoError ? error : this.#garbage("a stand-in for nothing");
        }
      }
      default: {
        if (++this.#depth > MAX_DEPTH) throw this.#garbage(`more than ${MAX_DEPTH} levels`);
        const value = this.#object(tag);
        this.#depth--;
        return value;
      }
    }
  }

  #bigint(): bigint {
    const text = this.#text();
    const digits = text.startsWith("-") ? text.slice(1) : text;
    if (!/^[0-9a-f]+$/.test(digits) || digits.length > MAX_DIGITS) throw this.#garbage("broken digits");
    const value = BigInt(`0x${digits}`);
    return digits === text ? value : -value;
  }

  #object(tag: number): unknown {
    switch (tag) {
      case Tag.Object: {
        const record: Record<string, unknown> = {};
        this.#seen.add(record);
        while (!this.#isEnd()) {
          const key = this.#key();
          // A key like others.
          if (key === "__proto__") setOwn(record, key, this.#value(), true);
          else record[key] = this.#value();
        }
        return record;
      }
      case Tag.Array: {
        const length = this.#count();
        const array: unknown[] = new Array(length);
        this.#seen.add(array);
        for (let at = 0; at < length; at++) {
          if (this.#bytes[this.#at] === Tag.Hole) this.#at++;
          else array[at] = this.#value();
        }
        return array;
      }
      case Tag.Date:
        return this.#keep(new Date(this.#words().getFloat64(this.#skip(8), true)));
      case Tag.Map: {
        const map = this.#keep(new Map<unknown, unknown>());
        for (let count = this.#count(); count > 0; count--) map.set(this.#value(), this.#value());
        return map;
      }
      case Tag.Set: {
        const set = this.#keep(new Set<unknown>());
        for (let count = this.#count(); count > 0; count--) set.add(this.#value());
        return set;
      }
      case Tag.Buffer:
        return this.#keep(this.#buffer());
      case Tag.View: {
        const type = VIEWS[this.#byte()];
        if (!type) throw this.#garbage("a view of no type");
        const buffer = this.#buffer();
        const width = type === DataView ? 1 : (type as Uint8ArrayConstructor).BYTES_PER_ELEMENT;
        if (buffer.byteLength % width !== 0) throw this.#garbage("part of an element");
        return this.#keep(new (type as Uint8ArrayConstructor)(buffer));
      }
      case Tag.Error:
        return this.#error();
      case Tag.RegExp: {
        const [source, flags] = [this.#text(), this.#text()];
        try {
          return this.#keep(new RegExp(source, flags));
        } catch {
          throw this.#garbage("a broken pattern");
        }
      }
      default:
        throw this.#garbage(`tag ${tag}`);
    }
  }

  #keep<T>(value: T): T {
    this.#seen.add(value);
    return value;
  }

  #buffer(): ArrayBuffer {
    const length = this.#count();
    const start = this.#skip(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length)).buffer;
  }

  #error(): Error {
    const [name, message, stack] = [this.#text(), this.#text(), this.#text()];
    const error = this.#keep(
      name === "VdsoError" ? new VdsoError("ERR_VDSO_REMOTE", message) : new (ERRORS.get(name) ?? Error)(message),
    );
    if (error.name !== name) setOwn(error, "name", name, false);
    setOwn(error, "stack", stack, false);
    for (let count = this.#count(); count > 0; count--) {
      const key = this.#text();
      setOwn(error, key, this.#value(), key === "code");
    }
    return error;
  }
}

function setOwn(target: object, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(target, key, { value, writable: true, enumerable, configurable: true });
}

const idleWriters: Writer[] = [];
const idleReaders: Reader[] = [];

/** The default. */
export const structured: Codec = {
  encode(value, replace) {
    // A getter in the value may send something itself.
    const writer = idleWriters.pop() ?? new Writer();
    try {
      return writer.encode(value, replace);
    } finally {
      idleWriters.push(writer);
    }
  },
  decode(bytes, revive) {
    // What revives may decode something itself.
    const reader = idleReaders.pop() ?? new Reader();
    try {
      return reader.decode(bytes, revive);
    } finally {
      idleReaders.push(reader);
    }
  },
};
