/**
 * Runs the instrumented image: one instance for all threads of a check, because a thread's private state is data that is put in before a run
 * and taken out after it. A run ends at the next access to the vVAR, when the call returns, or when the thread dies.
 */
import { formatSite, VdsoError } from "../errors.ts";
import { type Manifest, START_EXPORT } from "../image/manifest.ts";
import { HEADER_BYTES, type Raw } from "../image/scalars.ts";
import { type AccessSite, Bulk, Kind } from "./accesses.ts";
import { combine, combined, type DirectVvar } from "./arithmetic.ts";
import { Codec } from "./codec.ts";
import { DirtyPages } from "./dirty-pages.ts";
import { type Instrumented, STACK_MEMORY, STACK_PAGES } from "./instrument.ts";
import { FUEL_EXPORT, GLOBAL_EXPORT } from "./outline.ts";
import type { HostImplementations, Panic } from "./spec.ts";
import { Mode, RECORD_BYTES } from "./suspend/frame.ts";
import { BlobSet } from "./tables.ts";
import { show } from "./values.ts";

/** Word of the header that fences read, modify and write. */
const FENCE_WORD = 64;
/** Words of the record in front of the saved stack. */
const MODE = 0;
const TOP = 1;
/** Of a saved state: bytes of stack, number of pages, top of the arguments, host objects that the call was given. */
const STATE_HEADER = 16;

/** How a run ended. */
export const Outcome = { suspended: 0, returned: 1, stopped: 2 } as const;
export type Outcome = (typeof Outcome)[keyof typeof Outcome];

/** Why a thread cannot go on. */
export interface Stop {
  readonly kind: "panic" | "trap" | "outside" | "endless";
  readonly message: string;
  readonly panic?: Panic;
  /** Access that was about to happen, if one did it. */
  readonly site?: number;
  readonly address?: number;
}

class StopSignal extends Error {
  readonly stop: Stop;
  constructor(stop: Stop) {
    super(stop.message);
    this.stop = stop;
  }
}

/** An access that a thread is about to make. */
export interface Pending {
  site: number;
  address: number;
  /** Bytes it touches. */
  length: number;
  aLow: number;
  aHigh: number;
  bLow: number;
  bHigh: number;
  /** Bytes to write, of a bulk access. */
  data: Uint8Array;
}

const NO_DATA = new Uint8Array(0);

export interface VmOptions {
  /** Loop iterations in one run. */
  readonly fuel: number;
  /** First byte behind the layout. */
  readonly vvarEnd: number;
}

export class Vm {
  private readonly manifest: Manifest;
  private readonly sites: readonly AccessSite[];
  private readonly options: VmOptions;
  private readonly exports: Record<string, CallableFunction>;
  private readonly zeros = new Map<string, readonly Raw[]>();
  private readonly memory: Uint8Array;
  private readonly stack: Uint8Array;
  private readonly stackRecord: Int32Array;
  private readonly globals: WebAssembly.Global[];
  private readonly fuel: WebAssembly.Global;
  private readonly dirty: DirtyPages;
  /** Pages of the private memory that differ from the start at this moment. */
  private dirtyNow: number[] = [];
  private readonly pageContents = new BlobSet();
  private readonly codec: Codec;
  private readonly handleOf = new Map<string, number>();
  private readonly objects: object[] = [];

  private scratch = new Uint8Array(1024);
  private scratchView = new DataView(this.scratch.buffer);
  private returnedRaw: Raw | undefined;
  private accesses = 0;
  private direct: DirectVvar | undefined;
  private host: HostImplementations = {};
  private threadName = "";
  private handleOwner = "";
  private handlePosition = 0;
  private siteArguments: (number | bigint | boolean)[] = [];
  private injectLow = 0;
  private injectHigh = 0;
  private injectData: Uint8Array = NO_DATA;

  /** The access that the thread stands before; valid after {@link Outcome.suspended}. */
  readonly pending: Pending = {
    site: 0,
    address: 0,
    length: 0,
    aLow: 0,
    aHigh: 0,
    bLow: 0,
    bHigh: 0,
    data: NO_DATA,
  };
  /** Result of the call; valid after {@link Outcome.returned}. */
  result: unknown;
  /** Valid after {@link Outcome.stopped}. */
  stop: Stop = { kind: "trap", message: "" };
  /** How often WebAssembly was entered. */
  runs = 0;

