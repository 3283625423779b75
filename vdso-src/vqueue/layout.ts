/**
 * Constants and the layout of the vVAR.
 *
 * ```
 * mailbox   gate, policy, pid                     read by every call, written when something out of the ordinary happens
 *           counters
 *           owners, item and space sleepers       one bit a process
 *           notification map
 *           hints of the urgent lane, of the lane  each on a cache line of its own
 *           urgent slots, slots
 * slot      0 word (see ring.ts)   8 item: 88 bytes
 * item      0 sender  4 length  6 flags  8 message type  16 reply type  24 data (64 bytes)
 * ```
 */

/** Items that a mailbox holds. */
export const QUEUE_LEN: u32 = config.range("QUEUE_LEN", 4096, 1, 524288);
/** Items that a mailbox's urgent lane holds. */
export const URGENT_LEN: u32 = config.range("URGENT_LEN", 64, 1, 524288);
/** Mailboxes in the image. */
export const ARRAY_LEN: u32 = config.range("ARRAY_LEN", 64, 1, 1023);
/** Entries in a mailbox's map from message types to notification ids. */
export const MAP_LEN: u32 = config.range("MAP_LEN", 64, 1, 4096);
/** Processes: the highest pid index, plus 1. */
export const PROCESSES: u32 = config.range("PROCESSES", 1024, 2, 1024);
/** Looks at a mailbox before a waiter parks, at most. 0: parks at once. */
export const SPIN: u32 = config.range("SPIN", 2000, 0, 100000000);
/** Slots after which a process publishes how far it has seen claimed, or taken. */
export const PUBLISH_EVERY: u64 = config.powerOfTwo("PUBLISH_EVERY", 64);
/** Count sleeps and wake-ups? Off where states are compared that should not differ by them: in the checker. */
export const COUNTERS: bool = config("COUNTERS", true);
/** Lap that a mailbox's positions start in; for tests of the wrap-around. */
export const START_TURN: u64 = config("START_TURN", 0);

/** Bytes of an item. */
export const ITEM_BYTES: u32 = 88;
/** Bytes from a slot's word to its item. */
export const SLOT_WORD_BYTES: u32 = 8;
/** Bytes from one slot to the next. */
export const SLOT_BYTES: u32 = ITEM_BYTES + SLOT_WORD_BYTES;
/** Words of a set with one bit a process. */
export const PID_WORDS: u32 = (PROCESSES + 63) / 64;
const MAILBOX_WORDS: u32 = (ARRAY_LEN + 63) / 64;

/** One message. The vDSO never looks inside. */
@vvar export class Item {
  @align(8) sender: u32;
  length: u16;
  flags: u16;
  msgType: u64;
  repType: u64;
  @len(64) data: FixedArray<u8>;
}

@vvar export class Slot {
  word: Atomic<u64>;
  item: Item;
}

/** See map.ts. */
@vvar export class MapEntry {
  word: Atomic<u64>;
  msgType: Atomic<u64>;
  notification: Atomic<u64>;
}

@vvar export class Mailbox {
  /** Generation, phase and notices; see gate.ts. */
  @align(64) gate: Atomic<u64>;
  policy: Atomic<u32>;
  /** Not 0: every process may receive. */
  anyone: Atomic<u32>;
  /** Who is said to receive here; for information. */
  pid: Atomic<u32>;
  /** The process that is registering it, 0: none. */
  registrar: Atomic<u32>;

  /** Positions that the lanes began at, with this registration. */
  @align(64) firstPosition: Atomic<u64>;
  urgentFirstPosition: Atomic<u64>;
  /** Claims that never became items. */
  skipped: Atomic<u32>;
  dropped: Atomic<u32>;
  redelivered: Atomic<u32>;
  waits: Atomic<u32>;
  wakeUps: Atomic<u32>;
  highWater: Atomic<u32>;

  @align(64) @len(PID_WORDS) owners: FixedArray<Atomic<u64>>;
  @align(64) @len(PID_WORDS) itemSleepers: FixedArray<Atomic<u64>>;
  @align(64) @len(PID_WORDS) spaceSleepers: FixedArray<Atomic<u64>>;
  @align(64) @len(MAP_LEN) map: FixedArray<MapEntry>;

  /** All positions below were claimed when this was written. */
  @align(64) urgentTailHint: Atomic<u64>;
  @align(64) urgentHeadHint: Atomic<u64>;
  @align(64) tailHint: Atomic<u64>;
  /** All positions below were taken when this was written. */
  @align(64) headHint: Atomic<u64>;
  @align(64) @len(URGENT_LEN) urgentSlots: FixedArray<Slot>;
  @align(64) @len(QUEUE_LEN) slots: FixedArray<Slot>;
}

/** What a process has of its own. */
@vvar export class Process {
  /** 0: nobody. The highest bit is set while it is reaped. */
  @align(64) pid: Atomic<u32>;
  /** Where it parks, whatever it waits for. */
  wake: Atomic<u32>;
  /** What it is about to share: the mailbox's id, and above it the pid it shares with; 0: nothing. Only it writes here, and its reaper. */
  sharing: Atomic<u64>;
  /** Mailboxes that it ever used: where a reaper has to look. */
  @len(MAILBOX_WORDS) touched: FixedArray<Atomic<u64>>;
}

@vvar class VvarData {
  @align(64) corrupt: Atomic<u32>;
  @align(64) @len(PROCESSES) processes: FixedArray<Process>;
  @align(64) @len(ARRAY_LEN) mailboxes: FixedArray<Mailbox>;
}

export const shared = vvarRoot<VvarData>();
