/**
 * Every state that the vVAR takes during a check, each stored once and known by its number.
 *
 * Only the words that some access has ever changed get a column; a row holds, for each of them, the value XOR the initial one. So a word
 * that becomes interesting later needs no work on the rows before it (they all hold 0), an untouched vVAR of a megabyte costs
 * nothing, and the hash of a row changes by the words that change.
 */
import { IntList } from "./tables.ts";

export class VvarStates {
  /** The vVAR when the threads start. */
  readonly initial: Uint8Array<ArrayBuffer>;
  private readonly initialWords: Int32Array;
  /** Column of each word, -1 for a word that was never changed. */
  private readonly columnOf: Int32Array;
  /** Word of each column. */
  private readonly words: number[] = [];
  private stride = 8;
  private rows = new Int32Array(this.stride * 1024);
  private hashes = new IntList();
  private table = new Int32Array(4096).fill(-1);
  private scratch = new Int32Array(this.stride);
  count = 0;
  /** High half of the last 64-bit {@link VvarStates.read}. */
  high = 0;

  /** @param initial - its length a multiple of 8. */
  constructor(initial: Uint8Array<ArrayBuffer>) {
    this.initial = initial;
    this.initialWords = new Int32Array(initial.buffer, initial.byteOffset, initial.length >> 2);
    this.columnOf = new Int32Array(this.initialWords.length).fill(-1);
    this.intern();
  }

  /** The 32 bits of a word. */
  word(state: number, word: number): number {
    const column = this.columnOf[word]!;
    const initial = this.initialWords[word]!;
    return column < 0 ? initial : initial ^ this.rows[state * this.stride + column]!;
  }

  /** Value of 1, 2, 4 or 8 bytes, narrow ones zero-extended; of 8 bytes the low half, the other one in {@link VvarStates.high}. */
  read(state: number, address: number, size: number): number {
    const word = address >> 2;
    const shift = (address & 3) << 3;
    if (size === 4 && shift === 0) return this.word(state, word);
    if (size === 8) {
      const low = this.read(state, address, 4);
      this.high = this.read(state, address + 4, 4);
      return low;
    }
    let value = this.word(state, word) >>> shift;
    if (shift + size * 8 > 32) value |= this.word(state, word + 1) << (32 - shift);
    return size === 1 ? value & 0xff : size === 2 ? value & 0xffff : value;
  }

  /** The state that differs from `state` by 1, 2, 4 or 8 bytes. */
  write(state: number, address: number, size: number, low: number, high: number): number {
    this.load(state);
    if (size === 8) {
      this.poke(address, 4, low);
      this.poke(address + 4, 4, high);
    } else this.poke(address, size, low);
    return this.intern();
  }

  /** The state that differs from `state` by a run of bytes. */
  writeBytes(state: number, address: number, bytes: Uint8Array): number {
    this.load(state);
    for (let index = 0; index < bytes.length; index++) this.poke(address + index, 1, bytes[index]!);
    return this.intern();
  }

  /** A copy of `length` bytes. */
  readBytes(state: number, address: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = this.initial.slice(address, address + length);
    for (const [column, word] of this.words.entries()) {
      if (word * 4 + 4 <= address || word * 4 >= address + length) continue;
      const value = this.initialWords[word]! ^ this.rows[state * this.stride + column]!;
      for (let byte = 0; byte < 4; byte++) {
        const at = word * 4 + byte - address;
        if (at >= 0 && at < length) bytes[at] = value >>> (byte * 8);
      }
    }
    return bytes;
  }

  private load(state: number): void {
    const from = state * this.stride;
    for (let column = 0; column < this.stride; column++) this.scratch[column] = this.rows[from + column]!;
  }

  /** Changes up to four bytes of the row in `scratch`. */
  private poke(address: number, size: number, value: number): void {
    const word = address >> 2;
    const shift = (address & 3) << 3;
    if (size === 4 && shift === 0) {
      this.pokeWord(word, value, -1);
      return;
    }
    const mask = size === 4 ? -1 : (1 << (size * 8)) - 1;
    this.pokeWord(word, value << shift, mask << shift);
    if (shift + size * 8 > 32) this.pokeWord(word + 1, (value & mask) >>> (32 - shift), mask >>> (32 - shift));
  }

  private pokeWord(word: number, value: number, mask: number): void {
    const initial = this.initialWords[word]!;
    let column = this.columnOf[word]!;
    if (column < 0) {
      if (((value ^ initial) & mask) === 0) return;
      column = this.words.length;
      this.words.push(word);
      this.columnOf[word] = column;
      if (column === this.stride) this.widen();
    }
    this.scratch[column] = (this.scratch[column]! & ~mask) | ((value ^ initial) & mask);
  }

  private widen(): void {
    const { rows, stride } = this;
    this.stride = stride * 2;
    this.rows = new Int32Array(rows.length * 2);
    for (let state = 0; state < this.count; state++) {
      this.rows.set(rows.subarray(state * stride, state * stride + stride), state * this.stride);
    }
    const scratch = new Int32Array(this.stride);
    scratch.set(this.scratch);
    this.scratch = scratch;
  }

  /** Number of the row in `scratch`. */
  private intern(): number {
    const { scratch, stride, table } = this;
    let hash = 0;
    for (let column = 0; column < stride; column++) {
      const delta = scratch[column]!;
      // Zero contributes nothing, so a column that comes later leaves the hashes of the rows before it alone.
      if (delta !== 0) {
        let mixed = Math.imul(delta + Math.imul(column + 1, 0x9e3779b1), 0x85ebca6b);
        mixed ^= mixed >>> 15;
        hash = (hash + Math.imul(mixed, 0xc2b2ae35)) | 0;
      }
    }
    const mask = table.length - 1;
    let slot = (hash ^ (hash >>> 16)) & mask;
    for (let id = table[slot]!; id >= 0; id = table[slot]!) {
      if (this.hashes.items[id] === hash) {
        const from = id * stride;
        let column = 0;
        while (column < stride && this.rows[from + column] === scratch[column]) column++;
        if (column === stride) return id;
      }
      slot = (slot + 1) & mask;
    }
    const id = this.count++;
    table[slot] = id;
    this.hashes.push(hash);
    if ((id + 1) * stride > this.rows.length) {
      const larger = new Int32Array(this.rows.length * 2);
      larger.set(this.rows);
      this.rows = larger;
    }
    this.rows.set(scratch, id * stride);
    if (this.count * 2 > table.length) this.rehash();
    return id;
  }

  private rehash(): void {
    const table = new Int32Array(this.table.length * 2).fill(-1);
    const mask = table.length - 1;
    for (let id = 0; id < this.count; id++) {
      const hash = this.hashes.items[id]!;
      let slot = (hash ^ (hash >>> 16)) & mask;
      while (table[slot]! >= 0) slot = (slot + 1) & mask;
      table[slot] = id;
    }
    this.table = table;
  }
}