  constructor(instrumented: Instrumented, manifest: Manifest, options: VmOptions) {
    this.manifest = manifest;
    this.sites = instrumented.sites;
    this.options = options;
    const instance = new WebAssembly.Instance(instrumented.module, this.imports(instrumented.module));
    this.exports = instance.exports as Record<string, CallableFunction>;
    const memory = instance.exports["memory"] as WebAssembly.Memory;
    this.memory = new Uint8Array(memory.buffer);
    const stackMemory = instance.exports[STACK_MEMORY] as WebAssembly.Memory;
    this.stack = new Uint8Array(stackMemory.buffer);
    this.stackRecord = new Int32Array(stackMemory.buffer, 0, 2);
    this.globals = Array.from(
      { length: instrumented.mutableGlobals },
      (_, index) => instance.exports[GLOBAL_EXPORT + index] as WebAssembly.Global,
    );
    this.fuel = instance.exports[FUEL_EXPORT] as WebAssembly.Global;
    this.dirty = new DirtyPages(memory);
    this.codec = new Codec(manifest, memory, {
      lend: (object) => this.lend(object),
      object: (handle) => this.objects[handle - 1],
    });
  }

  /** Is there an export of this name? */
  hasExport(name: string): boolean {
    return this.codec.has(name) && typeof this.exports[name] === "function";
  }

  exportNames(): readonly string[] {
    return this.manifest.exports.map((fn) => fn.name);
  }

  /** Who runs now: for messages, and for calls into the host. */
  enter(threadName: string, host: HostImplementations): void {
    this.threadName = threadName;
    this.host = host;
  }

  /**
   * Starts a call on the private state that is loaded.
   *
   * @param key - text that is the same for the same call, and in all of it; gives host objects their handles.
   */
  call(name: string, args: readonly unknown[], key: string): Outcome {
    this.handleOwner = key;
    this.handlePosition = 0;
    const raw = this.codec.encodeArguments(name, args);
    this.accesses = 0;
    return this.run(name, raw);
  }

  /** Goes on behind the access that the loaded state stands before, which yielded this value (or these bytes). */
  resume(name: string, key: string, low: number, high: number, data: Uint8Array | undefined): Outcome {
    this.handleOwner = key;
    this.injectLow = low;
    this.injectHigh = high;
    this.injectData = data ?? NO_DATA;
    this.stackRecord[MODE] = Mode.returning;
    this.accesses = 1;
    return this.run(name, this.noArguments(name));
  }

  /** Is the pending access the first of its call? */
  get atFirstAccess(): boolean {
    return this.accesses === 1;
  }

  /** Has the call that ended accessed the vVAR? */
  get accessed(): boolean {
    return this.accesses > 0;
  }

  /**
   * Runs a whole call on a vVAR that nobody else uses.
   *
   * @throws VdsoError `ERR_VDSO_CHECK_SETUP` - it panicked, trapped, or would have slept.
   */
  callDirect(vvar: DirectVvar, name: string, args: readonly unknown[]): unknown {
    this.direct = vvar;
    try {
      if (this.call(name, args, `setup ${name}`) === Outcome.stopped) {
        throw new VdsoError("ERR_VDSO_CHECK_SETUP", `${this.threadName}: ${name}() failed: ${this.stop.message}`);
      }
      return this.result;
    } finally {
      this.direct = undefined;
    }
  }

  /**
   * Runs the initialisers of private data, as every instance does before anything else.
   *
   * @throws VdsoError `ERR_VDSO_CHECK_SETUP` - one of them failed.
   */
  initialize(vvar: DirectVvar): void {
    if (typeof this.exports[START_EXPORT] !== "function") return;
    this.direct = vvar;
    try {
      if (this.enterImage(START_EXPORT, []) === Outcome.stopped) {
        throw new VdsoError("ERR_VDSO_CHECK_SETUP", `${this.threadName}: initialisation failed: ${this.stop.message}`);
      }
    } finally {
      this.direct = undefined;
    }
  }

