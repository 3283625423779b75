import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Finished, root, runCommand } from "../cli/vdso.ts";

/** A folder in which the package is installed as from a registry, its dependencies linked to this repository's. */
let folder: string;
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

beforeAll(async () => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "vdso-package-")));
  const modules = join(folder, "node_modules");
  const installed = join(modules, manifest.name);
  mkdirSync(installed, { recursive: true });
  for (const name of readdirSync(join(root, "node_modules"))) {
    if (!name.startsWith(".")) symlinkSync(join(root, "node_modules", name), join(modules, name));
  }
  const built = await run(process.execPath, [join(root, "scripts", "build-package.ts"), join(installed, "dist")], root);
  expect(built).toMatchObject({ code: 0 });
  for (const name of ["package.json", ...manifest.files]) {
    if (name !== "dist") cpSync(join(root, name), join(installed, name), { recursive: true });
  }
  mkdirSync(join(modules, ".bin"));
  symlinkSync(join(installed, manifest.bin.vdso), join(modules, ".bin", "vdso"));
  symlinkSync(join(root, "node_modules", "typescript", "bin", "tsc"), join(modules, ".bin", "tsc"));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function run(command: string, args: readonly string[], cwd: string): Promise<Finished> {
  // The pinned Node first, as npm has it for this repository's own scripts.
  const env = { PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"]}` };
  return runCommand(command, args, { cwd, env });
}

test("every entry of the exports map is there, with types", () => {
  const installed = join(folder, "node_modules", manifest.name);
  const missing = Object.values<string | Record<string, string>>(manifest.exports)
    .flatMap((entry) => (typeof entry === "string" ? [entry] : Object.values(entry)))
    .map((path) => path.replaceAll("*", "vqueue"))
    .filter((path) => !existsSync(join(installed, path)));
  expect(missing).toEqual([]);
});

test("the types of every entry hold where library types are checked and Node's are not installed", async () => {
  const project = join(folder, "types");
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  const entries = ["", "/build", "/check", "/ipc", "/process", "/sched", "/testing", "/vdso/vqueue", "/vdso/vsched"];
  const code = entries.map((entry, at) => `export * as entry${at} from "${manifest.name}${entry}";\n`);
  writeFileSync(join(project, "user.ts"), code.join(""));
  const language = ["--module", "nodenext", "--target", "es2024", "--lib", "es2024,esnext,dom", "--types", ""];
  const flags = ["--noEmit", "--strict", "--skipLibCheck", "false", ...language];
  const tsc = join(folder, "node_modules", ".bin", "tsc");
  expect(await run(tsc, [...flags, "user.ts"], project)).toMatchObject({ code: 0, stdout: "" });
});

test("a new project builds, type-checks in program and vDSO, runs and passes its tests", async () => {
  const made = await run(join(folder, "node_modules", ".bin", "vdso"), ["new", "tally"], folder);
  expect(made).toMatchObject({ code: 0, stderr: "" });
  const project = join(folder, "tally");
  expect(readdirSync(project).sort()).toEqual([
    ".gitignore",
    "README.md",
    "package.json",
    "src",
    "test",
    "tsconfig.json",
    "vdso-src",
  ]);

  const started = await run("npm", ["start"], project);
  expect(started).toMatchObject({ code: 0 });
  expect(started.stdout).toContain("together: 6000, the kernel itself: 0");
  expect(started.stdout.match(/process \d+ counted \d+/g)).toHaveLength(3);

  const checked = await run("npm", ["run", "check"], project);
  expect(checked).toMatchObject({ code: 0 });

  const tested = await run("npm", ["test"], project);
  expect(tested).toMatchObject({ code: 0 });
  expect(tested.stdout).toMatch(/pass 2/);
});

test("the installed command sees each change that a build depends on, and without one says so in one line", async () => {
  const project = join(folder, "changes");
  const source = join(project, "counter", "api.ts");
  mkdirSync(dirname(source), { recursive: true });
  writeFileSync(
    source,
    `@vvar class VvarData { value: Atomic<u32>; }
const shared = vvarRoot<VvarData>();
const STEP: u32 = config("STEP", 1);
export function step(): u32 { return shared.value.add(STEP); }
`,
  );
  const installed = join(folder, "node_modules", manifest.name, "dist");
  const build = async (more: readonly string[] = [], env: Record<string, string> = {}) => {
    const args = ["build", "counter", ...more];
    const { code, stdout, stderr } = await runCommand(join(folder, "node_modules", ".bin", "vdso"), args, {
      cwd: project,
      env: { PATH: `${dirname(process.execPath)}${delimiter}${process.env["PATH"]}`, ...env },
    });
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return stdout;
  };
  const unchanged = /^counter is up to date: generated\/counter\/counter\.wasm \(\d[\d ]* bytes\)\n$/;
  const built = /^built counter: /;
  expect(await build()).toMatch(built);
  expect(await build()).toMatch(unchanged);
  expect(await build([], { STEP: "3" })).toMatch(built);
  expect(await build(["--config", "STEP=4"])).toMatch(built);
  expect(await build(["--config", "STEP=4"])).toMatch(unchanged);
  expect(await build()).toMatch(built);

  const output = join(project, "generated", "counter", "counter.js");
  // Whatever the package's compiler is made of, and what else went in or came out.
  const files = [
    source,
    output,
    join(installed, "runtime", "build", "worker.js"),
    join(installed, "vdso-src", "helper", "atomic.ts"),
  ];
  for (const file of files) {
    const { atime, mtime } = statSync(file);
    const before = readFileSync(file, "utf8");
    try {
      writeFileSync(file, `${before}\n// changed\n`);
      // The time says that nothing happened.
      utimesSync(file, atime, mtime);
      expect([file, await build()]).toEqual([file, expect.stringMatching(built)]);
    } finally {
      writeFileSync(file, before);
    }
    expect([file, await build()]).toEqual([file, expect.stringMatching(file === output ? unchanged : built)]);
    expect([file, await build()]).toEqual([file, expect.stringMatching(unchanged)]);
  }
});

test("a new project refuses a folder that has something in it", async () => {
  mkdirSync(join(folder, "taken", "something"), { recursive: true });
  const { code, stderr } = await run(join(folder, "node_modules", ".bin", "vdso"), ["new", "taken"], folder);
  expect(code).toBe(1);
  expect(stderr).toContain("[ERR_VDSO_NEW_EXISTS]");
  expect(readdirSync(join(folder, "taken"))).toEqual(["something"]);
});

test("the README's example does what it says, in twenty lines", async () => {
  const blocks = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/```[tj]s\n\/\/ (\S+)\n([\s\S]*?)```/g)];
  const files = new Map(blocks.map(([, path, code]) => [path!, code!]));
  expect([...files.keys()]).toEqual(["vdso-src/counter/api.ts", "worker.js", "main.js"]);
  const lines = [...files.values()]
    .join("")
    .split("\n")
    .filter((line) => line.trim() !== "" && !/^}$|^\/\*\*/.test(line));
  expect(lines.length).toBeLessThanOrEqual(20);

  const project = join(folder, "readme");
  for (const [path, code] of files) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), code);
  }
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  const bin = join(folder, "node_modules", ".bin", "vdso");
  expect(await run(bin, ["build", "vdso-src/counter"], project)).toMatchObject({ code: 0 });
  const { code, stdout, stderr } = await run(process.execPath, ["main.js"], project);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  const promised = /console\.log\(.*\); \/\/ (.*)/.exec(files.get("main.js")!)?.[1];
  expect(stdout).toBe(`${promised}\n`);
});

