import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { VdsoPanic } from "../../runtime/errors.ts";
import { Kernel } from "../../runtime/kernel/kernel.ts";
import type { SpawnOptions } from "../../runtime/kernel/options.ts";
import type { Process } from "../../runtime/kernel/process.ts";
import { attach } from "../../runtime/process/index.ts";
import { buildProbe, type Probe } from "./probe.ts";
import { boot, fixture, output } from "./system.ts";

const Clock = { now: () => 1 };
const interfaces = fixture("clock.ts");

let images: Probe[] = [];
let probe: Probe;
let talkative: Probe;
let broken: Probe;

beforeAll(async () => {
  images = await Promise.all([
    buildProbe("probe"),
    buildProbe("talkative", 'log.info("dropped {}", pid);'),
    buildProbe("broken", 'panic("cannot drop {}", pid);'),
  ]);
  [probe, talkative, broken] = images as [Probe, Probe, Probe];
});

afterAll(() => {
  for (const image of images) image[Symbol.dispose]();
});

function run(kernel: Kernel, way: string, options: SpawnOptions = {}, image = probe): Promise<Process> {
  return kernel.spawn(fixture("uses-probe.ts"), { interfaces, argv: [image.url, way], ...options });
}

describe("each image hears of a process's begin and end exactly once, when it ends by", () => {
  test.each([
    ["return", "return"],
    ["exit", "exit"],
    ["throw", "error"],
    ["panic", "panic"],
    ["panic-caught", "panic"],
    ["out-of-memory", "out-of-memory"],
    ["spin", "killed"],
  ])("%s", async (way, reason) => {
    const { kernel } = await boot({ vdsos: [probe.library] });
    const api = kernel.attach(probe.library, { Clock });
    const atExit: number[] = [];
    kernel.on("exit", () => atExit.push(api.drops()));
    const process = await run(kernel, way, { resourceLimits: { maxOldGenerationSizeMb: 16 } });
    expect(api.inits()).toBe(2);
    if (way === "spin") kernel.kill(process.pid);
    expect(await process.exited).toMatchObject({ reason });
    expect(atExit).toEqual([1]);
    expect(api.inits()).toBe(2);
    expect(api.drops()).toBe(1);
    expect(api.lastDropped()).toBe(process.pid);
  });

  test("failing at load", async () => {
    const { kernel } = await boot({ vdsos: [probe.library] });
    const api = kernel.attach(probe.library, { Clock });
    await expect(run(kernel, "panic-at-load")).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_LOAD",
      cause: { code: "ERR_VDSO_PANIC", template: "unlucky number" },
    });
    expect([api.inits(), api.drops()]).toEqual([2, 1]);
  });

  test("not having attached at all", async () => {
    const { kernel } = await boot({ vdsos: [probe.library] });
    const api = kernel.attach(probe.library, { Clock });
    await (await kernel.spawn(fixture("ends.ts"), { argv: ["return"] })).exited;
    expect([api.inits(), api.drops()]).toEqual([1, 1]);
  });
});

test("images clean up in the reverse of their boot order", async () => {
  const { kernel, lines } = await boot({ vdsos: [talkative.library, broken.library] });
  const { pid, exited } = await kernel.spawn(fixture("ends.ts"), { name: "short", argv: ["return"] });
  await exited;
  expect(lines).toMatchObject([
    { vdso: "broken", level: "error", process: "short", pid, error: { template: "cannot drop {}" } },
    { vdso: "talkative", level: "info", process: "kernel", message: `dropped ${pid}` },
  ]);
});

test("a clean-up that panics is repeated for the next process with a fresh instance", async () => {
  const { kernel, lines } = await boot({ vdsos: [broken.library] });
  for (let round = 0; round < 2; round++) {
    const { exited } = await kernel.spawn(fixture("ends.ts"), { argv: ["return"] });
    expect(await exited).toEqual({ code: 0, reason: "return" });
  }
  expect(lines.map(({ error }) => error)).toEqual([expect.any(VdsoPanic), expect.any(VdsoPanic)]);
});

test.each(["panic", "panic-caught"])("a panic ends its process and keeps its details: %s", async (way) => {
  const { kernel, lines } = await boot({ vdsos: [probe.library] });
  const process = await run(kernel, way, { name: "unlucky" });
  const { code, error } = await process.exited;
  expect(code).toBe(1);
  expect(error).toBeInstanceOf(VdsoPanic);
  expect(error).toMatchObject({ vdso: "probe", template: "unlucky number", file: "api.ts", line: expect.any(Number) });
  expect(lines).toMatchObject([
    { level: "error", process: "unlucky", message: expect.stringContaining("unlucky number") },
  ]);
});

test("a trap ends its process as a panic does", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const process = await run(kernel, "trap");
  expect(await process.exited).toMatchObject({ reason: "panic", error: { code: "ERR_VDSO_TRAP" } });
});

test("a panic in the kernel's own thread kills its attachment, not the kernel", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const api = kernel.attach(probe.library, { Clock });
  expect(() => api.set(13)).toThrow(VdsoPanic);
  expect(() => api.get()).toThrow(expect.objectContaining({ code: "ERR_VDSO_DEAD" }));
  const process = await run(kernel, "set");
  expect(await process.exited).toEqual({ code: 0, reason: "return" });
});

