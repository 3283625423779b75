/**
 * CPUs: where a ready task goes, how its CPU hears of it, and how a CPU takes its next task.
 *
 * A task that becomes ready on another process's CPU is announced by a bit: of the word in `arrivals` first, then of the word's bit in
 * `summary`. The CPU takes them in the other order. Bits may be set twice or for nothing: who takes one looks at the task word.
 */
import * as policy from "./policy";
import { ASIDE, clear, firstKey, firstOf, insert, removeFirst, sizeOf, stampAt, TIMERS } from "./heap";
import {
  Asleep,
  Cpu,
  cpuAt,
  CPUS,
  Failure,
  NEVER,
  shared,
  State,
  SUMMARIES,
  Takes,
  Task,
  TASKS,
  taskAt,
  Why,
  WORDS,
  wordAt,
} from "./layout";
import * as queue from "./run-queue";
import { event, TraceEvent } from "./trace";
import { find, hasEnded, idOf, indexOf, makeReady, run, stampOf, stateOf, whoOf, whyOf } from "./word";

// Affinities that name no CPU, told by a bit that is none's.
/** Any CPU that takes tasks of others. */
export const ANYWHERE: u32 = 0xffffffff;
/** The same, but none that is only lent. */
export const DEDICATED: u32 = 0x80000000;
export const NONE: u32 = 0xffffffff;
/** A lent CPU that does nothing comes after a dedicated one that sleeps, and before one that runs something. */
const LENT_COST: i32 = 4;
/** A full one comes after all others. */
const FULL_COST: i32 = 1 << 30;
/** Ready, but on no CPU: the next one that starts takes it. */
export const NOWHERE: u32 = 1023;

// Of this process.
export let pid: u32 = 0;
/** Number of the CPU that this process is; NONE when it is none. */
export let me: u32 = NONE;
/** Index of the task that runs here, NONE when none does. */
export let running: u32 = NONE;
/** Its id, 0 when none does. */
export let runningId: u32 = 0;
/** Microseconds, as the host said last. */
export let now: u64 = 0;
/** As many tasks as may have begun here at once have begun: others are set aside until one ends. */
let full: bool = false;
/** Until when the running task has been charged. */
let chargedUntil: u64 = 0;
/** Where this process looks first for what it can steal; each begins elsewhere, so that thieves do not meet at the same tasks. */
let loot: u32 = 0;

/** Bit n: task n has ended, and the host has not heard of it. */
const finished = new StaticArray<u64>(WORDS);
let finishedCount: u32 = 0;
/** Word where the next is looked for. */
let finishedAt: u32 = 0;

export function setPid(value: u32): void {
  pid = value;
  // In a small table: at its start.
  loot = (pid * (TASKS / 64)) % TASKS;
}
export function setNow(us: f64): void {
  now = <u64>max<f64>(us, 0);
}
/** Nothing runs here any more. */
export function endRunning(): void {
  running = NONE;
  runningId = 0;
  if (me != NONE) setCurrent(cpuAt(me), 0, 0);
}

function setCurrent(cpu: Cpu, id: u32, begun: u64): void {
  cpu.current.store((((cpu.current.load() >> 32) + begun) << 32) | id);
}

/** The task that runs on a CPU, 0: none. */
export function currentOf(cpu: Cpu): u32 {
  return <u32>cpu.current.load();
}

/** The word of the running task. 0: none runs, or it was ended from outside; then this CPU is free. */
export function runningWord(): u64 {
  if (running == NONE) return 0;
  const word = wordAt(running).load();
  const state = stateOf(word);
  if ((state == State.Running || state == State.Blocking) && whoOf(word) == me && idOf(running, word) == runningId) return word;
  endRunning();
  return 0;
}

export function isLive(cpu: Cpu): bool {
  return cpu.live.load() != 0;
}

export function allows(affinity: u32, number: u32, cpu: Cpu): bool {
  if ((affinity & DEDICATED) == 0) return ((affinity >> number) & 1) != 0;
  const takes = cpu.takes.load();
  return takes != Takes.Own && (takes != Takes.Lent || affinity != DEDICATED);
}

