/** The soak test's script, briefly, and whether its judge sees what it is there for. `npm run soak -- --minutes n` is the real thing. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  FINDING_WORDS,
  Finding,
  fill,
  finished,
  makeTables,
  type Tables,
  tick,
  WINDOW,
} from "../../scripts/soak/items.ts";

async function soak(...args: string[]): Promise<{ code: number; out: string; errors: string }> {
  const script = join(import.meta.dirname, "../../scripts/soak.ts");
  const child = spawn(process.execPath, [script, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  const [out, errors, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
  return { code, out, errors };
}

test("nothing is lost, doubled or hung while one process after the other is killed", async () => {
  const { code, out, errors } = await soak("--kills", "15");
  expect(errors).toBe("");
  expect(out).toContain("nothing lost, nothing doubled, nothing hung");
  expect(code).toBe(0);
});

test("50 000 turns of two processes that park at each lose no wake-up", async () => {
  const { code, out, errors } = await soak("--parks", "50000", "--seconds", "1");
  expect(errors).toBe("");
  expect(out).toContain("50000 turns of two processes");
  expect(code).toBe(0);
});

test.each([
  ["--minutes", "soon"],
  ["--hours", "1"],
])("the option %s %s is refused", async (...args) => {
  expect((await soak(...args)).code).toBe(2);
});

describe("the judge notices", () => {
  const words = new Uint32Array(22);
  const receive = (tables: Tables, number: number): void => {
    fill(words, 0, 0, number);
    tick(tables, 0, words, 0);
    finished(tables, 0);
  };
  const finding = ({ findings }: Tables): number[] => [...findings.subarray(1, 1 + FINDING_WORDS)];

  test("nothing, when each item comes once", () => {
    const tables = makeTables(1, 1);
    for (let number = 0; number < 2 * WINDOW; number++) receive(tables, number);
    expect(tables.findings[0]).toBe(0);
  });

  test("an item that comes twice", () => {
    const tables = makeTables(1, 1);
    for (const number of [0, 1, 1]) receive(tables, number);
    expect(finding(tables)).toEqual([Finding.Twice, 0, 1]);
  });

  test("an item that never comes", () => {
    const tables = makeTables(1, 1);
    for (let number = 0; number <= 3 + WINDOW; number++) if (number !== 3) receive(tables, number);
    expect(finding(tables)).toEqual([Finding.Missing, 0, 3]);
  });

  test("an item with one wrong bit", () => {
    const tables = makeTables(1, 1);
    fill(words, 0, 0, 0);
    words[21]! ^= 1;
    tick(tables, 0, words, 0);
    expect(finding(tables)).toEqual([Finding.Damaged, 0, 0]);
  });
});
