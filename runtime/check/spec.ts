/** What a check is given: the public types of the specification. */
import type { VvarStruct } from "../image/decode.ts";
import type { Scalar } from "../image/manifest.ts";
import type { Strategy } from "./strategies.ts";

/** Implementations of an image's interfaces, by interface and function. They have to be deterministic: same arguments, same result. */
export type HostImplementations = Readonly<Record<string, Readonly<Record<string, (...args: never[]) => unknown>>>>;

/** A panic inside the image. */
export interface Panic {
  /** Thread that panicked. */
  readonly thread: string;
  /** The author's message, its `{}` not yet filled. */
  readonly template: string;
  readonly args: readonly (number | bigint | boolean)[];
  /** The message, filled. */
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A call that has returned. */
export interface CallRecord {
  /** Name of the thread. */
  readonly thread: string;
  /** Name of the export; `vvar.read` and `vvar.write` for {@link ThreadContext.read} and {@link ThreadContext.write}. */
  readonly fn: string;
  readonly args: readonly unknown[];
  /** As the API library would return it. */
  readonly result: unknown;
}

export type ThreadStatus = "running" | "sleeping" | "finished" | "killed" | "panicked" | "idle";

/** A thread as a predicate sees it. */
export interface ThreadView {
  readonly name: string;
  readonly pid: number;
  readonly daemon: boolean;
  /** `sleeping`: in a wait. `idle`: the reaper, when nobody is to be reaped. */
  readonly status: ThreadStatus;
  /** Calls that returned, in order. Attempts that `until` refused are not among them. */
  readonly log: readonly CallRecord[];
  /** The call that it is in, or was in when it died. */
  readonly call: { readonly fn: string; readonly args: readonly unknown[] } | undefined;
}

/** The system at one moment, as safety rules and goals see it. */
export interface CheckState<Vvar = VvarStruct> {
  /** Threads in the order of the specification; the reaper is not among them. */
  readonly threads: readonly ThreadView[];
  /** Present when the image exports `processDrop` and the specification has kills (or expects panics). */
  readonly reaper: ThreadView | undefined;
  /** Decoded by the image's layout. */
  readonly vvar: Vvar;
  /** A thread by name. @throws VdsoError `ERR_VDSO_CHECK_THREAD` - there is none. */
  thread(name: string): ThreadView;
  /** Calls of all threads that returned, optionally only those of one export; in order within a thread, not across threads. */
  calls(fn?: string): readonly CallRecord[];
}

/**
 * Looks at one state. A text, `false` or a thrown error is a failure; anything else is none. It is asked in every state
 * that differs in something it looked at, so it has to be a function of the state alone.
 */
export type SafetyPredicate<Vvar = VvarStruct> = (state: CheckState<Vvar>) => unknown;

/** Something that has to stay reachable from every state, without further kills. */
export interface Goal<Vvar = VvarStruct> {
  readonly name: string;
  holds(state: CheckState<Vvar>): boolean;
}

/** One step that a thread's generator asks for. */
export interface ThreadStep {
  /** An export, or {@link ThreadContext.read} and {@link ThreadContext.write}. */
  readonly fn: string;
  readonly args: readonly unknown[];
  /** For reads and writes: what lies there. */
  readonly scalar?: Scalar;
  /** Repeat the call until this accepts its result. */
  readonly accept: ((result: never) => boolean) | undefined;
  /** Is the result left out of the log? */
  readonly forgets?: boolean;
}

type Fn = (...args: never[]) => unknown;
/** Names of the functions of an API. */
export type FunctionName<Api> = { [K in keyof Api]: Api[K] extends Fn ? K : never }[keyof Api] & string;
type Arguments<Api, K extends keyof Api> = Api[K] extends (...args: infer A) => unknown ? A : never;
type Returned<Api, K extends keyof Api> = Api[K] extends (...args: never[]) => infer R ? R : never;

/** Functions of an image whose API library's types are not at hand; calls are checked against the manifest when they are made. */
export type AnyApi = Record<string, (...args: unknown[]) => unknown>;

/** What a thread's generator calls the image with. */
export interface ThreadContext<Api = AnyApi> {
  readonly name: string;
  readonly pid: number;
  /** Calls an export: `const ok = yield* t.call("tryPush", 1n)`. */
  call<K extends FunctionName<Api>>(
    fn: K,
    ...args: Arguments<Api, K>
  ): Generator<ThreadStep, Returned<Api, K>, unknown>;
  /**
   * Repeats a call until its result is accepted. Refused attempts leave no trace in the log, so that a thread that spins comes back
   * to the same state: write retry loops in this way.
   */
  until<K extends FunctionName<Api>>(
    fn: K,
    args: Arguments<Api, K>,
    accept: (result: Returned<Api, K>) => boolean,
  ): Generator<ThreadStep, Returned<Api, K>, unknown>;
  /**
   * The same, but the result goes to a {@link linearizable} model alone, neither into the log nor to the thread: threads that got different ones are in
   * the same state then.
   */
  forget<K extends FunctionName<Api>>(
    fn: K,
    args: Arguments<Api, K>,
    accept: (result: Returned<Api, K>) => boolean,
  ): Generator<ThreadStep, void, unknown>;
  /** Reads a value of the vVAR from JavaScript, plainly: for images that hand out addresses of places to work in. */
  read(address: number, type: Scalar): Generator<ThreadStep, number | bigint | boolean, unknown>;
  /** Writes one; see {@link ThreadContext.read}. */
  write(address: number, type: Scalar, value: number | bigint | boolean): Generator<ThreadStep, void, unknown>;
}

/**
 * What a thread does. It is run again and again with the results that a schedule produced, so it must depend on nothing else: no clock, no
 * random numbers, no variable outside. An error that it throws is a failure of the check.
 */
export type ThreadBody<Api = AnyApi> = (thread: ThreadContext<Api>) => Generator<ThreadStep, void, unknown>;

export interface ThreadSpec<Api = AnyApi> {
  readonly run: ThreadBody<Api>;
  /** A daemon need not finish: it serves others. */
  readonly daemon?: boolean;
  /** Default: 2 for the first thread, 3 for the second; the kernel is 1. */
  readonly pid?: number;
  /** Implementations of the image's interfaces; default those of the specification. */
  readonly host?: HostImplementations;
  /** Run `processInit(pid)` before the threads start, as attaching does (default). `false`: the thread calls it, if anybody does. */
  readonly attach?: boolean;
}

export interface Kills {
  /** How many threads die in one schedule. Default 1. */
  readonly max?: number;
  /** Who may die, by name. Default: everybody. */
  readonly threads?: readonly string[];
  /** How often the reaper dies as well and is started again. Default 0. */
  readonly reaper?: number;
}

export interface Races {
  /**
   * Fields on which races are meant, by type (`"Sample.at"`) or by path (`"history[*].at"`, `"queues[0].slots"`); a field includes all
   * below it. Plain accesses to them may tear: one of more than 32 bits becomes several steps.
   */
  readonly allow: readonly string[];
}

export interface Limits {
  /** Loop iterations between two accesses to the vVAR. Default 2 000 000. */
  readonly fuel?: number;
  /** States that each search may visit where the specification names no strategy, before the next one is tried. Default 2 000 000. */
  readonly states?: number;
  /** Steps of one random schedule. Default 5 000. */
  readonly steps?: number;
}

/** Bytes of an image, or the API library that carries them. */
export type ImageSource<Api = unknown> = Uint8Array | { image(): Uint8Array; bind(runtime: never): Api };

/** Follows a run and says when it stops being explainable; made by {@link linearizable}. */
export interface HistoryRule {
  readonly model: new () => object;
}

export interface CheckSpec<Api = AnyApi, Vvar = VvarStruct> {
  /** The image to check, as it is shipped. */
  readonly image: ImageSource<Api>;
  /** Source map of the build, as JSON text: reports then name the author's lines. */
  readonly sourceMap?: string;
  /** Calls before the threads start, on the kernel's instance, after `init()`. */
  readonly setup?: ThreadBody<Api>;
  readonly threads: Readonly<Record<string, ThreadBody<Api> | ThreadSpec<Api>>>;
  /** Implementations of the image's interfaces for every thread. */
  readonly host?: HostImplementations;
  /** What must hold in every state. */
  readonly safety?: SafetyPredicate<Vvar> | HistoryRule | readonly (SafetyPredicate<Vvar> | HistoryRule)[];
  /** What must stay reachable. Default: `[survivorsFinish()]`. */
  readonly goals?: readonly Goal<Vvar>[];
  readonly kills?: Kills;
  /** Default: every race is an error. `false`: races are not looked for. */
  readonly races?: Races | false;
  /** Can waits time out? Default true; `false` treats them as endless, so that a lost wake-up is not hidden by a time-out. */
  readonly timeouts?: boolean;
  /** Says of a panic that it is part of the game: the thread then counts as dead, and is reaped. Default: every panic is a failure. */
  readonly expectPanic?: (panic: Panic) => boolean;
  /** Default: exhaustive, and where that is too large, bounded and then sampled. */
  readonly strategy?: Strategy | readonly Strategy[];
  readonly limits?: Limits;
  /**
   * Does the exhaustive search leave out steps that it shows to lead nowhere else? Default true; `false` follows every step of every
   * schedule, to compare.
   */
  readonly reduce?: boolean;
}
