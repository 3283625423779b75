/**
 * The part of a generated API library that turns JavaScript values into what a WebAssembly call takes, and back. Scalars are checked
 * and converted inline; all else goes through functions that exist once per type:
 *
 * ```js
 * function $w0(v, fn, p) { ... }     // writes a value to the argument area, returns its address (or a host object's handle)
 * function $r0(at, where) { ... }    // reads a value from private memory
 * ```
 *
 * The argument area is a stack: `$enter` before a call's arguments are encoded, `$leave` when it is over, however it ends. What
 * host functions return cannot lie there (the image reads it after they have returned), so images with such functions use the area's
 * last quarter as a ring for them.
 */
import type { Manifest, Scalar } from "../image/manifest.ts";
import { type ApiType, optionLayout, parseType, resultLayout } from "../image/types.ts";

/** A condition that is true for values to refuse, and the name of what would have been right. */
export interface Check {
  readonly fails: string;
  readonly expected: string;
}

/** Generates the conversion functions that a library turns out to need. */
export class Codec {
  readonly manifest: Manifest;
  /** Does a host function return a host object, lent until the API call around it ends? */
  readonly hostLends: boolean;
  readonly #hostEncodes: boolean;
  readonly #functions = new Map<string, { name: string; body: string }>();
  readonly #enumSets = new Map<string, string>();
  #used = false;

