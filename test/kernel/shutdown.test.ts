import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { boot, fixture, output } from "./system.ts";

/** Longer than any test: who waits for it has not done what it should. */
const timeoutMs = 600_000;

describe("shutdown", () => {
  test.each([
    ["signal", "return"],
    ["handler", "exit"],
    ["loop", "return"],
  ])("lets a process wind itself up by %s", async (way, reason) => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("winds-up.ts"), { argv: [way] });
    await kernel.shutdown({ timeoutMs });
    expect(await process.exited).toEqual({ code: 0, reason });
  });

  test("waits for an asynchronous handler", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("winds-up.ts"), { argv: ["handler"], stdout: "pipe" });
    const [text] = await Promise.all([output(process), kernel.shutdown({ timeoutMs })]);
    expect(text).toBe("handled\n");
  });

  test("reports a handler that fails", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("winds-up.ts"), { argv: ["failing-handler"] });
    await kernel.shutdown({ timeoutMs });
    expect(await process.exited).toMatchObject({ reason: "error", error: { message: "cannot clean up" } });
  });

  test.each([
    ["idle", "it knew that it had to end"],
    ["spin", "never got to its event loop"],
  ])("terminates a process that would %s on, and says so", async (way, message) => {
    const { kernel, lines } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { name: "stubborn", argv: [way] });
    await kernel.shutdown({ timeoutMs: 300 });
    expect(await process.exited).toEqual({ code: 1, reason: "killed" });
    expect(lines).toMatchObject([{ level: "warn", process: "stubborn", message: expect.stringContaining(message) }]);
  });

  test("stops waiting when its signal fires", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: ["spin"] });
    const abort = new AbortController();
    const done = kernel.shutdown({ timeoutMs, signal: abort.signal });
    abort.abort();
    await done;
    expect(process.state).toBe("ended");
  });

  test("can be called again, with less patience", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: ["spin"] });
    const patient = kernel.shutdown({ timeoutMs: Number.POSITIVE_INFINITY });
    await kernel.shutdown({ timeoutMs: 0 });
    await patient;
    await kernel.shutdown();
    expect(process.state).toBe("ended");
  });

  test("refuses what comes after it", async () => {
    const { kernel } = await boot();
    await kernel.shutdown();
    await expect(kernel.spawn(fixture("ends.ts"))).rejects.toMatchObject({ code: "ERR_VDSO_SHUTDOWN" });
    await expect(kernel.adopt({})).rejects.toMatchObject({ code: "ERR_VDSO_SHUTDOWN" });
    expect(kernel.processes()).toEqual([]);
  });

  test("breaks off a start", async () => {
    const { kernel } = await boot();
    const starting = kernel.spawn(fixture("spins-at-load.ts"));
    const refused = expect(starting).rejects.toMatchObject({ code: "ERR_VDSO_SHUTDOWN" });
    await kernel.shutdown({ timeoutMs });
    await refused;
  });

  test("comes at the end of an `await using` block", async () => {
    let left: { readonly state: string };
    {
      await using kernel = (await boot()).kernel;
      left = await kernel.spawn(fixture("winds-up.ts"), { argv: ["signal"] });
    }
    expect(left.state).toBe("ended");
  });
});

test("a program ends by itself when its processes have ended, and shows nothing of those that it silenced", async () => {
  const program = fileURLToPath(fixture("whole-program.ts"));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  expect(stdout).toBe("return\n");
});
