/** A look over the whole heap; what others do meanwhile may be seen half. */
import { wordAt } from "./blocks";
import { HEAP_BYTES, shared, UNIT_BYTES, UNITS } from "./layout";
import { BUSY, FREE, fits, orderOf, ownerOf, OWNED, PART, SENT, stateOf, stride } from "./word";

/** What is lent, and what is left. */
@apistruct export class HeapStats {
  /** Size of the heap. */
  heapBytes: u32;
  freeBytes: u32;
  freeBlocks: u32;
  ownedBytes: u32;
  ownedBlocks: u32;
  /** Sent, but not accepted. */
  sentBytes: u32;
  sentBlocks: u32;
  /** In the hands of processes that cut them up or put them together. */
  busyBytes: u32;
  /** The largest request that could be met: a free block, or several that can be put together. */
  largestBytes: u32;
  /** Requests refused for want of memory since the heap was made. */
  refusals: u32;
  /** Words that make no sense: somebody wrote garbage. Their blocks are out of use. */
  corruptWords: u32;
}

export function look(): HeapStats {
  const stats = new HeapStats();
  stats.heapBytes = HEAP_BYTES;
  stats.refusals = shared.refusals.load();
  let run: u32 = 0;
  for (let unit: u32 = 0; unit < UNITS; ) {
    const word = wordAt(unit).load();
    const state = stateOf(word);
    const units = stride(unit, word);
    const bytes = units * UNIT_BYTES;
    const whole = state >= FREE && state <= PART && fits(unit, orderOf(word));
    if (!whole) stats.corruptWords++;
    else if (state == FREE) {
      stats.freeBytes += bytes;
      stats.freeBlocks++;
    } else if (state == OWNED) {
      stats.ownedBytes += bytes;
      stats.ownedBlocks++;
    } else if (state == SENT) {
      stats.sentBytes += bytes;
      stats.sentBlocks++;
    } else stats.busyBytes += bytes;
    unit += units;
    if (whole && state == FREE) continue;
    stats.largestBytes = max(stats.largestBytes, largestIn(run, unit - units));
    run = unit;
  }
  stats.largestBytes = max(stats.largestBytes, largestIn(run, UNITS));
  return stats;
}

/** Bytes that a process owns or that are on their way to it. */
export function bytesOf(pid: u32): u32 {
  let bytes: u32 = 0;
  for (let unit: u32 = 0; unit < UNITS; ) {
    const word = wordAt(unit).load();
    const units = stride(unit, word);
    const state = stateOf(word);
    if (state >= OWNED && state <= PART && ownerOf(word) == pid) bytes += units * UNIT_BYTES;
    unit += units;
  }
  return bytes;
}

/** Bytes of the largest buddy between two units. */
function largestIn(start: u32, end: u32): u32 {
  for (let units: u32 = UNITS; units > 0; units >>= 1) {
    const first = (start + units - 1) & ~(units - 1);
    if (first < end && units <= end - first) return units * UNIT_BYTES;
  }
  return 0;
}