  constructor(manifest: Manifest) {
    this.manifest = manifest;
    const results = manifest.interfaces.flatMap((host) => host.functions.map((fn) => this.type(fn.result)));
    this.hostLends = results.some((type) => this.#mentions(type, "interface"));
    this.#hostEncodes = results.some((type) => isEncoded(type) && type.kind !== "interface");
  }

  type(text: string): ApiType {
    return parseType(text, this.manifest);
  }

  /** Makes the library carry the codec even if no type asks for it. */
  use(): void {
    this.#used = true;
  }

  /** Name of the function that encodes a type. */
  writer(type: ApiType): string {
    return this.#function("$w", type, () => this.#writerBody(type));
  }

  /** Name of the function that decodes a type. */
  reader(type: ApiType): string {
    return this.#function("$r", type, () => this.#readerBody(type));
  }

  /** Name of a set with the values of an enum that has too many for a condition. */
  enumSet(name: string, values: readonly number[]): string {
    this.#enumSets.set(name, `const $enum_${name} = new Set([${values.join(", ")}]);\n`);
    return `$enum_${name}`;
  }

  enumSets(): string {
    return [...this.#enumSets.values()].join("");
  }

  /** What `$codec` returns, as a list of names. */
  members(): string {
    const helpers = ["$m", "$enter", "$leave", ...(this.#hostEncodes ? ["$hostResult"] : [])];
    return [...helpers, ...[...this.#functions.values()].map((fn) => fn.name)].join(", ");
  }

  /** The whole of `$codec`; empty when nothing uses it. */
  text(): string {
    if (!this.#used && this.#functions.size === 0) return "";
    const { args, argsBytes } = this.manifest.private;
    const end = args + argsBytes;
    const stackEnd = this.#hostEncodes ? args + (Math.floor((argsBytes * 3) / 4) & -8) : end;
    return `
const $codecs = new WeakMap();
function $codec($rt) {
  const known = $codecs.get($rt);
  if (known !== undefined) return known;
  const $m = new DataView($rt.memory.buffer);
  const frames = [];
  const lent = [];
  let sp = ${args};
  let end = ${stackEnd};
  function $enter() {
    frames.push(sp, lent.length);
  }
  function $leave() {
    for (const n = frames.pop(); lent.length > n; ) $rt.giveBack(lent.pop());
    sp = frames.pop();
  }
  function $alloc(bytes, v, fn, p) {
    if (bytes > end - sp) $rt.badArgument(fn, p, \`a value of at most \${end - sp} bytes, encoded,\`, v);
    const at = sp;
    sp = (at + bytes + 7) & -8;
    return at;
  }
  function $text(at) {
    const length = $m.getUint32(at - 4, true) >>> 1;
    let text = "";
    for (let from = 0; from < length; from += 4096) {
      const part = new Uint16Array($m.buffer, at + from * 2, Math.min(4096, length - from));
      text += String.fromCharCode.apply(null, part);
    }
    return text;
  }
${this.#hostEncodes ? hostResultText(stackEnd, end) : ""}${[...this.#functions.values()].map((fn) => fn.body).join("")}  const codec = { ${this.members()} };
  $codecs.set($rt, codec);
  return codec;
}
`;
  }

  #function(prefix: string, type: ApiType, body: () => string): string {
    const key = prefix + JSON.stringify(type);
    const known = this.#functions.get(key);
    if (known) return known.name;
    const entry = { name: `${prefix}${this.#functions.size}`, body: "" };
    // Entered before its body is made: a struct may contain itself.
    this.#functions.set(key, entry);
    const params = prefix === "$w" ? "v, fn, p" : "at, where";
    entry.body = `  function ${entry.name}(${params}) {\n${body()}  }\n`;
    return entry.name;
  }

  #writerBody(type: ApiType): string {
    const refuse = (condition: string, expected: string) =>
      `    if (${condition}) $rt.badArgument(fn, p, ${JSON.stringify(expected)}, v);\n`;
    switch (type.kind) {
      case "interface": {
        const host = this.manifest.interfaces.find((entry) => entry.name === type.name)!;
        const methods = host.functions.filter((fn) => !fn.static).map((fn) => fn.name);
        // Without a frame the loader itself made the call, and it ends all loans afterwards.
        return `    const handle = $rt.lend(v, "${type.name}", ${JSON.stringify(methods)});
    ${this.hostLends ? "if (frames.length > 0) " : ""}lent.push(handle);
    return handle;\n`;
      }
      case "string":
        return `${type.nullable ? "    if (v === null) return 0;\n" : ""}${refuse(`typeof v !== "string"`, type.nullable ? "string or null" : "string")}    const at = $alloc(8 + v.length * 2, v, fn, p) + 8;
    $m.setUint32(at - 8, 2, true);
    $m.setUint32(at - 4, v.length * 2, true);
    for (let index = 0; index < v.length; index++) $m.setUint16(at + index * 2, v.charCodeAt(index), true);
    return at;\n`;
      case "struct": {
        const struct = this.manifest.structs.find((entry) => entry.name === type.name)!;
        const fields = struct.fields.map((field) => {
          const path = `p + ".${field.name}"`;
          return this.#store(this.type(field.type), place(field.offset), `v.${field.name}`, path);
        });
        return `${type.nullable ? "    if (v === null) return 0;\n" : ""}${refuse(
          `typeof v !== "object" || v === null`,
          `${type.name}${type.nullable ? " or null" : ""}`,
        )}    const at = $alloc(${struct.size}, v, fn, p);\n${fields.join("")}    return at;\n`;
      }
      case "option": {
        const { value, size } = optionLayout(type.value);
        return `    if (v === undefined) return 0;
    const at = $alloc(${size}, v, fn, p);
    $m.setUint32(at, 1, true);
${this.#store(type.value, `at + ${value}`, "v", "p")}    return at;\n`;
      }
      case "result": {
        const layout = resultLayout(type.value, type.error);
        return `${refuse(
          `typeof v !== "object" || v === null || typeof v.ok !== "boolean"`,
          "{ ok: true, value } or { ok: false, error }",
        )}    const at = $alloc(${layout.size}, v, fn, p);
    $m.setUint32(at, v.ok ? 0 : 1, true);
    if (v.ok) {
${this.#store(type.value, `at + ${layout.value}`, "v.value", 'p + ".value"')}    } else {
${this.#store(type.error, `at + ${layout.error}`, "v.error", 'p + ".error"')}    }
    return at;\n`;
      }
      default:
        throw new TypeError(`${type.kind} is converted inline`);
    }
  }

  #store(type: ApiType, at: string, value: string, path: string): string {
    if (type.kind === "void") return "";
    const check = checkOf(type, "x", this);
    const refuse = check
      ? `      if (${check.fails}) $rt.badArgument(fn, ${path}, ${JSON.stringify(check.expected)}, x);\n`
      : "";
    const converted = toWasm(type, "x", "fn", path, this);
    const setter = isEncoded(type) ? "Uint32" : ACCESS[scalarOf(type)];
    return `    {
      const x = ${value};
${refuse}      $m.set${setter}(${at}, ${converted}${setter.endsWith("8") ? "" : ", true"});
    }\n`;
  }

  #readerBody(type: ApiType): string {
    const absent = (nullable: boolean) =>
      nullable ? "    if (at === 0) return null;\n" : "    if (at === 0) $rt.badNull(where);\n";
    switch (type.kind) {
      case "string":
        return `${absent(type.nullable)}    return $text(at);\n`;
      case "struct": {
        const struct = this.manifest.structs.find((entry) => entry.name === type.name)!;
        const fields = struct.fields.map(
          (field) =>
            `      ${field.name}: ${this.#load(this.type(field.type), place(field.offset), `"${type.name}.${field.name}"`)},\n`,
        );
        return `${absent(type.nullable)}    return {\n${fields.join("")}    };\n`;
      }
      case "option":
        return `    if (at === 0 || $m.getUint32(at, true) === 0) return undefined;
    return ${this.#load(type.value, `at + ${optionLayout(type.value).value}`, "where")};\n`;
      case "result": {
        const layout = resultLayout(type.value, type.error);
        return `${absent(false)}    if ($m.getUint32(at, true) === 0) return { ok: true, value: ${this.#load(type.value, `at + ${layout.value}`, "where")} };
    return { ok: false, error: ${this.#load(type.error, `at + ${layout.error}`, "where")} };\n`;
      }
      default:
        throw new TypeError(`${type.kind} is converted inline`);
    }
  }

  #load(type: ApiType, at: string, where: string): string {
    if (type.kind === "void") return "undefined";
    const getter = isEncoded(type) ? "Uint32" : ACCESS[scalarOf(type)];
    const raw = `$m.get${getter}(${at}${getter.endsWith("8") ? "" : ", true"})`;
    if (type.kind === "scalar" && type.scalar === "bool") return `${raw} !== 0`;
    // What a view returns has the right sign and width already.
    return isEncoded(type) ? fromWasm(type, raw, where, this) : raw;
  }

  #mentions(type: ApiType, kind: ApiType["kind"], seen = new Set<string>()): boolean {
    if (type.kind === kind) return true;
    if (type.kind === "option") return this.#mentions(type.value, kind, seen);
    if (type.kind === "result") return this.#mentions(type.value, kind, seen) || this.#mentions(type.error, kind, seen);
    if (type.kind !== "struct" || seen.has(type.name)) return false;
    seen.add(type.name);
    const struct = this.manifest.structs.find((entry) => entry.name === type.name)!;
    return struct.fields.some((field) => this.#mentions(this.type(field.type), kind, seen));
  }
}

/** Accessors of `DataView` by scalar. */
const ACCESS: Readonly<Record<Scalar, string>> = {
  bool: "Uint8",
  u8: "Uint8",
  i8: "Int8",
  u16: "Uint16",
  i16: "Int16",
  u32: "Uint32",
  i32: "Int32",
  u64: "BigUint64",
  i64: "BigInt64",
  f32: "Float32",
  f64: "Float64",
};

/** Does it need a function and, as an argument, an end to its life? */
export function isEncoded(type: ApiType): boolean {
  return type.kind !== "void" && type.kind !== "scalar" && type.kind !== "enum" && type.kind !== "vvar";
}

/** The check of a value that is passed as it is; none for what a writer checks. */
export function checkOf(type: ApiType, v: string, codec: Codec): Check | undefined {
  if (type.kind === "enum") return enumCheck(type.name, v, codec);
  if (type.kind === "vvar")
    return { fails: numberCheck(v, `${v} >>> 0`), expected: `offset of a ${type.name} in the vVAR` };
  if (type.kind !== "scalar") return undefined;
  const expected = type.scalar;
  switch (type.scalar) {
    case "bool":
      return { fails: `typeof ${v} !== "boolean"`, expected: "boolean" };
    case "f32":
    case "f64":
      return { fails: `typeof ${v} !== "number"`, expected: `number (${expected})` };
    case "u64":
    case "i64": {
      const wrap = expected === "u64" ? "asUintN" : "asIntN";
      return {
        fails: `typeof ${v} !== "bigint" || BigInt.${wrap}(64, ${v}) !== ${v}`,
        expected: `bigint (${expected})`,
      };
    }
    default:
      return { fails: numberCheck(v, WRAP[type.scalar](v)), expected: `integer number (${expected})` };
  }
}

/** Wraps an expression to an integer type. */
const WRAP: Readonly<Record<"u8" | "i8" | "u16" | "i16" | "u32" | "i32", (v: string) => string>> = {
  u8: (v) => `(${v} & 255)`,
  i8: (v) => `(${v} << 24 >> 24)`,
  u16: (v) => `(${v} & 65535)`,
  i16: (v) => `(${v} << 16 >> 16)`,
  u32: (v) => `${v} >>> 0`,
  i32: (v) => `(${v} | 0)`,
};

// The type is asked first: an operator on a string or an object would convert it.
const numberCheck = (v: string, wrapped: string): string => `typeof ${v} !== "number" || ${wrapped} !== ${v}`;

function enumCheck(name: string, v: string, codec: Codec): Check {
  const members = codec.manifest.enums.find((type) => type.name === name)!.values;
  const values = [...new Set(members.map(([, value]) => value))].sort((a, b) => a - b);
  const expected = `${name} (${members.map(([member, value]) => `${member} = ${value}`).join(", ")})`;
  const [low, high] = [values[0] ?? 0, values.at(-1) ?? -1];
  if (values.length > 1 && high - low === values.length - 1) {
    return { fails: `${numberCheck(v, `(${v} | 0)`)} || ${v} < ${low} || ${v} > ${high}`, expected };
  }
  if (values.length <= 8) return { fails: values.map((value) => `${v} !== ${value}`).join(" && ") || "true", expected };
  return { fails: `!${codec.enumSet(name, values)}.has(${v})`, expected };
}

/** Expression that passes a checked value; `fn` and `path` are expressions, too. */
export function toWasm(type: ApiType, v: string, fn: string, path: string, codec: Codec, owner = ""): string {
  if (isEncoded(type)) return `${owner}${codec.writer(type)}(${v}, ${fn}, ${path})`;
  return type.kind === "scalar" && type.scalar === "bool" ? `${v} ? 1 : 0` : v;
}

/** Expression for a value that came over the boundary; `where` is the expression of a text. */
export function fromWasm(type: ApiType, raw: string, where: string, codec: Codec, owner = ""): string {
  if (type.kind === "interface") return `$rt.object(${raw} >>> 0)`;
  if (isEncoded(type)) return `${owner}${codec.reader(type)}(${raw}, ${where})`;
  if (type.kind === "vvar") return `${raw} >>> 0`;
  if (type.kind !== "scalar") return raw;
  switch (type.scalar) {
    case "bool":
      return `${raw} !== 0`;
    case "u64":
      return `BigInt.asUintN(64, ${raw})`;
    case "u8":
    case "i8":
    case "u16":
    case "i16":
    case "u32":
      return WRAP[type.scalar](raw);
    default:
      return raw;
  }
}

/** Expression of the address of a field. */
const place = (offset: number): string => (offset === 0 ? "at" : `at + ${offset}`);

function scalarOf(type: ApiType): Scalar {
  if (type.kind === "scalar") return type.scalar;
  return type.kind === "vvar" ? "u32" : "i32";
}

function hostResultText(ringStart: number, ringEnd: number): string {
  return `  let ring = ${ringStart};
  function $hostResult(encode) {
    const before = sp;
    const beforeEnd = end;
    end = ${ringEnd};
    try {
      for (;;) {
        const from = ring;
        sp = ring;
        try {
          const value = encode();
          ring = sp;
          return value;
        } catch (error) {
          if (from === ${ringStart}) throw error;
          ring = ${ringStart};
        }
      }
    } finally {
      sp = before;
      end = beforeEnd;
    }
  }
`;
}
