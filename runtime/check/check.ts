/** Puts a check together from its specification, and runs its strategies. */
import { VdsoError } from "../errors.ts";
import type { VvarStruct } from "../image/decode.ts";
import type { Manifest } from "../image/manifest.ts";
import { readImage } from "../image/read.ts";
import { verifyStructure } from "../image/verify.ts";
import { DirectVvar } from "./arithmetic.ts";
import { type Exploration, explore } from "./explore.ts";
import { survivorsFinish } from "./goals.ts";
import { type Instrumented, instrument } from "./instrument.ts";
import { type Found, Judge } from "./judge.ts";
import { VvarLayout } from "./layout.ts";
import { History } from "./linearizable.ts";
import { Machine } from "./machine.ts";
import { Reduction } from "./reduction.ts";
import { type CheckFailure, type CheckResult, failureOf, resultOf, type TierReport } from "./report.ts";
import { Rules } from "./rules.ts";
import { sample } from "./sample.ts";
import { readSchedule } from "./schedule.ts";
import { SourceMap } from "./source-map.ts";
import type { AnyApi, CheckSpec, HistoryRule, SafetyPredicate, ThreadBody, ThreadSpec } from "./spec.ts";
import { defaultStrategies, type Strategy } from "./strategies.ts";
import { noExport, type Thread, ThreadStates, threadContext } from "./threads.ts";
import { type TraceContext, trace } from "./trace.ts";
import { Vm } from "./vm.ts";
import { VvarStates } from "./vvar-states.ts";

const DEFAULT_FUEL = 2_000_000;
const DEFAULT_STEPS = 5_000;
/** States to look at when a replayed schedule ends without a failure: is a goal out of reach? */
const REPLAY_STATES = 1_000_000;
/** States to look at for a shorter schedule than the one that a reduced search found. */
const SHORTER_STATES = 2_000_000;
const KERNEL_PID = 1;
const MAX_THREADS = 30;

/**
 * Runs threads against an image in every order that its accesses to the vVAR allow.
 *
 * @returns what was covered, and the first failure with the shortest schedule that leads to it.
 * @throws VdsoError `ERR_VDSO_IMAGE_...` - the image is none.
 * @throws VdsoError `ERR_VDSO_CHECK_UNSUPPORTED` - it accesses its vVAR in a way that cannot be checked.
 * @throws VdsoError `ERR_VDSO_CHECK_SPEC`, `ERR_VDSO_CHECK_FIELD`, `ERR_VDSO_CHECK_SCHEDULE` - the specification contradicts itself or the image.
 * @throws VdsoError `ERR_VDSO_CHECK_EXPORT`, `ERR_VDSO_CHECK_ARGUMENT`, `ERR_VDSO_CHECK_INTERFACE` - a thread's call does not fit the image.
 * @throws VdsoError `ERR_VDSO_CHECK_NONDETERMINISTIC` - threads or host implementations depend on more than they may.
 * @throws VdsoError `ERR_VDSO_CHECK_SETUP` - `init`, `processInit` or the set-up failed.
 * @throws VdsoError `ERR_VDSO_CHECK_LIMIT` - the last strategy is a search, and there are more states than it may visit.
 */
export async function check<Api = AnyApi, Vvar = VvarStruct>(spec: CheckSpec<Api, Vvar>): Promise<CheckResult> {
  const bytes = new Uint8Array(spec.image instanceof Uint8Array ? spec.image : spec.image.image());
  const manifest = await readImage(bytes);
  verifyStructure(bytes, manifest);
  const instrumented = await instrument(bytes, manifest.layout.end);
  // What the types say about the API and the vVAR is between the author and the compiler.
  return new Check(spec as unknown as CheckSpec, manifest, instrumented).run();
}

class Check {
  private readonly spec: CheckSpec;
  private readonly manifest: Manifest;
  private readonly instrumented: Instrumented;
  private readonly layout: VvarLayout;
  private readonly sourceMap: SourceMap | undefined;

  constructor(spec: CheckSpec, manifest: Manifest, instrumented: Instrumented) {
    this.spec = spec;
    this.manifest = manifest;
    this.instrumented = instrumented;
    this.layout = new VvarLayout(manifest);
    this.sourceMap = spec.sourceMap === undefined ? undefined : new SourceMap(spec.sourceMap);
  }

  run(): CheckResult {
    const started = performance.now();
    const { strategy, limits } = this.spec;
    const strategies: readonly Strategy[] =
      strategy === undefined ? defaultStrategies(limits?.states) : "kind" in strategy ? [strategy] : strategy;
    const judge = this.judge();
    const tiers: TierReport[] = [];
    let failure: CheckFailure | undefined;
    for (const [index, each] of strategies.entries()) {
      const { tier, found } = this.tier(judge, each);
      tiers.push(tier);
      if (found) failure = this.report(found, tier);
      if (failure || tier.complete) break;
      if (index === strategies.length - 1) {
        throw new VdsoError(
          "ERR_VDSO_CHECK_LIMIT",
          `expected at most ${tier.limit} states, found more (${tier.strategy}); make the system smaller, raise \`states\`, or add a sampled strategy`,
        );
      }
    }
    const { vm } = judge.machine.threads;
    return resultOf(tiers, failure, { ms: performance.now() - started, wasmRuns: vm.runs }, this.context(judge));
  }

