/** The image with tables small enough to try every interleaving. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "../../runtime/build/compile.ts";

const folder = join(import.meta.dirname, "..", "..", "vdso-src", "vsched");
const SMALL = {
  TASKS: "1",
  CPUS: "2",
  QUEUES: "1",
  WAIT_CELLS: "1",
  JOIN_CELLS: "1",
  DATA_BYTES: "96",
  TRACE_LEN: "1",
  NAMES: "1",
  NAME_BYTES: "4",
};

export interface SmallImage {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly sourceMap: string;
}

const built = new Map<string, Promise<SmallImage>>();

export function smallImage(config: Readonly<Record<string, string>> = {}): Promise<SmallImage> {
  const key = JSON.stringify(config);
  let image = built.get(key);
  if (!image) {
    image = build({ ...SMALL, ...config });
    built.set(key, image);
  }
  return image;
}

async function build(config: Readonly<Record<string, string>>): Promise<SmallImage> {
  const { image, sourceMap, diagnostics } = await compile({
    sources: {
      read(path) {
        try {
          return readFileSync(join(folder, path), "utf8");
        } catch {
          return undefined;
        }
      },
    },
    name: "vsched",
    package: "wasm-vdso",
    mode: "release",
    log: false,
    features: [],
    config,
    env: {},
    sourceMap: true,
  });
  if (!image || sourceMap === undefined) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return { image: new Uint8Array(image), sourceMap };
}
