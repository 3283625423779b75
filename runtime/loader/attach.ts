/**
 * Attaches this thread to a mapped image.
 *
 * ```ts
 * import { attach } from "wasm-vdso";
 * import counter from "./generated/counter/counter.js";
 *
 * self.onmessage = ({ data }) => {
 *   const api = attach(counter, data.handle, { host: { Observer: { now: () => performance.now() } } });
 *   api.add(1, observer);
 * };
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { factsOf, type ImageFacts } from "../image/read.ts";
import { checkEngine } from "../platform/engine.ts";
import { checkHandle, type VdsoHandle } from "./handle.ts";
import { checkHeader, claimPid } from "./header.ts";
import { Instance, type InstanceOptions } from "./instance.ts";
import { type LogThreshold, levelNumber } from "./logger.ts";

export interface AttachOptions extends InstanceOptions {
  /**
   * Positive, `generation * 1024 + index` with an index from 1 to 1023. Given by a kernel where there is one; else left out, then the
   * vVAR numbers its processes from 2.
   */
  readonly pid?: number;
}

/** The options, with the interfaces that the image wants: required when it wants any. */
export type AttachArguments<Host> = object extends Host
  ? [options?: AttachOptions & { readonly host?: Host }]
  : [options: AttachOptions & { readonly host: Host }];

const instances = new WeakMap<object, Instance>();

/**
 * Attaches this thread to a mapped image: checks everything, instantiates, runs the image's `processInit(pid)` and returns its
 * API. Attaching again, in the same thread too, gives another attachment with private data and a pid of its own.
 *
 * @throws VdsoError `ERR_VDSO_ENGINE`, `ERR_VDSO_ISOLATION` - this engine, or this page, cannot run images.
 * @throws VdsoError `ERR_VDSO_LIBRARY`, `ERR_VDSO_HANDLE`, `ERR_VDSO_OPTION` - not an API library, a handle, a log level.
 * @throws VdsoError `ERR_VDSO_FINGERPRINT` - library, handle and vVAR are not of the same image.
 * @throws VdsoError `ERR_VDSO_NOT_SHARED`, `ERR_VDSO_SIZE`, `ERR_VDSO_UNINITIALISED`, `ERR_VDSO_MAGIC`, `ERR_VDSO_HEADER_VERSION`,
 * `ERR_VDSO_INITIALISING`, `ERR_VDSO_INIT_FAILED` - the memory is not a vVAR, or not one that is ready.
 * @throws VdsoError `ERR_VDSO_INTERFACE` - a function that the image wants from its host is missing.
 * @throws VdsoError `ERR_VDSO_PID` - not a pid, or none where a kernel assigns them.
 * @throws VdsoPanic - `processInit` panicked.
 */
export function attach<Api, Host>(
  library: VdsoLibrary<Api, Host>,
  handle: VdsoHandle,
  ...[options = {}]: AttachArguments<Host>
): Api {
  checkEngine();
  checkLibrary(library);
  checkHandle(handle);
  const facts = checkFingerprint(library, handle);
  checkHeader(handle, library.vvarBytes);
  // Asked before a pid is taken: whoever is refused leaves the vVAR as it was.
  if (options.logLevel !== undefined) levelNumber(options.logLevel);
  const host = checkHost(library, options.host ?? {});
  const pid = claimPid(handle.memory, handle.name, options.pid);
  const instance = new Instance(library, handle, facts, pid, host, options);
  instance.run("processInit", pid);
  const api = library.bind(instance);
  instances.set(api as object, instance);
  return api;
}

/**
 * Changes from which level on an attachment's log lines are written.
 *
 * @throws VdsoError `ERR_VDSO_OPTION` - not a level.
 * @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not an API that `attach` returned.
 */
export function setLogLevel(api: object, level: LogThreshold): void {
  instanceOf(api).setLogLevel(levelNumber(level));
}

/**
 * The pid of an attachment: to hand to `mapping.drop` where no kernel does it.
 *
 * @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not an API that `attach` returned.
 */
export function pidOf(api: object): number {
  return instanceOf(api).pid;
}

/**
 * The vVAR behind an attachment, for views at the addresses that the image's functions return. It never grows: a view stays valid.
 *
 * @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not an API that `attach` returned.
 */
export function vvarOf(api: object): SharedArrayBuffer {
  return instanceOf(api).vvar;
}

function instanceOf(api: object): Instance {
  const instance = instances.get(api);
  if (instance !== undefined) return instance;
  throw new VdsoError(
    "ERR_VDSO_NOT_ATTACHED",
    "expected an API that attach() returned in this thread, found another object",
  );
}

/** @throws VdsoError `ERR_VDSO_LIBRARY` - not what a generated module exports by default. */
export function checkLibrary(value: unknown): asserts value is VdsoLibrary {
  const library = value as Partial<VdsoLibrary> | null | undefined;
  const whole =
    typeof library === "object" &&
    typeof library?.name === "string" &&
    typeof library.fingerprint === "string" &&
    typeof library.vvarBytes === "number" &&
    typeof library.image === "function" &&
    typeof library.imports === "function" &&
    typeof library.bind === "function";
  if (!whole) {
    throw new VdsoError(
      "ERR_VDSO_LIBRARY",
      `expected an API library (the default export of a generated module), found ${value === null ? "null" : typeof value}`,
    );
  }
}

function checkFingerprint(library: VdsoLibrary, handle: VdsoHandle): ImageFacts {
  if (library.name !== handle.name || library.fingerprint !== handle.fingerprint) {
    throw new VdsoError(
      "ERR_VDSO_FINGERPRINT",
      `expected the API library of image ${handle.name} with the handle's fingerprint ${handle.fingerprint}, ` +
        `found that of ${library.name} with ${library.fingerprint}`,
    );
  }
  const facts = factsOf(handle.module);
  if (facts.fingerprint !== handle.fingerprint) {
    throw new VdsoError(
      "ERR_VDSO_FINGERPRINT",
      `${handle.name}: expected a module with the handle's fingerprint ${handle.fingerprint}, found ${facts.fingerprint}`,
    );
  }
  return facts;
}

/**
 * The implementations of all interfaces with static functions.
 *
 * @throws VdsoError `ERR_VDSO_INTERFACE` - one is missing, or one of its functions.
 */
function checkHost(library: VdsoLibrary, given: object): Record<string, Record<string, CallableFunction>> {
  const host: Record<string, Record<string, CallableFunction>> = {};
  for (const [name, { statics }] of Object.entries(library.interfaces)) {
    if (statics.length === 0) continue;
    const implementation = (given as Record<string, unknown>)[name] as Record<string, CallableFunction> | undefined;
    for (const member of statics) {
      const found: unknown = implementation?.[member];
      if (typeof found === "function") continue;
      throw new VdsoError(
        "ERR_VDSO_INTERFACE",
        `${library.name}: expected a function as host.${name}.${member}, found ${found === null ? "null" : typeof found}`,
      );
    }
    host[name] = implementation!;
  }
  return host;
}
