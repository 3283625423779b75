/**
 * A vVAR as text for people: a tree of its fields, short enough for an error message.
 *
 * ```ts
 * console.log(formatVvar(mapping.manifest, mapping.memory));
 * // count: 41
 * // mode: Counting (5)
 * // history: 64 x Sample, 63 of them { at: 0, value: 0, ok: false }
 * //   [0]: { at: 12.5, value: 1, ok: true }
 * ```
 */
import {
  copyBytes,
  fieldPlace,
  findPlace,
  type ReadScalar,
  readerOf,
  scalarOf,
  structsOf,
  type VvarPlace,
  type VvarSource,
} from "./decode.ts";
import type { VvarStruct as StructType } from "./manifest.ts";
import { parseVvarType, type TypeNames } from "./types.ts";

export interface FormatOptions {
  /** Only what stands there: `queues[0]`. */
  readonly path?: string;
  /** Default: 60. */
  readonly maxLines?: number;
  /** Elements of one array, or runs of equal ones, that are shown because they differ from most. Default: 8. */
  readonly maxElements?: number;
}

/** A struct or an array that needs more than this gets lines of its own. */
const INLINE_CHARACTERS = 100;
/** Arrays of at most so many elements may stand on one line in full. */
const INLINE_ELEMENTS = 16;

/**
 * @throws VdsoError `ERR_VDSO_FIELD` - `path` leads to no field.
 * @throws VdsoError `ERR_VDSO_SIZE` - there are fewer bytes than the layout has.
 */
export function formatVvar(manifest: TypeNames, source: VvarSource, options: FormatOptions = {}): string {
  const { path = "", maxLines = 60, maxElements = 8 } = options;
  const lines = new Printer(manifest, copyBytes(manifest.layout, source), maxElements).lines(path);
  const shown = lines.slice(0, maxLines);
  if (lines.length > maxLines) shown.push(`… ${lines.length - maxLines} more lines`);
  return shown.join("\n");
}

class Printer {
  readonly #types: TypeNames;
  readonly #structs: ReadonlyMap<string, StructType>;
  readonly #bytes: Uint8Array;
  readonly #read: ReadScalar;
  readonly #maxElements: number;

  constructor(types: TypeNames, bytes: Uint8Array, maxElements: number) {
    this.#types = types;
    this.#structs = structsOf(types.layout);
    this.#bytes = bytes;
    this.#read = readerOf(bytes);
    this.#maxElements = maxElements;
  }

