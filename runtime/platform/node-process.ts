/**
 * The process's side in Node. `node:worker_threads` is fetched when needed instead of imported: `wasm-vdso/process` reaches this
 * module, and code that uses it may be bundled for a browser too.
 */
import { VdsoError } from "../errors.ts";
import type { ProcessHost } from "./platform.ts";
import { BOOT_KEY } from "./protocol.ts";

export function nodeHost(): ProcessHost {
  return {
    argv: process.argv.slice(2),
    env: process.env,
    exit: (code) => process.exit(code),
    crash(error) {
      // Not a rejected promise: those are matched against handlers first, and reported a turn later.
      setImmediate(() => {
        throw error;
      });
    },
    onExit(listener) {
      let drained = false;
      process.on("beforeExit", () => {
        drained = true;
        // Runs only if a listener behind this one has found new work after all.
        setImmediate(() => {
          drained = false;
        }).unref();
      });
      process.once("exit", () => listener(drained));
    },
  };
}

/** The boot message of a worker that the kernel started. */
export function nodeBoot(): unknown {
  const { workerData } = process.getBuiltinModule("node:worker_threads");
  return (workerData as Record<string, unknown>)[BOOT_KEY];
}

/** The boot message of a worker that the application started. Waiting keeps the worker alive; other messages are left alone. */
export function receiveNodeBoot(): Promise<unknown> {
  const { parentPort: port } = process.getBuiltinModule("node:worker_threads");
  if (port === null) {
    const error = new VdsoError(
      "ERR_VDSO_NO_KERNEL",
      "adopted: expected to run in a worker thread, found the main thread, which no kernel can adopt",
    );
    return Promise.reject(error);
  }
  return new Promise((resolve) => {
    const onMessage = (event: Event): void => {
      const boot = (Object((event as MessageEvent<unknown>).data) as Record<string, unknown>)[BOOT_KEY];
      if (boot === undefined) return;
      // Listeners of the application that were added later need not know.
      event.stopImmediatePropagation();
      port.removeEventListener("message", onMessage);
      resolve(boot);
    };
    port.addEventListener("message", onMessage);
  });
}
