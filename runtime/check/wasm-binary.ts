/** Reading and writing the parts of the WebAssembly binary format that the checker's rewriting needs. */
import { VdsoError } from "../errors.ts";

export const SectionId = {
  custom: 0,
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  element: 9,
  code: 10,
  data: 11,
  dataCount: 12,
  tag: 13,
} as const;

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c } as const;

export class ByteReader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  byte(): number {
    if (this.at >= this.end) throw malformed(`it ends early, at byte ${this.at}`);
    return this.bytes[this.at++]!;
  }

  /** Unsigned LEB128 of at most 32 bits (offsets of 64-bit memories do not occur in images). */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw malformed(`an integer at byte ${this.at} is longer than 32 bits`);
  }

  /** Steps over one LEB128 integer, signed or not, of any width. */
  skipLeb(): void {
    while (this.byte() >= 0x80);
  }

  skip(bytes: number): void {
    this.at += bytes;
    if (this.at > this.end) throw malformed(`it ends early, at byte ${this.end}`);
  }

  name(): string {
    const length = this.u32();
    const from = this.at;
    this.skip(length);
    return new TextDecoder().decode(this.bytes.subarray(from, this.at));
  }
}

export class ByteWriter {
  private buffer = new Uint8Array(1024);
  length = 0;

  private room(bytes: number): void {
    if (this.length + bytes <= this.buffer.length) return;
    const larger = new Uint8Array(Math.max(this.buffer.length * 2, this.length + bytes));
    larger.set(this.buffer);
    this.buffer = larger;
  }

  byte(...values: number[]): this {
    this.room(values.length);
    for (const value of values) this.buffer[this.length++] = value;
    return this;
  }

  bytes(source: Uint8Array): this {
    this.room(source.length);
    this.buffer.set(source, this.length);
    this.length += source.length;
    return this;
  }

  u32(value: number): this {
    let rest = value >>> 0;
    while (rest >= 0x80) {
      this.byte((rest & 0x7f) | 0x80);
      rest >>>= 7;
    }
    return this.byte(rest);
  }

  /** Signed LEB128 of a 32-bit integer. */
  s32(value: number): this {
    let rest = value | 0;
    for (;;) {
      const low = rest & 0x7f;
      rest >>= 7;
      if ((rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  name(text: string): this {
    const encoded = new TextEncoder().encode(text);
    return this.u32(encoded.length).bytes(encoded);
  }

  /** Writes what `fill` writes, its length in front. */
  sized(fill: (writer: ByteWriter) => void): this {
    const inner = new ByteWriter();
    fill(inner);
    return this.u32(inner.length).bytes(inner.take());
  }

  take(): Uint8Array<ArrayBuffer> {
    return this.buffer.slice(0, this.length);
  }
}

export interface Section {
  readonly id: number;
  /** First byte of the content. */
  readonly from: number;
  readonly to: number;
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

export function readSections(module: Uint8Array): Section[] {
  if (MAGIC.some((byte, index) => module[index] !== byte)) {
    throw malformed("it does not begin with the magic bytes and version 1 of WebAssembly");
  }
  const sections: Section[] = [];
  const reader = new ByteReader(module, MAGIC.length);
  while (reader.at < module.length) {
    const id = reader.byte();
    const length = reader.u32();
    sections.push({ id, from: reader.at, to: reader.at + length });
    reader.skip(length);
  }
  return sections;
}

export function writeModule(sections: readonly { id: number; content: Uint8Array }[]): Uint8Array<ArrayBuffer> {
  const writer = new ByteWriter().byte(...MAGIC);
  for (const section of sections) writer.byte(section.id).u32(section.content.length).bytes(section.content);
  return writer.take();
}

export function malformed(what: string): VdsoError {
  return new VdsoError("ERR_VDSO_CHECK_IMAGE", `the image is not a WebAssembly module that can be checked: ${what}`);
}

export function unsupported(what: string): VdsoError {
  return new VdsoError("ERR_VDSO_CHECK_UNSUPPORTED", `the checker cannot instrument this image: ${what}`);
}
