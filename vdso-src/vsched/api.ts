/**
 * vsched: one scheduler for the tasks of all processes.
 *
 * A process becomes a CPU ({@link startCpu}), takes tasks ({@link pickNext}), and does with a task what its kind means to it; this image
 * knows only when it runs. Functions about "the running task" mean the one that this process picked last and has not given up.
 * Where they stand for a count or an id, results below 0 are a {@link Failure}.
 */
import * as cpu from "./cpu";
import {
  CPUS,
  cpuAt,
  DATA_BYTES,
  dataAt,
  Failure,
  NAME_BYTES,
  NAMES,
  NEVER,
  Policy,
  QueueKind,
  shared,
  State,
  Takes,
  TASKS,
  taskAt,
  TRACE_LEN,
  Why,
  wordAt,
} from "./layout";
import { FIRST_ORDER, isPriority } from "./policy";
import { reap } from "./reap";
import * as sync from "./sync";
import * as tasks from "./tasks";
import * as timers from "./timers";
import * as wait from "./wait";
import { wake } from "./wake";
import { find, idOf, indexOf, shownState, stateOf, waits, whoOf, whyOf } from "./word";

export { CPUS, DATA_BYTES, Failure, NAME_BYTES, NAMES, Policy, QUEUES, State, TASKS, TRACE_LEN, Why } from "./layout";
export { TraceEvent } from "./trace";

/** What {@link join}, {@link lock}, {@link acquire}, ... return when the running task has to wait. */
export const WAIT: i32 = 2;

export function init(): void {
  shared.policy.store(Policy.Fifo);
  shared.sliceTicks.store(5);
  shared.granularity.store(1000 << 10);
  shared.nextOrder.store(FIRST_ORDER);
  shared.orphanDeadline.store(NEVER);
  for (let number: u32 = 0; number < CPUS; number++) cpuAt(number).nextDeadline.store(NEVER);
}

export function processInit(pid: u32): void {
  cpu.setPid(pid);
}

export function processDrop(pid: u32): void {
  reap(pid);
}

/**
 * Chooses the policy, before the first task.
 *
 * @param sliceTicks - of round-robin, at least 1
 * @param granularityUs - of CFS: by so much nice-0 time a task must be ahead of the next to be preempted
 * @returns false: there are CPUs already
 */
export function configure(policy: Policy, sliceTicks: u32 = 5, granularityUs: u32 = 1000): bool {
  if (shared.cpuLimit.load() != 0) return false;
  shared.policy.store(policy);
  shared.sliceTicks.store(max(sliceTicks, 1));
  shared.granularity.store(<u64>granularityUs << 10);
  return true;
}

/** Tells this process's time, in microseconds of a clock that all processes share. Timers, accounting and the trace use the last one told. */
export function setNow(us: f64): void {
  cpu.setNow(us);
}

// ------------------------------------------------------------------ CPUs

/** Makes this process a CPU. `general`: it takes any task, not only those whose affinity names it. @returns its number */
export function startCpu(general: bool = true): i32 {
  return cpu.startCpu(general);
}

/**
 * Lends this CPU, whose thread has a life of its own, to tasks of others, or takes it back: those that have not begun move on. Tasks that may run on
 * dedicated CPUs only never come.
 *
 * @returns 0, or Failure.State: it is no CPU, or a dedicated one
 */
export function lend(on: bool): i32 {
  if (cpu.me == cpu.NONE || cpuAt(cpu.me).takes.load() == Takes.Any || cpuAt(cpu.me).takes.load() == Takes.Full) return Failure.State;
  cpu.lend(on);
  return 0;
}

/**
 * This CPU, a dedicated one, has as many tasks as it may have at once: it picks only those that belong to this process; others wait, or move to where they
 * can begin. Or (`false`) it picks all again.
 */
export function setFull(on: bool): i32 {
  if (cpu.me == cpu.NONE) return Failure.State;
  const takes = cpuAt(cpu.me).takes.load();
  if (takes != Takes.Any && takes != Takes.Full) return Failure.State;
  cpu.setFull(on);
  return 0;
}

/** Gives the CPU back; its ready tasks move to others. @returns 0, or Failure.State while a task runs */
export function stopCpu(): i32 {
  if (cpu.me == cpu.NONE || cpu.running != cpu.NONE) return Failure.State;
  const own = cpuAt(cpu.me);
  // SYNC cpu-gone: taken out first, evacuated second; pairs with `cpu-gone` in announce().
  own.live.store(0);
  cpu.evacuate();
  own.load.store(0);
  timers.lowerOrphanDeadline(own.nextDeadline.exchange(NEVER));
  own.pid.store(0);
  cpu.forgetCpu();
  return 0;
}

