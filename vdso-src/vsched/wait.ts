/**
 * Waiting and notifying: on wait queues, and on the exit of tasks.
 *
 * That a task waits, for what, and since when (its ticket) stands in its word and its details. A queue's cells only help to find its waiters:
 *
 *   cells  | 0: how many found no cell | 1: id | 2: id | ...        0: empty
 *
 * A waiter announces itself (Running -> Blocking), enters its id into an empty cell or counts up cell 0, looks whether what it waits for
 * has happened meanwhile, and lets go (Blocking -> Blocked). Who notifies takes the waiter with the oldest ticket among those in cells, and while
 * cell 0 is not 0 among all tasks. The transition of the task's word is the notification; the cell is emptied after it. A cell with the id
 * of a task that does not wait here is stale; whoever empties one looks once more, and counts up cell 0 if the task waits here again.
 *
 * What a death leaves: before the transition no notification, after it one, perhaps with a stale cell; a waiter whose cell was emptied
 * by one who died is found again because the reaper counts up cell 0 of everything that is waited for.
 */
import { charge, countSwitch, endRunning, me, NONE, running, runningWord } from "./cpu";
import { Asleep, cpuAt, Failure, JOIN_CELLS, QUEUES, QueueKind, shared, State, TASKS, taskAt, WAIT_CELLS, WaitQueue, Why, wordAt } from "./layout";
import { addTimer } from "./timers";
import { event, TraceEvent } from "./trace";
import { wake } from "./wake";
import { announce, endAnnounced, find, idOf, indexOf, letGo, restamp, stampOf, stateOf, takeBack, waits, whyOf } from "./word";

// What is waited for: kind << 32 | id. In a task's `waitsFor` the bits above, 30 of the stamp at the wait's begin, tell waits apart.
export const OUTSIDE: u64 = 0;
export const QUEUE: u64 = 1 << 32;
export const EXIT: u64 = 2 << 32;
const KIND: u64 = 3 << 32;
const TARGET: u64 = 0x3_ffffffff;

/** What a task waits for, or waited for last. */
export function targetOf(index: u32): u64 {
  return taskAt(index).waitsFor.load() & TARGET;
}

const QUEUE_INDEX_BITS: u32 = 14;

export function queueIdOf(index: u32, word: u32): u32 {
  return ((word >> 16) << QUEUE_INDEX_BITS) | index;
}

/** The number of a queue that exists; NONE when the id is stale or none. */
export function queueIndex(id: u32): u32 {
  const index = id & ((1 << QUEUE_INDEX_BITS) - 1);
  if (index >= QUEUES) return NONE;
  const word = unchecked(shared.queues[index]).word.load();
  return (word & 0xffff) != QueueKind.Free && queueIdOf(index, word) == id ? index : NONE;
}

// ------------------------------------------------------------------ cells

// Of the target that `locate` found.
let cells: usize = 0;
let cellCount: u32 = 0;

/** Finds the cells of a target, whether or not it still exists. */
function locate(target: u64): bool {
  const kind = target & KIND;
  const index = <u32>target & 0x3fff;
  if (kind == EXIT && index < TASKS) {
    cells = changetype<usize>(taskAt(index).joiners);
    cellCount = JOIN_CELLS;
  } else if (kind == QUEUE && index < QUEUES) {
    cells = changetype<usize>(unchecked(shared.queues[index]).cells);
    cellCount = WAIT_CELLS;
  } else return false;
  return true;
}

function cell(number: u32): Atomic<u32> {
  return changetype<Atomic<u32>>(cells + <usize>number * 4);
}

function isWaitingFor(index: u32, word: u64, target: u64): bool {
  return waits(word) && targetOf(index) == target;
}

function enlist(id: u32): void {
  for (let number: u32 = 1; number <= cellCount; number++) {
    const seen = cell(number).load();
    if (seen == id || (seen == 0 && cell(number).cas(0, id))) {
      // An entry of our own that is left from before may be emptied at any moment by one who found it stale.
      if (seen == id) cell(0).add(1);
      return;
    }
  }
  cell(0).add(1);
}

function empty(number: u32, id: u32, target: u64): void {
  if (!cell(number).cas(id, 0)) return;
  const word = find(id);
  if (word != 0 && isWaitingFor(indexOf(id), word, target)) cell(0).add(1);
}

/** Makes sure that the waiters for a target are looked for in the whole table. */
export function distrustCells(target: u64): void {
  if (locate(target)) cell(0).add(1);
}

export function clearCells(target: u64): void {
  if (!locate(target)) return;
  for (let number: u32 = 0; number <= cellCount; number++) if (cell(number).load() != 0) cell(number).store(0);
}

