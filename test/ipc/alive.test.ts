/** A program ends when nothing is pending, and not before: each of these is a process of its own. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const program = join(import.meta.dirname, "fixtures", "pending.ts");

async function run(what: string, delivery: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, what, delivery]);
  return stdout.trim().split("\n");
}

test.each(["adaptive", "eventLoop", "parked"])(
  "%s: a program lives exactly as long as something is pending",
  async (delivery) => {
    const cases = [
      ["nothing", []],
      ["silent server", []],
      ["server", ["closes"]],
      ["call", ["answered"]],
      ["wait", ["received"]],
      ["name", ["named"]],
      ["message to a full mailbox", ["waits"]],
      ["calls that are given up", ["200"]],
      ["call that is taken by hand", ["answered"]],
      ["stream", ["an answer"]],
      ["request over a port", ["answered"]],
    ] as const;
    const outputs = await Promise.all(cases.map(([what]) => run(what, delivery)));
    expect(outputs).toEqual(cases.map(([, said]) => [...said, "nothing is pending"]));
  },
);

test("polling: a program lives no longer than something is pending", async () => {
  const cases = [
    ["nothing", []],
    ["call that is taken by hand", ["answered"]],
    ["calls that are given up", ["200"]],
  ] as const;
  const outputs = await Promise.all(cases.map(([what]) => run(what, "polling")));
  expect(outputs).toEqual(cases.map(([, said]) => [...said, "nothing is pending"]));
});
