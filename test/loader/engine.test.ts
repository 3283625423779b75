import { afterEach, expect, test, vi } from "vitest";
import { attach } from "../../runtime/loader/attach.ts";
import { map } from "../../runtime/loader/map.ts";
import { checkEngine } from "../../runtime/platform/engine.ts";
import { expectCode } from "../expect-code.ts";
import { loadSample, sampleHost } from "./sample.ts";

const { library } = await loadSample();

afterEach(() => {
  vi.unstubAllGlobals();
  vi.restoreAllMocks();
});

test("this engine is good enough", () => {
  expect(checkEngine).not.toThrow();
});

test("an engine without several memories is refused, naming the versions that have them", async () => {
  const mapping = await map(library);
  vi.spyOn(WebAssembly, "validate").mockReturnValue(false);
  const error = await expectCode("ERR_VDSO_ENGINE", () => map(library));
  for (const version of ["Node 22.12", "Chrome 120", "Firefox 125"]) expect(error.message).toContain(version);
  expect(error.message).toContain(`found Node ${process.versions.node}`);
  await expectCode("ERR_VDSO_ENGINE", () => attach(library, mapping.handle, { host: sampleHost() }));
});

test("an engine without WebAssembly is refused", async () => {
  vi.stubGlobal("WebAssembly", undefined);
  await expectCode("ERR_VDSO_ENGINE", checkEngine);
});

test("a page without shared memory is refused, naming the headers that it needs", async () => {
  vi.stubGlobal("SharedArrayBuffer", undefined);
  const error = await expectCode("ERR_VDSO_ISOLATION", checkEngine);
  expect(error.message).toContain("Cross-Origin-Embedder-Policy");
  vi.unstubAllGlobals();
  vi.stubGlobal("crossOriginIsolated", false);
  await expectCode("ERR_VDSO_ISOLATION", checkEngine);
});
