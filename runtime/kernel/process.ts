/**
 * One process, seen from the kernel: what it reported, how it ended, and who waits for that.
 *
 *     starting --ready--> running --exit event of the worker--> ended
 *         \______________________exit event________________________/
 *
 * Only the worker's exit event ends a process: until then it may still write shared memory, whatever it reported. `reap` runs there,
 * once, and everybody who waits learns of the end after it.
 */
import { VdsoError } from "../errors.ts";
import { type Channel, openCalls, serveCalls } from "../platform/calls.ts";
import { holdLoop, type Output, type Platform, type WorkerHandle } from "../platform/platform.ts";
import {
  type ExitStatus,
  fromPortable,
  type KernelService,
  type ProcessInfo,
  type ProcessMessage,
  type ProcessService,
  type ProcessState,
  toPortable,
} from "../platform/protocol.ts";

/** A process, as the kernel's user sees it. */
export interface Process extends ProcessInfo {
  /** Resolves once the process has ended and every image has cleaned up behind it. Never rejects. */
  readonly exited: Promise<ExitStatus>;
  /** With `stdout: "pipe"`. */
  readonly stdout: Output | undefined;
  /** With `stderr: "pipe"`. */
  readonly stderr: Output | undefined;
}

/** What connects the kernel to a process. */
export interface Link {
  /** Did the application make the worker? */
  readonly adopted: boolean;
  readonly control: MessagePort;
  readonly stop: Int32Array<SharedArrayBuffer>;
}

/** What the kernel does for its processes. */
export interface Supervisor {
  readonly platform: Platform;
  log(process: Process, line: object): void;
  /** Cleans up behind a process that has ended. Must not throw. `ran`: it got further than its start. */
  reap(process: Process, status: ExitStatus, ran: boolean): void;
  service(process: Process): KernelService;
}

export class SupervisedProcess implements Process {
  readonly pid: number;
  readonly name: string;
  readonly stdout: Output | undefined;
  readonly stderr: Output | undefined;
  readonly exited: Promise<ExitStatus>;
  /** Resolves when the process runs; rejects, after its end, when it never came to that. */
  readonly ready: Promise<this>;
  state: ProcessState = "starting";
  /** Has the process answered the request to end? */
  answered = false;

  readonly #supervisor: Supervisor;
  readonly #worker: WorkerHandle;
  readonly #link: Link;
  readonly #ready = Promise.withResolvers<this>();
  readonly #exited = Promise.withResolvers<ExitStatus>();

  /** Kept until the process has answered: comlink closes a channel whose proxy is collected. */
  #calls: Promise<Channel<ProcessService>> | undefined;

  // What the status is made of, in order of precedence.
  #panic: Error | undefined;
  #crash: { readonly error: unknown; readonly outOfMemory: boolean } | undefined;
  #failure: VdsoError | undefined;
  #how: "return" | "exit" | "stuck" | undefined;
  /** Why a start was broken off. */
  #broken: { readonly reason: unknown } | undefined;

