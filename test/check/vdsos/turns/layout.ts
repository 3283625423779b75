/** Constants and layout. */

/** Items that a queue holds. */
export const QUEUE_LEN: u32 = config.powerOfTwo("QUEUE_LEN", 4096);
/** Queues in the image. */
export const ARRAY_LEN: u32 = config.range("ARRAY_LEN", 64, 1, 1023);

/** One message: 88 bytes. */
@vvar export class Item {
  sender: u64;
  msgType: u64;
  repType: u64;
  @len(64) data: FixedArray<u8>;
}

/**
 * A slot of the ring. `turn` says whose it is: position `p` of the ring may be filled when the turn is `p`, and taken when it is `p + 1`.
 */
@vvar export class Slot {
  @align(8) turn: Atomic<u32>;
  item: Item;
}

/** A queue; `head`, `tail` and the sleepers' words stay apart, so that producers and consumers share no cache line. */
@vvar export class Queue {
  /** 0: free, otherwise the pid of the process that registered it. */
  @align(64) owner: Atomic<u32>;
  /** Position that the next producer claims. */
  @align(64) tail: Atomic<u32>;
  /** Position that the next consumer claims. */
  @align(64) head: Atomic<u32>;
  /** Counts commits, for consumers who sleep. */
  @align(64) committed: Atomic<u32>;
  /** Do consumers sleep, or are about to? Cleared by who wakes them. */
  consumersAsleep: Atomic<u32>;
  /** Counts releases, for producers who sleep. */
  @align(64) released: Atomic<u32>;
  /** As for consumers. */
  producersAsleep: Atomic<u32>;
  @align(64) @len(QUEUE_LEN) slots: FixedArray<Slot>;
}

@vvar class VvarData {
  @len(ARRAY_LEN) queues: FixedArray<Queue>;
}

export const shared = vvarRoot<VvarData>();
