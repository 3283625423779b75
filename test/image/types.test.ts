import { describe, expect, test } from "vitest";
import { optionLayout, parseType, parseVvarType, resultLayout, sizeOf } from "../../runtime/image/types.ts";
import { expectCode } from "../expect-code.ts";
import { sampleManifest } from "../loader/sample.ts";

const names = sampleManifest();
const u64 = { kind: "scalar", scalar: "u64" } as const;
const u8 = { kind: "scalar", scalar: "u8" } as const;
const nothing = { kind: "void" } as const;

describe("type texts of the API", () => {
  test("name scalars, enums, structs, interfaces, places in the vVAR", () => {
    expect(parseType("u64", names)).toEqual(u64);
    expect(parseType("Mode", names)).toEqual({ kind: "enum", name: "Mode" });
    expect(parseType("Node?", names)).toEqual({ kind: "struct", name: "Node", nullable: true });
    expect(parseType("Observer", names)).toEqual({ kind: "interface", name: "Observer" });
    expect(parseType("VvarData", names)).toEqual({ kind: "vvar", name: "VvarData" });
    expect(parseType("string?", names)).toEqual({ kind: "string", nullable: true });
  });

  test("nest", () => {
    expect(parseType("Result<Option<Result<void,u8>>, Option<u64>>", names)).toEqual({
      kind: "result",
      value: { kind: "option", value: { kind: "result", value: nothing, error: u8 } },
      error: { kind: "option", value: u64 },
    });
  });

  test.each([
    "",
    "usize",
    "Unheard",
    "u32?",
    "Option<>",
    "Option<u8,u8>",
    "Result<u8>",
    "Option<u8",
    "constructor",
    "Atomic<u8>",
  ])("are refused when they are %j", async (text) => {
    const error = await expectCode("ERR_VDSO_MANIFEST_TYPE", () => parseType(text, names));
    expect(error.message).toMatch(/^expected .*, found the type ".*"$/);
  });
});

describe("type texts of the vVAR", () => {
  test("name atomics and pointers", () => {
    expect(parseVvarType("Atomic<u64>", names)).toEqual({ kind: "atomic", scalar: "u64" });
    expect(parseVvarType("Atomic<Mode>", names)).toEqual({ kind: "atomic", scalar: "i32", enum: "Mode" });
    expect(parseVvarType("VPtr<VvarData>", names)).toEqual({ kind: "pointer", target: "VvarData" });
    expect(parseVvarType("VvarData", names)).toEqual({ kind: "struct", name: "VvarData" });
    expect(parseVvarType("Mode", names)).toEqual({ kind: "enum", name: "Mode" });
  });

  test.each(["string", "Atomic<VvarData>", "Option<u8>", "Snapshot"])("are refused when they are %j", async (text) => {
    await expectCode("ERR_VDSO_MANIFEST_TYPE", () => parseVvarType(text, names));
  });
});

describe("layouts in private memory", () => {
  test("put the value of an Option behind its tag, aligned", () => {
    expect(optionLayout(u8)).toEqual({ value: 4, size: 8, align: 4 });
    expect(optionLayout(u64)).toEqual({ value: 8, size: 16, align: 8 });
    expect(optionLayout({ kind: "string", nullable: false })).toEqual({ value: 4, size: 8, align: 4 });
  });

  test("give value and error of a Result places of their own, and none to void", () => {
    expect(resultLayout(u8, u64)).toEqual({ value: 4, error: 8, size: 16, align: 8 });
    expect(resultLayout(u64, u8)).toEqual({ value: 8, error: 16, size: 24, align: 8 });
    expect(resultLayout(nothing, u8)).toEqual({ value: 4, error: 4, size: 8, align: 4 });
    expect(resultLayout(u8, nothing)).toEqual({ value: 4, error: 5, size: 8, align: 4 });
    expect(sizeOf(nothing)).toBe(0);
  });
});
