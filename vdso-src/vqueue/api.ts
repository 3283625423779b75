/**
 * Mailboxes: bounded queues of 88-byte items that every process can send to, any number of producers and consumers, FIFO per producer, an urgent
 * lane that overtakes. A process may die at any instruction: what it had claimed is skipped, what it had taken is delivered again.
 *
 * Functions that return a `u32` give an address, an id or a count, or, below 64, a Status. See ring.ts for how it works.
 */
import { lengthOf, advance, CLAIMED, EMPTY, FULL, indexOf, isOwned, MAX_RUN, ownedWord, REDO, runOf, SKIP, slotAt, slotOf, slotsBetween, stateOf, ONE_TURN, TAKEN, TURN_MASK, turnOf, wordOf, wordTurn } from "./ring";
import { ARRAY_LEN, Mailbox, QUEUE_LEN, shared, Slot, SLOT_BYTES, SLOT_WORD_BYTES } from "./layout";
import { claimAny, gotIndex, gotRun, hasItem, hasSpace, headPosition, isTimeToPublish, itemUrgent, lookAround, passOnItem, publishHead, publishTail, slotByItem, slotInAnyLane, tailPosition, takeAgain, takeAny } from "./lane";
import { authorise, authoriseOwner, addOwner, bind, closeMailbox, registerMailbox, removeOwner } from "./mailbox";
import { Message, peekAt, read, write } from "./copies";
import * as map from "./map";
import { boundId, claimed, claimedNext, enter, forgetClaimed, forgetTaken, indexIn, isClaimed, isTaken, lookBeforeClaiming, lookBeforeTaking, mailboxAt, me, receiveFrom, receivesFrom, receivingBox, receivingId, receivingPosition, sendingBox, sendingPosition, sendsTo, sendTo, setReceivingId, taken, takenNext } from "./process";
import { reap, redoRun, skipRun } from "./reap";
import { idOf, isClearToClaim, isClearToTake, isOpen, ITEM_NOTICE, LOOK_AROUND, Policy, SPACE_NOTICE, statusOfId } from "./gate";
import { Status } from "./status";
import { ITEM, SPACE, wakeNext, wakeOne } from "./waiting";

export { ARRAY_LEN, ITEM_BYTES, MAP_LEN, PROCESSES, QUEUE_LEN, SLOT_BYTES, SPIN, URGENT_LEN } from "./layout";
export { Message } from "./copies";
export { MAX_RUN } from "./ring";
export { arm, disarm, passOn, setSpin, unwatch, waitAny, waitAnySince, waitForItem, waitForSpace, waitForUrgentSpace, wakeOwners, wakeWord, Watch, watch } from "./select";
export { Policy } from "./gate";
export { Status } from "./status";

/** Below it: Status. */
const FIRST_ADDRESS: u32 = 64;
const DATA_BYTES: u16 = 64;
const NORMAL: bool = false;
const URGENT: bool = true;

/** Counters of a mailbox; a moment's view. */
@apistruct export class Stats {
  /** Items that wait, and claimed slots among them. */
  depth: u32;
  urgentDepth: u32;
  /** The most that waited, looked at when it was full and every PUBLISH_EVERY items. */
  highWater: u32;
  /** Items committed, and slots claimed now; modulo 2^32. */
  sent: u32;
  /** Items taken; modulo 2^32. */
  received: u32;
  /** Items that made room for newer ones. */
  dropped: u32;
  /** Slots claimed and not committed: abandoned, or their producer died. */
  skipped: u32;
  /** Items delivered again because their consumer died, or put them back. */
  redelivered: u32;
  /** Times that a process parked. */
  waits: u32;
  /** Wake-ups sent. */
  wakeUps: u32;
}

/** Makes the caller a process. @throws panic when the pid's place is still taken by one that was not dropped */
export function processInit(pid: u32): void {
  enter(pid);
}

/** Puts right what an ended process left. May be repeated. */
export function processDrop(pid: u32): void {
  reap(pid);
}

