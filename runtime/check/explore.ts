/**
 * Breadth-first search through all states, without a bound or with a bound on preemptions. Breadth first, so that the first failure found
 * has the shortest schedule of all.
 */
import type { Found, Judge, Judgement } from "./judge.ts";
import { Act, actOf, choice, threadOf } from "./machine.ts";
import type { Reduction } from "./reduction.ts";
import { IntList, VectorSet } from "./tables.ts";
import { Field } from "./threads.ts";

export interface ExploreOptions {
  readonly maxStates: number;
  /** Most preemptions of a schedule; absent: any number. */
  readonly preemptions?: number;
  /** State to begin with; default the machine's initial one. */
  readonly from?: Int32Array;
  /** Leaves out what it shows to lead nowhere else. Not with a bound. */
  readonly reduction?: Reduction;
}

/** What happens to the survivors when a thread dies at one place. */
export interface KillPoint {
  /** State of the thread at its death. */
  readonly state: number;
  /** It died after the access, not before it. */
  readonly after: boolean;
  /** It died in the middle of the access, one half of which was done. */
  readonly within: boolean;
  /** States of the system in which it died there. */
  readonly deaths: number;
  /** Those from which a goal cannot be reached any more. */
  readonly stuck: number;
}

export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** Was everything seen? False when `maxStates` was reached, or a failure ended the search. */
  readonly complete: boolean;
  readonly failure: Found | undefined;
  readonly killPoints: readonly KillPoint[];
  /** What a reduction rests on turned out not to be so: nothing of this counts. */
  readonly void: boolean;
}

export function explore(judge: Judge, options: ExploreOptions): Exploration {
  return new Explorer(judge, options).run();
}

class Explorer {
  private readonly judge: Judge;
  private readonly options: ExploreOptions;
  /** The machine's width, and with a bound one more: last thread and preemptions used; with a reduction, the block of each thread. */
  private readonly width: number;
  private readonly bounded: boolean;
  private readonly states: VectorSet;
  private readonly parent = new IntList(1 << 12);
  private readonly taken = new IntList(1 << 12);
  /** First edge of each state in `edges`; edges are the steps that are no kills. */
  private readonly edgeStart = new IntList(1 << 12);
  private readonly edges = new IntList(1 << 14);
  private readonly killFrom = new IntList();
  private readonly killTo = new IntList();
  private readonly cursor: Int32Array;
  private transitions = 0;
  private deadlocked = -1;
  private failure: Found | undefined;
  private isVoid = false;
  /** Thread whose step alone is followed, or -1. */
  private alone = -1;
  /** With a reduction: the steps made behind the first one on the way to each state, and where in the list they end. */
  private readonly walks = new IntList();
  private readonly walkEnd = new IntList();
  /** Steps made since the state that is being left. */
  private readonly walked: number[] = [];

  constructor(judge: Judge, options: ExploreOptions) {
    this.judge = judge;
    this.options = options;
    this.bounded = options.preemptions !== undefined;
    this.width = judge.machine.width + (this.bounded ? 1 : 0) + (options.reduction ? judge.machine.count : 0);
    this.states = new VectorSet(this.width, 1 << 12);
    this.cursor = new Int32Array(this.width);
  }

  run(): Exploration {
    const { machine } = this.judge;
    this.cursor.set(this.options.from ?? machine.initial);
    this.states.add(this.cursor);
    this.parent.push(-1);
    this.taken.push(-1);
    this.noteWalk();
    const judgement = this.options.from ? undefined : this.judge.initial();
    if (judgement) this.fail(judgement, 0);
    let state = 0;
    const goesOn = (): boolean =>
      state < this.states.count && !this.failure && !this.isVoid && this.states.count <= this.options.maxStates;
    for (; goesOn(); state++) this.expand(state);
    const complete = !this.failure && !this.isVoid && state === this.states.count;
    this.edgeStart.push(this.edges.length);
    let killPoints: readonly KillPoint[] = [];
    if (complete && !this.bounded) killPoints = this.decideGoals();
    else if (!this.failure && !this.isVoid && this.deadlocked >= 0) this.failDeadlocked();
    return {
      states: this.states.count,
      transitions: this.transitions,
      complete,
      failure: this.failure,
      killPoints,
      void: this.isVoid || this.isMistaken(),
    };
  }

  /** Did a word that a step took for unshared turn out to be shared, or a rule look at the vVAR, where it can see every step? */
  private isMistaken(): boolean {
    const { reduction } = this.options;
    return reduction !== undefined && (reduction.mistaken || this.judge.rules.usesVvar);
  }

