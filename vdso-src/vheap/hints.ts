/**
 * Where this process has seen free blocks: a stack per order, in private memory. Hints only: the word in the vVAR decides. A block that is
 * hinted at is free for everybody, so a death loses nothing, and a wrong hint costs one look.
 */
import { HEAP_HINTS } from "./layout";

const ORDERS: u32 = 32;
const units = new StaticArray<u32>(ORDERS * HEAP_HINTS);
/** Where the next hint goes; the stacks are rings, so that the oldest hint is the one forgotten. */
const tops = new StaticArray<u32>(ORDERS);
const counts = new StaticArray<u32>(ORDERS);
/** Bit by order: is there a hint? */
let stocked: u32 = 0;

export function remember(order: u32, unit: u32): void {
  const top = unchecked(tops[order]);
  unchecked((units[order * HEAP_HINTS + (top & (HEAP_HINTS - 1))] = unit));
  unchecked((tops[order] = top + 1));
  unchecked((counts[order] = min(unchecked(counts[order]) + 1, HEAP_HINTS)));
  stocked |= 1 << order;
}

/** Is there a hint of exactly this order? */
export function isHinted(order: u32): bool {
  return ((stocked >> order) & 1) != 0;
}

/** Orders from `least` up of which a hint is there; 0: none. */
export function hinted(least: u32): u32 {
  return (stocked >> least) << least;
}

/** The newest hint of an order that {@link hinted} named. */
export function recall(order: u32): u32 {
  const top = unchecked(tops[order]) - 1;
  const left = unchecked(counts[order]) - 1;
  unchecked((tops[order] = top));
  unchecked((counts[order] = left));
  if (left == 0) stocked &= ~(1 << order);
  return unchecked(units[order * HEAP_HINTS + (top & (HEAP_HINTS - 1))]);
}