/**
 * Registers a mailbox, with the caller as its receiver, and its owner: it closes when its last owner leaves or dies.
 *
 * @param anyone - may every other process receive as well?
 * @returns its id, or a Status: NoRoom, NoProcess
 */
export function register(policy: Policy = Policy.Fail, anyone: bool = false): u32 {
  return registerMailbox(policy, anyone);
}

/** Makes another process a receiver and owner too. It has to be attached. */
export function share(mailbox: u32, pid: u32): Status {
  return addOwner(mailbox, pid);
}

/** The caller receives no more; the mailbox closes with its last owner. */
export function leave(mailbox: u32): Status {
  const refused = authoriseOwner(mailbox);
  if (refused != Status.Ok) return refused;
  const index = indexIn(mailbox);
  setReceivingId(index, 0);
  removeOwner(mailboxAt(index), me);
  return Status.Ok;
}

/** Closes a mailbox: what it holds is lost, who waits for it is woken. */
export function close(mailbox: u32): Status {
  return closeMailbox(mailbox);
}

/** Is the id one that can be used? */
export function statusOf(mailbox: u32): Status {
  return statusOfId(mailbox);
}

/** The id of the mailbox with this index, 0 if it is not open: to list them. */
export function mailboxWithIndex(index: u32): u32 {
  if (index >= ARRAY_LEN) return 0;
  const box = mailboxAt(index);
  const id = idOf(box.gate.load(), index);
  return isOpen(box, id) ? id : 0;
}

/** What a producer meets when the mailbox is full. */
export function policyOf(mailbox: u32): Policy {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Policy.Fail;
  const policy = mailboxAt(index).policy.load();
  return policy > <u32>Policy.DropOldest ? Policy.Fail : <Policy>policy;
}

/** The pid that is said to receive here: who registered it, unless set. 0: the id is of no use. */
export function getPid(mailbox: u32): u32 {
  return statusOfId(mailbox) == Status.Ok ? mailboxAt(indexIn(mailbox)).pid.load() : 0;
}

export function setPid(mailbox: u32, pid: u32): Status {
  const refused = authoriseOwner(mailbox);
  if (refused == Status.Ok) mailboxAt(indexIn(mailbox)).pid.store(pid);
  return refused;
}

/** Mailboxes that were found corrupt and are out of use. */
export function corruptMailboxes(): u32 {
  return shared.corrupt.load();
}

/** Claims a slot to fill in place. @returns the item's address, or a Status */
// @ts-ignore: decorator
@inline
export function claim(mailbox: u32): u32 {
  if (sendsTo != <u64>mailbox) return claimOne(mailbox, NORMAL);
  const box = sendingBox;
  const tail = sendingPosition;
  const slot = slotOf(box, tail, NORMAL);
  const empty = wordOf(turnOf(tail, NORMAL), EMPTY);
  // No look at the word before the CAS: it would fetch the line twice from the consumer, once to read and once to write. See lane.ts for the gate.
  if (!isClearToClaim(box, mailbox) || !slot.word.cas(empty, empty | CLAIMED | me)) {
    lookBeforeClaiming();
    return claimOne(mailbox, NORMAL);
  }
  const item = <u32>changetype<usize>(slot.item);
  const next = advance(tail, 1, NORMAL);
  claimed(next, mailbox, item, empty | FULL);
  if (isTimeToPublish(tail, next)) publishTail(box, next, NORMAL);
  return item;
}

/** Claims a slot of the urgent lane. */
export function claimUrgent(mailbox: u32): u32 {
  return claimOne(mailbox, URGENT);
}

function claimOne(mailbox: u32, urgent: bool): u32 {
  const status = claimUpTo(mailbox, 1, urgent);
  if (!urgent && status == Status.Ok) sendTo(mailbox);
  return status == Status.Ok ? itemAddress(mailbox, gotIndex, urgent) : <u32>status;
}

