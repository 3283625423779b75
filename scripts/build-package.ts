/**
 * Makes what is published: `dist/` with JavaScript, types and source maps, the helper library's sources, the
 * built images and what `vdso new` copies.
 *
 * `node scripts/build-package.ts [folder]` - the folder is made anew; `dist` by default.
 */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import { bundleCommand } from "./bundle-command.ts";
import { bundleProcess } from "./bundle-process.ts";

const root = join(import.meta.dirname, "..");
const target = resolve(process.argv[2] ?? join(root, "dist"));
// Made beside its place and moved there whole: a build that fails leaves the last good one.
const fresh = `${target}.${process.pid}.tmp`;

/** What goes along as it is: the examples' images stay behind. */
function folders(): string[] {
  const images = readdirSync(join(root, "vdso-src"))
    .map((name) => join("generated", name))
    .filter((folder) => existsSync(join(root, folder)));
  return [join("vdso-src", "helper"), "starter", ...images];
}

try {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const project = join(root, "tsconfig.build.json");
  const { status } = spawnSync(process.execPath, [tsc, "-p", project, "--outDir", fresh], { stdio: "inherit" });
  if (status !== 0) throw new Error(`tsc ended with ${status}`);
  await bundleProcess(root, fresh);
  await bundleCommand(root, fresh);
  for (const folder of folders()) {
    // The same places relative to the code as in the repository, so that the code finds them in both. Build records describe
    // this machine's builds, not the package.
    const filter = (path: string) => !path.endsWith(".vdso-build.json");
    cpSync(join(root, folder), join(fresh, folder), { recursive: true, filter });
  }
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
} finally {
  rmSync(fresh, { recursive: true, force: true });
}
