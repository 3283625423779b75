/**
 * The ready tasks of this process's CPU, ordered by the policy's key. In private memory: one writer, no races, and a death leaves nothing.
 *
 * Most tasks become ready in the order in which they are to run: they are appended to a ring, which stays sorted, and cost O(1). One that has
 * to run before the last of the ring goes to the heap. The first task is the first of the two. A task has one entry at most; when its word has
 * moved on the entry is stale, and is dropped when it comes up.
 *
 *   ring  | ... | 1 + task | 0: taken out | 1 + task | ...        `count` places from `head` on
 *   where | 0: not in the ring, else 1 + place |                  by task
 */
import * as heap from "./heap";
import { READY } from "./heap";
import { TASKS } from "./layout";

const ring = new StaticArray<u32>(TASKS);
const where = new StaticArray<u32>(TASKS);
let head: u32 = 0;
let count: u32 = 0;
/** Key and order of the last that was appended. */
let lastKey: u64 = 0;
let lastOrder: u64 = 0;

/** Adds a task, or corrects its entry. */
export function insert(index: u32, key: u64, order: u64, stamp: u32): void {
  const place = unchecked(where[index]);
  if (place != 0) {
    unchecked((ring[place - 1] = 0));
    unchecked((where[index] = 0));
  }
  if (count == TASKS || heap.has(READY, index) || (count != 0 && (key < lastKey || (key == lastKey && order < lastOrder)))) {
    heap.insert(READY, index, key, order, stamp);
    return;
  }
  let at = head + count;
  if (at >= TASKS) at -= TASKS;
  count++;
  unchecked((ring[at] = index + 1));
  unchecked((where[index] = at + 1));
  lastKey = key;
  lastOrder = order;
  heap.describe(READY, index, key, order, stamp);
}

/** The task that is first, stale or not. @returns TASKS when there is none */
export function first(): u32 {
  while (count != 0) {
    const entry = unchecked(ring[head]);
    if (entry != 0) {
      const index = entry - 1;
      return heap.sizeOf(READY) != 0 && heap.before(READY, heap.firstOf(READY), index) ? heap.firstOf(READY) : index;
    }
    advance();
  }
  return heap.sizeOf(READY) == 0 ? TASKS : heap.firstOf(READY);
}

/** Takes out what {@link first} returned. */
export function remove(index: u32): void {
  if (unchecked(where[index]) == 0) {
    heap.removeFirst(READY);
    return;
  }
  unchecked((where[index] = 0));
  advance();
}

function advance(): void {
  head = head + 1 == TASKS ? 0 : head + 1;
  count--;
}

export function keyAt(index: u32): u64 {
  return heap.keyAt(READY, index);
}

export function stampAt(index: u32): u32 {
  return heap.stampAt(READY, index);
}

export function clear(): void {
  for (let index = first(); index < TASKS; index = first()) remove(index);
}
