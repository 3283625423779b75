/**
 * A saved call: the locals that are read behind its stop, one after the other, and the number of the stop. The frames of a thread stand in a memory
 * of their own, the innermost call's first, behind a record of two words.
 *
 *   0     4     8
 *   | mode | top | locals of the innermost call ... stop | ... | locals of the outermost ... stop |   <- top
 */
import { type ByteWriter, ValueType } from "../wasm-binary.ts";
import { bytesOf } from "./module.ts";

/** What the code does: all of it tests for anything but `running` alone, because a called function only ever leaves, and an entered one only ever returns. */
export const Mode = { running: 0, leaving: 1, returning: 2 } as const;
/** Bytes of the record in front of the frames. */
export const RECORD_BYTES = 8;
/** Bytes of a stop's number, and the largest. */
const STOP_BYTES = 2;
export const MAX_STOPS = 0xffff;

export interface SavedLocal {
  readonly local: number;
  readonly type: number;
}

const LOADS: Readonly<Record<number, readonly number[]>> = {
  [ValueType.i32]: [0x28],
  [ValueType.i64]: [0x29],
  [ValueType.f32]: [0x2a],
  [ValueType.f64]: [0x2b],
  [ValueType.v128]: [0xfd, 0],
};
const STORES: Readonly<Record<number, readonly number[]>> = {
  [ValueType.i32]: [0x36],
  [ValueType.i64]: [0x37],
  [ValueType.f32]: [0x38],
  [ValueType.f64]: [0x39],
  [ValueType.v128]: [0xfd, 11],
};
const LOAD16 = [0x2f];
const STORE16 = [0x3b];

/** Writes the code that saves and restores frames of one function. */
export class FrameWriter {
  private readonly writer: ByteWriter;
  private readonly memory: number;
  /** A local of the function that points to its frame. */
  private readonly pointer: number;
  /** A local that holds the number of the stop to go back to; 0 for none. */
  private readonly stop: number;

  constructor(writer: ByteWriter, memory: number, pointer: number, stop: number) {
    this.writer = writer;
    this.memory = memory;
    this.pointer = pointer;
    this.stop = stop;
  }

  /** The mode, on the operand stack. */
  mode(): void {
    this.recordWord(0);
  }

  /** At the start of a function: where does it have to go back to? */
  enter(): void {
    const { writer } = this;
    this.mode();
    writer.byte(0x04, 0x40);
    this.recordWord(4);
    writer.byte(0x41).s32(STOP_BYTES).byte(0x6b);
    this.access(LOAD16, 0);
    writer.byte(0x21).u32(this.stop).byte(0x0b);
  }

  /** Saves a frame on top of those of the functions that were called. */
  save(stop: number, locals: readonly SavedLocal[]): void {
    const { writer, pointer } = this;
    this.recordWord(4);
    writer.byte(0x21).u32(pointer);
    let offset = 0;
    for (const { local, type } of locals) {
      writer.byte(0x20).u32(pointer).byte(0x20).u32(local);
      this.access(STORES[type]!, offset);
      offset += bytesOf(type);
    }
    writer.byte(0x20).u32(pointer).byte(0x41).s32(stop);
    this.access(STORE16, offset);
    writer
      .byte(0x41, 0, 0x20)
      .u32(pointer)
      .byte(0x41)
      .s32(offset + STOP_BYTES)
      .byte(0x6a);
    this.access(STORES[ValueType.i32]!, 4);
  }

  /** Takes the topmost frame off; the function is where it was stopped then. */
  restore(locals: readonly SavedLocal[]): void {
    const { writer, pointer } = this;
    const size = locals.reduce((sum, { type }) => sum + bytesOf(type), STOP_BYTES);
    writer.byte(0x41, 0);
    this.recordWord(4);
    writer.byte(0x41).s32(size).byte(0x6b, 0x22).u32(pointer);
    this.access(STORES[ValueType.i32]!, 4);
    let offset = 0;
    for (const { local, type } of locals) {
      writer.byte(0x20).u32(pointer);
      this.access(LOADS[type]!, offset);
      writer.byte(0x21).u32(local);
      offset += bytesOf(type);
    }
    writer.byte(0x41, 0, 0x21).u32(this.stop);
  }

  private recordWord(offset: number): void {
    this.writer.byte(0x41, 0);
    this.access(LOADS[ValueType.i32]!, offset);
  }

  /** A load or a store of the frames' memory. Frames have no alignment. */
  private access(code: readonly number[], offset: number): void {
    this.writer.byte(...code);
    if (this.memory === 0) this.writer.byte(0);
    else this.writer.byte(0x40).u32(this.memory);
    this.writer.u32(offset);
  }
}