function claimUpTo(mailbox: u32, want: u32, urgent: bool): Status {
  const index = indexIn(mailbox);
  if (boundId(index) != mailbox) {
    const refused = bind(mailbox);
    if (refused != Status.Ok) return refused;
  }
  return claimAny(mailbox, mailboxAt(index), index, want, urgent);
}

function itemAddress(mailbox: u32, index: u32, urgent: bool): u32 {
  return <u32>changetype<usize>(slotAt(mailboxAt(indexIn(mailbox)), index, urgent).item);
}

/** Claims up to `count` slots in a row, at most 64. @returns how many, from lastIndex() on; or, from 2^31 on, 2^31 + a Status */
export function claimMany(mailbox: u32, count: u32): u32 {
  const status = claimUpTo(mailbox, min(max(count, 1), MAX_RUN), NORMAL);
  return status == Status.Ok ? gotRun : FAILED | status;
}

const FAILED: u32 = 0x80000000;

/** Index of the first slot that claimMany() or takeMany() got. */
export function lastIndex(): u32 {
  return gotIndex;
}

/** Address of the first item of a mailbox; the slots follow one another in steps of ITEM_BYTES + 8, QUEUE_LEN of them. 0: no such mailbox */
export function firstItem(mailbox: u32): u32 {
  const index = indexIn(mailbox);
  return index < ARRAY_LEN ? <u32>changetype<usize>(unchecked(mailboxAt(index).slots[0]).item) : 0;
}

/**
 * Hands a claimed item to the consumers. A slot that was claimed before the mailbox closed can still be committed; the item is lost like all that the
 * mailbox held.
 */
// @ts-ignore: decorator
@inline
export function commit(mailbox: u32, item: u32): Status {
  if (!isClaimed(mailbox, item)) return commitAny(mailbox, item);
  forgetClaimed();
  // SYNC slot-full: publishes the payload; pairs with `slot-full` in takeAny(). A store, not a CAS: the slot is ours until here.
  slotBefore(item).word.store(claimedNext);
  const box = sendingBox;
  if ((box.gate.load() & ITEM_NOTICE) != 0) wakeNext(box, ITEM, 1);
  return Status.Ok;
}

// @ts-ignore: decorator
@inline
function slotBefore(item: u32): Slot {
  return changetype<Slot>(<usize>item - SLOT_WORD_BYTES);
}

function commitAny(mailbox: u32, item: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotInAnyLane(box, item);
  if (changetype<usize>(slot) == 0) return Status.NotYours;
  const turn = slot.word.load() ^ (CLAIMED | me);
  // Claimed, by this process, alone: all but the turn is zero then.
  if ((turn & ~TURN_MASK) != 0) return Status.NotYours;
  forgetClaimed();
  // SYNC slot-full: as in commit().
  slot.word.store(turn | FULL);
  if (itemUrgent) lookAround(box);
  wakeNext(box, ITEM, 1);
  return Status.Ok;
}

/** Hands over the first `count` of the slots that claimMany() got at `first`; gives up the rest. */
export function commitMany(mailbox: u32, first: u32, count: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN || first >= QUEUE_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotAt(box, first, NORMAL);
  const word = slot.word.load();
  if (!isOwned(word, CLAIMED, me)) return Status.NotYours;
  forgetClaimed();
  if (count == 0) {
    abandonRun(box, first, word, NORMAL);
    return Status.Ok;
  }
  const run = min(runOf(word), QUEUE_LEN);
  setBehind(box, first, wordOf(wordTurn(word), FULL), 1, min(count, run));
  setBehind(box, first, wordOf(wordTurn(word), SKIP), count, run);
  // SYNC slot-full: publishes all payloads; pairs with `slot-full` in takeAny().
  slot.word.store(wordOf(wordTurn(word), FULL));
  if (count < run) box.skipped.add(run - count);
  if ((box.gate.load() & ITEM_NOTICE) != 0) wakeNext(box, ITEM, min(count, run));
  return Status.Ok;
}