/** Takes the best of the tasks ready here. @returns its id, 0 when there is none */
export function pickNext(): u32 {
  return cpu.running == cpu.NONE ? cpu.pickNext() : 0;
}

/** {@link setNow}, {@link expire} and {@link pickNext} in one call. */
export function runNext(us: f64): u32 {
  cpu.setNow(us);
  timers.expire();
  return pickNext();
}

/** {@link exit}, then {@link runNext}. */
export function exitNext(code: i32, us: f64): u32 {
  cpu.setNow(us);
  tasks.exit(code);
  timers.expire();
  return pickNext();
}

/** {@link yieldNow}, then {@link runNext}; the running task goes on if nothing else is to run before it. */
export function yieldNext(us: f64): u32 {
  cpu.setNow(us);
  cpu.giveUp(false);
  timers.expire();
  return pickNext();
}

/** Takes half of the ready tasks of the CPU that has the most. @returns how many */
export function steal(): u32 {
  return cpu.steal();
}

/** The running task, 0 when none runs. */
export function current(): u32 {
  return cpu.runningId;
}

/** One tick of the clock. @returns should the running task give up its CPU? */
export function tick(): bool {
  return cpu.tick();
}

/** The running task goes to the back of the queue. Named so because `yield` is a word of the language. */
export function yieldNow(): bool {
  return cpu.giveUp(false);
}

/** The running task is preempted: as {@link yieldNow}, but under round-robin it keeps the rest of its slice and its place at the front. */
export function preempt(): bool {
  return cpu.giveUp(true);
}

/** Says that this CPU is going to sleep. Then look at {@link hasWork}, and sleep on {@link bellAddress} while it has this value. */
export function prepareIdle(): u32 {
  return cpu.me == cpu.NONE ? 0 : cpu.prepareIdle();
}

/** Has something arrived for this CPU since it looked? Two loads: for those who spin. */
export function hasArrivals(): bool {
  return cpu.me != cpu.NONE && cpu.hasArrivals(cpuAt(cpu.me));
}

/** Is something ready here, or was something stolen just now? */
export function hasWork(): bool {
  return cpu.me != cpu.NONE && cpu.hasWork();
}

export function endIdle(): void {
  if (cpu.me != cpu.NONE) cpu.endIdle();
}

/** Parks this thread until there is work, a timer is due, or `timeoutMs` are over (negative: no limit of its own). */
export function park(timeoutMs: f64 = -1): void {
  if (cpu.me == cpu.NONE) return;
  const own = cpuAt(cpu.me);
  const seen = cpu.prepareIdle();
  if (!cpu.hasWork()) {
    own.parks.store(own.parks.load() + 1);
    const due = idleMs();
    const limit = timeoutMs < 0 || (due >= 0 && due < timeoutMs) ? due : timeoutMs;
    own.bell.wait(seen, limit < 0 ? -1 : <i64>(min(limit, 1e12) * 1e6));
  }
  cpu.endIdle();
}

/** Milliseconds until a timer is due, by the time told last; negative: there is none. */
export function idleMs(): f64 {
  const due = timers.nextDeadline();
  if (due == NEVER) return -1;
  return due <= cpu.now ? 0 : <f64>(due - cpu.now) / 1000;
}

/**
 * The running task has announced a wait, and waits here: its thread stands still, and with it this CPU, until the wait has been ended, a timer
 * is due, or `timeoutMs` are over (negative: no limit of its own).
 *
 * @returns 1: it goes on. 0: tell the time, {@link expire}, and call again
 */
export function waitHere(timeoutMs: f64 = -1): i32 {
  const due = idleMs();
  const limit = timeoutMs < 0 || (due >= 0 && due < timeoutMs) ? due : timeoutMs;
  return wait.waitHere(limit < 0 ? -1 : <i64>(min(limit, 1e12) * 1e6));
}

/** Where this CPU's bell lies, for `Atomics.waitAsync`. */
export function bellAddress(): u32 {
  return cpu.me == cpu.NONE ? 0 : <u32>changetype<usize>(cpuAt(cpu.me).bell);
}

/** Wakes a CPU, whatever for. */
export function ringCpu(number: u32): void {
  if (number >= CPUS) return;
  cpu.ringAnyway(cpuAt(number));
}

