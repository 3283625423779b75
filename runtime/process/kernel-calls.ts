/** Calls from a process to its kernel. Loaded by the first one. */
import type { Remote } from "comlink";
import { openCalls } from "../platform/calls.ts";
import { holdLoop } from "../platform/platform.ts";
import {
  type ExitStatus,
  fromPortable,
  type KernelService,
  type ProcessInfo,
  type RemoteSpawnOptions,
  type Reply,
} from "../platform/protocol.ts";

/** What a process can ask its kernel. */
export interface KernelCalls {
  /** Every process that has not ended, this one included. */
  processes(): Promise<ProcessInfo[]>;
  /** As the kernel's own `spawn`, for what can be sent to it; fails with the same codes. */
  spawn(url: string | URL, options?: RemoteSpawnOptions): Promise<ProcessInfo>;
  /** Terminates a process; resolves when the kernel has cleaned up behind it. `ERR_VDSO_NO_PROCESS` for an unknown pid. */
  kill(pid: number): Promise<ExitStatus>;
}

export async function connect(control: MessagePort): Promise<KernelCalls> {
  const { remote, port } = await openCalls<KernelService>(control);
  let pending = 0;

  async function ask<T>(call: (kernel: Remote<KernelService>) => Promise<Reply<T>>): Promise<T> {
    if (pending++ === 0) holdLoop(port, true);
    try {
      const reply = await call(remote);
      if (reply.ok) return reply.value;
      throw fromPortable(reply.error);
    } finally {
      if (--pending === 0) holdLoop(port, false);
    }
  }

  return {
    processes: () => ask((kernel) => kernel.processes()),
    spawn: (url, options = {}) =>
      ask((kernel) =>
        kernel.spawn(String(url), {
          ...options,
          ...(options.interfaces !== undefined && { interfaces: String(options.interfaces) }),
        }),
      ),
    kill: (pid) => ask((kernel) => kernel.kill(pid)),
  };
}