  private noArguments(name: string): readonly Raw[] {
    let zeros = this.zeros.get(name);
    if (!zeros) {
      // A function that is entered again takes its locals, and parameters are locals, from the saved stack.
      const { params } = this.manifest.exports.find((fn) => fn.name === name)!;
      zeros = params.map((param) => (param.type === "u64" || param.type === "i64" ? 0n : 0));
      this.zeros.set(name, zeros);
    }
    return zeros;
  }

  private run(name: string, raw: readonly Raw[]): Outcome {
    const outcome = this.enterImage(name, raw);
    if (outcome !== Outcome.returned) return outcome;
    this.result = this.codec.decodeResult(name, this.returnedRaw);
    this.codec.wipe();
    return outcome;
  }

  private enterImage(name: string, raw: readonly Raw[]): Outcome {
    this.runs++;
    this.siteArguments = [];
    this.fuel.value = this.options.fuel;
    try {
      this.returnedRaw = (this.exports[name] as (...args: readonly Raw[]) => Raw | undefined)(...raw);
    } catch (error) {
      this.stop = this.explain(error);
      return Outcome.stopped;
    }
    if (this.stackRecord[MODE] !== Mode.leaving) return Outcome.returned;
    this.stackRecord[MODE] = Mode.running;
    return Outcome.suspended;
  }

  private explain(error: unknown): Stop {
    const leaving = this.stackRecord[MODE] === Mode.leaving;
    this.stackRecord[MODE] = Mode.running;
    if (leaving && error instanceof WebAssembly.RuntimeError) {
      const message = `the calls that it is in take more than ${STACK_PAGES * 64} KiB to save: a recursion without end?`;
      return { kind: "endless", message };
    }
    if (error instanceof StopSignal) return error.stop;
    if (error instanceof VdsoError) throw error;
    if (error instanceof WebAssembly.RuntimeError || error instanceof RangeError) {
      return { kind: "trap", message: error.message };
    }
    return { kind: "trap", message: `a host function threw: ${error instanceof Error ? error.message : show(error)}` };
  }

  /** The private state as bytes; a view that the next save overwrites. */
  save(suspended: boolean): Uint8Array {
    this.dirty.scan();
    this.dirtyNow = this.dirty.pages.slice();
    const stackBytes = suspended ? this.stackRecord[TOP]! - RECORD_BYTES : 0;
    const pages = this.dirtyNow.length;
    const length = STATE_HEADER + this.globals.length * 8 + pages * 8 + stackBytes;
    if (length > this.scratch.length) {
      this.scratch = new Uint8Array(length * 2);
      this.scratchView = new DataView(this.scratch.buffer);
    }
    const view = this.scratchView;
    view.setInt32(0, stackBytes, true);
    view.setInt32(4, pages, true);
    // Behind a call both begin anew.
    view.setInt32(8, suspended ? this.codec.top : 0, true);
    view.setInt32(12, suspended ? this.handlePosition : 0, true);
    let at = STATE_HEADER;
    for (const global of this.globals) {
      const value = global.value as Raw;
      if (typeof value === "bigint") view.setBigInt64(at, value, true);
      else view.setFloat64(at, value, true);
      at += 8;
    }
    for (const page of this.dirtyNow) {
      view.setInt32(at, page, true);
      view.setInt32(at + 4, this.pageContents.add(this.dirty.content(page)), true);
      at += 8;
    }
    this.scratch.set(this.stack.subarray(RECORD_BYTES, RECORD_BYTES + stackBytes), at);
    return this.scratch.subarray(0, length);
  }

