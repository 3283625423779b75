/** From a byte of an image to the author's line, by the source map that the build wrote. */
import { VdsoError } from "../errors.ts";

export interface SourcePosition {
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
  /** The line itself, where the map carries the sources. */
  readonly text: string | undefined;
  /** The map has no line of the author's for this instruction; this is the nearest one of its function, before it if there is one. */
  readonly near: boolean;
}

interface Segment {
  readonly offset: number;
  readonly source: number;
  readonly line: number;
  readonly column: number;
}

/** How many segments back a line of the author's is looked for. */
const MAX_BACK = 12;
const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export class SourceMap {
  private readonly segments: readonly Segment[];
  private readonly sources: readonly string[];
  private readonly lines: (readonly string[] | undefined)[];

  /** @throws VdsoError `ERR_VDSO_CHECK_SOURCE_MAP` - not a source map. */
  constructor(json: string) {
    let map: { sources?: string[]; sourcesContent?: (string | null)[]; mappings?: string };
    try {
      map = JSON.parse(json) as typeof map;
    } catch (error) {
      throw new VdsoError("ERR_VDSO_CHECK_SOURCE_MAP", "expected a source map as JSON text, found something else", {
        cause: error,
      });
    }
    if (typeof map?.mappings !== "string" || !Array.isArray(map.sources)) {
      throw new VdsoError("ERR_VDSO_CHECK_SOURCE_MAP", "expected a source map with `sources` and `mappings`");
    }
    this.sources = map.sources;
    this.lines = map.sources.map((_, index) => map.sourcesContent?.[index]?.split("\n"));
    this.segments = decode(map.mappings);
  }

  /**
   * The author's line of the instruction at a byte offset of the image. Accesses are inlined from the helper library, so the line that
   * matters is the one that called it: where the map names the library, or nothing, the last line of the author's before it.
   *
   * @param from - where the function begins that holds the instruction: the lines before it belong to another one.
   * @param to - where it ends.
   */
  find(offset: number, from: number, to: number): SourcePosition | undefined {
    let low = 0;
    let high = this.segments.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.segments[middle]!.offset <= offset) low = middle + 1;
      else high = middle;
    }
    for (let index = low - 1; index >= 0 && low - index <= MAX_BACK && this.segments[index]!.offset >= from; index--) {
      const found = this.author(index, index !== low - 1);
      if (found) return found;
    }
    for (let index = low; index < this.segments.length && this.segments[index]!.offset < to; index++) {
      const found = this.author(index, true);
      if (found) return found;
    }
    return undefined;
  }

  /** Where a segment is in the author's files, if it is. */
  private author(index: number, near: boolean): SourcePosition | undefined {
    const segment = this.segments[index]!;
    const file = this.sources[segment.source];
    if (file === undefined || file.startsWith("~lib/")) return undefined;
    const text = this.lines[segment.source]?.[segment.line]?.trim();
    return { file, line: segment.line + 1, column: segment.column + 1, text, near };
  }
}

/** A module is one line to a source map, its columns are byte offsets. */
function decode(mappings: string): readonly Segment[] {
  const segments: Segment[] = [];
  let offset = 0;
  let source = 0;
  let line = 0;
  let column = 0;
  for (const text of mappings.split(";")[0]!.split(",")) {
    if (text === "") continue;
    const numbers: number[] = [];
    let value = 0;
    let shift = 0;
    for (const digit of text) {
      const bits = DIGITS.indexOf(digit);
      value += (bits & 31) * 2 ** shift;
      shift += 5;
      if ((bits & 32) !== 0) continue;
      numbers.push(value % 2 === 1 ? -Math.floor(value / 2) : value / 2);
      value = 0;
      shift = 0;
    }
    offset += numbers[0] ?? 0;
    if (numbers.length >= 4) {
      source += numbers[1]!;
      line += numbers[2]!;
      column += numbers[3]!;
      segments.push({ offset, source, line, column });
    } else segments.push({ offset, source: -1, line: 0, column: 0 });
  }
  return segments.sort((a, b) => a.offset - b.offset);
}
