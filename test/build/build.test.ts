import { execFile } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { runCompiler } from "../../runtime/build/compiler-thread.ts";
import { type BuildConfig, BuildError, buildVdso } from "../../runtime/build/index.ts";
import { readImage } from "../../runtime/image/read.ts";
import { expectCode } from "../expect-code.ts";
import { COUNTER, Project, withEnvironment } from "./project.ts";

const run = promisify(execFile);

function build(project: Project, more: Partial<BuildConfig> = {}) {
  const { srcDir, outDir } = project;
  return buildVdso({ srcDir, outDir, imageName: "counter", ...more });
}

async function constants(project: Project): Promise<Record<string, unknown>> {
  const manifest = await readImage(new Uint8Array(project.output("counter.wasm")));
  return Object.fromEntries(manifest.constants.map(({ name, value }) => [name, value]));
}

async function failure(promise: Promise<unknown>): Promise<BuildError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof BuildError) return error;
    throw error;
  }
  throw new Error("expected the build to fail, found that it did not");
}

test("a build writes image, API library, types and record, and says where they are", async () => {
  using project = new Project();
  const result = await build(project);
  expect(readdirSync(project.outDir).sort()).toEqual([
    "counter.d.ts",
    "counter.js",
    "counter.vdso-build.json",
    "counter.wasm",
  ]);
  expect(result).toMatchObject({
    name: "counter",
    changed: true,
    image: join(project.outDir, "counter.wasm"),
    library: join(project.outDir, "counter.js"),
    types: join(project.outDir, "counter.d.ts"),
    warnings: [],
  });
  expect(result.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  expect(result.sources).toContain(join(project.srcDir, "step.ts"));
});

test("every option that shows in the outputs does so", async () => {
  using project = new Project();
  const result = await build(project, {
    imageName: "tally",
    apiLibName: "tally-api",
    packageName: "shop",
    mode: "debug",
    log: false,
    wat: true,
    sourceMap: true,
    arch: "wasm32",
    toolchain: "assemblyscript",
    pageSize: 65536,
  });
  expect(readdirSync(project.outDir).sort()).toEqual([
    "tally-api.d.ts",
    "tally-api.js",
    "tally.vdso-build.json",
    "tally.wasm",
    "tally.wasm.map",
    "tally.wat",
  ]);
  expect(result).toMatchObject({
    wat: join(project.outDir, "tally.wat"),
    sourceMap: join(project.outDir, "tally.wasm.map"),
  });
  expect(await readImage(new Uint8Array(project.output("tally.wasm")))).toMatchObject({
    name: "tally",
    package: "shop",
    mode: "debug",
    log: false,
  });
});

test("an unchanged build writes nothing", async () => {
  using project = new Project();
  await build(project);
  const before = project.outputs();
  expect((await build(project)).changed).toBe(false);
  expect(project.outputs()).toEqual(before);
});

test("a file that was only touched is no change", async () => {
  using project = new Project();
  await build(project);
  utimesSync(join(project.srcDir, "api.ts"), new Date(), new Date());
  expect((await build(project)).changed).toBe(false);
});

test("equal inputs give equal bytes in every folder and in every process", async () => {
  using first = new Project();
  using second = new Project();
  const contents = (project: Project) => Object.entries(project.outputs()).map(([name, { hex }]) => [name, hex]);
  await build(first, { wat: true, sourceMap: true });
  const module = new URL("../../runtime/build/index.ts", import.meta.url).href;
  const config: BuildConfig = {
    srcDir: second.srcDir,
    outDir: second.outDir,
    imageName: "counter",
    wat: true,
    sourceMap: true,
  };
  await run(process.execPath, [
    "--input-type=module",
    "-e",
    `const { buildVdso } = await import(${JSON.stringify(module)}); await buildVdso(${JSON.stringify(config)});`,
  ]);
  expect(contents(second)).toEqual(contents(first));
});

test("a change in any source file, also an imported one, gives a new image", async () => {
  using project = new Project();
  await build(project);
  project.write("step.ts", `export const STEP: u32 = config("STEP", 3);`);
  expect((await build(project)).changed).toBe(true);
  expect(await constants(project)).toMatchObject({ STEP: 3 });
});

test("a constant takes the environment's value before its default, and the option's before both", async () => {
  using project = new Project();
  await build(project);
  expect(await constants(project)).toMatchObject({ START: 10 });
  {
    using _ = withEnvironment({ START: "20" });
    expect((await build(project)).changed).toBe(true);
    expect(await constants(project)).toMatchObject({ START: 20 });
    expect((await build(project)).changed).toBe(false);
    expect((await build(project, { config: { START: 30 } })).changed).toBe(true);
    expect(await constants(project)).toMatchObject({ START: 30 });
  }
  expect((await build(project)).changed).toBe(true);
  expect(await constants(project)).toMatchObject({ START: 10 });
});

test("an environment variable that is no constant is no change", async () => {
  using project = new Project();
  await build(project);
  using _ = withEnvironment({ SOMETHING_ELSE: "1" });
  expect((await build(project)).changed).toBe(false);
});

test("a tampered, a missing and a truncated output are made again", async () => {
  using project = new Project();
  await build(project);
  const good = project.output("counter.wasm");
  const tampered = Buffer.from(good);
  tampered[20]! ^= 1;
  for (const bad of [tampered, undefined, good.subarray(0, 100)]) {
    const path = join(project.outDir, "counter.wasm");
    if (bad === undefined) rmSync(path);
    else writeFileSync(path, bad);
    expect((await build(project)).changed).toBe(true);
    expect(project.output("counter.wasm").equals(good)).toBe(true);
  }
  writeFileSync(join(project.outDir, "counter.js"), "export default {}");
  expect((await build(project)).changed).toBe(true);
});

test("a damaged record costs a build, nothing more", async () => {
  using project = new Project();
  await build(project);
  for (const text of ["", "{", "[]", "null", '{"version":99}', '{"version":1,"warnings":[]}']) {
    writeFileSync(join(project.outDir, "counter.vdso-build.json"), text);
    expect((await build(project)).changed).toBe(true);
    expect((await build(project)).changed).toBe(false);
  }
});

test("an output that is no longer asked for goes, unless somebody else wrote it since", async () => {
  using project = new Project();
  await build(project, { wat: true });
  await build(project);
  expect(existsSync(join(project.outDir, "counter.wat"))).toBe(false);
  await build(project, { wat: true });
  writeFileSync(join(project.outDir, "counter.wat"), "mine");
  await build(project);
  expect(project.output("counter.wat").toString()).toBe("mine");
});

test("a failed build leaves the last good outputs, and the mended one replaces them", async () => {
  using project = new Project();
  await build(project);
  const before = project.outputs();
  project.write("step.ts", "export const STEP: u32 = ;");
  const error = await failure(build(project));
  expect(error.code).toBe("ERR_VDSO_BUILD");
  expect(error.sources).toContain(join(project.srcDir, "step.ts"));
  expect(project.outputs()).toEqual(before);
  project.write("step.ts", `export const STEP: u32 = config("STEP", 2);`);
  expect((await build(project)).changed).toBe(true);
  expect(await constants(project)).toMatchObject({ STEP: 2 });
});

test("all errors of a build are reported, each with its place, line and help", async () => {
  using project = new Project({
    "api.ts": `
@vvar class Bad {
  name: Foo;
}
@vvar class VvarData {
  text: string;
}
const shared = vvarRoot<VvarData>();
export function f(): void {}
`,
  });
  const { diagnostics, message } = await failure(build(project));
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  expect(errors.length).toBeGreaterThanOrEqual(2);
  expect(errors.map(({ file, line }) => `${file}:${line}`)).toEqual(expect.arrayContaining(["api.ts:3", "api.ts:6"]));
  expect(message).toContain("text: string;");
  expect(message).toContain("api.ts:6:");
});

test("a value for a constant that does not exist is refused with those that do", async () => {
  using project = new Project();
  const error = await failure(build(project, { config: { STRAT: 1 } }));
  expect(error.message).toContain("STRAT");
  expect(error.message).toContain("START");
});

test("a source folder that is missing, is a file or has no api.ts has an error of its own", async () => {
  using project = new Project({ "other.ts": "" });
  const { outDir } = project;
  const codes = [join(project.folder, "nowhere"), join(project.srcDir, "other.ts"), project.srcDir].map(
    async (srcDir) => (await failure(buildVdso({ srcDir, outDir, imageName: "x" }))).code,
  );
  expect(await Promise.all(codes)).toEqual(["ERR_VDSO_SOURCE_FOLDER", "ERR_VDSO_SOURCE_FOLDER", "ERR_VDSO_NO_API"]);
  expect(existsSync(outDir)).toBe(false);
});

test("names that no file or identifier could have are refused", async () => {
  using project = new Project();
  for (const imageName of ["", "1st", "../up", "a b", "a/b", "a".repeat(65), "ä"]) {
    const { code } = await failure(build(project, { imageName }));
    expect(code).toBe(imageName === "" ? "ERR_VDSO_BUILD_CONFIG" : "ERR_VDSO_IMAGE_NAME");
  }
  expect((await failure(build(project, { apiLibName: "a.b" }))).code).toBe("ERR_VDSO_IMAGE_NAME");
});

test("options of a wrong type or value, and unknown ones, are refused by name", async () => {
  using project = new Project();
  const wrong: [string, unknown][] = [
    ["srcDir", 5],
    ["outDir", ""],
    ["mode", "fast"],
    ["features", ["ok", "not ok"]],
    ["features", "all"],
    ["log", "yes"],
    ["verbose", 3],
    ["config", { "1": 1 }],
    ["config", { START: {} }],
    ["config", { START: null }],
    ["config", [1]],
    ["wat", 1],
    ["arch", "riscv64"],
    ["toolchain", "nightly"],
    ["pageSize", 4096],
    ["srcdir", "x"],
  ];
  for (const [name, value] of wrong) {
    const { code, message } = await failure(build(project, { [name]: value }));
    expect({ name, code }).toEqual({ name, code: "ERR_VDSO_BUILD_CONFIG" });
    expect(message).toContain(name === "features" && Array.isArray(value) ? "not ok" : name === "config" ? "" : name);
  }
});

test("outputs that cannot be written are an error that names the folder", async () => {
  using project = new Project();
  writeFileSync(project.outDir, "a file where a folder should be");
  const { code, message } = await failure(build(project));
  expect(code).toBe("ERR_VDSO_BUILD_OUTPUT");
  expect(message).toContain(project.outDir);
});

test("concurrent builds with different constants leave the outputs of one of them, whole", async () => {
  using project = new Project();
  const starts = [1, 2, 3, 4];
  await Promise.all(starts.map((START) => build(project, { config: { START } })));
  const left = (await constants(project))["START"];
  expect(starts).toContain(left);
  // The record describes exactly what is there: the same build again has nothing to do.
  expect((await build(project, { config: { START: Number(left) } })).changed).toBe(false);
  expect(readdirSync(project.outDir).filter((name) => /tmp|lock/.test(name))).toEqual([]);
});

test("concurrent builds of several processes leave the outputs of one of them, whole", async () => {
  using project = new Project();
  const module = new URL("../../runtime/build/index.ts", import.meta.url).href;
  const starts = [1, 2, 3];
  await Promise.all(
    starts.map((START) => {
      const config = { srcDir: project.srcDir, outDir: project.outDir, imageName: "counter", config: { START } };
      const code = `const { buildVdso } = await import(${JSON.stringify(module)}); await buildVdso(${JSON.stringify(config)});`;
      return run(process.execPath, ["--input-type=module", "-e", code]);
    }),
  );
  const left = (await constants(project))["START"];
  expect(starts).toContain(left);
  expect((await build(project, { config: { START: Number(left) } })).changed).toBe(false);
  expect(readdirSync(project.outDir).filter((name) => /tmp|lock/.test(name))).toEqual([]);
});

test("a lock left behind by a process that is gone does not block", async () => {
  using project = new Project();
  mkdirSync(project.outDir);
  const gone = await run(process.execPath, ["-p", "process.pid"]);
  writeFileSync(join(project.outDir, "counter.vdso-build.lock"), gone.stdout.trim());
  expect((await build(project)).changed).toBe(true);
  expect(existsSync(join(project.outDir, "counter.vdso-build.lock"))).toBe(false);
});

test("an aborted build rejects with the signal's reason and writes nothing, and the next one works", async () => {
  using project = new Project();
  const { srcDir, outDir } = project;
  const reason = new Error("changed my mind");
  const before = AbortSignal.abort(reason);
  await expect(buildVdso({ srcDir, outDir, imageName: "counter" }, { signal: before })).rejects.toBe(reason);
  const during = new AbortController();
  const running = buildVdso({ srcDir, outDir, imageName: "counter" }, { signal: during.signal });
  const waiting = buildVdso({ srcDir, outDir, imageName: "other" }, { signal: during.signal });
  during.abort(reason);
  await expect(running).rejects.toBe(reason);
  await expect(waiting).rejects.toBe(reason);
  expect(existsSync(outDir)).toBe(false);
  expect((await build(project)).changed).toBe(true);
});

test("the compiler's thread does not keep the program running", async () => {
  using project = new Project(COUNTER);
  const module = new URL("../../runtime/build/index.ts", import.meta.url).href;
  const config = { srcDir: project.srcDir, outDir: project.outDir, imageName: "counter" };
  const code = `const { buildVdso } = await import(${JSON.stringify(module)}); await buildVdso(${JSON.stringify(config)}); console.log("end of code");`;
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", code]);
  expect(stdout).toBe("end of code\n");
});

test("many builds go on while the compiler's thread is replaced", async () => {
  using project = new Project();
  for (let START = 100; START < 130; START++) {
    await build(project, { config: { START } });
    expect(await constants(project)).toMatchObject({ START });
  }
});

test("a failure of the compiler's thread has a code of its own", async () => {
  const job = { srcDir: "/", options: null, environment: {} } as unknown as Parameters<typeof runCompiler>[0];
  await expectCode("ERR_VDSO_COMPILER", () => runCompiler(job, "broken on purpose"));
});
