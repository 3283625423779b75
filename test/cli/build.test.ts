import { spawn } from "node:child_process";
import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, test } from "vitest";
import { readImage } from "../../runtime/image/read.ts";
import { Project } from "../build/project.ts";
import { root, vdso } from "./vdso.ts";

test("build writes to generated/<name> unless told otherwise, and says when there was nothing to do", async () => {
  using project = new Project();
  const { folder } = project;
  const first = await vdso(["build", "src"], { cwd: folder });
  expect(first).toMatchObject({ code: 0, stderr: "" });
  expect(first.stdout).toMatch(/^built src: generated\/src\/src\.wasm \(\d[\d ]* bytes, [\d.]+ s\)\n$/);
  const second = await vdso(["build", "src"], { cwd: folder });
  expect(second.code).toBe(0);
  expect(second.stdout).toMatch(/^src is up to date: generated\/src\/src\.wasm/);
  expect(existsSync(join(folder, "generated", "src", "src.d.ts"))).toBe(true);
});

test("build passes its options on", async () => {
  using project = new Project();
  const options = ["--out", "out", "--name", "counter", "--api-name", "api", "--package", "shop", "--mode", "debug"];
  const more = ["--no-log", "--wat", "--source-map", "--config", "START=7", "-c", "STEP=8", "-v"];
  const { code, stderr } = await vdso(["build", "src", ...options, ...more], { cwd: project.folder });
  expect(code).toBe(0);
  expect(stderr).toContain("source step.ts");
  expect(Object.keys(project.outputs())).toEqual([
    "api.d.ts",
    "api.js",
    "counter.vdso-build.json",
    "counter.wasm",
    "counter.wasm.map",
    "counter.wat",
  ]);
  const manifest = await readImage(new Uint8Array(project.output("counter.wasm")));
  expect(manifest).toMatchObject({ name: "counter", package: "shop", mode: "debug", log: false });
  expect(Object.fromEntries(manifest.constants.map(({ name, value }) => [name, value]))).toMatchObject({
    START: 7,
    STEP: 8,
  });
});

test("errors in the sources go to standard error with place, line and number, and end with code 1", async () => {
  using project = new Project({ "api.ts": "export function f(): u32 {\n  return missing;\n}\n" });
  const { code, stdout, stderr } = await vdso(["build", "src"], { cwd: project.folder });
  expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
  expect(stderr).toMatch(/api\.ts:2:10 error: /);
  expect(stderr).toContain("return missing;");
  expect(stderr).toMatch(/\n\d+ errors?\n$/);
  expect(stderr).not.toContain("\u001b[");
});

test("colours are for terminals, for who forces them, and never with NO_COLOR", async () => {
  using project = new Project({ "api.ts": "export function f(): u32 {\n  return missing;\n}\n" });
  const colored = async (env: Record<string, string>) =>
    (await vdso(["build", "src"], { cwd: project.folder, env })).stderr.includes("\u001b[31m");
  expect(await colored({ FORCE_COLOR: "1" })).toBe(true);
  expect(await colored({ FORCE_COLOR: "1", NO_COLOR: "1" })).toBe(false);
});

test("what is wrong with folder or options is one line with its code", async () => {
  using project = new Project({ "other.ts": "" });
  const cases: [string[], RegExp][] = [
    [["build", "nowhere"], /^error: source folder .*nowhere does not exist \[ERR_VDSO_SOURCE_FOLDER\]\n$/],
    [["build", "src"], /^error: .*api\.ts.* \[ERR_VDSO_NO_API\]\n$/],
    [["build", "src", "--name", "1"], /^error: .* \[ERR_VDSO_IMAGE_NAME\]\n$/],
  ];
  for (const [args, expected] of cases) {
    const { code, stderr } = await vdso(args, { cwd: project.folder });
    expect(code).toBe(1);
    expect(stderr).toMatch(expected);
  }
});

test("outputs that cannot be written are one line with a code, without a stack", async () => {
  using project = new Project();
  writeFileSync(join(project.folder, "taken"), "");
  const { code, stderr } = await vdso(["build", "src", "--out", "taken"], { cwd: project.folder });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: cannot write to .*taken: .* \[ERR_VDSO_BUILD_OUTPUT\]\n$/);
});

test("a folder for the outputs that cannot be made is one line with a code, wherever it would be", async () => {
  using project = new Project();
  writeFileSync(join(project.folder, "file"), "");
  symlinkSync("nowhere/at/all", join(project.folder, "dangling"));
  const places = [join("file", "below", "it"), "dangling", join("dangling", "below")];
  // Says that what is not there is missing also when it is to be made.
  if (process.platform === "linux") places.push("/proc/vdso-test", "/proc/vdso-test/below");
  for (const place of places) {
    const { code, stderr } = await vdso(["build", "src", "--out", place], { cwd: project.folder });
    expect({ place, code }).toEqual({ place, code: 1 });
    expect(stderr).toMatch(/^error: cannot write to .*: .* \[ERR_VDSO_BUILD_OUTPUT\]\n$/);
  }
});

test("build --watch builds again after a change, survives an error, and ends with code 0 on Ctrl-C", async () => {
  using project = new Project();
  const child = spawn(process.execPath, [join(root, "bin", "vdso.cjs"), "build", "src", "--watch"], {
    cwd: project.folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  try {
    const built = createInterface(child.stdout)[Symbol.asyncIterator]();
    const said = createInterface(child.stderr)[Symbol.asyncIterator]();
    expect((await said.next()).value).toContain("watching src");
    expect((await built.next()).value).toMatch(/built src/);
    project.write("step.ts", "export const STEP: u32 = ;");
    expect((await said.next()).value).toContain("step.ts:1:");
    project.write("step.ts", `export const STEP: u32 = config("STEP", 2);`);
    expect((await built.next()).value).toMatch(/built src/);
    const ended = new Promise((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
    child.kill("SIGINT");
    expect(await ended).toEqual({ code: 0, signal: null });
  } finally {
    child.kill("SIGKILL");
  }
});

test("build -v lists the files that went in, not those that were looked for", async () => {
  using project = new Project();
  const { code, stderr } = await vdso(["build", "src", "-v"], { cwd: project.folder });
  expect(code).toBe(0);
  expect(stderr).toContain("  source api.ts\n");
  expect(stderr).not.toContain("not there");
});

test("new cannot make a project below a file, and leaves nothing", async () => {
  using project = new Project();
  const { code, stderr } = await vdso(["new", join("src", "api.ts", "mine")], { cwd: project.folder });
  expect(code).toBe(1);
  expect(stderr).toMatch(/^error: cannot make .*mine: .*\[ERR_VDSO_NEW_FAILED\]/);
});
