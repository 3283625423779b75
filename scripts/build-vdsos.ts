/**
 * Builds every vDSO of this repository into `generated/<name>/`: those of `vdso-src`, those of examples that have a folder `vdso`,
 * and those that the benchmarks call. Prints only what it had to build.
 */

import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { BuildError, buildVdso, formatDiagnostics } from "../runtime/build/index.ts";

const root = join(import.meta.dirname, "..");
const color = process.stderr.isTTY && !process.env["NO_COLOR"];

function findVdsos(): { name: string; srcDir: string }[] {
  const own = folders("vdso-src").map((name) => ({ name, srcDir: join(root, "vdso-src", name) }));
  const examples = folders("examples").map((name) => ({ name, srcDir: join(root, "examples", name, "vdso") }));
  const bench = { name: "bench", srcDir: join(root, "bench", "vdso") };
  const yardsticks = folders("bench/vdso").map((name) => ({ name, srcDir: join(root, "bench", "vdso", name) }));
  return [...own, ...examples, bench, ...yardsticks].filter(({ srcDir }) => existsSync(join(srcDir, "api.ts")));
}

function folders(parent: string): string[] {
  if (!existsSync(join(root, parent))) return [];
  return readdirSync(join(root, parent), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

async function build({ name, srcDir }: { name: string; srcDir: string }): Promise<void> {
  try {
    const outDir = join(root, "generated", name);
    await buildVdso({ srcDir, outDir, imageName: name, packageName: "wasm-vdso", verbose: 0 }).then((result) => {
      if (result.changed) console.error(`built generated/${name}/${name}.wasm`);
    });
  } catch (error) {
    process.exitCode = 1;
    if (!(error instanceof BuildError)) throw error;
    const shown = error.diagnostics.length > 0 ? formatDiagnostics(error.diagnostics, { color }) : error.message;
    console.error(`${name} does not build\n\n${shown}\n`);
  }
}

await Promise.all(findVdsos().map(build));
