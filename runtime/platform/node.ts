/** The kernel's side in Node: processes are `worker_threads` workers. */
import {
  type MessagePort as NodePort,
  type Transferable as NodeTransferable,
  receiveMessageOnPort,
  Worker,
  type WorkerOptions,
} from "node:worker_threads";
import { VdsoError } from "../errors.ts";
import type { OutputMode, Platform, StartOptions, WorkerHandle } from "./platform.ts";
import { BOOT_KEY } from "./protocol.ts";

// The entry stands beside this folder in the sources as in the built package.
const entry = new URL(`../../workers/node${import.meta.url.endsWith(".ts") ? ".ts" : ".js"}`, import.meta.url);

export const nodePlatform: Platform = {
  start(boot, transfer, options) {
    const worker = new Worker(entry, workerOptions(boot, transfer, options));
    if (options.stdout === "ignore") worker.stdout.resume();
    if (options.stderr === "ignore") worker.stderr.resume();
    return handleOf(worker, options.stdout === "pipe", options.stderr === "pipe");
  },

  adopt(worker, boot, transfer) {
    if (!(worker instanceof Worker)) {
      throw new VdsoError(
        "ERR_VDSO_ARGUMENT",
        `adopt: expected a Worker of node:worker_threads, found ${worker === null ? "null" : typeof worker}`,
      );
    }
    // A worker that has ended has no thread any more, and never reports its exit again.
    if (worker.threadId < 0)
      throw new VdsoError("ERR_VDSO_ADOPT", "adopt: expected a running worker, found one that has ended");
    const handle = handleOf(worker, false, false);
    worker.postMessage({ [BOOT_KEY]: boot }, transfer as readonly NodeTransferable[]);
    return handle;
  },

  drain(port) {
    const messages: unknown[] = [];
    for (;;) {
      const next = receiveMessageOnPort(port as unknown as NodePort);
      if (next === undefined) return messages;
      messages.push(next.message);
    }
  },
};

function workerOptions(boot: object, transfer: readonly Transferable[], options: StartOptions): WorkerOptions {
  const { name, argv, env, resourceLimits } = options;
  return {
    name,
    argv: [...argv],
    workerData: { [BOOT_KEY]: boot },
    transferList: transfer as NodeTransferable[],
    stdout: isTaken(options.stdout),
    stderr: isTaken(options.stderr),
    ...(env && { env: { ...env } }),
    ...(resourceLimits && { resourceLimits: { ...resourceLimits } }),
  };
}

function isTaken(mode: OutputMode): boolean {
  return mode !== "inherit";
}

function handleOf(worker: Worker, stdout: boolean, stderr: boolean): WorkerHandle {
  return {
    stdout: stdout ? worker.stdout : undefined,
    stderr: stderr ? worker.stderr : undefined,
    onError: (listener) =>
      worker.on("error", (error: unknown) => {
        const { code } = Object(error) as { code?: unknown };
        listener(error, code === "ERR_WORKER_OUT_OF_MEMORY");
      }),
    onExit: (listener) => worker.once("exit", listener),
    // The promise tells what the exit event tells.
    terminate: () => void worker.terminate(),
  };
}
