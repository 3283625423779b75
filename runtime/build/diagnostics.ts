/** What a build has to say about the author's sources. */

export interface Diagnostic {
  severity: "error" | "warning";
  /** `ERR_VDSO_...` for the dialect's own rules, `TS...` or `AS...` for the language's. */
  code: string;
  message: string;
  /** What to write instead. */
  help?: string;
  /** Path below the vDSO's folder; empty when the build as a whole is meant. */
  file: string;
  /** 1-based; 0 when the build as a whole is meant. */
  line: number;
  /** 1-based. */
  column: number;
  /** Characters marked on that line. */
  length: number;
  /** The source line. */
  text: string;
}

/** A place in a source file; the compiler's ranges have this shape. */
export interface Place {
  start: number;
  end: number;
  source: { normalizedPath: string; text: string };
}

/** Makes a diagnostic that shows its place. */
export function diagnosticAt(
  place: Place,
  severity: Diagnostic["severity"],
  code: string,
  message: string,
  help?: string,
): Diagnostic {
  const { text, normalizedPath } = place.source;
  const lineStart = text.lastIndexOf("\n", place.start - 1) + 1;
  let lineEnd = text.indexOf("\n", place.start);
  if (lineEnd < 0) lineEnd = text.length;
  return {
    severity,
    code,
    message,
    ...(help === undefined ? {} : { help }),
    file: normalizedPath,
    line: text.slice(0, lineStart).split("\n").length,
    column: place.start - lineStart + 1,
    length: Math.max(1, Math.min(place.end, lineEnd) - place.start),
    text: text.slice(lineStart, lineEnd).replace(/\r$/, ""),
  };
}