  constructor(supervisor: Supervisor, pid: number, name: string, worker: WorkerHandle, link: Link) {
    this.pid = pid;
    this.name = name;
    this.stdout = worker.stdout;
    this.stderr = worker.stderr;
    this.exited = this.#exited.promise;
    this.ready = this.#ready.promise;
    this.#supervisor = supervisor;
    this.#worker = worker;
    this.#link = link;

    link.control.addEventListener("message", ({ data }: MessageEvent<ProcessMessage>) => this.#receive(data));
    link.control.start();
    // The worker keeps the kernel's thread alive, its port need not.
    holdLoop(link.control, false);
    worker.onError((error, outOfMemory) => {
      this.#crash ??= { error, outOfMemory };
    });
    worker.onExit((code) => this.#end(code));
  }

  /** Asks the process to end. It may take its time, or ignore it. */
  requestStop(): void {
    const { control, stop } = this.#link;
    if (Atomics.exchange(stop, 0, 1) !== 0) return;
    Atomics.notify(stop, 0);
    this.#calls = openCalls<ProcessService>(control);
    void this.#calls
      .then(({ remote }) => remote.stop())
      .then(() => {
        this.answered = true;
      });
  }

  /** Ends the worker between two instructions. `reason` is what a caller who still waits for the start gets. */
  terminate(reason?: unknown): void {
    if (this.state === "starting") this.#broken ??= { reason };
    this.#worker.terminate();
  }

  #receive(message: ProcessMessage): void {
    switch (message.kind) {
      case "ready":
        if (this.state !== "starting") return;
        this.state = "running";
        this.#ready.resolve(this);
        return;
      case "failed":
        this.#failure = loadFailure(this.name, message.url, message.missing, fromPortable(message.error));
        return;
      case "log":
        this.#supervisor.log(this, message.line);
        return;
      case "panic":
        this.#panic ??= fromPortable(message.error, message.panic);
        // The process may have caught the error; for shared state it died at that instruction.
        this.terminate();
        return;
      case "ended":
        this.#how = message.how;
        return;
      case "calls":
        void serveCalls(message.port, this.#supervisor.service(this));
    }
  }

  #end(code: number): void {
    const { control } = this.#link;
    // The exit event may overtake the last messages.
    for (const message of this.#supervisor.platform.drain(control)) this.#receive(message as ProcessMessage);
    control.close();
    const wasRunning = this.state === "running";
    this.state = "ended";
    const status = this.#status(code);
    // A module may do all of its work while it loads.
    const ran = wasRunning || (status.reason === "exit" && this.#broken === undefined);
    this.#supervisor.reap(this, status, ran);
    // Settling twice does nothing.
    if (ran) this.#ready.resolve(this);
    else this.#ready.reject(this.#startError(status));
    this.#exited.resolve(status);
  }

  #status(code: number): ExitStatus {
    // The host's code is 1 for everything that the process did not choose.
    const failed = code === 0 ? 1 : code;
    if (this.#panic) return { code: failed, reason: "panic", error: this.#panic };
    if (this.#crash) {
      const { error, outOfMemory } = this.#crash;
      return { code: failed, reason: outOfMemory ? "out-of-memory" : "error", error: fromPortable(toPortable(error)) };
    }
    if (this.#failure) return { code: failed, reason: "error", error: this.#failure };
    if (this.#how === undefined) return { code: failed, reason: "killed" };
    if (this.#how !== "stuck") return { code, reason: this.#how };
    return {
      code: failed,
      reason: "error",
      error: new VdsoError(
        "ERR_VDSO_STUCK",
        `${this.name}: the module still waits for a promise, and nothing is left in the process that could resolve it`,
      ),
    };
  }

  #startError(status: ExitStatus): unknown {
    if (this.#broken?.reason !== undefined) return this.#broken.reason;
    if (this.#failure && !this.#panic) return this.#failure;
    return this.#link.adopted ? adoptFailure(this.name, status) : startFailure(this.name, status);
  }
}

function loadFailure(name: string, url: string, missing: boolean, cause: Error): VdsoError {
  if (missing) return new VdsoError("ERR_VDSO_MODULE_NOT_FOUND", `${name}: there is no module ${url}`, { cause });
  return new VdsoError("ERR_VDSO_MODULE_LOAD", `${name}: ${url} threw while it was loaded: ${cause.message}`, {
    cause,
  });
}

function startFailure(name: string, { reason, error }: ExitStatus): VdsoError {
  const detail = error ? `: ${error.message}` : "";
  return new VdsoError("ERR_VDSO_MODULE_LOAD", `${name}: ended (${reason}) before it was ready${detail}`, {
    cause: error,
  });
}

function adoptFailure(name: string, { error }: ExitStatus): VdsoError {
  const detail = error ? `: ${error.message}` : "";
  const message = `${name}: the worker ended before it had called adopted() of wasm-vdso/process${detail}`;
  return new VdsoError("ERR_VDSO_ADOPT", message, { cause: error });
}
