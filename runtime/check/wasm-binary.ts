/** The parts of the WebAssembly binary format that the checker's rewriting needs beside the image's own reader. */
import { VdsoError } from "../errors.ts";
import type { Reader } from "../image/sections.ts";

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

export const ValueType = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b, funcref: 0x70 } as const;

/** A value type by its first byte; one with a heap type behind it loses that. */
export function readValueType(reader: Reader): number {
  const type = reader.u8();
  if (type === 0x63 || type === 0x64) reader.skipLeb();
  return type;
}

export function skipLimits(reader: Reader): void {
  const flags = reader.u8();
  reader.skipLeb();
  if ((flags & 1) !== 0) reader.skipLeb();
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

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

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
