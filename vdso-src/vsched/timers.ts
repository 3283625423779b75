/**
 * Deadlines of waits. A task's deadline stands in its details; the CPU on which it began to wait has it in a private heap and publishes the
 * first one, so that a CPU that has nothing else to do serves those of a CPU that is busy, by a look through the task table.
 */
import { choose, me, NONE, now } from "./cpu";
import { firstKey, firstOf, insert, removeFirst, sizeOf, TIMERS } from "./heap";
import { cpuAt, CPUS, NEVER, shared, TASKS, taskAt, Why, wordAt } from "./layout";
import { wake } from "./wake";
import { waits } from "./word";

/** So long others leave a CPU to serve its own timers. */
const GRACE_US: u64 = 1000;

/** Notes the deadline of a task that waits. */
export function addTimer(index: u32, deadline: u64): void {
  insert(TIMERS, index, deadline, 0, 0);
  if (deadline < cpuAt(me).nextDeadline.load()) cpuAt(me).nextDeadline.store(deadline);
}

/** Wakes those of this CPU whose time is up. @returns how many */
export function expire(): u32 {
  if (me == NONE) return 0;
  let count: u32 = 0;
  let changed = false;
  while (sizeOf(TIMERS) != 0) {
    const index = firstOf(TIMERS);
    const deadline = firstKey(TIMERS);
    if (deadline > now && waits(wordAt(index).load()) && taskAt(index).deadline.load() == deadline) break;
    removeFirst(TIMERS);
    changed = true;
    if (deadline <= now && timeOut(index, deadline)) count++;
  }
  if (changed) cpuAt(me).nextDeadline.store(sizeOf(TIMERS) == 0 ? NEVER : firstKey(TIMERS));
  return count;
}

/** Ends a wait with this deadline. Each round but the first: the waiter has just let go of its CPU, or was moved to another queue. */
function timeOut(index: u32, deadline: u64): bool {
  for (let round: u32 = 0; round < 64; round++) {
    const word = wordAt(index).load();
    if (!waits(word) || taskAt(index).deadline.load() != deadline) return false;
    if (wake(index, word, Why.TimedOut)) return true;
  }
  return false;
}

/** Does the same for CPUs that are late, and for those that are gone. @returns how many */
export function expireOthers(): u32 {
  if (!claimLate()) return 0;
  let count: u32 = 0;
  let least = NEVER;
  for (let index: u32 = 0; index < TASKS; index++) {
    const word = wordAt(index).load();
    if (!waits(word)) continue;
    const deadline = taskAt(index).deadline.load();
    if (deadline == 0) continue;
    if (deadline > now) least = min(least, deadline);
    else if (timeOut(index, deadline)) count++;
  }
  lowerOrphanDeadline(least);
  return count;
}

function claimLate(): bool {
  let late = false;
  const orphan = shared.orphanDeadline.load();
  if (orphan <= now && shared.orphanDeadline.cas(orphan, NEVER)) late = true;
  const end = min(shared.cpuLimit.load(), CPUS);
  for (let number: u32 = 0; number < end; number++) {
    const next = cpuAt(number).nextDeadline.load();
    if (number == me || next > now || now - next < GRACE_US) continue;
    if (cpuAt(number).nextDeadline.cas(next, NEVER)) late = true;
  }
  return late;
}

export function lowerOrphanDeadline(deadline: u64): void {
  let seen = shared.orphanDeadline.load();
  while (deadline < seen) {
    if (shared.orphanDeadline.cas(seen, deadline)) return;
    seen = shared.orphanDeadline.load();
  }
}

/** When some timer has to be served, by whomever. This CPU's by its own heap: a wrong word in shared memory would keep it awake for ever. */
export function nextDeadline(): u64 {
  let least = shared.orphanDeadline.load();
  if (me != NONE && sizeOf(TIMERS) != 0) least = min(least, firstKey(TIMERS));
  const end = min(shared.cpuLimit.load(), CPUS);
  for (let number: u32 = 0; number < end; number++) {
    const next = cpuAt(number).nextDeadline.load();
    if (number != me && next < NEVER - GRACE_US) least = min(least, next + GRACE_US);
  }
  return least;
}
