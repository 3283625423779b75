/**
 * The operand stack of a function that can be stopped, while its code is written. A stack cannot be saved, and no label can be reached with
 * operands below; so before each stop the operands are put into locals ("placed"), and taken out again when an instruction wants them.
 *
 *   placed            on the stack         pending
 *   [ in locals     | really there       | reads of constants and locals, ]
 *   [ or constants  |                    | not written yet                ]
 *
 * Reads wait because one that is the operand of a stop needs no local: it is written behind the stop's label.
 */
import { type ByteWriter, unsupported } from "../wasm-binary.ts";
import { bytesOf } from "./module.ts";

/** How to get a placed operand: from a local, or by the bytes of its constant. */
export type Source = number | Uint8Array;

interface Operand {
  readonly type: number;
  source: Source | undefined;
}

const FUNCREF = 0x70;
const EXTERNREF = 0x6f;

export class OperandStack {
  private readonly writer: ByteWriter;
  private readonly newLocal: (type: number) => number;
  private readonly slots = new Map<number, number>();
  private operands: Operand[] = [];
  private placed = 0;
  private written = 0;

  constructor(writer: ByteWriter, newLocal: (type: number) => number) {
    this.writer = writer;
    this.newLocal = newLocal;
  }

  get height(): number {
    return this.operands.length;
  }

  typeAt(depth: number): number {
    return this.at(this.operands.length - 1 - depth).type;
  }

  /** An instruction left this. */
  push(type: number): void {
    this.operands.push({ type, source: undefined });
    this.written = this.operands.length;
  }

  /** A read that may be written later, or never. */
  pushPending(type: number, source: Source): void {
    this.operands.push({ type, source });
  }

  /** Takes operands off that stand in their places, without a trace in the code. */
  takePlaced(count: number): Source[] {
    const taken = this.operands.splice(this.operands.length - count, count);
    this.trim();
    return taken.map(({ source }) => source!);
  }

  /** Gives the results of a call places, which are written here. */
  pushPlaced(types: readonly number[]): void {
    const base = this.operands.length;
    for (const type of types) this.operands.push({ type, source: this.slot(this.operands.length, type) });
    for (let index = this.operands.length - 1; index >= base; index--) this.set(this.operands[index]!.source as number);
    this.placed = this.written = this.operands.length;
  }

  /** Drops the topmost operand. */
  drop(): void {
    const top = this.at(this.operands.length - 1);
    if (top.source === undefined) {
      this.pop(1);
      this.writer.byte(0x1a);
    } else {
      this.operands.pop();
      this.trim();
    }
  }

  /** Has the topmost operands on the real stack, and takes them off: the next instruction does. */
  pop(count: number): void {
    this.want(count);
    this.operands.length -= count;
    this.trim();
  }

  /** Has the topmost operands on the real stack. */
  want(count: number): void {
    const base = this.operands.length - count;
    if (base < 0) throw unbalanced();
    if (base >= this.placed) {
      this.write(this.written);
      return;
    }
    if (this.written > this.placed) this.place(0);
    this.write(base);
    this.placed = base;
  }

  /** Puts everything into locals, the topmost operands too, of which those that are reads may stay such. */
  place(reads: number): void {
    const { operands } = this;
    // Sets take from the top of the real stack, so the pending reads are placed first or last, but not in between.
    for (let index = this.written - 1; index >= this.placed; index--) {
      const operand = operands[index]!;
      operand.source = this.slot(index, operand.type);
      this.set(operand.source);
    }
    for (let index = Math.max(this.written, this.placed); index < operands.length - reads; index++) {
      const operand = operands[index]!;
      if (typeof operand.source !== "number") continue;
      // What the local holds may change before the operand is used.
      this.get(operand.source);
      operand.source = this.slot(index, operand.type);
      this.set(operand.source);
    }
    this.placed = this.written = operands.length;
  }

  /** Where the placed operands are, from the bottom. */
  sources(): readonly (Source | undefined)[] {
    return this.operands.map(({ source }) => source);
  }

  /** Forgets what stands above, as behind the end of a block. */
  cut(height: number): void {
    this.operands.length = height;
    this.trim();
  }

  /** Writes what yields an operand. */
  get(source: Source): void {
    if (typeof source === "number") this.writer.byte(0x20).u32(source);
    else this.writer.bytes(source);
  }

  private set(local: number): void {
    this.writer.byte(0x21).u32(local);
  }

  private write(from: number): void {
    for (let index = from; index < this.operands.length; index++) {
      const operand = this.operands[index]!;
      this.get(operand.source!);
      operand.source = undefined;
    }
    this.written = this.operands.length;
  }

  private trim(): void {
    this.placed = Math.min(this.placed, this.operands.length);
    this.written = Math.min(this.written, this.operands.length);
  }

  private at(index: number): Operand {
    const operand = this.operands[index];
    if (!operand) throw unbalanced();
    return operand;
  }

  /** The local for operands of a type at a height. */
  private slot(height: number, type: number): number {
    if (bytesOf(type) === 0 && type !== FUNCREF && type !== EXTERNREF) {
      throw unsupported("a reference of a type of its own is an operand below an access to the vVAR");
    }
    const key = height * 256 + type;
    let local = this.slots.get(key);
    if (local === undefined) {
      local = this.newLocal(type);
      this.slots.set(key, local);
    }
    return local;
  }
}

function unbalanced(): Error {
  return unsupported("an instruction takes an operand that is not there");
}
