import type { Boot } from "../platform/protocol.ts";
import { receiveBoot } from "../platform/select-process.ts";
import { enter, findState, type Process } from "./context.ts";

let adoption: Promise<Process> | undefined;

/**
 * Makes a worker of the application a process: resolves when `kernel.adopt(worker)` has reached it.
 *
 * Call it before the worker awaits anything, and add listeners for messages of your own between the call and its `await`: added before,
 * they see the kernel's message too; added after, they miss what has arrived meanwhile.
 *
 * ```ts
 * const adoption = adopted();
 * parentPort.on("message", onMessage);
 * const { pid } = await adoption;
 * ```
 *
 * @throws VdsoError `ERR_VDSO_NO_KERNEL` - this is no worker thread.
 */
export function adopted(): Promise<Process> {
  const state = findState();
  if (state !== undefined) return Promise.resolve(state.process);
  adoption ??= receiveBoot().then(({ host, boot }) => {
    const { process, post } = enter(host, boot as Boot);
    post({ kind: "ready" });
    return process;
  });
  return adoption;
}
