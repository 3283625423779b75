/**
 * Handles: what a process names a block by. A number below 2^50, so that JavaScript holds it exactly, and never 0.
 *
 * ```text
 *  49         25 24          0
 * +-------------+-------------+
 * | generation  |  unit + 1   |
 * +-------------+-------------+
 * ```
 */
import { UNITS } from "./layout";

const UNIT_BITS: u64 = 25;
const UNIT_MASK: u64 = 0x1ffffff;
/** What {@link unitOf} says of a number that is no handle. */
export const NO_UNIT: u32 = 0xffffffff;

export function makeHandle(unit: u32, generation: u64): f64 {
  return <f64><i64>((generation << UNIT_BITS) | <u64>(unit + 1));
}

/** The unit that a handle names; {@link NO_UNIT} for a number that is no handle. */
export function unitOf(handle: f64): u32 {
  const bits = <i64>handle;
  // Fractions, NaN, what is negative or too large.
  if (<f64>bits != handle || <u64>bits >> 50 != 0) return NO_UNIT;
  const unit = <u32>(<u64>bits & UNIT_MASK) - 1;
  return unit < UNITS ? unit : NO_UNIT;
}

/** Only for what {@link unitOf} took for a handle. */
export function handleGeneration(handle: f64): u64 {
  return <u64><i64>handle >> UNIT_BITS;
}