  /** Puts a private state in. */
  load(state: Uint8Array): void {
    const view = new DataView(state.buffer, state.byteOffset, state.length);
    const stackBytes = view.getInt32(0, true);
    const pages = view.getInt32(4, true);
    this.codec.top = view.getInt32(8, true);
    this.handlePosition = view.getInt32(12, true);
    let at = STATE_HEADER;
    for (const global of this.globals) {
      global.value = typeof global.value === "bigint" ? view.getBigInt64(at, true) : view.getFloat64(at, true);
      at += 8;
    }
    for (const page of this.dirtyNow) this.dirty.restore(page);
    this.dirtyNow = [];
    for (let left = pages; left > 0; left--) {
      const page = view.getInt32(at, true);
      this.dirtyNow.push(page);
      this.dirty.set(page, this.pageContents.get(view.getInt32(at + 4, true)));
      at += 8;
    }
    this.stack.set(state.subarray(at, at + stackBytes), RECORD_BYTES);
    this.stackRecord[TOP] = RECORD_BYTES + stackBytes;
  }

  private lend(object: object): number {
    const key = `${this.handleOwner} #${this.handlePosition++}`;
    let handle = this.handleOf.get(key);
    if (handle === undefined) {
      handle = this.objects.push(object);
      this.handleOf.set(key, handle);
    }
    return handle;
  }

  // The access hooks. Each is called twice: once when the access is about to happen, and suspends the thread; once more when the thread
  // goes on, and returns what the access yielded.

  private suspend(site: number, address: number, length: number): void {
    const { pending } = this;
    pending.site = site;
    pending.address = address;
    pending.length = length;
    pending.aLow = pending.aHigh = pending.bLow = pending.bHigh = 0;
    pending.data = NO_DATA;
    this.accesses++;
    this.stackRecord[MODE] = Mode.leaving;
    this.stackRecord[TOP] = RECORD_BYTES;
  }

  /** Is this hook called because the thread goes on behind it? */
  private arrives(): boolean {
    if (this.stackRecord[MODE] === Mode.running) return false;
    this.stackRecord[MODE] = Mode.running;
    return true;
  }

  /** Effective address of an access, after the checks that the engine would make, and some that it cannot. */
  private locate(operand: number, site: AccessSite, index: number, length: number): number {
    const address = (operand >>> 0) + site.offset;
    const end = address + length;
    const outside = (message: string): StopSignal =>
      new StopSignal({ kind: "outside", message: `${site.op} ${message}`, site: index, address });
    if (end > this.options.vvarEnd) {
      throw outside(`reaches byte ${end - 1} of the vVAR, but its layout ends at ${this.options.vvarEnd}`);
    }
    if (length > 0 && address < HEADER_BYTES) {
      throw outside(`reaches byte ${address} of the vVAR, which is in its header: a null pointer?`);
    }
    if (site.atomic && address % site.size !== 0) {
      throw outside(`at ${address} is not aligned to ${site.size} bytes, as atomic accesses have to be`);
    }
    return address;
  }

  private readonly load32 = (operand: number, index: number): number => {
    if (this.arrives()) return this.injectLow;
    const site = this.sites[index]!;
    const address = this.locate(operand, site, index, site.size);
    if (this.direct) return this.direct.read(address, site.size);
    this.suspend(index, address, site.size);
    return 0;
  };

  private readonly load64 = (operand: number, index: number): bigint => {
    if (this.arrives()) return join(this.injectLow, this.injectHigh);
    const site = this.sites[index]!;
    const address = this.locate(operand, site, index, 8);
    if (this.direct) return join(this.direct.read(address, 8), this.direct.high);
    this.suspend(index, address, 8);
    return 0n;
  };

  /** Stores, read-modify-writes and compare-exchanges. Returns the low half of the old value, the high half in `injectHigh`. */
  private modify(operand: number, index: number, aLow: number, aHigh: number, bLow: number, bHigh: number): number {
    if (this.arrives()) return this.injectLow;
    const site = this.sites[index]!;
    // A fence is a read-modify-write that changes nothing of a header word. No yield point: all accesses are sequentially consistent here.
    if (site.kind === Kind.or && (operand >>> 0) + site.offset === FENCE_WORD) return 0;
    const address = this.locate(operand, site, index, site.size);
    if (this.direct) {
      const low = this.direct.read(address, site.size);
      const { high } = this.direct;
      if (combine(site.kind, site.size, low, high, aLow, aHigh, bLow, bHigh)) {
        this.direct.write(address, site.size, combined.low, combined.high);
      }
      this.injectHigh = high;
      return low;
    }
    this.suspend(index, address, site.size);
    const { pending } = this;
    pending.aLow = aLow;
    pending.aHigh = aHigh;
    pending.bLow = bLow;
    pending.bHigh = bHigh;
    return 0;
  }

