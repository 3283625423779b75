/**
 * Runs compiler jobs in a worker thread, one after the other. The compiler leaks 5 to 13 MB a build and cannot be told to let
 * go, so the thread is replaced after a number of builds, by the memory it holds, and when it has been idle for a while.
 * While it is idle it does not keep the program running.
 */

import { getCompileCacheDir } from "node:module";
import { Worker } from "node:worker_threads";
import { BuildError } from "./build-error.ts";
import type { CompilerJob, CompilerOutcome, CompilerReply } from "./worker.ts";

const BUILDS_PER_THREAD = 24;
const HELD_BYTES_LIMIT = 768 * 1024 * 1024;
const IDLE_MS = 60_000;

interface Waiting {
  readonly job: CompilerJob;
  readonly compiler: string;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (outcome: CompilerOutcome) => void;
  readonly reject: (reason: unknown) => void;
  onAbort(): void;
}

interface Thread {
  readonly worker: Worker;
  /** Identity of the compiler that it loaded; a changed compiler needs a new thread. */
  readonly compiler: string;
  builds: number;
}

const queue: Waiting[] = [];
let running: Waiting | undefined;
let thread: Thread | undefined;
let idleTimer: NodeJS.Timeout | undefined;

/**
 * Compiles one job.
 *
 * @param compiler - Identity of the compiler on disk: a thread with another one is replaced first.
 * @throws the signal's reason when it is aborted; the thread in use is ended then.
 * @throws BuildError `ERR_VDSO_COMPILER` - the compiler failed in a way that is not the author's fault.
 */
export function runCompiler(job: CompilerJob, compiler: string, signal?: AbortSignal): Promise<CompilerOutcome> {
  return new Promise((resolve, reject) => {
    const waiting: Waiting = { job, compiler, signal, resolve, reject, onAbort: () => abort(waiting) };
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    signal?.addEventListener("abort", waiting.onAbort, { once: true });
    queue.push(waiting);
    next();
  });
}

function next(): void {
  if (running !== undefined) return;
  running = queue.shift();
  clearTimeout(idleTimer);
  if (running === undefined) {
    thread?.worker.unref();
    idleTimer = setTimeout(endThread, IDLE_MS).unref();
    return;
  }
  if (thread !== undefined && thread.compiler !== running.compiler) endThread();
  thread ??= startThread(running.compiler);
  thread.worker.ref();
  thread.worker.postMessage(running.job);
}

function startThread(compiler: string): Thread {
  const extension = import.meta.url.slice(import.meta.url.lastIndexOf("."));
  const worker = new Worker(new URL(`./worker${extension}`, import.meta.url), {
    name: "vdso compiler",
    // Not the program's flags: `--input-type`, for one, would keep the thread from starting.
    execArgv: [],
    workerData: { compileCache: getCompileCacheDir?.() },
  });
  const started: Thread = { worker, compiler, builds: 0 };
  worker.on("message", (reply: CompilerReply) => {
    if (thread === started) receive(started, reply);
  });
  worker.on("error", (cause) => lose(started, `the compiler's thread failed: ${cause}`, cause));
  worker.on("exit", (code) => lose(started, `the compiler's thread ended with code ${code}`));
  return started;
}

function receive(from: Thread, reply: CompilerReply): void {
  const done = running;
  from.builds++;
  const failed = "failure" in reply;
  // After a failure nobody knows what state the compiler is in.
  if (failed || from.builds >= BUILDS_PER_THREAD || reply.heldBytes > HELD_BYTES_LIMIT) endThread();
  settle((waiting) => {
    if (!failed) waiting.resolve(reply.outcome);
    else waiting.reject(new BuildError(reply.failure.code, reply.failure.message, { cause: reply.failure.stack }));
  }, done);
}

function lose(lost: Thread, message: string, cause?: unknown): void {
  if (thread !== lost) return;
  thread = undefined;
  settle((waiting) => waiting.reject(new BuildError("ERR_VDSO_COMPILER", message, { cause })), running);
}

function abort(waiting: Waiting): void {
  const position = queue.indexOf(waiting);
  if (position >= 0) {
    queue.splice(position, 1);
    waiting.reject(waiting.signal?.reason);
  } else if (running === waiting) {
    // The compiler is synchronous code: ending its thread is the only way to stop it.
    endThread();
    settle(() => waiting.reject(waiting.signal?.reason), waiting);
  }
}

function settle(how: (waiting: Waiting) => void, waiting: Waiting | undefined): void {
  if (waiting !== undefined) {
    waiting.signal?.removeEventListener("abort", waiting.onAbort);
    how(waiting);
  }
  running = undefined;
  next();
}

function endThread(): void {
  const ended = thread;
  thread = undefined;
  ended?.worker.unref();
  void ended?.worker.terminate();
}
