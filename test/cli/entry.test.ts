import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root, runCommand } from "./vdso.ts";

/** A folder with the command's entry and the package's description, and nothing behind them. */
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdso-entry-"));
  mkdirSync(join(folder, "bin"));
  cpSync(join(root, "bin", "vdso.cjs"), join(folder, "bin", "vdso.cjs"));
  cpSync(join(root, "package.json"), join(folder, "package.json"));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function runEntry(...flags: string[]) {
  return runCommand(process.execPath, [...flags, join(folder, "bin", "vdso.cjs"), "--help"]);
}

test("a checkout where nothing is installed says so on a Node that cannot run its sources", async () => {
  mkdirSync(join(folder, "runtime", "cli"), { recursive: true });
  writeFileSync(join(folder, "runtime", "cli", "main.ts"), "");
  const { code, stdout, stderr } = await runEntry("--no-strip-types");
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/^error: .*nothing installed.*npm ci\n$/);
});

test.each([
  ["20.20.2", false],
  ["22.11.0", false],
  ["22.12.0", true],
  ["24.0.0", true],
])("the published command on Node %s runs: %s", async (version, runs) => {
  mkdirSync(join(folder, "dist", "runtime", "cli"), { recursive: true });
  writeFileSync(join(folder, "dist", "runtime", "cli", "main.js"), "export const main = () => 0;");
  writeFileSync(join(folder, "dist", "runtime", "cli", "quick.cjs"), "exports.quick = () => false;");
  const versions = JSON.stringify({ ...process.versions, node: version });
  const pretend = `Object.defineProperty(process, "versions", { value: ${versions} });`;
  const { code, stderr } = await runEntry("--import", `data:text/javascript,${encodeURIComponent(pretend)}`);
  expect(code).toBe(runs ? 0 : 1);
  expect(stderr).toMatch(runs ? /^$/ : /^error: expected Node >=22\.12, found v/);
});

test("a Node that cannot run the sources hands over to the installed one, and passes a request to end on", async () => {
  mkdirSync(join(folder, "runtime", "cli"), { recursive: true });
  writeFileSync(join(folder, "runtime", "cli", "main.ts"), "");
  mkdirSync(join(folder, "node_modules", "node", "bin"), { recursive: true });
  const installed = join(folder, "node_modules", "node", "bin", "node");
  // Stands for a watch: it ends with code 7 when it is asked to.
  writeFileSync(
    installed,
    `#!${process.execPath}\nprocess.on("SIGTERM", () => process.exit(7)); setInterval(() => {}, 1000); console.log("watching");\n`,
    { mode: 0o755 },
  );
  const child = spawn(process.execPath, ["--no-strip-types", join(folder, "bin", "vdso.cjs")], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await once(child.stdout, "data");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([7, null]);
  } finally {
    child.kill("SIGKILL");
  }
});
