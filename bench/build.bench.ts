/** What a build takes: in a fresh process, in one that has built before, and when nothing changed. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Group, median } from "./group.ts";
import { loadBuild } from "./package.ts";

const root = join(import.meta.dirname, "..");
const srcDir = join(root, "vdso-src", "example");

/** Wall time of a whole process. */
function processMs(args: readonly string[]): number {
  const began = performance.now();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  const ms = performance.now() - began;
  if (status !== 0) throw new Error(`${args.join(" ")} ended with ${status}: ${stderr}`);
  return ms;
}

async function inTemporaryFolder<T>(work: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "vdso-bench-"));
  try {
    return await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The package as a user has it installed; the checkout's own command runs from its sources. @returns its command */
function install(folder: string): string {
  const modules = join(folder, "node_modules");
  const place = join(modules, "wasm-vdso");
  mkdirSync(place, { recursive: true });
  for (const name of ["bin", "dist", "package.json"]) cpSync(join(root, name), join(place, name), { recursive: true });
  for (const name of ["assemblyscript", "wabt"]) symlinkSync(join(root, "node_modules", name), join(modules, name));
  return join(place, "bin", "vdso.cjs");
}

const vdsoBuild = (command: string, outDir: string) => [command, "build", srcDir, "--out", outDir];

const group: Group = [
  {
    name: "example, fresh process",
    unit: "ms",
    better: "lower",
    ours: () =>
      inTemporaryFolder((folder) => {
        const command = install(folder);
        processMs(vdsoBuild(command, join(folder, "first")));
        return processMs(vdsoBuild(command, join(folder, "second")));
      }),
    peers: {
      // The compiler that ours stands on, on a file with next to nothing in it: the floor.
      "asc -O3, empty module": () =>
        inTemporaryFolder((folder) => {
          const source = join(folder, "a.ts");
          writeFileSync(source, "export function f(): u32 { return 1; }\n");
          const asc = [
            join(root, "node_modules", "assemblyscript", "bin", "asc.js"),
            source,
            "-O3",
            "-o",
            join(folder, "a.wasm"),
          ];
          processMs(asc);
          return processMs(asc);
        }),
    },
  },
  {
    name: "example, process that has built before",
    unit: "ms",
    better: "lower",
    ours: () =>
      inTemporaryFolder(async (outDir) => {
        const { buildVdso } = await loadBuild();
        const times: number[] = [];
        for (let i = 0; i < 12; i++) {
          const began = performance.now();
          // Another package name each time: everything is built again.
          await buildVdso({ srcDir, outDir, packageName: `round-${i}` });
          times.push(performance.now() - began);
        }
        return median(times.slice(2));
      }),
    peers: {},
  },
  {
    name: "example, nothing changed, whole process",
    unit: "ms",
    better: "lower",
    ours: () =>
      inTemporaryFolder((folder) => {
        const build = vdsoBuild(install(folder), join(folder, "out"));
        processMs(build);
        return median(Array.from({ length: 9 }, () => processMs(build)));
      }),
    peers: {
      "node, empty script": () => median(Array.from({ length: 9 }, () => processMs(["-e", "0"]))),
    },
  },
];

export default group;
