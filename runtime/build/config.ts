/** The options of a build: what a caller may say, and what holds after defaults and checks. */

import { statSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import type { VdsoErrorCode } from "../errors.ts";
import { BuildError } from "./build-error.ts";

/** A value for a constant of the vDSO. It has to parse as the constant's type. */
export type ConstantValue = string | number | bigint | boolean;

/**
 * Options of a build. Each field stands for one of the original build helper's, named in brackets where the name differs, so that
 * its users find their way.
 */
export interface BuildConfig {
  /** The vDSO's folder: `api.ts` in it holds all exports. */
  readonly srcDir: string;
  /** Where the outputs go; created when missing. */
  readonly outDir: string;
  /** Name of the image, so of `<name>.wasm`. Letters, digits, `_`, `-`, a letter first. Default: the source folder's name. (`so_name`) */
  readonly imageName?: string;
  /** Name of the package that the vDSO belongs to; the manifest carries it. Default: the image's name. */
  readonly packageName?: string;
  /** Name of the API library, so of `<name>.js` and `<name>.d.ts`. Default: the image's name. */
  readonly apiLibName?: string;
  /** `release` (default) optimises; `debug` keeps names and the code as written. */
  readonly mode?: "debug" | "release";
  /** Boolean constants to switch on. */
  readonly features?: readonly string[];
  /** Compile `log.*` calls in. Default: true. */
  readonly log?: boolean;
  /** Lines on standard error: 0 (default) none, 1 one per build, 2 also sources, environment and outputs. */
  readonly verbose?: 0 | 1 | 2;
  /** Values for constants. They win over environment variables of the same name, which win over the defaults in the source. */
  readonly config?: Readonly<Record<string, ConstantValue>>;
  /** Also write the image as text, `<name>.wat`. */
  readonly wat?: boolean;
  /** Also write a source map, `<name>.wasm.map`. */
  readonly sourceMap?: boolean;
  /** There is one architecture here. Any other value is refused. */
  readonly arch?: "wasm32";
  /** There is one compiler here, and it comes with this package. Any other value is refused. */
  readonly toolchain?: "assemblyscript";
  /** WebAssembly fixes it. Any other value is refused. */
  readonly pageSize?: 65536;
}

/** A {@link BuildConfig} that was checked, with all defaults filled in. */
export interface ResolvedConfig {
  readonly srcDir: string;
  readonly outDir: string;
  readonly verbose: 0 | 1 | 2;
  readonly options: BuildOptions;
}

/** What determines the outputs besides sources, environment and compiler. Goes into the build record as it is. */
export interface BuildOptions {
  readonly imageName: string;
  readonly packageName: string;
  readonly apiLibName: string;
  readonly mode: "debug" | "release";
  readonly log: boolean;
  /** Sorted, each once. */
  readonly features: readonly string[];
  /** Sorted by name. */
  readonly config: Readonly<Record<string, string>>;
  readonly wat: boolean;
  readonly sourceMap: boolean;
}

const FIELDS: Record<keyof BuildConfig, string> = {
  srcDir: "string",
  outDir: "string",
  imageName: "string",
  packageName: "string",
  apiLibName: "string",
  mode: '"debug" or "release"',
  features: "array of strings",
  log: "boolean",
  verbose: "0, 1 or 2",
  config: "object of constant values",
  wat: "boolean",
  sourceMap: "boolean",
  arch: '"wasm32"',
  toolchain: '"assemblyscript"',
  pageSize: "65536",
};

// Names become file names, identifiers and WebAssembly names, on every file system.
const NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
const IDENTIFIER = /^[A-Za-z_$][A-Za-z0-9_$]*$/;

/**
 * Checks a configuration and fills in the defaults.
 *
 * @throws BuildError `ERR_VDSO_BUILD_CONFIG` - a field is unknown or has a wrong value.
 * @throws BuildError `ERR_VDSO_IMAGE_NAME` - image or API library have a name that cannot be used.
 */
export function resolveConfig(config: BuildConfig): ResolvedConfig {
  const given: Readonly<Record<string, unknown>> = { ...config };
  for (const name of Object.keys(given)) {
    if (!(name in FIELDS)) {
      throw refuse(`unknown build option "${name}"; known are ${Object.keys(FIELDS).join(", ")}`);
    }
  }
  const field = <T>(name: keyof BuildConfig, accepts: (value: unknown) => value is T, fallback: T): T => {
    const value = given[name];
    if (value === undefined) return fallback;
    if (!accepts(value)) throw refuse(`build option "${name}": expected ${FIELDS[name]}, found ${show(value)}`);
    return value;
  };
  const required = (name: "srcDir" | "outDir"): string => {
    const value = field<string>(name, isText, "");
    if (value === "") throw refuse(`build option "${name}": expected a folder, found nothing`);
    return resolve(value);
  };

  const srcDir = required("srcDir");
  const imageName = checkName("image", field("imageName", isText, basename(srcDir)));
  const options: BuildOptions = {
    imageName,
    packageName: field("packageName", isText, imageName),
    apiLibName: checkName("API library", field("apiLibName", isText, imageName)),
    mode: field("mode", oneOf("debug", "release"), "release"),
    log: field("log", isBoolean, true),
    features: sortedFeatures(field<readonly string[]>("features", isTextArray, [])),
    config: constantTexts(field<Readonly<Record<string, unknown>>>("config", isObject, {})),
    wat: field("wat", isBoolean, false),
    sourceMap: field("sourceMap", isBoolean, false),
  };
  field("arch", oneOf("wasm32"), "wasm32");
  field("toolchain", oneOf("assemblyscript"), "assemblyscript");
  field("pageSize", oneOf(65536), 65536);
  return { srcDir, outDir: required("outDir"), verbose: field("verbose", oneOf(0, 1, 2), 0), options };
}

/**
 * Checks that the source folder can hold a vDSO.
 *
 * @throws BuildError `ERR_VDSO_SOURCE_FOLDER` - it is missing or not a folder.
 * @throws BuildError `ERR_VDSO_NO_API` - it has no `api.ts`.
 */
export function checkSourceFolder(srcDir: string): void {
  const api = join(srcDir, "api.ts");
  // Watch mode waits for these to appear.
  const fail = (code: VdsoErrorCode, message: string) => new BuildError(code, message, { sources: [api] });
  const folder = statSync(srcDir, { throwIfNoEntry: false });
  if (folder === undefined) throw fail("ERR_VDSO_SOURCE_FOLDER", `source folder ${srcDir} does not exist`);
  if (!folder.isDirectory())
    throw fail("ERR_VDSO_SOURCE_FOLDER", `${srcDir} is not a folder; a vDSO is a folder with an api.ts`);
  if (!statSync(api, { throwIfNoEntry: false })?.isFile()) {
    throw fail("ERR_VDSO_NO_API", `${srcDir} has no api.ts; the file of that name holds all exports of a vDSO`);
  }
}

function refuse(message: string): BuildError {
  return new BuildError("ERR_VDSO_BUILD_CONFIG", message);
}

function checkName(what: string, name: string): string {
  if (NAME.test(name)) return name;
  throw new BuildError(
    "ERR_VDSO_IMAGE_NAME",
    `name of the ${what}: expected a letter, then up to 63 letters, digits, "_" or "-", found ${show(name)}`,
  );
}

function sortedFeatures(features: readonly string[]): string[] {
  for (const feature of features) {
    if (!NAME.test(feature)) {
      throw refuse(`feature: expected a letter, then letters, digits, "_" or "-", found ${show(feature)}`);
    }
  }
  return [...new Set(features)].sort();
}

function constantTexts(config: Readonly<Record<string, unknown>>): Record<string, string> {
  const texts = Object.entries(config).map(([name, value]): [string, string] => {
    if (!IDENTIFIER.test(name)) throw refuse(`build option "config": ${show(name)} cannot be the name of a constant`);
    if (!["string", "number", "bigint", "boolean"].includes(typeof value)) {
      throw refuse(`constant "${name}": expected a string, number, bigint or boolean, found ${show(value)}`);
    }
    return [name, String(value)];
  });
  return Object.fromEntries(texts.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isBoolean(value: unknown): value is boolean {
  return typeof value === "boolean";
}

function isTextArray(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function oneOf<const T>(...values: T[]): (value: unknown) => value is T {
  return (value): value is T => values.some((allowed) => allowed === value);
}

function show(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value) : Array.isArray(value) ? "an array" : String(value);
}
