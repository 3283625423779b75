/** The programs in the guide for embedders print what stands behind them. */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { root, runCommand } from "../cli/vdso.ts";

const guide = readFileSync(join(root, "docs", "embedding.md"), "utf8");
const blocks = [...guide.matchAll(/^```\w+ (file|output)=(\S+)\n([\s\S]*?)^```$/gm)].map(([, kind, name, text]) => ({
  kind: kind!,
  name: name!,
  text: text!,
}));
let folder: string;

beforeAll(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "vdso-guide-")));
  // The package as an application sees it, but made of the sources.
  const installed = join(folder, "node_modules", "wasm-vdso");
  mkdirSync(installed, { recursive: true });
  const entries = { ".": "runtime/index.ts", "./process": "runtime/process/index.ts" };
  const exports = Object.fromEntries(
    Object.entries(entries).map(([entry, source], i) => {
      writeFileSync(join(installed, `${i}.mjs`), `export * from ${JSON.stringify(join(root, source))};\n`);
      return [entry, `./${i}.mjs`];
    }),
  );
  writeFileSync(join(installed, "package.json"), JSON.stringify({ name: "wasm-vdso", type: "module", exports }));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  for (const { kind, name, text } of blocks) if (kind === "file") writeFileSync(join(folder, name), text);
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test.each(blocks.filter(({ kind }) => kind === "output").map(({ name, text }) => [name, text] as const))(
  "%s prints what the guide says",
  async (name, text) => {
    const { code, stdout, stderr } = await runCommand(process.execPath, [name], { cwd: folder });
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: text, stderr: expect.any(String) });
  },
);

test("the guide has such programs", () => {
  expect(blocks.filter(({ kind }) => kind === "output")).toHaveLength(2);
});
