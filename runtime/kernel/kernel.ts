/**
 * Boots a system of processes around mapped images, watches over it and takes it down.
 *
 * ```ts
 * import { Kernel } from "wasm-vdso";
 * import example from "./generated/example/example.js";
 *
 * await using kernel = await Kernel.boot({ vdsos: [example] });
 * const worker = await kernel.spawn(new URL("./worker.js", import.meta.url), { name: "worker" });
 * const { code, reason } = await worker.exited;
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { type AttachOptions, checkLibrary } from "../loader/attach.ts";
import { Attachments, notMapped } from "../loader/attachments.ts";
import type { VdsoHandle } from "../loader/handle.ts";
import { type ImageLogLine, lineLogger } from "../loader/log-line.ts";
import { type Mapping, map } from "../loader/map.ts";
import type { Platform, WorkerHandle } from "../platform/platform.ts";
import type { Boot, ExitStatus } from "../platform/protocol.ts";
import { selectPlatform } from "../platform/select.ts";
import { writeLine } from "./log.ts";
import type { AdoptOptions, BootOptions, ShutdownOptions, SpawnOptions } from "./options.ts";
import { KERNEL_PID, PidTable, PROCESS_LIMIT } from "./pid-table.ts";
import { type Process, SupervisedProcess, type Supervisor } from "./process.ts";
import { kernelService } from "./service.ts";

const SHUTDOWN_TIMEOUT_MS = 2000;

type ExitListener = (process: Process, status: ExitStatus) => void;

/** Workers that some kernel of this thread has adopted. */
const adopted = new WeakSet<object>();

export class Kernel implements AsyncDisposable {
  readonly #platform: Platform;
  /** In boot order. */
  readonly #mappings: readonly Mapping[];
  readonly #handles: readonly VdsoHandle[];
  readonly #options: BootOptions & Required<Pick<BootOptions, "log">>;
  readonly #attachments: Attachments;
  readonly #pids = new PidTable();
  readonly #processes = new Map<number, SupervisedProcess>();
  readonly #exitListeners = new Set<ExitListener>();
  readonly #supervisor: Supervisor;
  #closing = false;

