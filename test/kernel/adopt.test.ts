import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { boot, fixture } from "./system.ts";

function worker(name: string): Worker {
  const started = new Worker(fixture(name));
  onTestFinished(async () => void (await started.terminate()));
  return started;
}

test("makes a process of an application's worker and leaves its messages alone", async () => {
  const { kernel } = await boot();
  const own = worker("adoptable.ts");
  const hello = once(own, "message");
  const process = await kernel.adopt(own, { name: "mine" });
  expect(await hello).toEqual([{ name: "mine", pid: process.pid }]);
  expect(kernel.processes()).toEqual([process]);
  const echo = once(own, "message");
  own.postMessage("something");
  expect(await echo).toEqual([{ echo: "something" }]);
  own.postMessage("end");
  expect(await process.exited).toEqual({ code: 0, reason: "return" });
});

test("sees the exit code and the termination of an adopted worker", async () => {
  const { kernel } = await boot();
  const first = worker("adoptable.ts");
  const one = await kernel.adopt(first);
  first.postMessage("exit");
  expect(await one.exited).toEqual({ code: 5, reason: "exit" });
  const second = worker("adoptable.ts");
  const two = await kernel.adopt(second);
  await second.terminate();
  expect(await two.exited).toEqual({ code: 1, reason: "killed" });
});

test("kills an adopted worker", async () => {
  const { kernel } = await boot();
  const own = worker("adoptable.ts");
  const { pid } = await kernel.adopt(own);
  expect(await kernel.kill(pid)).toMatchObject({ reason: "killed" });
  expect(own.threadId).toBe(-1);
});

test("refuses what is no worker, a worker twice, and one that has ended", async () => {
  const { kernel } = await boot();
  await expect(kernel.adopt({})).rejects.toMatchObject({ code: "ERR_VDSO_ARGUMENT" });
  const own = worker("adoptable.ts");
  await kernel.adopt(own);
  await expect(kernel.adopt(own)).rejects.toMatchObject({ code: "ERR_VDSO_ADOPT" });
  const ended = worker("never-adopted.ts");
  await once(ended, "exit");
  await expect(kernel.adopt(ended)).rejects.toMatchObject({ code: "ERR_VDSO_ADOPT" });
  expect(kernel.processes()).toHaveLength(1);
});

test("fails when the worker ends without having called adopted()", async () => {
  const { kernel } = await boot();
  await expect(kernel.adopt(worker("never-adopted.ts"))).rejects.toMatchObject({ code: "ERR_VDSO_ADOPT" });
  expect(kernel.processes()).toEqual([]);
});

test("terminates the worker when its adoption is broken off", async () => {
  const { kernel } = await boot();
  const own = worker("spins-at-load.ts");
  const abort = new AbortController();
  const adoption = kernel.adopt(own, { signal: abort.signal });
  const reason = new Error("no patience");
  abort.abort(reason);
  await expect(adoption).rejects.toBe(reason);
  expect(own.threadId).toBe(-1);
});
