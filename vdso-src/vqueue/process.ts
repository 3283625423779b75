/**
 * Private data of one process: who it is, and for each mailbox what it knows. Nothing here is shared, so nothing here can be spoilt by others.
 */
import { Mailbox, PROCESSES, Process, shared } from "./layout";

/** `pid & 1023`; 0: not yet a process. */
export let me: u32 = 0;

const IDS: u32 = 1024;
const INDEX_MASK: u32 = IDS - 1;

// One record an index, at a constant address: the mailbox id that the hints belong to, the id that this process was found to receive
// from, and the hints, two lanes each: all positions below are claimed (taken). Then the item that was claimed (taken) last, and its slot's turn, as
// it stands in the word: to commit (release) it needs no look at the slot, which takes as long as the whole rest.
const RECORD_BYTES: usize = 64;
const BOUND: usize = 0;
const RECEIVES: usize = 4;
const TAILS: usize = 8;
const HEADS: usize = 24;
const CLAIMED_ITEM: usize = 40;
const TAKEN_ITEM: usize = 44;
const CLAIMED_TURN: usize = 48;
const TAKEN_TURN: usize = 56;
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

// @ts-ignore: decorator
@inline
export function tailOf(index: u32, urgent: bool): u64 {
  return load<u64>(recordAt(index) + TAILS + (<usize>urgent << 3));
}

// @ts-ignore: decorator
@inline
export function setTail(index: u32, urgent: bool, position: u64): void {
  store<u64>(recordAt(index) + TAILS + (<usize>urgent << 3), position);
}

// @ts-ignore: decorator
@inline
export function headOf(index: u32, urgent: bool): u64 {
  return load<u64>(recordAt(index) + HEADS + (<usize>urgent << 3));
}

// @ts-ignore: decorator
@inline
export function setHead(index: u32, urgent: bool, position: u64): void {
  store<u64>(recordAt(index) + HEADS + (<usize>urgent << 3), position);
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

/** The item that was claimed last, 0 when that is over. */
// @ts-ignore: decorator
@inline
export function claimedItem(index: u32): u32 {
  return load<u32>(recordAt(index) + CLAIMED_ITEM);
}

/** The turn of its slot, as in the word. */
// @ts-ignore: decorator
@inline
export function claimedTurn(index: u32): u64 {
  return load<u64>(recordAt(index) + CLAIMED_TURN);
}

// @ts-ignore: decorator
@inline
export function setClaimed(index: u32, item: u32, turn: u64): void {
  store<u32>(recordAt(index) + CLAIMED_ITEM, item);
  store<u64>(recordAt(index) + CLAIMED_TURN, turn);
}

// @ts-ignore: decorator
@inline
export function forgetClaimed(index: u32): void {
  store<u32>(recordAt(index) + CLAIMED_ITEM, 0);
}

/** The item that was taken last, 0 when that is over. */
// @ts-ignore: decorator
@inline
export function takenItem(index: u32): u32 {
  return load<u32>(recordAt(index) + TAKEN_ITEM);
}

/** The turn of its slot, as in the word. */
// @ts-ignore: decorator
@inline
export function takenTurn(index: u32): u64 {
  return load<u64>(recordAt(index) + TAKEN_TURN);
}

// @ts-ignore: decorator
@inline
export function setTaken(index: u32, item: u32, turn: u64): void {
  store<u32>(recordAt(index) + TAKEN_ITEM, item);
  store<u64>(recordAt(index) + TAKEN_TURN, turn);
}

// @ts-ignore: decorator
@inline
export function forgetTaken(index: u32): void {
  store<u32>(recordAt(index) + TAKEN_ITEM, 0);
}
