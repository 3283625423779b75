/** The life of a spawned process: enter, load, run. */
import type { ProcessHost } from "../platform/platform.ts";
import { type Boot, toPortable } from "../platform/protocol.ts";
import { enter } from "./context.ts";

/** Boot message of a process that has a module to run. */
type SpawnBoot = Boot & { readonly url: string };

/** Runs the user's module in this thread. Called once, by the worker entry. */
export async function start(host: ProcessHost, message: unknown): Promise<void> {
  const boot = message as SpawnBoot;
  const state = enter(host, boot);
  state.busy = true;
  let url = boot.url;
  let main: unknown;
  try {
    if (boot.interfaces !== undefined) {
      url = boot.interfaces;
      state.interfaces = await import(url);
    }
    url = boot.url;
    main = (await import(url)).default;
  } catch (error) {
    // A module that the user's module imports may be missing too: only the URL tells whose fault it is.
    const { code, url: culprit } = Object(error) as { code?: unknown; url?: unknown };
    const missing = code === "ERR_MODULE_NOT_FOUND" && culprit === url;
    state.post({ kind: "failed", url, missing, error: toPortable(error) });
    host.exit(1);
  }
  state.post({ kind: "ready" });
  if (typeof main === "function") {
    try {
      await main(state.process);
    } catch (error) {
      host.crash(error);
    }
  }
  state.busy = false;
}