function limit(): u32 {
  return min(shared.cpuLimit.load(), CPUS);
}

/**
 * The best CPU for a task: one that sleeps for want of work, else the one with the fewest tasks, ready and running; the preferred one if it
 * is as good.
 *
 * @returns NONE when none that the affinity allows is live
 */
export function choose(affinity: u32, preferred: u32): u32 {
  // Of a task that stays in this thread, which is spawned and woken here most often.
  if (me != NONE && affinity == (<u32>1) << me && isLive(cpuAt(me))) return me;
  let best: u32 = NONE;
  let least: i32 = i32.MAX_VALUE;
  const end = limit();
  for (let number: u32 = 0; number < end; number++) {
    const cpu = cpuAt(number);
    if (!isLive(cpu) || !allows(affinity, number, cpu)) continue;
    const tasks = (max(cpu.load.load(), 0) & 0x7fffff) + (currentOf(cpu) == 0 ? 0 : 1);
    const takes = cpu.takes.load();
    const reluctance = takes == Takes.Full ? FULL_COST : takes == Takes.Lent ? LENT_COST : 0;
    const cost = reluctance + tasks * 4 + (cpu.asleep.load() == Asleep.Idle ? 0 : 2) + (number == preferred ? 0 : 1);
    if (cost < least) {
      least = cost;
      best = number;
    }
  }
  return best;
}

/** Tells the CPU on which a task is Ready by this word. If that CPU has gone meanwhile, finds another. */
export function announce(index: u32, ready: u64): void {
  let word = ready;
  // Each round but the first needs a CPU that began or ended in the middle of it.
  for (let round: u32 = 0; round <= 2 * CPUS; round++) {
    const number = whoOf(word);
    if (number < CPUS) {
      const cpu = cpuAt(number);
      cpu.load.add(1);
      if (number == me) queue.insert(index, policy.keyOf(taskAt(index), word, number), taskAt(index).order.load(), stampOf(word));
      else setArrival(cpu, index);
      // Also this thread's own: its event loop may wait for the bell.
      ring(number);
      // SYNC cpu-gone: made ready first, looked second; pairs with `cpu-gone` in stopCpu(), reap() and startCpu().
      // SYNC lent: the same; pairs with `lent` in lend().
      if (isLive(cpu) && allows(taskAt(index).affinity.load(), number, cpu)) {
        if (shared.idle.load() != 0) ringIdle(index, number);
        return;
      }
      cpu.load.sub(1);
    }
    const other = choose(taskAt(index).affinity.load(), number);
    if (other == NONE && number == NOWHERE) return;
    word = makeReady(index, word, whyOf(word), other == NONE ? NOWHERE : other);
    if (word == 0) return;
  }
}

export function setArrival(cpu: Cpu, index: u32): void {
  const word = index >> 6;
  // SYNC arrivals: the bit, then its summary; pairs with `arrivals` in takeArrivals().
  unchecked(cpu.arrivals[word]).or((<u64>1) << (<u64>index & 63));
  unchecked(cpu.summary[word >> 6]).or((<u64>1) << (<u64>word & 63));
}

/** Wakes a CPU that is parked or about to be. */
export function ring(number: u32): void {
  const cpu = cpuAt(number);
  // SYNC park: the work is there before we look who sleeps; pairs with `park` in hasWork() and waitHere().
  // Who comes next need not ring again. If we die here the reaper rings.
  if (cpu.asleep.load() == Asleep.No) return;
  // Before the exchange: who is parked again meanwhile is rung by it.
  shared.idle.and(~((<u32>1) << number));
  const was = cpu.asleep.exchange(Asleep.No);
  if (was == Asleep.No) return;
  if (was == Asleep.Idle) event(TraceEvent.Unpark, number, 0);
  ringAnyway(cpu);
}

/**
 * A task became ready, perhaps where it has to wait, or where another one now has to: a CPU that went to sleep meanwhile, and could run that one, is
 * to look again.
 */
