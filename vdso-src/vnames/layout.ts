/**
 * Constants and the layout of the vVAR.
 *
 * ```
 * word   63      34 33 32 31          0
 *        | version | state | owner pid |      FREE --write--> WRITING --publish--> READY --remove--> FREE, version + 1
 * ```
 */

/** Names at once. */
export const NAMES: u32 = config.range("NAMES", 256, 1, 65536);
/** UTF-16 code units of a name, at most. A multiple of 4. */
export const NAME_UNITS: u32 = config.range("NAME_UNITS", 64, 4, 1024);
/** Four code units each. */
export const NAME_WORDS: u32 = NAME_UNITS / 4;

@vvar export class Entry {
  @align(64) word: Atomic<u64>;
  /** What the name stands for: the bits of an f64. */
  target: Atomic<u64>;
  /** Zeros behind the name. */
  @len(NAME_WORDS) name: FixedArray<Atomic<u64>>;
}

@vvar class VvarData {
  /** Counts additions and removals; who waits for a name waits here. */
  @align(64) changes: Atomic<u32>;
  /** Pid of the process that adds a name. */
  @align(64) adder: Atomic<u32>;
  @align(64) @len(NAMES) entries: FixedArray<Entry>;
}

export const shared = vvarRoot<VvarData>();
