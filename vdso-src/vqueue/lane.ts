/**
 * Claiming and taking slots of a lane: the transitions of ring.ts, for a caller who may be wrong about everything.
 *
 * The gate is read before the CAS on the slot's word, and in here after the word. If the mailbox was open then, so it was when the word was read, or the
 * word is older still. claim() and take() in api.ts expect a word without having read it, of the lap that the slot is in or of the next one. A new
 * registration begins beyond, so a CAS by somebody who believes in the old one fails.
 */
import { lengthOf, logOf, advance, CLAIMED, EMPTY, FULL, indexOf, isImpossible, lapsAhead, ONE_TURN, ownedWord, REDO, runOf, SKIP, slotAt, slotOf, slotsBetween, stateOf, TAKEN, turnOf, wordOf, wordTurn } from "./ring";
import { Mailbox, PUBLISH_EVERY, Slot, SLOT_BYTES, SLOT_WORD_BYTES } from "./layout";
import { headOf, me, setHead, setTail, tailOf } from "./process";
import { isOpen, LOOK_AROUND, Policy, quarantine, refusal, summaryOf } from "./gate";
import { Status } from "./status";
import { ITEM, SPACE, wakeNext, wakeOne } from "./waiting";

/** What claimAny() and takeAny() got. */
export let gotIndex: u32 = 0;
export let gotRun: u32 = 0;

// @ts-ignore: decorator
@inline
function attempts(urgent: bool): u32 {
  return 4 * lengthOf(urgent) + 256;
}

// @ts-ignore: decorator
@inline
export function isTimeToPublish(from: u64, to: u64): bool {
  return from / PUBLISH_EVERY != to / PUBLISH_EVERY;
}

// @ts-ignore: decorator
@inline
function tailHint(mailbox: Mailbox, urgent: bool): Atomic<u64> {
  return urgent ? mailbox.urgentTailHint : mailbox.tailHint;
}

// @ts-ignore: decorator
@inline
function headHint(mailbox: Mailbox, urgent: bool): Atomic<u64> {
  return urgent ? mailbox.urgentHeadHint : mailbox.headHint;
}

/** After a claim: remembers, and now and then says, how far the lane is claimed. */
// @ts-ignore: decorator
@inline
function claimedUpTo(mailbox: Mailbox, index: u32, from: u64, to: u64, urgent: bool): void {
  setTail(index, urgent, to);
  if (isTimeToPublish(from, to)) publishTail(mailbox, to, urgent);
}

export function publishTail(mailbox: Mailbox, to: u64, urgent: bool): void {
  // SYNC tail-hint: a process that was away begins here; pairs with `tail-hint` in newestTail().
  tailHint(mailbox, urgent).store(to);
  const depth = slotsBetween(headHint(mailbox, urgent).load(), to, urgent);
  const counted = <u32>max<i64>(0, min<i64>(depth, lengthOf(urgent)));
  if (!urgent && counted > mailbox.highWater.load()) mailbox.highWater.store(counted);
}

/** After a take. */
// @ts-ignore: decorator
@inline
function takenUpTo(mailbox: Mailbox, index: u32, from: u64, to: u64, urgent: bool): void {
  setHead(index, urgent, to);
  if (isTimeToPublish(from, to)) publishHead(mailbox, to, urgent);
}

// @ts-ignore: decorator
@inline
export function publishHead(mailbox: Mailbox, to: u64, urgent: bool): void {
  // SYNC head-hint: a process that was away begins here; pairs with `head-hint` in newestHead().
  headHint(mailbox, urgent).store(to);
}

/** Who commits behind a slot that is not yet committed wakes a sleeper in vain; who takes that one wakes it again. */
export function passOnItem(mailbox: Mailbox, index: u32): void {
  if (summaryOf(mailbox.gate.load(), ITEM) != 0 && hasItem(mailbox, index)) wakeNext(mailbox, ITEM, 1);
}

/** The same for a slot that becomes free behind one that is still held. */
export function passOnSpace(mailbox: Mailbox, index: u32): void {
  if (summaryOf(mailbox.gate.load(), SPACE) != 0 && (hasSpace(mailbox, index, false) || hasSpace(mailbox, index, true))) wakeNext(mailbox, SPACE, 1);
}

