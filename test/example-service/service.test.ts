import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("the example of a service says what each of its calls brought, and survives the server's end", async () => {
  const program = join(import.meta.dirname, "..", "..", "examples", "service", "main.ts");
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [program]);
  expect(stderr).toBe("");
  expect(stdout.split("\n")).toEqual([
    "cat.png: 640 x 480",
    "TypeError: cat.txt is no image",
    "100 rows, and the server was told to stop",
    "3 frames (1, 2, 3)",
    "aborted: 5 are enough",
    "1048576 pixels, the last is 254",
    "the server was killed: ERR_VDSO_PEER_GONE",
    "again: 640",
    "0 bytes are still lent",
    "",
  ]);
});
