/**
 * Builds a vDSO: sources in, image and API library out.
 *
 * ```ts
 * import { buildVdso } from "wasm-vdso/build";
 * const { image, changed } = await buildVdso({
 *   srcDir: "vdso-src/counter",
 *   outDir: "generated/counter",
 *   config: { HISTORY_LEN: 128 },
 * });
 * console.log(changed ? `built ${image}` : "nothing to do");
 * ```
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { BuildError, countDiagnostics, formatDiagnostics } from "./build-error.ts";
import { type BuildConfig, type ResolvedConfig, resolveConfig } from "./config.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { hashFile, outputError, sha256, withOutputLock, writeAtomically } from "./files.ts";
import { type BuildRecord, compilerIdentity, formatRecord, readRecord, recordedSrcDir, recordPath } from "./record.ts";
import { type BuildResult, currentRecord, describeResult } from "./result.ts";
import type { CompilerOutputs } from "./worker.ts";

/**
 * Builds one vDSO into `outDir`: `<name>.wasm`, the API library's `.js` and `.d.ts`, what else was asked for, and the record that lets
 * the next build find out that there is nothing to do. Equal inputs give equal bytes. Outputs appear together and whole, also while
 * other builds write to the same folder.
 *
 * @param options.signal - Ends the build; the outputs stay as they were.
 * @throws BuildError `ERR_VDSO_BUILD` - errors in the sources or constants: all of them, in `diagnostics`.
 * @throws BuildError `ERR_VDSO_BUILD_CONFIG`, `ERR_VDSO_IMAGE_NAME` - an option is wrong.
 * @throws BuildError `ERR_VDSO_SOURCE_FOLDER`, `ERR_VDSO_NO_API` - there is nothing to build.
 * @throws BuildError `ERR_VDSO_BUILD_OUTPUT` - the outputs cannot be written.
 * @throws BuildError `ERR_VDSO_COMPILER` - the compiler itself failed.
 */
export async function buildVdso(
  config: BuildConfig,
  options: { readonly signal?: AbortSignal } = {},
): Promise<BuildResult> {
  options.signal?.throwIfAborted();
  const resolved = resolveConfig(config);
  const compiler = compilerIdentity();
  const current = currentRecord(resolved, compiler);
  const record = current ?? (await rebuild(resolved, compiler, options.signal));
  const result = describeResult(resolved, record, current === undefined);
  report(resolved, record, result);
  return result;
}

async function rebuild(
  config: ResolvedConfig,
  compiler: string,
  signal: AbortSignal | undefined,
): Promise<BuildRecord> {
  // Loaded only now: a build that has nothing to do should cost next to nothing.
  const { runCompiler } = await import("./compiler-thread.ts");
  const environment = Object.fromEntries(Object.entries(process.env).filter(isSet));
  const job = { srcDir: config.srcDir, options: config.options, environment };
  const { inputs, diagnostics, outputs } = await runCompiler(job, compiler, signal);
  signal?.throwIfAborted();
  if (outputs === undefined) throw sourceError(config, diagnostics, Object.keys(inputs.sources));
  const files = outputFiles(config, outputs);
  const record: BuildRecord = {
    version: 1,
    compiler,
    options: config.options,
    srcDir: recordedSrcDir(config),
    ...inputs,
    outputs: Object.fromEntries([...files].map(([name, data]) => [name, sha256(data)])),
    fingerprint: outputs.fingerprint,
    warnings: diagnostics,
  };
  try {
    await withOutputLock(config.outDir, config.options.imageName, () => writeOutputs(config, files, record));
  } catch (error) {
    throw outputError(config.outDir, error);
  }
  return record;
}

function outputFiles({ options }: ResolvedConfig, outputs: CompilerOutputs): Map<string, Uint8Array | string> {
  const { imageName, apiLibName } = options;
  const files = new Map<string, Uint8Array | string>([
    [`${imageName}.wasm`, outputs.image],
    [`${apiLibName}.js`, outputs.js],
    [`${apiLibName}.d.ts`, outputs.dts],
  ]);
  if (outputs.wat !== undefined) files.set(`${imageName}.wat`, outputs.wat);
  if (outputs.sourceMap !== undefined) files.set(`${imageName}.wasm.map`, outputs.sourceMap);
  return files;
}

function writeOutputs(
  config: ResolvedConfig,
  files: ReadonlyMap<string, Uint8Array | string>,
  record: BuildRecord,
): void {
  // Read again under the lock: another build may have finished since.
  const last = readRecord(config);
  for (const [name, data] of files) writeAtomically(join(config.outDir, name), data);
  for (const [name, hash] of Object.entries(last?.outputs ?? {})) {
    // An output that is no longer asked for would be a stale one. What somebody else wrote there since is not ours to remove.
    const path = join(config.outDir, name);
    if (!files.has(name) && hashFile(path) === hash) rmSync(path, { force: true });
  }
  writeAtomically(recordPath(config), formatRecord(record));
}

function report({ verbose, outDir }: ResolvedConfig, record: BuildRecord, result: BuildResult): void {
  const lines: string[] = [];
  if (verbose > 0) lines.push(`${result.name}: ${result.changed ? `built ${result.image}` : "up to date"}`);
  if (verbose > 1) {
    const { sources, environment, outputs } = record;
    lines.push(
      ...Object.entries(sources)
        // What is not there matters for the next build only.
        .filter(([, hash]) => hash !== null)
        .map(([path]) => `  source ${path}`),
    );
    lines.push(...Object.entries(environment).map(([name, value]) => `  environment ${name} ${value ?? "(not set)"}`));
    lines.push(...Object.keys(outputs).map((name) => `  output ${join(outDir, name)}`));
  }
  if (lines.length > 0) process.stderr.write(`${lines.join("\n")}\n`);
}

function sourceError(
  config: ResolvedConfig,
  diagnostics: readonly Diagnostic[],
  sources: readonly string[],
): BuildError {
  const summary = `${config.options.imageName}: ${countDiagnostics(diagnostics)}`;
  return new BuildError("ERR_VDSO_BUILD", `${summary}\n\n${formatDiagnostics(diagnostics)}`, {
    diagnostics,
    sources: sources.map((path) => join(config.srcDir, path)),
  });
}

function isSet(entry: [string, string | undefined]): entry is [string, string] {
  return entry[1] !== undefined;
}
