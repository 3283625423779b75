/**
 * A mailbox's gate: the one word that every call reads beside the slot's. It says under which id the mailbox can be used, and whether there is
 * anything to see to besides the lane; so the common case is one comparison.
 *
 * ```
 * gate   63 61 60         39 38   36 35           20 19 18 17     16            15           0
 *        |    | generation  | phase | space sleepers |    | mixed | look around  | item sleepers |     sleepers, mixed: see waiting.ts
 * id     31          10 9         0
 *        | generation  | index    |
 *
 * FREE, CLOSED --register--> SETUP --> OPEN --close, the last owner left or died--> CLOSED        OPEN --quarantine--> CORRUPT
 * ```
 * Who sets the mailbox up has written its index into `Mailbox.registrar` before: only the registrar leaves FREE, CLOSED and SETUP; if it dies, the
 * reaper makes SETUP CLOSED. Not in the gate itself: a process that still believes in the id before may set and clear notices at any time. Everybody
 * writes here, by CAS or by a read-modify-write of single bits; the registrar stores the whole word, since nobody else can use the mailbox then.
 */
import { ARRAY_LEN, Mailbox, PID_WORDS, PROCESSES, shared } from "./layout";
import { indexIn, mailboxAt } from "./process";
import { Status } from "./status";
import { wakeAll } from "./waiting";

/** What a producer meets when a mailbox is full. */
export enum Policy {
  /** It is told so. */
  Fail,
  /** It waits, in calls that can. */
  Wait,
  /** The oldest item makes room, and is counted. */
  DropOldest,
}

const PHASE_SHIFT: u64 = 36;
const GENERATION_SHIFT: u64 = 39;
const GENERATIONS: u64 = 1 << 22;
const INDEX_BITS: u32 = 10;
const PHASE_MASK: u64 = 7 << PHASE_SHIFT;
const GENERATION_MASK: u64 = (GENERATIONS - 1) << GENERATION_SHIFT;
const STATE_MASK: u64 = PHASE_MASK | GENERATION_MASK;

export const FREE: u64 = 0;
export const SETUP: u64 = 1 << PHASE_SHIFT;
export const OPEN: u64 = 2 << PHASE_SHIFT;
export const CLOSED: u64 = 3 << PHASE_SHIFT;
export const CORRUPT: u64 = 4 << PHASE_SHIFT;

/** One bit for each word of the sleepers' set. */
const SUMMARY: u64 = 0xffff;
const SPACE_SHIFT: u64 = 20;
/** There may be items elsewhere than at the lane's head; see lane.ts. */
export const LOOK_AROUND: u64 = 1 << 16;
/** Among those who sleep for space are some that sleep for space in the urgent lane; see waiting.ts. */
export const MIXED: u64 = 1 << 17;
/** All that a taker has to see to. */
export const ITEM_NOTICE: u64 = SUMMARY | LOOK_AROUND;
/** All that a claimer has to see to. */
export const SPACE_NOTICE: u64 = (SUMMARY << SPACE_SHIFT) | MIXED;

/** Attempts to change a word that others keep changing. */
const ROUNDS: u32 = 64 * PROCESSES;

// @ts-ignore: decorator
@inline
export function summaryShift(space: bool): u64 {
  return space ? SPACE_SHIFT : 0;
}

/** Which words of a sleepers' set may have bits. */
// @ts-ignore: decorator
@inline
export function summaryOf(gate: u64, space: bool): u32 {
  return <u32>(gate >> summaryShift(space)) & (0xffffffff >> (32 - PID_WORDS));
}

/** The gate of a mailbox that is open under this id, without notices. */
// @ts-ignore: decorator
@inline
export function openGate(id: u32): u64 {
  return (<u64>(id >> INDEX_BITS) << GENERATION_SHIFT) | OPEN;
}

// @ts-ignore: decorator
@inline
export function isOpen(mailbox: Mailbox, id: u32): bool {
  return (mailbox.gate.load() & STATE_MASK) == openGate(id);
}

/** Open, and nothing for a claimer to see to? */
// @ts-ignore: decorator
@inline
export function isClearToClaim(mailbox: Mailbox, id: u32): bool {
  return (mailbox.gate.load() & ~ITEM_NOTICE) == openGate(id);
}

/** Open, and nothing for a taker to see to? */
// @ts-ignore: decorator
@inline
export function isClearToTake(mailbox: Mailbox, id: u32): bool {
  return (mailbox.gate.load() & ~SPACE_NOTICE) == openGate(id);
}

export function phaseOf(gate: u64): u64 {
  return gate & PHASE_MASK;
}

export function idOf(gate: u64, index: u32): u32 {
  return (<u32>((gate & GENERATION_MASK) >> GENERATION_SHIFT) << INDEX_BITS) | index;
}

/** The gate while a mailbox is set up under a new id: 0 is never a generation, so 0 is never an id. */
export function setupGate(gate: u64): u64 {
  const next = ((gate >> GENERATION_SHIFT) + 1) & (GENERATIONS - 1);
  return (max<u64>(next, 1) << GENERATION_SHIFT) | SETUP;
}

/** The same generation in another phase, without notices. */
export function inPhase(gate: u64, phase: u64): u64 {
  return (gate & GENERATION_MASK) | phase;
}

/** Changes the phase, as long as generation and phase are those of `gate`. @returns was it this call that did? */
export function changePhase(mailbox: Mailbox, gate: u64, phase: u64): bool {
  for (let round: u32 = 0; round < ROUNDS; round++) {
    const seen = mailbox.gate.load();
    if (((seen ^ gate) & STATE_MASK) != 0) return false;
    if (mailbox.gate.cas(seen, inPhase(seen, phase))) return true;
  }
  return false;
}

/** Why an id is of no use. */
export function refusal(mailbox: Mailbox, id: u32): Status {
  const gate = mailbox.gate.load();
  if (((gate ^ openGate(id)) & GENERATION_MASK) != 0) return Status.Stale;
  const phase = gate & PHASE_MASK;
  if (phase == CLOSED) return Status.Closed;
  if (phase == CORRUPT) return Status.Corrupt;
  // It was opened since the caller looked; or the id was made up.
  return phase == OPEN ? Status.Busy : Status.Stale;
}

/** Can this id be used now? */
export function statusOfId(id: u32): Status {
  const index = indexIn(id);
  if (index >= ARRAY_LEN) return Status.Range;
  const mailbox = mailboxAt(index);
  return isOpen(mailbox, id) ? Status.Ok : refusal(mailbox, id);
}

/** Puts a mailbox out of use for good: what stands in it cannot have come about. */
export function quarantine(mailbox: Mailbox, id: u32): Status {
  if (changePhase(mailbox, openGate(id), CORRUPT)) {
    shared.corrupt.add(1);
    log.error("a mailbox is corrupt and out of use: id {}", id);
    wakeAll(mailbox);
    return Status.Corrupt;
  }
  // Not open under this id any more: what looked wrong was another registration's.
  return refusal(mailbox, id);
}