  private expand(state: number): void {
    const { machine } = this.judge;
    this.edgeStart.push(this.edges.length);
    const base = state * this.width;
    let live = false;
    this.alone = -1;
    if (this.options.reduction) {
      this.load(state);
      this.alone = this.options.reduction.alone(this.cursor);
      this.isVoid ||= this.isMistaken();
    }
    for (let thread = 0; thread < machine.count && !this.failure; thread++) {
      if (this.alone >= 0 && thread !== this.alone) continue;
      const branches = machine.branches(this.states.items, base, thread);
      if (branches > 0) live = true;
      for (let branch = 0; branch < branches && !this.failure; branch++) {
        this.follow(state, choice(thread, Act.step, branch));
      }
      if (!machine.mayKill(this.states.items, base, thread) || this.failure) continue;
      this.follow(state, choice(thread, Act.kill, 0));
      for (let branch = 0; branch < branches && !this.failure; branch++) {
        this.follow(state, choice(thread, Act.killAfter, branch));
      }
      const halves = machine.halves(this.states.items, base, thread);
      for (let branch = 0; branch < halves && !this.failure; branch++) {
        this.follow(state, choice(thread, Act.killWithin, branch));
      }
    }
    if (!live && !this.failure) this.end(state);
  }

  /** A state in which nobody can go on. */
  private end(state: number): void {
    this.load(state);
    if (this.bounded) {
      const judgement = this.judge.resting(this.cursor);
      if (judgement) this.fail(judgement, state);
    } else if (this.deadlocked < 0 && this.judge.deadlock(this.cursor)) this.deadlocked = state;
  }

  private load(state: number): void {
    const { cursor, states, width } = this;
    const base = state * width;
    for (let index = 0; index < width; index++) cursor[index] = states.items[base + index]!;
  }

  private follow(from: number, step: number): void {
    const { machine } = this.judge;
    const { cursor, states } = this;
    this.load(from);
    if (this.bounded && !this.spend(step)) return;
    const thread = threadOf(step);
    const before = cursor[thread]!;
    const shared = cursor[machine.shared]!;
    const isAlone = this.alone >= 0 && actOf(step) === Act.step;
    if (isAlone) this.options.reduction!.take(cursor, thread);
    else if (!machine.take(cursor, step)) return;
    this.transitions++;
    this.walked.length = 0;
    this.walked.push(step);
    const showsMore = (): boolean => cursor[machine.shared] !== shared || this.shows(from, machine.changed);
    if (this.options.reduction) {
      this.options.reduction.follow(cursor, thread, before, isAlone);
      if (!this.judgeStep(from, showsMore()) || !this.walkAlone(from)) {
        states.add(cursor);
        return;
      }
    }
    const known = states.count;
    const to = states.add(cursor);
    if (actOf(step) === Act.step) this.edges.push(to);
    else {
      this.killFrom.push(before * 4 + actOf(step));
      this.killTo.push(to);
    }
    if (to === known) {
      this.parent.push(from);
      this.taken.push(step);
      this.noteWalk();
    } else if (!machine.historyBroken) return;
    if (!this.options.reduction) this.judgeStep(from, showsMore());
  }

  /** Is the step that was just made no failure? */
  private judgeStep(from: number, showsMore: boolean): boolean {
    const { cursor } = this;
    const judgement = this.judge.step(cursor, showsMore);
    if (judgement) this.fail(judgement, from, this.walked);
    else if (this.options.reduction?.races(cursor)) this.failRacing(from);
    else if (this.bounded && this.judge.allSpin(cursor)) {
      const stuck = this.judge.resting(cursor);
      if (stuck) this.fail(stuck, from, this.walked);
    }
    return !this.failure && !this.isVoid;
  }

  /** Goes on, without keeping the states between, as long as there is one thread alone to follow, and nobody to see it die. */
  private walkAlone(from: number): boolean {
    const { cursor, walked } = this;
    const { machine } = this.judge;
    const reduction = this.options.reduction!;
    for (;;) {
      const thread = reduction.alone(cursor);
      if (thread < 0 || machine.mayKill(cursor, 0, thread)) return true;
      const before = cursor[thread]!;
      reduction.take(cursor, thread);
      this.transitions++;
      walked.push(choice(thread, Act.step, 0));
      reduction.follow(cursor, thread, before, true);
      if (!this.judgeStep(from, false)) return false;
    }
  }

