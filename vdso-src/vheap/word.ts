/**
 * The word that stands for a block: who has it, how large it is, how often it was lent.
 *
 * ```text
 *  63            33 32             8 7     3 2     0
 * +----------------+----------------+-------+-------+
 * |   owner: pid   |   generation   | order | state |     a block of 2^order units begins at this word's unit
 * +----------------+----------------+-------+-------+
 * ```
 *
 * Blocks are buddies: each begins at a multiple of its size, so that all of them tile the heap.
 *
 * | state    | owner        | the block | who changes the word |
 * |----------|--------------|-----------|----------------------|
 * | INNER    | -            | no block begins here: the unit belongs to one further left | the owner of that one |
 * | FREE     | -            | free | anybody, by a CAS |
 * | OWNED    | its borrower | lent | the owner; its reaper |
 * | SENT     | the receiver | on its way from `senders[unit]` | the receiver; the sender, to take it back; the reaper of either |
 * | BUSY     | who cuts it  | being cut up or put together: PART words of the same owner inside it are not blocks (yet, any more) | the owner; its reaper |
 * | PART     | who cuts it  | a block, unless a BUSY block of the same owner covers it | the owner; its reaper |
 *
 * In every state some process, or nobody, owns each unit: a death is always attributable. The generation goes with the unit, not with the
 * block: it survives cutting and putting together, and moves on when the block is released or sent.
 */
import { UNITS } from "./layout";

export const INNER: u64 = 0;
export const FREE: u64 = 1;
export const OWNED: u64 = 2;
export const SENT: u64 = 3;
export const BUSY: u64 = 4;
export const PART: u64 = 5;

const STATE_MASK: u64 = 7;
const ORDER_SHIFT: u64 = 3;
const ORDER_MASK: u64 = 31;
const GENERATION_SHIFT: u64 = 8;
const GENERATION_MASK: u64 = 0x1ffffff;
const OWNER_SHIFT: u64 = 33;
/** All but the order. */
const IDENTITY_MASK: u64 = ~(ORDER_MASK << ORDER_SHIFT);

/** Order of the block that is the whole heap. */
export function wholeOrder(): u32 {
  return ctz(UNITS);
}

export function makeWord(state: u64, order: u32, generation: u64, owner: u32): u64 {
  return state | (<u64>order << ORDER_SHIFT) | (generation << GENERATION_SHIFT) | (<u64>owner << OWNER_SHIFT);
}

export function stateOf(word: u64): u64 {
  return word & STATE_MASK;
}

export function orderOf(word: u64): u32 {
  return <u32>(word >> ORDER_SHIFT) & <u32>ORDER_MASK;
}

export function generationOf(word: u64): u64 {
  return (word >> GENERATION_SHIFT) & GENERATION_MASK;
}

export function nextGeneration(generation: u64): u64 {
  return (generation + 1) & GENERATION_MASK;
}

export function ownerOf(word: u64): u32 {
  return <u32>(word >> OWNER_SHIFT);
}

/** Do the two words differ in nothing but the order? */
export function sameButOrder(word: u64, other: u64): bool {
  return ((word ^ other) & IDENTITY_MASK) == 0;
}

/** Can a block of this order begin at this unit? If it cannot, somebody wrote garbage. */
export function fits(unit: u32, order: u32): bool {
  return order <= wholeOrder() && (unit & ((1 << order) - 1)) == 0;
}

/**
 * Units from here to the next word worth reading. A unit inside a block lies in one that is larger than this unit is aligned to, so that as
 * many units as it is aligned to can be skipped with it.
 */
export function stride(unit: u32, word: u64): u32 {
  if (stateOf(word) == INNER) return unit == 0 ? 1 : 1 << ctz(unit);
  const order = orderOf(word);
  return fits(unit, order) && stateOf(word) <= PART ? 1 << order : 1;
}
