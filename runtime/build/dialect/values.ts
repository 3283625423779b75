/** Values of constants and their types: what fits, what is read from text, how it is written back as source. */

/** Integers are `bigint`, floats `number`. */
export type Value = bigint | number | boolean | string;

/** A value and the type that the language gives it. */
export interface Typed {
  readonly type: string;
  readonly value: Value;
}

interface Integer {
  readonly bits: number;
  readonly signed: boolean;
}

const INTEGERS: Readonly<Record<string, Integer>> = {
  u8: { bits: 8, signed: false },
  i8: { bits: 8, signed: true },
  u16: { bits: 16, signed: false },
  i16: { bits: 16, signed: true },
  u32: { bits: 32, signed: false },
  i32: { bits: 32, signed: true },
  u64: { bits: 64, signed: false },
  i64: { bits: 64, signed: true },
  usize: { bits: 32, signed: false },
  isize: { bits: 32, signed: true },
};

export function integerOf(type: string): Integer | undefined {
  return Object.hasOwn(INTEGERS, type) ? INTEGERS[type] : undefined;
}

export function isFloat(type: string): boolean {
  return type === "f32" || type === "f64";
}

/** Can a constant be of this type? */
export function isConstantType(type: string): boolean {
  return integerOf(type) !== undefined || isFloat(type) || type === "bool" || type === "string";
}

/** Wraps an integer to its type. */
export function wrap(value: bigint, { bits, signed }: Integer): bigint {
  return signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
}

/** The value as a value of `type`, or undefined when it does not fit. */
export function fitting(value: Value, type: string): Value | undefined {
  const integer = integerOf(type);
  if (integer !== undefined) return typeof value === "bigint" && wrap(value, integer) === value ? value : undefined;
  if (isFloat(type)) return typeof value === "bigint" || typeof value === "number" ? Number(value) : undefined;
  if (type === "bool") return typeof value === "boolean" ? value : undefined;
  return type === "string" && typeof value === "string" ? value : undefined;
}

/** The value converted as the language converts it; undefined where it has no conversion. */
export function convert(value: Value, type: string): Value | undefined {
  if (type === "string" || typeof value === "string")
    return type === "string" && typeof value === "string" ? value : undefined;
  const integer = integerOf(type);
  if (integer !== undefined) {
    if (typeof value === "number" && !Number.isFinite(value)) return undefined;
    return wrap(typeof value === "bigint" ? value : BigInt(Math.trunc(Number(value))), integer);
  }
  if (type === "f32") return Math.fround(Number(value));
  if (type === "f64") return Number(value);
  return type === "bool" ? Boolean(value) : undefined;
}

/** Type of a constant that is declared without one. */
export function defaultType(value: Value): string {
  if (typeof value === "bigint") return ["i32", "u32"].find((type) => fitting(value, type) !== undefined) ?? "i64";
  if (typeof value === "number") return "f64";
  return typeof value === "boolean" ? "bool" : "string";
}

/** What a constant is taken for that has no value: 1, since a length or a divisor of 0 would be one more error. */
export function standIn(type: string): Value {
  if (integerOf(type) !== undefined) return 1n;
  return type === "bool" ? false : type === "string" ? "" : 1;
}

/** Reads a constant as somebody types it into an environment variable. */
export function parseValue(text: string, type: string): Value | undefined {
  if (type === "string") return text;
  const trimmed = text.trim();
  if (type === "bool") {
    if (trimmed === "true" || trimmed === "1") return true;
    return trimmed === "false" || trimmed === "0" ? false : undefined;
  }
  if (integerOf(type) !== undefined) {
    const match = /^(-?)(\d+(?:_\d+)*|0x[\da-f]+(?:_[\da-f]+)*|0b[01]+(?:_[01]+)*)$/i.exec(trimmed);
    if (match?.[2] === undefined) return undefined;
    const magnitude = BigInt(match[2].replaceAll("_", ""));
    return fitting(match[1] === "-" ? -magnitude : magnitude, type);
  }
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(trimmed) ? Number(trimmed) : undefined;
}

/** What to write for a value of this type. */
export function rangeText(type: string): string {
  const integer = integerOf(type);
  if (integer === undefined) return type === "bool" ? "write true or false" : "write a number, for example 0.5";
  const { bits, signed } = integer;
  const least = signed ? -(1n << BigInt(bits - 1)) : 0n;
  return `write an integer from ${least} to ${least + (1n << BigInt(bits)) - 1n}`;
}

/** The value as source text. */
export function literalText(value: Value, type: string): string {
  if (typeof value === "string") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "-Infinity" : "Infinity";
  const text = Object.is(value, -0) ? "-0" : String(value);
  return isFloat(type) && !/[.e]/.test(text) ? `${text}.0` : text;
}
