import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type MessagePort as NodePort, receiveMessageOnPort } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { boot, fixture, output } from "./system.ts";

describe("a process ends", () => {
  test.each([
    ["return", { code: 0, reason: "return" }],
    ["return-later", { code: 0, reason: "return" }],
    ["return-with-code", { code: 9, reason: "return" }],
    ["exit", { code: 7, reason: "exit" }],
    ["exit-later", { code: 8, reason: "exit" }],
    ["node-exit", { code: 6, reason: "exit" }],
  ])("by %s", async (way, status) => {
    const { kernel, lines } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: [way] });
    expect(await process.exited).toEqual(status);
    expect(process.state).toBe("ended");
    expect(kernel.processes()).toEqual([]);
    expect(lines).toEqual([]);
  });

  test.each([
    ["throw", "RangeError", "on purpose", "E_ON_PURPOSE"],
    ["throw-later", "Error", "later", undefined],
    ["reject", "Error", "nobody handles this", undefined],
    ["throw-text", "Error", "only a text", undefined],
  ])("by an error: %s", async (way, name, message, code) => {
    const { kernel, lines } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { name: "faulty", argv: [way] });
    const status = await process.exited;
    expect(status).toMatchObject({ code: 1, reason: "error", error: { name, message } });
    expect((status.error as { code?: string }).code).toBe(code);
    expect(lines).toMatchObject([{ level: "error", process: "faulty", pid: process.pid, error: { message } }]);
  });

  test("by having nothing left to do while its module still waits", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: ["stuck"] });
    expect(await process.exited).toMatchObject({ reason: "error", error: { code: "ERR_VDSO_STUCK" } });
  });

  test("by running out of memory", async () => {
    const { kernel } = await boot();
    const resourceLimits = { maxOldGenerationSizeMb: 16 };
    const process = await kernel.spawn(fixture("ends.ts"), { argv: ["out-of-memory"], resourceLimits });
    expect(await process.exited).toMatchObject({
      reason: "out-of-memory",
      error: { code: "ERR_WORKER_OUT_OF_MEMORY" },
    });
  });

  test.each(["idle", "spin"])("by kill, when it would %s for ever", async (way) => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: [way] });
    expect(await kernel.kill(process.pid)).toEqual({ code: 1, reason: "killed" });
    expect(await process.exited).toEqual({ code: 1, reason: "killed" });
  });
});

describe("spawn", () => {
  test("gives the process its pid, name, arguments and environment", async () => {
    const { kernel } = await boot();
    const options = { name: "teller", argv: ["a", "b c"], env: { COLOUR: "blue" }, stdout: "pipe" } as const;
    const process = await kernel.spawn(fixture("tells.ts"), options);
    expect(JSON.parse(await output(process))).toEqual({
      pid: process.pid,
      name: "teller",
      argv: ["a", "b c"],
      colour: "blue",
      stopping: false,
      aborted: false,
      same: true,
    });
  });

  test("names a process after its file", async () => {
    const { kernel } = await boot();
    expect((await kernel.spawn(fixture("ends.ts"))).name).toBe("ends");
  });

  test("refuses a missing file", async () => {
    const { kernel, lines } = await boot();
    const missing = fixture("nowhere.ts");
    await expect(kernel.spawn(missing)).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_NOT_FOUND",
      message: `nowhere: there is no module ${missing}`,
    });
    expect(kernel.processes()).toEqual([]);
    expect(lines).toEqual([]);
  });

  test("refuses a missing interfaces module", async () => {
    const { kernel } = await boot();
    const interfaces = fixture("nowhere.ts");
    await expect(kernel.spawn(fixture("ends.ts"), { interfaces })).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_NOT_FOUND",
      message: `ends: there is no module ${interfaces}`,
    });
  });

  test.each([
    ["throws", "throws-at-load.ts", "no good"],
    ["imports a missing file", "imports-missing.mjs", "there-is-no-such-file"],
  ])("refuses a module that %s at load, with the cause", async (_what, file, message) => {
    const { kernel } = await boot();
    await expect(kernel.spawn(fixture(file))).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_LOAD",
      cause: { message: expect.stringContaining(message) },
    });
    expect(kernel.processes()).toEqual([]);
  });

  test("refuses a module whose top level waits for what never comes", async () => {
    const { kernel } = await boot();
    await expect(kernel.spawn(fixture("stuck-at-load.ts"))).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_LOAD",
      cause: { code: "ERR_VDSO_STUCK" },
    });
  });

  test("resolves for a module that exits while it loads", async () => {
    const { kernel } = await boot();
    const process = await kernel.spawn(fixture("exits-at-load.ts"));
    expect(await process.exited).toEqual({ code: 4, reason: "exit" });
  });

  test("refuses a path, which has no base to resolve against", async () => {
    const { kernel } = await boot();
    await expect(kernel.spawn("./ends.ts")).rejects.toMatchObject({ code: "ERR_VDSO_ARGUMENT" });
  });

  test("gives pids that are never the same twice, also when their index comes back", async () => {
    const { kernel } = await boot();
    const pids: number[] = [];
    for (let round = 0; round < 3; round++) {
      const process = await kernel.spawn(fixture("ends.ts"), { argv: ["return"] });
      pids.push(process.pid);
      await process.exited;
    }
    expect(new Set(pids).size).toBe(3);
  });

  test("runs 30 processes at once, each ending in its own way", async () => {
    const { kernel } = await boot();
    const ways = ["return", "exit", "throw"];
    const started = Array.from({ length: 30 }, (_, n) => kernel.spawn(fixture("ends.ts"), { argv: [ways[n % 3]!] }));
    const processes = await Promise.all(started);
    expect(new Set(processes.map(({ pid }) => pid)).size).toBe(30);
    const reasons = (await Promise.all(processes.map(({ exited }) => exited))).map(({ reason }) => reason);
    expect(reasons).toEqual(processes.map((_, n) => ["return", "exit", "error"][n % 3]));
    expect(kernel.processes()).toEqual([]);
  });
});

