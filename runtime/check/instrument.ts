/** Turns a shipped image into one whose threads can be stopped before every access to the vVAR, saved and continued. */
import type { AccessSite } from "./accesses.ts";
import { HOOK_MODULE, LASTING_OPERANDS, outline } from "./outline.ts";
import { makeSuspendable } from "./suspend/suspend.ts";
import { malformed } from "./wasm-binary.ts";

/** Export of the memory that a thread's stack is saved in. */
export const STACK_MEMORY = "vdso:stack";
/** Pages of that memory: what one thread's stack may take. */
export const STACK_PAGES = 1;

export interface Instrumented {
  readonly module: WebAssembly.Module;
  readonly sites: readonly AccessSite[];
  readonly functionNames: ReadonlyMap<number, string>;
  readonly exportedNames: ReadonlyMap<number, string>;
  readonly mutableGlobals: number;
}

const cache = new Map<string, Promise<Instrumented>>();

/**
 * Instruments an image; the result is kept for the life of the process, by the hash of the image's bytes.
 *
 * @param vvarEnd - first byte behind the vVAR's layout.
 * @throws VdsoError `ERR_VDSO_CHECK_IMAGE` - not a module that can be read.
 * @throws VdsoError `ERR_VDSO_CHECK_UNSUPPORTED` - the image accesses its vVAR in a way that has no hook.
 */
export async function instrument(image: Uint8Array<ArrayBuffer>, vvarEnd: number): Promise<Instrumented> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", image));
  const key = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const known = cache.get(key);
  if (known) return known;
  const made = make(image, vvarEnd);
  cache.set(key, made);
  try {
    return await made;
  } catch (error) {
    cache.delete(key);
    throw error;
  }
}

async function make(image: Uint8Array<ArrayBuffer>, vvarEnd: number): Promise<Instrumented> {
  const outlined = outline(image, Math.ceil(vvarEnd / 0x10000));
  try {
    return { ...outlined, module: await WebAssembly.compile(suspendable(outlined.module)) };
  } catch (error) {
    if (error instanceof WebAssembly.CompileError) throw malformed(error.message);
    throw error;
  }
}

/** The second step of two; the first is {@link outline}. */
export function suspendable(outlined: Uint8Array): Uint8Array<ArrayBuffer> {
  return makeSuspendable(outlined, {
    hooks: HOOK_MODULE,
    lasting: LASTING_OPERANDS,
    memory: STACK_MEMORY,
    pages: STACK_PAGES,
  });
}
