/**
 * One instance of an image in this thread: imports, private memory, panics, log lines, host objects. `attach` makes one for each
 * attachment, `map` one for the kernel's own calls.
 */
import { formatSite, type SiteArgument, type SourceSite, VdsoError, VdsoPanic } from "../errors.ts";
import type { LibraryRuntime, VdsoLibrary } from "../image/library.ts";
import { START_EXPORT } from "../image/manifest.ts";
import type { ImageFacts } from "../image/read.ts";
import type { VdsoHandle } from "./handle.ts";
import { HostObjects } from "./host-objects.ts";
import { consoleLogger, DEFAULT_LOG_LEVEL, type Logger, type LogThreshold, levelNumber } from "./logger.ts";

/** What a process supplies to an image besides its interfaces. */
export interface InstanceOptions {
  /** Name of the process, for the default logger's lines. Default: `pid` and its number. */
  readonly process?: string;
  /** Default: the console. */
  readonly log?: Logger;
  /** Lines below it cost a load and a branch. Default: `info`. */
  readonly logLevel?: LogThreshold;
  /**
   * Told of the panic (or trap) that kills the instance, before the caller gets the error. Must not throw.
   */
  readonly onPanic?: (error: VdsoError) => void;
}

type Implementations = Record<string, Record<string, CallableFunction>>;

/** A site of the runtime's own panics: the author's code has none there. */
const RUNTIME_SITE: SourceSite = { file: "<runtime>", line: 0, column: 0 };

export class Instance implements LibraryRuntime {
  readonly exports: Record<string, CallableFunction>;
  readonly memory: WebAssembly.Memory;
  readonly vvar: SharedArrayBuffer;
  readonly host: Implementations;
  /** Of the image. */
  readonly name: string;
  readonly pid: number;
  dead: VdsoError | undefined;

  readonly #facts: Pick<ImageFacts, "logLevel" | "manifest">;
  readonly #objects = new HostObjects();
  readonly #log: Logger;
  readonly #onPanic: ((error: VdsoError) => void) | undefined;
  /** Arguments for the next panic or log line. */
  #args: SiteArgument[] = [];

