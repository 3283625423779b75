/**
 * Joins what `vdso build` loads: the compiler's thread into one file, whose hash names the compiler in build records, and the check whether
 * there is anything to do into a CommonJS file, which Node starts faster than modules.
 */

import { rmSync } from "node:fs";
import { join } from "node:path";
import { rolldown } from "rolldown";

const PACKAGES = /^[^./]/;

const FILES = [
  { source: "runtime/build/worker", target: "runtime/build/worker.js", format: "esm" },
  { source: "runtime/cli/quick", target: "runtime/cli/quick.cjs", format: "cjs" },
] as const;

/** @param outDir - Holds the compiler's output for the same sources. */
export async function bundleCommand(root: string, outDir: string): Promise<void> {
  for (const { source, target, format } of FILES) {
    const bundle = await rolldown({
      input: join(root, `${source}.ts`),
      external: (id) => PACKAGES.test(id) && !id.startsWith(root),
      platform: "node",
      logLevel: "warn",
    });
    const { output } = await bundle.write({
      file: join(outDir, target),
      format,
      sourcemap: true,
      codeSplitting: false,
      // Names stay as they are: they show in stack traces.
      minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    });
    await bundle.close();
    const chunks = output.filter(({ type }) => type === "chunk").length;
    if (chunks !== 1) throw new Error(`expected ${target} alone, found ${chunks} files`);
  }
  // The compiler's output for the same entry point.
  for (const suffix of [".js", ".js.map"]) rmSync(join(outDir, `runtime/cli/quick${suffix}`), { force: true });
}
