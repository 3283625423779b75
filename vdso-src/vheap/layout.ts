/** Constants and layout. */

/** Bytes that can be lent in all: a power of two. With more than 1 GiB, not every offset would fit into an i32. */
export const HEAP_BYTES: u32 = config.powerOfTwo("HEAP_BYTES", 33554432, 64, 1073741824);
/** Free blocks of one size that a process remembers, and as many that it has sent; memory of its own, nobody else's. */
export const HEAP_HINTS: u32 = config.powerOfTwo("HEAP_HINTS", 32, 1, 65536);
/** How often a request that finds nothing looks again while others are in the middle of something. */
export const HEAP_PASSES: u32 = config.range("HEAP_PASSES", 8, 2, 1000);

/** From this size on a request takes the block that was used longest ago, as far as is known; see blocks.ts. */
export const HEAP_FAR_BYTES: u32 = config.powerOfTwo("HEAP_FAR_BYTES", 32768, 64, 1073741824);

/** The smallest block, and what every block is a multiple of. */
export const UNIT_BYTES: u32 = 64;
export const UNITS: u32 = HEAP_BYTES / UNIT_BYTES;
/** Processes at once; a pid's index is `pid & 1023`. */
export const PROCESSES: u32 = 1024;

@vvar class VvarData {
  /** Requests that were refused for want of memory. */
  @align(64) refusals: Atomic<u32>;
  /** By index: the pid that is attached; 0 when nobody is, or when it ended. */
  @align(64) @len(PROCESSES) processes: FixedArray<Atomic<u32>>;
  /** One word per unit; see `word.ts`. */
  @align(64) @len(UNITS) words: FixedArray<Atomic<u64>>;
  /** By unit, for a block in transit that begins there: the pid that sent it. Written by the block's owner only. */
  @align(64) @len(UNITS) senders: FixedArray<Atomic<u32>>;
  /** What is lent. The allocator itself never touches it. */
  @align(64) @len(HEAP_BYTES) data: FixedArray<u8>;
}

export const shared = vvarRoot<VvarData>();