/** The higher of what this process knows and what others published. */
function newestTail(mailbox: Mailbox, index: u32, urgent: bool): u64 {
  const own = tailOf(index, urgent);
  // SYNC tail-hint: pairs with `tail-hint` in publishTail().
  return later(own, tailHint(mailbox, urgent).load(), urgent);
}

function newestHead(mailbox: Mailbox, index: u32, urgent: bool): u64 {
  const own = headOf(index, urgent);
  // SYNC head-hint: pairs with `head-hint` in takenUpTo().
  return later(own, headHint(mailbox, urgent).load(), urgent);
}

function later(own: u64, published: u64, urgent: bool): u64 {
  // Never beyond the lane, whatever somebody wrote there.
  if (indexOf(published, urgent) >= lengthOf(urgent)) return own;
  return <i64>(published - own) > 0 ? published : own;
}

/**
 * A position that others have passed: the next one to look at. It is not left by more than a lap less than it may be, so that
 * at least a lap is walked in ascending order, from run to run: that is what keeps everybody off the words behind a run's first (see ring.ts).
 */
// @ts-ignore: decorator
@inline
function catchUp(position: u64, laps: i64, word: u64, urgent: bool): u64 {
  return laps > 2 ? position + (<u64>(laps - 2) << logOf(urgent)) : advance(position, min(runOf(word), lengthOf(urgent)), urgent);
}

/** Claims up to `want` slots in a row. Sets gotIndex, gotRun. */
export function claimAny(id: u32, mailbox: Mailbox, index: u32, want: u32, urgent: bool): Status {
  let tail = newestTail(mailbox, index, urgent);
  const length = lengthOf(urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const slot = slotOf(mailbox, tail, urgent);
    const word = slot.word.load();
    const state = stateOf(word);
    const laps = lapsAhead(word, tail, urgent);
    if (isImpossible(word, length)) return quarantine(mailbox, id);
    if (laps > 0) tail = catchUp(tail, laps, word, urgent);
    else if (laps == 0 && state != EMPTY) tail = advance(tail, runOf(word), urgent);
    else {
      let run: u32 = 1;
      let drops = false;
      if (laps == 0) run = countEmpty(mailbox, tail, word, min(want, length), urgent);
      else if (laps < -1 || state == EMPTY) return quarantine(mailbox, id);
      else if (state != SKIP) {
        drops = (state == FULL || state == REDO) && mailbox.policy.load() == Policy.DropOldest;
        if (!drops) {
          setTail(index, urgent, tail);
          if (!urgent && mailbox.highWater.load() != length) mailbox.highWater.store(length);
          return isOpen(mailbox, id) ? Status.Full : refusal(mailbox, id);
        }
      }
      if (!isOpen(mailbox, id)) return refusal(mailbox, id);
      // SYNC slot-empty: the takers before have done with the slot; pairs with `slot-empty` in release().
      if (!slot.word.cas(word, ownedWord(turnOf(tail, urgent), CLAIMED, run, me))) continue;
      if (drops) mailbox.dropped.add(1);
      gotIndex = indexOf(tail, urgent);
      gotRun = run;
      claimedUpTo(mailbox, index, tail, advance(tail, run, urgent), urgent);
      passOnSpace(mailbox, index);
      return Status.Ok;
    }
  }
  setTail(index, urgent, tail);
  return Status.Busy;
}

/**
 * Empty slots in a row, at most `want`: a run, cut if it is longer, or with the single ones that follow. Not with another run: the words behind that
 * one's first would be nobody's to keep others off, while a commit writes one after the other.
 *
 * @param word - of the slot at the position, which is empty
 */
function countEmpty(mailbox: Mailbox, position: u64, word: u64, want: u32, urgent: bool): u32 {
  const run = runOf(word);
  if (run <= want) return countFrom(mailbox, position, run, EMPTY, want, urgent);
  cutEmpty(mailbox, position, want, run, urgent);
  return want;
}

/**
 * Makes the slots from `from` on, which end an empty run, a run of their own; single ones for who wants one slot, and the next ones likely as well. Where
 * another has done so, or the run was claimed, this fails, or writes words that nobody looks at.
 */
