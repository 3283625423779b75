import { beforeEach, describe, expect, test, vi } from "vitest";
import { VdsoPanic } from "../../runtime/errors.ts";
import { attach, setLogLevel } from "../../runtime/loader/attach.ts";
import type { LogSource } from "../../runtime/loader/logger.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";
import { expectCode } from "../expect-code.ts";
import { buildSample, loadSample, type SampleApi, type SampleHost, sampleHost } from "./sample.ts";

const { folder, library } = await loadSample();

let mapping: Mapping<SampleApi, SampleHost>;

beforeEach(async () => {
  mapping = await map(library);
});

describe("a panic", () => {
  test("surfaces with message, arguments, file and line", async () => {
    const api = mapping.attach({ host: sampleHost() });
    const error = await expectCode("ERR_VDSO_PANIC", () => api["fail"]!(2n ** 64n - 1n, true));
    expect(error).toBeInstanceOf(VdsoPanic);
    expect(error).toMatchObject({
      name: "VdsoPanic",
      vdso: "sample",
      template: "refused {} and {}",
      args: [2n ** 64n - 1n, 0.5, true],
      file: "api.ts",
      line: 12,
      column: 3,
      message: "sample: refused 18446744073709551615 and 0.5 [true] (api.ts:12:3)",
    });
  });

  test("kills the attachment: each later call says so and names the panic", async () => {
    const api = mapping.attach({ host: sampleHost() });
    const panic = await expectCode("ERR_VDSO_PANIC", () => api["fail"]!(1n, false));
    const before = new Uint8Array(mapping.memory.buffer).slice();
    for (const call of [() => api["add"]!(1, 2), () => api["echoText"]!("x"), () => api["count"]!(1n)]) {
      const error = await expectCode("ERR_VDSO_DEAD", call);
      expect(error.cause).toBe(panic);
      expect(error.message).toContain("refused 1 and 0.5");
    }
    expect(new Uint8Array(mapping.memory.buffer)).toEqual(before);
  });

  test("is told to whoever asked, once, before the caller gets it", async () => {
    const order: unknown[] = [];
    const api = mapping.attach({ host: sampleHost(), onPanic: (error) => order.push(error) });
    try {
      api["fail"]!(1n, true);
    } catch (error) {
      order.push(error);
    }
    await expectCode("ERR_VDSO_DEAD", () => api["zero"]!());
    expect(order).toHaveLength(2);
    expect(order[0]).toBe(order[1]);
  });

  test("of the compiler's own runtime surfaces the same way", async () => {
    const api = mapping.attach({ host: sampleHost() });
    const error = await expectCode("ERR_VDSO_PANIC", () => api["abort"]!());
    expect(error).toMatchObject({ template: "lost", file: "lost", line: 3, column: 4 });
  });

  test("in a call that a host function made goes through the outer call, even if the host swallows it", async () => {
    const api: SampleApi = mapping.attach({
      host: sampleHost({
        now() {
          expect(() => api["fail"]!(1n, true)).toThrow(VdsoPanic);
          return 1;
        },
      }),
    });
    await expectCode("ERR_VDSO_PANIC", () => api["now"]!());
    await expectCode("ERR_VDSO_DEAD", () => api["now"]!());
  });

  test("during processInit fails the attach", async () => {
    const wat = `(func (export "processInit") (param i32)`;
    const { SAMPLE_WAT } = await import("./sample.ts");
    const { js } = await buildSample(SAMPLE_WAT.replace(wat, `${wat} (call $panic (i32.const 1)) (unreachable)`));
    const failing = (await folder.load("init-panic.mjs", js)).default;
    const other = await map(failing);
    const onPanic = vi.fn();
    await expectCode("ERR_VDSO_PANIC", () => attach(failing, other.handle, { host: sampleHost(), onPanic }));
    expect(onPanic).toHaveBeenCalledOnce();
  });
});

describe("a trap", () => {
  test.each(["trap", "deep"])("(%s) is the death of the attachment, too", async (name) => {
    const onPanic = vi.fn();
    const api = mapping.attach({ host: sampleHost(), onPanic });
    const error = await expectCode("ERR_VDSO_TRAP", () => api[name]!(...(name === "deep" ? [1] : [])));
    expect(error.cause).toBeInstanceOf(Error);
    expect(onPanic).toHaveBeenCalledExactlyOnceWith(error);
    await expectCode("ERR_VDSO_DEAD", () => api["zero"]!());
  });
});

describe("what a host function throws", () => {
  test("arrives unchanged, and the attachment lives on", () => {
    const failure = new RangeError("the host's own");
    const api = mapping.attach({
      host: sampleHost({
        now() {
          throw failure;
        },
      }),
    });
    expect(() => api["now"]!()).toThrow(failure);
    expect(api["add"]!(1, 2)).toBe(3);
  });
});

describe("log lines", () => {
  const record = () => {
    const lines: [string, string, LogSource][] = [];
    const logger = Object.fromEntries(
      (["error", "warn", "info", "debug", "trace"] as const).map((level) => [
        level,
        (message: string, source: LogSource) => lines.push([level, message, source]),
      ]),
    );
    return { lines, logger };
  };

  test("go to the process's logger, with their source", () => {
    const { lines, logger } = record();
    mapping.attach({ host: sampleHost(), log: logger, logLevel: "trace" })["say"]!(-5);
    expect(lines.map(([level, message]) => `${level} ${message}`)).toEqual([
      "error value -5",
      "info informed",
      "trace traced",
    ]);
    expect(lines[0]![2]).toEqual({
      vdso: "sample",
      level: "error",
      message: "value {}",
      file: "api.ts",
      line: 20,
      column: 1,
      args: [-5],
    });
  });

  test.each([
    [undefined, 2],
    ["off", 0],
    ["error", 1],
    ["warn", 1],
    ["info", 2],
    ["debug", 2],
    ["trace", 3],
  ] as const)("are let through from level %s on", (logLevel, expected) => {
    const { lines, logger } = record();
    const options = logLevel === undefined ? {} : { logLevel };
    mapping.attach({ host: sampleHost(), log: logger, ...options })["say"]!(1);
    expect(lines).toHaveLength(expected);
  });

  test("follow a change of level", async () => {
    const { lines, logger } = record();
    const api = mapping.attach({ host: sampleHost(), log: logger, logLevel: "off" });
    api["say"]!(1);
    setLogLevel(api, "error");
    api["say"]!(2);
    expect(lines.map(([, message]) => message)).toEqual(["value 2"]);
    await expectCode("ERR_VDSO_OPTION", () => setLogLevel(api, "loud" as never));
  });

  test("go to the console by default, with the process's name, and nowhere for a level without a function", () => {
    const error = vi.spyOn(console, "error").mockImplementation(() => {});
    const info = vi.spyOn(console, "info").mockImplementation(() => {});
    try {
      mapping.attach({ host: sampleHost(), process: "reader" })["say"]!(1);
      mapping.attach({ host: sampleHost(), pid: 7 })["say"]!(2);
      mapping.attach({ host: sampleHost(), log: { info: () => {} } })["say"]!(3);
      expect(error.mock.calls).toEqual([["[reader] sample: value 1"], ["[pid 7] sample: value 2"]]);
      expect(info).toHaveBeenCalledTimes(2);
    } finally {
      vi.restoreAllMocks();
    }
  });
});
