/**
 * The yardstick: Dmitry Vyukov's bounded MPMC queue and nothing else, https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue. No owners, no
 * reaping, no waiting, no checks.
 */
const LEN: u32 = 4096;
const MASK: u32 = LEN - 1;

@vvar class Slot { turn: Atomic<u32>; @align(8) @len(88) item: FixedArray<u8>; }
@vvar class VvarData {
  @align(64) tail: Atomic<u32>;
  @align(64) head: Atomic<u32>;
  @align(64) @len(LEN) slots: FixedArray<Slot>;
}
const shared = vvarRoot<VvarData>();

export function init(): void {
  for (let i: u32 = 0; i < LEN; i++) unchecked(shared.slots[i]).turn.store(i);
}

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
  let tail = shared.tail.load();
  while (true) {
    const slot = unchecked(shared.slots[tail & MASK]);
    const distance = <i32>(slot.turn.load() - tail);
    if (distance == 0) {
      const seen = shared.tail.compareExchange(tail, tail + 1);
      if (seen == tail) {
        fill(changetype<usize>(slot.item), value);
        slot.turn.store(tail + 1);
        return true;
      }
      tail = seen;
    } else if (distance < 0) return false;
    else tail = shared.tail.load();
  }
}

let popped: u64 = 0;

// @ts-ignore: decorator
@inline
function pop(): bool {
  let head = shared.head.load();
  while (true) {
    const slot = unchecked(shared.slots[head & MASK]);
    const distance = <i32>(slot.turn.load() - (head + 1));
    if (distance == 0) {
      const seen = shared.head.compareExchange(head, head + 1);
      if (seen == head) {
        popped += sum(changetype<usize>(slot.item));
        slot.turn.store(head + LEN);
        return true;
      }
      head = seen;
    } else if (distance < 0) return false;
    else head = shared.head.load();
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
