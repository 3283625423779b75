import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
// A word boundary, so that prefixes such as ERR_VDSO_IMAGE_... in comments are none.
const CODE = /ERR_VDSO_[A-Z]+(?:_[A-Z]+)*\b/g;

function codesIn(folder: string): Map<string, string> {
  const codes = new Map<string, string>();
  if (!existsSync(join(root, folder))) return codes;
  for (const file of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })) {
    if (!/\.c?[jt]s$/.test(file)) continue;
    for (const [code] of readFileSync(join(root, folder, file), "utf8").matchAll(CODE))
      codes.set(code, join(folder, file));
  }
  return codes;
}

const sources = new Map(["runtime", "workers", "bin"].flatMap((folder) => [...codesIn(folder)]));
const table = readFileSync(join(root, "docs/errors.md"), "utf8");
const rows = [...table.matchAll(/^\| `(ERR_VDSO_[A-Z_]+)` \| \S/gm)].map(([, code]) => code!);

test("every error code in the sources has its row in docs/errors.md", () => {
  expect([...sources].filter(([code]) => !rows.includes(code))).toEqual([]);
});

test("docs/errors.md has no row for a code that nothing throws, and none twice", () => {
  expect(rows.filter((code) => !sources.has(code))).toEqual([]);
  expect(rows.filter((code, at) => rows.indexOf(code) !== at)).toEqual([]);
});
