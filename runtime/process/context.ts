/** The process that this thread is: what user code sees of it, and what the other modules of this folder keep about it. */
import { VdsoError } from "../errors.ts";
import type { Attachments } from "../loader/attachments.ts";
import { holdLoop, type ProcessHost } from "../platform/platform.ts";
import type { Boot, CallsMessage, KernelMessage, ProcessMessage, ProcessService } from "../platform/protocol.ts";
import type { KernelCalls } from "./kernel-calls.ts";

/** The process that runs in this thread. */
export interface Process {
  readonly pid: number;
  readonly name: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What was given to `spawn` as `data`. */
  readonly data: unknown;
  /** Fires when the kernel asks the process to end, once the event loop gets to it. */
  readonly signal: AbortSignal;
  /** Has the kernel asked the process to end? True at once, also inside a loop that never returns to the event loop. */
  readonly stopping: boolean;
  /** Calls to the kernel. While one is pending the process stays alive. */
  readonly kernel: KernelCalls;
  /** Ends the process at once. */
  exit(code?: number): never;
  /**
   * Runs `handler` when the kernel asks the process to end, and exits with code 0 when it, and every other such handler, has finished.
   * For processes that would go on otherwise: a function that winds itself up watches {@link Process.signal} instead.
   */
  onShutdown(handler: ShutdownHandler): void;
}

export type ShutdownHandler = () => void | Promise<void>;

/** One per thread. */
export interface ProcessState {
  readonly process: Process;
  readonly boot: Boot;
  readonly host: ProcessHost;
  /** Exports of the module given as `interfaces`. */
  interfaces: Readonly<Record<string, unknown>>;
  /** Made by the first attach, which loads what it takes. */
  attachments: Attachments | undefined;
  /** Is the user's module loading, or its default export running? */
  busy: boolean;
  post(message: ProcessMessage, transfer?: Transferable[]): void;
}

// On the global object, not in a module variable: a bundle may hold a second copy of this module beside the worker entry's.
const slot = Symbol.for("wasm-vdso.process");
const holder = globalThis as { [slot]?: ProcessState };

/** Makes this thread the process that `boot` describes. */
export function enter(host: ProcessHost, boot: Boot): ProcessState {
  const { control, stop } = boot;
  const abort = new AbortController();
  const handlers: ShutdownHandler[] = [];
  let finishing = 0;
  let calls: Promise<KernelCalls> | undefined;
  const connected = (): Promise<KernelCalls> => {
    calls ??= import("./kernel-calls.ts").then(({ connect }) => connect(control));
    return calls;
  };

  const process: Process = {
    pid: boot.pid,
    name: boot.name,
    argv: host.argv,
    env: host.env,
    data: boot.data,
    signal: abort.signal,
    get stopping() {
      return Atomics.load(stop, 0) !== 0;
    },
    kernel: {
      processes: async () => (await connected()).processes(),
      spawn: async (url, options) => (await connected()).spawn(url, options),
      kill: async (pid) => (await connected()).kill(pid),
    },
    exit: (code = 0) => host.exit(code),
    onShutdown(handler) {
      if (abort.signal.aborted) void finish(handler);
      else handlers.push(handler);
    },
  };

  const service: ProcessService = {
    stop() {
      abort.abort(new VdsoError("ERR_VDSO_SHUTDOWN", `${boot.name}: the kernel asks this process to end`));
      for (const handler of handlers) void finish(handler);
    },
  };

  async function finish(handler: ShutdownHandler): Promise<void> {
    finishing++;
    try {
      await handler();
      if (--finishing === 0) host.exit(0);
    } catch (error) {
      host.crash(error);
    }
  }

  control.addEventListener("message", ({ data }: MessageEvent<KernelMessage>) => {
    if (data.kind === "calls") void serve(data, service);
  });
  control.start();
  holdLoop(control, false);

  const state: ProcessState = {
    process,
    boot,
    host,
    interfaces: {},
    attachments: undefined,
    busy: false,
    post: (message, transfer = []) => control.postMessage(message, transfer),
  };
  host.onExit((drained) => {
    state.post({ kind: "ended", how: drained ? (state.busy ? "stuck" : "return") : "exit" });
  });
  holder[slot] = state;
  return state;
}

/**
 * The process that runs in this thread.
 *
 * @throws VdsoError `ERR_VDSO_NO_KERNEL` - no kernel has spawned or adopted this thread.
 */
export function current(): Process {
  return requireState("current").process;
}

export function findState(): ProcessState | undefined {
  return holder[slot];
}

/** The state of the process in this thread; throws `ERR_VDSO_NO_KERNEL` when there is none. */
export function requireState(caller: string): ProcessState {
  const state = holder[slot];
  if (state !== undefined) return state;
  throw new VdsoError(
    "ERR_VDSO_NO_KERNEL",
    `${caller}: expected a thread that a kernel has spawned or adopted (await adopted() first), found one without a kernel. ` +
      "In a worker of your own without a kernel, use attach(library, handle) of wasm-vdso.",
  );
}

async function serve({ port }: CallsMessage, service: ProcessService): Promise<void> {
  const { serveCalls } = await import("../platform/calls.ts");
  await serveCalls(port, service);
}
