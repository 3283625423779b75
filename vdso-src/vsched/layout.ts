/**
 * Constants and layout, and who writes what.
 *
 * The truth about a task is one word in the task table; everything else that says where tasks are (run queues, arrivals, cells of wait
 * queues, timers) is an index that may be behind and can be made again from the table. So nobody ever holds a lock, and whoever dies leaves
 * either a word before its transition or one after it.
 *
 *   word  63            32 31         16 15         6 5    3 2      0
 *        | stamp: counts  | generation  | who        | why  | state  |
 *        |  transitions   |             |            |      |        |
 *
 *   who:  in Spawning the pid's index (pid & 1023), in Ready, Running, Blocking, Blocked the CPU (where it was last); 1023: ready on none.
 *   why:  in Blocking, Blocked, Ready, Running what ended the last wait; in Ending, Exited what ended the task.
 *   An id is `generation << 14 | index`: 30 bits, never 0. A slot's generation comes back after 65 535 uses of that slot, and slots are
 *   taken in turns.
 *
 *              create            start             pickNext
 *        Free --------> Spawning ------> Ready@cpu ---------> Running@cpu --exit--> Ending --buried--> Exited --release--> Free
 *         ^                |              ^  ^  ^  <--yield------'  |                ^  |                                   ^
 *         '--- owner died -'     migrate, |  |  |                   | prepareWait    |  '---- buried, released before ------'
 *                                steal ---'  |  |                   v                |
 *                                      wake  |  '--- woken ---- Blocking             | its CPU or its home died
 *                                            |                      | block          | (from every state but Free)
 *                                            '------------------ Blocked
 *
 * To whoever looks a task has ended as soon as it is Ending. Who ended it lets go of its mutexes, wakes its joiners and tells who wants to know; its slot is
 * free only after that, so that none of it is done to the next task there.
 *
 * Who writes what
 * - `words`: everybody, by single CASes; the transitions are the functions of `word.ts`.
 * - a task's details: its creator until it is Ready; then the CPU on which it is Running. `priority`, `affinity`, `cancelled`: anybody,
 *   they are wishes. `order`: whoever is about to make it Ready; two who race leave one of two valid orders. Its figures: also the CPU that it is
 *   Ready on; a thief who steals it from another at that moment may lose one of the other's.
 * - run queues and timers are private to the process whose CPU it is (`run-queue.ts`, `timers.ts`).
 * - `arrivals`, `summary`: anybody sets bits, the CPU's own process takes them.
 * - `idle`: the CPU's own process sets its bit, whoever rings it clears it.
 * - `load`: a hint, anybody; 0 is set by the CPU's process when it finds nothing.
 *
 * Progress: no operation waits for another process. Loops are bounded by the table, or repeat only when another process made progress.
 *
 * What a death leaves behind, and who repairs it (`reap.ts`)
 * - in Spawning: a slot that nobody can see; the reaper frees it.
 * - after the word became Ready and before its bit was set: a task that no CPU has heard of; the reaper sets the bits of all Ready tasks.
 * - in Running, Blocking: the task died with its CPU; the reaper makes it Exited, joiners wake.
 * - in Ending: the reaper does what follows on the end, once more from the start: of an end by the CPU that died, and of one by a reaper before it.
 * - after the owner became nobody and before the slot was freed: the reaper frees what is Exited and nobody's.
 * - between the claim and the end of a repair: a repair may be repeated from the start.
 */

/** Tasks at once. */
export const TASKS: u32 = config.range("TASKS", 16384, 1, 16384);
/** CPUs at once. */
export const CPUS: u32 = config.range("CPUS", 16, 1, 31);
/** Wait queues, mutexes, semaphores, events and barriers at once. */
export const QUEUES: u32 = config.range("QUEUES", 1024, 1, 16384);
/** Waiters that a wait queue finds without looking through the task table. */
export const WAIT_CELLS: u32 = config.range("WAIT_CELLS", 15, 1, 255);
/** Joiners of a task that are found without looking through the task table. */
export const JOIN_CELLS: u32 = config.range("JOIN_CELLS", 3, 1, 15);
/** Bytes of a task for its arguments, and after its exit for its result. Eight numbers, with what describes them, take 96. */
export const DATA_BYTES: u32 = config.range("DATA_BYTES", 512, 96, 4096);
/** Names that processes can give numbers to. */
export const NAMES: u32 = config.range("NAMES", 256, 1, 4096);
export const NAME_BYTES: u32 = config.range("NAME_BYTES", 500, 4, 4096);
/** Entries of the trace ring. */
export const TRACE_LEN: u32 = config.powerOfTwo("TRACE_LEN", 4096);
/** Levels of strict priority; 0 runs first. */
export const LEVELS: i32 = 64;

