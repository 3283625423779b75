/** Finds the process's side for an application's own worker. Synchronous: see {@link receiveBoot}. */
import { VdsoError } from "../errors.ts";
import { isNode } from "./host.ts";
import { nodeHost, receiveNodeBoot } from "./node-process.ts";
import type { ProcessHost } from "./platform.ts";

/**
 * Waits for the boot message in a worker that the application started. The listener stands when this returns: a message that came
 * earlier would be lost to the application's own listeners.
 */
export async function receiveBoot(): Promise<{ host: ProcessHost; boot: unknown }> {
  if (isNode) return { boot: await receiveNodeBoot(), host: nodeHost() };
  throw new VdsoError("ERR_VDSO_ENGINE", "adopted: expected a worker of Node's worker_threads, found another host");
}
