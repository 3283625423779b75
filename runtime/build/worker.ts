/**
 * The thread that the compiler runs in. One job in, one outcome out; nothing else is shared with the thread that builds.
 * {@link ./compiler-thread.ts} starts it and replaces it in time.
 */

import { enableCompileCache } from "node:module";
import { parentPort, workerData } from "node:worker_threads";
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import type { BuildOptions } from "./config.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { FolderReader } from "./files.ts";

export interface CompilerJob {
  readonly srcDir: string;
  readonly options: BuildOptions;
  readonly environment: Readonly<Record<string, string>>;
}

/** What the compiler read: part of every outcome, so that also a failed build knows what to watch. */
export interface CompilerInputs {
  /** Path relative to the source folder -> hash of what was read, null for what was not found. */
  readonly sources: Readonly<Record<string, string | null>>;
  /** Variable -> value, null for one that is not set. */
  readonly environment: Readonly<Record<string, string | null>>;
}

export interface CompilerOutputs {
  readonly image: Uint8Array;
  readonly fingerprint: string;
  readonly js: string;
  readonly dts: string;
  readonly wat?: string;
  readonly sourceMap?: string;
}

export interface CompilerOutcome {
  readonly inputs: CompilerInputs;
  readonly diagnostics: readonly Diagnostic[];
  /** Absent when a diagnostic is an error. */
  readonly outputs?: CompilerOutputs;
}

export type CompilerReply =
  | { readonly outcome: CompilerOutcome; readonly heldBytes: number }
  | { readonly failure: { readonly code: VdsoErrorCode; readonly message: string; readonly stack: string } };

async function compileJob({ srcDir, options, environment }: CompilerJob): Promise<CompilerOutcome> {
  const [{ compile }, { validateImage }, { generateLibrary }] = await Promise.all([
    import("./compile.ts"),
    import("./validate.ts"),
    import("./library.ts"),
  ]);
  const sources = new FolderReader(srcDir);
  const variables = new Map<string, string | null>();
  // However the compiler looks a variable up: one that went unnoticed would leave a stale image when it changes.
  const note = (name: string | symbol): void => {
    if (typeof name === "string") variables.set(name, environment[name] ?? null);
  };
  const env = new Proxy(environment, {
    get(values, name) {
      note(name);
      return Reflect.get(values, name);
    },
    getOwnPropertyDescriptor(values, name) {
      note(name);
      return Reflect.getOwnPropertyDescriptor(values, name);
    },
  });
  const { imageName, packageName, mode, log, features, config, wat, sourceMap } = options;
  const result = await compile({
    sources,
    name: imageName,
    package: packageName,
    mode,
    log,
    features,
    config,
    env,
    wat,
    sourceMap,
  });
  const outcome = {
    inputs: { sources: sorted(sources.asked), environment: sorted(variables) },
    diagnostics: result.diagnostics,
  };
  const { image, manifest } = result;
  if (image === undefined || manifest === undefined) return outcome;
  await validateImage(image, manifest);
  const { js, dts } = generateLibrary({ manifest, image, docs: result.docs });
  const outputs: CompilerOutputs = {
    image,
    fingerprint: manifest.fingerprint,
    js,
    dts,
    ...(result.wat !== undefined && { wat: result.wat }),
    ...(result.sourceMap !== undefined && { sourceMap: result.sourceMap }),
  };
  return { ...outcome, outputs };
}

function sorted(map: ReadonlyMap<string, string | null>): Record<string, string | null> {
  return Object.fromEntries([...map].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function answer(job: CompilerJob): Promise<CompilerReply> {
  try {
    const outcome = await compileJob(job);
    const { heapTotal, external } = process.memoryUsage();
    return { outcome, heldBytes: heapTotal + external };
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof VdsoError ? error.code : "ERR_VDSO_COMPILER";
    return { failure: { code, message, stack } };
  }
}

if (typeof workerData.compileCache === "string") enableCompileCache(workerData.compileCache);
parentPort?.on("message", async (job: CompilerJob) => parentPort?.postMessage(await answer(job)));
