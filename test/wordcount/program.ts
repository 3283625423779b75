import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";

const MAIN = join(import.meta.dirname, "..", "..", "examples", "wordcount", "main.ts");

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program, running; killed after the test, also a failed one. */
export interface Running {
  readonly ended: Promise<Outcome>;
  signal(name: NodeJS.Signals): void;
  /** Resolves once that stands in what it wrote to standard error. */
  stderr(pattern: RegExp): Promise<void>;
}

interface StartOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Does it take standard error for a terminal? */
  readonly terminal?: boolean;
}

const TERMINAL = "data:text/javascript,process.stderr.isTTY = true";

export function start(args: readonly string[], { cwd, env, terminal = false }: StartOptions = {}): Running {
  const node = terminal ? ["--import", TERMINAL, MAIN] : [MAIN];
  const child = spawn(process.execPath, [...node, ...args], {
    cwd,
    // Not as a script of npm, whatever runs the tests.
    env: { ...process.env, npm_lifecycle_event: undefined, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (text) => {
    stdout += text;
  });
  child.stderr.on("data", (text) => {
    stderr += text;
  });
  const ended = new Promise<Outcome>((resolve) => child.once("close", (code) => resolve({ code, stdout, stderr })));
  return {
    ended,
    signal: (name) => void child.kill(name),
    stderr: (pattern) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (pattern.test(stderr)) resolve();
        };
        child.stderr.on("data", look);
        void ended.then(() => reject(new Error(`it ended before it wrote ${pattern}`)));
        look();
      }),
  };
}

export function run(...args: string[]): Promise<Outcome> {
  return start(args).ended;
}

/** A folder that is removed after the test, with these files in it. Returns its path. */
export function folder(files: Record<string, string | Uint8Array> = {}): string {
  const path = mkdtempSync(join(tmpdir(), "wordcount-"));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) writeFileSync(join(path, name), content);
  return path;
}

/** A file that is all hole: it takes no room, and longer to read than anybody waits. */
export function endlessFile(): string {
  const path = join(folder({ "endless.bin": "" }), "endless.bin");
  truncateSync(path, 2 ** 42);
  return path;
}

/** Lines, words and bytes in the report's row of that name. */
export function row(report: string, name: string): number[] {
  const line = report.split("\n").find((text) => text.startsWith(`${name} `));
  const [, , lines, words, bytes] = line?.split(/ +/) ?? [];
  return [Number(lines), Number(words), Number(bytes)];
}

/** What `wc` says of these files together. */
export function wc(paths: readonly string[]): number[] {
  const env = { ...process.env, LC_ALL: "C.UTF-8" };
  const out = execFileSync("wc", ["-lwc", ...paths], { encoding: "utf8", env });
  const total = out.trimEnd().split("\n").at(-1)!;
  return total.trim().split(/\s+/).slice(0, 3).map(Number);
}
