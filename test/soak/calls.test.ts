/** The long runs, shortened: `npm run soak` says by its exit code whether all was well. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const soak = (...flags: string[]) =>
  promisify(execFile)(process.execPath, ["scripts/soak.ts", ...flags], { cwd: root });

test("thousands of calls are all answered, and leave the memory as it was", async () => {
  const { stdout } = await soak("--calls", "40000");
  expect(stdout).toMatch(/^40000 calls in /);
  for (const name of ["client", "server", "resident"]) expect(stdout).toContain(`${name}: `);
  expect(stdout).toContain("nothing lost, nothing doubled, nothing hung");
});

test("thousands of tasks on threads that are terminated are all accounted for", async () => {
  const { stdout } = await soak("--tasks", "12000", "--task-kills", "24");
  expect(stdout).toMatch(/^12000 tasks in .*, 24 terminations: /);
  expect(stdout).toContain("nothing lost, nothing doubled, nothing hung");
});

test("a number that is none is refused", async () => {
  await expect(soak("--calls", "many")).rejects.toMatchObject({
    code: 2,
    stderr: "--calls: expected a number, found many\n",
  });
});
