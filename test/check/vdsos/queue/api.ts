/**
 * A bounded queue for any number of producers and consumers, and seven ways to get it wrong.
 *
 * Source: https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue
 */
export const CAPACITY: u32 = config.powerOfTwo("CAPACITY", 2);
/** First position: a number near 2^32 makes the counters wrap. */
export const START: u32 = config("START", 0);
/** 0: none. */
const BUG: u32 = config("BUG", 0);
const MASK: u32 = CAPACITY - 1;

@vvar class Slot {
  turn: Atomic<u32>;
  item: u64;
}

@vvar class VvarData {
  @align(64) head: Atomic<u32>;
  @align(64) tail: Atomic<u32>;
  @align(64) @len(CAPACITY) slots: FixedArray<Slot>;
}
const shared = vvarRoot<VvarData>();

export function init(): void {
  shared.head.store(START);
  shared.tail.store(START);
  for (let i: u32 = 0; i < CAPACITY; i++) shared.slots[(START + i) & MASK].turn.store(START + i);
}

export function tryPush(item: u64): bool {
  while (true) {
    const tail = shared.tail.load();
    const slot = shared.slots[tail & MASK];
    const turn = slot.turn.load();
    // Bug 6: positions compared as numbers, not by their distance.
    const distance = BUG == 6 ? (turn == tail ? 0 : turn < tail ? -1 : 1) : <i32>(turn - tail);
    // Bug 7: full is not noticed.
    if (distance < 0 && BUG != 7) return false;
    if (distance > 0) continue;
    if (BUG == 1) {
      // The claim is a load and a store.
      if (shared.tail.load() != tail) continue;
      shared.tail.store(tail + 1);
    } else if (!shared.tail.cas(tail, tail + 1)) continue;
    if (BUG == 3) {
      slot.turn.store(tail + 1);
      slot.item = item;
    } else {
      slot.item = item;
      slot.turn.store(tail + 1);
    }
    return true;
  }
  return false;
}

export function tryPop(): Option<u64> {
  while (true) {
    const head = shared.head.load();
    const slot = shared.slots[head & MASK];
    const turn = slot.turn.load();
    const distance = BUG == 6 ? (turn == head + 1 ? 0 : turn < head + 1 ? -1 : 1) : <i32>(turn - (head + 1));
    if (distance < 0) return Option.none<u64>();
    if (distance > 0) continue;
    if (BUG == 2) {
      if (shared.head.load() != head) continue;
      shared.head.store(head + 1);
    } else if (!shared.head.cas(head, head + 1)) continue;
    // Bug 4: the slot is given back before its item is read.
    if (BUG == 4) slot.turn.store(head + CAPACITY);
    const item = slot.item;
    // Bug 5: it is marked as full again, not as free.
    if (BUG != 4) slot.turn.store(BUG == 5 ? head + 1 : head + CAPACITY);
    return Option.some(item);
  }
  return Option.none<u64>();
}