describe("an AbortSignal", () => {
  test("that has fired already starts nothing", async () => {
    const { kernel } = await boot();
    const reason = new Error("changed my mind");
    await expect(kernel.spawn(fixture("ends.ts"), { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(kernel.processes()).toEqual([]);
  });

  test("breaks off a start, even of a module that never finishes loading", async () => {
    const { kernel } = await boot();
    const abort = new AbortController();
    const starting = kernel.spawn(fixture("spins-at-load.ts"), { signal: abort.signal });
    const reason = new Error("too slow");
    abort.abort(reason);
    await expect(starting).rejects.toBe(reason);
    expect(kernel.processes()).toEqual([]);
  });

  test("ends a process that runs", async () => {
    const { kernel } = await boot();
    const abort = new AbortController();
    const process = await kernel.spawn(fixture("ends.ts"), { argv: ["spin"], signal: abort.signal });
    abort.abort();
    expect(await process.exited).toMatchObject({ reason: "killed" });
  });
});

describe("the kernel's list", () => {
  test("shows processes from their start to their end", async () => {
    const { kernel } = await boot();
    const starting = kernel.spawn(fixture("ends.ts"), { name: "one", argv: ["idle"] });
    expect(kernel.processes()).toMatchObject([{ name: "one", state: "starting" }]);
    const process = await starting;
    expect(kernel.processes()).toMatchObject([{ pid: process.pid, state: "running" }]);
    await kernel.kill(process.pid);
    expect(kernel.processes()).toEqual([]);
  });

  test.each([
    ["nobody's", 0],
    ["the kernel's", 1],
    ["an unknown", 99],
    ["a negative", -1],
  ])("has no process for %s pid", async (_whose, pid) => {
    const { kernel } = await boot();
    expect(() => kernel.kill(pid)).toThrow(expect.objectContaining({ code: "ERR_VDSO_NO_PROCESS" }));
  });

  test("forgets a process when it has ended", async () => {
    const { kernel } = await boot();
    const { pid, exited } = await kernel.spawn(fixture("ends.ts"), { argv: ["return"] });
    await exited;
    expect(() => kernel.kill(pid)).toThrow(expect.objectContaining({ code: "ERR_VDSO_NO_PROCESS" }));
  });
});

describe("the exit event", () => {
  test("tells of each process once, before its exited resolves", async () => {
    const { kernel } = await boot();
    const order: string[] = [];
    kernel.on("exit", (process, { reason }) => order.push(`${process.name} ${reason}`));
    const process = await kernel.spawn(fixture("ends.ts"), { name: "one", argv: ["exit"] });
    await process.exited.then(() => order.push("resolved"));
    expect(order).toEqual(["one exit", "resolved"]);
  });

  test("does not tell of a process that never ran", async () => {
    const { kernel } = await boot();
    const order: string[] = [];
    kernel.on("exit", (process) => order.push(process.name));
    await kernel.spawn(fixture("throws-at-load.ts")).catch(() => {});
    expect(order).toEqual([]);
  });

  test("goes no longer to a listener that was removed", async () => {
    const { kernel } = await boot();
    let calls = 0;
    const remove = kernel.on("exit", () => calls++);
    remove();
    await (await kernel.spawn(fixture("ends.ts"), { argv: ["return"] })).exited;
    expect(calls).toBe(0);
  });
});

test("what goes wrong in the application's listeners is uncaught there, and interrupts nothing", async () => {
  const program = fileURLToPath(fixture("faulty-listeners.ts"));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  expect(stdout.trim().split("\n").sort()).toEqual([
    "ended: error",
    "second listener",
    "uncaught: listener",
    "uncaught: log",
  ]);
});

test("a process lists, spawns and kills others through its kernel", async () => {
  const { kernel } = await boot();
  const process = await kernel.spawn(fixture("asks.ts"), { name: "asker", stdout: "pipe" });
  expect(JSON.parse(await output(process))).toEqual({
    names: ["asker", "child"],
    reason: "killed",
    code: "ERR_VDSO_NO_PROCESS",
    own: true,
  });
  expect(await process.exited).toEqual({ code: 0, reason: "return" });
});

describe("data", () => {
  test("reaches the process, shared memory as it is, ports moved", async () => {
    const { kernel } = await boot();
    const words = new Int32Array(new SharedArrayBuffer(4));
    const { port1, port2 } = new MessageChannel();
    const data = { words, port: port2, text: "hello" };
    const process = await kernel.spawn(fixture("answers.ts"), { data, transfer: [port2] });
    await process.exited;
    expect(words[0]).toBe(7);
    expect(receiveMessageOnPort(port1 as unknown as NodePort)).toEqual({ message: "hello" });
    port1.close();
  });

  test("that cannot be sent is refused, and starts nothing", async () => {
    const { kernel } = await boot();
    const refused = kernel.spawn(fixture("ends.ts"), { data: () => {} });
    await expect(refused).rejects.toMatchObject({ name: "DataCloneError" });
    expect(kernel.processes()).toEqual([]);
  });
});
