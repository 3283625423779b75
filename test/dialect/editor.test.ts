import { spawnSync } from "node:child_process";
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");

/** What an editor underlines. */
function complaints(include: readonly string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), "vdso-editor-"));
  try {
    const config = { extends: join(root, "dialect", "tsconfig.json"), include };
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(config));
    const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
    const { stdout } = spawnSync(process.execPath, [tsc, "-p", folder], { cwd: folder, encoding: "utf8" });
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function complaintsAbout(source: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), "vdso-editor-"));
  try {
    writeFileSync(join(folder, "api.ts"), source);
    return complaints([folder]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test("editors accept every vDSO of this repository", () => {
  const folders = globSync("{vdso-src,examples,test,bench,starter}/**/api.ts", { cwd: root })
    .filter((path) => !path.includes("node_modules"))
    .map((path) => join(root, dirname(path)));
  expect(folders.length).toBeGreaterThan(2);
  expect(folders.flatMap((folder) => complaints([folder]))).toEqual([]);
});

test("editors accept what reads and writes text, keeps handles, and infers types of wrappers", () => {
  const source = `
enum Mode { A, B }
@vvar class VvarData { nameBytes: u32; @len(64) name: FixedArray<u8>; }
const shared = vvarRoot<VvarData>();
@host declare class Listener { heard(n: u32): void; }
let kept: Listener | null = null;
@apistruct class Found { at: u32 = 5; text: string = ""; maybe: Option<u32> = Option.none(); done: Result<void, Mode>; }
export function listen(who: Listener): void { if (kept) kept.release(); who.retain(); kept = who; }
export function setName(text: string): u32 { shared.nameBytes = utf8.write(shared.name, text, 64); return utf8.length(text); }
export function name(): string { return utf8.read(shared.name, shared.nameBytes); }
export function take(n: u32): Result<u32, Mode> { if (n == 0) return Result.err(Mode.A); return Result.ok(n); }
export function done(n: u32): Result<void, Mode> { return n > 3 ? Result.ok() : Result.err(Mode.B); }
export function orElse(o: Option<u32>, r: Result<u32, Mode>): u32 { return o.unwrapOr(1) + r.unwrapOr(2); }
export function found(): Found { const it = new Found(); it.maybe = Option.some(it.at); return it; }
export function positive(n: i32): i32 { return n > 0 ? n : panic("not positive: {}", n); }
export function endless(): u32 { for (;;) { if (shared.nameBytes > 0) return shared.nameBytes; } }
`;
  expect(complaintsAbout(source)).toEqual([]);
});

test("editors accept the examples of the guide for authors", () => {
  const guide = readFileSync(join(root, "docs", "authoring.md"), "utf8");
  const folder = mkdtempSync(join(tmpdir(), "vdso-editor-"));
  try {
    const examples = [...guide.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map(([, code]) => code!);
    for (const [i, code] of examples.entries()) writeFileSync(join(folder, `example-${i}.ts`), code);
    expect(examples.length).toBeGreaterThan(5);
    expect(complaints([folder])).toEqual([]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("editors refuse what the build would refuse", () => {
  const source = `
@vvar class VvarData { count: Atomic<u32>; next: VPtr<VvarData>; @len(2) list: FixedArray<u8>; }
const shared = vvarRoot<VvarData>();
export function a(): void { shared.count = 5; }
export function b(): u32 { return shared.cuont.load(); }
export function c(): void { shared.next = shared; }
export function d(): void { shared.list.length = 3; }
export function e(o: Option<u32>): void { o.value = 3; }
export function f(): u32 { return shared.count; }
export function g(): Option<u32> { return 5; }
export function h(): void { panic(); }
export function i(): void { utf8.write(shared.list, 5, 2); }
`;
  const lines = complaintsAbout(source).map((line) => /api\.ts\((\d+),/.exec(line)?.[1]);
  expect(lines).toEqual(["4", "5", "6", "7", "8", "9", "10", "11", "12"]);
});
