/**
 * Heaps of tasks in private memory: those ready on this process's CPU (see `run-queue.ts`), those of them that may not begin now, and those that wait
 * here with a deadline.
 *
 * One writer, no races, and a death leaves nothing behind. A task has at most one entry in each, so a heap is never larger than the task
 * table; adding and taking cost O(log n). An entry carries the stamp of the word that it was made for: when the word has moved on the entry
 * is stale, and is dropped when it comes up.
 *
 *   slots  | unused | 1: first | 2 3: after 1 | 4 5: after 2 | 6 7: after 3 | ...        of each heap: indices of tasks
 *   places | 0: not in the heap, else its slot |                                         of each heap: by task
 */
import { TASKS } from "./layout";

/** Ready tasks; key and order as the policy has them. */
export const READY: u32 = 0;
/** Waiting tasks; the key is the deadline. */
export const TIMERS: u32 = 1;
/** Ready tasks that have to wait until there is room for them to begin; as in {@link READY}. */
export const ASIDE: u32 = 2;
const HEAPS: u32 = 3;

const SLOTS: u32 = TASKS + 1;
const slots = new StaticArray<u32>(HEAPS * SLOTS);
const places = new StaticArray<u32>(HEAPS * TASKS);
const keys = new StaticArray<u64>(HEAPS * TASKS);
const orders = new StaticArray<u64>(HEAPS * TASKS);
const stamps = new StaticArray<u32>(HEAPS * TASKS);
const sizes = new StaticArray<u32>(HEAPS);

export function sizeOf(heap: u32): u32 {
  return unchecked(sizes[heap]);
}

/** Index of the first task; call when there is one, as the two below. */
export function firstOf(heap: u32): u32 {
  return unchecked(slots[heap * SLOTS + 1]);
}

export function firstKey(heap: u32): u64 {
  return unchecked(keys[heap * TASKS + firstOf(heap)]);
}

export function has(heap: u32, index: u32): bool {
  return unchecked(places[heap * TASKS + index]) != 0;
}

export function keyAt(heap: u32, index: u32): u64 {
  return unchecked(keys[heap * TASKS + index]);
}

export function stampAt(heap: u32, index: u32): u32 {
  return unchecked(stamps[heap * TASKS + index]);
}

/** Notes what is known of a task, in the heap or not. */
export function describe(heap: u32, index: u32, key: u64, order: u64, stamp: u32): void {
  const entry = heap * TASKS + index;
  unchecked((keys[entry] = key));
  unchecked((orders[entry] = order));
  unchecked((stamps[entry] = stamp));
}

/** Adds a task, or corrects its entry. */
export function insert(heap: u32, index: u32, key: u64, order: u64, stamp: u32): void {
  describe(heap, index, key, order, stamp);
  let at = unchecked(places[heap * TASKS + index]);
  if (at == 0) {
    at = unchecked(sizes[heap]) + 1;
    unchecked((sizes[heap] = at));
    put(heap, at, index);
  } else {
    sink(heap, at);
    at = unchecked(places[heap * TASKS + index]);
  }
  rise(heap, at);
}

export function removeFirst(heap: u32): void {
  const size = unchecked(sizes[heap]);
  unchecked((places[heap * TASKS + firstOf(heap)] = 0));
  unchecked((sizes[heap] = size - 1));
  if (size == 1) return;
  put(heap, 1, unchecked(slots[heap * SLOTS + size]));
  sink(heap, 1);
}

export function clear(heap: u32): void {
  while (sizeOf(heap) != 0) removeFirst(heap);
}

export function before(heap: u32, a: u32, b: u32): bool {
  const keyA = unchecked(keys[heap * TASKS + a]);
  const keyB = unchecked(keys[heap * TASKS + b]);
  return keyA != keyB ? keyA < keyB : unchecked(orders[heap * TASKS + a]) < unchecked(orders[heap * TASKS + b]);
}

function put(heap: u32, at: u32, index: u32): void {
  unchecked((slots[heap * SLOTS + at] = index));
  unchecked((places[heap * TASKS + index] = at));
}

function rise(heap: u32, from: u32): void {
  let at = from;
  const index = unchecked(slots[heap * SLOTS + at]);
  while (at > 1) {
    const parent = unchecked(slots[heap * SLOTS + (at >> 1)]);
    if (!before(heap, index, parent)) break;
    put(heap, at, parent);
    at >>= 1;
  }
  put(heap, at, index);
}

function sink(heap: u32, from: u32): void {
  let at = from;
  const size = unchecked(sizes[heap]);
  const index = unchecked(slots[heap * SLOTS + at]);
  while (at * 2 <= size) {
    let child = at * 2;
    if (child < size && before(heap, unchecked(slots[heap * SLOTS + child + 1]), unchecked(slots[heap * SLOTS + child]))) child++;
    const candidate = unchecked(slots[heap * SLOTS + child]);
    if (!before(heap, candidate, index)) break;
    put(heap, at, candidate);
    at = child;
  }
  put(heap, at, index);
}