  lines(path: string): string[] {
    const place = findPlace(this.#types.layout, path);
    if (path !== "") return this.#lines(path, place);
    return this.#fields(place).flatMap(([name, field]) => this.#lines(name, field));
  }

  #lines(label: string, place: VvarPlace): string[] {
    const inline = this.#inline(place);
    if (inline !== undefined) return [`${label}: ${inline}`];
    if (place.length === undefined) {
      return [
        `${label}:`,
        ...this.#fields(place)
          .flatMap(([name, field]) => this.#lines(name, field))
          .map(indented),
      ];
    }
    return this.#arrayLines(label, place);
  }

  /** What most elements are, and those that are not. */
  #arrayLines(label: string, place: VvarPlace): string[] {
    const { type, length = 0 } = place;
    const usual = this.#usual(place);
    // Runs of equal elements: [first, last].
    const unusual: [number, number][] = [];
    let unusualCount = 0;
    for (let index = 0; index < length; index++) {
      if (usual !== undefined && this.#equal(place, index, usual)) continue;
      unusualCount++;
      const run = unusual.at(-1);
      if (run !== undefined && run[1] === index - 1 && this.#equal(place, index, run[0])) run[1] = index;
      else unusual.push([index, index]);
    }
    const head = `${label}: ${length} x ${type}`;
    const lines: string[] = [];
    if (usual === undefined) lines.push(`${head}:`);
    else {
      const element = elementOf(place, usual);
      const text = this.#inline(element);
      lines.push(`${head}, ${unusualCount === 0 ? "all" : `${length - unusualCount} of them`} ${text ?? "as"}`);
      if (text === undefined) lines.push(...this.#lines(`[${usual}]`, element).map(indented));
    }
    for (const [first, last] of unusual.slice(0, this.#maxElements)) {
      const label = first === last ? `[${first}]` : `[${first}..${last}]`;
      lines.push(...this.#lines(label, elementOf(place, first)).map(indented));
    }
    if (unusual.length > this.#maxElements) lines.push(`  … ${unusual.length - this.#maxElements} more`);
    return lines;
  }

  /** Text on one line, or undefined when that would be too long. */
  #inline(place: VvarPlace): string | undefined {
    const { at, type, length } = place;
    if (length !== undefined) return this.#inlineArray(place, length);
    if (!this.#structs.has(type)) return this.#scalar(type, at);
    const parts: string[] = [];
    let characters = 4;
    for (const [name, field] of this.#fields(place)) {
      const text = this.#inline(field);
      if (text === undefined) return undefined;
      characters += name.length + text.length + 4;
      if (characters > INLINE_CHARACTERS) return undefined;
      parts.push(`${name}: ${text}`);
    }
    return `{ ${parts.join(", ")} }`;
  }

  #inlineArray(place: VvarPlace, length: number): string | undefined {
    if (length > INLINE_ELEMENTS) {
      const first = this.#inline(elementOf(place, 0));
      for (let index = 1; index < length; index++) if (!this.#equal(place, index, 0)) return undefined;
      return first && `${length} x ${first}`;
    }
    const parts = Array.from({ length }, (_, index) => this.#inline(elementOf(place, index)));
    const text = `[${parts.join(", ")}]`;
    return parts.includes(undefined) || text.length > INLINE_CHARACTERS ? undefined : text;
  }

  /**
   * Index of an element that more than half of the others equal; else of one that is all zero, if there is one.
   *
   * @see https://www.cs.utexas.edu/~moore/best-ideas/mjrty/ - the candidate is found in one pass, a second counts.
   */
  #usual(place: VvarPlace): number | undefined {
    const { length = 0, at, stride = 0 } = place;
    let candidate = 0;
    let lead = 0;
    let zero: number | undefined;
    for (let index = 0; index < length; index++) {
      if (lead === 0) candidate = index;
      lead += this.#equal(place, index, candidate) ? 1 : -1;
      const from = at + index * stride;
      if (zero === undefined && this.#bytes.subarray(from, from + stride).every((byte) => byte === 0)) zero = index;
    }
    let count = 0;
    for (let index = 0; index < length; index++) if (this.#equal(place, index, candidate)) count++;
    return count * 2 > length ? candidate : zero;
  }

  #equal({ at, stride = 0 }: VvarPlace, one: number, other: number): boolean {
    const a = at + one * stride;
    const b = at + other * stride;
    for (let byte = 0; byte < stride; byte++) if (this.#bytes[a + byte] !== this.#bytes[b + byte]) return false;
    return true;
  }

  #scalar(text: string, at: number): string {
    const value = this.#read(scalarOf(text, this.#types), at);
    const type = parseVvarType(text, this.#types);
    if (type.kind === "pointer") return value === 0 ? "null" : `-> ${value}`;
    const name = type.kind === "enum" ? type.name : type.kind === "atomic" ? type.enum : undefined;
    if (name === undefined) return String(value);
    const member = this.#types.enums.find((each) => each.name === name)?.values.find(([, number]) => number === value);
    return `${member?.[0] ?? `not in ${name}`} (${value})`;
  }

  #fields({ type, at }: VvarPlace): [string, VvarPlace][] {
    return (this.#structs.get(type)?.fields ?? []).map((field) => [field.name, fieldPlace(field, at)]);
  }
}

function elementOf({ at, type, stride = 0 }: VvarPlace, index: number): VvarPlace {
  return { at: at + index * stride, type };
}

const indented = (line: string): string => `  ${line}`;
