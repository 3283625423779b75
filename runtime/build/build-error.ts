/**
 * How a build fails, and how its errors and warnings are shown.
 *
 * ```ts
 * import { BuildError, buildVdso, formatDiagnostics } from "wasm-vdso/build";
 * try {
 *   await buildVdso({ srcDir: "vdso-src/counter", outDir: "generated/counter" });
 * } catch (error) {
 *   if (!(error instanceof BuildError)) throw error;
 *   console.error(formatDiagnostics(error.diagnostics, { color: true }));
 * }
 * ```
 */

import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import type { Diagnostic } from "./diagnostics.ts";

/** A build that failed. Nothing was written: outputs of an earlier build are as they were. */
export class BuildError extends VdsoError {
  override readonly name: string = "BuildError";
  /** All errors and warnings of the build, in the order of the sources; empty when the build did not get as far as the sources. */
  readonly diagnostics: readonly Diagnostic[];
  /** Absolute paths that the build read or looked for: those whose change may mend it. */
  readonly sources: readonly string[];

  constructor(
    code: VdsoErrorCode,
    message: string,
    details: {
      readonly diagnostics?: readonly Diagnostic[];
      readonly sources?: readonly string[];
      readonly cause?: unknown;
    } = {},
  ) {
    super(code, message, details.cause === undefined ? undefined : { cause: details.cause });
    this.diagnostics = details.diagnostics ?? [];
    this.sources = details.sources ?? [];
  }
}

const STYLES = { bold: 1, dim: 2, red: 31, yellow: 33, blue: 34, cyan: 36 } as const;

type Paint = (style: keyof typeof STYLES, text: string) => string;

const ansi: Paint = (style, text) => `\u001b[${STYLES[style]}m${text}\u001b[0m`;
const plain: Paint = (_style, text) => text;

/**
 * Shows each diagnostic as `file:line:column`, message, the source line with the place underlined, and what to write instead.
 *
 * @param options.color - ANSI colours; off by default.
 * @returns Text without a final line break; empty without diagnostics.
 */
export function formatDiagnostics(
  diagnostics: readonly Diagnostic[],
  options: { readonly color?: boolean } = {},
): string {
  const paint = options.color === true ? ansi : plain;
  return diagnostics.map((diagnostic) => formatOne(diagnostic, paint)).join("\n\n");
}

function formatOne(diagnostic: Diagnostic, paint: Paint): string {
  const { severity, code, message, help, file, line, column, text } = diagnostic;
  const tone = severity === "error" ? "red" : "yellow";
  const place = file === "" ? "" : `${paint("cyan", line > 0 ? `${file}:${line}:${column}` : file)} `;
  const lines = [`${place}${paint(tone, severity)}: ${paint("bold", message)} ${paint("dim", `[${code}]`)}`];
  const gutter = " ".repeat(line > 0 ? String(line).length : 0);
  if (line > 0 && text !== "") {
    const { indent, mark } = underline(diagnostic);
    lines.push(`${paint("dim", ` ${line} |`)} ${text.trimEnd()}`);
    lines.push(`${paint("dim", ` ${gutter} |`)} ${indent}${paint(tone, mark)}`);
  }
  if (help !== undefined)
    lines.push(` ${gutter} ${paint("blue", "help:")} ${help.replaceAll("\n", `\n ${gutter}       `)}`);
  return lines.join("\n");
}

// Characters that terminals show two columns wide: without them a caret behind CJK text would point too far left.
const WIDE =
  /[\p{Script=Han}\p{Script=Hangul}\p{Script=Hiragana}\p{Script=Katakana}\p{Emoji_Presentation}\u3000-\u303F\uFF01-\uFF60]/u;

function columns(text: string): number {
  let width = 0;
  for (const character of text) width += WIDE.test(character) ? 2 : /\p{Mark}/u.test(character) ? 0 : 1;
  return width;
}

function underline({ text, column, length }: Diagnostic): { indent: string; mark: string } {
  const start = Math.min(Math.max(column - 1, 0), text.length);
  const marked = text.slice(start, start + Math.max(length, 1)).trimEnd();
  // Tabs stay tabs, so that the caret stands below its character whatever the terminal's tab stops are.
  const indent = text.slice(0, start).replace(/[^\t]+/g, (run) => " ".repeat(columns(run)));
  return { indent, mark: `^${"~".repeat(Math.max(columns(marked) - 1, 0))}` };
}

/** `2 errors, 1 warning` */
export function countDiagnostics(diagnostics: readonly Diagnostic[]): string {
  const count = (severity: Diagnostic["severity"]) => {
    const number = diagnostics.filter((diagnostic) => diagnostic.severity === severity).length;
    return number === 0 ? [] : [`${number} ${severity}${number === 1 ? "" : "s"}`];
  };
  return [...count("error"), ...count("warning")].join(", ");
}