function cutEmpty(mailbox: Mailbox, position: u64, from: u32, end: u32, urgent: bool): void {
  const single = from == 1;
  for (let behind = single ? end - 1 : from; behind >= from; behind--) {
    const at = advance(position, behind, urgent);
    const turn = turnOf(at, urgent);
    slotOf(mailbox, at, urgent).word.cas(wordOf(turn - 1, FULL), ownedWord(turn, EMPTY, single ? 1 : end - from, 0));
  }
}

/** Slots in a row, in ascending order, that are in a state in which nobody has one: at most `want`. The first `run` are. */
function countFrom(mailbox: Mailbox, position: u64, run: u32, state: u64, want: u32, urgent: bool): u32 {
  const start = changetype<usize>(slotAt(mailbox, 0, urgent));
  const end = start + <usize>lengthOf(urgent) * SLOT_BYTES;
  position = advance(position, run - 1, urgent);
  let at = changetype<usize>(slotOf(mailbox, position, urgent));
  let word = wordOf(turnOf(position, urgent), state);
  for (; run < want; run++) {
    at += SLOT_BYTES;
    if (at == end) {
      at = start;
      word += ONE_TURN;
    }
    if (changetype<Slot>(at).word.load() != word) break;
  }
  return run;
}

/**
 * Says that there may be items elsewhere than at the lane's head: urgent ones, or some to deliver again. Takers look at this bit only. One that sees
 * it clears it *first*, then looks, and sets it again when it found one, because there may be more: so no mark is lost.
 */
export function lookAround(mailbox: Mailbox): void {
  mailbox.gate.or(LOOK_AROUND);
}

/** Takes up to `want` items in a row. Sets gotIndex, gotRun. */
export function takeAny(id: u32, mailbox: Mailbox, index: u32, want: u32, urgent: bool): Status {
  let head = newestHead(mailbox, index, urgent);
  const length = lengthOf(urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const slot = slotOf(mailbox, head, urgent);
    const word = slot.word.load();
    const state = stateOf(word);
    const laps = lapsAhead(word, head, urgent);
    if (isImpossible(word, length)) return quarantine(mailbox, id);
    if (laps > 0) head = catchUp(head, laps, word, urgent);
    else if (laps == 0 && state == TAKEN) head = advance(head, runOf(word), urgent);
    else if (laps == 0 && state == SKIP) {
      // SYNC slot-skip: the words behind it say so too by now; pairs with `slot-skip` in skipRun().
      if (slot.word.cas(word, wordOf(turnOf(head, urgent) + 1, EMPTY))) wakeOne(mailbox, SPACE);
    } else {
      if (laps < 0 && !(laps == -1 && (state == TAKEN || state == REDO))) {
        return quarantine(mailbox, id);
      }
      if (!isOpen(mailbox, id)) return refusal(mailbox, id);
      // A slot that its consumer of the lap before still holds, one that nobody claimed, one that is not committed yet.
      if (laps < 0 || state == EMPTY || state == CLAIMED) {
        setHead(index, urgent, head);
        return Status.Empty;
      }
      const run = state == FULL ? countFrom(mailbox, head, 1, FULL, min(want, length), urgent) : 1;
      // SYNC slot-full: the payload is there once the word says so; pairs with `slot-full` in commit().
      if (!slot.word.cas(word, ownedWord(turnOf(head, urgent), TAKEN, run, me))) continue;
      gotIndex = indexOf(head, urgent);
      gotRun = run;
      takenUpTo(mailbox, index, head, advance(head, run, urgent), urgent);
      return Status.Ok;
    }
  }
  setHead(index, urgent, head);
  return Status.Busy;
}

/**
 * Takes the oldest item that was taken before, by somebody who died or put it back. Finds it in a walk over the slots: this is rare.
 */
export function takeAgain(id: u32, mailbox: Mailbox, urgent: bool): Status {
  const length = lengthOf(urgent);
  for (let attempt: u32 = 0; attempt < length; attempt++) {
    let found: u64 = 0;
    let at: u32 = length;
    for (let index: u32 = 0; index < length; index++) {
      const word = slotAt(mailbox, index, urgent).word.load();
      if (stateOf(word) != REDO) continue;
      if (at == length || <i64>(word - found) < 0) {
        found = word;
        at = index;
      }
    }
    if (at == length) return Status.Empty;
    if (!isOpen(mailbox, id)) return refusal(mailbox, id);
    if (!slotAt(mailbox, at, urgent).word.cas(found, ownedWord(wordTurn(found), TAKEN, 1, me))) continue;
    gotIndex = at;
    gotRun = 1;
    return Status.Ok;
  }
  return Status.Busy;
}

