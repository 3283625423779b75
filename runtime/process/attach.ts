import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { attach as attachHandle, type MappingHandle } from "../loader/attach.ts";
import { requireState } from "./context.ts";

/**
 * Attaches this process to an image that its kernel has booted, and returns the image's API. The pid and the mapping come from the
 * kernel. A second call for the same image returns the same API, so that modules need not know of each other.
 *
 * @param host - Implementations of the image's interfaces; those of the module given to `spawn` as `interfaces` stand in for the rest.
 * @throws VdsoError `ERR_VDSO_NO_KERNEL` - no kernel has spawned or adopted this thread.
 * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - the kernel was booted without this image.
 * @throws VdsoError `ERR_VDSO_ATTACHED` - `host` was given, but the image is attached already.
 * @throws VdsoError - whatever `attach` of `wasm-vdso` refuses.
 */
export function attach<Api, Host>(library: VdsoLibrary<Api, Host>, host?: Partial<Host>): Api {
  const { apis, boot, interfaces, post } = requireState("attach");
  const { name } = library;
  // Another version of the library gets past this, and is refused for its fingerprint.
  const key = `${name} ${library.fingerprint}`;
  const known = apis.get(key);
  if (known !== undefined) {
    if (host === undefined) return known as Api;
    throw new VdsoError(
      "ERR_VDSO_ATTACHED",
      `attach: expected no implementations, because ${name} is attached already, found some`,
    );
  }
  const handles = boot.handles as readonly MappingHandle[];
  const handle = handles.find((each) => each.name === name);
  if (handle === undefined) {
    const names = handles.map((each) => each.name).join(", ") || "none";
    throw new VdsoError("ERR_VDSO_NOT_MAPPED", `attach: expected one of the kernel's images (${names}), found ${name}`);
  }
  const api = attachHandle(library, handle, {
    pid: boot.pid,
    host: { ...interfaces, ...host },
    logLevel: boot.logLevel,
    log: (record) => post({ kind: "log", record }),
    onPanic: ({ vdso, template, args, file, line, column, stack }) =>
      post({ kind: "panic", panic: { vdso, template, args, site: { file, line, column }, stack } }),
  });
  apis.set(key, api);
  return api;
}