  private context(judge: Judge): TraceContext {
    return { judge, layout: this.layout, instrumented: this.instrumented, sourceMap: this.sourceMap };
  }

  private tier(judge: Judge, strategy: Strategy): { tier: TierReport; found: Found | undefined } {
    switch (strategy.kind) {
      case "exhaustive":
      case "preemptions": {
        const bounded = strategy.kind === "preemptions";
        const { seen, reduced } = bounded
          ? { seen: explore(judge, { maxStates: strategy.states, preemptions: strategy.bound }), reduced: 0 }
          : this.search(judge, strategy.states);
        return {
          found: seen.failure,
          tier: {
            strategy: bounded ? `preemptions(${strategy.bound})` : "exhaustive",
            tier: bounded ? "bounded" : "exhaustive",
            complete: seen.complete,
            limit: strategy.states,
            states: seen.states,
            transitions: seen.transitions,
            schedules: 0,
            cut: 0,
            seed: undefined,
            killPoints: seen.killPoints,
            reduced,
          },
        };
      }
      case "pct":
      case "random": {
        const { schedules, seed, kind } = strategy;
        const maxSteps = this.spec.limits?.steps ?? DEFAULT_STEPS;
        const depth = kind === "pct" ? { depth: strategy.depth } : {};
        const seen = sample(judge, { schedules, seed, maxSteps, ...depth });
        return {
          found: seen.failure,
          tier: {
            strategy: kind === "pct" ? `pct(depth ${strategy.depth})` : "random",
            tier: "sampled",
            complete: true,
            limit: schedules,
            states: 0,
            transitions: seen.steps,
            schedules: seen.schedules,
            cut: seen.cut,
            seed: seen.failure?.seed ?? seed,
            killPoints: [],
            reduced: 0,
          },
        };
      }
      case "replay": {
        const steps = readSchedule(strategy.schedule, judge.machine.reaper);
        return {
          found: this.replay(judge, steps),
          tier: {
            strategy: "replay",
            tier: "replayed",
            complete: true,
            limit: steps.length,
            states: 0,
            transitions: steps.length,
            schedules: 1,
            cut: 0,
            seed: undefined,
            killPoints: [],
            reduced: 0,
          },
        };
      }
    }
  }

  /** Searches through everything: reduced if possible; a failure then once more in full, since it may have a shorter schedule. */
  private search(judge: Judge, maxStates: number): { seen: Exploration; reduced: number } {
    if (!this.isReducible()) return { seen: explore(judge, { maxStates }), reduced: 0 };
    const reduction = new Reduction(judge.machine);
    reduction.restart();
    let seen = explore(judge, { maxStates, reduction });
    while (seen.void && !judge.rules.usesVvar && reduction.mistaken) {
      reduction.restart();
      seen = explore(judge, { maxStates, reduction });
    }
    const reduced = reduction.passed;
    if (!seen.void && (reduced === 0 || !seen.failure)) return { seen, reduced };
    const full = explore(judge, { maxStates: seen.void ? maxStates : Math.min(maxStates, SHORTER_STATES) });
    return seen.void || full.failure || full.complete ? { seen: full, reduced: 0 } : { seen, reduced };
  }

  /** Of two deaths, the order matters to the reaper; and a thread that passes an access by has passed by the other's death there. */
  private isReducible(): boolean {
    const { reduce, kills, expectPanic } = this.spec;
    return reduce !== false && (kills?.max ?? 1) <= 1 && expectPanic === undefined;
  }

  /** What a schedule leads to: a failure in it, or a state from which a goal is out of reach. */
  private replay(judge: Judge, steps: readonly number[]): Found | undefined {
    const followed = trace(this.context(judge), steps);
    if (followed.judgement) return { ...followed.judgement, steps: steps.slice(0, followed.steps.length) };
    const resting = judge.allSpin(followed.end) ? judge.resting(followed.end) : undefined;
    if (resting) return { ...resting, steps };
    if (judge.goals.length === 0) return undefined;
    const onwards = explore(judge, { maxStates: REPLAY_STATES, from: followed.end });
    const { failure } = onwards;
    // Only what is hopeless already counts: a failure further on is one of another schedule.
    return failure && failure.steps.length === 0 ? { ...failure, steps } : undefined;
  }

  /** Follows the schedule once more, in a machine that remembers nothing: it has to fail in the same way. */
  private report(found: Found, tier: TierReport): CheckFailure {
    const judge = this.judge();
    const context = this.context(judge);
    const again = tier.tier === "replayed" ? found : this.replay(judge, found.steps);
    if (again?.kind !== found.kind || again.message !== found.message) {
      throw new VdsoError(
        "ERR_VDSO_CHECK_NONDETERMINISTIC",
        `a schedule failed (${found.kind}: ${found.message}), but when it was run again ${again ? `failed differently (${again.kind}: ${again.message})` : "did not"}: a thread, a host implementation or a rule depends on more than its arguments`,
      );
    }
    return failureOf(found, trace(context, found.steps), tier, judge.machine);
  }