  /** Writes down the steps behind the first one that led to the state that is new. */
  private noteWalk(): void {
    if (!this.options.reduction) return;
    for (const step of this.walked.slice(1)) this.walks.push(step);
    this.walkEnd.push(this.walks.length);
  }

  /** Do the changed threads show predicates anything else than they did? */
  private shows(from: number, changed: number): boolean {
    const { machine } = this.judge;
    for (let thread = 0; thread < machine.count; thread++) {
      if ((changed & (1 << thread)) === 0) continue;
      const old = this.states.items[from * this.width + thread]!;
      if (machine.threads.observe(old) !== machine.threads.observe(this.cursor[thread]!)) return true;
    }
    return false;
  }

  /** Pays for a preemption; false when the bound forbids it. */
  private spend(step: number): boolean {
    const { cursor } = this;
    const { machine } = this.judge;
    const place = machine.width;
    const packed = cursor[place]!;
    let used = packed >> 8;
    const last = (packed & 0xff) - 1;
    if (actOf(step) !== Act.step) return true;
    const thread = threadOf(step);
    // Leaving a thread that cannot go on, or that could only spin, is free.
    if (last >= 0 && last !== thread && machine.branches(cursor, 0, last) > 0 && !this.judge.spins(cursor, last)) {
      used++;
    }
    cursor[place] = (thread + 1) | (used << 8);
    return used <= this.options.preemptions!;
  }

  private fail(judgement: Judgement, state: number, walked: readonly number[] = []): void {
    const steps = [...this.pathTo(state), ...walked];
    this.failure = { ...judgement, steps: judgement.kind === "history" ? this.beginningLate(steps) : steps };
  }

  /**
   * The same schedule, with the accesses with which calls began for nobody moved behind what others did meanwhile: a schedule that is replayed begins
   * each call with its first access.
   */
  private beginningLate(steps: readonly number[]): readonly number[] {
    const { reduction } = this.options;
    if (!reduction) return steps;
    const { machine } = this.judge;
    const history = machine.options.history!;
    const vector = new Int32Array(this.width);
    vector.set(machine.initial);
    const held: number[][] = Array.from({ length: machine.count }, () => []);
    const late: number[] = [];
    for (const step of steps) {
      const thread = threadOf(step);
      const before = vector[thread]!;
      const log = machine.threads.get(before, Field.log);
      const isAlone = actOf(step) === Act.step && reduction.alone(vector) === thread;
      if (isAlone) reduction.take(vector, thread);
      else machine.take(vector, step);
      reduction.follow(vector, thread, before, isAlone);
      held[thread]!.push(step);
      const isUnbegun = isAlone && !history.isOpen(vector[machine.history]!, thread);
      if (isUnbegun && machine.threads.get(vector[thread]!, Field.log) === log) continue;
      late.push(...held[thread]!);
      held[thread] = [];
    }
    return late;
  }

  private pathTo(state: number): number[] {
    const steps: number[] = [];
    for (let at = state; this.parent.items[at]! >= 0; at = this.parent.items[at]!) {
      if (this.options.reduction) {
        const first = this.walkEnd.items[at - 1]!;
        for (let walk = this.walkEnd.items[at]! - 1; walk >= first; walk--) steps.push(this.walks.items[walk]!);
      }
      steps.push(this.taken.items[at]!);
    }
    return steps.reverse();
  }

  /** A thread went ahead over an access that races: without its last steps, the schedule shows both accesses at once. */
  private failRacing(from: number): void {
    const steps = [...this.pathTo(from), ...this.walked];
    const count = (thread: number): number => steps.filter((each) => threadOf(each) === thread).length;
    for (let left = 1; left <= steps.length; left++) {
      for (let first = 0; first < this.judge.machine.count; first++) {
        for (let second = 0; second < this.judge.machine.count; second++) {
          if (first === second || count(second) < left) continue;
          for (let back = 0; back < left && back <= count(first); back++) {
            this.failure = this.raceIn(withoutLast(withoutLast(steps, second, left - back), first, back));
            if (this.failure) return;
          }
        }
      }
    }
    this.isVoid = true;
  }

  /** The race that a schedule comes to, if it does. */
  private raceIn(steps: readonly number[]): Found | undefined {
    const { judge } = this;
    const vector = judge.machine.initial.slice();
    for (const [index, step] of steps.entries()) {
      if (!judge.machine.take(vector, step)) return undefined;
      const judgement = judge.step(vector, false);
      if (judgement) return { ...judgement, steps: steps.slice(0, index + 1) };
    }
    return undefined;
  }

