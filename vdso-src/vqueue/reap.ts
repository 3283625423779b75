/**
 * What a dead process leaves, put right: while others go on, as often as one likes, from the start when a reaper died half-way.
 *
 * In each mailbox that the process touched: claimed runs become SKIP, from the last word to the first, so that the first still says what is to do if
 * this stops half-way; taken runs become REDO in the same order; then the mark that takers have to look around. Then its bits and map entries go, and
 * everybody is woken (see waiting.ts). Last its place becomes free.
 */
import { advance, CLAIMED, EMPTY, FULL, isOwned, lengthOf, logOf, REDO, runOf, SKIP, slotAt, slotOf, stateOf, TAKEN, wordOf, wordTurn } from "./ring";
import { ARRAY_LEN, Mailbox, PROCESSES } from "./layout";
import { lookAround } from "./lane";
import { ENDED, mailboxAt, processAt } from "./process";
import { reapMap } from "./map";
import { endRegistration, endSharing, removeOwner } from "./mailbox";
import { wakeEverybody } from "./waiting";

export function reap(pid: u32): void {
  const index = pid & 1023;
  if (index == 0 || index >= PROCESSES) return;
  const process = processAt(index);
  // It never came in, or it has been reaped, and its place may be another's.
  if (process.pid.load() != (pid | ENDED) && !process.pid.cas(pid, pid | ENDED)) return;
  // SYNC owners: marked first, looked second; pairs with `owners` in addOwner().
  for (let at: u32 = 0; at < ARRAY_LEN; at++) {
    if (((unchecked(process.touched[at >> 6]).load() >> (at & 63)) & 1) != 0) reapMailbox(mailboxAt(at), index);
  }
  endSharing(index);
  wakeEverybody();
  for (let word: u32 = 0; word < (ARRAY_LEN + 63) / 64; word++) unchecked(process.touched[word]).store(0);
  process.pid.cas(pid | ENDED, 0);
}

function reapMailbox(mailbox: Mailbox, process: u32): void {
  reapLane(mailbox, process, true);
  reapLane(mailbox, process, false);
  // Also when nothing was found: it may have died, or an earlier reaper, before it could say so.
  lookAround(mailbox);
  const mask = ~(<u64>1 << (process & 63));
  unchecked(mailbox.itemSleepers[process >> 6]).and(mask);
  unchecked(mailbox.spaceSleepers[process >> 6]).and(mask);
  reapMap(mailbox, process);
  removeOwner(mailbox, process);
  endRegistration(mailbox, process);
}

function reapLane(mailbox: Mailbox, process: u32, urgent: bool): void {
  const length = lengthOf(urgent);
  for (let index: u32 = 0; index < length; index++) {
    const word = slotAt(mailbox, index, urgent).word.load();
    if (isOwned(word, CLAIMED, process)) skipRun(mailbox, index, word, urgent);
    else if (isOwned(word, TAKEN, process)) redoRun(mailbox, index, word, urgent);
  }
}

/** Claimed slots that will never be items. */
export function skipRun(mailbox: Mailbox, index: u32, word: u64, urgent: bool): void {
  const start = (wordTurn(word) << logOf(urgent)) | index;
  for (let behind = min(runOf(word), lengthOf(urgent)) - 1; behind > 0; behind--) {
    const position = advance(start, behind, urgent);
    slotOf(mailbox, position, urgent).word.store(wordOf(position >> logOf(urgent), SKIP));
  }
  // SYNC slot-skip: from here on others see the whole run; pairs with `slot-skip` in takeAny().
  if (slotAt(mailbox, index, urgent).word.cas(word, wordOf(wordTurn(word), SKIP))) {
    mailbox.skipped.add(min(runOf(word), lengthOf(urgent)));
  }
}

/** Taken slots whose items are to be delivered again. */
export function redoRun(mailbox: Mailbox, index: u32, word: u64, urgent: bool): void {
  const start = (wordTurn(word) << logOf(urgent)) | index;
  let count: u32 = 1;
  for (let behind = min(runOf(word), lengthOf(urgent)) - 1; behind > 0; behind--) {
    const position = advance(start, behind, urgent);
    const turn = position >> logOf(urgent);
    // Once: after a reaper that stopped half-way it may have been taken again.
    if (slotOf(mailbox, position, urgent).word.cas(wordOf(turn, FULL), wordOf(turn, REDO))) count++;
  }
  if (slotAt(mailbox, index, urgent).word.cas(word, wordOf(wordTurn(word), REDO))) mailbox.redelivered.add(count);
}

