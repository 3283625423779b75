/**
 * What kernel and process say to each other. One port per process carries the one-way messages below; calls that need an answer go
 * over a port of their own, opened by the first such call (see `calls.ts`), so that a process which makes none loads nothing for it.
 */
import { type SiteArgument, type SourceSite, VdsoError, type VdsoErrorCode, VdsoPanic } from "../errors.ts";

/** Marks the boot message among an application's own messages. */
export const BOOT_KEY = "wasm-vdso:boot";

/** Everything that a process is told at its start. `Handle` is the loader's. */
export interface Boot<Handle = unknown> {
  readonly pid: number;
  readonly name: string;
  /** The user's module; none in an adopted worker, which runs the application's own. */
  readonly url: string | undefined;
  /** Module whose exports implement interfaces. */
  readonly interfaces: string | undefined;
  /** What the application gave to `spawn`. */
  readonly data: unknown;
  readonly handles: readonly Handle[];
  readonly logLevel: string | undefined;
  readonly control: MessagePort;
  /** One word in shared memory, 1 once the kernel has asked the process to end: readable from code that never awaits. */
  readonly stop: Int32Array<SharedArrayBuffer>;
}

/** From a process to the kernel. */
export type ProcessMessage =
  /** The user's module is loaded and its default export about to be called. */
  | { readonly kind: "ready" }
  | { readonly kind: "failed"; readonly url: string; readonly missing: boolean; readonly error: PortableError }
  /** The loader's log line. */
  | { readonly kind: "log"; readonly line: object }
  /** A vDSO panicked, or trapped (then without details). */
  | { readonly kind: "panic"; readonly error: PortableError; readonly panic: PanicDetails | undefined }
  /** The last message. `stuck`: nothing left to do, yet the user's module still waits for something. */
  | { readonly kind: "ended"; readonly how: "return" | "exit" | "stuck" }
  | CallsMessage;

/** From the kernel to a process. */
export type KernelMessage = CallsMessage;

/** Opens a port for calls that the receiver answers. */
export interface CallsMessage {
  readonly kind: "calls";
  readonly port: MessagePort;
}

/** Calls that a process answers. */
export interface ProcessService {
  /** The kernel asks the process to end. Returns once the process knows, not when it has ended. */
  stop(): void;
}

/** Calls that the kernel answers. Errors travel as values: comlink would lose their codes. */
export interface KernelService {
  processes(): Reply<ProcessInfo[]>;
  spawn(url: string, options: RemoteSpawnOptions): Promise<Reply<ProcessInfo>>;
  kill(pid: number): Promise<Reply<ExitStatus>>;
}

export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: PortableError };

export type ProcessState = "starting" | "running" | "ended";

/** One line of the process list. */
export interface ProcessInfo {
  readonly pid: number;
  readonly name: string;
  readonly state: ProcessState;
}

/** What a process can ask for when it spawns another: the part of the kernel's options that can be sent. */
export interface RemoteSpawnOptions {
  name?: string;
  argv?: readonly string[];
  env?: Readonly<Record<string, string | undefined>>;
  interfaces?: string | URL;
}

/**
 * How a process ended.
 * - `return`: nothing was left to do
 * - `exit`: it called `exit`
 * - `error`: an error that nothing caught
 * - `panic`: a vDSO panicked in it
 * - `killed`: terminated, by the kernel or by the application
 * - `out-of-memory`: a resource limit was exceeded
 */
export type ExitReason = "return" | "exit" | "error" | "panic" | "killed" | "out-of-memory";

export interface ExitStatus {
  /** The code given to `exit`; 0 after `return`, unless the process had set another; 1 and above for everything else. */
  readonly code: number;
  readonly reason: ExitReason;
  /** With `error`, `panic` and `out-of-memory`. */
  readonly error?: Error;
}

/** What a VdsoPanic has beyond other errors. */
export interface PanicDetails {
  readonly vdso: string;
  readonly template: string;
  readonly args: readonly SiteArgument[];
  readonly site: SourceSite;
}

/** An error in a form that every host can send: cloning an Error drops its code. */
export interface PortableError {
  readonly name: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
}

export function toPortable(error: unknown): PortableError {
  if (!(error instanceof Error)) {
    return { name: "Error", message: printable(error), stack: undefined, code: undefined };
  }
  const { code } = error as { code?: unknown };
  return {
    name: String(error.name),
    message: String(error.message),
    stack: error.stack,
    code: typeof code === "string" ? code : undefined,
  };
}

export function fromPortable({ name, message, stack, code }: PortableError, panic?: PanicDetails): Error {
  let error: Error;
  if (panic) error = new VdsoPanic(panic.vdso, panic.template, panic.args, panic.site);
  else if (code?.startsWith("ERR_VDSO_")) error = new VdsoError(code as VdsoErrorCode, message);
  else error = Object.assign(new Error(message), code === undefined ? { name } : { name, code });
  if (stack !== undefined) error.stack = stack;
  return error;
}

/** What was thrown may be anything, also an object whose conversion throws. */
function printable(value: unknown): string {
  try {
    return typeof value === "object" && value !== null ? JSON.stringify(value) : String(value);
  } catch {
    return Object.prototype.toString.call(value);
  }
}
