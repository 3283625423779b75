import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { root, runCommand } from "../cli/vdso.ts";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "vdso-editor-"));
  const tsconfig = { extends: join(root, "dialect", "tsconfig.json"), include: ["."] };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(tsconfig));
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** What an editor underlines, as `file(line,column): message`. */
async function complaints(source: string): Promise<string[]> {
  writeFileSync(join(folder, "api.ts"), source);
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  const { stdout } = await runCommand(process.execPath, [tsc, "-p", folder], { cwd: folder });
  return stdout.split("\n").filter((line) => line !== "");
}

test("editors accept every form of the dialect", async () => {
  const source = `
export const LEN: u32 = config.powerOfTwo("LEN", 64);
export const MASK: u32 = LEN - 1;
export const SHARE: f64 = config.range("SHARE", 0.5, 0, 1);
export const LABEL: string = config("LABEL", "none");
export const TRACE: bool = config("TRACE", false);
export enum Mode { Idle, Counting = 5 }
@vvar class Sample { at: f64; value: u32; ok: bool; next: VPtr<Sample>; }
@vvar @align(64) class VvarData {
  @align(64) count: Atomic<u64>;
  mode: Mode;
  @align(64) @len(LEN) history: FixedArray<Sample>;
  total(): u64 { return this.count.load(); }
}
const shared = vvarRoot<VvarData>();
let calls: u32 = 0;
const scratch = new StaticArray<u8>(256);
@host declare class Observer { static now(): f64; changed(value: u64): bool; }
@apistruct export class Snapshot { count: u64; mode: Mode; last: Option<f64>; }
export function init(): void { shared.mode = Mode.Idle; }
export function processDrop(pid: u32): void { shared.count.notify(); }
export function add(n: u32, who: Observer | null = null): u64 {
  assert(n > 0, "n must be positive");
  calls++;
  const value = shared.count.add(n) + n;
  const sample = unchecked(shared.history[<u32>value & MASK]);
  sample.at = Observer.now();
  sample.next.set(shared.history[0]);
  if (who && !who.changed(value)) log.warn("observer declined {}", value);
  vvar.fence();
  vvar.copyOut(scratch, sample, 8);
  if (shared.count.cas(0, 1)) panic("nothing counted {}", n);
  shared.count.wait(value, 1000000);
  return shared.total();
}
export function tryTake(n: u32): Result<u64, Mode> {
  if (n == 0) return Result.err<u64, Mode>(Mode.Idle);
  return Result.ok<u64, Mode>(shared.count.load());
}
export function find(at: f64): Option<u32> { return at > 0 ? Option.some<u32>(1) : Option.none<u32>(); }
export function snapshot(): Snapshot { const it = new Snapshot(); it.last = Option.some<f64>(1); return it; }
export function greet(name: string): string { return "hello " + name; }
`;
  expect(await complaints(source)).toEqual([]);
});

test("editors still find mistakes", async () => {
  const source = `
@vvar class VvarData { count: Atomic<u32>; }
const shared = vvarRoot<VvarData>();
export function a(): u32 { return shared.count.lod(); }
export function b(): string { return shared.count.load(); }
export function c(): void { config("X"); }
export function d(): void { log.fatal("x"); }
`;
  const lines = (await complaints(source)).map((line) => /^api\.ts\((\d+),/.exec(line)?.[1]);
  expect(lines).toEqual(["4", "5", "6", "7"]);
});
