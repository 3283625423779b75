import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const folders = ["vdso-src", "runtime", "workers", "examples"].filter((folder) => existsSync(join(root, folder)));

test("every SYNC label stands at both ends of its publish/observe pair", () => {
  const places = new Map<string, string[]>();
  for (const folder of folders) {
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !entry.name.endsWith(".ts")) continue;
      const path = join(entry.parentPath, entry.name);
      for (const [index, line] of readFileSync(path, "utf8").split("\n").entries()) {
        const label = /\/\/ SYNC ([\w-]+):/.exec(line)?.[1];
        if (label === undefined) continue;
        // Images do not share memory: each has label names of its own.
        const owner = relative(root, path).split(/[\\/]/).slice(0, 2).join("/");
        const key = `${owner} ${label}`;
        places.set(key, [...(places.get(key) ?? []), `${relative(root, path)}:${index + 1}`]);
      }
    }
  }
  const alone = [...places].filter(([, at]) => at.length < 2).map(([label, at]) => `${label} only at ${at[0]}`);
  expect(alone).toEqual([]);
});
