/** Does what docs/testing.md says: its files, with the package's name led to this repository, and time for slow machines. */
import { execFile } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { buildVdso } from "../../runtime/build/index.ts";
import { Project } from "../build/project.ts";

const guide = readFileSync(join(import.meta.dirname, "../../docs/testing.md"), "utf8");
const testing = new URL("../../runtime/testing/index.ts", import.meta.url).href;

/** The code block that begins with a comment of this text. */
function block(title: string): string {
  const found = guide.split("```ts\n").find((part) => part.startsWith(`// ${title}\n`));
  return found!.slice(0, found!.indexOf("```"));
}

async function runGuide(api: string, timeoutMs: string): Promise<{ failed: boolean; output: string }> {
  const project = new Project({ "api.ts": api });
  onTestFinished(() => project[Symbol.dispose]());
  const { folder, srcDir } = project;
  const outDir = join(folder, "generated/histogram");
  await buildVdso({ srcDir, outDir, imageName: "histogram", packageName: "guide", verbose: 0 });
  const file = join(folder, "histogram.test.ts");
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
  writeFileSync(file, block("histogram.test.ts").replace("wasm-vdso/testing", testing).replace("10_000", timeoutMs));
  return new Promise((resolve) => {
    execFile(process.execPath, ["--test", file], { cwd: folder }, (error, output) => {
      resolve({ failed: error !== null, output });
    });
  });
}

const broken = block("vdso-src/histogram/api.ts");
const fixed = broken + block("vdso-src/histogram/api.ts, added");

test("the guide's test passes with the lock that survives", async () => {
  expect(await runGuide(fixed, "60_000")).toMatchObject({ failed: false, output: expect.stringContaining("pass 1") });
});

test("the guide's test finds the lock that does not survive, and the dump shows its dead owner", async () => {
  let found = await runGuide(broken, "5_000");
  // Where kills land is up to the machine: that all of them miss the lock is rare, not impossible.
  for (let attempt = 0; attempt < 5 && !found.failed; attempt++) found = await runGuide(broken, "5_000");
  expect(found.output).toContain("ERR_VDSO_TEST_TIMEOUT");
  expect(found.output).toMatch(/vVAR of histogram:\n\s+owner: [1-9]\d*\n/);
});
