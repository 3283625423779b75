/**
 * The first vqueue, kept to be checked: queues of 88-byte items, bounded, FIFO, any number of producers and consumers.
 *
 * Source: Dmitry Vyukov's bounded MPMC queue, https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue
 * Who writes what: a producer owns the slot from its claim to its commit, a consumer from its take to its release.
 * Progress: claims are lock-free. A process that dies between claim and commit, or between take and release, blocks that position for
 * ever: this first queue does not survive a death at every instruction.
 */
import { ARRAY_LEN, Item, QUEUE_LEN, Queue, shared } from "./layout";

export { ARRAY_LEN, QUEUE_LEN } from "./layout";

const MASK: u32 = QUEUE_LEN - 1;
const RETIRED: u32 = 0xffffffff;

function queueAt(queue: u32): Queue {
  assert(queue < ARRAY_LEN, "no such queue");
  return unchecked(shared.queues[queue]);
}

/** Registers a queue for a process. @returns its number, or nothing when all are taken */
export function register(pid: u32): Option<u32> {
  assert(pid != 0 && pid != RETIRED, "a pid is needed");
  for (let i: u32 = 0; i < ARRAY_LEN; i++) {
    const queue = unchecked(shared.queues[i]);
    // Retired while its slots are reset, so that nobody pushes into it before.
    if (!queue.owner.cas(0, RETIRED)) continue;
    const start = queue.tail.load();
    queue.head.store(start);
    for (let k: u32 = 0; k < QUEUE_LEN; k++) {
      const position = start + k;
      unchecked(queue.slots[position & MASK]).turn.store(position);
    }
    queue.owner.store(pid);
    return Option.some(i);
  }
  return Option.none();
}

/** Gives a queue back; what it holds is lost, and everybody asleep on it wakes. */
export function unregister(queue: u32): void {
  const it = queueAt(queue);
  it.owner.store(0);
  it.committed.add(1);
  it.committed.notify();
  it.released.add(1);
  it.released.notify();
}

/** The pid that registered the queue; 0 when it is free. */
export function ownerOf(queue: u32): u32 {
  const owner = queueAt(queue).owner.load();
  return owner == RETIRED ? 0 : owner;
}

/** Items between the next to take and the next to fill; a moment's view. */
export function length(queue: u32): u32 {
  const it = queueAt(queue);
  const head = it.head.load();
  const count = it.tail.load() - head;
  return min(count, QUEUE_LEN);
}

/** Claims a slot to fill in place. @returns the item's address in the vVAR; 0 when the queue is full */
export function claim(queue: u32): u32 {
  const it = queueAt(queue);
  let tail = it.tail.load();
  while (true) {
    const slot = unchecked(it.slots[tail & MASK]);
    const distance = <i32>(slot.turn.load() - tail);
    if (distance == 0) {
      const seen = it.tail.compareExchange(tail, tail + 1);
      if (seen == tail) return <u32>changetype<usize>(slot.item);
      tail = seen;
    } else if (distance < 0) return 0;
    else tail = it.tail.load();
  }
}

/** Hands a claimed item to the consumers. */
export function commit(queue: u32, item: u32): void {
  const it = queueAt(queue);
  const turn = turnOf(it, item);
  // SYNC slot-full: publishes the payload; pairs with `slot-full` in take(). A store, not a CAS: the slot is ours until here.
  turn.store(turn.load() + 1);
  // SYNC commit-sleepers: the turn is written before the sleepers are looked for; pairs with `commit-sleepers` in waitForItem().
  if (it.consumersAsleep.load() != 0) {
    // Cleared, or every commit until the first of them runs would wake them again. Before the count: who saw the old count wakes by that.
    it.consumersAsleep.store(0);
    it.committed.add(1);
    // All, not one: with this commit the items behind it, which were committed before it, can be taken as well.
    it.committed.notify();
  }
}

/** Takes the oldest item, to read in place. @returns its address in the vVAR; 0 when the queue is empty */
export function take(queue: u32): u32 {
  const it = queueAt(queue);
  let head = it.head.load();
  while (true) {
    const slot = unchecked(it.slots[head & MASK]);
    // SYNC slot-full: the payload is there once the turn says so; pairs with `slot-full` in commit().
    const distance = <i32>(slot.turn.load() - (head + 1));
    if (distance == 0) {
      const seen = it.head.compareExchange(head, head + 1);
      if (seen == head) return <u32>changetype<usize>(slot.item);
      head = seen;
    } else if (distance < 0) return 0;
    else head = it.head.load();
  }
}

/** Gives a taken slot back to the producers. */
export function release(queue: u32, item: u32): void {
  const it = queueAt(queue);
  const turn = turnOf(it, item);
  turn.store(turn.load() + MASK);
  // SYNC release-sleepers: the turn is written before the sleepers are looked for; pairs with `release-sleepers` in waitForSpace().
  if (it.producersAsleep.load() != 0) {
    // As in commit().
    it.producersAsleep.store(0);
    it.released.add(1);
    // All, not one: with this slot those behind it, which were released before it, can be claimed as well.
    it.released.notify();
  }
}

/**
 * Sleeps until an item can be taken.
 *
 * @param timeoutMs - negative: for ever
 * @returns is there (probably) one? false: time is up, or the queue was given back
 */
export function waitForItem(queue: u32, timeoutMs: f64 = -1): bool {
  const it = queueAt(queue);
  const seen = it.committed.load();
  it.consumersAsleep.store(1);
  // SYNC commit-sleepers: announced first, looked second; pairs with `commit-sleepers` in commit().
  if (!hasItem(it) && it.owner.load() != 0) it.committed.wait(seen, nanoseconds(timeoutMs));
  return hasItem(it);
}

/** Sleeps until a slot can be claimed; see {@link waitForItem}. */
export function waitForSpace(queue: u32, timeoutMs: f64 = -1): bool {
  const it = queueAt(queue);
  const seen = it.released.load();
  it.producersAsleep.store(1);
  // SYNC release-sleepers: announced first, looked second; pairs with `release-sleepers` in release().
  if (!hasSpace(it) && it.owner.load() != 0) it.released.wait(seen, nanoseconds(timeoutMs));
  return hasSpace(it);
}

/** Frees the queues of a process that ended. */
export function processDrop(pid: u32): void {
  for (let i: u32 = 0; i < ARRAY_LEN; i++) {
    if (unchecked(shared.queues[i]).owner.load() == pid) unregister(i);
  }
}

function hasItem(queue: Queue): bool {
  const head = queue.head.load();
  return <i32>(unchecked(queue.slots[head & MASK]).turn.load() - (head + 1)) >= 0;
}

function hasSpace(queue: Queue): bool {
  const tail = queue.tail.load();
  return <i32>(unchecked(queue.slots[tail & MASK]).turn.load() - tail) >= 0;
}

function nanoseconds(ms: f64): i64 {
  return ms < 0 ? -1 : <i64>(min(ms, 1e12) * 1e6);
}

/** The turn of the slot that holds an item: 8 bytes before it. A wrong address is refused, not written to. */
function turnOf(queue: Queue, item: u32): Atomic<u32> {
  const first = <u32>changetype<usize>(unchecked(queue.slots[0]).item);
  const stride: u32 = 96;
  assert(item >= first && (item - first) % stride == 0 && (item - first) / stride < QUEUE_LEN, "no such item");
  return changetype<Atomic<u32>>(<usize>item - 8);
}