/** Bitmaps hold 64 tasks a word, and 64 words a word of their summary. */
export const WORDS: u32 = (TASKS + 63) / 64;
export const SUMMARIES: u32 = (WORDS + 63) / 64;
/** No deadline. */
export const NEVER: u64 = 0xffffffffffffffff;

/** How a CPU chooses its next task. */
export enum Policy {
  /** In the order in which they became ready; a tick never preempts. */
  Fifo,
  /** The same, but a task that has used up its slice goes to the back. One that was preempted before that goes to the front, with the rest of it. */
  RoundRobin,
  /** By virtual run time: real time divided by the weight of the task's nice value. */
  Cfs,
  /** Strictly by level, 0 first, in order within a level. */
  Priority,
}

export enum State {
  Free,
  /** Being filled by its creator. */
  Spawning,
  Ready,
  Running,
  /** Has announced that it will wait, and is still on its CPU. */
  Blocking,
  Blocked,
  /** Its slot is free once it is released. */
  Exited,
  /** Has ended, and what follows on that is being done. Who asks for a task's state is told Exited. */
  Ending,
}

/** What ended a wait, or a task. */
export enum Why {
  /** Nothing yet; of an exited task: it ended by itself. */
  None,
  /** Notified. */
  Notified,
  TimedOut,
  Cancelled,
  /** Its CPU's process died while it ran. */
  Killed,
  /** The process that it belongs to ended. */
  Dropped,
}

/** What functions return in place of an id or a count. */
export enum Failure {
  /** The id is of a task or queue that is no more. */
  Stale = -1,
  /** The table is full. */
  Full = -2,
  /** No live CPU that the affinity names. */
  NoCpu = -3,
  /** The task is not in a state for this. */
  State = -4,
  /** A join on itself, or in a circle. */
  Circle = -5,
  /** Not the owner of the mutex, or a queue of another kind. */
  Owner = -6,
  /** A priority, level or count out of range. */
  Range = -7,
}

/**
 * What is used of every task comes first, in one cache line. It was mostly another core's before, and costs a spawn more than all its instructions:
 * so the second line is left alone until the task waits, yields, or is stolen, or the policy needs it.
 */
@vvar export class Task {
  /** Place among the ready, smaller first. */
  @align(64) order: Atomic<u64>;
  /** Bit n: may run on CPU n. */
  affinity: Atomic<u32>;
  /** Pid of the process that it belongs to; 0: any process can run it. */
  home: Atomic<u32>;
  /** Pid of the process that will release it; 0: it is released when it exits. */
  owner: Atomic<u32>;
  /** Its id, once somebody has asked it to end: one who comes too late cancels nobody else. */
  cancelled: Atomic<u32>;
  exitCode: Atomic<i32>;
  /** What to run; means nothing here. */
  kind: Atomic<u32>;
  entry: Atomic<u32>;
  /** Mutexes that it holds. */
  held: Atomic<u32>;
  /** Bytes of its {@link TaskData} that are in use. */
  dataBytes: Atomic<u16>;
  /** Nice value, or level. */
  priority: Atomic<i8>;
  /** 1 + number of the CPU that is told when it ends; 0: none is. */
  tell: Atomic<u8>;
  /** Who joins it: cell 0 counts those who found no cell, the others hold ids. */
  @len(JOIN_CELLS + 1) joiners: FixedArray<Atomic<u32>>;

  /** What it waits for: kind << 32 | id. Of use while it waits, as the next two. */
  @align(64) waitsFor: Atomic<u64>;
  /** In microseconds of the host's clock; 0: none. */
  deadline: Atomic<u64>;
  /** Place among those who wait for the same. */
  ticket: Atomic<u32>;
  /** Round-robin: ticks left of its slice. */
  slice: Atomic<u32>;
  /** CFS: CPU in whose time it is << 58 | virtual run time. */
  vruntime: Atomic<u64>;
  /** Of which task the figures below are: until it is this one's id they are 0. */
  figuresOf: Atomic<u32>;
  /** Counted when it gives up its CPU. */
  switches: Atomic<u32>;
  waits: Atomic<u32>;
  steals: Atomic<u32>;
  /** Microseconds. */
  runTime: Atomic<u64>;
}

/** A task's arguments, later its result. Apart from the rest, so that who only schedules reads little memory. */
@vvar export class TaskData {
  @align(8) @len(DATA_BYTES) bytes: FixedArray<u8>;
}