  private constructor(
    platform: Platform,
    mappings: readonly Mapping[],
    options: BootOptions & Required<Pick<BootOptions, "log">>,
    own: AttachOptions,
  ) {
    this.#platform = platform;
    this.#mappings = mappings;
    this.#handles = mappings.map(({ handle }) => handle);
    this.#options = options;
    this.#attachments = new Attachments(this.#handles, own);
    this.#supervisor = {
      platform,
      log: ({ pid, name }, line) => this.#options.log({ ...(line as ImageLogLine), pid, process: name }),
      reap: (child, status, ran) => this.#reap(child, status, ran),
      service: () => kernelService(this),
    };
  }

  /**
   * Maps the images: from then on processes can attach to them.
   *
   * @throws VdsoError `ERR_VDSO_DUPLICATE` - two images have the same name.
   * @throws VdsoError `ERR_VDSO_ENGINE` - this engine cannot run images; the message names the version that can.
   * @throws VdsoError - whatever `map` refuses an image for.
   */
  static async boot(options: BootOptions): Promise<Kernel> {
    const names = new Set<string>();
    for (const library of options.vdsos) {
      checkLibrary(library);
      const { name } = library;
      if (names.has(name)) throw new VdsoError("ERR_VDSO_DUPLICATE", `boot: expected one image ${name}, found two`);
      names.add(name);
    }
    const platform = await selectPlatform();
    const { host, logLevel } = options;
    const log = isolated(options.log ?? writeLine);
    const own: AttachOptions = {
      process: "kernel",
      log: lineLogger((line) => log({ ...line, pid: KERNEL_PID, process: "kernel" })),
      ...(logLevel && { logLevel }),
    };
    const mappings = await Promise.all(
      options.vdsos.map((library) => map(library, { ...own, managed: true, host: host?.[library.name] ?? {} })),
    );
    return new Kernel(platform, mappings, { ...options, log }, { ...own, pid: KERNEL_PID });
  }

  /**
   * The kernel's own attachment to an image, as pid 1. A second call returns the same API. A panic in it kills the attachment, not
   * the kernel: further calls throw `ERR_VDSO_DEAD`.
   *
   * @param host - Implementations of the image's interfaces; those given to {@link Kernel.boot} stand in for the rest.
   * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - the kernel was booted without this image.
   * @throws VdsoError `ERR_VDSO_ATTACHED` - `host` was given, but the image is attached already.
   * @throws VdsoError `ERR_VDSO_SHUTDOWN` - the kernel is shutting down.
   * @throws VdsoError - whatever `attach` refuses.
   */
  attach<Api, Host>(library: VdsoLibrary<Api, Host>, host?: Partial<Host>): Api {
    this.#refuseWhenClosing("attach");
    return this.#attachments.attach(library, host as object | undefined, this.#options.host?.[library.name]);
  }

  /**
   * An image as this kernel has mapped it, for tools that look into vVARs, and for workers that no kernel needs to know.
   *
   * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - the kernel was booted without this image.
   */
  mapping(library: VdsoLibrary): Pick<Mapping, "handle" | "manifest" | "memory"> {
    checkLibrary(library);
    const found = this.#mappings.find(({ handle }) => handle.name === library.name);
    if (found !== undefined) return found;
    throw notMapped("mapping", this.#handles, library.name);
  }

  /**
   * Starts a process: a worker that loads the module at `url` and then calls its default export, if that is a function, with the
   * process. Resolves when the module is loaded (its top-level code, `await` included, has run), right before that call; code at the
   * module's top level is therefore the place to attach, the default export the place to work.
   *
   * When it rejects, the worker has ended and nothing of it is left.
   *
   * @throws VdsoError `ERR_VDSO_MODULE_NOT_FOUND` - there is no such module.
   * @throws VdsoError `ERR_VDSO_MODULE_LOAD` - the module, or the process, failed while loading; `cause` has the error.
   * @throws VdsoError `ERR_VDSO_PROCESS_LIMIT` - as many processes exist as pids do.
   * @throws VdsoError `ERR_VDSO_SHUTDOWN` - the kernel is shutting down, or began to while the process started.
   * @throws DataCloneError - `data` has something that cannot be sent, a function for instance.
   * @throws the signal's reason when that fires before the process runs.
   */
  async spawn(url: string | URL, options: SpawnOptions = {}): Promise<Process> {
    const module = absoluteUrl("spawn", url);
    const interfaces = options.interfaces && absoluteUrl("spawn: interfaces", options.interfaces);
    const name = options.name ?? fileName(module);
    const { data } = options;
    return this.#begin(
      "spawn",
      name,
      options.signal,
      { url: module, interfaces, adopted: false, data },
      (boot, transfer) =>
        this.#platform.start(boot, [...transfer, ...(options.transfer ?? [])], {
          name,
          argv: options.argv ?? [],
          env: options.env,
          resourceLimits: options.resourceLimits,
          stdout: options.stdout ?? "inherit",
          stderr: options.stderr ?? "inherit",
        }),
    );
  }

  /**
   * Makes a process of a worker that the application started and that calls `adopted()` of `wasm-vdso/process`. Resolves when it has
   * been reached. From then on the kernel watches over it as over any other; a worker whose adoption fails is terminated, because it
   * may have received its pid already.
   *
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - no worker of this host.
   * @throws VdsoError `ERR_VDSO_ADOPT` - the worker is a process already, has ended, or ended before it called `adopted()`.
   * @throws VdsoError `ERR_VDSO_PROCESS_LIMIT`, `ERR_VDSO_SHUTDOWN`, the signal's reason - as for {@link Kernel.spawn}.
   */
  async adopt(worker: object, options: AdoptOptions = {}): Promise<Process> {
    if (adopted.has(worker)) {
      throw new VdsoError(
        "ERR_VDSO_ADOPT",
        "adopt: expected a worker that no kernel has, found one that was adopted before",
      );
    }
    const name = options.name ?? "adopted";
    return this.#begin("adopt", name, options.signal, { adopted: true }, (boot, transfer) => {
      const handle = this.#platform.adopt(worker, boot, transfer);
      adopted.add(worker);
      return handle;
    });
  }

  /**
   * Terminates a process, between any two instructions. The promise resolves as the process's `exited` does; nobody needs to await it.
   *
   * @throws VdsoError `ERR_VDSO_NO_PROCESS` - no process has this pid, or it has ended.
   */
  kill(pid: number): Promise<ExitStatus> {
    const child = this.#processes.get(pid);
    if (child === undefined) {
      const why = pid === KERNEL_PID ? "that of the kernel, which shutdown() ends" : String(pid);
      throw new VdsoError(
        "ERR_VDSO_NO_PROCESS",
        `kill: expected the pid of a process that has not ended, found ${why}`,
      );
    }
    child.terminate();
    return child.exited;
  }

  /** Every process that has not ended, in the order of their start. The kernel itself, pid 1, is not among them. */
  processes(): Process[] {
    return [...this.#processes.values()];
  }

  /**
   * Calls `listener` for each process that has ended, after every image has cleaned up behind it and before its `exited` resolves. Not
   * for those whose start failed.
   *
   * @returns a function that removes the listener.
   */
  on(event: "exit", listener: ExitListener): () => void {
    if (event !== "exit") throw new VdsoError("ERR_VDSO_ARGUMENT", `on: expected the event "exit", found "${event}"`);
    this.#exitListeners.add(listener);
    return () => void this.#exitListeners.delete(listener);
  }

  /**
   * Asks every process to end, waits, terminates those that have not. Resolves when all have ended and are cleaned up behind. May be
   * called again, with a shorter time for instance. New processes and attachments are refused from the first call on.
   */
  async shutdown({ timeoutMs = SHUTDOWN_TIMEOUT_MS, signal }: ShutdownOptions = {}): Promise<void> {
    this.#closing = true;
    const processes = [...this.#processes.values()];
    for (const child of processes) {
      if (child.state === "starting") child.terminate(closed(child.name));
      else child.requestStop();
    }
    const all = Promise.all(processes.map(({ exited }) => exited));
    if (await expires(all, timeoutMs, signal)) {
      for (const child of this.#processes.values()) {
        this.#options.log({
          level: "warn",
          pid: child.pid,
          process: child.name,
          message: child.answered
            ? "terminated: it knew that it had to end, and did not in time"
            : "terminated: it was asked to end and never got to its event loop to hear it",
        });
        child.terminate();
      }
    }
    await all;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #begin(
    caller: string,
    name: string,
    signal: AbortSignal | undefined,
    module: { url?: string; interfaces?: string | undefined; adopted: boolean; data?: unknown },
    start: (boot: Boot, transfer: readonly Transferable[]) => WorkerHandle,
  ): Promise<Process> {
    this.#refuseWhenClosing(caller);
    signal?.throwIfAborted();
    const pid = this.#pids.allocate();
    if (pid === undefined) {
      throw new VdsoError(
        "ERR_VDSO_PROCESS_LIMIT",
        `${caller}: expected less than ${PROCESS_LIMIT} processes, found that many`,
      );
    }
    const { port1, port2 } = new MessageChannel();
    const stop = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const boot: Boot = {
      pid,
      name,
      url: module.url,
      interfaces: module.interfaces,
      data: module.data,
      handles: this.#handles,
      logLevel: this.#options.logLevel,
      control: port2,
      stop,
    };
    let worker: WorkerHandle;
    try {
      worker = start(boot, [port2]);
    } catch (error) {
      port1.close();
      this.#pids.release(pid);
      throw error;
    }
    const link = { control: port1, stop, adopted: module.adopted };
    const child = new SupervisedProcess(this.#supervisor, pid, name, worker, link);
    this.#processes.set(pid, child);
    const abort = (): void => child.terminate(signal?.reason);
    signal?.addEventListener("abort", abort);
    void child.exited.then(() => signal?.removeEventListener("abort", abort));
    return child.ready;
  }

  #reap(child: Process, status: ExitStatus, ran: boolean): void {
    const { pid, name } = child;
    for (const mapping of this.#mappings.toReversed()) {
      try {
        mapping.drop(pid);
      } catch (error) {
        // The other images still have to clean up.
        const { message } = error as Error;
        const line = `could not clean up behind the process: ${message}`;
        this.#options.log({
          level: "error",
          pid,
          process: name,
          vdso: mapping.handle.name,
          message: line,
          error: error as Error,
        });
      }
    }
    this.#processes.delete(pid);
    this.#pids.release(pid);
    // The caller who waits for the start gets the error, and never had the process.
    if (!ran) return;
    if (status.error) {
      const message = `ended (${status.reason}): ${status.error.stack ?? status.error.message}`;
      this.#options.log({ level: "error", pid, process: name, message, error: status.error });
    }
    for (const listener of this.#exitListeners) isolated(listener)(child, status);
  }

  #refuseWhenClosing(caller: string): void {
    if (this.#closing) throw closed(caller);
  }
}