/** What an editor accepts of the package's types, with the strictest settings. */
const USER = `import { Heap, type Item, Loan, Mailbox, Mailboxes, type Message, type SendOptions } from "wasm-vdso/ipc";
import { attach } from "wasm-vdso/process";
import vheap from "wasm-vdso/vdso/vheap";
import vqueue, { type VqueueApi } from "wasm-vdso/vdso/vqueue";

const api: VqueueApi = attach(vqueue);
const inbox: Mailbox = new Mailboxes(api).register({ policy: "wait" });
const options: SendOptions = { urgent: true, timeoutMs: 10 };
export const sent: Promise<void> = inbox.send({ messageType: 1, data: new Uint8Array(2) } satisfies Message, options);
export const item: Item | undefined = inbox.take();
export const loan: Loan = new Heap(attach(vheap)).loan(64);
`;

test("the guide's mailboxes work between the processes of a program, and their types hold in another project", async () => {
  const guide = readFileSync(join(root, "docs", "vqueue.md"), "utf8");
  const project = join(folder, "mailboxes");
  mkdirSync(project);
  for (const [, path, code] of guide.matchAll(/```js\n\/\/ (\S+)\n([\s\S]*?)```/g))
    writeFileSync(join(project, path!), code!);
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  const { code, stdout, stderr } = await run(process.execPath, ["main.js"], project);
  expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "2,4,42\n", stderr: "" });

  writeFileSync(join(project, "user.ts"), USER);
  const flags = [
    "--noEmit",
    "--strict",
    "--module",
    "nodenext",
    "--target",
    "es2024",
    "--lib",
    "es2024,esnext,dom",
    "--types",
    "node",
  ];
  const tsc = join(folder, "node_modules", ".bin", "tsc");
  expect(await run(tsc, [...flags, "user.ts"], project)).toMatchObject({ code: 0, stdout: "" });
});
