import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { BUFFER_BYTES } from "../../generated/wordcount/wordcount.js";
import { folder, row, run, wc } from "./program.ts";

const root = join(import.meta.dirname, "..", "..");

async function totals(...args: string[]): Promise<number[]> {
  const { code, stdout, stderr } = await run(...args);
  expect(stderr).not.toMatch(/error|cannot/);
  expect(code).toBe(0);
  return row(stdout, "total");
}

/** Text of about so many bytes, the same at each run, with words and characters of many lengths. */
function generate(bytes: number): string {
  const words = ["a", "of", "thread", "größer", "世界", "naïve", "🎉🎉", "x".repeat(70), "=>", "don't", "\u00e9"];
  const gaps = [" ", " ", " ", "\n", "\t", "  ", "\r\n", "\u2003", "\u00a0", "\u3000"];
  const parts: string[] = [];
  for (let n = 1, length = 0; length < bytes; n = (n * 48271) % 0x7fffffff) {
    const part = words[n % words.length]! + gaps[(n >> 8) % gaps.length]!;
    parts.push(part);
    length += part.length;
  }
  return parts.join("");
}

const long = "w".repeat(3 * BUFFER_BYTES + 7);

test.each<[string, string | Uint8Array]>([
  ["an empty file", ""],
  ["one line", "one line\n"],
  ["a last line without its end", "one\ntwo"],
  ["nothing but line ends", "\n\n\n"],
  ["lines that end with CRLF", "one two\r\nthree\r\n\r\n"],
  ["every white space of ASCII", "a b\tc\nd\ve\ff\rg"],
  ["characters of two to four bytes", "größer 世界 🎉 naïve\n"],
  ["white space beyond ASCII", "a\u00a0b\u1680c\u2003d\u202ff\u205fg\u2060h\u3000i\u200bj"],
  ["NUL bytes in and between words", "a\0b \0c d\0\n"],
  ["a word longer than several chunks", `before ${long} after\n`],
  ["nothing but a word longer than several chunks", long],
  ["a word that ends where a chunk does", `${"w".repeat(BUFFER_BYTES)} next`],
  ["a chunk that ends between words", `${"w".repeat(BUFFER_BYTES - 1)} next`],
  ["characters torn by the borders of chunks", `a${"世".repeat(BUFFER_BYTES)} z`],
  ["white space torn by the borders of chunks", `a${"\u3000".repeat(BUFFER_BYTES)}z`],
  ["a file of exactly one chunk", "word ".repeat(BUFFER_BYTES).slice(0, BUFFER_BYTES)],
  ["a big file", generate(8_000_000)],
])("totals equal those of wc for %s", async (_what, content) => {
  const path = join(folder({ "input.txt": content }), "input.txt");
  expect(await totals(path)).toEqual(wc([path]));
});

test("totals equal those of wc for many small files", async () => {
  const names = Array.from({ length: 300 }, (_, n) => `${n}.txt`);
  const path = folder(Object.fromEntries(names.map((name, n) => [name, generate(n)])));
  const files = names.map((name) => join(path, name));
  expect(await totals(path)).toEqual(wc(files));
  expect(await totals("--processes", "5", ...files)).toEqual(wc(files));
});

test("totals equal those of wc for the documents of this repository", async () => {
  const files = readdirSync(root)
    .filter((name) => name.endsWith(".md") || name === "LICENSE")
    .map((name) => join(root, name));
  expect(await totals(...files)).toEqual(wc(files));
});

test("a file that is named twice counts twice, as for wc", async () => {
  const path = join(folder({ "input.txt": "one two\n" }), "input.txt");
  expect(await totals(path, path)).toEqual(wc([path, path]));
});