  /** @throws VdsoError `ERR_VDSO_INSTANTIATE` - no address space is left for another instance, or the module is not the handle's. */
  constructor(
    library: VdsoLibrary,
    handle: VdsoHandle,
    facts: Pick<ImageFacts, "logLevel" | "manifest">,
    pid: number,
    host: Implementations,
    options: InstanceOptions,
  ) {
    this.name = handle.name;
    this.#facts = facts;
    this.pid = pid;
    this.vvar = handle.memory.buffer as unknown as SharedArrayBuffer;
    this.host = host;
    this.#log = options.log ?? consoleLogger(options.process ?? `pid ${pid}`);
    this.#onPanic = options.onPanic;
    const level = levelNumber(options.logLevel ?? DEFAULT_LOG_LEVEL);
    const imports = { vdso: this.#imports(handle.memory), host: library.imports(this) };
    let exports: WebAssembly.Exports;
    try {
      exports = new WebAssembly.Instance(handle.module, imports as WebAssembly.Imports).exports;
    } catch (cause) {
      throw new VdsoError("ERR_VDSO_INSTANTIATE", `${handle.name}: expected an instance, found: ${String(cause)}`, {
        cause,
      });
    }
    this.memory = exports["memory"] as WebAssembly.Memory;
    // Made at once: V8 makes a hash table of an object that gets more than a dozen members one by one, and each call would look its function up in it.
    this.exports = Object.fromEntries(
      Object.entries(exports).filter(
        (entry): entry is [string, CallableFunction] => typeof entry[1] === "function" && entry[0] !== START_EXPORT,
      ),
    );
    this.setLogLevel(level);
    try {
      (exports[START_EXPORT] as CallableFunction | undefined)?.();
    } catch (error) {
      throw this.trapped(error);
    }
  }

  setLogLevel(level: number): void {
    new DataView(this.memory.buffer).setUint32(this.#facts.logLevel, level, true);
  }

  /** Calls an export with a meaning of its own; does nothing when the image has none of that name. */
  run(name: "init" | "processInit" | "processDrop", ...args: number[]): void {
    try {
      this.exports[name]?.(...args);
    } catch (error) {
      throw this.trapped(error);
    } finally {
      // No API function is on the stack, so whatever is still lent was lent to this call.
      this.#objects.giveBackAll();
    }
  }

  lend(object: unknown, interfaceName: string, methods: readonly string[]): number {
    if ((typeof object !== "object" && typeof object !== "function") || object === null) {
      throw new VdsoError(
        "ERR_VDSO_INTERFACE",
        `${this.name}: expected an object that implements ${interfaceName}, found ${show(object)}`,
      );
    }
    for (const method of methods) {
      const member = (object as Record<string, unknown>)[method];
      if (typeof member !== "function") {
        throw new VdsoError(
          "ERR_VDSO_INTERFACE",
          `${this.name}: expected a function as ${interfaceName}#${method}, found ${show(member)}`,
        );
      }
    }
    return this.#objects.lend(object);
  }

  giveBack(handle: number): void {
    this.#objects.giveBack(handle);
  }

  object(handle: number): Record<string, CallableFunction> {
    const object = this.#objects.get(handle);
    if (object === undefined) throw this.#panic("stale handle {} of a host object", [handle >>> 0], RUNTIME_SITE);
    return object as Record<string, CallableFunction>;
  }

  badArgument(fn: string, parameter: string, expected: string, found: unknown): never {
    const name = this.name;
    if (/[.#]/.test(fn)) {
      throw new VdsoError(
        "ERR_VDSO_HOST_RESULT",
        `${name}: expected ${fn} to return ${expected}${parameter && ` as ${parameter}`}, found ${show(found)}`,
      );
    }
    throw new VdsoError(
      "ERR_VDSO_ARGUMENT",
      `${name}.${fn}: expected ${expected} for ${parameter}, found ${show(found)}`,
    );
  }

  badNull(where: string): never {
    throw new VdsoError("ERR_VDSO_NULL", `${this.name}: expected a value from ${where}, found null`);
  }

  trapped(error: unknown): unknown {
    if (this.dead !== undefined || !isTrap(error)) return error;
    const trap = new VdsoError("ERR_VDSO_TRAP", `${this.name}: expected no trap, found: ${error.message}`, {
      cause: error,
    });
    return this.#die(trap);
  }

  #imports(vvar: WebAssembly.Memory): Record<string, WebAssembly.ImportValue> {
    const vdso = this.name;
    const collect = (value: SiteArgument): void => void this.#args.push(value);
    const take = (): readonly SiteArgument[] => {
      const args = this.#args;
      this.#args = [];
      return args;
    };
    const own = (held: boolean, verb: string, handle: number): void => {
      if (!held) throw this.#panic(`${verb} of a host object by the stale handle {}`, [handle >>> 0], RUNTIME_SITE);
    };
    return {
      vvar,
      panic: (site: number) => {
        const found = this.#facts.manifest().panics[site] ?? { message: `panic ${site}`, ...RUNTIME_SITE };
        throw this.#panic(found.message, take(), found);
      },
      log: (site: number) => {
        const args = take();
        const found = this.#facts.manifest().logs[site];
        if (found) this.#log[found.level]?.(formatSite(found.message, args), { ...found, vdso, args });
      },
      argI: (value: bigint) => collect(compact(value)),
      argU: (value: bigint) => collect(compact(BigInt.asUintN(64, value))),
      argF: collect,
      argB: (value: number) => collect(value !== 0),
      abort: (message: number, file: number, line: number, column: number) => {
        throw this.#panic(this.#text(message), take(), { file: this.#text(file), line, column });
      },
      retain: (handle: number) => own(this.#objects.retain(handle), "retain", handle),
      release: (handle: number) => own(this.#objects.release(handle), "release", handle),
    };
  }

  #panic(template: string, args: readonly SiteArgument[], { file, line, column }: SourceSite): VdsoError {
    return this.#die(new VdsoPanic(this.name, template, args, { file, line, column }));
  }

  /** From here on the process is dead for this image: whatever it held may be half done. */
  #die(error: VdsoError): VdsoError {
    this.dead = error;
    const refuse = (): never => {
      throw new VdsoError(
        "ERR_VDSO_DEAD",
        `${this.name}: expected a live attachment, found one that died: ${error.message}`,
        {
          cause: error,
        },
      );
    };
    for (const name of Object.keys(this.exports)) this.exports[name] = refuse;
    this.#onPanic?.(error);
    return error;
  }

  /** A string of the compiler's own runtime: UTF-16, its length in bytes before it. */
  #text(at: number): string {
    if (at === 0) return "";
    const view = new DataView(this.memory.buffer);
    const length = view.getUint32(at - 4, true) >>> 1;
    return String.fromCharCode(...Array.from({ length }, (_, index) => view.getUint16(at + index * 2, true)));
  }
}

/** Something that ended WebAssembly code in the middle: a trap, or the stack's end. */
function isTrap(error: unknown): error is Error {
  if (error instanceof WebAssembly.RuntimeError) return true;
  // V8 and JavaScriptCore throw a RangeError, SpiderMonkey an InternalError.
  return error instanceof Error && /call stack|too much recursion/.test(error.message) && error.name !== "Error";
}

const compact = (value: bigint): SiteArgument =>
  value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value;

/** A value as an error message shows it: short, and without calling into it. */
function show(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "string") return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (typeof value === "bigint") return `${value}n`;
  if (Array.isArray(value)) return "an array";
  if (typeof value === "object") return "an object";
  if (typeof value === "function") return "a function";
  return Object.is(value, -0) ? "-0" : String(value);
}
