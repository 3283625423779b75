import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import type * as Wordcount from "../../generated/wordcount/wordcount.js";
import { TABLE_LEN } from "../../generated/wordcount/wordcount.js";
import { buildVdso } from "../../runtime/build/index.ts";
import { map, pidOf, vvarOf } from "../../runtime/index.ts";
import { folder, wc } from "./program.ts";

/** The same image with the smallest chunks: borders everywhere. */
const CHUNK_BYTES = 128;
const outDir = mkdtempSync(join(tmpdir(), "wordcount-"));
let api: Wordcount.WordcountApi;
let buffer: Uint8Array;

beforeAll(async () => {
  const srcDir = join(import.meta.dirname, "..", "..", "examples", "wordcount", "vdso");
  await buildVdso({ srcDir, outDir, imageName: "wordcount", config: { BUFFER_BYTES: CHUNK_BYTES } });
  const built = (await import(pathToFileURL(join(outDir, "wordcount.js")).href)) as typeof Wordcount;
  api = (await map(built.default)).attach();
  buffer = new Uint8Array(vvarOf(api), api.bufferAddress(0), CHUNK_BYTES);
});

afterAll(() => rmSync(outDir, { recursive: true, force: true }));

/** As the reader cuts. Returns lines, words and bytes. */
function count(content: Uint8Array): number[] {
  const before = api.countsOf(pidOf(api));
  let at = 0;
  let start: Wordcount.Start = 0;
  while (at < content.length) {
    const part = content.subarray(at, at + CHUNK_BYTES);
    buffer.set(part);
    const cut: Wordcount.Cut =
      part.length < CHUNK_BYTES ? { bytes: part.length, next: start } : api.cut(0, CHUNK_BYTES, start);
    api.count(0, cut.bytes, start);
    at += cut.bytes;
    start = cut.next;
  }
  const after = api.countsOf(pidOf(api));
  return [after.lines - before.lines, after.words - before.words, after.bytes - before.bytes].map(Number);
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Runs of what `wc` of every version counts alike: each has a printable character. */
const words = fc.array(
  fc.oneof(
    fc.constantFrom(
      "a",
      "é",
      "世界",
      "🎉",
      "don't",
      "x".repeat(60),
      "世".repeat(50),
      "y".repeat(CHUNK_BYTES),
      "z".repeat(300),
      "\0q\u0001",
    ),
    fc.constantFrom(
      " ",
      "\n",
      "\r\n",
      "\t\v\f",
      "\u00a0",
      "\u2003",
      "\u3000",
      " ".repeat(CHUNK_BYTES),
      "\u2003".repeat(70),
    ),
  ),
  { maxLength: 60 },
);

test("cut into small chunks, any text has the totals of wc", () => {
  const path = folder();
  fc.assert(
    fc.property(words, (parts) => {
      const content = bytes(parts.join(""));
      const file = join(path, "input.txt");
      writeFileSync(file, content);
      expect(count(content)).toEqual(wc([file]));
    }),
    { numRuns: 150 },
  );
});

const nothing = "\0".repeat(300);

// As GNU wc 9.1 counts them; others may differ.
test.each([
  ["controls alone", bytes("\0 \u0001 \u007f\n"), 0],
  ["bytes that are no UTF-8", Uint8Array.of(0xff, 0x20, 0xc3, 0x20, 0xed, 0xa0, 0x80, 0x20, 0xc0, 0x80), 0],
  ["a letter among bytes that are no UTF-8", Uint8Array.of(0xff, 0x61, 0xe2, 0x80, 0x20, 0x80), 1],
  ["separators of lines and paragraphs", bytes("a\u2028b\u2029c"), 1],
  ["controls longer than a chunk", bytes(nothing), 0],
  ["a letter behind controls longer than a chunk", bytes(`${nothing}a ${nothing} a`), 2],
  ["a letter before and behind controls longer than a chunk", bytes(`a${nothing}a${nothing}`), 1],
])("counts words of %s", (_what, content, expected) => {
  expect(count(content)[1]).toBe(expected);
});

test("no word is torn unless it is longer than a chunk", () => {
  const text = `${"word ".repeat(100)}${"z".repeat(CHUNK_BYTES)} end`;
  count(bytes(text));
  const listed = Array.from({ length: TABLE_LEN }, (_, slot) => api.wordOf(slot)).filter((word) =>
    /^[word]+$/.test(word),
  );
  expect(listed).toEqual(["word"]);
});
