import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

/** What each folder of `runtime` may import besides itself and `errors.ts`; see the table in CONTRIBUTING.md. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  image: [],
  platform: [],
  loader: ["image", "platform"],
  ipc: ["loader", "image", "platform", "generated"],
  // Its executors are processes, and a pool may boot a kernel; nothing in either needs the scheduler.
  sched: ["kernel", "process", "ipc", "loader", "image", "platform", "generated"],
  syscall: ["loader", "image", "platform", "generated"],
  kernel: ["loader", "image", "platform", "ipc", "syscall", "generated"],
  process: ["loader", "image", "platform", "ipc", "syscall", "generated"],
  build: ["image"],
  check: ["image"],
  testing: ["loader", "image", "platform", "kernel", "process", "check"],
  cli: ["build", "check", "image", "loader", "platform"],
  // What users import: everything but what builds and checks.
  "index.ts": ["image", "loader", "kernel", "process", "ipc", "sched", "syscall", "platform"],
};

const KNOWS_THE_PLATFORM = ["platform", "cli", "build", "workers"];

interface SourceFile {
  /** From the repository's root, with `/`. */
  readonly path: string;
  readonly code: string;
}

function sources(folder: string): SourceFile[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mts|js|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !path.split(sep).includes("node_modules"))
    .map((path) => ({
      path: relative(root, path).split(sep).join("/"),
      code: withoutComments(readFileSync(path, "utf8")),
    }));
}

/** Examples in comments import what users import; they are not imports of the file. Strings keep their comments' signs. */
function withoutComments(code: string): string {
  return code.replace(/("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, "$1");
}

function imports({ code }: SourceFile): string[] {
  const statements = code.matchAll(/(?:\bfrom|\bimport|\bimport\s*\(|new URL\()\s*["']([^"']+)["']/g);
  // A URL of a folder is data that is read, not code that runs.
  return [...statements].map((match) => match[1]!).filter((specifier) => !specifier.endsWith("/"));
}

/** The runtime folder (or file directly below `runtime`) or other top-level folder that a relative import leads to. */
function target(file: SourceFile, specifier: string): string {
  const path = join(dirname(file.path), specifier).split(sep).join("/");
  const [top = "", second = ""] = path.split("/");
  return top === "runtime" ? second : top;
}

function ownFolder(file: SourceFile): string {
  const [top = "", second = ""] = file.path.split("/");
  return top === "runtime" ? second : top;
}

function relativeImports(file: SourceFile): string[] {
  return imports(file)
    .filter((specifier) => specifier.startsWith("."))
    .map((specifier) => target(file, specifier));
}

test("every folder of runtime has its place in the import rules", () => {
  const folders = new Set(sources("runtime").map(ownFolder));
  folders.delete("errors.ts");
  expect([...folders].filter((folder) => !(folder in MAY_IMPORT))).toEqual([]);
});

test("folders of runtime import only what their place in the data's way allows", () => {
  const offences = sources("runtime").flatMap((file) => {
    const own = ownFolder(file);
    const allowed = new Set(["errors.ts", own, ...(MAY_IMPORT[own] ?? [])]);
    return relativeImports(file)
      .filter((folder) => !allowed.has(folder))
      .map((folder) => `${file.path} imports ${folder}`);
  });
  expect(offences).toEqual([]);
});

test("workers import only the process side and the platform", () => {
  const allowed = ["workers", "process", "platform", "errors.ts"];
  const offences = sources("workers").flatMap((file) =>
    relativeImports(file)
      .filter((folder) => !allowed.includes(folder))
      .map((folder) => `${file.path} imports ${folder}`),
  );
  expect(offences).toEqual([]);
});

test("code of vDSOs imports only code of vDSOs", () => {
  const offences = sources("vdso-src").flatMap((file) =>
    imports(file)
      .filter((specifier) => specifier.startsWith(".") && target(file, specifier) !== "vdso-src")
      .map((specifier) => `${file.path} imports ${specifier}`),
  );
  expect(offences).toEqual([]);
});

test("only platform, workers, cli and build know Node or the browser", () => {
  const offences = [...sources("runtime"), ...sources("workers")]
    .filter((file) => !KNOWS_THE_PLATFORM.includes(ownFolder(file)))
    .flatMap((file) => {
      const modules = imports(file).filter((specifier) => specifier.startsWith("node:"));
      // As values; a `type Worker` of one's own is nobody's business. Text in quotes is not code.
      const code = file.code.replace(/"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`/g, '""');
      const globals = [...code.matchAll(/\b(new Worker\b|(?<![.\w$])(?:self|document|window|process)\.)/g)].map(
        (match) => match[1]!,
      );
      return [...modules, ...globals].map((name) => `${file.path} uses ${name}`);
    });
  expect(offences).toEqual([]);
});

test("a program that only uses images loads no compiler", () => {
  const compilers = ["assemblyscript", "binaryen", "wabt", "typescript"];
  const offences = sources("runtime")
    .filter((file) => !["build", "check", "cli"].includes(ownFolder(file)))
    .flatMap((file) =>
      imports(file)
        .filter((specifier) => compilers.some((name) => specifier === name || specifier.startsWith(`${name}/`)))
        .map((specifier) => `${file.path} imports ${specifier}`),
    );
  expect(offences).toEqual([]);
});