/**
 * Gives words to some slots behind the first of a run, `from` to `to` behind it. Plainly: its owner's store to the first orders them before every access
 * of others, who come to them from there.
 *
 * @param word - for the lap that the first is in
 */
function setBehind(box: Mailbox, first: u32, word: u64, from: u32, to: u32): void {
  const start = changetype<usize>(slotAt(box, 0, NORMAL));
  const end = start + <usize>QUEUE_LEN * SLOT_BYTES;
  let at = start + <usize>(first + from) * SLOT_BYTES;
  for (; from < to; from++) {
    if (at >= end) {
      at -= <usize>QUEUE_LEN * SLOT_BYTES;
      word += ONE_TURN;
    }
    vvar.store<u64>(at, word);
    at += SLOT_BYTES;
  }
}

/** Gives up a claimed slot, or a run of them by its first item: it never was an item. */
export function abandon(mailbox: u32, item: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotInAnyLane(box, item);
  if (changetype<usize>(slot) == 0) return Status.NotYours;
  const urgent = itemUrgent;
  const word = slot.word.load();
  if (!isOwned(word, CLAIMED, me)) return Status.NotYours;
  forgetClaimed();
  abandonRun(box, indexOfSlot(box, slot, urgent), word, urgent);
  // What was committed behind it can be taken now.
  if (urgent) lookAround(box);
  return Status.Ok;
}

function indexOfSlot(box: Mailbox, slot: Slot, urgent: bool): u32 {
  return <u32>(changetype<usize>(slot) - changetype<usize>(slotAt(box, 0, urgent))) / SLOT_BYTES;
}

function abandonRun(box: Mailbox, first: u32, word: u64, urgent: bool): void {
  skipRun(box, first, word, urgent);
  // Producers may come round to it, and items may stand behind it.
  wakeOne(box, SPACE);
  if ((box.gate.load() & ITEM_NOTICE) != 0) wakeNext(box, ITEM, 1);
}

/** Takes the oldest item, to read in place; urgent ones first. @returns its address, or a Status */
// @ts-ignore: decorator
@inline
export function take(mailbox: u32): u32 {
  if (receivesFrom != <u64>mailbox) return takeOne(mailbox);
  const box = receivingBox;
  const head = receivingPosition;
  const slot = slotOf(box, head, NORMAL);
  const full = wordOf(turnOf(head, NORMAL), FULL);
  // SYNC slot-full: pairs with `slot-full` in commit(). No look before: as in claim().
  if (!isClearToTake(box, mailbox) || !slot.word.cas(full, (full ^ (FULL ^ TAKEN)) | me)) {
    lookBeforeTaking();
    return takeOne(mailbox);
  }
  const item = <u32>changetype<usize>(slot.item);
  const next = advance(head, 1, NORMAL);
  taken(next, mailbox, item, full - FULL + ONE_TURN);
  // SYNC head-hint: as in takenUpTo().
  if (isTimeToPublish(head, next)) publishHead(box, next, NORMAL);
  return item;
}

let takenUrgent: bool = false;
/**
 * The mailbox in which the last look found nothing, 0: that found something. There this consumer is as quick as its producers: after one item it looks again,
 * before it tries a CAS.
 */
let keepsUpWith: u32 = 0;

function takeOne(mailbox: u32): u32 {
  const status = takeUpTo(mailbox, 1);
  if (status != Status.Ok) {
    keepsUpWith = mailbox;
    return <u32>status;
  }
  if (!takenUrgent && keepsUpWith != mailbox) receiveFrom(mailbox);
  keepsUpWith = 0;
  return itemAddress(mailbox, gotIndex, takenUrgent);
}

function takeUpTo(mailbox: u32, want: u32): Status {
  const index = indexIn(mailbox);
  if (receivingId(index) != mailbox) {
    const refused = authorise(mailbox);
    if (refused != Status.Ok) return refused;
  }
  const box = mailboxAt(index);
  let status: Status = Status.Empty;
  if ((box.gate.load() & LOOK_AROUND) != 0) {
    box.gate.and(~LOOK_AROUND);
    status = takeAround(mailbox, box, index);
    if (status != Status.Empty) lookAround(box);
  }
  if (status == Status.Empty) {
    takenUrgent = false;
    status = takeAny(mailbox, box, index, want, NORMAL);
  }
  if (status == Status.Ok) passOnItem(box, index);
  return status;
}

