/**
 * Private data of one process: who it is, and for each mailbox what it knows. Nothing here is shared, so nothing here can be spoilt by others.
 */
import { Mailbox, PROCESSES, Process, shared } from "./layout";

/** `pid & 1023`; 0: not yet a process. */
export let me: u32 = 0;

/** In the word of a process that is reaped: nobody makes it an owner any more. */
export const ENDED: u32 = 0x80000000;

const IDS: u32 = 1024;
const INDEX_MASK: u32 = IDS - 1;

// One record an index, at a constant address: the mailbox id that the hints belong to, the id that this process was found to receive from, and the
// hints, two lanes each: all positions below are claimed (taken).
const RECORD_BYTES: usize = 64;
const BOUND: usize = 0;
const RECEIVES: usize = 4;
const TAILS: usize = 8;
const HEADS: usize = 24;
const records: usize = memory.data(65536, 64);

// @ts-ignore: decorator
@inline
function recordAt(index: u32): usize {
  return records + <usize>index * RECORD_BYTES;
}

/** The mailbox id that this process's hints belong to. */
// @ts-ignore: decorator
@inline
export function boundId(index: u32): u32 {
  return load<u32>(recordAt(index) + BOUND);
}

// @ts-ignore: decorator
@inline
export function setBoundId(index: u32, id: u32): void {
  store<u32>(recordAt(index) + BOUND, id);
}

/** The mailbox id that this process has been found to receive from. */
// @ts-ignore: decorator
@inline
export function receivingId(index: u32): u32 {
  return load<u32>(recordAt(index) + RECEIVES);
}

// @ts-ignore: decorator
@inline
export function setReceivingId(index: u32, id: u32): void {
  if (index == receivingIndex) receivesFrom = NONE;
  store<u32>(recordAt(index) + RECEIVES, id);
}

// @ts-ignore: decorator
@inline
export function indexIn(mailbox: u32): u32 {
  return mailbox & INDEX_MASK;
}

// @ts-ignore: decorator
@inline
export function mailboxAt(index: u32): Mailbox {
  return unchecked(shared.mailboxes[index]);
}

export function tailOf(index: u32, urgent: bool): u64 {
  if (!urgent && index == sendingIndex) return sendingPosition;
  return load<u64>(recordAt(index) + TAILS + (<usize>urgent << 3));
}

export function setTail(index: u32, urgent: bool, position: u64): void {
  if (!urgent && index == sendingIndex) sendingPosition = position;
  else store<u64>(recordAt(index) + TAILS + (<usize>urgent << 3), position);
}

export function headOf(index: u32, urgent: bool): u64 {
  if (!urgent && index == receivingIndex) return receivingPosition;
  return load<u64>(recordAt(index) + HEADS + (<usize>urgent << 3));
}

export function setHead(index: u32, urgent: bool, position: u64): void {
  if (!urgent && index == receivingIndex) receivingPosition = position;
  else store<u64>(recordAt(index) + HEADS + (<usize>urgent << 3), position);
}

// @ts-ignore: decorator
@inline
export function processAt(index: u32): Process {
  return unchecked(shared.processes[index]);
}

/** Tells a process's reaper to look into this mailbox, before the first use of it. */
export function touch(process: u32, index: u32): void {
  const word = unchecked(processAt(process).touched[index >> 6]);
  const bit = <u64>1 << (index & 63);
  if ((word.load() & bit) == 0) word.or(bit);
}

/** Takes this process's place. */
export function enter(pid: u32): void {
  const index = pid & INDEX_MASK;
  assert(index != 0 && index < PROCESSES, "the pid's index is beyond PROCESSES");
  assert(processAt(index).pid.cas(0, pid), "the pid's place is still that of a process that was not dropped");
  me = index;
}

// What the fast paths need, in globals, because a load from private memory takes as long as everything else they do: for the mailbox that was sent to
// last and the one received from last. Their positions stand here and not in the record. Urgent lanes have no fast path.

/** No mailbox's id, and no key of an item. */
const NONE: u64 = <u64>1 << 63;

/** The id that claim() needs no look at the record, nor at the slot, for. */
export let sendsTo: u64 = NONE;
export let sendingBox: Mailbox = changetype<Mailbox>(0);
export let sendingPosition: u64 = 0;
let sendingIndex: u32 = IDS;

/** The same for take(). */
export let receivesFrom: u64 = NONE;
export let receivingBox: Mailbox = changetype<Mailbox>(0);
export let receivingPosition: u64 = 0;
let receivingIndex: u32 = IDS;

// The item that was claimed (taken) last and the word that commits (releases) it: without a look at the slot, which takes long too.
let claimedKey: u64 = NONE;
export let claimedNext: u64 = 0;
let takenKey: u64 = NONE;
export let takenNext: u64 = 0;

/** Makes this the mailbox that claim() is fast for. */
export function sendTo(id: u32): void {
  if (sendsTo == <u64>id) return;
  if (sendingIndex < IDS) store<u64>(recordAt(sendingIndex) + TAILS, sendingPosition);
  const index = indexIn(id);
  sendingIndex = index;
  sendingBox = mailboxAt(index);
  sendingPosition = load<u64>(recordAt(index) + TAILS);
  // Stale from here on: and one value, so that states that differ by nothing else are one to the checker.
  store<u64>(recordAt(index) + TAILS, 0);
  sendsTo = id;
  claimedKey = NONE;
}

/** The same for take(), once it is known that the process may receive. */
export function receiveFrom(id: u32): void {
  if (receivesFrom == <u64>id) return;
  if (receivingIndex < IDS) store<u64>(recordAt(receivingIndex) + HEADS, receivingPosition);
  const index = indexIn(id);
  receivingIndex = index;
  receivingBox = mailboxAt(index);
  receivingPosition = load<u64>(recordAt(index) + HEADS);
  store<u64>(recordAt(index) + HEADS, 0);
  receivesFrom = id;
  takenKey = NONE;
}

/** claim() found the lane other than it believed. Until the slow path has claimed again it looks first: a CAS that fails takes the line from who fills it. */
export function lookBeforeClaiming(): void {
  sendsTo = NONE;
}

/** The same for take(). */
export function lookBeforeTaking(): void {
  receivesFrom = NONE;
}

// @ts-ignore: decorator
@inline
function keyOf(mailbox: u32, item: u32): u64 {
  return (<u64>mailbox << 32) | item;
}

// @ts-ignore: decorator
@inline
export function claimed(position: u64, mailbox: u32, item: u32, next: u64): void {
  sendingPosition = position;
  claimedKey = keyOf(mailbox, item);
  claimedNext = next;
}

/** Was that claimed last, and by claim()? */
// @ts-ignore: decorator
@inline
export function isClaimed(mailbox: u32, item: u32): bool {
  return claimedKey == keyOf(mailbox, item);
}

// @ts-ignore: decorator
@inline
export function forgetClaimed(): void {
  claimedKey = NONE;
}

// @ts-ignore: decorator
@inline
export function taken(position: u64, mailbox: u32, item: u32, next: u64): void {
  receivingPosition = position;
  takenKey = keyOf(mailbox, item);
  takenNext = next;
}

// @ts-ignore: decorator
@inline
export function isTaken(mailbox: u32, item: u32): bool {
  return takenKey == keyOf(mailbox, item);
}

// @ts-ignore: decorator
@inline
export function forgetTaken(): void {
  takenKey = NONE;
}