  /** Finds states from which a goal cannot be reached without further deaths, and what each place to die at leads to. */
  private decideGoals(): readonly KillPoint[] {
    const { judge, states } = this;
    const { count } = states;
    const hopeless = new Uint8Array(count);
    let firstBad = -1;
    let firstGoal = -1;
    if (judge.goals.length > 0) {
      const { starts, sources } = this.reversed();
      const stack = new Int32Array(count);
      for (const [index, goal] of judge.goals.entries()) {
        const good = new Uint8Array(count);
        let top = 0;
        for (let state = 0; state < count; state++) {
          if (!judge.rules.holds(goal, states.items, state * this.width)) continue;
          good[state] = 1;
          stack[top++] = state;
        }
        while (top > 0) {
          const state = stack[--top]!;
          for (let edge = starts[state]!; edge < starts[state + 1]!; edge++) {
            const source = sources[edge]!;
            if (good[source] === 1) continue;
            good[source] = 1;
            stack[top++] = source;
          }
        }
        for (let state = 0; state < count; state++) {
          if (good[state] === 1) continue;
          hopeless[state] = 1;
          if (firstBad < 0 || state < firstBad) {
            firstBad = state;
            firstGoal = index;
          }
        }
      }
    }
    // A deadlock is told in full: its last state says who sleeps on what.
    if (this.deadlocked >= 0) this.failDeadlocked();
    else if (firstBad >= 0) {
      // So is a state in which all that is left is spinning; failing that, the first state from which there is no way.
      const resting = this.firstResting(hopeless, firstBad);
      const judgement = resting >= 0 ? judge.resting(this.cursor) : undefined;
      if (judgement) this.fail(judgement, resting);
      else {
        this.load(firstBad);
        const goal = judge.goals[firstGoal]!;
        this.fail({ kind: "stuck", message: judge.stuckMessage(goal, this.cursor) }, firstBad);
      }
    }
    return this.killPoints(hopeless);
  }

  private failDeadlocked(): void {
    this.load(this.deadlocked);
    this.fail(this.judge.deadlock(this.cursor)!, this.deadlocked);
  }

  /** The first hopeless state in which nobody gets anywhere, left in the cursor; -1 when there is none. */
  private firstResting(hopeless: Uint8Array, from: number): number {
    for (let state = from; state < hopeless.length; state++) {
      if (hopeless[state] === 0) continue;
      this.load(state);
      if (this.judge.allSpin(this.cursor)) return state;
    }
    return -1;
  }

  /** The edges by target: where each state can be reached from. */
  private reversed(): { starts: Int32Array; sources: Int32Array } {
    const { count } = this.states;
    const starts = new Int32Array(count + 1);
    const { items: edges, length } = this.edges;
    for (let edge = 0; edge < length; edge++) starts[edges[edge]! + 1]!++;
    for (let state = 0; state < count; state++) starts[state + 1]! += starts[state]!;
    const sources = new Int32Array(length);
    const filled = starts.slice();
    for (let state = 0; state < count; state++) {
      for (let edge = this.edgeStart.items[state]!; edge < this.edgeStart.items[state + 1]!; edge++) {
        sources[filled[edges[edge]!]!++] = state;
      }
    }
    return { starts, sources };
  }

  private killPoints(hopeless: Uint8Array): readonly KillPoint[] {
    const points = new Map<string, { -readonly [Key in keyof KillPoint]: KillPoint[Key] }>();
    const { threads } = this.judge.machine;
    for (let kill = 0; kill < this.killFrom.length; kill++) {
      const packed = this.killFrom.items[kill]!;
      const state = Math.floor(packed / 4);
      const act = packed & 3;
      const after = act === Act.killAfter;
      const within = act === Act.killWithin;
      const place = [Field.thread, Field.status, Field.step, Field.site, Field.address].map((f) =>
        threads.get(state, f),
      );
      const key = `${place.join()} ${act}`;
      const point = points.get(key) ?? { state, after, within, deaths: 0, stuck: 0 };
      point.deaths++;
      point.stuck += hopeless[this.killTo.items[kill]!]!;
      points.set(key, point);
    }
    return [...points.values()];
  }
}

function withoutLast(steps: readonly number[], thread: number, count: number): readonly number[] {
  let left = count;
  return steps.filter((step) => threadOf(step) === thread).length < count
    ? steps
    : steps
        .toReversed()
        .filter((step) => threadOf(step) !== thread || left-- <= 0)
        .toReversed();
}
