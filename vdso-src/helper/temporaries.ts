/**
 * Private memory for values that cross the API by reference: `Option`, `Result`, API structs, strings read from the vVAR.
 *
 *   16         20           24                      1024            16384                                     49152
 *   | logLevel | ringCursor | nothing: always zeros | arguments ... | temporaries: 4 levels of 8 KiB          | the image's own data ...
 *
 * Temporaries live in a ring, so nothing is ever freed and loops need no care: a value stays intact until 8 KiB of younger ones have
 * been made. Each call into the host starts the next level, and ends it: what a host function makes the image do, by calling it again,
 * overwrites nothing. Arguments and levels are the API library's work. (runtime/build/link.ts knows the same addresses.)
 */
const RING_CURSOR: usize = 20;

/** Zeros: an `Option` that holds nothing, a `Result` that is ok and zero. */
// @ts-ignore: decorator
@global
@inline
export const __NOTHING: usize = 24;

const RING: usize = 16384;
const LEVEL_BYTES: usize = 8192;
const RING_BYTES: usize = 4 * LEVEL_BYTES;

/** Room for `bytes` bytes (less than 8 KiB), aligned to 8. */
// @ts-ignore: decorator
@global
export function __temporary(bytes: usize): usize {
  const size = (bytes + 7) & ~7;
  let at = <usize>load<u32>(RING_CURSOR);
  // Not to the last byte: the cursor would be in the next level.
  if ((at & (LEVEL_BYTES - 1)) + size >= LEVEL_BYTES) at = startOfLevel(at);
  store<u32>(RING_CURSOR, <u32>(at + size));
  return RING + at;
}

function startOfLevel(at: usize): usize {
  // Where there is no further level, the API library puts the cursor to where no value fits.
  if (at >= RING_BYTES) throw new Error("image and host call each other too deep: no room for temporaries");
  return at & ~(LEVEL_BYTES - 1);
}
