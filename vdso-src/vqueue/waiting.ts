/**
 * Sleepers of a mailbox: who waits for an item, who for space.
 *
 * A process parks on its own word (`Process.wake`), whatever it waits for: so it can wait for any of several mailboxes, and a reaper can
 * wake everybody. A mailbox has one bit for each process that waits, and a summary in its gate (bit k: word k of the set may have bits), which
 * is all that those who do not wake anybody look at.
 *
 * - Sleeper: reads its wake word, sets its bit, then the summary's, looks at the mailbox once more, parks on the value read.
 * - Waker: has written what the sleeper waits for, reads the summary, picks a bit and clears it (who clears it owns the wake-up), adds 1 to
 *   that process's wake word, notifies. Before it clears a bit of the summary over a word that is empty, and after, it looks at the word.
 * - A sleeper whose bit was cleared by another was given a wake-up. It looks once more after that; if it leaves something that it could have, or the
 *   mailbox is not the one it waited for any more, it passes the wake-up on. When there is nothing it does not: two that wait would wake each other
 *   for ever. Who takes an item (claims a slot) and sees that there are more, wakes the next.
 * - Those who wait for space in the urgent lane are in the set of those who wait for space, and a wake-up for the one is of no use to the other: while
 *   there are both (`MIXED`), all are woken.
 * - Death: of a sleeper: the reaper clears its bits. Of a waker between any two steps, of a process that was given a wake-up: the reaper adds 1
 *   to *every* process's wake word and notifies, so nobody sleeps over something that happened before.
 */
import { MIXED, summaryOf, summaryShift } from "./gate";
import { COUNTERS, Mailbox, PID_WORDS, PROCESSES, shared } from "./layout";
import { me, processAt } from "./process";

const OWN_WORD_SHIFT: u32 = 6;

/** What a sleeper waits for. */
export const ITEM: bool = false;
export const SPACE: bool = true;

// @ts-ignore: decorator
@inline
function sleepersOf(mailbox: Mailbox, word: u32, space: bool): Atomic<u64> {
  return space ? unchecked(mailbox.spaceSleepers[word]) : unchecked(mailbox.itemSleepers[word]);
}

/** Enters this process among the sleepers. It has to look once more before it parks. @param mixed - MIXED, or 0 */
export function enlist(mailbox: Mailbox, space: bool, mixed: u64 = 0): void {
  const word = me >> OWN_WORD_SHIFT;
  // SYNC sleepers: entered first, looked second; pairs with `sleepers` in wakeOne().
  sleepersOf(mailbox, word, space).or(<u64>1 << (me & 63));
  mailbox.gate.or((<u64>1 << (summaryShift(space) + word)) | mixed);
}

/** Takes this process out again. @returns was it given a wake-up? */
export function resign(mailbox: Mailbox, space: bool): bool {
  const bit = <u64>1 << (me & 63);
  return (sleepersOf(mailbox, me >> OWN_WORD_SHIFT, space).and(~bit) & bit) == 0;
}

/** Wakes one sleeper, if there is any. The caller has written before what sleepers wait for. */
// @ts-ignore: decorator
@inline
export function wakeOne(mailbox: Mailbox, space: bool): void {
  // SYNC sleepers: written first, looked second; pairs with `sleepers` in enlist().
  if (summaryOf(mailbox.gate.load(), space) != 0) wakeNext(mailbox, space, 1);
}

/** Wakes up to `count` sleepers. */
export function wakeNext(mailbox: Mailbox, space: bool, count: u32): void {
  // Each round wakes somebody, or clears a word's summary; others can set it again, so the rounds are bounded.
  if (space && (mailbox.gate.load() & MIXED) != 0) {
    // Who enters after this is woken as well, as long as the loop below goes on; then it has seen what there is.
    mailbox.gate.and(~MIXED);
    count = PROCESSES;
  }
  for (let round: u32 = 0; round < 2 * PROCESSES; round++) {
    const words = summaryOf(mailbox.gate.load(), space);
    if (words == 0) return;
    const word = ctz(words);
    const set = sleepersOf(mailbox, word, space);
    const bits = set.load();
    if (bits == 0) {
      const summary = <u64>1 << (summaryShift(space) + word);
      mailbox.gate.and(~summary);
      if (set.load() != 0) mailbox.gate.or(summary);
      continue;
    }
    // Not always the lowest first: start where the last wake-up ended.
    const turn = COUNTERS ? <u64>(mailbox.wakeUps.load() & 63) : 0;
    const index = (ctz(rotr(bits, turn)) + turn) & 63;
    const bit = <u64>1 << index;
    if ((set.and(~bit) & bit) == 0) continue;
    if (COUNTERS) mailbox.wakeUps.add(1);
    bump((word << OWN_WORD_SHIFT) + <u32>index);
    if (--count == 0) return;
  }
}

/** Wakes all sleepers: the mailbox is not what it was. */
export function wakeAll(mailbox: Mailbox): void {
  for (let word: u32 = 0; word < PID_WORDS; word++) {
    let bits = sleepersOf(mailbox, word, ITEM).exchange(0) | sleepersOf(mailbox, word, SPACE).exchange(0);
    for (; bits != 0; bits &= bits - 1) bump((word << OWN_WORD_SHIFT) + <u32>ctz(bits));
  }
}

/** Wakes all owners, whatever they wait for. */
export function bumpOwners(mailbox: Mailbox): void {
  for (let word: u32 = 0; word < PID_WORDS; word++) {
    let bits = unchecked(mailbox.owners[word]).load();
    for (; bits != 0; bits &= bits - 1) bump((word << OWN_WORD_SHIFT) + <u32>ctz(bits));
  }
}

/** Wakes every process there is: what it waited for may have been promised by a dead one. */
export function wakeEverybody(): void {
  for (let index: u32 = 1; index < PROCESSES; index++) {
    if (processAt(index).pid.load() != 0) bump(index);
  }
}

function bump(index: u32): void {
  if (index >= PROCESSES) return;
  const wake = unchecked(shared.processes[index]).wake;
  wake.add(1);
  // All: the process may be parked and have an asynchronous wait as well.
  wake.notify();
}

/** Makes this process look again at all that it waits for asynchronously. */
export function bumpOwn(): void {
  bump(me);
}