/** Wakes those whose deadline has passed; `others`: also those of CPUs that are late or gone. @returns how many */
export function expire(others: bool = false): u32 {
  const own = timers.expire();
  return others ? own + timers.expireOthers() : own;
}

/** Ready tasks on a CPU, about; -1: it is not live. */
export function loadOf(number: u32): i32 {
  if (number >= CPUS || !cpu.isLive(cpuAt(number))) return -1;
  return max(cpuAt(number).load.load(), 0);
}

/** A CPU's figures. */
@apistruct export class CpuStats {
  pid: u32;
  live: bool;
  load: i32;
  current: u32;
  switches: u32;
  steals: u32;
  parks: u32;
  /** When it began to run its current task, as {@link setNow} had it. */
  sinceUs: f64;
}

export function cpuStats(number: u32): CpuStats {
  const stats = new CpuStats();
  if (number >= CPUS) return stats;
  const it = cpuAt(number);
  stats.pid = it.pid.load();
  stats.live = cpu.isLive(it);
  stats.load = max(it.load.load(), 0);
  const current = it.current.load();
  stats.current = <u32>current;
  stats.switches = <u32>(current >> 32);
  stats.steals = it.steals.load();
  stats.parks = it.parks.load();
  stats.sinceUs = <f64>it.since.load();
  return stats;
}

// ------------------------------------------------------------------ tasks

/**
 * Makes a task that does not run yet: fill its data, then {@link start} it.
 *
 * @param priority - nice value -20..19; under strict priority the level 0..63, 0 first
 * @param affinity - bit n: may run on CPU n; all bits: on every CPU that takes tasks of others; bit 31 alone: on every one of those that is not only lent
 * @param bound - belongs to this process, and ends with it
 * @param detached - is forgotten when it ends; otherwise {@link release} it
 * @param tell - this process's CPU is told of its end, see {@link takeFinished}
 * @returns its id
 */
export function create(
  kind: u32,
  entry: u32,
  priority: i32 = 0,
  affinity: u32 = 0xffffffff,
  bound: bool = false,
  detached: bool = false,
  tell: bool = false,
): i32 {
  const told = tell && cpu.me != cpu.NONE ? cpu.me + 1 : 0;
  return tasks.create(kind, entry, priority, affinity, bound ? cpu.pid : 0, detached, told);
}

/** Binds the running task to this process and its CPU from now on: it has state here. */
export function bind(): i32 {
  return tasks.bind();
}

/** Makes a created task ready. */
export function start(id: u32): i32 {
  return tasks.start(id);
}

/** {@link create} and {@link start} in one. */
export function spawn(
  kind: u32,
  entry: u32,
  priority: i32 = 0,
  affinity: u32 = 0xffffffff,
  bound: bool = false,
  detached: bool = false,
  tell: bool = false,
): i32 {
  const id = create(kind, entry, priority, affinity, bound, detached, tell);
  if (id < 0) return id;
  const started = tasks.start(id);
  return started < 0 ? started : id;
}

/** Ends the running task. */
export function exit(code: i32): i32 {
  return tasks.exit(code);
}

/** Takes one of the tasks that have ended and that this CPU is told of. @returns its id, 0 when there is none */
export function takeFinished(): u32 {
  return cpu.takeFinished();
}

/** Gives a task up: its slot is free when it has ended. */
export function release(id: u32): i32 {
  return tasks.release(id);
}

/** Asks a task to end, and ends its wait. The task sees it by {@link isCancelled} and by the reason of its wait. @returns 1: it waited */
export function cancel(id: u32): i32 {
  return tasks.cancel(id);
}

export function isCancelled(id: u32): bool {
  return find(id) != 0 && taskAt(indexOf(id)).cancelled.load() == id;
}

/**
 * The running task wants to wait until another has ended.
 *
 * @param deadlineUs - 0: none
 * @returns 1 it has ended, 2 announced, see {@link block}; Failure.Circle: on itself, or in a circle
 */
export function join(id: u32, deadlineUs: f64 = 0): i32 {
  return tasks.join(id, deadlineOf(deadlineUs));
}

/** The task whose end a task waits for by {@link join}; 0: it waits for none. */
export function joins(id: u32): u32 {
  return wait.joined(id);
}

/** A task's state, or Failure.Stale. */
export function stateOfTask(id: u32): i32 {
  const word = find(id);
  return word == 0 ? Failure.Stale : shownState(word);
}

