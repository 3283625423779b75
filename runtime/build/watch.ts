/**
 * Builds again whenever something that went into the last build changes.
 *
 * ```ts
 * import { watchVdso } from "wasm-vdso/build";
 * const stop = new AbortController();
 * await watchVdso(
 *   { srcDir: "vdso-src/counter", outDir: "generated/counter" },
 *   { signal: stop.signal, onResult: (result) => console.log(result instanceof Error ? result.message : result.image) },
 * );
 * ```
 */

import { type FSWatcher, statSync, watch } from "node:fs";
import { dirname, join } from "node:path";
import { buildVdso } from "./build.ts";
import { BuildError } from "./build-error.ts";
import { type BuildConfig, resolveConfig } from "./config.ts";
import { nearestFolder } from "./files.ts";
import type { BuildResult } from "./result.ts";

export interface WatchOptions {
  /** Called after the first build and after every build that made a difference. */
  readonly onResult: (result: BuildResult | BuildError) => void;
  /** Ends the watch. */
  readonly signal?: AbortSignal;
}

// Editors save in several steps, and tools change many files at once: wait until it has been quiet for this long.
const QUIET_MS = 40;

/**
 * Builds, then watches: the sources, files outside of the folder that they import, files whose absence mattered. Errors are reported
 * and do not end the watch; also a source folder that is missing may appear later.
 *
 * @returns when the signal is aborted.
 * @throws BuildError `ERR_VDSO_BUILD_CONFIG`, `ERR_VDSO_IMAGE_NAME` - an option is wrong: no change of a file would mend that.
 */
export async function watchVdso(config: BuildConfig, options: WatchOptions): Promise<void> {
  const { onResult, signal } = options;
  const { srcDir } = resolveConfig(config);
  if (signal?.aborted) return;
  using folders = new WatchedFolders();
  const ended = new Promise<void>((resolve) => signal?.addEventListener("abort", () => resolve(), { once: true }));
  let failed = false;
  let sources: readonly string[] = [join(srcDir, "api.ts")];
  for (let first = true; signal?.aborted !== true; first = false) {
    // Asked before the build, so that a change during the build leads to another one.
    const change = folders.nextChange();
    const result = await attempt(config, signal);
    if (result === undefined) break;
    // A compiler that broke down cannot say what it read.
    if (result.sources.length > 0) sources = result.sources;
    folders.follow(sources);
    if (result instanceof BuildError) onResult(result);
    else if (first || failed || result.changed) onResult(result);
    failed = result instanceof BuildError;
    await Promise.race([change, ended]);
  }
}

/** Undefined when the build was aborted. */
async function attempt(
  config: BuildConfig,
  signal: AbortSignal | undefined,
): Promise<BuildResult | BuildError | undefined> {
  try {
    return await buildVdso(config, signal === undefined ? {} : { signal });
  } catch (error) {
    if (signal?.aborted) return undefined;
    if (error instanceof BuildError) return error;
    throw error;
  }
}

/**
 * Watches folders rather than files: a file that is replaced by a rename, as most editors do, or that does not exist yet has
 * no watch of its own that would last. Not recursive: the folders that matter are known.
 */
class WatchedFolders implements Disposable {
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: number }>();
  #changed: PromiseWithResolvers<void> | undefined;
  #quiet: NodeJS.Timeout | undefined;

  /** Resolves once something changes after this call and then is quiet for a moment. */
  nextChange(): Promise<void> {
    this.#changed ??= Promise.withResolvers<void>();
    return this.#changed.promise;
  }

  /** Watches exactly the folders of these files, or the nearest that exist. */
  follow(files: readonly string[]): void {
    const wanted = new Set(files.map((file) => nearestFolder(dirname(file))));
    for (const [folder, { watcher, inode }] of this.#watchers) {
      // A folder that was removed and made again has the same name and no watch.
      if (wanted.has(folder) && statSync(folder, { throwIfNoEntry: false })?.ino === inode) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    for (const folder of wanted) {
      if (!this.#watchers.has(folder)) this.#watch(folder);
    }
  }

  #watch(folder: string): void {
    const inode = statSync(folder, { throwIfNoEntry: false })?.ino;
    if (inode === undefined) return;
    const watcher = watch(folder, () => this.#touch());
    // For example: the folder was removed. The build that follows reports what is missing.
    watcher.on("error", () => this.#touch());
    this.#watchers.set(folder, { watcher, inode });
  }

  #touch(): void {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#changed?.resolve();
      this.#changed = undefined;
    }, QUIET_MS);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#quiet);
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }
}