  private readonly modify32 = (operand: number, value: number, index: number): number =>
    this.modify(operand, index, value, 0, 0, 0);

  private readonly modify64 = (operand: number, value: bigint, index: number): bigint => {
    const low = this.modify(operand, index, lowHalf(value), highHalf(value), 0, 0);
    return join(low, this.injectHigh);
  };

  private readonly cas32 = (operand: number, expected: number, replacement: number, index: number): number =>
    this.modify(operand, index, expected, 0, replacement, 0);

  private readonly cas64 = (operand: number, expected: bigint, replacement: bigint, index: number): bigint => {
    const { size } = this.sites[index]!;
    const low = this.modify(
      operand,
      index,
      lowHalf(expected),
      highHalf(expected),
      lowHalf(replacement),
      highHalf(replacement),
    );
    // Narrow values are zero-extended, and what was read had no high half.
    return size === 8 ? join(low, this.injectHigh) : BigInt(low >>> 0);
  };

  private waitOn(operand: number, index: number, low: number, high: number, timeout: bigint): number {
    if (this.arrives()) return this.injectLow;
    const site = this.sites[index]!;
    const address = this.locate(operand, site, index, site.size);
    if (this.direct) {
      const found = this.direct.read(address, site.size);
      if (found !== low || (site.size === 8 && this.direct.high !== high)) return 1;
      if (timeout >= 0n) return 2;
      throw new StopSignal({ kind: "endless", message: "it would sleep for ever: nobody else runs during the set-up" });
    }
    this.suspend(index, address, site.size);
    const { pending } = this;
    pending.aLow = low;
    pending.aHigh = high;
    // All that matters of a time-out is whether there is one.
    pending.bLow = timeout < 0n ? -1 : 0;
    return 0;
  }

  private readonly notify = (operand: number, count: number, index: number): number => {
    if (this.arrives()) return this.injectLow;
    const site = this.sites[index]!;
    const address = this.locate(operand, site, index, 4);
    if (this.direct) return 0;
    this.suspend(index, address, 4);
    this.pending.aLow = count;
    return 0;
  };

  private readonly copy = (to: number, from: number, length: number, index: number): void => {
    const site = this.sites[index]!;
    const bytes = length >>> 0;
    const own = site.bulk === Bulk.out ? to >>> 0 : from >>> 0;
    if (this.arrives()) {
      if (site.bulk === Bulk.out) this.memory.set(this.injectData, own);
      return;
    }
    if (site.bulk !== Bulk.within && own + bytes > this.memory.length) {
      throw new StopSignal({
        kind: "trap",
        message: `memory.copy of ${bytes} bytes reaches behind the private memory`,
      });
    }
    const address = this.locate(site.bulk === Bulk.out ? from : to, site, index, bytes);
    const second = site.bulk === Bulk.within ? this.locate(from, site, index, bytes) : 0;
    if (bytes === 0) return;
    if (this.direct) {
      const vvar = this.direct.bytes;
      if (site.bulk === Bulk.within) vvar.copyWithin(address, second, second + bytes);
      else if (site.bulk === Bulk.in) vvar.set(this.memory.subarray(own, own + bytes), address);
      else this.memory.set(vvar.subarray(address, address + bytes), own);
      return;
    }
    this.suspend(index, address, bytes);
    this.pending.aLow = second;
    if (site.bulk === Bulk.in) this.pending.data = this.memory.slice(own, own + bytes);
  };

  private readonly fill = (operand: number, value: number, length: number, index: number): void => {
    if (this.arrives()) return;
    const bytes = length >>> 0;
    const address = this.locate(operand, this.sites[index]!, index, bytes);
    if (bytes === 0) return;
    if (this.direct) {
      this.direct.bytes.fill(value, address, address + bytes);
      return;
    }
    this.suspend(index, address, bytes);
    this.pending.data = new Uint8Array(bytes).fill(value);
  };

