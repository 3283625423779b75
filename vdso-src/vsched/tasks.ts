/** The life of a task: create, start, exit, release, cancel, join. */
import { announce, charge, choose, countSwitch, DEDICATED, endRunning, me, NONE, NOWHERE, pid, put, ring, running, runningWord, setArrival } from "./cpu";
import { cpuAt, CPUS, Failure, shared, State, TASKS, taskAt, Why, wordAt } from "./layout";
import * as policy from "./policy";
import { recoverMutexes } from "./sync";
import { event, TraceEvent } from "./trace";
import { beginWait, cancelWait, clearCells, EXIT, leadsTo, notifyAll } from "./wait";
import { wake } from "./wake";
import { claim, end, find, free, hasEnded, idOf, indexOf, keep, makeReady, stateOf, waits, whyOf } from "./word";

/** Takes a free slot and fills it. Nobody sees the task until {@link start}. */
export function create(kind: u32, entry: u32, priority: i32, affinity: u32, home: u32, detached: bool, tell: u32): i32 {
  if (!policy.isPriority(priority)) return Failure.Range;
  if ((affinity & DEDICATED) == 0 && choose(affinity, me) == NONE) return Failure.NoCpu;
  const from = shared.cursor.load() % TASKS;
  for (let step: u32 = 0; step < TASKS; step++) {
    let index = from + step;
    if (index >= TASKS) index -= TASKS;
    const seen = wordAt(index).load();
    if (stateOf(seen) != State.Free) continue;
    const wish = taskAt(index).cancelled.load();
    // While the slot is still free: a wish that comes after the claim is for this task.
    if (wish != 0 && wordAt(index).load() == seen) taskAt(index).cancelled.cas(wish, 0);
    const word = claim(index, seen, pid);
    if (word == 0) continue;
    // A hint, and a slow creator may set it back: slots in use are passed over again.
    shared.cursor.store(index + 1);
    const task = taskAt(index);
    put<i8>(task.priority, <i8>priority);
    put<u32>(task.affinity, affinity);
    put<u32>(task.home, home);
    put<u32>(task.owner, detached ? 0 : pid);
    put<u8>(task.tell, <u8>tell);
    put<i32>(task.exitCode, 0);
    put<u32>(task.kind, kind);
    put<u32>(task.entry, entry);
    put<u16>(task.dataBytes, 0);
    put<u32>(task.held, 0);
    clearCells(EXIT | index);
    policy.prepare(task);
    return idOf(index, word);
  }
  return Failure.Full;
}

/** Makes a created task ready. */
export function start(id: u32): i32 {
  const word = find(id);
  if (word == 0) return Failure.Stale;
  if (stateOf(word) != State.Spawning) return Failure.State;
  const index = indexOf(id);
  const task = taskAt(index);
  const cpu = choose(task.affinity.load(), me);
  task.order.store(shared.nextOrder.add(1));
  const ready = makeReady(index, word, Why.None, cpu == NONE ? NOWHERE : cpu);
  if (ready == 0) return Failure.State;
  event(TraceEvent.Spawn, cpu, id);
  announce(index, ready);
  return 0;
}

/** Binds the running task to this process. */
export function bind(): i32 {
  if (running == NONE) return Failure.State;
  const task = taskAt(running);
  task.home.store(pid);
  task.affinity.store((<u32>1) << me);
  return 0;
}

/** Ends the running task. */
export function exit(code: i32): i32 {
  const word = runningWord();
  if (stateOf(word) != State.Running) return Failure.State;
  const index = running;
  const task = taskAt(index);
  // Of a task that is forgotten when it ends nobody can ask for the figures.
  const isKept = task.owner.load() != 0;
  charge(isKept);
  if (isKept) countSwitch(index, idOf(index, word));
  put<i32>(task.exitCode, code);
  const ended = end(index, word, Why.None);
  endRunning();
  if (ended == 0) return Failure.State;
  buried(index, ended);
  return 0;
}

