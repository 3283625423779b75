/** The package as it is published, which is what users run: the sources would add the time that stripping their types takes. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const DIST = new URL("../dist/", import.meta.url);

function load(path: string): Promise<unknown> {
  return import(new URL(path, DIST).href);
}

export const loadPackage = () => load("runtime/index.js") as Promise<typeof import("../runtime/index.ts")>;
export const loadBuild = () => load("runtime/build/index.js") as Promise<typeof import("../runtime/build/index.ts")>;

/** The bare exports of an image: what a call costs without an API library. */
export async function bareExports(
  image: Uint8Array<ArrayBuffer> | WebAssembly.Module,
  memory: WebAssembly.Memory,
): Promise<WebAssembly.Exports> {
  const module = image instanceof WebAssembly.Module ? image : await WebAssembly.compile(image);
  const imports: Record<string, Record<string, WebAssembly.ImportValue>> = {};
  for (const { module: from, name, kind } of WebAssembly.Module.imports(module)) {
    imports[from] ??= {};
    imports[from][name] = kind === "memory" ? memory : () => 0;
  }
  const { exports } = await WebAssembly.instantiate(module, imports);
  (exports["_initialize"] as (() => void) | undefined)?.();
  return exports;
}

export function imageBytes(name: string): Buffer {
  return readFileSync(new URL(`../generated/${name}/${name}.wasm`, import.meta.url));
}

/** The queue that vqueue began as, which no death may happen in; kept for the checker's tests as `test/check/vdsos/turns`. */
export function firstVqueue(): Buffer {
  return execFileSync(process.execPath, [join(import.meta.dirname, "first-vqueue.ts")]);
}
