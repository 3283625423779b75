import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const guide = readFileSync(join(root, "docs/checking.md"), "utf8");
let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "vdso-guide-")));
  // The package as an application sees it, but made of the sources.
  const installed = join(folder, "package");
  mkdirSync(installed);
  const exports = { "./check": "./check.ts" };
  writeFileSync(join(installed, "package.json"), JSON.stringify({ name: "wasm-vdso", type: "module", exports }));
  writeFileSync(
    join(installed, "check.ts"),
    `export * from ${JSON.stringify(join(root, "runtime/check/index.ts"))};\n`,
  );
  mkdirSync(join(folder, "node_modules"));
  symlinkSync(installed, join(folder, "node_modules", "wasm-vdso"), "dir");
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(command: string): string {
  const [program, ...args] = command.split(" ");
  const node = program === "npx" && args[0] === "vdso" ? [join(root, "bin/vdso.cjs"), ...args.slice(1)] : args;
  expect(["npx", "node"]).toContain(program);
  const { stdout, stderr, status } = spawnSync(process.execPath, node, { cwd: folder, encoding: "utf8" });
  expect([command, status, stderr]).toEqual([command, 0, expect.any(String)]);
  return program === "npx" ? "" : stdout;
}

test("everything that the guide shows can be done, and says what the guide says", () => {
  let output = "";
  let compared = 0;
  const programs = new Set<string>();
  for (const [, info, text] of guide.matchAll(/^```(\S.*)\n([\s\S]*?)^```$/gm)) {
    const file = /file=(\S+)/.exec(info!)?.[1];
    if (file) {
      mkdirSync(dirname(join(folder, file)), { recursive: true });
      writeFileSync(join(folder, file), text!);
      if (!file.startsWith("vdso-src")) programs.add(file);
    } else if (info === "sh") output = text!.trim().split("\n").map(run).join("");
    else if (info === "text output") {
      expect(output.trim()).toBe(text!.trim());
      compared++;
    }
  }
  expect(compared).toBe(6);

  const options = ["--noEmit", "--strict", "--target", "es2024", "--module", "nodenext", "--types", "node"];
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const types = ["--typeRoots", join(root, "node_modules/@types"), "--skipLibCheck", "--allowImportingTsExtensions"];
  const { stdout } = spawnSync(process.execPath, [tsc, ...options, ...types, ...programs], {
    cwd: folder,
    encoding: "utf8",
  });
  expect(stdout).toBe("");
}, 60_000);