/** What has to be delivered again comes first, then what is urgent. */
function takeAround(mailbox: u32, box: Mailbox, index: u32): Status {
  takenUrgent = true;
  let status = takeAgain(mailbox, box, URGENT);
  if (status != Status.Empty) return status;
  takenUrgent = false;
  status = takeAgain(mailbox, box, NORMAL);
  if (status != Status.Empty) return status;
  takenUrgent = true;
  return takeAny(mailbox, box, index, 1, URGENT);
}

/**
 * Takes up to `count` items in a row, at most 64. One that has to be delivered again, or is urgent, comes alone.
 *
 * @returns how many, from lastIndex() on (lastAddress() for one that came alone); or, from 2^31 on, 2^31 + a Status
 */
export function takeMany(mailbox: u32, count: u32): u32 {
  const status = takeUpTo(mailbox, min(max(count, 1), MAX_RUN));
  if (status != Status.Ok) return FAILED | status;
  lastItem = itemAddress(mailbox, gotIndex, takenUrgent);
  return gotRun;
}

let lastItem: u32 = 0;

/** Address of the first item that takeMany() got. */
export function lastAddress(): u32 {
  return lastItem;
}

/** Gives a taken slot back to the producers. */
// @ts-ignore: decorator
@inline
export function release(mailbox: u32, item: u32): Status {
  if (!isTaken(mailbox, item)) return releaseAny(mailbox, item);
  forgetTaken();
  // SYNC slot-empty: the payload was read; pairs with `slot-empty` in claimAny().
  slotBefore(item).word.store(takenNext);
  const box = receivingBox;
  if ((box.gate.load() & SPACE_NOTICE) != 0) wakeNext(box, SPACE, 1);
  return Status.Ok;
}

function releaseAny(mailbox: u32, item: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotInAnyLane(box, item);
  if (changetype<usize>(slot) == 0) return Status.NotYours;
  const turn = slot.word.load() ^ (TAKEN | me);
  if ((turn & ~TURN_MASK) != 0) return Status.NotYours;
  forgetTaken();
  // SYNC slot-empty: as in release().
  slot.word.store(turn + ONE_TURN);
  wakeNext(box, SPACE, 1);
  return Status.Ok;
}

/** Gives back all that takeMany() got, by the first item's address. */
export function releaseMany(mailbox: u32, item: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotInAnyLane(box, item);
  if (changetype<usize>(slot) == 0) return Status.NotYours;
  const word = slot.word.load();
  if (!isOwned(word, TAKEN, me)) return Status.NotYours;
  forgetTaken();
  const run = runOf(word);
  // SYNC slot-empty: all payloads were read; pairs with `slot-empty` in claimAny().
  slot.word.store(ownedWord(wordTurn(word) + 1, EMPTY, run, 0));
  if ((box.gate.load() & SPACE_NOTICE) != 0) wakeNext(box, SPACE, run);
  return Status.Ok;
}

/** Gives back what was taken, unread as it were: it is delivered again. */
export function putBack(mailbox: u32, item: u32): Status {
  const index = indexIn(mailbox);
  if (index >= ARRAY_LEN) return Status.Range;
  const box = mailboxAt(index);
  const slot = slotInAnyLane(box, item);
  if (changetype<usize>(slot) == 0) return Status.NotYours;
  const urgent = itemUrgent;
  const word = slot.word.load();
  if (!isOwned(word, TAKEN, me)) return Status.NotYours;
  forgetTaken();
  redoRun(box, indexOfSlot(box, slot, urgent), word, urgent);
  lookAround(box);
  wakeOne(box, ITEM);
  return Status.Ok;
}