/** What goes wrong in the application's own function is uncaught there, and interrupts nothing here. */
function isolated<Args extends unknown[]>(callback: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    try {
      callback(...args);
    } catch (error) {
      queueMicrotask(() => {
        throw error;
      });
    }
  };
}

function closed(who: string): VdsoError {
  return new VdsoError(
    "ERR_VDSO_SHUTDOWN",
    `${who}: expected a running kernel, found one that is shutting down or has`,
  );
}

/** Did the time run out, or the signal fire, before `work` was done? */
async function expires(work: Promise<unknown>, timeoutMs: number, signal: AbortSignal | undefined): Promise<boolean> {
  if (signal?.aborted) return true;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const expire = (): void => resolve(true);
  // Timers cannot wait longer, and fire at once instead.
  const timer = timeoutMs < 2 ** 31 ? setTimeout(expire, timeoutMs) : undefined;
  signal?.addEventListener("abort", expire);
  void work.then(() => resolve(false));
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", expire);
  }
}

function absoluteUrl(what: string, url: string | URL): string {
  const text = String(url);
  if (URL.canParse(text)) return text;
  throw new VdsoError(
    "ERR_VDSO_ARGUMENT",
    `${what}: expected an absolute URL such as new URL("./worker.js", import.meta.url), found "${text}"`,
  );
}

function fileName(url: string): string {
  const { pathname } = new URL(url);
  return pathname.slice(pathname.lastIndexOf("/") + 1).replace(/\.[^.]*$/, "") || "process";
}
