/**
 * Just enough of the WebAssembly binary format to walk through a module's sections. The engine's own view
 * (`WebAssembly.Module.imports`) shows neither memories' limits, data segments nor a start function.
 *
 * ```ts
 * for (const section of sections(bytes)) console.log(section.id, section.end - section.start);
 * ```
 */
import { VdsoError } from "../errors.ts";

/** Name of the custom section that makes a WebAssembly module an image. */
export const SECTION_NAME = "vdso";

export interface Section {
  /** 0 is custom. */
  readonly id: number;
  /** Byte of the id. */
  readonly head: number;
  /** First byte of the contents. */
  readonly start: number;
  /** First byte behind the contents. */
  readonly end: number;
}

/** Reads LEB128 numbers and names between two offsets; refuses to go past the end. */
export class Reader {
  readonly bytes: Uint8Array;
  readonly end: number;
  at: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  u8(): number {
    if (this.at >= this.end) throw truncated(this.at + 1, this.end);
    return this.bytes[this.at++]!;
  }

  /** Unsigned LEB128 of at most 32 bits. */
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.u8();
      if (shift === 28 && byte > 15) {
        throw new VdsoError(
          "ERR_VDSO_IMAGE_CORRUPT",
          `expected a 32-bit number before offset ${this.at}, found more bits`,
        );
      }
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
  }

  /** Passes over a LEB128 number of any width. */
  skipLeb(): void {
    while (this.u8() >= 128);
  }

  take(length: number): Uint8Array {
    if (length > this.end - this.at) throw truncated(this.at + length, this.end);
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  name(): string {
    return new TextDecoder().decode(this.take(this.u32()).slice());
  }
}

const MAGIC = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

/**
 * Walks the sections of a module.
 *
 * @throws VdsoError `ERR_VDSO_IMAGE_MAGIC` - not a WebAssembly module of version 1.
 * @throws VdsoError `ERR_VDSO_IMAGE_TRUNCATED` - the bytes end inside the header or a section.
 */
export function* sections(bytes: Uint8Array): Generator<Section, void, void> {
  MAGIC.forEach((expected, at) => {
    const found = bytes[at];
    if (found !== undefined && found !== expected) {
      const seen = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0")).join(" ");
      throw new VdsoError("ERR_VDSO_IMAGE_MAGIC", `expected WebAssembly (00 61 73 6d 01 00 00 00), found ${seen}`);
    }
  });
  if (bytes.length < MAGIC.length) throw truncated(MAGIC.length, bytes.length);
  const reader = new Reader(bytes, MAGIC.length, bytes.length);
  while (reader.at < bytes.length) {
    const head = reader.at;
    const id = reader.u8();
    const size = reader.u32();
    const start = reader.at;
    reader.take(size);
    yield { id, head, start, end: reader.at };
  }
}

/** Unsigned LEB128, as short as possible. */
export function leb128(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) | 128);
  bytes.push(value);
  return bytes;
}

function truncated(expected: number, found: number): VdsoError {
  return new VdsoError(
    "ERR_VDSO_IMAGE_TRUNCATED",
    `the image is cut off: expected at least ${expected} bytes, found ${found}`,
  );
}
