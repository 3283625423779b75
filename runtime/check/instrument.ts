/** Turns a shipped image into one whose threads can be stopped before every access to the vVAR, saved and continued. */
import type { AccessSite } from "./accesses.ts";
import { HOOK_MODULE, outline } from "./outline.ts";
import { malformed } from "./wasm-binary.ts";

/** Export of the memory that Asyncify saves a thread's stack in. */
export const STACK_MEMORY = "asyncify_memory";
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
  const bytes = await asyncify(outlined.module);
  return { ...outlined, module: await WebAssembly.compile(bytes) };
}

/** Makes every function that can reach a hook able to leave and to come back. */
async function asyncify(module: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  // Loaded only here: a program that replays from the cache, or never checks, does without its megabytes.
  const { default: binaryen } = await import("binaryen");
  const f = binaryen.Features;
  // What engines with two memories run. Not `All`: that would write forms which they do not read.
  const features =
    f.Atomics |
    f.MutableGlobals |
    f.NontrappingFPToInt |
    f.SIMD128 |
    f.BulkMemory |
    f.BulkMemoryOpt |
    f.SignExt |
    f.ExceptionHandling |
    f.TailCall |
    f.ReferenceTypes |
    f.Multivalue |
    f.MultiMemory |
    f.ExtendedConst;
  const read = binaryen.readBinary as (data: Uint8Array, features?: number) => InstanceType<typeof binaryen.Module>;
  const work = read(module, features);
  const optimizeLevel = binaryen.getOptimizeLevel();
  const shrinkLevel = binaryen.getShrinkLevel();
  try {
    if (!work.validate()) throw malformed("the rewritten module does not validate");
    // Not 0: what Asyncify would then save includes values that nobody reads any more, and states that differ only by those never merge.
    binaryen.setOptimizeLevel(1);
    binaryen.setShrinkLevel(0);
    binaryen.setPassArgument("asyncify-imports", `${HOOK_MODULE}.*`);
    // A memory of its own for the saved stacks: with several memories Asyncify would silently use the one exported as `memory`.
    binaryen.setPassArgument("asyncify-in-secondary-memory", "1");
    binaryen.setPassArgument("asyncify-secondary-memory-size", String(STACK_PAGES));
    work.runPasses(["asyncify"]);
    work.addMemoryExport(STACK_MEMORY, STACK_MEMORY);
    return new Uint8Array(work.emitBinary());
  } finally {
    binaryen.clearPassArguments();
    binaryen.setOptimizeLevel(optimizeLevel);
    binaryen.setShrinkLevel(shrinkLevel);
    work.dispose();
  }
}