function ringIdle(index: u32, chosen: u32): void {
  const cpu = cpuAt(chosen);
  const free = currentOf(cpu) == 0;
  if (free && cpu.load.load() <= 1) return;
  const affinity = free && policy.reorders() ? ANYWHERE : taskAt(index).affinity.load();
  let lent = NONE;
  for (let idle = shared.idle.load() & ~((<u32>1) << chosen); idle != 0; idle &= idle - 1) {
    const number = <u32>ctz(idle);
    if (number >= CPUS || !allows(affinity, number, cpuAt(number))) continue;
    if (cpuAt(number).takes.load() != Takes.Lent) {
      ring(number);
      return;
    }
    lent = number;
  }
  if (lent != NONE) ring(lent);
}

export function ringAnyway(cpu: Cpu): void {
  cpu.bell.add(1);
  cpu.bell.notify();
}

function takeArrivals(cpu: Cpu): void {
  for (let s: u32 = 0; s < SUMMARIES; s++) {
    const summary = unchecked(cpu.summary[s]);
    if (summary.load() == 0) continue;
    // SYNC arrivals: the summary, then the bits; pairs with `arrivals` in setArrival().
    let words = summary.exchange(0);
    while (words != 0) {
      const w = s * 64 + <u32>ctz(words);
      words &= words - 1;
      if (w >= WORDS) break;
      let bits = unchecked(cpu.arrivals[w]).exchange(0);
      while (bits != 0) {
        const index = w * 64 + <u32>ctz(bits);
        bits &= bits - 1;
        if (index < TASKS) arrive(index);
      }
    }
  }
}

function arrive(index: u32): void {
  const word = wordAt(index).load();
  const task = taskAt(index);
  if (hasEnded(word) && task.tell.load() == me + 1 && task.owner.load() == pid) {
    const bits = unchecked(finished[index >> 6]);
    const bit = (<u64>1) << (<u64>index & 63);
    if ((bits & bit) == 0) finishedCount++;
    unchecked((finished[index >> 6] = bits | bit));
    return;
  }
  if (stateOf(word) != State.Ready || whoOf(word) != me) return;
  queue.insert(index, policy.keyOf(task, word, me), task.order.load(), stampOf(word));
}

/** Takes one of the tasks that have ended and that this process wanted to be told of. @returns its id, 0 when there is none */
export function takeFinished(): u32 {
  if (me == NONE) return 0;
  takeArrivals(cpuAt(me));
  if (finishedCount == 0) return 0;
  for (let step: u32 = 0; step < WORDS; step++) {
    const bits = unchecked(finished[finishedAt]);
    if (bits != 0) {
      finishedCount--;
      unchecked((finished[finishedAt] = bits & (bits - 1)));
      const index = finishedAt * 64 + <u32>ctz(bits);
      return idOf(index, wordAt(index).load());
    }
    finishedAt = finishedAt + 1 == WORDS ? 0 : finishedAt + 1;
  }
  return 0;
}

/** Is there news: of tasks that became ready, or that ended and were not taken by {@link takeFinished}? */
export function hasArrivals(cpu: Cpu): bool {
  if (finishedCount != 0) return true;
  for (let s: u32 = 0; s < SUMMARIES; s++) if (unchecked(cpu.summary[s]).load() != 0) return true;
  return false;
}

// Of the task that `firstReady` found.
let readyWord: u64 = 0;

/** Drops stale entries until the first is good. @returns its index, TASKS when the queue is empty */
function firstReady(): u32 {
  if (!full && sizeOf(ASIDE) != 0) bringBack();
  while (true) {
    const index = queue.first();
    if (index == TASKS) return TASKS;
    readyWord = wordAt(index).load();
    const good = isReadyHere(readyWord, queue.stampAt(index));
    if (good && (!full || taskAt(index).home.load() == pid)) return index;
    queue.remove(index);
    if (good) setAside(index);
  }
}

function isReadyHere(word: u64, stamp: u32): bool {
  return stateOf(word) == State.Ready && whoOf(word) == me && stampOf(word) == stamp;
}

