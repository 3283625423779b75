/**
 * What kernel and process need from the host they run on. Everything else in the runtime is the same in Node and in a browser: an
 * implementation of these two interfaces, and one entry in `workers/`, is all that another host takes.
 */

/** The kernel's side: starts workers and watches them. */
export interface Platform {
  /** Starts a worker that runs the process entry with `boot`. Throws when the host refuses the options. */
  start(boot: object, transfer: readonly Transferable[], options: StartOptions): WorkerHandle;
  /** Takes a worker that the application made, and sends it `boot`. */
  adopt(worker: unknown, boot: object, transfer: readonly Transferable[]): WorkerHandle;
  /** Takes out what was posted to a port and not delivered yet. */
  drain(port: MessagePort): unknown[];
}

/** Where a process's output goes: to the kernel's own, to a stream on the process, or nowhere. */
export type OutputMode = "inherit" | "pipe" | "ignore";

/** A process's output, with mode `pipe`: in Node a `Readable`, named here without its types, which not every project has. */
export interface Output extends AsyncIterable<Uint8Array | string> {
  /** Text from then on, no character cut in two. */
  setEncoding(encoding: "utf8"): this;
  on(event: "data", listener: (chunk: Uint8Array | string) => void): this;
  on(event: "end", listener: () => void): this;
}

/** Limits of a process's JavaScript heap, in MiB; a process that exceeds one ends with reason `out-of-memory`. */
export interface ResourceLimits {
  maxOldGenerationSizeMb?: number;
  maxYoungGenerationSizeMb?: number;
  codeRangeSizeMb?: number;
  stackSizeMb?: number;
}

export interface StartOptions {
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>> | undefined;
  readonly resourceLimits: ResourceLimits | undefined;
  readonly stdout: OutputMode;
  readonly stderr: OutputMode;
}

/** One worker, seen from the kernel. */
export interface WorkerHandle {
  /** When the mode is `pipe`. */
  readonly stdout: Output | undefined;
  readonly stderr: Output | undefined;
  /** An error that nothing in the worker caught; it ends the worker. `outOfMemory`: a resource limit was exceeded. */
  onError(listener: (error: unknown, outOfMemory: boolean) => void): void;
  /** The worker's confirmed end: not one instruction of it runs afterwards. */
  onExit(listener: (code: number) => void): void;
  /** Ends the worker between two instructions; `onExit` reports when it has happened. */
  terminate(): void;
}

/** The process's side. */
export interface ProcessHost {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Ends this thread at once. */
  exit(code: number): never;
  /** Makes `error` an uncaught one. */
  crash(error: unknown): void;
  /**
   * Calls back when this thread ends by itself: `drained` when nothing was left to do, else because it asked to exit or failed. Not
   * called when the thread is terminated.
   */
  onExit(listener: (drained: boolean) => void): void;
}

/**
 * Lets a port keep its thread alive, or not. Only Node's ports do, and those have to be told again after each change of listeners;
 * in a browser a worker lives until it is closed.
 */
export function holdLoop(port: MessagePort, hold: boolean): void {
  const nodePort = port as MessagePort & { ref?(): void; unref?(): void };
  if (hold) nodePort.ref?.();
  else nodePort.unref?.();
}
