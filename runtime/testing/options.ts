/** What a run is given, and what its functions are. */
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { BootOptions, SpawnOptions } from "../kernel/options.ts";
import type { Process } from "../process/index.ts";
import type { Work } from "./protocol.ts";

/** What a function under test is called with. */
export interface TestProcess<Args = unknown, Setup = unknown> {
  /** 0 to `processes - 1`. */
  readonly index: number;
  readonly processes: number;
  /** 0, and one more each time that this process was killed and started again. */
  readonly incarnation: number;
  /** A copy of the run's `args`; shared memory in it is shared. */
  readonly args: Args;
  /** A copy of what the run's `setup` returned. */
  readonly setup: Setup;
  /** How many kills are still to come: functions that work until there is none are there for all of them. */
  killsLeft(): number;
  /** As `current()` of `wasm-vdso/process` returns it. */
  readonly process: Process;
  /**
   * Attaches this process to an image. By name when the function was given inline and cannot import the library; the run has to have
   * its URL then.
   *
   * @throws VdsoError - whatever `attach` of `wasm-vdso/process` refuses.
   */
  attach<Api extends object, Host>(library: VdsoLibrary<Api, Host>, host?: Partial<Host>): Api;
  attach<Api extends object>(name: string, host?: object): Api;
  /** Says what the process is about to do, for the dump of a run that hangs and for the list of kills. The last 300 bytes' worth counts. */
  note(...parts: unknown[]): void;
}

export type TestFunction = (context: TestProcess) => unknown;

export interface KillOptions {
  /** How many kills. Fewer happen when the functions return earlier: see `killsLeft` and `run.kills`. */
  readonly count: number;
  /** Chooses whom and when. Default: random; `run.seed` tells. */
  readonly seed?: number;
  /** Does another process take the place of one that was killed? Default: no. */
  readonly respawn?: boolean;
  /** Shortest time from the choice of a process that runs to its kill. Default: 0. */
  readonly minDelayMs?: number;
  /** Longest such time. Default: 20. */
  readonly maxDelayMs?: number;
}

export interface CommonOptions<Args = unknown, Setup = unknown> extends Omit<BootOptions, "vdsos"> {
  /** API libraries of the images to boot, or the URLs of their modules. Default: none. */
  readonly vdsos?: readonly (VdsoLibrary | URL | string)[];
  /** How many, 1 to 1022. */
  readonly processes: number;
  readonly args?: Args;
  /** Runs in the kernel's thread before the processes start: makes what they need. They get a copy of what it returns. */
  readonly setup?: (kernel: Kernel) => Setup | Promise<Setup>;
  /** After this time the run is given up, with a dump. Default: 4000, just below what test runners allow a test. */
  readonly timeoutMs?: number;
  /** Gives the run up; a test runner's own signal, for instance. */
  readonly signal?: AbortSignal;
  readonly kills?: KillOptions;
  /** Notes every call of an API by itself, before and after. Slows calls down. Default: no. */
  readonly trace?: boolean;
  /** Goes on when a function throws or its process ends: see `run.exits` for their errors. Default: the run fails. */
  readonly allowFailures?: boolean;
  readonly stdout?: Exclude<SpawnOptions["stdout"], "pipe">;
  readonly stderr?: Exclude<SpawnOptions["stderr"], "pipe">;
}

/** The function stands in a module. */
export interface ModuleOptions extends CommonOptions {
  readonly module: string | URL;
  /** Name of the export. Default: `default`. */
  readonly fn?: string;
}

/** The function is sent as text: it sees nothing of the file around it. */
export interface InlineOptions<Result, Args, Setup> extends CommonOptions<Args, Setup> {
  readonly run: (context: TestProcess<Args, Setup>) => Result | Promise<Result>;
}

/** Either form, before it is known which. */
export interface RunOptions extends CommonOptions {
  readonly module?: string | URL;
  readonly fn?: string;
  readonly run?: (context: never) => unknown;
}

const MAX_PROCESSES = 1022;

/** @throws VdsoError `ERR_VDSO_OPTION` - a value that cannot be; the message names what can. */
export function checkOptions(options: RunOptions): void {
  const { processes, timeoutMs, kills } = options;
  checkInteger("processes", processes, 1, MAX_PROCESSES);
  if (timeoutMs !== undefined && !(timeoutMs > 0)) throw refused("timeoutMs", "a positive number", timeoutMs);
  if (kills !== undefined) {
    const { count, respawn = false, minDelayMs = 0, maxDelayMs = Number.POSITIVE_INFINITY } = kills;
    checkInteger("kills.count", count, 0, Number.MAX_SAFE_INTEGER);
    if (!respawn && count > processes) {
      throw refused(
        "kills.count",
        `at most ${processes}, one for each process, because kills.respawn is not set`,
        count,
      );
    }
    if (!(minDelayMs >= 0)) throw refused("kills.minDelayMs", "a number that is not negative", minDelayMs);
    if (!(maxDelayMs >= minDelayMs)) throw refused("kills.maxDelayMs", `at least ${minDelayMs}`, maxDelayMs);
  }
  checkClonable("args", options.args);
}

/** @throws VdsoError `ERR_VDSO_OPTION` - it cannot be sent to another thread. */
export function checkClonable(name: string, value: unknown): void {
  try {
    structuredClone(value);
  } catch (cause) {
    throw new VdsoError("ERR_VDSO_OPTION", `${name}: expected a value that can be sent to a process, found: ${cause}`, {
      cause,
    });
  }
}

/** @throws VdsoError `ERR_VDSO_OPTION` - neither a module nor a function, or both. */
export function workOf(options: RunOptions): Work {
  const { module, fn, run } = options;
  if ((module === undefined) === (run === undefined)) {
    const found = module === undefined ? "neither" : "both";
    throw new VdsoError("ERR_VDSO_OPTION", `expected one of the options module and run, found ${found}`);
  }
  if (module !== undefined) return { kind: "export", url: absoluteUrl("module", module), name: fn ?? "default" };
  if (typeof run !== "function") throw refused("run", "a function", run);
  const source = Function.prototype.toString.call(run);
  if (/\{\s*\[native code\]\s*\}$/.test(source)) throw refused("run", "a function with a source text", source);
  return { kind: "source", source };
}

/** @throws VdsoError `ERR_VDSO_OPTION` - relative: nobody knows to what. */
export function absoluteUrl(name: string, url: string | URL): string {
  const text = String(url);
  if (URL.canParse(text)) return text;
  throw refused(name, 'an absolute URL such as new URL("./worker.js", import.meta.url)', text);
}

function checkInteger(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw refused(name, `a whole number from ${least} to ${most}`, value);
}

function refused(name: string, expected: string, found: unknown): VdsoError {
  return new VdsoError("ERR_VDSO_OPTION", `${name}: expected ${expected}, found ${String(found)}`);
}
