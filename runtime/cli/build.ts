/** `vdso build` */

import { styleText } from "node:util";
import { buildVdso } from "../build/build.ts";
import { BuildError, countDiagnostics, formatDiagnostics } from "../build/build-error.ts";
import type { BuildConfig } from "../build/config.ts";
import type { BuildResult } from "../build/result.ts";
import { BUILD_OPTIONS, doneLine, readConfig } from "./build-arguments.ts";
import { type Command, errorColor, FailedError, type ParsedArguments, print, printError } from "./command.ts";

const HELP = `Usage: vdso build <dir> [options]

Builds the vDSO in <dir>, whose api.ts holds its exports, into an image (.wasm), an API library (.js) and its types
(.d.ts). Does nothing when everything is up to date.

Options
  -o, --out <dir>       where the outputs go (default: generated/<name>)
  -n, --name <name>     name of the image (default: the folder's name)
      --api-name <name> name of the API library (default: the image's name)
      --package <name>  package name in the manifest (default: the image's name)
  -c, --config <K=V>    value for a constant; may be given several times. Wins over an environment
                        variable of the same name, which wins over the default in the source
  -f, --feature <name>  switch a feature on; may be given several times
  -m, --mode <mode>     release (default) or debug
      --no-log          leave log calls out
      --wat             also write the image as text (.wat)
      --source-map      also write a source map (.wasm.map)
  -w, --watch           build again whenever a source changes, until Ctrl-C
  -v, --verbose         also list sources, environment variables and outputs
  -h, --help            show this

Example: vdso build vdso-src/counter --config HISTORY_LEN=128 --watch`;

async function run(parsed: ParsedArguments): Promise<void> {
  const config = readConfig(parsed);
  if (parsed.values["watch"] === true) await watch(config);
  else await once(config);
}

async function once(config: BuildConfig): Promise<void> {
  const clear = showProgress(`building ${config.imageName}`);
  try {
    const start = performance.now();
    const result = await buildVdso(config).finally(clear);
    reportDone(result, performance.now() - start);
  } catch (error) {
    reportFailure(error);
  }
}

async function watch(config: BuildConfig): Promise<void> {
  const { watchVdso } = await import("../build/watch.ts");
  const stop = new AbortController();
  process.once("SIGINT", () => stop.abort());
  process.once("SIGTERM", () => stop.abort());
  printError(`watching ${config.srcDir}; Ctrl-C ends it`);
  await watchVdso(config, {
    signal: stop.signal,
    onResult(result) {
      if (result instanceof BuildError) printError(failureText(result));
      else reportDone(result);
    },
  });
}

function reportDone(result: BuildResult, ms?: number): void {
  const { warnings } = result;
  if (warnings.length > 0) printError(`${formatDiagnostics(warnings, { color: errorColor() })}\n`);
  print(doneLine(result, ms));
}

function reportFailure(error: unknown): never {
  if (!(error instanceof BuildError) || error.diagnostics.length === 0) throw error;
  printError(failureText(error));
  throw new FailedError();
}

function failureText(error: BuildError): string {
  const { diagnostics } = error;
  if (diagnostics.length === 0)
    return `${styleText("red", "error:", { stream: process.stderr })} ${error.message} [${error.code}]`;
  return `${formatDiagnostics(diagnostics, { color: errorColor() })}\n\n${countDiagnostics(diagnostics)}`;
}

/** A line that only a terminal sees, for as long as the work takes. */
function showProgress(text: string): () => void {
  if (!process.stderr.isTTY) return () => {};
  process.stderr.write(`${text} ...`);
  return () => process.stderr.write("\r\u001b[K");
}

export const command: Command = {
  help: HELP,
  options: BUILD_OPTIONS,
  run,
};