/** What follows on an end. Until it is done, the slot stays this task's. May be repeated. */
export function buried(index: u32, ending: u64): void {
  const id = idOf(index, ending);
  const task = taskAt(index);
  event(TraceEvent.Exit, me, id);
  if (task.held.load() != 0) recoverMutexes(id);
  // SYNC exit: ended first, notified second; pairs with `exit` in join().
  notifyAll(EXIT | id);
  tell(index);
  let done = ending;
  if (task.owner.load() != 0) {
    done = keep(index, ending);
    // SYNC release: Exited first, looked second; pairs with `release` in release() and bury().
    if (done == 0 || task.owner.load() != 0) return;
  }
  free(index, done);
}

/** Tells the CPU that wants to know of a task's end. */
function tell(index: u32): void {
  const wants = taskAt(index).tell.load();
  if (wants == 0 || wants > CPUS) return;
  setArrival(cpuAt(wants - 1), index);
  ring(wants - 1);
}

/** Nobody wants the task's result any more: its slot is free once it has ended, and all that follows on that is done. */
export function release(id: u32): i32 {
  const word = find(id);
  if (word == 0) return Failure.Stale;
  const index = indexOf(id);
  if (stateOf(word) == State.Spawning) {
    free(index, word);
    return 0;
  }
  // SYNC release: nobody's first, looked second; pairs with `release` in buried().
  taskAt(index).owner.store(0);
  freeEnded(id);
  return 0;
}

/** Frees the slot of a task that is nobody's, if it has ended. While it is Ending that is left to who ended it. */
export function freeEnded(id: u32): void {
  const word = find(id);
  if (word != 0 && stateOf(word) == State.Exited) free(indexOf(id), word);
}

/** Asks a task to end; if it waits, its wait ends. @returns 1 it waited, 0 it did not */
export function cancel(id: u32): i32 {
  const index = indexOf(id);
  const wish = taskAt(min(index, TASKS - 1)).cancelled;
  while (true) {
    const seen = wish.load();
    // Looked after the wish was read: what the exchange finds unchanged is not the wish for a later task.
    if (find(id) == 0) return Failure.Stale;
    if (seen == id || wish.cas(seen, id)) break;
  }
  for (let round: u32 = 0; round < 64; round++) {
    // SYNC cancel: wished first, looked second; pairs with `cancel` in beginWait().
    const word = find(id);
    if (word == 0) return Failure.Stale;
    if (!waits(word)) return 0;
    if (wake(index, word, Why.Cancelled)) return 1;
  }
  return 0;
}

/** @returns 1 it has ended, 2 the running task has announced that it waits for that, or a Failure */
export function join(id: u32, deadline: u64): i32 {
  const word = find(id);
  if (word == 0) return Failure.Stale;
  if (hasEnded(word)) return 1;
  if (running == NONE) return Failure.State;
  const mine = idOf(running, wordAt(running).load());
  if (mine == id) return Failure.Circle;
  const begun = beginWait(EXIT | id, deadline);
  if (begun != 0) return begun;
  // SYNC exit: announced first, looked second; pairs with `exit` in buried().
  const after = find(id);
  const over = after == 0 || hasEnded(after);
  // Looked for after the announcement: of several who close a circle together, the last one sees it whole.
  if (!over && !leadsTo(id, mine)) return 2;
  cancelWait();
  return over ? 1 : Failure.Circle;
}

/** What ended a task; its slot need not be its own any more, as long as nobody else has it. NONE: it has not ended, or is forgotten. */
export function whyEnded(id: u32): u32 {
  const index = indexOf(id);
  if (index >= TASKS) return NONE;
  const word = wordAt(index).load();
  if (id == 0 || idOf(index, word) != id) return NONE;
  return hasEnded(word) || stateOf(word) == State.Free ? <u32>whyOf(word) : NONE;
}

/** Ends a task from outside, for the reaper: only it may end a task with these reasons. @returns did it end by this? */
export function kill(index: u32, id: u32, why: Why): bool {
  for (let round: u32 = 0; round < 64; round++) {
    const word = find(id);
    if (word == 0 || hasEnded(word)) return false;
    const ended = end(index, word, why);
    if (ended == 0) continue;
    buried(index, ended);
    return true;
  }
  return false;
}
