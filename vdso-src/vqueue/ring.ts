/**
 * A lane of a mailbox: a bounded ring for any number of producers and consumers, that a process may leave by death at any instruction.
 *
 * Source: the turns are those of Dmitry Vyukov's bounded MPMC queue, https://www.1024cores.net/home/lock-free-algorithms/queues/bounded-mpmc-queue.
 * Unlike there, a position is claimed by a CAS on the *slot*, not on a common tail: the word that says "claimed" says by whom, so
 * there is no instant at which a slot is taken and nobody knows by whom. No line is shared by all producers either.
 *
 * ```
 * word      63                              19 18  16 15     10 9        0
 *           | turn                            | state | run - 1 | pid & 1023 |     run: EMPTY, CLAIMED, TAKEN; pid: CLAIMED, TAKEN
 * position  turn << LOG | index of the slot     (LOG: bits of the largest index)
 *
 * EMPTY(t) --claim--> CLAIMED(t) --commit--> FULL(t) --take--> TAKEN(t) --release--> EMPTY(t + 1)
 *                        |                     |                  |
 *                abandon, reap           drop the oldest    reap, put back
 *                        v                     v                  v
 *                     SKIP(t)            CLAIMED(t + 1)        REDO(t) --take--> TAKEN(t)
 *           SKIP(t) --the next consumer--> EMPTY(t + 1), or --the next producer--> CLAIMED(t + 1)
 * ```
 * - Positions are claimed in order: who claims `p` has seen that `p - 1` was claimed. So also taken. "All below `p` were claimed" is never
 *   undone: each process keeps the highest such `p` it knows (its hint) in private memory, and publishes one now and then for those who
 *   were away.
 * - A run: one word speaks for `run` slots, and nobody looks at the words behind it, because they come in ascending order, from the first. So one CAS
 *   claims (takes) them, and one store releases them: as an EMPTY run, behind whose first word FULL of the lap before still stands. The lines of a
 *   batch's payload stay in its consumer's cache unchanged, so its producer gets them sooner.
 * - An EMPTY run is claimed whole, with single slots that follow it, or cut: who wants less CASes the first word of the rest from that FULL to an EMPTY
 *   run that reaches as far, then claims. A cut that comes late fails, or writes behind a run's first word. That first word stays the claim's first,
 *   so it changes again when those behind it say FULL of this lap.
 * - A commit writes the words behind the first plainly, each for itself, and then the first by an atomic store: that orders them before all accesses
 *   of others, but for some that do no harm: who counts how many items a run could have, before its CAS on the first, reads words that change only if
 *   that CAS is going to fail, and who cuts, CASes from a value that they never have again; reapers and takers who look around are after other states.
 * - Who writes: EMPTY, FULL, SKIP, REDO belong to whoever wins the CAS; CLAIMED and TAKEN (a run: all of its slots) to the process in the
 *   word, and after its death to the reaper.
 * - Words never repeat within 2^45 laps, so a CAS that was held up for long fails.
 * - Progress: claiming and taking are lock-free; each loop is bounded, and gives Busy beyond its bound.
 * - A claimed slot that is not committed holds up the consumers, a taken one that is not released the producers that come round to it.
 *   Death: a CLAIMED run becomes SKIP, a TAKEN one REDO, which consumers find when LOOK_AROUND is set (lane.ts).
 */
import { Mailbox, QUEUE_LEN, Slot, URGENT_LEN } from "./layout";

const TURN_SHIFT: u64 = 19;
const STATE_SHIFT: u64 = 16;
const RUN_SHIFT: u64 = 10;
const OWNER_MASK: u64 = 1023;
const RUN_MASK: u64 = 63;
const STATE_MASK: u64 = 7 << STATE_SHIFT;
export const ONE_TURN: u64 = 1 << TURN_SHIFT;
export const TURN_MASK: u64 = ~(ONE_TURN - 1);

/** Slots that one claim or take can cover. */
export const MAX_RUN: u32 = 64;

export const EMPTY: u64 = 0;
export const CLAIMED: u64 = 1 << STATE_SHIFT;
export const FULL: u64 = 2 << STATE_SHIFT;
export const TAKEN: u64 = 3 << STATE_SHIFT;
export const REDO: u64 = 4 << STATE_SHIFT;
export const SKIP: u64 = 5 << STATE_SHIFT;

