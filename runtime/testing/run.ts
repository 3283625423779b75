/** Runs a function in processes of a kernel of its own, and leaves nothing behind. */
import { generator } from "../check/random.ts";
import { VdsoError } from "../errors.ts";
import { decodeVvar, type VvarValue } from "../image/decode.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { Kernel } from "../kernel/kernel.ts";
import type { LogLine } from "../kernel/log.ts";
import type { Process } from "../kernel/process.ts";
import type { Platform } from "../platform/platform.ts";
import { type ExitStatus, fromPortable } from "../platform/protocol.ts";
import { selectPlatform } from "../platform/select.ts";
import { type DumpedImage, dump } from "./dump.ts";
import {
  absoluteUrl,
  checkClonable,
  checkOptions,
  type InlineOptions,
  type KillOptions,
  type ModuleOptions,
  type RunOptions,
  workOf,
} from "./options.ts";
import { type ProcessData, type Report, SHARED, type Work } from "./protocol.ts";
import { createRecord, type Note, readRecord } from "./record.ts";

const TIMEOUT_MS = 4000;
const MAX_KILL_DELAY_MS = 20;
/** How long processes may take to end once their functions have returned. */
const LINGER_MS = 1000;

/** Timers that should wait longer fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

const entry = new URL(import.meta.url.endsWith(".ts") ? "./entry.ts" : "./entry.js", import.meta.url);

/** The end of a process. */
export interface Exit extends ExitStatus {
  readonly index: number;
  readonly incarnation: number;
  readonly pid: number;
  /** What it noted last. */
  readonly note: Note | undefined;
}

/** What a run leaves. */
export interface Run<Result> {
  /** What the functions returned, by index. Processes that were killed and not started again, or that failed, have none. */
  readonly results: Result[];
  /** Every process that ended, in that order. */
  readonly exits: readonly Exit[];
  /** Those that were killed before their function returned, in that order: {@link Exit.note} shows in what. */
  readonly kills: readonly Exit[];
  /** What chose whom to kill and when. The rest is up to the machine: the same seed does not kill at the same instruction. */
  readonly seed: number;
  /** What the images logged. */
  readonly lines: readonly LogLine[];
  /**
   * The vVAR of an image at the end, or what stands at `path` in it.
   *
   * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - the run had no such image.
   * @throws VdsoError `ERR_VDSO_FIELD` - `path` leads to no field.
   */
  vvar(name: string, path?: string): VvarValue;
}

/**
 * Starts processes, calls a function in each of them at the same time, and resolves with what those returned.
 *
 * However it ends, its processes have ended.
 *
 * @throws VdsoError `ERR_VDSO_TEST_FAILED` - a function threw, or its process ended before it returned; `cause` has the error.
 * @throws VdsoError `ERR_VDSO_TEST_TIMEOUT` - functions did not return in time; the message says what each process was doing and what the
 * vVARs hold.
 * @throws VdsoError `ERR_VDSO_TEST_FUNCTION` - there is no such function.
 * @throws VdsoError `ERR_VDSO_TEST_RESULT` - as `cause`: a function returned what cannot be sent.
 * @throws VdsoError `ERR_VDSO_OPTION` - an option has a value that it cannot have.
 * @throws VdsoError `ERR_VDSO_MODULE_NOT_FOUND`, `ERR_VDSO_MODULE_LOAD` - the module is missing, or failed while loading.
 * @throws VdsoError - whatever `Kernel.boot` refuses.
 * @throws the signal's reason when that fires; what `setup` throws.
 */
export async function runProcesses<Result, Args = undefined, Setup = undefined>(
  options: InlineOptions<Result, Args, Setup>,
): Promise<Run<Result>>;
export async function runProcesses<Result = unknown>(options: ModuleOptions): Promise<Run<Result>>;
export async function runProcesses(options: RunOptions): Promise<Run<unknown>> {
  checkOptions(options);
  const work = workOf(options);
  options.signal?.throwIfAborted();
  const urls: string[] = [];
  const vdsos = await Promise.all(
    (options.vdsos ?? []).map(async (each) => {
      if (typeof each === "object" && !(each instanceof URL)) return each;
      const url = absoluteUrl("vdsos", each);
      urls.push(url);
      return ((await import(url)) as { default: VdsoLibrary }).default;
    }),
  );
  const lines: LogLine[] = [];
  const log = (line: LogLine): void => {
    lines.push(line);
    options.log?.(line);
  };
  const { host, logLevel } = options;
  const kernel = await Kernel.boot({ vdsos, log, ...(host && { host }), ...(logLevel && { logLevel }) });
  try {
    const images = vdsos.map((library) => kernel.mapping(library));
    const session = new Session(kernel, await selectPlatform(), options, { work, urls, images, lines });
    return await session.run();
  } finally {
    await kernel.shutdown({ timeoutMs: 0 });
  }
}

/** The place of a process; after a kill another one may take it. */
interface Seat {
  readonly index: number;
  incarnation: number;
  pid: number | undefined;
  record: SharedArrayBuffer;
  state: "starting" | "running" | "returned" | "failed" | "killed";
  /** Has the run asked for its end? */
  killing: boolean;
  result: unknown;
  error: { readonly refused: boolean; readonly error: Error } | undefined;
  status: ExitStatus | undefined;
}

