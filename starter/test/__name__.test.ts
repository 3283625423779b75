import assert from "node:assert/strict";
import { test } from "node:test";
import { Kernel, VdsoPanic } from "wasm-vdso";
import library from "../generated/__name__/__name__.js";

test("what processes count is added up in one place", async () => {
  await using kernel = await Kernel.boot({ vdsos: [library] });
  const worker = new URL("../src/worker.ts", import.meta.url);
  const processes = await Promise.all([
    kernel.spawn(worker, { argv: ["10"], stdout: "ignore" }),
    kernel.spawn(worker, { argv: ["20"], stdout: "ignore" }),
  ]);
  await Promise.all(processes.map((process) => process.exited));
  const api = kernel.attach(library);
  assert.equal(api.total(), 30);
  assert.equal(api.ownCount(), 0);
});

test("a failed assertion in the vDSO is an error with its place in the source", async () => {
  await using kernel = await Kernel.boot({ vdsos: [library] });
  const api = kernel.attach(library);
  assert.throws(
    () => api.add(0),
    (error) => error instanceof VdsoPanic && error.file === "api.ts" && /positive/.test(error.message),
  );
});
