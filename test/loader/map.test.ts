import { describe, expect, test, vi } from "vitest";
import { VdsoPanic } from "../../runtime/errors.ts";
import { pidOf } from "../../runtime/loader/attach.ts";
import { map } from "../../runtime/loader/map.ts";
import { expectCode } from "../expect-code.ts";
import { buildSample, loadSample, SAMPLE_WAT, sampleHost, sampleManifest } from "./sample.ts";

const { folder, library } = await loadSample();

describe("map", () => {
  test("makes a shared memory of exactly the pages that the layout needs, with its header", async () => {
    const { memory, handle, manifest } = await map(library);
    expect(memory.buffer).toBeInstanceOf(SharedArrayBuffer);
    expect(memory.buffer.byteLength).toBe(65536);
    expect(() => memory.grow(1)).toThrow(RangeError);
    const view = new DataView(memory.buffer);
    expect(view.getUint32(0, true)).toBe(0x52415656);
    expect(view.getUint32(4, true)).toBe(1);
    expect(view.getBigUint64(8)).toBe(BigInt(`0x${manifest.fingerprint}`));
    expect(view.getFloat64(16, true)).toBe(65536);
    expect(view.getInt32(24, true)).toBe(2);
    expect(view.getUint32(28, true)).toBe(0);
    expect(view.getUint32(32, true)).toBe(0);
    expect(view.getBigUint64(40, true)).not.toBe(0n);
    expect(handle).toEqual({ name: "sample", fingerprint: manifest.fingerprint, module: handle.module, memory });
    expect(Object.keys(handle)).toHaveLength(4);
  });

  test("makes as many pages as a bigger layout needs", async () => {
    const manifest = sampleManifest();
    manifest.name = "big";
    manifest.layout.end = 3 * 65536 + 1;
    const big = (await folder.load("big.mjs", (await buildSample(SAMPLE_WAT, manifest)).js)).default;
    expect((await map(big)).memory.buffer.byteLength).toBe(4 * 65536);
  });

  test("says so when there is no room for the vVAR", async () => {
    class NoMemory {
      constructor() {
        throw new RangeError("could not allocate memory");
      }
    }
    const spy = vi.spyOn(WebAssembly, "Memory").mockImplementation(NoMemory as never);
    try {
      const error = await expectCode("ERR_VDSO_MEMORY", () => map(library));
      expect(error.message).toContain("1 pages");
    } finally {
      spy.mockRestore();
    }
  });

  test("runs init once", async () => {
    const mapping = await map(library);
    const view = new DataView(mapping.memory.buffer);
    expect(view.getInt32(1032, true)).toBe(5);
    view.setInt32(1032, 0, true);
    expect(mapping.attach({ host: sampleHost() })["mode"]!()).toBe(0);
  });

  test("gives each boot an id of its own", async () => {
    const [one, two] = await Promise.all([map(library), map(library)]);
    const id = (memory: WebAssembly.Memory) => new DataView(memory.buffer).getBigUint64(40, true);
    expect(id(one.memory)).not.toBe(id(two.memory));
  });

  test.each([
    ["nothing", undefined],
    ["null", null],
    ["a module's namespace", { default: {} }],
    ["a handle", { name: "sample", fingerprint: "0123456789abcdef", module: {}, memory: {} }],
  ])("refuses %s for a library", async (_, value) => {
    await expectCode("ERR_VDSO_LIBRARY", () => map(value as never));
  });

  test("refuses an unknown log level before anything runs", async () => {
    await expectCode("ERR_VDSO_OPTION", () => map(library, { logLevel: "loud" as never }));
  });

  test("refuses a damaged image", async () => {
    const damaged = { ...library, image: () => library.image().fill(0, 200, 201) };
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => map(damaged));
    await expectCode("ERR_VDSO_IMAGE_TRUNCATED", () => map({ ...library, image: () => library.image().slice(0, 99) }));
  });

  test("refuses an image that has a form of its own", async () => {
    const { js } = await buildSample(
      SAMPLE_WAT.replace('(func (export "zero")', '(func $go) (start $go) (func (export "zero")'),
    );
    const started = (await folder.load("started.mjs", js)).default;
    await expectCode("ERR_VDSO_IMAGE_START", () => map(started));
  });

  test("refuses a library with another image than its own", async () => {
    const error = await expectCode("ERR_VDSO_FINGERPRINT", () => map({ ...library, fingerprint: "0123456789abcdef" }));
    expect(error.message).toContain("0123456789abcdef");
    expect(error.message).toContain(library.fingerprint);
    await expectCode("ERR_VDSO_FINGERPRINT", () => map({ ...library, name: "other" }));
  });

  test("rejects with the panic when init panics, the vVAR marked as failed", async () => {
    const wat = SAMPLE_WAT.replace(
      '(func (export "init")',
      '(func (export "init") (call $argU (i64.const 1)) (call $argF (f64.const 0.5)) (call $argB (i32.const 0)) (call $panic (i32.const 0)) (unreachable)',
    );
    const failing = (await folder.load("failing.mjs", (await buildSample(wat)).js)).default;
    const memories: WebAssembly.Memory[] = [];
    class RecordedMemory extends WebAssembly.Memory {
      constructor(descriptor: WebAssembly.MemoryDescriptor) {
        super(descriptor);
        memories.push(this);
      }
    }
    const onPanic = vi.fn();
    const spy = vi.spyOn(WebAssembly, "Memory").mockImplementation(RecordedMemory);
    try {
      const error = await expectCode("ERR_VDSO_PANIC", () => map(failing, { onPanic }));
      expect(error).toBeInstanceOf(VdsoPanic);
      expect(error.message).toBe("sample: refused 1 and 0.5 [false] (api.ts:12:3)");
      expect(onPanic).toHaveBeenCalledExactlyOnceWith(error);
    } finally {
      spy.mockRestore();
    }
    expect(new DataView(memories[0]!.buffer).getInt32(24, true)).toBe(3);
  });
});

