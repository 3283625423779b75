/** Finds the kernel's side for the host that runs this code. Loaded on demand, so that no program needs another host's modules. */
import { VdsoError } from "../errors.ts";
import { isNode } from "./host.ts";
import type { Platform } from "./platform.ts";

export async function selectPlatform(): Promise<Platform> {
  if (isNode) return (await import("./node.ts")).nodePlatform;
  throw new VdsoError(
    "ERR_VDSO_ENGINE",
    "the kernel: expected Node's worker_threads, found none. map() and attach() work wherever a worker can be sent a handle.",
  );
}