  /** A fresh machine for the specification. */
  private judge(): Judge {
    const { spec, manifest, layout } = this;
    const { kills } = spec;
    const vvarEnd = manifest.layout.end;
    const options = { fuel: spec.limits?.fuel ?? DEFAULT_FUEL, vvarEnd };
    const vm = new Vm(this.instrumented, manifest, options);
    const vvar = new DirectVvar(new Uint8Array(Math.ceil(vvarEnd / 8) * 8));
    const blank = vm.save(false).slice();

    const users = this.threads();
    const reaper = vm.hasExport("processDrop") && (kills !== undefined || spec.expectPanic !== undefined);
    const kernel: Thread = {
      name: "reaper",
      pid: KERNEL_PID,
      daemon: false,
      host: spec.host ?? {},
      body: function* () {},
      initial: 0,
    };
    const allowed = spec.races ? layout.bytesOf(spec.races.allow) : undefined;
    const range = (every: boolean) => (address: number, length: number) => {
      const bytes = allowed?.subarray(address, address + length);
      if (!bytes) return false;
      return every ? bytes.every((byte) => byte === 1) : bytes.some((byte) => byte === 1);
    };
    const rules = [spec.safety ?? []].flat();
    const model = rules.find((rule): rule is HistoryRule => typeof rule !== "function");
    const history = model && new History(model.model);
    const threads = new ThreadStates(vm, reaper ? [...users, kernel] : users, {
      sites: this.instrumented.sites,
      vvarEnd,
      anyRacy: range(false),
      expectPanic: spec.expectPanic,
      attempts: history !== undefined,
    });

    vm.enter("kernel", kernel.host);
    vm.initialize(vvar);
    if (vm.hasExport("init")) vm.callDirect(vvar, "init", []);
    if (spec.setup) runSetup(vm, vvar, spec.setup);
    kernel.initial = threads.blobs.add(vm.save(false));
    for (const user of users) {
      vm.load(blank);
      vm.enter(user.name, user.host);
      vm.initialize(vvar);
      if (user.attach && vm.hasExport("processInit")) vm.callDirect(vvar, "processInit", [user.pid]);
      user.initial = threads.blobs.add(vm.save(false));
    }

    const machine = new Machine(threads, new VvarStates(vvar.bytes), {
      users: users.length,
      reaper,
      maxKills: kills ? (kills.max ?? 1) : 0,
      maxReaperKills: kills?.reaper ?? 0,
      killable: this.killable(users),
      timeouts: spec.timeouts ?? true,
      races: spec.races !== false,
      allRacy: range(true),
      anyRacy: range(false),
      history,
    });
    const safety = rules.filter((rule): rule is SafetyPredicate => typeof rule === "function");
    return new Judge(machine, new Rules(machine, layout, safety), layout, spec.goals ?? [survivorsFinish()]);
  }

  private threads(): (Thread & { readonly attach: boolean })[] {
    const { spec } = this;
    const named = Object.entries(spec.threads);
    if (named.length === 0 || named.length > MAX_THREADS) {
      throw badSpec(`expected 1 to ${MAX_THREADS} threads, found ${named.length}`);
    }
    return named.map(([name, entry], index) => {
      const thread: ThreadSpec = typeof entry === "function" ? { run: entry } : entry;
      const pid = thread.pid ?? index + 2;
      if (!Number.isInteger(pid) || pid < 2 || pid > 0x7fffffff) {
        throw badSpec(`expected a pid of at least 2 for thread "${name}" (the kernel is 1), found ${pid}`);
      }
      return {
        name,
        pid,
        daemon: thread.daemon ?? false,
        host: thread.host ?? spec.host ?? {},
        body: thread.run as ThreadBody,
        attach: thread.attach ?? true,
        initial: 0,
      };
    });
  }

  private killable(users: readonly Thread[]): boolean[] {
    const names = this.spec.kills?.threads;
    const unknown = names?.find((name) => !users.some((user) => user.name === name));
    if (unknown !== undefined) {
      throw badSpec(`kills.threads names "${unknown}"; there are ${users.map((user) => user.name).join(", ")}`);
    }
    return users.map((user) => names?.includes(user.name) ?? true);
  }
}

function runSetup(vm: Vm, vvar: DirectVvar, body: ThreadBody): void {
  const generator = body(threadContext("setup", KERNEL_PID));
  for (let step = generator.next(); !step.done; ) {
    const { fn, args, accept, scalar } = step.value;
    if (scalar !== undefined) throw badSpec("the set-up cannot read or write the vVAR itself; call an export");
    if (!vm.hasExport(fn)) throw noExport("setup", fn, vm.exportNames());
    const result = vm.callDirect(vvar, fn, args);
    if (accept && !(accept as (result: unknown) => boolean)(result)) {
      throw new VdsoError("ERR_VDSO_CHECK_SETUP", `${fn}() was not accepted in the set-up, where nobody else runs`);
    }
    step = generator.next(result);
  }
}

function badSpec(message: string): VdsoError {
  return new VdsoError("ERR_VDSO_CHECK_SPEC", message);
}