/** What ended the last wait of a task. */
export function whyOfTask(id: u32): i32 {
  const word = find(id);
  return word == 0 ? Failure.Stale : whyOf(word);
}

/** What ended a task (Why.None: it exited), also for a while after its release; Failure.State: it has not ended, or is forgotten. */
export function whyEnded(id: u32): i32 {
  const why = tasks.whyEnded(id);
  return why == cpu.NONE ? Failure.State : <i32>why;
}

/** The exit code of a task that ended; look at {@link whyEnded} first. */
export function exitCode(id: u32): i32 {
  const index = indexOf(id);
  return index < TASKS ? taskAt(index).exitCode.load() : 0;
}

export function kindOf(id: u32): u32 {
  return find(id) == 0 ? 0 : taskAt(indexOf(id)).kind.load();
}

export function entryOf(id: u32): u32 {
  return find(id) == 0 ? 0 : taskAt(indexOf(id)).entry.load();
}

/** Where a task's bytes lie: its creator's until it starts, its own while it runs, its joiners' when it has ended. 0: stale */
export function dataAddress(id: u32): u32 {
  const index = indexOf(id);
  return index >= TASKS ? 0 : <u32>changetype<usize>(dataAt(index));
}

export function dataBytes(id: u32): u32 {
  const index = indexOf(id);
  return index >= TASKS ? 0 : min(<u32>taskAt(index).dataBytes.load(), DATA_BYTES);
}

export function setDataBytes(id: u32, bytes: u32): void {
  const index = indexOf(id);
  if (index < TASKS) taskAt(index).dataBytes.store(<u16>min(bytes, DATA_BYTES));
}

/** Nice value or level; a ready task takes its new place. */
export function setPriority(id: u32, priority: i32): i32 {
  if (!isPriority(priority)) return Failure.Range;
  const word = find(id);
  if (word == 0) return Failure.Stale;
  const index = indexOf(id);
  taskAt(index).priority.store(<i8>priority);
  const after = find(id);
  if (after != 0 && stateOf(after) == State.Ready && whoOf(after) < CPUS) {
    cpu.setArrival(cpuAt(whoOf(after)), index);
    cpu.ring(whoOf(after));
  }
  return 0;
}

/** Where a task may run, from its next stop on. Failure.State: it is bound to a process, and stays. */
export function setAffinity(id: u32, affinity: u32): i32 {
  if (cpu.choose(affinity, cpu.NONE) == cpu.NONE) return Failure.NoCpu;
  const word = find(id);
  if (word == 0) return Failure.Stale;
  if (taskAt(indexOf(id)).home.load() != 0) return Failure.State;
  taskAt(indexOf(id)).affinity.store(affinity);
  return 0;
}

/** Moves a ready task to another CPU. Failure.NoCpu: there is none with this number, or its affinity does not name it. */
export function migrate(id: u32, target: u32): i32 {
  if (target >= CPUS || !cpu.isLive(cpuAt(target))) return Failure.NoCpu;
  if (find(id) == 0) return Failure.Stale;
  return cpu.allows(taskAt(indexOf(id)).affinity.load(), target, cpuAt(target)) ? cpu.migrate(id, target) : Failure.NoCpu;
}

/** A task's figures. */
@apistruct export class TaskStats {
  state: i32;
  cpu: u32;
  priority: i32;
  runTimeUs: f64;
  switches: u32;
  waits: u32;
  steals: u32;
}

export function taskStats(id: u32): TaskStats {
  const stats = new TaskStats();
  const word = find(id);
  stats.state = word == 0 ? Failure.Stale : shownState(word);
  if (word == 0) return stats;
  const task = taskAt(indexOf(id));
  stats.cpu = whoOf(word);
  stats.priority = task.priority.load();
  if (stateOf(word) == State.Running || stateOf(word) == State.Blocking) stats.switches = 1;
  if (task.figuresOf.load() != id) return stats;
  stats.runTimeUs = <f64>task.runTime.load();
  stats.switches += task.switches.load();
  stats.waits = task.waits.load();
  stats.steals = task.steals.load();
  return stats;
}

/** The first task in the table from a place on that has been started, for those who look at all: the place is the id's lower 14 bits. 0: there is none */
export function taskFrom(place: u32): u32 {
  for (let index = place; index < TASKS; index++) {
    const word = wordAt(index).load();
    const state = stateOf(word);
    if (state != State.Free && state != State.Spawning) return idOf(index, word);
  }
  return 0;
}

// ------------------------------------------------------------------ waiting

