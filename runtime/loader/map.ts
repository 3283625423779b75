/**
 * Maps an image: one vVAR, ready for processes to attach to.
 *
 * ```ts
 * import { map } from "wasm-vdso";
 * import counter from "./generated/counter/counter.js";
 *
 * const mapping = await map(counter);
 * worker.postMessage({ handle: mapping.handle });
 * worker.once("exit", () => mapping.drop(pid));
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import type { Manifest } from "../image/manifest.ts";
import { readImage } from "../image/read.ts";
import { verifyStructure } from "../image/verify.ts";
import { checkEngine } from "../platform/engine.ts";
import { type AttachArguments, attach, checkLibrary } from "./attach.ts";
import type { VdsoHandle } from "./handle.ts";
import { checkPid, HEADER_BYTES, markFailed, markReady, writeHeader } from "./header.ts";
import { Instance, type InstanceOptions } from "./instance.ts";

const PAGE_BYTES = 65536;
/** The kernel's. */
const KERNEL_PID = 1;

export interface MapOptions<Host = unknown> extends InstanceOptions {
  /** Does a kernel assign pids? Then `attach` refuses to take one by itself. Default: false. */
  readonly managed?: boolean;
  /** For `init` and `processDrop` if they call into the host; what is left out fails when it is called. */
  readonly host?: Partial<Host>;
}

export interface Mapping<Api = unknown, Host = unknown> {
  /** For other threads, by `postMessage`. */
  readonly handle: VdsoHandle;
  readonly manifest: Manifest;
  /** The vVAR. */
  readonly memory: WebAssembly.Memory;
  /** Attaches the thread that mapped; see {@link attach}. */
  attach(...options: AttachArguments<Host>): Api;
  /**
   * Frees what an ended process held: runs the image's `processDrop(pid)`. May be repeated.
   *
   * @throws VdsoError `ERR_VDSO_PID` - not a pid.
   * @throws VdsoPanic - `processDrop` panicked; the next call starts from a fresh instance.
   * @throws VdsoError `ERR_VDSO_TRAP` - it trapped.
   * @throws VdsoError `ERR_VDSO_DROP` - the host failed while it ran; the cause says how.
   */
  drop(pid: number): void;
}

/**
 * Verifies the image, creates its vVAR, of exactly as many pages as the layout needs, and runs the image's `init()`.
 *
 * @throws VdsoError `ERR_VDSO_ENGINE`, `ERR_VDSO_ISOLATION` - this engine, or this page, cannot run images.
 * @throws VdsoError `ERR_VDSO_LIBRARY`, `ERR_VDSO_OPTION` - not an API library, not a log level.
 * @throws VdsoError `ERR_VDSO_IMAGE_...` - the library's image is damaged; see `readImage` and `verifyStructure`.
 * @throws VdsoError `ERR_VDSO_FINGERPRINT` - the library was generated for another image than it carries.
 * @throws VdsoError `ERR_VDSO_MEMORY` - no room for the vVAR.
 * @throws VdsoPanic - `init` panicked.
 */
export async function map<Api, Host>(
  library: VdsoLibrary<Api, Host>,
  options: MapOptions<Host> = {},
): Promise<Mapping<Api, Host>> {
  checkEngine();
  checkLibrary(library);
  const image = library.image();
  const manifest = await readImage(image);
  verifyStructure(image, manifest);
  if (library.name !== manifest.name || library.fingerprint !== manifest.fingerprint) {
    throw new VdsoError(
      "ERR_VDSO_FINGERPRINT",
      `expected a library with the image it was generated for (${library.name}, ${library.fingerprint}), ` +
        `found ${manifest.name}, ${manifest.fingerprint}`,
    );
  }
  const module = await compile(image, library.name);
  const { name, fingerprint } = manifest;
  const memory = createMemory(name, manifest.layout.end);
  const handle: VdsoHandle = { name, fingerprint, module, memory };
  writeHeader(memory, fingerprint, options.managed ?? false);

  const host = lenientHost(library, options.host ?? {});
  const facts = { logLevel: manifest.private.logLevel, manifest: () => manifest };
  const instantiate = (): Instance =>
    new Instance(library, handle, facts, KERNEL_PID, host, { process: "kernel", ...options });
  let instance: Instance | undefined = instantiate();
  try {
    instance.run("init");
  } catch (error) {
    markFailed(memory);
    throw error;
  }
  markReady(memory);

  return {
    handle,
    manifest,
    memory,
    attach: (...attachOptions) => attach(library, handle, ...attachOptions),
    drop(pid) {
      checkPid(name, pid);
      const current = instance ?? instantiate();
      // Not before it is over: what fails half-way leaves private data that nobody can rely on.
      instance = undefined;
      try {
        current.run("processDrop", pid);
      } catch (cause) {
        if (cause instanceof VdsoError) throw cause;
        throw new VdsoError("ERR_VDSO_DROP", `${name}: processDrop(${pid}) failed in the host: ${String(cause)}`, {
          cause,
        });
      }
      instance = current;
    },
  };
}

async function compile(image: Uint8Array<ArrayBuffer>, name: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(image);
  } catch (cause) {
    throw new VdsoError("ERR_VDSO_IMAGE_INVALID", `${name}: expected valid WebAssembly, found: ${String(cause)}`, {
      cause,
    });
  }
}

function createMemory(name: string, bytes: number): WebAssembly.Memory {
  const pages = Math.ceil(Math.max(bytes, HEADER_BYTES) / PAGE_BYTES);
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  } catch (cause) {
    throw new VdsoError(
      "ERR_VDSO_MEMORY",
      `${name}: expected room for a vVAR of ${pages} pages, found: ${String(cause)}`,
      {
        cause,
      },
    );
  }
}

/** Unlike a process, the kernel need not implement what its own two calls never use. */
function lenientHost(library: VdsoLibrary, given: object): Record<string, Record<string, CallableFunction>> {
  const host: Record<string, Record<string, CallableFunction>> = {};
  for (const [name, { statics }] of Object.entries(library.interfaces)) {
    const implementation = (given as Record<string, unknown>)[name] as Record<string, CallableFunction> | undefined;
    host[name] = Object.fromEntries(
      statics.map((member) => [
        member,
        (...args: unknown[]): unknown => {
          if (typeof implementation?.[member] === "function") return implementation[member](...args);
          throw new VdsoError(
            "ERR_VDSO_INTERFACE",
            `${library.name}: expected host.${name}.${member} to be given to map(), found ${typeof implementation?.[member]}`,
          );
        },
      ]),
    );
  }
  return host;
}
