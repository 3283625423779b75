/** Images of the checker's tests: the vDSOs in `vdsos/`, compiled with a constant that chooses the bug. */
import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { compile } from "../../runtime/build/compile.ts";
import type { Manifest } from "../../runtime/image/manifest.ts";

export interface TestImage {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly sourceMap: string;
  readonly manifest: Manifest;
}

const built = new Map<string, Promise<TestImage>>();

/** Compiles `vdsos/<name>/api.ts`, once for each set of constants. */
export function image(name: string, config: Readonly<Record<string, string>> = {}): Promise<TestImage> {
  const key = `${name} ${JSON.stringify(config)}`;
  let result = built.get(key);
  if (!result) {
    result = imageFrom(join(import.meta.dirname, "vdsos", name), config);
    built.set(key, result);
  }
  return result;
}

/** Compiles a vDSO's folder. */
export function imageFrom(folder: string, config: Readonly<Record<string, string>> = {}): Promise<TestImage> {
  return build(basename(folder), (path) => readFileSync(join(folder, path), "utf8"), config);
}

/** Compiles the text of one `api.ts`. */
export function imageOf(text: string, config: Readonly<Record<string, string>> = {}): Promise<TestImage> {
  const read = (path: string): string => {
    if (path !== "api.ts") throw new Error(`there is only api.ts, not ${path}`);
    return text;
  };
  return build("tested", read, config);
}

async function build(
  name: string,
  source: (path: string) => string,
  config: Readonly<Record<string, string>>,
): Promise<TestImage> {
  const read = (path: string): string | undefined => {
    try {
      return source(path);
    } catch {
      return undefined;
    }
  };
  const result = await compile({
    sources: { read },
    name,
    package: name,
    mode: "release",
    log: false,
    features: [],
    config,
    env: {},
    sourceMap: true,
  });
  const { image, manifest, sourceMap, diagnostics } = result;
  if (!image || !manifest || sourceMap === undefined) {
    throw new Error(diagnostics.map(({ line, message, text }) => `${name}:${line}: ${message}\n${text}`).join("\n"));
  }
  return { image: new Uint8Array(image), manifest, sourceMap };
}