/** Can an item be taken, as far as can be seen? Items to deliver again count. */
export function hasItem(mailbox: Mailbox, index: u32): bool {
  return (mailbox.gate.load() & LOOK_AROUND) != 0 || hasItemIn(mailbox, index, true) || hasItemIn(mailbox, index, false);
}

function hasItemIn(mailbox: Mailbox, index: u32, urgent: bool): bool {
  let head = newestHead(mailbox, index, urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const word = slotOf(mailbox, head, urgent).word.load();
    const state = stateOf(word);
    const laps = lapsAhead(word, head, urgent);
    // Whoever tries finds out what is wrong.
    if (isImpossible(word, lengthOf(urgent))) return true;
    if (laps > 0) head = catchUp(head, laps, word, urgent);
    else if (laps == 0 && state == TAKEN) head = advance(head, runOf(word), urgent);
    else if (laps == 0 && state == SKIP) head = advance(head, 1, urgent);
    else return laps == 0 && (state == FULL || state == REDO);
  }
  return true;
}

/** Can a slot be claimed, as far as can be seen? */
export function hasSpace(mailbox: Mailbox, index: u32, urgent: bool): bool {
  let tail = newestTail(mailbox, index, urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const word = slotOf(mailbox, tail, urgent).word.load();
    const state = stateOf(word);
    const laps = lapsAhead(word, tail, urgent);
    if (isImpossible(word, lengthOf(urgent))) return true;
    if (laps > 0) tail = catchUp(tail, laps, word, urgent);
    else if (laps == 0 && state != EMPTY) tail = advance(tail, runOf(word), urgent);
    else if (laps == 0 || state == SKIP) return true;
    else return (state == FULL || state == REDO) && mailbox.policy.load() == Policy.DropOldest;
  }
  return true;
}

/** The first position that nobody has claimed; a moment's view. */
export function tailPosition(mailbox: Mailbox, index: u32, urgent: bool): u64 {
  let tail = newestTail(mailbox, index, urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const word = slotOf(mailbox, tail, urgent).word.load();
    const laps = lapsAhead(word, tail, urgent);
    if (laps > 0) tail = catchUp(tail, laps, word, urgent);
    else if (laps == 0 && stateOf(word) != EMPTY) tail = advance(tail, min(runOf(word), lengthOf(urgent)), urgent);
    else break;
  }
  return tail;
}

/** The first position that nobody has taken; a moment's view. */
export function headPosition(mailbox: Mailbox, index: u32, urgent: bool): u64 {
  let head = newestHead(mailbox, index, urgent);
  for (let attempt: u32 = attempts(urgent); attempt != 0; attempt--) {
    const word = slotOf(mailbox, head, urgent).word.load();
    const laps = lapsAhead(word, head, urgent);
    if (laps > 0) head = catchUp(head, laps, word, urgent);
    else if (laps == 0 && stateOf(word) == TAKEN) head = advance(head, min(runOf(word), lengthOf(urgent)), urgent);
    else if (laps == 0 && stateOf(word) == SKIP) head = advance(head, 1, urgent);
    else break;
  }
  return head;
}

/** The slot of the lane that an item's address means; null when it is none. */
// @ts-ignore: decorator
@inline
export function slotByItem(mailbox: Mailbox, item: u32, urgent: bool): Slot {
  const distance = item - <u32>changetype<usize>(slotAt(mailbox, 0, urgent).item);
  const index = distance / SLOT_BYTES;
  if (index >= lengthOf(urgent) || index * SLOT_BYTES != distance) return changetype<Slot>(0);
  return changetype<Slot>(<usize>item - SLOT_WORD_BYTES);
}

/** The same for either lane; itemUrgent says which. */
export let itemUrgent: bool = false;
export function slotInAnyLane(mailbox: Mailbox, item: u32): Slot {
  itemUrgent = false;
  const slot = slotByItem(mailbox, item, false);
  if (changetype<usize>(slot) != 0) return slot;
  itemUrgent = true;
  return slotByItem(mailbox, item, true);
}