/** Gives a task that was first here, and may not begin, to a CPU where it may; if there is none, it keeps its place here, and others may still take it. */
function setAside(index: u32): void {
  const target = choose(taskAt(index).affinity.load(), me);
  if (target == me || target == NONE) {
    insert(ASIDE, index, queue.keyAt(index), taskAt(index).order.load(), stampOf(readyWord));
    return;
  }
  const moved = makeReady(index, readyWord, whyOf(readyWord), target);
  if (moved == 0) return;
  cpuAt(me).load.sub(1);
  event(TraceEvent.Migrate, target, idOf(index, moved));
  announce(index, moved);
}

/** The first of those set aside is among the others again, if it is still here. */
function bringBack(): void {
  const index = firstOf(ASIDE);
  const key = firstKey(ASIDE);
  const stamp = stampAt(ASIDE, index);
  removeFirst(ASIDE);
  if (isReadyHere(wordAt(index).load(), stamp)) queue.insert(index, key, taskAt(index).order.load(), stamp);
}

/** Makes this process a CPU. @returns its number, or Failure.Full */
export function startCpu(general: bool): i32 {
  if (me != NONE) return me;
  for (let number: u32 = 0; number < CPUS; number++) {
    const cpu = cpuAt(number);
    if (cpu.pid.load() != 0 || !cpu.pid.cas(0, pid)) continue;
    queue.clear();
    clear(TIMERS);
    clear(ASIDE);
    cpu.takes.store(general ? Takes.Any : Takes.Own);
    full = false;
    setCurrent(cpu, 0, 0);
    cpu.asleep.store(Asleep.No);
    cpu.resched.store(0);
    cpu.load.store(0);
    cpu.nextDeadline.store(NEVER);
    // Grows only; a slow one that would make it smaller has failed the exchange.
    let seen = shared.cpuLimit.load();
    while (seen <= number) seen = shared.cpuLimit.cas(seen, number + 1) ? number + 1 : shared.cpuLimit.load();
    me = number;
    chargedUntil = now;
    // SYNC cpu-gone: live first, looked for what nobody has second; pairs with `cpu-gone` in announce().
    cpu.live.store(1);
    adopt(true);
    return number;
  }
  return Failure.Full;
}

/** This CPU takes tasks of others as well, or no more. */
export function lend(on: bool): void {
  const cpu = cpuAt(me);
  // SYNC lent: told first, moved second; pairs with `lent` in announce().
  cpu.takes.store(on ? Takes.Lent : Takes.Own);
  if (on) {
    adopt(false);
    return;
  }
  shared.idle.and(~((<u32>1) << me));
  evacuate();
}

/** This CPU begins no tasks that could begin elsewhere, or does so again. */
export function setFull(on: bool): void {
  full = on;
  cpuAt(me).takes.store(on ? Takes.Full : Takes.Any);
}

/** Takes what is ready on no CPU; of a CPU that is new: also what is ready on it already. */
function adopt(isNew: bool): void {
  for (let index: u32 = 0; index < TASKS; index++) {
    let word = wordAt(index).load();
    if (stateOf(word) != State.Ready) continue;
    const number = whoOf(word);
    if (number != me) {
      if (number < CPUS && isLive(cpuAt(number))) continue;
      if (!allows(taskAt(index).affinity.load(), me, cpuAt(me))) continue;
      word = makeReady(index, word, whyOf(word), me);
      if (word == 0) continue;
    } else if (!isNew) continue;
    cpuAt(me).load.add(1);
    arrive(index);
  }
}

/** Takes the best ready task. @returns its id; 0 when nothing is ready here */
export function pickNext(): u32 {
  if (me == NONE) return 0;
  const cpu = cpuAt(me);
  takeArrivals(cpu);
  while (true) {
    const index = firstReady();
    if (index == TASKS) {
      // A hint that a death left wrong is put right here.
      if (cpu.load.load() != 0 && sizeOf(ASIDE) == 0 && !hasArrivals(cpu)) cpu.load.store(0);
      return 0;
    }
    queue.remove(index);
    const word = run(index, readyWord);
    if (word == 0) continue;
    cpu.load.sub(1);
    dispatch(cpu, index, word, queue.keyAt(index));
    return idOf(index, word);
  }
}