  private imports(module: WebAssembly.Module): WebAssembly.Imports {
    const vvar = {
      load32: this.load32,
      load64: this.load64,
      store32: this.modify32,
      store64: this.modify64,
      rmw32: this.modify32,
      rmw64: this.modify64,
      cas32: this.cas32,
      cas64: this.cas64,
      wait32: (operand: number, expected: number, timeout: bigint, index: number) =>
        this.waitOn(operand, index, expected, 0, timeout),
      wait64: (operand: number, expected: bigint, timeout: bigint, index: number) =>
        this.waitOn(operand, index, lowHalf(expected), highHalf(expected), timeout),
      notify: this.notify,
      copy: this.copy,
      copyOut: this.copy,
      fill: this.fill,
    };
    const take = (value: number | bigint | boolean): void => void this.siteArguments.push(value);
    const number = (value: bigint): number | bigint =>
      value >= -9007199254740991n && value <= 9007199254740991n ? Number(value) : value;
    const vdso = {
      panic: (site: number) => this.panic(site),
      // The log level stays at 0, at which an image makes no lines; what it passes for one is dropped.
      log: () => {
        this.siteArguments = [];
      },
      argI: (value: bigint) => take(number(value)),
      argU: (value: bigint) => take(number(BigInt.asUintN(64, value))),
      argF: (value: number) => take(value),
      argB: (value: number) => take(value !== 0),
      abort: (message: number, file: number, line: number, column: number) => {
        const text = `${this.text(message) || "abort"} (${this.text(file)}:${line}:${column})`;
        throw new StopSignal({ kind: "panic", message: `panic: ${text}` });
      },
      // Handles live as long as the check: use after release is nothing that an interleaving decides.
      retain: () => undefined,
      release: () => undefined,
    };
    const host: Record<string, CallableFunction> = {};
    for (const entry of WebAssembly.Module.imports(module)) {
      if (entry.module === "host") host[entry.name] = this.hostFunction(entry.name);
    }
    const fuel = (): never => {
      const message = `a loop went round ${this.options.fuel} times without an access to the vVAR: it never ends, or the limit "fuel" is too low`;
      throw new StopSignal({ kind: "endless", message });
    };
    return { vvar, vdso, host, check: { fuel } };
  }

  private hostFunction(importName: string): CallableFunction {
    const [interfaceName, name, method] = importName.includes("#")
      ? [...importName.split("#"), true]
      : [...importName.split("."), false];
    return (...raw: Raw[]): Raw | undefined => {
      const target = method ? this.objects[(raw[0] as number) - 1] : this.host[interfaceName as string];
      const fn = (target as Record<string, unknown> | undefined)?.[name as string];
      if (typeof fn !== "function") {
        throw new VdsoError(
          "ERR_VDSO_CHECK_INTERFACE",
          `thread "${this.threadName}" called ${importName}(), for which it has no implementation; give one as \`host\``,
        );
      }
      const args = this.codec.decodeHostArguments(importName, method ? raw.slice(1) : raw);
      return this.codec.encodeHostResult(importName, fn.apply(target, args));
    };
  }

  private panic(index: number): never {
    const site = this.manifest.panics[index];
    const args = this.siteArguments;
    const template = site?.message ?? `panic ${index}`;
    const text = formatSite(template, args);
    const where = site ? ` (${site.file}:${site.line}:${site.column})` : "";
    const panic: Panic = {
      thread: this.threadName,
      template,
      args,
      message: text,
      file: site?.file ?? "",
      line: site?.line ?? 0,
      column: site?.column ?? 0,
    };
    throw new StopSignal({ kind: "panic", message: `panic: ${text}${where}`, panic });
  }

  private text(at: number): string {
    if (at === 0) return "";
    const view = new DataView(this.memory.buffer);
    const bytes = view.getUint32(at - 4, true);
    return new TextDecoder("utf-16le").decode(this.memory.subarray(at, at + bytes));
  }
}

function join(low: number, high: number): bigint {
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

function lowHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value));
}

function highHalf(value: bigint): number {
  return Number(BigInt.asIntN(32, value >> 32n));
}
