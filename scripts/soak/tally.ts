/**
 * What the soak test's tasks, its CPUs and its judge share: an entry for each task that will ever be, by its serial number, in which it is ticked off.
 *
 *   born    who spawns writes it           a task ends once: `ended` is written once, by the CPU that runs it, before its exit;
 *   on      the CPU that runs it           or the judge finds it on a CPU that it has terminated, and writes `dead`
 *   ended   that CPU                       before the kernel hears of it
 *   dead    the judge
 */

export const Born = { No: 0, BeingMade: 1, Yes: 2, Refused: 3 } as const;

/** What a CPU found wrong. 0: nothing stands here. */
export const Wrong = {
  RunsTwice: 1,
  RunsAfterEnd: 2,
  RunsAfterDeath: 3,
  JoinedTooEarly: 4,
  MutexHeldTwice: 5,
  TooManyPermits: 6,
  Refused: 7,
} as const;
export type Wrong = (typeof Wrong)[keyof typeof Wrong];
const FINDINGS = 1024;
const FINDING_WORDS = 3;

/** Words of a task's bytes. */
export const [SERIAL, STEP, DOING, ABOUT, CHILD] = [0, 1, 2, 3, 4];
export const TASK_WORDS = 5;

/** Exit code of a task that saw that it was cancelled; those of others are 1 to {@link codeOf}'s largest. */
export const CANCELLED = 0x10000;
export const MUTEXES = 4;
export const SEMAPHORES = 8;
export const PERMITS = 3;
/** CPUs that are terminated and begun again. */
export const PLACES = 4;

export interface Tally {
  readonly born: Uint8Array;
  readonly ids: Int32Array;
  readonly on: Int32Array;
  /** 0, or 1 + exit code. */
  readonly ended: Int32Array;
  readonly dead: Uint8Array;
  /** Next serial number; the first one that must not be used yet; tasks that ended. */
  readonly counters: Int32Array;
  /** By place: 1 + the task that is being spawned there. */
  readonly making: Int32Array;
  /** By mutex: 1 + its holder. By semaphore: permits that are out. */
  readonly holders: Int32Array;
  readonly permits: Int32Array;
  readonly findings: Int32Array;
}

export const [NEXT, LIMIT, ENDED, JOINS, CANCELS, WAITS, LOCKS] = [0, 1, 2, 3, 4, 5, 6];

export function makeTally(tasks: number): Tally {
  const words = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * count));
  const bytes = (count: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(count));
  return {
    born: bytes(tasks),
    ids: words(tasks),
    on: words(tasks),
    ended: words(tasks),
    dead: bytes(tasks),
    counters: words(8),
    making: words(PLACES + 1),
    holders: words(MUTEXES),
    permits: words(SEMAPHORES),
    findings: words(1 + FINDINGS * FINDING_WORDS),
  };
}

export function report({ findings }: Tally, wrong: Wrong, serial: number, detail = 0): void {
  const at = 1 + (Atomics.add(findings, 0, 1) % FINDINGS) * FINDING_WORDS;
  Atomics.store(findings, at + 1, serial);
  Atomics.store(findings, at + 2, detail);
  Atomics.store(findings, at, wrong);
}

export function reports({ findings }: Tally): string[] {
  const names = new Map(Object.entries(Wrong).map(([name, wrong]): [number, string] => [wrong, name]));
  const count = Math.min(Atomics.load(findings, 0), FINDINGS);
  return Array.from({ length: count }, (_, entry) => {
    const at = 1 + entry * FINDING_WORDS;
    return `task ${findings[at + 1]}: ${names.get(findings[at]!)} (${findings[at + 2]})`;
  });
}

/** The exit code of a task that ran to its end. */
export function codeOf(serial: number): number {
  return 1 + (hash(serial, -1) & 0x7fff);
}

export function hash(serial: number, step: number): number {
  let mixed = Math.imul(serial + 1, 0x9e3779b1) ^ Math.imul(step + 2, 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return (mixed ^ (mixed >>> 15)) >>> 0;
}
