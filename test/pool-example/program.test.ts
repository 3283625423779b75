import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";

const main = join(import.meta.dirname, "..", "..", "examples", "pool", "main.ts");
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdso-pool-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

test("it prints what sha256sum prints, in the order of its arguments", async () => {
  const contents = Array.from({ length: 150 }, (_, n) => Buffer.alloc(n === 3 ? 1_000_000 : n * 10, n));
  const paths = contents.map((_, n) => join(folder, `${n}.bin`));
  for (const [n, path] of paths.entries()) writeFileSync(path, contents[n]!);
  const expected = paths.map((path, n) => `${createHash("sha256").update(contents[n]!).digest("hex")}  ${path}`);
  expect(await run(...paths)).toEqual({ code: 0, stdout: `${expected.join("\n")}\n`, stderr: "" });
});

test("a file that cannot be read is named, and the others are hashed", async () => {
  const path = join(folder, "a.txt");
  writeFileSync(path, "abc");
  const missing = join(folder, "missing.txt");
  const { code, stdout, stderr } = await run(missing, path);
  expect(code).toBe(1);
  expect(stdout).toBe(`ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  ${path}\n`);
  expect(stderr).toContain(`${missing}: ENOENT`);
});
