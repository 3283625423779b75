/**
 * vqueue's lane and nothing else: the same slots, the same compare-and-swap on them, the same private positions; but no owners in the words, no
 * gate, no ids, no reaping, no sleepers, no hints for latecomers. What vqueue takes longer is what surviving costs.
 */
const LOG: u64 = 12;
const LEN: u32 = 1 << 12;
const MASK: u32 = LEN - 1;
const EMPTY: u64 = 0;
const CLAIMED: u64 = 1;
const FULL: u64 = 2;
const TAKEN: u64 = 3;
const TURN_SHIFT: u64 = 2;
const ONE_TURN: u64 = 1 << TURN_SHIFT;

@vvar class Slot { word: Atomic<u64>; @align(8) @len(88) item: FixedArray<u8>; }
@vvar class VvarData { @align(64) @len(LEN) slots: FixedArray<Slot>; }
const shared = vvarRoot<VvarData>();

/** All positions below are claimed, taken. */
let tail: u64 = 0;
let head: u64 = 0;

// @ts-ignore: decorator
@inline
function fill(item: usize, value: u64): void {
  for (let word: usize = 0; word < 88; word += 8) vvar.store<u64>(item + word, value + word);
}

// @ts-ignore: decorator
@inline
function sum(item: usize): u64 {
  let total: u64 = 0;
  for (let word: usize = 0; word < 88; word += 8) total += vvar.load<u64>(item + word);
  return total;
}

// @ts-ignore: decorator
@inline
function push(value: u64): bool {
  while (true) {
    const slot = unchecked(shared.slots[<u32>tail & MASK]);
    const empty = ((tail >> LOG) << TURN_SHIFT) | EMPTY;
    const word = slot.word.load();
    if (word < empty) return false;
    if (word == empty && slot.word.cas(empty, empty | CLAIMED)) {
      tail++;
      fill(changetype<usize>(slot.item), value);
      slot.word.store(empty | FULL);
      return true;
    }
    // Claimed by others.
    if (word != empty) tail++;
  }
}

let popped: u64 = 0;

// @ts-ignore: decorator
@inline
function pop(): bool {
  while (true) {
    const slot = unchecked(shared.slots[<u32>head & MASK]);
    const full = ((head >> LOG) << TURN_SHIFT) | FULL;
    const word = slot.word.load();
    if (word < full) return false;
    if (word == full && slot.word.cas(full, full + (TAKEN - FULL))) {
      head++;
      popped += sum(changetype<usize>(slot.item));
      slot.word.store(full - FULL + ONE_TURN);
      return true;
    }
    // Taken by others.
    if (word != full) head++;
  }
}

export function produce(_mailbox: u32, count: u32): void {
  for (let i: u32 = 0; i < count; ) if (push(i)) i++;
}

export function consume(_mailbox: u32, count: u32): u64 {
  popped = 0;
  for (let i: u32 = 0; i < count; ) if (pop()) i++;
  return popped;
}

export function pushPop(_mailbox: u32, count: u32): u64 {
  popped = 0;
  for (let i: u32 = 0; i < count; i++) {
    push(i);
    pop();
  }
  return popped;
}
