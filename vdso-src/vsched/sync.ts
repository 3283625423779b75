/**
 * Wait queues with a value: mutexes, semaphores, events, barriers. All follow one pattern, for synchronous and asynchronous callers alike:
 *
 *   0, 1       done (1: see the function)
 *   WAIT       the running task has announced that it waits: let go of the CPU, and when it goes on, call again
 *   negative   a Failure
 *
 * The queue's `owner` claims it (0 -> pid), its `word` publishes it; so a creator who dies in between leaves a claim with its name.
 */
import { NONE, runningId as lastId, runningWord } from "./cpu";
import { Failure, QueueKind, QUEUES, shared, taskAt, WaitQueue, Why } from "./layout";
import { beginWait, cancelWait, clearCells, notifyAll, notifyOne, QUEUE, queueIdOf, queueIndex } from "./wait";
import { find, hasEnded, indexOf } from "./word";

export const WAIT: i32 = 2;
/** The owner before died while it held the mutex. */
const OWNER_DIED: u32 = 0x80000000;
const MAX_PERMITS: u32 = 0x7fffffff;

/** @returns the id, or Failure.Full */
export function createQueue(kind: QueueKind, value: u32, owner: u32): i32 {
  const start = shared.nextQueue.load();
  for (let step: u32 = 0; step < QUEUES; step++) {
    const index = (start + step) % QUEUES;
    const queue = unchecked(shared.queues[index]);
    if (queue.owner.load() != 0 || !queue.owner.cas(0, owner)) continue;
    shared.nextQueue.store(index + 1);
    queue.value.store(value);
    clearCells(QUEUE | index);
    const generation = (queue.word.load() >> 16) + 1;
    const word = ((generation > 0xffff ? 1 : generation) << 16) | kind;
    queue.word.store(word);
    return queueIdOf(index, word);
  }
  return Failure.Full;
}

/** Ends a queue; whoever waits goes on with the reason Dropped. */
export function closeQueue(id: u32): i32 {
  const index = queueIndex(id);
  if (index == NONE) return Failure.Stale;
  const queue = unchecked(shared.queues[index]);
  const word = queue.word.load();
  // SYNC queue-closed: no queue any more, then the waiters; pairs with `queue-closed` in waitOn().
  if (queueIdOf(index, word) != id || !queue.word.cas(word, word & 0xffff0000)) return Failure.Stale;
  notifyAll(QUEUE | id, Why.Dropped);
  queue.owner.store(0);
  return 0;
}

function queueOf(id: u32, kind: QueueKind): WaitQueue {
  const index = queueIndex(id);
  if (index == NONE) return changetype<WaitQueue>(0);
  const queue = unchecked(shared.queues[index]);
  return (queue.word.load() & 0xffff) == kind ? queue : changetype<WaitQueue>(0);
}

function missing(queue: WaitQueue): bool {
  return changetype<usize>(queue) == 0;
}

/** Announces a wait on a queue of any kind. @returns WAIT, or a Failure */
export function waitOn(id: u32, deadline: u64, heedless: bool = false): i32 {
  if (queueIndex(id) == NONE) return Failure.Stale;
  const begun = beginWait(QUEUE | id, deadline, heedless);
  if (begun != 0) return begun;
  // SYNC queue-closed: announced first, looked second; pairs with `queue-closed` in closeQueue().
  if (queueIndex(id) != NONE) return WAIT;
  cancelWait();
  return Failure.Stale;
}

/** Waits for what `attempt` (already made once, in vain) tries; it is made once more after the announcement, so that no change in between is lost. */
function settled(outcome: i32): i32 {
  if (outcome != WAIT) cancelWait();
  return outcome;
}

// ------------------------------------------------------------------ mutex

function isAlive(id: u32): bool {
  const word = find(id);
  return word != 0 && !hasEnded(word);
}

/** The running task; 0: none runs. */
export function runningId(): u32 {
  return runningWord() == 0 ? 0 : lastId;
}

