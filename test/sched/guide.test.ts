/** Does what docs/vsched.md says: its files, with the package's names led to this repository. */
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, onTestFinished, test } from "vitest";

const root = new URL("../../", import.meta.url);
const guide = readFileSync(new URL("docs/vsched.md", root), "utf8");

/** The code block that begins with a comment of this text, as far as it goes. */
function block(title: string): string {
  const found = guide
    .split("```ts\n")
    .find((part) => part.startsWith(`// ${title}\n`) || part.startsWith(`// ${title}, `));
  return found!
    .slice(0, found!.indexOf("```"))
    .replace(
      /from "wasm-vdso(?:\/(\w+))?"/g,
      (_, entry?: string) => `from "${new URL(`runtime/${entry ? `${entry}/` : ""}index.ts`, root).href}"`,
    );
}

test("the guide's program lends its thread, shares a mutex, and has a process that takes part", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vsched-guide-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(join(folder, "work.ts"), block("work.ts"));
  writeFileSync(join(folder, "helper.ts"), block("helper.ts"));
  const helper = 'await kernel.spawn(new URL("./helper.ts", import.meta.url));\n';
  const parts = [block("main.ts"), block("main.ts, lending"), block("main.ts, with a mutex"), helper];
  writeFileSync(join(folder, "main.ts"), parts.join("\n"));
  const { stdout } = await promisify(execFile)(process.execPath, [join(folder, "main.ts")]);
  expect(stdout.split("\n").sort()).toEqual(["", "30", "[ 6765, 10946 ]", "rested and joined", "task true"]);
});
