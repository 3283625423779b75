/** The kernel's answers to calls from its processes. */
import {
  type ExitStatus,
  type KernelService,
  type ProcessInfo,
  type RemoteSpawnOptions,
  type Reply,
  toPortable,
} from "../platform/protocol.ts";

/** What processes may ask a kernel to do. */
export interface ServingKernel {
  processes(): ProcessInfo[];
  spawn(url: string, options: RemoteSpawnOptions): Promise<ProcessInfo>;
  kill(pid: number): Promise<ExitStatus>;
}

export function kernelService(kernel: ServingKernel): KernelService {
  return {
    processes: () => ({ ok: true, value: kernel.processes().map(toInfo) }),
    spawn: (url, options) => reply(async () => toInfo(await kernel.spawn(url, options))),
    kill: (pid) => reply(async () => kernel.kill(pid)),
  };
}

function toInfo({ pid, name, state }: ProcessInfo): ProcessInfo {
  return { pid, name, state };
}

async function reply<T>(work: () => Promise<T>): Promise<Reply<T>> {
  try {
    return { ok: true, value: await work() };
  } catch (error) {
    return { ok: false, error: toPortable(error) };
  }
}