interface Material {
  readonly work: Work;
  readonly urls: readonly string[];
  readonly images: readonly DumpedImage[];
  readonly lines: readonly LogLine[];
}

class Session {
  readonly #kernel: Kernel;
  readonly #platform: Platform;
  readonly #options: RunOptions;
  readonly #material: Material;
  readonly #seats: Seat[];
  readonly #shared = new Int32Array(new SharedArrayBuffer(SHARED.count * Int32Array.BYTES_PER_ELEMENT));
  readonly #exits: Exit[] = [];
  readonly #kills: Exit[] = [];
  readonly #seed: number;
  /** Resolves when every seat is settled, rejects with what ends the run before. */
  readonly #done = Promise.withResolvers<void>();
  #over = false;
  /** Wakes whoever waits for somebody to kill. */
  #changed = Promise.withResolvers<void>();
  #setup: unknown;

  constructor(kernel: Kernel, platform: Platform, options: RunOptions, material: Material) {
    this.#kernel = kernel;
    this.#platform = platform;
    this.#options = options;
    this.#material = material;
    Atomics.store(this.#shared, SHARED.killsLeft, options.kills?.count ?? 0);
    this.#seed = options.kills?.seed ?? Math.floor(Math.random() * 2 ** 31);
    this.#seats = Array.from({ length: options.processes }, (_, index) => ({
      index,
      incarnation: 0,
      pid: undefined,
      record: createRecord(),
      state: "starting",
      killing: false,
      result: undefined,
      error: undefined,
      status: undefined,
    }));
  }

  async run(): Promise<Run<unknown>> {
    const { signal, timeoutMs = TIMEOUT_MS } = this.#options;
    const abort = (): void => this.#fail(signal?.reason);
    signal?.addEventListener("abort", abort);
    // It may have fired while the kernel booted.
    if (signal?.aborted) abort();
    const timer =
      timeoutMs <= MAX_TIMER_MS ? setTimeout(() => this.#fail(this.#late(timeoutMs)), timeoutMs) : undefined;
    try {
      void this.#begin().catch((error: unknown) => this.#fail(error));
      await this.#done.promise;
      await this.#kernel.shutdown({ timeoutMs: LINGER_MS });
    } finally {
      this.#over = true;
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
    this.#refuseLateErrors();
    return {
      results: this.#seats.filter(({ state }) => state === "returned").map(({ result }) => result),
      exits: this.#exits,
      kills: this.#kills,
      seed: this.#seed,
      lines: this.#material.lines,
      vvar: (name, path) => this.#vvar(name, path),
    };
  }

  async #begin(): Promise<void> {
    if (this.#over) return;
    this.#setup = await this.#options.setup?.(this.#kernel);
    checkClonable("what setup returned", this.#setup);
    if (this.#over) return;
    for (const seat of this.#seats) this.#start(seat);
    const { kills } = this.#options;
    if (kills !== undefined) await this.#kill(kills);
  }

  #start(seat: Seat): void {
    const { port1, port2 } = new MessageChannel();
    const { args, processes, trace = false, stdout = "inherit", stderr = "inherit" } = this.#options;
    const { index, incarnation, record } = seat;
    const { work, urls } = this.#material;
    const data: ProcessData = {
      port: port2,
      record,
      shared: this.#shared,
      work,
      libraries: urls,
      trace,
      index,
      processes,
      incarnation,
      args,
      setup: this.#setup,
    };
    port1.onmessage = ({ data: report }: MessageEvent<Report>) => this.#receive(seat, report);
    const name = `process ${index}`;
    this.#kernel.spawn(entry, { name, data, transfer: [port2], stdout, stderr }).then(
      (child) => {
        seat.pid = child.pid;
        void child.exited.then((status) => {
          // The exit may overtake the last report.
          for (const report of this.#platform.drain(port1)) this.#receive(seat, report as Report);
          port1.close();
          this.#ended(seat, child, status);
        });
      },
      (error: unknown) => {
        port1.close();
        this.#fail(error);
      },
    );
  }

  #receive(seat: Seat, report: Report): void {
    switch (report.kind) {
      case "loaded":
        seat.state = "running";
        break;
      case "result":
        seat.state = "returned";
        seat.result = report.value;
        break;
      case "error":
        // Judged when the process has ended: a panic is told apart there.
        seat.error = { refused: report.refused, error: fromPortable(report.error) };
    }
    this.#proceed();
  }

  #ended(seat: Seat, child: Process, status: ExitStatus): void {
    const { index, incarnation, error } = seat;
    // The function's own error says more than the exit that it led to; a panic says most.
    const cause = status.reason === "panic" ? status.error : (error?.error ?? status.error);
    const note = readRecord(seat.record);
    const exit: Exit = { ...status, ...(cause && { error: cause }), index, incarnation, pid: child.pid, note };
    this.#exits.push(exit);
    seat.status = exit;
    if (seat.state === "returned" || this.#over) return;
    if (error?.refused) {
      this.#fail(error.error);
    } else if (seat.killing && status.reason === "killed" && error === undefined) {
      this.#kills.push(exit);
      Atomics.sub(this.#shared, SHARED.killsLeft, 1);
      seat.state = "killed";
      if (this.#options.kills?.respawn) {
        Object.assign(seat, {
          state: "starting",
          incarnation: incarnation + 1,
          pid: undefined,
          killing: false,
          status: undefined,
          record: createRecord(),
        });
        this.#start(seat);
      }
    } else {
      seat.state = "failed";
      if (!this.#options.allowFailures) this.#fail(this.#failure(exit));
    }
    this.#proceed();
  }

  /** After each change of a seat. */
  #proceed(): void {
    if (this.#seats.every(({ state }) => state !== "starting")) {
      Atomics.store(this.#shared, SHARED.gate, 1);
      Atomics.notify(this.#shared, SHARED.gate);
    }
    if (this.#settled()) this.#done.resolve();
    this.#notify();
  }

  #settled(): boolean {
    return this.#seats.every(({ state }) => state !== "starting" && state !== "running");
  }

  #notify(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  #fail(error: unknown): void {
    this.#over = true;
    this.#done.reject(error);
    this.#notify();
  }

  /** Ends processes, until there were enough or nobody is left. */
  async #kill({
    count,
    minDelayMs = 0,
    maxDelayMs = Math.max(minDelayMs, MAX_KILL_DELAY_MS),
  }: KillOptions): Promise<void> {
    const random = generator(this.#seed);
    while (this.#kills.length < count) {
      const victim = await this.#victim(random());
      const delayMs = minDelayMs + random() * (maxDelayMs - minDelayMs);
      await this.#pause(delayMs);
      if (victim === undefined || this.#over) return;
      if (victim.state !== "running" || victim.error !== undefined) continue;
      victim.killing = true;
      try {
        await this.#kernel.kill(victim.pid!);
      } catch (error) {
        // It has ended by itself meanwhile.
        if ((error as { code?: unknown }).code !== "ERR_VDSO_NO_PROCESS") throw error;
      }
    }
  }

  /** Shorter when the run is over: a timer would keep the program alive. */
  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, Math.min(ms, MAX_TIMER_MS));
    this.#done.promise.then(resolve, resolve);
    await promise;
    clearTimeout(timer);
  }

  /**
   * A process whose function runs; waits until it does. Nobody when the run is over.
   *
   * @param choice - 0 to 1. Chooses among all that have not returned, whether they run yet or not: the same seed chooses the same.
   */
  async #victim(choice: number): Promise<Seat | undefined> {
    while (!this.#over) {
      const left = this.#seats.filter(({ state }) => state === "starting" || state === "running");
      const chosen = left[Math.floor(choice * left.length)];
      // At the gate there is nothing to interrupt.
      if (chosen === undefined || (chosen.state === "running" && Atomics.load(this.#shared, SHARED.gate) === 1))
        return chosen;
      await this.#changed.promise;
    }
    return undefined;
  }

  #late(timeoutMs: number): VdsoError {
    const missing = this.#seats.filter(({ state }) => state === "starting" || state === "running").length;
    return new VdsoError(
      "ERR_VDSO_TEST_TIMEOUT",
      `expected the functions of ${this.#seats.length} processes to return within ${timeoutMs} ms, found ${missing} that did not\n` +
        this.#dump(),
    );
  }

  #failure({ index, reason, code, error: cause }: Exit): VdsoError {
    const what =
      cause === undefined ? `ended (${reason}, code ${code}) before its function returned` : `failed: ${cause.message}`;
    return new VdsoError("ERR_VDSO_TEST_FAILED", `process ${index} ${what}\n${this.#dump()}`, { cause });
  }

  /** Functions may leave timers and promises behind that fail after they have returned. */
  #refuseLateErrors(): void {
    if (this.#options.allowFailures) return;
    const failed = this.#exits.find(
      ({ index, error }) => error !== undefined && this.#seats[index]!.state === "returned",
    );
    if (failed !== undefined) throw this.#failure(failed);
  }

  #dump(): string {
    const processes = this.#seats.map((seat) => ({ ...seat, state: stateText(seat), note: readRecord(seat.record) }));
    const { images, lines } = this.#material;
    const seed = this.#options.kills === undefined ? "" : `\nkills: ${this.#kills.length}, seed ${this.#seed}`;
    return dump(processes, images, lines) + seed;
  }

  #vvar(name: string, path = ""): VvarValue {
    const { images } = this.#material;
    const image = images.find(({ manifest }) => manifest.name === name);
    if (image !== undefined) return decodeVvar(image.manifest, image.memory, { path });
    const names = images.map(({ manifest }) => manifest.name).join(", ") || "none";
    throw new VdsoError("ERR_VDSO_NOT_MAPPED", `vvar: expected an image of the run (${names}), found ${name}`);
  }
}

function stateText({ state, status, pid }: Seat): string {
  if (pid === undefined) return "not started";
  return status === undefined || state === "starting" ? state : `${state} (${status.reason}, code ${status.code})`;
}