/**
 * For a task of this process, running or not.
 *
 * @returns 0 locked, 1 locked, and the owner before died with it, WAIT: somebody has it (nothing is announced)
 */
export function tryLock(id: u32, mine: u32): i32 {
  const mutex = queueOf(id, QueueKind.Mutex);
  if (missing(mutex)) return Failure.Stale;
  if (!isAlive(mine)) return Failure.State;
  const seen = mutex.value.load();
  if (seen == mine) return Failure.Owner;
  if (seen != 0 && seen != OWNER_DIED && isAlive(seen)) return WAIT;
  if (!mutex.value.cas(seen, mine)) return WAIT;
  const task = taskAt(indexOf(mine));
  task.held.store(task.held.load() + 1);
  return seen == 0 ? 0 : 1;
}

/** As {@link tryLock}, for the running task; announces a wait. */
export function lock(id: u32, deadline: u64, heedless: bool): i32 {
  const mine = runningId();
  const first = tryLock(id, mine);
  if (first != WAIT) return first;
  const begun = waitOn(id, deadline, heedless);
  if (begun != WAIT) return begun;
  // SYNC unlocked: announced first, tried second; pairs with `unlocked` in unlock().
  return settled(tryLock(id, mine));
}

/** For a task of this process, running or not. */
export function unlock(id: u32, mine: u32): i32 {
  const mutex = queueOf(id, QueueKind.Mutex);
  if (missing(mutex)) return Failure.Stale;
  if (!isAlive(mine)) return Failure.State;
  // SYNC unlocked: free first, notified second; pairs with `unlocked` in lock().
  if (!mutex.value.cas(mine, 0)) return Failure.Owner;
  const task = taskAt(indexOf(mine));
  task.held.store(task.held.load() - 1);
  notifyOne(QUEUE | id);
  return 0;
}

/** Marks the mutexes of a task that ended with them, or of all such tasks (0), and lets the next one in. */
export function recoverMutexes(task: u32): void {
  for (let index: u32 = 0; index < QUEUES; index++) {
    const queue = unchecked(shared.queues[index]);
    const word = queue.word.load();
    if ((word & 0xffff) != QueueKind.Mutex) continue;
    const owner = queue.value.load();
    if (owner == 0 || owner == OWNER_DIED || (task != 0 && owner != task) || isAlive(owner)) continue;
    if (queue.value.cas(owner, OWNER_DIED)) notifyOne(QUEUE | queueIdOf(index, word));
  }
}

// ------------------------------------------------------------------ semaphore

/** @returns 0 a permit was taken, WAIT: there is none (nothing is announced) */
export function tryAcquire(id: u32): i32 {
  const semaphore = queueOf(id, QueueKind.Semaphore);
  if (missing(semaphore)) return Failure.Stale;
  let permits = semaphore.value.load();
  while (permits != 0) {
    const seen = semaphore.value.compareExchange(permits, permits - 1);
    if (seen == permits) return 0;
    permits = seen;
  }
  return WAIT;
}

export function acquire(id: u32, deadline: u64): i32 {
  const first = tryAcquire(id);
  if (first != WAIT) return first;
  const begun = waitOn(id, deadline);
  if (begun != WAIT) return begun;
  // SYNC permits: announced first, tried second; pairs with `permits` in releasePermits().
  return settled(tryAcquire(id));
}

export function releasePermits(id: u32, count: u32): i32 {
  const semaphore = queueOf(id, QueueKind.Semaphore);
  if (missing(semaphore)) return Failure.Stale;
  let permits = semaphore.value.load();
  while (true) {
    if (count > MAX_PERMITS || permits + count > MAX_PERMITS) return Failure.Range;
    const seen = semaphore.value.compareExchange(permits, permits + count);
    if (seen == permits) break;
    permits = seen;
  }
  // SYNC permits: there first, notified second; pairs with `permits` in acquire().
  for (let i: u32 = 0; i < count && notifyOne(QUEUE | id); ) i++;
  return 0;
}

