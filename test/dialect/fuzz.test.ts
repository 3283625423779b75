import { readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { build } from "./vdso.ts";

const ROOT = join(import.meta.dirname, "..", "..", "vdso-src");
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

const SAMPLE = `
import { LENGTH, Slot } from "./slot";
export { LENGTH } from "./slot";
export enum Mode { Idle, Busy = 1 << 2 }
@vvar class VvarData { @align(64) count: Atomic<u64>; mode: Mode; @len(LENGTH) slots: FixedArray<Slot>; next: VPtr<Slot>; }
const shared = vvarRoot<VvarData>();
@host declare class Observer { static now(): f64; changed(value: u64, text: string): bool; }
@apistruct export class Snapshot { count: u64 = 3; mode: Mode = Mode.Busy; last: Option<f64>; name: string; next: Snapshot | null; }
let calls: u32 = 0;
export function add(n: u32 = 2, who: Observer): u64 {
  assert(n > 0, "n must be positive");
  calls++;
  const value = shared.count.add(n) + n;
  shared.slots[n & (LENGTH - 1)].at = Observer.now();
  if (!who.changed(value, "x")) log.warn("declined {}", value);
  return n > 5 ? value : panic("too small {}", n);
}
export function tryTake(n: u32): Result<void, Mode> { if (n == 0) return Result.err(Mode.Idle); return Result.ok(); }
export function find(at: f64): Option<u32> {
  for (let i: u32 = 0; ; i++) { if (i >= LENGTH) return Option.none(); if (shared.slots[i].at == at) return Option.some(i); }
}
export function snapshot(): Snapshot { const s = new Snapshot(); s.last = Option.some(0.5); return s; }
`;

const FILES: readonly Readonly<Record<string, string>>[] = [
  {
    "api.ts": SAMPLE,
    "slot.ts": `export const LENGTH: u32 = config.powerOfTwo("LENGTH", 8);\n@vvar export class Slot { at: f64; }\n`,
  },
  { "api.ts": read("example/api.ts") },
  { "api.ts": read("../test/check/vdsos/turns/api.ts"), "layout.ts": read("../test/check/vdsos/turns/layout.ts") },
];

/** Words, numbers, texts, signs, white space, comments. */
const tokensOf = (text: string): string[] => text.match(/\/\*[\s\S]*?\*\/|\/\/[^\n]*|"[^"\n]*"|\w+|\s+|[^\w\s]/g) ?? [];

/** Deletes, doubles, swaps or replaces one token or line. */
function damage(text: string, how: number, where: number, other: number): string {
  const parts = how % 2 === 0 ? tokensOf(text) : text.split(/(?<=\n)/);
  const at = where % parts.length;
  const from = other % parts.length;
  const [part = "", instead = ""] = [parts[at], parts[from]];
  switch (how >> 1) {
    case 0:
      parts.splice(at, 1);
      break;
    case 1:
      parts.splice(at, 0, part);
      break;
    case 2:
      parts[at] = instead;
      parts[from] = part;
      break;
    default:
      parts[at] = instead;
  }
  return parts.join("");
}

test("damaged sources give an image or errors with real places, never a failure of the compiler", async () => {
  const damages = fc.sample(
    fc.record({
      files: fc.constantFrom(...FILES),
      name: fc.nat(),
      steps: fc.array(fc.record({ how: fc.nat(7), where: fc.nat(100_000), other: fc.nat(100_000) }), {
        minLength: 1,
        maxLength: 3,
      }),
    }),
    { numRuns: Number(process.env["FUZZ_RUNS"] ?? 80), seed: Number(process.env["FUZZ_SEED"] ?? 7) },
  );
  let refused = 0;
  for (const { files, name, steps } of damages) {
    const names = Object.keys(files);
    const file = names[name % names.length]!;
    const text = steps.reduce((before, { how, where, other }) => damage(before, how, where, other), files[file]!);
    const sources = { ...files, [file]: text };
    const what = `${file}:\n${text}`;
    const result = await build(sources).catch((error: unknown) => {
      throw new Error(`${String(error)} on ${what}`, { cause: error });
    });
    if (result.image !== undefined) continue;
    refused++;
    expect(
      result.diagnostics.some(({ severity }) => severity === "error"),
      what,
    ).toBe(true);
    for (const { file: at, line, column, length, text: shown, message, code } of result.diagnostics) {
      const lines = sources[at]?.split("\n");
      expect(lines?.[line - 1], `${code} ${message} at "${at}":${line} of ${what}`).toBe(shown);
      expect(column, what).toBeGreaterThan(0);
      expect(column + length - 1, `${code} ${message} of ${what}`).toBeLessThanOrEqual(Math.max(1, shown.length + 1));
      expect(message, what).not.toMatch(/~lib|undefined|__\w|compiler failed|\$/);
    }
  }
  expect(refused).toBeGreaterThan(damages.length / 3);
}, 600_000);
