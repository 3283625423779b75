/**
 * Private memory for values that cross the API by reference: `Option`, `Result`, API structs, strings read from the vVAR.
 *
 *   16         20           24                      1024            9216                  25600
 *   | logLevel | ringCursor | nothing: always zeros | arguments ... | ring of temporaries | the image's own data ...
 *
 * Temporaries live in a ring, so nothing is ever freed and loops need no care: a value stays intact until 16 KiB of younger ones have
 * been made. The arguments are written by the API library. (runtime/build/link.ts knows the same addresses.)
 */
const RING_CURSOR: usize = 20;

/** Zeros: an `Option` that holds nothing, a `Result` that is ok and zero. */
// @ts-ignore: decorator
@global
@inline
export const __NOTHING: usize = 24;

const RING: usize = 9216;
const RING_BYTES: usize = 16384;

/** Room for `bytes` bytes (at most 8 KiB), aligned to 8. */
// @ts-ignore: decorator
@global
export function __temporary(bytes: usize): usize {
  const size = (bytes + 7) & ~7;
  let at = <usize>load<u32>(RING_CURSOR);
  if (at + size > RING_BYTES) at = 0;
  store<u32>(RING_CURSOR, <u32>(at + size));
  return RING + at;
}
