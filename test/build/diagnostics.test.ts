import { expect, test } from "vitest";
import { type Diagnostic, formatDiagnostics } from "../../runtime/build/index.ts";

const unknownType: Diagnostic = {
  severity: "error",
  code: "ERR_VDSO_EXAMPLE",
  message: "unknown type Foo",
  help: "write u32\nor declare Foo",
  file: "api.ts",
  line: 12,
  column: 9,
  length: 3,
  text: "  field: Foo;",
};

test("a diagnostic shows its place, the source line underlined, and what to write instead", () => {
  expect(formatDiagnostics([unknownType])).toBe(
    [
      "api.ts:12:9 error: unknown type Foo [ERR_VDSO_EXAMPLE]",
      " 12 |   field: Foo;",
      "    |         ^~~",
      "    help: write u32",
      "          or declare Foo",
    ].join("\n"),
  );
});

test("a diagnostic without a place is one line", () => {
  const { help: _, ...rest } = unknownType;
  const whole = { ...rest, file: "", line: 0, column: 0, length: 0, text: "" };
  expect(formatDiagnostics([whole])).toBe("error: unknown type Foo [ERR_VDSO_EXAMPLE]");
});

test("several diagnostics are apart by an empty line, none give no text", () => {
  expect(formatDiagnostics([unknownType, unknownType]).split("\n\n")).toHaveLength(2);
  expect(formatDiagnostics([])).toBe("");
});

test("the caret stands below its character after tabs, wide characters and combining marks", () => {
  const shown = (text: string, column: number) => {
    const lines = formatDiagnostics([{ ...unknownType, line: 1, text, column, length: 1 }]).split("\n");
    return lines[2]?.slice(" 1 | ".length - 1);
  };
  expect(shown("\t\tx", 3)).toBe(" \t\t^");
  expect(shown("/* 共享 */ x", 10)).toBe(`${" ".repeat(12)}^`);
  expect(shown("e\u0301 x", 4)).toBe("   ^");
});

test("a place beyond the line's end is marked at its end", () => {
  const lines = formatDiagnostics([{ ...unknownType, column: 99, length: 99 }]).split("\n");
  expect(lines[2]).toBe(`    | ${" ".repeat(unknownType.text.length)}^`);
});

test("colours come only when asked for", () => {
  const csi = "\u001b[";
  expect(formatDiagnostics([unknownType])).not.toContain(csi);
  expect(formatDiagnostics([unknownType], { color: false })).not.toContain(csi);
  expect(formatDiagnostics([unknownType], { color: true })).toContain(`${csi}31merror`);
  expect(formatDiagnostics([{ ...unknownType, severity: "warning" }], { color: true })).toContain(`${csi}33mwarning`);
});