test("shared data is shared between kernel and process, private data is not", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const api = kernel.attach(probe.library, { Clock });
  await (await run(kernel, "set")).exited;
  expect([api.get(), api.getPrivate()]).toEqual([42, 0]);
});

test("log lines carry the process's name, down to the kernel's level", async () => {
  const { kernel, lines } = await boot({ vdsos: [probe.library] });
  const process = await run(kernel, "say", { name: "talker" });
  await process.exited;
  const from = { vdso: "probe", process: "talker", pid: process.pid, file: "api.ts" };
  expect(lines).toMatchObject([{ ...from, level: "warn", message: "value 7", args: [7] }]);

  const all = await boot({ vdsos: [probe.library], logLevel: "trace" });
  await (await run(all.kernel, "say")).exited;
  expect(all.lines.map(({ level }) => level)).toEqual(["warn", "debug"]);
});

test("the last lines of a process that exits at once are not lost", async () => {
  const { kernel, lines } = await boot({ vdsos: [probe.library] });
  const process = await run(kernel, "say-and-die");
  await process.exited;
  expect(lines.map(({ message }) => message)).toEqual(["value 7"]);
});

describe("interfaces", () => {
  test("come from the module given to spawn", async () => {
    const { kernel } = await boot({ vdsos: [probe.library] });
    const api = kernel.attach(probe.library, { Clock });
    await (await run(kernel, "now")).exited;
    expect(api.get()).toBe(1234);
  });

  test("come from the options of boot for the kernel itself", async () => {
    const { kernel } = await boot({ vdsos: [probe.library], host: { probe: { Clock: { now: () => 9 } } } });
    expect(kernel.attach(probe.library).now()).toBe(9);
  });

  test("are missed by name", async () => {
    const { kernel } = await boot({ vdsos: [probe.library] });
    const starting = kernel.spawn(fixture("uses-probe.ts"), { argv: [probe.url, "now"] });
    await expect(starting).rejects.toMatchObject({
      code: "ERR_VDSO_MODULE_LOAD",
      cause: { code: "ERR_VDSO_INTERFACE", message: expect.stringContaining("Clock.now") },
    });
    expect(() => kernel.attach(probe.library)).toThrow(expect.objectContaining({ code: "ERR_VDSO_INTERFACE" }));
  });
});

test("a process attaches to each image once, with the pid that the kernel gave it", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const process = await run(kernel, "twice", { stdout: "pipe" });
  expect(JSON.parse(await output(process))).toEqual({
    same: true,
    code: "ERR_VDSO_ATTACHED",
    unknown: "ERR_VDSO_NOT_MAPPED",
    pid: true,
  });
});

test("the kernel attaches to each image once, and only to those it has booted", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const api = kernel.attach(probe.library, { Clock });
  expect(kernel.attach(probe.library)).toBe(api);
  expect(api.pid()).toBe(1);
  expect(() => kernel.attach(probe.library, { Clock })).toThrow(expect.objectContaining({ code: "ERR_VDSO_ATTACHED" }));
  expect(() => kernel.attach(talkative.library)).toThrow(expect.objectContaining({ code: "ERR_VDSO_NOT_MAPPED" }));
  await kernel.shutdown();
  expect(() => kernel.attach(probe.library)).toThrow(expect.objectContaining({ code: "ERR_VDSO_SHUTDOWN" }));
});

test("an adopted worker attaches as a spawned one does", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const api = kernel.attach(probe.library, { Clock });
  const worker = new Worker(fixture("adopted-probe.ts"), { workerData: probe.url });
  onTestFinished(async () => void (await worker.terminate()));
  const attached = once(worker, "message");
  const process = await kernel.adopt(worker);
  expect(await attached).toEqual([process.pid]);
  expect(await process.exited).toEqual({ code: 0, reason: "return" });
  expect([api.inits(), api.drops()]).toEqual([2, 1]);
});

test("a thread without a kernel has nothing to attach to", () => {
  expect(() => attach(probe.library)).toThrow(expect.objectContaining({ code: "ERR_VDSO_NO_KERNEL" }));
});

test("boot refuses what is no API library", async () => {
  await expect(Kernel.boot({ vdsos: [{} as Probe["library"]] })).rejects.toMatchObject({ code: "ERR_VDSO_LIBRARY" });
});

test("boot refuses two images of one name", async () => {
  const vdsos = [probe.library, probe.library];
  await expect(Kernel.boot({ vdsos })).rejects.toMatchObject({ code: "ERR_VDSO_DUPLICATE" });
});

test("a kernel shows its mappings, and knows none of an image that it has not booted", async () => {
  const { kernel } = await boot({ vdsos: [probe.library] });
  const { manifest, memory, handle } = kernel.mapping(probe.library);
  expect(manifest.name).toBe("probe");
  expect(memory).toBe(handle.memory);
  expect(() => kernel.mapping(talkative.library)).toThrow(expect.objectContaining({ code: "ERR_VDSO_NOT_MAPPED" }));
});