/**
 * The running task announces that it waits for somebody to {@link unblock} it; a wait with a deadline is a sleep.
 *
 * @param deadlineUs - 0: none
 * @param heedless - wait also if the task is cancelled already
 * @returns 2 announced, see {@link block}
 */
export function prepareWait(deadlineUs: f64 = 0, heedless: bool = false): i32 {
  const begun = wait.beginWait(wait.OUTSIDE, deadlineOf(deadlineUs), heedless);
  return begun == 0 ? WAIT : begun;
}

/** Takes the announcement back. */
export function cancelWait(): i32 {
  return wait.cancelWait();
}

/** The running task lets go of its CPU. @returns 0: the CPU is free. 1: its wait has been ended already, it runs on */
export function block(): i32 {
  return wait.letGoOfCpu();
}

/**
 * Ends a task's wait, whatever it waits for.
 *
 * @param target - CPU to go to, negative: the best
 * @param resched - asks that CPU to choose anew at its next tick
 * @returns 1 it waited, 0 it did not
 */
export function unblock(id: u32, target: i32 = -1, resched: bool = false): i32 {
  if (target >= <i32>CPUS || (target >= 0 && !cpu.isLive(cpuAt(target)))) return Failure.NoCpu;
  for (let round: u32 = 0; round < 64; round++) {
    const word = find(id);
    if (word == 0) return Failure.Stale;
    if (!waits(word)) return 0;
    if (!wake(indexOf(id), word, Why.Notified, target < 0 ? cpu.NONE : <u32>target)) continue;
    if (resched && target >= 0) cpuAt(target).resched.store(1);
    return 1;
  }
  return 0;
}

/** A plain wait queue. `keep`: it outlives this process. @returns its id */
export function createQueue(keep: bool = false): i32 {
  return sync.createQueue(QueueKind.Plain, 0, keep ? 1 : cpu.pid);
}
export function createMutex(keep: bool = false): i32 {
  return sync.createQueue(QueueKind.Mutex, 0, keep ? 1 : cpu.pid);
}
export function createSemaphore(permits: u32, keep: bool = false): i32 {
  return permits > 0x7fffffff ? Failure.Range : sync.createQueue(QueueKind.Semaphore, permits, keep ? 1 : cpu.pid);
}
export function createEvent(keep: bool = false): i32 {
  return sync.createQueue(QueueKind.Event, 0, keep ? 1 : cpu.pid);
}
export function createBarrier(keep: bool = false): i32 {
  return sync.createQueue(QueueKind.Barrier, 0, keep ? 1 : cpu.pid);
}
/** Ends a queue of any kind; waits for it end with the reason Dropped. */
export function closeQueue(id: u32): i32 {
  return sync.closeQueue(id);
}

/** The running task announces that it waits on a plain queue. @returns 2 announced */
export function waitOn(queue: u32, deadlineUs: f64 = 0): i32 {
  return sync.waitOn(queue, deadlineOf(deadlineUs));
}
/** Permits of a semaphore; 1: an event is set. */
export function valueOf(queue: u32): i32 {
  return sync.valueOf(queue);
}
/** @returns 1 somebody was notified, 0 nobody waits */
export function notifyOne(queue: u32): i32 {
  if (wait.queueIndex(queue) == cpu.NONE) return Failure.Stale;
  return wait.notifyOne(wait.QUEUE | queue) ? 1 : 0;
}
/** @returns how many were notified */
export function notifyAll(queue: u32): i32 {
  if (wait.queueIndex(queue) == cpu.NONE) return Failure.Stale;
  return wait.notifyAll(wait.QUEUE | queue);
}
/** Notifies one task, if it waits on this queue. @returns 1 it did */
export function notifyTask(queue: u32, id: u32): i32 {
  if (wait.queueIndex(queue) == cpu.NONE || find(id) == 0) return Failure.Stale;
  return wait.endWaitFor(indexOf(id), id, wait.QUEUE | queue, Why.Notified) ? 1 : 0;
}
/** Lets up to `count` waiters of one queue, oldest first, wait on another. @returns how many */
export function requeue(from: u32, to: u32, count: u32): i32 {
  if (wait.queueIndex(from) == cpu.NONE || wait.queueIndex(to) == cpu.NONE) return Failure.Stale;
  return from == to ? 0 : wait.requeue(wait.QUEUE | from, wait.QUEUE | to, count);
}
/** How many wait on a queue; looks through the task table. */
export function lengthOf(queue: u32): i32 {
  if (wait.queueIndex(queue) == cpu.NONE) return Failure.Stale;
  return wait.count(wait.QUEUE | queue);
}

