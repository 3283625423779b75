/**
 * What this process has sent: a queue per order, in private memory. Receivers most often release in the order of the messages, so that the oldest is
 * likely to be free, and its word is known: it can be lent by one CAS, without a search that reads words that others are about to change.
 * As with hints, the word in the vVAR decides.
 */
import { HEAP_HINTS } from "./layout";

const ORDERS: u32 = 32;
const units = new StaticArray<u32>(ORDERS * HEAP_HINTS);
const generations = new StaticArray<u32>(ORDERS * HEAP_HINTS);
const heads = new StaticArray<u32>(ORDERS);
const counts = new StaticArray<u32>(ORDERS);
/** By order: requests that still do without a look, because the oldest was not free. */
const skips = new StaticArray<u32>(ORDERS);

/** Full: then the older ones are of more use. */
export function rememberSent(order: u32, unit: u32, generation: u64): void {
  const count = unchecked(counts[order]);
  if (count == HEAP_HINTS) return;
  const at = placeOf(order, count);
  unchecked((units[at] = unit));
  unchecked((generations[at] = <u32>generation));
  unchecked((counts[order] = count + 1));
}

/** Is it worth a look whether the oldest is free? */
export function mayBeReturned(order: u32): bool {
  const left = unchecked(skips[order]);
  if (left > 0) unchecked((skips[order] = left - 1));
  return left == 0 && unchecked(counts[order]) != 0;
}

export function sentUnit(order: u32): u32 {
  return unchecked(units[placeOf(order, 0)]);
}

/** The generation that the oldest was sent with. */
export function sentGeneration(order: u32): u64 {
  return unchecked(generations[placeOf(order, 0)]);
}

/** The oldest is none of those any more. */
export function forgetSent(order: u32): void {
  unchecked((heads[order] = unchecked(heads[order]) + 1));
  unchecked((counts[order] = unchecked(counts[order]) - 1));
}

/** The oldest is still out: another one's turn, when as many requests have done without as there are others. */
export function leaveSent(order: u32): void {
  const unit = sentUnit(order);
  const generation = sentGeneration(order);
  forgetSent(order);
  rememberSent(order, unit, generation);
  unchecked((skips[order] = unchecked(counts[order])));
}

/** One that was sent was taken back: it is forgotten if it is the newest. */
export function forgetUnsent(order: u32, unit: u32): void {
  const count = unchecked(counts[order]);
  if (count != 0 && unchecked(units[placeOf(order, count - 1)]) == unit) unchecked((counts[order] = count - 1));
}

function placeOf(order: u32, index: u32): u32 {
  return order * HEAP_HINTS + ((unchecked(heads[order]) + index) & (HEAP_HINTS - 1));
}