@vvar export class Cpu {
  /** Of the process that runs it; 0: the number is free. */
  @align(64) pid: Atomic<u32>;
  /** 1: takes tasks. 0: it is being made, or taken out. */
  live: Atomic<u32>;
  takes: Atomic<Takes>;
  /** Smallest virtual run time of those that wait here; never goes back. */
  minVruntime: Atomic<u64>;
  /** Tasks that it began to run, or went on with << 32 | id of the one that runs, 0: none. */
  current: Atomic<u64>;
  steals: Atomic<u32>;
  parks: Atomic<u32>;
  /** When it began to run the task, in microseconds. */
  since: Atomic<u64>;
  /** When its first timer is due. */
  nextDeadline: Atomic<u64>;
  /** Counts the calls to wake up. */
  @align(64) bell: Atomic<u32>;
  /** What it waits for, if it sleeps or is about to: {@link Asleep}. Whoever rings sets it back. */
  asleep: Atomic<u32>;
  /** 1: somebody wants it to choose anew. */
  resched: Atomic<u32>;
  /** Ready tasks, about. */
  load: Atomic<i32>;
  /** Bit n: word n of the arrivals may have bits. */
  @len(SUMMARIES) summary: FixedArray<Atomic<u64>>;
  /** Bit n: task n may have become ready here, or ended, and this CPU wants to know. */
  @len(WORDS) arrivals: FixedArray<Atomic<u64>>;
}

/** Which tasks a CPU takes, beside those whose affinity names it. */
export enum Takes {
  /** No others. */
  Own,
  /** Any. */
  Any,
  /** Any but those for dedicated CPUs, and rather none while others have nothing to do: its thread has a life of its own. */
  Lent,
  /** Any, but begins none now: as many as it may have at once have begun. */
  Full,
}

/** Why a CPU sleeps. */
export enum Asleep {
  No,
  /** It has nothing to do. */
  Idle,
  /** Its thread stands still in the middle of a task that waits. */
  Occupied,
}

/** What a queue is for. */
export enum QueueKind {
  Free,
  /** Plain wait queue, also for conditions. */
  Plain,
  /** `value`: id of the owner, 0: free; bit 31: the owner before died with it. */
  Mutex,
  /** `value`: permits. */
  Semaphore,
  /** `value`: 1 set. */
  Event,
  /** `value`: phase << 16 | arrived. */
  Barrier,
}

@vvar export class WaitQueue {
  /** generation << 16 | kind; the kind is Free or one of {@link QueueKind}. */
  @align(64) word: Atomic<u32>;
  /** Pid of the process that made it; 0: nobody's. */
  owner: Atomic<u32>;
  tickets: Atomic<u32>;
  value: Atomic<u32>;
  /** As a task's `joiners`. */
  @len(WAIT_CELLS + 1) cells: FixedArray<Atomic<u32>>;
}

@vvar export class TraceEntry {
  /** Microseconds << 8 | event. */
  what: Atomic<u64>;
  /** CPU << 32 | task. */
  where: Atomic<u64>;
}

/** `owner` claims it (0 -> pid), `bytes` publishes it; it is never given back. */
@vvar export class Name {
  owner: Atomic<u32>;
  bytes: Atomic<u32>;
  @len(NAME_BYTES) text: FixedArray<u8>;
}

@vvar class VvarData {
  policy: Atomic<Policy>;
  /** Ticks that a task may run under round-robin. */
  sliceTicks: Atomic<u32>;
  /** Virtual time by which a task must be ahead to preempt, under CFS. */
  granularity: Atomic<u64>;
  /** CPUs below this number have been used. */
  cpuLimit: Atomic<u32>;
  traceOn: Atomic<u32>;
  /** When the first timer of those whose CPU is gone is due. */
  orphanDeadline: Atomic<u64>;
  /**
   * Where to look for the next free slot. One for all processes, so that slots are used in turn: an id comes back as late as can be, and what ended a
   * task can be asked for a while after its release.
   */
  @align(64) cursor: Atomic<u32>;
  /** Place of the next that becomes ready. */
  @align(64) nextOrder: Atomic<u64>;
  /** Bit n: CPU n, which takes tasks of others, sleeps for want of work, or is about to. May be 0 for one that sleeps while somebody is about to ring it. */
  @align(64) idle: Atomic<u32>;
  @align(64) nextQueue: Atomic<u32>;
  nextTrace: Atomic<u32>;
  @len(CPUS) cpus: FixedArray<Cpu>;
  @align(64) @len(TASKS) words: FixedArray<Atomic<u64>>;
  @len(TASKS) tasks: FixedArray<Task>;
  @len(TASKS) data: FixedArray<TaskData>;
  @len(QUEUES) queues: FixedArray<WaitQueue>;
  @len(TRACE_LEN) trace: FixedArray<TraceEntry>;
  @len(NAMES) names: FixedArray<Name>;
}

export const shared = vvarRoot<VvarData>();

// @ts-ignore: decorator
@inline
export function cpuAt(cpu: u32): Cpu {
  return unchecked(shared.cpus[cpu]);
}

// @ts-ignore: decorator
@inline
export function taskAt(index: u32): Task {
  return unchecked(shared.tasks[index]);
}

// @ts-ignore: decorator
@inline
export function dataAt(index: u32): TaskData {
  return unchecked(shared.data[index]);
}

// @ts-ignore: decorator
@inline
export function wordAt(index: u32): Atomic<u64> {
  return unchecked(shared.words[index]);
}