function dispatch(cpu: Cpu, index: u32, word: u64, key: u64): void {
  const task = taskAt(index);
  policy.begin(task, cpu, me, key);
  running = index;
  runningId = idOf(index, word);
  chargedUntil = now;
  setCurrent(cpu, runningId, 1);
  // A store costs more than a look; the host tells the time less often than tasks are picked.
  if (cpu.since.load() != now) cpu.since.store(now);
  event(TraceEvent.Run, me, runningId);
}

/** Most fields of a slot are what they were for the task before, and looking is cheaper than writing. */
// @ts-ignore: decorator
@inline
export function put<T>(field: Atomic<T>, value: T): void {
  if (field.load() != value) field.store(value);
}

/** A task's figures: as long as nothing was counted of it, of one before. */
export function figures(index: u32, id: u32): Task {
  const task = taskAt(index);
  if (task.figuresOf.load() != id) {
    put<u32>(task.switches, 0);
    put<u32>(task.waits, 0);
    put<u32>(task.steals, 0);
    put<u64>(task.runTime, 0);
    task.figuresOf.store(id);
  }
  return task;
}

/** The running task gives up its CPU. */
export function countSwitch(index: u32, id: u32): void {
  const switches = figures(index, id).switches;
  switches.store(switches.load() + 1);
}

/** Charges the running task for the time since it was charged last. `kept`: somebody may ask for its figures. */
export function charge(kept: bool = true): void {
  if (running == NONE || now <= chargedUntil) return;
  const task = taskAt(running);
  const elapsed = now - chargedUntil;
  chargedUntil = now;
  if (kept) {
    const runTime = figures(running, runningId).runTime;
    runTime.store(runTime.load() + elapsed);
  }
  const next = queue.first();
  policy.charge(task, cpuAt(me), me, elapsed, next == TASKS ? NEVER : queue.keyAt(next));
}

/** One tick of the clock for the running task. @returns should it give up its CPU? */
export function tick(): bool {
  if (running == NONE) return false;
  const cpu = cpuAt(me);
  charge();
  takeArrivals(cpu);
  const next = firstReady();
  const waiting = next != TASKS;
  const over = policy.isOver(taskAt(running), me, waiting, waiting ? queue.keyAt(next) : 0);
  return cpu.resched.exchange(0) != 0 || over;
}

/** The running task is ready again, and no longer runs. */
export function giveUp(preempted: bool): bool {
  const word = runningWord();
  if (stateOf(word) != State.Running) return false;
  charge();
  const index = running;
  const task = taskAt(index);
  policy.requeue(task, preempted);
  let target = me;
  if (!allows(task.affinity.load(), me, cpuAt(me))) {
    target = choose(task.affinity.load(), me);
    if (target == NONE) target = me;
  }
  countSwitch(index, runningId);
  const ready = makeReady(index, word, Why.None, target);
  if (ready == 0) return false;
  endRunning();
  event(preempted ? TraceEvent.Preempt : TraceEvent.Yield, me, idOf(index, word));
  announce(index, ready);
  return true;
}

/** Gives ready tasks that are on no CPU, on one that is not live, or where they may not run, to others. May be repeated. */
export function evacuate(): void {
  for (let index: u32 = 0; index < TASKS; index++) {
    const word = wordAt(index).load();
    if (stateOf(word) != State.Ready) continue;
    const number = whoOf(word);
    const affinity = taskAt(index).affinity.load();
    const from = cpuAt(min(number, CPUS - 1));
    const live = number < CPUS && isLive(from);
    if (live && allows(affinity, number, from)) continue;
    const target = choose(affinity, number);
    if (target == NONE && number == NOWHERE) continue;
    const moved = makeReady(index, word, whyOf(word), target == NONE ? NOWHERE : target);
    if (moved == 0) continue;
    if (live) from.load.sub(1);
    announce(index, moved);
  }
}

/** Takes half of the ready tasks of the CPU that has the most; of the next one if all of those have to stay. @returns how many */
export function steal(): u32 {
  if (me == NONE || full) return 0;
  let tried: u32 = 0;
  for (let victim = richest(tried); victim != NONE; victim = richest(tried)) {
    const taken = takeFrom(victim);
    if (taken != 0) return taken;
    tried |= (<u32>1) << victim;
  }
  return 0;
}

