/** What a build leaves behind, and whether it is there already. Free of everything that compiles: an unchanged build loads only this. */

import { join } from "node:path";
import { type BuildConfig, checkSourceFolder, type ResolvedConfig, resolveConfig } from "./config.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { type BuildRecord, compilerIdentity, isCurrent, readRecord } from "./record.ts";

/** What a successful build leaves behind. All paths are absolute. */
export interface BuildResult {
  /** Image name. */
  readonly name: string;
  /** False when everything was up to date, so that nothing was compiled and nothing written. */
  readonly changed: boolean;
  /** ABI fingerprint: 16 hex digits. */
  readonly fingerprint: string;
  /** `<name>.wasm` */
  readonly image: string;
  /** The API library, `.js` and its types. */
  readonly library: string;
  readonly types: string;
  /** With {@link BuildConfig.wat}. */
  readonly wat?: string;
  /** With {@link BuildConfig.sourceMap}. */
  readonly sourceMap?: string;
  /** Every source file that went in, and every one that was looked for where there is none. */
  readonly sources: readonly string[];
  readonly warnings: readonly Diagnostic[];
}

/**
 * The result that `buildVdso` would have when it has nothing to do; undefined when it would build. Synchronous, and loads no more
 * than that takes.
 *
 * @throws BuildError `ERR_VDSO_BUILD_CONFIG`, `ERR_VDSO_IMAGE_NAME`, `ERR_VDSO_SOURCE_FOLDER`, `ERR_VDSO_NO_API` - as `buildVdso`.
 */
export function upToDate(config: BuildConfig): BuildResult | undefined {
  const resolved = resolveConfig(config);
  const record = currentRecord(resolved, compilerIdentity());
  return record && describeResult(resolved, record, false);
}

/**
 * The record of the last build, while all of it still holds.
 *
 * @throws BuildError `ERR_VDSO_SOURCE_FOLDER`, `ERR_VDSO_NO_API` - there is nothing to build.
 */
export function currentRecord(config: ResolvedConfig, compiler: string): BuildRecord | undefined {
  checkSourceFolder(config.srcDir);
  const last = readRecord(config);
  return last !== undefined && isCurrent(last, config, compiler) ? last : undefined;
}

export function describeResult(config: ResolvedConfig, record: BuildRecord, changed: boolean): BuildResult {
  const { imageName, apiLibName, wat, sourceMap } = config.options;
  const output = (name: string) => join(config.outDir, name);
  return {
    name: imageName,
    changed,
    fingerprint: record.fingerprint,
    image: output(`${imageName}.wasm`),
    library: output(`${apiLibName}.js`),
    types: output(`${apiLibName}.d.ts`),
    ...(wat && { wat: output(`${imageName}.wat`) }),
    ...(sourceMap && { sourceMap: output(`${imageName}.wasm.map`) }),
    sources: Object.keys(record.sources).map((path) => join(config.srcDir, path)),
    warnings: record.warnings,
  };
}