// ------------------------------------------------------------------ waiting

/** The running task announces that it will wait. Then: look once more, and {@link letGoOfCpu} or {@link cancelWait}. */
export function beginWait(target: u64, deadline: u64, heedless: bool = false): i32 {
  const word = runningWord();
  if (stateOf(word) != State.Running) return Failure.State;
  const index = running;
  const task = taskAt(index);
  task.waitsFor.store(((<u64>stampOf(word)) << 34) | target);
  task.deadline.store(deadline);
  const kind = target & KIND;
  if (kind == QUEUE) task.ticket.store(unchecked(shared.queues[<u32>target & 0x3fff]).tickets.add(1));
  const announced = announce(index, word);
  if (announced == 0) return Failure.State;
  if (locate(target)) enlist(idOf(index, word));
  if (deadline != 0) addTimer(index, deadline);
  // SYNC cancel: announced first, looked second; pairs with `cancel` in cancel().
  if (!heedless && task.cancelled.load() == idOf(index, word)) endAnnounced(index, announced, Why.Cancelled);
  return 0;
}

/** The running task does not have to wait after all. A notification that it got meanwhile goes to the next. */
export function cancelWait(): i32 {
  if (running == NONE) return Failure.State;
  const target = targetOf(running);
  // Each round but the first: somebody ended the wait, or moved it, at that moment.
  for (let round: u32 = 0; round < TASKS + 8; round++) {
    const word = runningWord();
    if (stateOf(word) != State.Blocking) return Failure.State;
    if (takeBack(running, word) == 0) continue;
    if (whyOf(word) == Why.Notified && (target & KIND) == QUEUE) notifyOne(target);
    return 0;
  }
  return Failure.State;
}

/**
 * The running task waits from here on, unless its wait has been ended meanwhile.
 *
 * @returns 0: this CPU is free. 1: the task goes on
 */
export function letGoOfCpu(): i32 {
  if (running == NONE) return Failure.State;
  charge();
  const index = running;
  const task = taskAt(index);
  let counted = false;
  for (let round: u32 = 0; round < TASKS + 8; round++) {
    const word = runningWord();
    if (stateOf(word) != State.Blocking) return Failure.State;
    if (whyOf(word) != Why.None) {
      if (takeBack(index, word) != 0) return 1;
    } else {
      // Before: after it, it may be another CPU's. Who loses against one that ends the wait at this moment has counted it all the same.
      if (!counted) {
        countSwitch(index, idOf(index, word));
        task.waits.store(task.waits.load() + 1);
        counted = true;
      }
      if (letGo(index, word) != 0) {
        event(TraceEvent.Block, me, idOf(index, word));
        endRunning();
        return 0;
      }
    }
  }
  return Failure.State;
}

/**
 * The running task waits in its thread, which stands still meanwhile, at most for so many nanoseconds (negative: no limit).
 *
 * @returns 1: its wait has been ended, it goes on. 0: perhaps not; tell the time, serve the timers, and call again
 */
export function waitHere(limit: i64): i32 {
  if (running == NONE) return Failure.State;
  const own = cpuAt(me);
  const seen = own.bell.load();
  // SYNC park: asleep first, looked second; pairs with `park` in ring().
  own.asleep.store(Asleep.Occupied);
  let outcome: i32 = 0;
  for (let round: u32 = 0; round < TASKS + 8; round++) {
    const word = runningWord();
    if (stateOf(word) != State.Blocking) outcome = Failure.State;
    else if (whyOf(word) != Why.None) {
      // Somebody who moves it to another queue may be faster.
      if (takeBack(running, word) == 0) continue;
      outcome = 1;
    } else own.bell.wait(seen, limit);
    break;
  }
  if (own.asleep.load() != Asleep.No) own.asleep.store(Asleep.No);
  return outcome;
}

// ------------------------------------------------------------------ notifying

let candidate: u32 = NONE;
let candidateWord: u64 = 0;
let candidateCell: u32 = 0;

function consider(index: u32, word: u64, number: u32): void {
  const ticket = taskAt(index).ticket.load();
  // Tickets wrap: what counts is the distance.
  if (candidate != NONE && <i32>(ticket - taskAt(candidate).ticket.load()) >= 0) return;
  candidate = index;
  candidateWord = word;
  candidateCell = number;
}

