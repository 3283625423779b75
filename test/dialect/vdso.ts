/** Compiles sources given as text, and runs what comes out: mapped and attached as a program would. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { compile } from "../../runtime/build/compile.ts";
import type { CompileInput, CompileResult } from "../../runtime/build/contract.ts";
import { generateLibrary } from "../../runtime/build/library.ts";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import type { Manifest } from "../../runtime/image/manifest.ts";
import { attach } from "../../runtime/loader/attach.ts";
import type { VdsoHandle } from "../../runtime/loader/handle.ts";
import type { InstanceOptions } from "../../runtime/loader/instance.ts";
import { map } from "../../runtime/loader/map.ts";

/** Text of `api.ts`, or of several files. */
export type Sources = string | Readonly<Record<string, string>>;

export type Options = Partial<Omit<CompileInput, "sources">>;

/** An API as plain JavaScript sees it. */
export type Api = Record<string, (...args: unknown[]) => unknown>;

export function build(sources: Sources, options: Options = {}): Promise<CompileResult> {
  const files: Readonly<Record<string, string>> = typeof sources === "string" ? { "api.ts": sources } : sources;
  return compile({
    sources: { read: (path) => (Object.hasOwn(files, path) ? files[path] : undefined) },
    name: "tested",
    package: "tested",
    mode: "release",
    log: true,
    features: [],
    config: {},
    env: {},
    ...options,
  });
}

const folder = mkdtempSync(join(tmpdir(), "vdso-test-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
let files = 0;

export interface Built {
  readonly image: Uint8Array;
  readonly manifest: Manifest;
  readonly wat: string;
  readonly js: string;
  readonly dts: string;
  /** The generated module: library as `default`, enums and constants by name. */
  readonly module: Readonly<Record<string, unknown>> & { readonly default: VdsoLibrary<Api, unknown> };
}

/** Fails with all that the compiler said when it refuses the sources. */
export async function buildWhole(sources: Sources, options: Options = {}): Promise<Built> {
  const { diagnostics, image, manifest, wat, docs } = await build(sources, { wat: true, ...options });
  if (image === undefined || manifest === undefined || wat === undefined) {
    throw new Error(diagnostics.map((d) => `${d.file}:${d.line}:${d.column} ${d.code} ${d.message}`).join("\n"));
  }
  const { js, dts } = generateLibrary({ manifest, image, docs });
  const file = join(folder, `library-${++files}.mjs`);
  writeFileSync(file, js);
  return { image, manifest, wat, js, dts, module: await import(/* @vite-ignore */ pathToFileURL(file).href) };
}

export interface Running extends Built {
  readonly api: Api;
  readonly handle: VdsoHandle;
  /** Bytes of the vVAR. */
  readonly vvar: DataView;
  /** Another process, as far as the image can tell. */
  another(options?: InstanceOptions & { readonly host?: unknown }): Api;
}

/** Builds, maps and attaches. */
export async function run(
  sources: Sources,
  {
    host,
    log,
    logLevel,
    ...options
  }: Options & { host?: unknown } & Pick<InstanceOptions, "logLevel"> & {
      log?: CompileInput["log"];
    } = {},
): Promise<Running> {
  const built = await buildWhole(sources, { ...options, ...(log === undefined ? {} : { log }) });
  const library = built.module.default;
  const mapping = await map(library, typeof host === "object" && host !== null ? { host } : {});
  const another: Running["another"] = (given = {}) =>
    attach<Api, unknown>(library, mapping.handle, { host, ...(logLevel === undefined ? {} : { logLevel }), ...given });
  return { ...built, api: another(), handle: mapping.handle, vvar: new DataView(mapping.memory.buffer), another };
}