const LOG: u64 = 32 - <u64>clz<u32>(QUEUE_LEN - 1);
const URGENT_LOG: u64 = 32 - <u64>clz<u32>(URGENT_LEN - 1);

// `urgent` is a literal wherever speed counts: then all of this folds into constants.

// @ts-ignore: decorator
@inline
export function lengthOf(urgent: bool): u32 {
  return urgent ? URGENT_LEN : QUEUE_LEN;
}

// @ts-ignore: decorator
@inline
export function logOf(urgent: bool): u64 {
  return urgent ? URGENT_LOG : LOG;
}

// @ts-ignore: decorator
@inline
export function turnOf(position: u64, urgent: bool): u64 {
  return position >> logOf(urgent);
}

// @ts-ignore: decorator
@inline
export function indexOf(position: u64, urgent: bool): u32 {
  return <u32>position & ((1 << <u32>logOf(urgent)) - 1);
}

/** The position `by` slots further; `by` is at most a lap. */
// @ts-ignore: decorator
@inline
export function advance(position: u64, by: u32, urgent: bool): u64 {
  const length = lengthOf(urgent);
  if ((length & (length - 1)) == 0) return position + by;
  const index = indexOf(position, urgent) + by;
  return index < length ? position + by : ((turnOf(position, urgent) + 1) << logOf(urgent)) | (index - length);
}

/** Slots from one position to a later one. */
// @ts-ignore: decorator
@inline
export function slotsBetween(from: u64, to: u64, urgent: bool): i64 {
  const laps = <i64>(turnOf(to, urgent) - turnOf(from, urgent));
  return laps * lengthOf(urgent) + <i64>indexOf(to, urgent) - <i64>indexOf(from, urgent);
}

// @ts-ignore: decorator
@inline
export function slotAt(mailbox: Mailbox, index: u32, urgent: bool): Slot {
  return urgent ? unchecked(mailbox.urgentSlots[index]) : unchecked(mailbox.slots[index]);
}

// @ts-ignore: decorator
@inline
export function slotOf(mailbox: Mailbox, position: u64, urgent: bool): Slot {
  return slotAt(mailbox, indexOf(position, urgent), urgent);
}

/** A word without owner. */
// @ts-ignore: decorator
@inline
export function wordOf(turn: u64, state: u64): u64 {
  return (turn << TURN_SHIFT) | state;
}

// @ts-ignore: decorator
@inline
export function ownedWord(turn: u64, state: u64, run: u32, owner: u32): u64 {
  return (turn << TURN_SHIFT) | state | (<u64>(run - 1) << RUN_SHIFT) | owner;
}

// @ts-ignore: decorator
@inline
export function wordTurn(word: u64): u64 {
  return word >> TURN_SHIFT;
}

// @ts-ignore: decorator
@inline
export function stateOf(word: u64): u64 {
  return word & STATE_MASK;
}

// @ts-ignore: decorator
@inline
export function runOf(word: u64): u32 {
  return <u32>((word >> RUN_SHIFT) & RUN_MASK) + 1;
}

// @ts-ignore: decorator
@inline
export function ownerOf(word: u64): u32 {
  return <u32>(word & OWNER_MASK);
}

/** Is the word a claim of this process, or something that it took? Whatever the run. */
// @ts-ignore: decorator
@inline
export function isOwned(word: u64, state: u64, owner: u32): bool {
  return (word & (STATE_MASK | OWNER_MASK)) == (state | owner);
}

/** Laps that a word is ahead of a position: negative when it is behind. */
// @ts-ignore: decorator
@inline
export function lapsAhead(word: u64, position: u64, urgent: bool): i64 {
  // Shifted up, so that the difference wraps with the 45 bits that words have.
  return <i64>((word & TURN_MASK) - (turnOf(position, urgent) << TURN_SHIFT)) >> TURN_SHIFT;
}

/** A word that no transition makes. */
export function isImpossible(word: u64, length: u32): bool {
  const state = stateOf(word);
  const hasOwner = state == CLAIMED || state == TAKEN;
  if (state > SKIP || runOf(word) > length || (ownerOf(word) != 0) != hasOwner) return true;
  return runOf(word) != 1 && !hasOwner && state != EMPTY;
}
