/**
 * What a process did last, in shared memory: readable when the process was killed or hangs.
 *
 *     0  notes written (u32)     4  inside (i32): 1 while the call runs that the last note names
 *     8  two cells: time (f64, us), bytes (u32), 4 unused, text (UTF-8)
 *
 * The process writes, the kernel's thread reads. The process writes the cell that is not shown and then shows it: wherever it dies, the
 * cell that is shown is whole.
 */

import { sharedNowUs } from "../platform/clock.ts";

const CELL = { at: 0, bytes: 8, text: 16 };
const TEXT_BYTES = 304;
const CELL_BYTES = CELL.text + TEXT_BYTES;
const CELLS_AT = 8;
/** A reader that the writer keeps overtaking takes what it has. */
const READ_ATTEMPTS = 8;

/** A process's last note. */
export interface Note {
  readonly text: string;
  /** Was the process inside the call that the text names? Only calls that `trace` noted know. */
  readonly inside: boolean;
  /** How many notes it had written. */
  readonly count: number;
  /** Milliseconds since then. */
  readonly ageMs: number;
}

export function createRecord(): SharedArrayBuffer {
  return new SharedArrayBuffer(CELLS_AT + 2 * CELL_BYTES);
}

const cellAt = (count: number): number => CELLS_AT + (count & 1) * CELL_BYTES;

export class RecordWriter {
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #encoder = new TextEncoder();
  /** Encoders refuse to write into shared memory. */
  readonly #scratch = new Uint8Array(TEXT_BYTES);

  constructor(record: SharedArrayBuffer) {
    this.#words = new Int32Array(record, 0, 2);
    this.#bytes = new Uint8Array(record);
    this.#view = new DataView(record);
  }

  /** Text beyond the record's room is cut off. */
  write(text: string): void {
    const count = this.#words[0]! + 1;
    const cell = cellAt(count);
    const { written } = this.#encoder.encodeInto(text, this.#scratch);
    this.#bytes.set(this.#scratch.subarray(0, written), cell + CELL.text);
    this.#view.setUint32(cell + CELL.bytes, written, true);
    this.#view.setFloat64(cell + CELL.at, sharedNowUs(), true);
    // SYNC note: shows the cell written above; pairs with `note` in readRecord().
    Atomics.store(this.#words, 0, count);
  }

  set inside(inside: boolean) {
    Atomics.store(this.#words, 1, inside ? 1 : 0);
  }
}

/** The last note; undefined when there is none yet. */
export function readRecord(record: SharedArrayBuffer): Note | undefined {
  const words = new Int32Array(record, 0, 2);
  const view = new DataView(record);
  for (let attempt = 1; ; attempt++) {
    // SYNC note: the cell is whole unless the count has moved on meanwhile; pairs with `note` in RecordWriter.write().
    const count = Atomics.load(words, 0);
    if (count === 0) return undefined;
    const cell = cellAt(count);
    const bytes = Math.min(view.getUint32(cell + CELL.bytes, true), TEXT_BYTES);
    const text = new TextDecoder().decode(new Uint8Array(record, cell + CELL.text, bytes).slice());
    const ageMs = Math.max(0, sharedNowUs() - view.getFloat64(cell + CELL.at, true)) / 1000;
    const inside = Atomics.load(words, 1) !== 0;
    if (Atomics.load(words, 0) === count || attempt === READ_ATTEMPTS) return { text, inside, count, ageMs };
  }
}