describe("drop", () => {
  test("runs processDrop on the mapper's own instance, which keeps its private data", async () => {
    const mapping = await map(library);
    const api = mapping.attach({ host: sampleHost() });
    mapping.drop(2);
    mapping.drop(2);
    // The first call adds 1, the second 2: its own count of calls goes on.
    expect(api["dropped"]!()).toBe(3);
    expect(api["calls"]!()).toBe(1);
  });

  test.each([0, -1, 1024, 1.5, Number.NaN, 2 ** 31])("refuses the pid %d", async (pid) => {
    const mapping = await map(library);
    await expectCode("ERR_VDSO_PID", () => mapping.drop(pid));
  });

  test("throws the panic of processDrop, then goes on with a fresh instance", async () => {
    const onPanic = vi.fn();
    const mapping = await map(library, { onPanic });
    mapping.drop(2);
    const error = await expectCode("ERR_VDSO_PANIC", () => mapping.drop(66));
    expect(error).toMatchObject({ template: "cannot drop {}", args: [66], file: "drop.ts", line: 7, column: 1 });
    expect(onPanic).toHaveBeenCalledExactlyOnceWith(error);
    mapping.drop(2);
    expect(mapping.attach({ host: sampleHost() })["dropped"]!()).toBe(2);
  });

  test("names a trap of processDrop, and what the host throws while it runs", async () => {
    const mapping = await map(library);
    const trap = await expectCode("ERR_VDSO_TRAP", () => mapping.drop(67));
    expect(trap.cause).toBeInstanceOf(WebAssembly.RuntimeError);
    const missing = await expectCode("ERR_VDSO_INTERFACE", () => mapping.drop(68));
    expect(missing.message).toContain("host.Observer.now");
    const failure = new Error("no clock");
    const host = sampleHost({
      now() {
        throw failure;
      },
    });
    const other = await map(library, { host });
    const error = await expectCode("ERR_VDSO_DROP", () => other.drop(68));
    expect(error.cause).toBe(failure);
  });

  test("does nothing for an image without processDrop", async () => {
    const manifest = sampleManifest();
    manifest.name = "undropped";
    manifest.exports = manifest.exports.filter((fn) => fn.name !== "processDrop" && fn.name !== "init");
    const wat = SAMPLE_WAT.replace('(func (export "processDrop")', "(func").replace('(func (export "init")', "(func");
    const undropped = (await folder.load("undropped.mjs", (await buildSample(wat, manifest)).js)).default;
    const mapping = await map(undropped);
    mapping.drop(2);
    expect(mapping.attach({ host: sampleHost() })["dropped"]!()).toBe(0);
  });
});

describe("pids", () => {
  test("are counted from 2 where nobody assigns them, generation by generation", async () => {
    const mapping = await map(library);
    const attached = () => pidOf(mapping.attach({ host: sampleHost() }));
    expect([attached(), attached(), attached()]).toEqual([2, 3, 4]);
    const words = new Int32Array(mapping.memory.buffer);
    words[8] = 1021;
    expect([attached(), attached()]).toEqual([1023, 1024 + 2]);
    // The counter may wrap; a pid stays a positive number of the right form.
    words[8] = -1;
    for (const pid of [attached(), attached()]) {
      expect(pid).toBeGreaterThan(0);
      expect(pid).toBeLessThan(2 ** 31);
      expect(pid % 1024).toBeGreaterThan(1);
    }
  });

  test("are passed to processInit", async () => {
    const mapping = await map(library);
    expect(mapping.attach({ host: sampleHost(), pid: 5 * 1024 + 1 })["lastPid"]!()).toBe(5 * 1024 + 1);
  });

  test("have to be given where a kernel assigns them", async () => {
    const mapping = await map(library, { managed: true });
    await expectCode("ERR_VDSO_PID", () => mapping.attach({ host: sampleHost() }));
    expect(pidOf(mapping.attach({ host: sampleHost(), pid: 1 }))).toBe(1);
    expect(new Int32Array(mapping.memory.buffer)[8]).toBe(0);
  });

  test.each([0, -1, 1024, 2048, 0.5, 2 ** 31, "2"])("are refused when they are %j", async (pid) => {
    const mapping = await map(library);
    const before = new Uint8Array(mapping.memory.buffer).slice();
    await expectCode("ERR_VDSO_PID", () => mapping.attach({ host: sampleHost(), pid: pid as number }));
    expect(new Uint8Array(mapping.memory.buffer)).toEqual(before);
  });
});