/** @returns 0 locked; 1 locked, and the owner before died with it; 2 somebody has it */
export function tryLock(mutex: u32): i32 {
  return sync.tryLock(mutex, sync.runningId());
}
/** The same for a task of this process that need not run. */
export function tryLockFor(mutex: u32, task: u32): i32 {
  return sync.tryLock(mutex, task);
}
/**
 * As {@link tryLock}, but 2 means that the running task has announced its wait: {@link block}, then call again.
 *
 * @param heedless - wait also if the task is cancelled already
 */
export function lock(mutex: u32, deadlineUs: f64 = 0, heedless: bool = false): i32 {
  return sync.lock(mutex, deadlineOf(deadlineUs), heedless);
}
export function unlock(mutex: u32): i32 {
  return sync.unlock(mutex, sync.runningId());
}
/** The same for a task of this process that need not run. */
export function unlockFor(mutex: u32, task: u32): i32 {
  return sync.unlock(mutex, task);
}
/** @returns 0 taken, 2 there is no permit */
export function tryAcquire(semaphore: u32): i32 {
  return sync.tryAcquire(semaphore);
}
export function acquire(semaphore: u32, deadlineUs: f64 = 0): i32 {
  return sync.acquire(semaphore, deadlineOf(deadlineUs));
}
export function releasePermits(semaphore: u32, count: u32 = 1): i32 {
  return sync.releasePermits(semaphore, count);
}
export function waitEvent(event: u32, deadlineUs: f64 = 0): i32 {
  return sync.waitEvent(event, deadlineOf(deadlineUs));
}
export function setEvent(event: u32): i32 {
  return sync.setEvent(event);
}
export function resetEvent(event: u32): i32 {
  return sync.resetEvent(event);
}
/** @returns phase << 1 | 1 if it was the last of `parties`; the others call {@link waitBarrier} with the phase */
export function arrive(barrier: u32, parties: u32): i32 {
  return sync.arrive(barrier, parties);
}
export function waitBarrier(barrier: u32, phase: u32, deadlineUs: f64 = 0): i32 {
  return sync.waitBarrier(barrier, phase, deadlineOf(deadlineUs));
}

/** One who has arrived, and does not wait any longer, leaves again. @returns 1 it has left, 0 the barrier is open */
export function withdraw(barrier: u32, phase: u32): i32 {
  return sync.withdraw(barrier, phase);
}

function deadlineOf(us: f64): u64 {
  return us > 0 ? max(<u64>us, 1) : 0;
}

// ------------------------------------------------------------------ trace

/** Turns the trace on or off, for all processes. */
export function setTrace(on: bool): void {
  shared.traceOn.store(on ? 1 : 0);
}
/** Entries ever written; entry n is at `n % TRACE_LEN`. */
export function traced(): u32 {
  return shared.nextTrace.load();
}
/** Microseconds << 8 | event. */
export function traceWhat(entry: u32): u64 {
  return unchecked(shared.trace[entry & (TRACE_LEN - 1)]).what.load();
}
/** CPU << 32 | task. */
export function traceWhere(entry: u32): u64 {
  return unchecked(shared.trace[entry & (TRACE_LEN - 1)]).where.load();
}

// ------------------------------------------------------------------ names

/** A number for a text of 1 to {@link NAME_BYTES} bytes: for what tasks refer to by name. Two who name the same at once may get two numbers. */
export function nameNumber(text: string): i32 {
  const bytes = utf8.length(text);
  if (bytes == 0 || bytes > NAME_BYTES) return Failure.Range;
  for (let number: u32 = 0; number < NAMES; number++) {
    const name = unchecked(shared.names[number]);
    if (name.owner.load() == 0 && name.owner.cas(0, cpu.pid)) {
      utf8.write(name.text, text, NAME_BYTES);
      // SYNC name: publishes the text; pairs with `name` in nameOf().
      name.bytes.store(bytes);
      return number;
    }
    if (name.bytes.load() == bytes && nameOf(number) == text) return number;
  }
  return Failure.Full;
}

/** The text behind a number; empty when there is none. */
export function nameOf(number: u32): string {
  if (number >= NAMES) return "";
  const name = unchecked(shared.names[number]);
  // SYNC name: the text is there once its length is; pairs with `name` in nameNumber().
  return utf8.read(name.text, min(name.bytes.load(), NAME_BYTES));
}
