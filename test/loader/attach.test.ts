import { beforeEach, describe, expect, test, vi } from "vitest";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import { attach, pidOf, setLogLevel } from "../../runtime/loader/attach.ts";
import type { VdsoHandle } from "../../runtime/loader/handle.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";
import { expectCode } from "../expect-code.ts";
import { buildSample, loadSample, type SampleApi, type SampleHost, sampleHost, sampleManifest } from "./sample.ts";

const { folder, library } = await loadSample();

let mapping: Mapping<SampleApi, SampleHost>;

beforeEach(async () => {
  mapping = await map(library);
});

/** Attaches with something changed; the vVAR must stay as it was. */
async function refused(code: string, handle: unknown, from: VdsoLibrary<SampleApi, SampleHost> = library) {
  const before = new Uint8Array(mapping.memory.buffer).slice();
  const error = await expectCode(code, () => attach(from, handle as VdsoHandle, { host: sampleHost() }));
  expect(new Uint8Array(mapping.memory.buffer)).toEqual(before);
  return error;
}

const memory = (pages: number, shared = true) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared });

describe("attach refuses", () => {
  test.each([
    ["nothing", () => undefined],
    ["a mapping instead of its handle", () => mapping],
    ["a handle without a module", () => ({ ...mapping.handle, module: undefined })],
    ["a handle with the image's bytes for a module", () => ({ ...mapping.handle, module: library.image() })],
    ["a handle with a bare buffer for a memory", () => ({ ...mapping.handle, memory: mapping.memory.buffer })],
    ["a handle without a name", () => ({ ...mapping.handle, name: undefined })],
    ["a handle without a fingerprint", () => ({ ...mapping.handle, fingerprint: 5 })],
  ])("%s", async (_, handle) => {
    await refused("ERR_VDSO_HANDLE", handle());
  });

  test("something else than an API library", async () => {
    await expectCode("ERR_VDSO_LIBRARY", () => attach({} as never, mapping.handle));
  });

  test("the library of another build, naming both fingerprints", async () => {
    const manifest = sampleManifest();
    manifest.constants[0]!.value = 128;
    const other = (await folder.load("other.mjs", (await buildSample(undefined, manifest)).js)).default;
    const error = await refused("ERR_VDSO_FINGERPRINT", mapping.handle, other);
    expect(error.message).toContain(library.fingerprint);
    expect(error.message).toContain(other.fingerprint);
  });

  test("the library of another image, naming both", async () => {
    const error = await refused("ERR_VDSO_FINGERPRINT", { ...mapping.handle, name: "vqueue" });
    expect(error.message).toContain("vqueue");
    expect(error.message).toContain("sample");
  });

  test("a handle with the module of another build", async () => {
    const manifest = sampleManifest();
    manifest.constants[0]!.value = 128;
    const { image } = await buildSample(undefined, manifest);
    await refused("ERR_VDSO_FINGERPRINT", { ...mapping.handle, module: new WebAssembly.Module(image) });
  });

  test("a handle with foreign WebAssembly", async () => {
    const empty = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    await refused("ERR_VDSO_IMAGE_FOREIGN", { ...mapping.handle, module: empty });
  });

  test("the vVAR of another build, naming both fingerprints", async () => {
    new DataView(mapping.memory.buffer).setBigUint64(8, 0x0123456789abcdefn);
    const error = await refused("ERR_VDSO_FINGERPRINT", mapping.handle);
    expect(error.message).toContain("0123456789abcdef");
    expect(error.message).toContain(library.fingerprint);
  });

  test("a memory that is not shared", async () => {
    await refused("ERR_VDSO_NOT_SHARED", {
      ...mapping.handle,
      memory: new WebAssembly.Memory({ initial: 1, maximum: 1 }),
    });
  });

  test("a memory that is smaller than the layout", async () => {
    const error = await refused("ERR_VDSO_SIZE", { ...mapping.handle, memory: memory(0) });
    expect(error.message).toBe("sample: expected a vVAR of at least 1048 bytes, found 0");
  });

  test("a memory whose size is not what its header says", async () => {
    const bigger = memory(2);
    new Uint8Array(bigger.buffer).set(new Uint8Array(mapping.memory.buffer));
    const error = await refused("ERR_VDSO_SIZE", { ...mapping.handle, memory: bigger });
    expect(error.message).toContain("65536");
    expect(error.message).toContain("131072");
  });

  test("a memory that was never a vVAR", async () => {
    await refused("ERR_VDSO_UNINITIALISED", { ...mapping.handle, memory: memory(1) });
  });

  test.each([
    ["another magic", 0, 0x12345678, "ERR_VDSO_MAGIC"],
    ["another header version", 4, 2, "ERR_VDSO_HEADER_VERSION"],
    ["state none", 24, 0, "ERR_VDSO_UNINITIALISED"],
    ["state initialising", 24, 1, "ERR_VDSO_INITIALISING"],
    ["state failed", 24, 3, "ERR_VDSO_INIT_FAILED"],
    ["a state that does not exist", 24, 99, "ERR_VDSO_UNINITIALISED"],
  ])("a vVAR with %s", async (_, offset, value, code) => {
    new DataView(mapping.memory.buffer).setUint32(offset, value, true);
    const error = await refused(code, mapping.handle);
    expect(error.message).toMatch(/^sample: expected .*, found /);
  });

  test.each<[string, unknown]>([
    ["no host at all", undefined],
    ["a host without the interface", { host: {} }],
    ["an interface that is null", { host: { Observer: null } }],
    ["an interface without a function", { host: { Observer: { now: () => 1, greet: () => "" } } }],
    ["a member that is no function", { host: sampleHost({ self: 5 as never }) }],
  ])("%s, naming the member", async (_, options) => {
    const before = new Uint8Array(mapping.memory.buffer).slice();
    const error = await expectCode("ERR_VDSO_INTERFACE", () => attach(library, mapping.handle, options as never));
    expect(error.message).toMatch(/host\.Observer\.(now|self), found (undefined|number)/);
    expect(new Uint8Array(mapping.memory.buffer)).toEqual(before);
  });

  test("an unknown log level, and takes no pid for it", async () => {
    const options = { host: sampleHost(), logLevel: "loud" as never };
    await expectCode("ERR_VDSO_OPTION", () => attach(library, mapping.handle, options));
    expect(pidOf(attach(library, mapping.handle, { host: sampleHost() }))).toBe(2);
  });

  test("to go on when there is no room for another instance", async () => {
    class NoInstance {
      constructor() {
        throw new RangeError("could not allocate memory");
      }
    }
    const spy = vi.spyOn(WebAssembly, "Instance").mockImplementation(NoInstance as never);
    try {
      await expectCode("ERR_VDSO_INSTANTIATE", () => mapping.attach({ host: sampleHost() }));
    } finally {
      spy.mockRestore();
    }
  });
});

describe("attaching twice in one thread", () => {
  test("shares the vVAR and nothing private", () => {
    const one = mapping.attach({ host: sampleHost() });
    const two = attach(library, mapping.handle, { host: sampleHost() });
    one["count"]!(5n);
    expect(two["count"]!(1n)).toBe(6n);
    expect([one["calls"]!(), one["calls"]!(), two["calls"]!()]).toEqual([1, 2, 1]);
    expect(pidOf(one)).not.toBe(pidOf(two));
  });

  test("leaves the second alive when the first panics", async () => {
    const one = mapping.attach({ host: sampleHost() });
    const two = mapping.attach({ host: sampleHost() });
    await expectCode("ERR_VDSO_PANIC", () => one["fail"]!(1n, true));
    expect(two["add"]!(1, 2)).toBe(3);
  });
});

test("pidOf and setLogLevel know only what attach returned", async () => {
  await expectCode("ERR_VDSO_NOT_ATTACHED", () => pidOf({}));
  await expectCode("ERR_VDSO_NOT_ATTACHED", () => setLogLevel(mapping.handle, "off"));
});