/** Looks for the longest waiting. @returns how many wait that are not in cells, if they had to be counted */
function findOldest(target: u64, everywhere: bool): u32 {
  candidate = NONE;
  for (let number: u32 = 1; number <= cellCount; number++) {
    const id = cell(number).load();
    if (id == 0) continue;
    const word = find(id);
    if (word != 0 && isWaitingFor(indexOf(id), word, target)) consider(indexOf(id), word, number);
    else empty(number, id, target);
  }
  if (!everywhere) return 0;
  let found: u32 = 0;
  for (let index: u32 = 0; index < TASKS; index++) {
    const word = wordAt(index).load();
    if (!isWaitingFor(index, word, target)) continue;
    found++;
    if (index != candidate) consider(index, word, 0);
  }
  return found;
}

/** Ends the wait of the one that has waited longest. @returns was there one? */
export function notifyOne(target: u64, why: Why = Why.Notified): bool {
  if (!locate(target)) return false;
  // Each round but the last: somebody else ended that wait.
  for (let round: u32 = 0; round < 2 * TASKS + 8; round++) {
    const strays = cell(0).load();
    const found = findOldest(target, strays != 0);
    if (candidate == NONE) {
      if (strays != 0 && !cell(0).cas(strays, 0)) continue;
      return false;
    }
    const number = candidateCell;
    const id = idOf(candidate, candidateWord);
    if (!wake(candidate, candidateWord, why)) continue;
    if (number != 0) empty(number, id, target);
    if (strays != 0 && found <= 1) cell(0).cas(strays, 0);
    return true;
  }
  return false;
}

/** Ends the wait of everybody. @returns how many */
export function notifyAll(target: u64, why: Why = Why.Notified): u32 {
  if (!locate(target)) return 0;
  let count: u32 = 0;
  for (let number: u32 = 1; number <= cellCount; number++) {
    const id = cell(number).load();
    if (id == 0) continue;
    if (endWaitFor(indexOf(id), id, target, why)) count++;
    empty(number, id, target);
  }
  const strays = cell(0).load();
  if (strays == 0) return count;
  for (let index: u32 = 0; index < TASKS; index++) {
    const word = wordAt(index).load();
    if (isWaitingFor(index, word, target) && endWaitFor(index, idOf(index, word), target, why)) count++;
  }
  cell(0).cas(strays, 0);
  return count;
}

/** Ends a task's wait for a target. Repeats while the task moves between Blocking and Blocked. */
export function endWaitFor(index: u32, id: u32, target: u64, why: Why): bool {
  for (let round: u32 = 0; round < 64; round++) {
    const word = find(id);
    if (word == 0 || !isWaitingFor(index, word, target)) return false;
    if (wake(index, word, why)) return true;
  }
  return false;
}

/** Lets up to `count` waiters for one queue wait for another. @returns how many */
export function requeue(from: u64, to: u64, count: u32): u32 {
  let moved: u32 = 0;
  for (let round: u32 = 0; round < 2 * TASKS + 8 && moved < count; round++) {
    if (!locate(from)) return moved;
    findOldest(from, cell(0).load() != 0);
    if (candidate == NONE) return moved;
    const index = candidate;
    const number = candidateCell;
    const id = idOf(index, candidateWord);
    const task = taskAt(index);
    const wait = task.waitsFor.load();
    if ((wait & TARGET) != from) continue;
    const moves = (wait & ~TARGET) | to;
    const ticket = unchecked(shared.queues[<u32>to & 0x3fff]).tickets.add(1);
    if (!task.waitsFor.cas(wait, moves)) continue;
    task.ticket.store(ticket);
    if (number != 0) cell(number).cas(id, 0);
    if (locate(to)) enlist(id);
    if (settle(index, id, moves)) moved++;
  }
  return moved;
}

/** Who found the waiter in its first queue just before fails after this; if it succeeded before, the waiter was notified and not moved. */
function settle(index: u32, id: u32, wait: u64): bool {
  for (let round: u32 = 0; round < 64; round++) {
    const word = find(id);
    if (word == 0 || !waits(word) || taskAt(index).waitsFor.load() != wait) return false;
    if (restamp(index, word) != 0) return true;
  }
  return false;
}

/** The task that this one waits for by a join; 0: none. */
export function joined(id: u32): u32 {
  const word = find(id);
  if (word == 0 || !waits(word)) return 0;
  const target = targetOf(indexOf(id));
  return (target & KIND) == EXIT ? <u32>target : 0;
}

/** Is `start` waiting, over any number of joins, for the task with this id? */
export function leadsTo(start: u32, id: u32): bool {
  let at = start;
  for (let step: u32 = 0; step < TASKS && at != 0; step++) {
    if (at == id) return true;
    at = joined(at);
  }
  return false;
}

/** How many wait for a target. */
export function count(target: u64): u32 {
  let found: u32 = 0;
  for (let index: u32 = 0; index < TASKS; index++) if (isWaitingFor(index, wordAt(index).load(), target)) found++;
  return found;
}
