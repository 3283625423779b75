/**
 * The build record, `<name>.vdso-build.json` beside the outputs: everything that went into a build and everything that came
 * out, as hashes. While all of it still holds, a further build has nothing to do.
 *
 * Content decides, never time stamps: a checkout, a copy or a restored cache changes times without changing files, and a
 * quick edit may change a file without changing its time. Paths are relative, so that record and outputs may move together.
 */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, extname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildOptions, ResolvedConfig } from "./config.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { hashFile, readIfPresent } from "./files.ts";

const RECORD_VERSION = 1;

export interface BuildRecord {
  readonly version: typeof RECORD_VERSION;
  /** Which compiler; see {@link compilerIdentity}. */
  readonly compiler: string;
  readonly options: BuildOptions;
  /** The source folder as seen from the record. */
  readonly srcDir: string;
  /** Path relative to the source folder -> hash; null for a file that was looked for and not found. */
  readonly sources: Readonly<Record<string, string | null>>;
  /** Environment variables asked for; null for one that was not set. */
  readonly environment: Readonly<Record<string, string | null>>;
  /** File name in the outputs' folder -> hash. */
  readonly outputs: Readonly<Record<string, string>>;
  readonly fingerprint: string;
  readonly warnings: readonly Diagnostic[];
}

export function recordPath(config: ResolvedConfig): string {
  return join(config.outDir, `${config.options.imageName}.vdso-build.json`);
}

/** The record of the last build; undefined when there is none or it is of another form. */
export function readRecord(config: ResolvedConfig): BuildRecord | undefined {
  const text = readIfPresent(recordPath(config))?.toString("utf8");
  if (text === undefined) return undefined;
  try {
    const record: unknown = JSON.parse(text);
    return isRecord(record) ? record : undefined;
  } catch {
    // A damaged record is as good as none: the build that follows writes a new one.
    return undefined;
  }
}

export function formatRecord(record: Omit<BuildRecord, "version">): string {
  return `${JSON.stringify({ version: RECORD_VERSION, ...record }, undefined, 2)}\n`;
}

/** The source folder as the record of this build names it. */
export function recordedSrcDir(config: ResolvedConfig): string {
  return relative(config.outDir, config.srcDir).split(sep).join("/");
}

/** Does everything that the record names still hold, for these options? */
export function isCurrent(record: BuildRecord, config: ResolvedConfig, compiler: string): boolean {
  return (
    record.compiler === compiler &&
    record.srcDir === recordedSrcDir(config) &&
    JSON.stringify(record.options) === JSON.stringify(config.options) &&
    Object.entries(record.environment).every(([name, value]) => (process.env[name] ?? null) === value) &&
    Object.entries(record.sources).every(([path, hash]) => hashFile(join(config.srcDir, path)) === hash) &&
    Object.entries(record.outputs).every(([name, hash]) => hashFile(join(config.outDir, name)) === hash)
  );
}

/**
 * Names the compiler that would run now: a hash over this package's compiler, the helper library and the versions of the
 * packages that they stand on. A version number alone would hide changes made in a checkout of this repository or in an
 * installed package.
 */
export function compilerIdentity(): string {
  const here = fileURLToPath(import.meta.url);
  const root = join(dirname(here), "..", "..");
  const hash = createHash("sha256");
  for (const name of ["assemblyscript", "wabt"]) hash.update(`${name} ${installedVersion(root, name)}\n`);
  for (const path of [...compilerFiles(root, extname(here)), ...listFiles(join(root, "vdso-src", "helper"))]) {
    const bytes = readFileSync(path);
    hash.update(`${relative(root, path).split(sep).join("/")} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest("hex");
}

/** The code that makes the outputs: in the package one file that imports nothing else of it, see `scripts/bundle-command.ts`. */
function compilerFiles(root: string, extension: string): string[] {
  if (extension !== ".ts") return [join(root, "runtime", "build", "worker.js")];
  return ["build", "image"]
    .flatMap((folder) => listFiles(join(root, "runtime", folder)))
    .filter((path) => path.endsWith(".ts"));
}

function listFiles(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function installedVersion(from: string, name: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const path = join(folder, "node_modules", name, "package.json");
    const text = existsSync(path) ? readFileSync(path, "utf8") : undefined;
    if (text !== undefined) return /"version":\s*"([^"]*)"/.exec(text)?.[1] ?? "unknown";
    if (dirname(folder) === folder) return "missing";
  }
}

function isRecord(value: unknown): value is BuildRecord {
  if (typeof value !== "object" || value === null) return false;
  const record: Partial<Record<keyof BuildRecord, unknown>> = value;
  const parts = [record.options, record.sources, record.environment, record.outputs];
  return (
    record.version === RECORD_VERSION &&
    Array.isArray(record.warnings) &&
    parts.every((part) => typeof part === "object" && part !== null)
  );
}
