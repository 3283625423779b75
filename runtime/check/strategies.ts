/** How a check goes through the schedules. */

export interface Exhaustive {
  readonly kind: "exhaustive";
  readonly states: number;
}
export interface Preemptions {
  readonly kind: "preemptions";
  readonly bound: number;
  readonly states: number;
}
export interface Pct {
  readonly kind: "pct";
  readonly depth: number;
  readonly schedules: number;
  readonly seed: number;
}
export interface Random {
  readonly kind: "random";
  readonly schedules: number;
  readonly seed: number;
}
export interface Replay {
  readonly kind: "replay";
  readonly schedule: string;
}
export type Strategy = Exhaustive | Preemptions | Pct | Random | Replay;

const DEFAULT_STATES = 2_000_000;
const DEFAULT_SCHEDULES = 20_000;

/** Every interleaving, states merged; the only strategy that decides goals. Fails with `ERR_VDSO_CHECK_LIMIT` at `states`. */
export function exhaustive(options: { states?: number } = {}): Exhaustive {
  return { kind: "exhaustive", states: options.states ?? DEFAULT_STATES };
}

/** Every interleaving with at most `bound` preemptions (switches away from a thread that could go on). */
export function preemptions(bound: number, options: { states?: number } = {}): Preemptions {
  return { kind: "preemptions", bound, states: options.states ?? DEFAULT_STATES };
}

/**
 * Probabilistic concurrency testing: random priorities, changed at `depth - 1` random steps. Finds a bug that needs `depth` ordering
 * constraints with a probability of at least 1 / (threads * steps^(depth-1)) a schedule.
 *
 * @see https://www.microsoft.com/en-us/research/publication/a-randomized-scheduler-with-probabilistic-guarantees-of-finding-bugs/
 */
export function pct(options: { depth?: number; schedules?: number; seed?: number } = {}): Pct {
  const { depth = 3, schedules = DEFAULT_SCHEDULES, seed = 1 } = options;
  return { kind: "pct", depth, schedules, seed };
}

/** A random thread at every step. */
export function random(options: { schedules?: number; seed?: number } = {}): Random {
  return { kind: "random", schedules: options.schedules ?? DEFAULT_SCHEDULES, seed: options.seed ?? 1 };
}

/** One schedule, as a report gave it. */
export function replay(schedule: string): Replay {
  return { kind: "replay", schedule };
}

/** What runs when a specification names no strategy: each is tried when the one before it was too large. */
export function defaultStrategies(states = DEFAULT_STATES): readonly Strategy[] {
  return [exhaustive({ states }), preemptions(2, { states }), pct()];
}
