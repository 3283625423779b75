/** Images of the checker's tests: the vDSOs in `vdsos/`, compiled with a constant that chooses the bug. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
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
    const folder = join(import.meta.dirname, "vdsos", name);
    result = build(name, (path) => readFileSync(join(folder, path), "utf8"), config);
    built.set(key, result);
  }
  return result;
}

/** Compiles the text of one `api.ts`. */
export function imageOf(text: string, config: Readonly<Record<string, string>> = {}): Promise<TestImage> {
  return build("tested", () => text, config);
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
    sources: { read: (path) => (path.endsWith("api.ts") ? read(path) : undefined) },
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
