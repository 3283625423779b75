/**
 * What is done for a process that ended, however it ended. Only the kernel does it, one process after the other. Every step may be repeated,
 * and what tells whose things they are is taken away last, so that a reaper that dies half-way is followed by one that starts again.
 */
import { evacuate, isLive, ringAnyway, setArrival } from "./cpu";
import { cpuAt, CPUS, NAMES, NEVER, QUEUES, QueueKind, shared, State, TASKS, taskAt, Why, wordAt } from "./layout";
import { closeQueue, mayGoOn, recoverMutexes } from "./sync";
import { buried, cancel, freeEnded, kill } from "./tasks";
import { lowerOrphanDeadline } from "./timers";
import { distrustCells, endWaitFor, EXIT, QUEUE, queueIdOf, targetOf } from "./wait";
import { end, find, free, hasEnded, idOf, stateOf, waits, whoOf, whyOf } from "./word";

const loads = new StaticArray<i32>(CPUS);

export function reap(pid: u32): void {
  // SYNC cpu-gone: taken out first, evacuated second; pairs with `cpu-gone` in announce().
  for (let number: u32 = 0; number < CPUS; number++) if (cpuAt(number).pid.load() == pid) cpuAt(number).live.store(0);
  for (let index: u32 = 0; index < TASKS; index++) bury(index, pid);
  evacuate();
  dropQueues(pid);
  dropNames(pid);
  recoverMutexes(0);
  repairIndexes();
  for (let number: u32 = 0; number < CPUS; number++) {
    const cpu = cpuAt(number);
    if (cpu.pid.load() == pid) {
      shared.idle.and(~((<u32>1) << number));
      cpu.pid.store(0);
    }
    else if (isLive(cpu)) ringAnyway(cpu);
  }
}

/** Does a CPU number belong to this process? */
function isCpuOf(number: u32, pid: u32): bool {
  return number < CPUS && cpuAt(number).pid.load() == pid;
}

/** Has nobody else to finish this end: did the dead process begin it as a CPU, or a reaper that died? */
function isLeft(ending: u64, pid: u32): bool {
  const why = whyOf(ending);
  return why == Why.Killed || why == Why.Dropped || isCpuOf(whoOf(ending), pid);
}

function bury(index: u32, pid: u32): void {
  const word = wordAt(index).load();
  const state = stateOf(word);
  const task = taskAt(index);
  if (state == State.Free) return;
  if (state == State.Spawning) {
    if (whoOf(word) == (pid & 1023)) free(index, word);
    return;
  }
  const id = idOf(index, word);
  if (!hasEnded(word)) {
    if ((state == State.Running || state == State.Blocking) && isCpuOf(whoOf(word), pid)) kill(index, id, Why.Killed);
    else if (task.home.load() == pid) kill(index, id, Why.Dropped);
    else if (task.owner.load() == pid && task.tell.load() != 0) abandon(index, id);
  } else if (state == State.Ending && isLeft(word, pid)) {
    buried(index, word);
  }
  const owner = task.owner.load();
  // SYNC release: nobody's first, looked second; pairs with `release` in buried().
  if (owner == pid) task.owner.store(0);
  // Of one that was nobody's before: who released it, or looked for that, may have died before it was free.
  if (owner == pid || owner == 0) freeEnded(id);
}

/** Who wanted to hear of its end is gone, and what it was given as well: a task that has not begun ends, one that has is asked to. */
function abandon(index: u32, id: u32): void {
  for (let round: u32 = 0; round < 64; round++) {
    const word = find(id);
    if (word == 0 || hasEnded(word)) return;
    if (stateOf(word) != State.Ready || taskAt(index).home.load() != 0) break;
    // As long as the word is the same nobody has begun with it.
    const ended = end(index, word, Why.Dropped);
    if (ended == 0) continue;
    buried(index, ended);
    return;
  }
  cancel(id);
}

function dropQueues(pid: u32): void {
  for (let index: u32 = 0; index < QUEUES; index++) {
    const queue = unchecked(shared.queues[index]);
    if (queue.owner.load() != pid) continue;
    const word = queue.word.load();
    if ((word & 0xffff) != QueueKind.Free) closeQueue(queueIdOf(index, word));
    else queue.owner.store(0);
  }
}

/** Names that were claimed and not published. */
function dropNames(pid: u32): void {
  for (let number: u32 = 0; number < NAMES; number++) {
    const name = unchecked(shared.names[number]);
    if (name.owner.load() == pid && name.bytes.load() == 0) name.owner.store(0);
  }
}

/** Makes the indexes again from the table, as far as one who died may have left them behind. */
function repairIndexes(): void {
  for (let number: u32 = 0; number < CPUS; number++) unchecked((loads[number] = 0));
  let least = NEVER;
  for (let index: u32 = 0; index < TASKS; index++) {
    const word = wordAt(index).load();
    if (stateOf(word) == State.Ready && whoOf(word) < CPUS) {
      const number = whoOf(word);
      unchecked(loads[number]++);
      setArrival(cpuAt(number), index);
    }
    if (!waits(word)) continue;
    const deadline = taskAt(index).deadline.load();
    if (deadline != 0) least = min(least, deadline);
    revalidate(index, idOf(index, word), targetOf(index));
  }
  lowerOrphanDeadline(least);
  for (let number: u32 = 0; number < CPUS; number++) cpuAt(number).load.store(unchecked(loads[number]));
}

/** Ends a wait for what has come true, and makes sure that it is found otherwise. */
function revalidate(index: u32, id: u32, target: u64): void {
  const waitedFor = <u32>target;
  if ((target & EXIT) != 0) {
    const word = find(waitedFor);
    if (word == 0 || hasEnded(word)) endWaitFor(index, id, target, Why.Notified);
    else distrustCells(target);
  } else if ((target & QUEUE) != 0) {
    if (mayGoOn(waitedFor)) endWaitFor(index, id, target, Why.Notified);
    else distrustCells(target);
  }
}
