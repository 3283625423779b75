/** What `vdso build` takes, and the line that it ends with. */

import { statSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { styleText } from "node:util";
import type { BuildConfig } from "../build/config.ts";
import type { BuildResult } from "../build/result.ts";
import {
  type Command,
  formatBytes,
  onlyPositional,
  type ParsedArguments,
  textOption,
  textsOption,
  UsageError,
} from "./command.ts";

export const BUILD_OPTIONS: Command["options"] = {
  out: { type: "string", short: "o" },
  name: { type: "string", short: "n" },
  "api-name": { type: "string" },
  package: { type: "string" },
  config: { type: "string", short: "c", multiple: true },
  feature: { type: "string", short: "f", multiple: true },
  mode: { type: "string", short: "m" },
  "no-log": { type: "boolean" },
  wat: { type: "boolean" },
  "source-map": { type: "boolean" },
  watch: { type: "boolean", short: "w" },
  verbose: { type: "boolean", short: "v" },
};

/** @throws UsageError - the command line names no folder, or an option has a wrong value. */
export function readConfig(parsed: ParsedArguments): BuildConfig {
  const srcDir = onlyPositional(parsed, "the folder of a vDSO");
  if (statSync(srcDir, { throwIfNoEntry: false })?.isFile()) {
    throw new UsageError(`expected the folder of a vDSO, found the file ${srcDir}`);
  }
  const mode = textOption(parsed, "mode") ?? "release";
  if (mode !== "release" && mode !== "debug") throw new UsageError(`--mode: expected release or debug, found ${mode}`);
  const imageName = textOption(parsed, "name") ?? basename(resolve(srcDir));
  const packageName = textOption(parsed, "package");
  const apiLibName = textOption(parsed, "api-name");
  return {
    srcDir,
    imageName,
    outDir: textOption(parsed, "out") ?? join("generated", imageName),
    mode,
    features: textsOption(parsed, "feature"),
    log: parsed.values["no-log"] !== true,
    config: Object.fromEntries(textsOption(parsed, "config").map(readConstant)),
    wat: parsed.values["wat"] === true,
    sourceMap: parsed.values["source-map"] === true,
    // Level 1 is a line per build, which this command writes anyway.
    verbose: parsed.values["verbose"] === true ? 2 : 0,
    ...(packageName !== undefined && { packageName }),
    ...(apiLibName !== undefined && { apiLibName }),
  };
}

function readConstant(text: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals <= 0) throw new UsageError(`--config: expected NAME=VALUE, found ${JSON.stringify(text)}`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

/** @param ms - What a build took. */
export function doneLine({ changed, name, image }: BuildResult, ms?: number): string {
  const path = relative(process.cwd(), image);
  const time = changed && ms !== undefined ? `, ${(ms / 1000).toFixed(2)} s` : "";
  const what = changed ? `${styleText("green", "built", { stream: process.stdout })} ${name}` : `${name} is up to date`;
  return `${what}: ${path} (${formatBytes(statSync(image).size)}${time})`;
}