/** Items between the next to take and the next to claim; a moment's view. */
export function depth(mailbox: u32): u32 {
  const index = indexIn(mailbox);
  if (mailbox == 0 || (boundId(index) != mailbox && bind(mailbox) != Status.Ok)) return 0;
  return depthOf(mailboxAt(index), index, NORMAL);
}

function depthOf(box: Mailbox, index: u32, urgent: bool): u32 {
  const head = headPosition(box, index, urgent);
  const count = slotsBetween(head, tailPosition(box, index, urgent), urgent);
  return <u32>max<i64>(0, min<i64>(count, lengthOf(urgent)));
}

export function stats(mailbox: u32): Option<Stats> {
  const index = indexIn(mailbox);
  if (mailbox == 0 || (boundId(index) != mailbox && bind(mailbox) != Status.Ok)) return Option.none();
  const box = mailboxAt(index);
  const all = new Stats();
  all.depth = depthOf(box, index, NORMAL);
  all.urgentDepth = depthOf(box, index, URGENT);
  all.highWater = max(box.highWater.load(), all.depth);
  all.dropped = box.dropped.load();
  all.skipped = box.skipped.load();
  all.redelivered = box.redelivered.load();
  all.waits = box.waits.load();
  all.wakeUps = box.wakeUps.load();
  const claims = slotsBetween(box.firstPosition.load(), tailPosition(box, index, NORMAL), NORMAL) + slotsBetween(box.urgentFirstPosition.load(), tailPosition(box, index, URGENT), URGENT);
  all.sent = <u32>claims - all.skipped;
  all.received = all.sent - all.depth - all.urgentDepth - all.dropped;
  return Option.some(all);
}

/** Adds what to notify when a message of this type comes; 2^64 - 1: of any other type. */
export function mapAdd(mailbox: u32, msgType: u64, notification: u64): Status {
  const refused = authoriseOwner(mailbox);
  return refused == Status.Ok ? map.add(mailboxAt(indexIn(mailbox)), mailbox, msgType, notification) : refused;
}

export function mapGet(mailbox: u32, msgType: u64): Option<u64> {
  return statusOfId(mailbox) == Status.Ok ? map.get(mailboxAt(indexIn(mailbox)), msgType) : Option.none();
}

/** The same, and removes the entry. */
export function mapPop(mailbox: u32, msgType: u64): Option<u64> {
  return statusOfId(mailbox) == Status.Ok ? map.pop(mailboxAt(indexIn(mailbox)), mailbox, msgType) : Option.none();
}

/** Sends a copy. @returns Ok, Full, TooLong, or why the id is of no use */
export function send(mailbox: u32, message: Message, urgent: bool = false): Status {
  if (message.length > DATA_BYTES) return Status.TooLong;
  const item = urgent ? claimUrgent(mailbox) : claim(mailbox);
  if (item < FIRST_ADDRESS) return <Status>item;
  write(item, message);
  return commit(mailbox, item);
}

/** Receives a copy of the oldest item; nothing: see lastStatus(). */
export function receive(mailbox: u32): Option<Message> {
  const item = take(mailbox);
  received = item < FIRST_ADDRESS ? <Status>item : Status.Ok;
  if (item < FIRST_ADDRESS) return Option.none();
  const message = read(item);
  release(mailbox, item);
  return Option.some(message);
}

/** A copy of the item that would be received next, urgent ones first; those to deliver again are not looked for. Nothing: see lastStatus(). */
export function peek(mailbox: u32): Option<Message> {
  received = authorise(mailbox);
  if (received != Status.Ok) return Option.none();
  const index = indexIn(mailbox);
  const box = mailboxAt(index);
  let message = peekAt(box, index, URGENT);
  if (message === null) message = peekAt(box, index, NORMAL);
  if (message === null) {
    received = Status.Empty;
    return Option.none();
  }
  return Option.some(message);
}

let received: Status = Status.Ok;

/** Why receive() or peek() returned nothing. */
export function lastStatus(): Status {
  return received;
}
