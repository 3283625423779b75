/** What a mapping passes to other threads: `postMessage` clones it, memory and module stay shared. */
import { VdsoError } from "../errors.ts";

export interface VdsoHandle {
  /** Image name. */
  readonly name: string;
  /** ABI fingerprint of the image. */
  readonly fingerprint: string;
  /** The compiled image. */
  readonly module: WebAssembly.Module;
  /** The vVAR. */
  readonly memory: WebAssembly.Memory;
}

/**
 * @throws VdsoError `ERR_VDSO_HANDLE` - not a handle.
 * @throws VdsoError `ERR_VDSO_NOT_SHARED` - its memory is not shared.
 */
export function checkHandle(value: unknown): asserts value is VdsoHandle {
  const handle = value as Partial<Record<keyof VdsoHandle, unknown>> | null | undefined;
  if (typeof handle !== "object" || handle === null) throw badHandle("an object", handle);
  if (typeof handle.name !== "string") throw badHandle("a name", handle.name);
  if (typeof handle.fingerprint !== "string") throw badHandle("a fingerprint", handle.fingerprint);
  if (!(handle.module instanceof WebAssembly.Module)) throw badHandle("a WebAssembly.Module", handle.module);
  if (!(handle.memory instanceof WebAssembly.Memory)) throw badHandle("a WebAssembly.Memory", handle.memory);
  if (Object.prototype.toString.call(handle.memory.buffer) !== "[object SharedArrayBuffer]") {
    throw new VdsoError("ERR_VDSO_NOT_SHARED", `${handle.name}: expected a shared memory, found one that is not`);
  }
}

function badHandle(expected: string, found: unknown): VdsoError {
  return new VdsoError(
    "ERR_VDSO_HANDLE",
    `expected a mapping's handle with ${expected}, found ${found === null ? "null" : typeof found}`,
  );
}
