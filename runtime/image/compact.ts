/**
 * A manifest as a short text: one flat JSON array of its values in a fixed order, without keys. A text that occurred before is
 * the number of its first occurrence. Less than a third of the plain JSON, and the image travels inside every API library.
 *
 * ```ts
 * unpackManifest(packManifest(manifest)); // equal to manifest
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { Manifest } from "./manifest.ts";

/** `literal`: number, boolean or text of a constant. A key that ends in `?` may be absent. */
type Shape =
  | "text"
  | "number"
  | "flag"
  | "literal"
  | { list: Shape }
  | { tuple: readonly Shape[] }
  | { fields: Fields };
type Fields = { readonly [key: string]: Shape };
type Token = string | number | boolean | [string];

const list = (fields: Fields): Shape => ({ list: { fields } });
const PARAMETERS = list({ name: "text", type: "text", "default?": "text" });
const SITE: Fields = { message: "text", file: "text", line: "number", column: "number" };

// The order is the format: a change needs a new MANIFEST_VERSION.
const MANIFEST: Shape = {
  fields: {
    name: "text",
    package: "text",
    mode: "text",
    log: "flag",
    features: { list: "text" },
    builder: "text",
    fingerprint: "text",
    layout: {
      fields: {
        root: "text",
        address: "number",
        end: "number",
        structs: list({
          name: "text",
          size: "number",
          align: "number",
          fields: list({
            name: "text",
            offset: "number",
            type: "text",
            size: "number",
            "length?": "number",
            "stride?": "number",
          }),
        }),
      },
    },
    constants: list({ name: "text", type: "text", value: "literal", config: "flag" }),
    enums: list({ name: "text", values: { list: { tuple: ["text", "number"] } } }),
    structs: list({ name: "text", size: "number", fields: list({ name: "text", offset: "number", type: "text" }) }),
    exports: list({ name: "text", params: PARAMETERS, result: "text" }),
    interfaces: list({
      name: "text",
      functions: list({ name: "text", static: "flag", params: PARAMETERS, result: "text" }),
    }),
    panics: list(SITE),
    logs: list({ ...SITE, level: "text" }),
    private: {
      fields: { pages: "number", logLevel: "number", args: "number", argsBytes: "number", ringCursor: "number" },
    },
  },
};

/** Stands for an absent field; neither text numbers nor lengths are negative. */
const ABSENT = -1;

export function packManifest(manifest: Manifest): string {
  const tokens: Token[] = [];
  const seen = new Map<string, number>();
  const pack = (shape: Shape, value: unknown): void => {
    if (shape === "text") {
      const text = String(value);
      const first = seen.get(text);
      if (first === undefined) seen.set(text, seen.size);
      tokens.push(first ?? text);
    } else if (shape === "flag") {
      tokens.push(value ? 1 : 0);
    } else if (shape === "number") {
      tokens.push(Number(value));
    } else if (shape === "literal") {
      // JSON knows neither NaN, infinities nor -0.
      const odd = typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0));
      tokens.push(odd ? [Object.is(value, -0) ? "-0" : String(value)] : (value as Token));
    } else if ("list" in shape) {
      const items = value as unknown[];
      tokens.push(items.length);
      for (const item of items) pack(shape.list, item);
    } else if ("tuple" in shape) {
      shape.tuple.forEach((part, index) => {
        pack(part, (value as unknown[])[index]);
      });
    } else {
      for (const [key, part] of Object.entries(shape.fields)) {
        const field = (value as Record<string, unknown>)[key.replace("?", "")];
        if (field === undefined && key.endsWith("?")) tokens.push(ABSENT);
        else pack(part, field);
      }
    }
  };
  pack(MANIFEST, manifest);
  return JSON.stringify(tokens);
}

/** @throws VdsoError `ERR_VDSO_IMAGE_CORRUPT` - not what {@link packManifest} wrote. */
export function unpackManifest(text: string): Manifest {
  const tokens = parse(text);
  const seen: string[] = [];
  let at = 0;
  const next = (type: "string" | "number" | "object"): unknown => {
    const token = tokens[at++];
    if (typeof token !== type) throw corrupt(`${type} as value ${at - 1}, found ${JSON.stringify(token)}`);
    return token;
  };
  const unpack = (shape: Shape): unknown => {
    if (shape === "text") {
      if (typeof tokens[at] === "number") {
        const index = tokens[at++] as number;
        const earlier = seen[index];
        if (earlier === undefined) throw corrupt(`an earlier text as value ${at - 1}, found number ${index}`);
        return earlier;
      }
      const text = next("string") as string;
      seen.push(text);
      return text;
    }
    if (shape === "flag") return next("number") === 1;
    if (shape === "number") return next("number");
    if (shape === "literal") {
      const token = tokens[at++];
      return Array.isArray(token) ? Number(token[0]) : token;
    }
    if ("list" in shape) {
      const length = next("number") as number;
      if (!(length <= tokens.length - at)) throw corrupt(`at most ${tokens.length - at} entries, found ${length}`);
      return Array.from({ length }, () => unpack(shape.list));
    }
    if ("tuple" in shape) return shape.tuple.map(unpack);
    const value: Record<string, unknown> = {};
    for (const [key, part] of Object.entries(shape.fields)) {
      if (key.endsWith("?") && tokens[at] === ABSENT) at++;
      else value[key.replace("?", "")] = unpack(part);
    }
    return value;
  };
  const manifest = unpack(MANIFEST) as Manifest;
  if (at !== tokens.length) throw corrupt(`${at} values, found ${tokens.length}`);
  return manifest;
}

/**
 * What every attachment needs of a packed manifest. Not unpacked for it: the first use of that code takes a fresh thread half a
 * millisecond, and every process attaches in a fresh thread.
 *
 * @throws VdsoError `ERR_VDSO_IMAGE_CORRUPT` - not what {@link packManifest} wrote.
 */
export function peekManifest(text: string): { fingerprint: string; logLevel: number } {
  const tokens = parse(text);
  // Before the fingerprint: name, package, mode, log, the features and their number, builder. After the log level: three numbers.
  const fingerprint = tokens[6 + Number(tokens[4])];
  const logLevel = tokens.at(-4);
  if (typeof fingerprint !== "string") throw corrupt(`a fingerprint, found ${JSON.stringify(fingerprint)}`);
  if (typeof logLevel !== "number") throw corrupt(`the log level's address, found ${JSON.stringify(logLevel)}`);
  return { fingerprint, logLevel };
}

function parse(text: string): unknown[] {
  try {
    const tokens: unknown = JSON.parse(text);
    if (Array.isArray(tokens)) return tokens;
  } catch {}
  throw corrupt("a JSON array");
}

function corrupt(expected: string): VdsoError {
  return new VdsoError("ERR_VDSO_IMAGE_CORRUPT", `the manifest is damaged: expected ${expected}`);
}
