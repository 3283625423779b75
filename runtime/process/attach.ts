import { type VdsoError, VdsoPanic } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { Attachments } from "../loader/attachments.ts";
import type { VdsoHandle } from "../loader/handle.ts";
import { lineLogger } from "../loader/log-line.ts";
import type { LogThreshold } from "../loader/logger.ts";
import { type PanicDetails, toPortable } from "../platform/protocol.ts";
import { type ProcessState, requireState } from "./context.ts";

/**
 * Attaches this process to an image that its kernel has booted, and returns the image's API. The pid and the mapping come from the
 * kernel. A second call for the same image returns the same API, so that modules need not know of each other.
 *
 * A panic ends the process, also when code in it catches the error.
 *
 * @param host - Implementations of the image's interfaces; those of the module given to `spawn` as `interfaces` stand in for the rest.
 * @throws VdsoError `ERR_VDSO_NO_KERNEL` - no kernel has spawned or adopted this thread.
 * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - the kernel was booted without this image.
 * @throws VdsoError `ERR_VDSO_ATTACHED` - `host` was given, but the image is attached already.
 * @throws VdsoError - whatever `attach` of `wasm-vdso` refuses.
 */
export function attach<Api, Host>(library: VdsoLibrary<Api, Host>, host?: Partial<Host>): Api {
  const state = requireState("attach");
  state.attachments ??= attachmentsOf(state);
  return state.attachments.attach(library, host as object | undefined, state.interfaces);
}

function attachmentsOf({ boot, post }: ProcessState): Attachments {
  return new Attachments(boot.handles as readonly VdsoHandle[], {
    pid: boot.pid,
    log: lineLogger((line) => post({ kind: "log", line })),
    onPanic: (error) => post({ kind: "panic", error: toPortable(error), panic: panicDetails(error) }),
    ...(boot.logLevel && { logLevel: boot.logLevel as LogThreshold }),
  });
}

/** Traps have none. */
function panicDetails(error: VdsoError): PanicDetails | undefined {
  if (!(error instanceof VdsoPanic)) return undefined;
  const { vdso, template, args, file, line, column } = error;
  return { vdso, template, args, site: { file, line, column } };
}
