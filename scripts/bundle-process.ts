/**
 * Joins the modules that every process loads into one file. A thread takes about half a millisecond for each module that it imports, and a
 * spawn waits for all of them; the kernel and the tools load once, and stay as the compiler wrote them.
 *
 * The modules keep their files, which now re-export from the joint one: code that imports one of them elsewhere still gets the same
 * classes and the same state.
 */

import { rmSync } from "node:fs";
import { join, relative, sep } from "node:path";
import { type OutputChunk, rolldown } from "rolldown";

/** What a process starts with, and what its code imports. */
const ENTRIES = ["workers/node.ts", "runtime/process/index.ts"];
const JOINT = "runtime/process/joint";
const PACKAGES = /^[^./]/;

/** @param outDir - Holds the compiler's output for the same sources. */
export async function bundleProcess(root: string, outDir: string): Promise<void> {
  const entries = ENTRIES.map((entry) => join(root, entry));
  const external = (id: string): boolean => PACKAGES.test(id) && !id.startsWith(root);

  // What is imported on demand is left out: these are the chunks that no entry begins.
  const graph = await rolldown({ input: entries, external, platform: "node", logLevel: "silent" });
  const chunks = (await graph.generate()).output.filter((file): file is OutputChunk => file.type === "chunk");
  await graph.close();
  const all = chunks.flatMap(({ moduleIds }) => moduleIds).filter((id) => id.startsWith(root));
  const late = new Set(chunks.filter((chunk) => chunk.isDynamicEntry).flatMap(({ moduleIds }) => moduleIds));
  const joined = new Set(all.filter((id) => !late.has(id) && !relative(root, id).startsWith(`workers${sep}`)));

  const nameOf = (id: string): string => relative(root, id).replaceAll(sep, "/").replace(/\.ts$/, "");
  const bundle = await rolldown({
    input: Object.fromEntries(all.map((id) => [nameOf(id), id])),
    external,
    platform: "node",
    preserveEntrySignatures: "exports-only",
  });
  await bundle.write({
    dir: outDir,
    entryFileNames: "[name].js",
    chunkFileNames: "[name].js",
    sourcemap: true,
    // Names stay as they are: they show in stack traces.
    minify: { compress: false, mangle: false, codegen: { removeWhitespace: true } },
    codeSplitting: { groups: [{ name: JOINT, test: (id) => joined.has(id) }] },
  });
  await bundle.close();
  // The compiler's maps of files that only re-export now.
  for (const id of joined) rmSync(join(outDir, `${nameOf(id)}.js.map`), { force: true });
}
