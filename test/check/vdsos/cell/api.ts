/**
 * A 64-bit value with one writer, read in one piece by everybody; and three ways to get it wrong.
 *
 * Source: the sequence lock, C. Lameter, Effective synchronization on Linux/NUMA systems (2005).
 */

/** 0: none. */
const BUG: u32 = config("BUG", 0);

@vvar class VvarData {
  /** Odd while the value is being written. */
  sequence: Atomic<u32>;
  value: u64;
  /** Bug 1 only: the value as two words. */
  low: Atomic<u32>;
  high: Atomic<u32>;
}
const cell = vvarRoot<VvarData>();

export function write(value: u64): void {
  if (BUG == 1) {
    // Torn: two stores of 32 bits.
    cell.low.store(<u32>value);
    cell.high.store(<u32>(value >> 32));
    return;
  }
  // Bug 3: announced too late.
  if (BUG != 3) cell.sequence.add(1);
  cell.value = value;
  if (BUG == 3) cell.sequence.add(1);
  cell.sequence.add(1);
}

/** The value; nothing while it is being written. */
export function read(): Option<u64> {
  if (BUG == 1) return Option.some((<u64>cell.high.load() << 32) | cell.low.load());
  const before = cell.sequence.load();
  if ((before & 1) != 0) return Option.none<u64>();
  const value = cell.value;
  // Bug 2: nobody looks whether it changed meanwhile.
  if (BUG != 2 && cell.sequence.load() != before) return Option.none<u64>();
  return Option.some(value);
}
