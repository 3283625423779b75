/** Random schedules: for systems with more states than can be searched. */
import type { Found, Judge, Judgement } from "./judge.ts";
import { Act, choice } from "./machine.ts";
import { generator } from "./random.ts";
import { Status } from "./threads.ts";

export interface SampleOptions {
  readonly schedules: number;
  readonly seed: number;
  /** Depth of a PCT schedule; absent: every step takes a random thread. */
  readonly depth?: number;
  /** Longest schedule. */
  readonly maxSteps: number;
}

export interface Sampling {
  readonly schedules: number;
  readonly steps: number;
  /** Schedules that were given up after `maxSteps`. */
  readonly cut: number;
  readonly failure: (Found & { readonly seed: number }) | undefined;
}

/** Steps without any change to the vVAR after which a schedule is looked at: do all threads only spin? */
const STALE_STEPS = 64;
/** Guess at the length of a schedule, until one has been seen. */
const FIRST_LENGTH = 64;

export function sample(judge: Judge, options: SampleOptions): Sampling {
  return new Sampler(judge, options).run();
}

class Sampler {
  private readonly judge: Judge;
  private readonly options: SampleOptions;
  private readonly vector: Int32Array;
  private readonly before: Int32Array;
  private readonly steps: number[] = [];
  private readonly enabled: number[] = [];
  private readonly priorities: number[] = [];
  private random: () => number = () => 0;
  private lowest = 0;
  private longest = FIRST_LENGTH;
  private total = 0;
  private cut = 0;

  constructor(judge: Judge, options: SampleOptions) {
    this.judge = judge;
    this.options = options;
    this.vector = new Int32Array(judge.machine.width);
    this.before = new Int32Array(judge.machine.width);
  }

  run(): Sampling {
    const result = (schedules: number, failure: Sampling["failure"]): Sampling => ({
      schedules,
      steps: this.total,
      cut: this.cut,
      failure,
    });
    const initial = this.judge.initial();
    if (initial) return result(1, { ...initial, steps: [], seed: this.options.seed });
    for (let index = 0; index < this.options.schedules; index++) {
      const seed = (this.options.seed + index) | 0;
      const judgement = this.schedule(seed);
      this.total += this.steps.length;
      this.longest = Math.max(this.longest, this.steps.length);
      if (judgement) {
        const shrunk = shrink(this.judge, { ...judgement, steps: this.steps.slice() });
        return result(index + 1, { ...shrunk, seed });
      }
    }
    return result(this.options.schedules, undefined);
  }

  private schedule(seed: number): Judgement | undefined {
    const { judge, vector, before, steps } = this;
    const { machine } = judge;
    const { depth } = this.options;
    this.random = generator(seed);
    const changes = new Set<number>();
    if (depth !== undefined) {
      for (let thread = 0; thread < machine.count; thread++) this.priorities[thread] = 1 + this.random();
      for (let index = 1; index < depth; index++) changes.add(Math.floor(this.random() * this.longest));
      this.lowest = 0;
    }
    const killRate = machine.kills < 0 ? 0 : (machine.options.maxKills + machine.options.maxReaperKills) / this.longest;
    vector.set(machine.initial);
    steps.length = 0;
    let stale = 0;
    while (steps.length < this.options.maxSteps) {
      this.findEnabled();
      if (this.enabled.length === 0) return judge.resting(vector);
      if (stale >= STALE_STEPS) {
        if (judge.allSpin(vector)) return judge.resting(vector);
        stale = 0;
      }
      before.set(vector);
      const step = this.random() < killRate ? this.killing() : -1;
      let thread = -1;
      if (step < 0 || !machine.take(vector, step)) {
        thread = depth === undefined ? this.anyThread() : this.bestThread(changes);
        const branches = machine.branches(vector, 0, thread);
        const branch = branches === 1 ? 0 : Math.floor(this.random() * branches);
        const next = choice(thread, Act.step, branch);
        machine.take(vector, next);
        steps.push(next);
      } else steps.push(step);
      const moved = vector[machine.shared] !== before[machine.shared];
      const judgement = judge.step(vector, moved || this.shows());
      if (judgement) return judgement;
      stale = moved ? 0 : stale + 1;
      // A thread that spins would keep the others out for ever.
      if (depth !== undefined && thread >= 0 && !moved && judge.spins(vector, thread)) {
        this.priorities[thread] = --this.lowest;
      }
    }
    this.cut++;
    return undefined;
  }

  private shows(): boolean {
    const { machine } = this.judge;
    for (let thread = 0; thread < machine.count; thread++) {
      if ((machine.changed & (1 << thread)) === 0) continue;
      if (machine.threads.observe(this.before[thread]!) !== machine.threads.observe(this.vector[thread]!)) return true;
    }
    return false;
  }

  private findEnabled(): void {
    const { machine } = this.judge;
    this.enabled.length = 0;
    for (let thread = 0; thread < machine.count; thread++) {
      if (machine.branches(this.vector, 0, thread) > 0) this.enabled.push(thread);
    }
  }

  private killing(): number {
    const { machine } = this.judge;
    const victim = Math.floor(this.random() * machine.count);
    if (!machine.mayKill(this.vector, 0, victim)) return -1;
    const halves = machine.halves(this.vector, 0, victim);
    if (halves > 0 && this.random() < 0.3) {
      return choice(victim, Act.killWithin, Math.floor(this.random() * halves));
    }
    const after = this.random() < 0.3 && machine.branches(this.vector, 0, victim) > 0;
    return choice(victim, after ? Act.killAfter : Act.kill, 0);
  }

  private anyThread(): number {
    return this.enabled[Math.floor(this.random() * this.enabled.length)]!;
  }

  private bestThread(changes: ReadonlySet<number>): number {
    const best = (): number => {
      let found = this.enabled[0]!;
      for (const thread of this.enabled) if (this.rank(thread) > this.rank(found)) found = thread;
      return found;
    };
    let thread = best();
    if (changes.has(this.steps.length)) {
      this.priorities[thread] = --this.lowest;
      thread = best();
    }
    return thread;
  }

  /** Time-outs come after everything else. */
  private rank(thread: number): number {
    const asleep = this.judge.machine.status(this.vector, thread) === Status.sleeping;
    return this.priorities[thread]! - (asleep ? 1e9 : 0);
  }
}

/** Leaves out steps as long as what is left still fails in the same way. */
function shrink(judge: Judge, found: Found): Found {
  let best = found;
  for (let size = Math.ceil(best.steps.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.steps.length; ) {
      const shorter = follow(judge, best.steps.toSpliced(from, size));
      if (shorter?.kind === found.kind && shorter.steps.length < best.steps.length) best = shorter;
      else from += size;
    }
  }
  return best;
}

/** Follows a schedule, leaving out what does not apply, to the first failure. */
function follow(judge: Judge, steps: readonly number[]): Found | undefined {
  const { machine } = judge;
  const vector = machine.initial.slice();
  const taken: number[] = [];
  for (const step of steps) {
    if (!machine.take(vector, step)) continue;
    taken.push(step);
    const judgement = judge.step(vector, true);
    if (judgement) return { ...judgement, steps: taken };
  }
  const judgement = judge.allSpin(vector) ? judge.resting(vector) : undefined;
  return judgement && { ...judgement, steps: taken };
}