function takeFrom(victim: u32): u32 {
  const cpu = cpuAt(me);
  const from = cpuAt(victim);
  const wanted = (<u32>min(max(from.load.load(), 0), <i32>TASKS) + 1) / 2;
  let taken: u32 = 0;
  for (let step: u32 = 0; step < TASKS && taken < wanted; step++) {
    const index = loot;
    loot = index + 1 == TASKS ? 0 : index + 1;
    const word = wordAt(index).load();
    if (stateOf(word) != State.Ready || whoOf(word) != victim) continue;
    const task = taskAt(index);
    if (!allows(task.affinity.load(), me, cpu)) continue;
    const mine = makeReady(index, word, whyOf(word), me);
    if (mine == 0) continue;
    taken++;
    const id = idOf(index, mine);
    figures(index, id).steals.add(1);
    event(TraceEvent.Steal, me, id);
    queue.insert(index, policy.keyOf(task, mine, me), task.order.load(), stampOf(mine));
  }
  if (taken != 0) {
    cpu.load.add(taken);
    from.load.sub(taken);
    cpu.steals.store(cpu.steals.load() + taken);
  }
  return taken;
}

/** @param tried - bit n: not CPU n */
function richest(tried: u32): u32 {
  let best: u32 = NONE;
  let most: i32 = 0;
  const end = limit();
  // What a CPU that runs nothing is called for it takes itself in a moment, and this thread has other things to do.
  const isLent = cpuAt(me).takes.load() == Takes.Lent;
  for (let number: u32 = 0; number < end; number++) {
    const it = cpuAt(number);
    // Tasks on a CPU that takes none of others are there because they have to.
    if (number == me || !isLive(it) || ((tried >> number) & 1) != 0 || it.takes.load() == Takes.Own) continue;
    const load = it.load.load();
    if (isLent && load <= 1 && currentOf(it) == 0) continue;
    if (load > most) {
      most = load;
      best = number;
    }
  }
  return best;
}

/** Moves a task that is ready elsewhere, or tells the CPU where it runs to let it go. */
export function migrate(id: u32, target: u32): i32 {
  const index = indexOf(id);
  for (let round: u32 = 0; round < TASKS; round++) {
    const word = find(id);
    if (word == 0) return Failure.Stale;
    if (stateOf(word) != State.Ready) return Failure.State;
    if (whoOf(word) == target) return 0;
    const moved = makeReady(index, word, whyOf(word), target);
    if (moved == 0) continue;
    if (whoOf(word) < CPUS) cpuAt(whoOf(word)).load.sub(1);
    event(TraceEvent.Migrate, target, id);
    announce(index, moved);
    return 0;
  }
  return Failure.State;
}

/** Says that this CPU is about to sleep. @returns the bell's value to sleep on */
export function prepareIdle(): u32 {
  const cpu = cpuAt(me);
  const seen = cpu.bell.load();
  event(TraceEvent.Park, me, 0);
  if (cpu.takes.load() != Takes.Own && !full) shared.idle.or((<u32>1) << me);
  cpu.asleep.store(Asleep.Idle);
  return seen;
}

/** Is there something to do here, or was something stolen? Asked after {@link prepareIdle}: who pushes later sees that we sleep. */
export function hasWork(): bool {
  const cpu = cpuAt(me);
  // SYNC park: asleep first, looked second; pairs with `park` in ring().
  if (hasArrivals(cpu) || firstReady() != TASKS) return true;
  // Those that take none of others are sent what they may run.
  return cpu.takes.load() != Takes.Own && steal() != 0;
}

export function endIdle(): void {
  const cpu = cpuAt(me);
  if (shared.idle.load() & ((<u32>1) << me)) shared.idle.and(~((<u32>1) << me));
  if (cpu.asleep.load() != Asleep.No && cpu.asleep.exchange(Asleep.No) == Asleep.Idle) event(TraceEvent.Unpark, me, 0);
}

/** Forgets that this process is a CPU; `reap.ts` has moved its tasks. */
export function forgetCpu(): void {
  me = NONE;
  queue.clear();
  clear(TIMERS);
  clear(ASIDE);
}