// ------------------------------------------------------------------ event

export function waitEvent(id: u32, deadline: u64): i32 {
  const event = queueOf(id, QueueKind.Event);
  if (missing(event)) return Failure.Stale;
  if (event.value.load() != 0) return 0;
  const begun = waitOn(id, deadline);
  if (begun != WAIT) return begun;
  // SYNC event: announced first, looked second; pairs with `event` in setEvent().
  return settled(event.value.load() != 0 ? 0 : WAIT);
}

export function setEvent(id: u32): i32 {
  const event = queueOf(id, QueueKind.Event);
  if (missing(event)) return Failure.Stale;
  // SYNC event: set first, notified second; pairs with `event` in waitEvent().
  event.value.store(1);
  notifyAll(QUEUE | id);
  return 0;
}

export function resetEvent(id: u32): i32 {
  const event = queueOf(id, QueueKind.Event);
  if (missing(event)) return Failure.Stale;
  event.value.store(0);
  return 0;
}

// ------------------------------------------------------------------ barrier

/** One more has arrived; the last of `parties` opens the barrier. @returns phase << 1 | was it the last? */
export function arrive(id: u32, parties: u32): i32 {
  const barrier = queueOf(id, QueueKind.Barrier);
  if (missing(barrier)) return Failure.Stale;
  if (parties == 0 || parties > 0xffff) return Failure.Range;
  let seen = barrier.value.load();
  while (true) {
    const last = (seen & 0xffff) + 1 >= parties;
    const next = last ? (seen & 0xffff0000) + 0x10000 : seen + 1;
    const found = barrier.value.compareExchange(seen, next);
    if (found != seen) {
      seen = found;
      continue;
    }
    // SYNC barrier: open first, notified second; pairs with `barrier` in waitBarrier().
    if (last) notifyAll(QUEUE | id);
    return <i32>(((seen >> 16) << 1) | (last ? 1 : 0));
  }
}

/** @param phase - as {@link arrive} gave it */
export function waitBarrier(id: u32, phase: u32, deadline: u64): i32 {
  const barrier = queueOf(id, QueueKind.Barrier);
  if (missing(barrier)) return Failure.Stale;
  if (barrier.value.load() >> 16 != phase) return 0;
  const begun = waitOn(id, deadline);
  if (begun != WAIT) return begun;
  // SYNC barrier: announced first, looked second; pairs with `barrier` in arrive().
  return settled(barrier.value.load() >> 16 != phase ? 0 : WAIT);
}

/** One who has arrived leaves again, because it does not wait any longer. @returns 1 it has left, 0 the barrier is open */
export function withdraw(id: u32, phase: u32): i32 {
  const barrier = queueOf(id, QueueKind.Barrier);
  if (missing(barrier)) return Failure.Stale;
  let seen = barrier.value.load();
  while (seen >> 16 == phase && (seen & 0xffff) != 0) {
    const found = barrier.value.compareExchange(seen, seen - 1);
    if (found == seen) return 1;
    seen = found;
  }
  return 0;
}

/** Permits of a semaphore, 1 for an event that is set; of the others what their kind means by it. */
export function valueOf(id: u32): i32 {
  const index = queueIndex(id);
  return index == NONE ? Failure.Stale : <i32>(unchecked(shared.queues[index]).value.load() & 0x7fffffff);
}

/** May those who wait for this queue have missed that they can go on? Asked by the reaper. */
export function mayGoOn(id: u32): bool {
  const index = queueIndex(id);
  if (index == NONE) return true;
  const queue = unchecked(shared.queues[index]);
  const kind = <QueueKind>(queue.word.load() & 0xffff);
  const value = queue.value.load();
  if (kind == QueueKind.Mutex) return value == 0 || value == OWNER_DIED || !isAlive(value);
  if (kind == QueueKind.Semaphore || kind == QueueKind.Event) return value != 0;
  return kind == QueueKind.Barrier;
}
