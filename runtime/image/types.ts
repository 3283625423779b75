/**
 * The type texts of a manifest, parsed, and where their values lie in private memory.
 *
 * ```ts
 * parseType("Option<Snapshot?>", manifest);
 * // { kind: "option", value: { kind: "struct", name: "Snapshot", nullable: true } }
 * optionLayout({ kind: "scalar", scalar: "u64" }); // { value: 8, size: 16, align: 8 }
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { HostFunction, Manifest, Scalar } from "./manifest.ts";
import { SCALAR_BYTES } from "./scalars.ts";

export type ApiType =
  | { readonly kind: "void" }
  | { readonly kind: "scalar"; readonly scalar: Scalar }
  | { readonly kind: "string"; readonly nullable: boolean }
  | { readonly kind: "enum"; readonly name: string }
  /** A handle to a host object. */
  | { readonly kind: "interface"; readonly name: string }
  | { readonly kind: "struct"; readonly name: string; readonly nullable: boolean }
  /** A byte offset into the vVAR. */
  | { readonly kind: "vvar"; readonly name: string }
  | { readonly kind: "option"; readonly value: ApiType }
  | { readonly kind: "result"; readonly value: ApiType; readonly error: ApiType };

export type VvarType =
  | { readonly kind: "scalar"; readonly scalar: Scalar }
  | { readonly kind: "enum"; readonly name: string }
  | { readonly kind: "struct"; readonly name: string }
  /** Of a scalar, or of an enum, which is an `i32`. */
  | { readonly kind: "atomic"; readonly scalar: Scalar; readonly enum?: string }
  | { readonly kind: "pointer"; readonly target: string };

/** The part of a manifest that gives names their meaning. */
export type TypeNames = Pick<Manifest, "layout" | "enums" | "structs" | "interfaces">;

export const isScalar = (text: string): text is Scalar => Object.hasOwn(SCALAR_BYTES, text);

/**
 * Type of a parameter, a result or a field of an API struct.
 *
 * @throws VdsoError `ERR_VDSO_MANIFEST_TYPE` - the text is malformed or names nothing in the manifest.
 */
export function parseType(text: string, names: TypeNames): ApiType {
  const generic = /^(Option|Result)<(.*)>$/.exec(text);
  if (generic) {
    const parts = splitArguments(generic[2]!);
    if (generic[1] === "Option" && parts.length === 1) return { kind: "option", value: parseType(parts[0]!, names) };
    if (generic[1] === "Result" && parts.length === 2) {
      return { kind: "result", value: parseType(parts[0]!, names), error: parseType(parts[1]!, names) };
    }
    throw badType(text, "Option<T> or Result<T,E>");
  }
  const nullable = text.endsWith("?");
  const name = nullable ? text.slice(0, -1) : text;
  if (name === "string") return { kind: "string", nullable };
  if (names.structs.some((struct) => struct.name === name)) return { kind: "struct", name, nullable };
  if (nullable) throw badType(text, "only string and API structs to be nullable");
  if (name === "void") return { kind: "void" };
  if (isScalar(name)) return { kind: "scalar", scalar: name };
  if (isEnum(name, names)) return { kind: "enum", name };
  if (names.interfaces.some((type) => type.name === name)) return { kind: "interface", name };
  if (names.layout.structs.some((struct) => struct.name === name)) return { kind: "vvar", name };
  throw badType(text, "a scalar, string, or a name that the manifest declares");
}

/**
 * Type of a field in the vVAR (of one element, when it is an array).
 *
 * @throws VdsoError `ERR_VDSO_MANIFEST_TYPE` - the text is malformed or names nothing in the manifest.
 */
export function parseVvarType(text: string, names: TypeNames): VvarType {
  const generic = /^(Atomic|VPtr)<([\w.$]+)>$/.exec(text);
  if (generic) {
    const inner = generic[2]!;
    if (generic[1] === "VPtr") return { kind: "pointer", target: inner };
    if (isScalar(inner)) return { kind: "atomic", scalar: inner };
    if (isEnum(inner, names)) return { kind: "atomic", scalar: "i32", enum: inner };
    throw badType(text, "Atomic<T> of a scalar or an enum");
  }
  if (isScalar(text)) return { kind: "scalar", scalar: text };
  if (isEnum(text, names)) return { kind: "enum", name: text };
  if (names.layout.structs.some((struct) => struct.name === text)) return { kind: "struct", name: text };
  throw badType(text, "a scalar, Atomic<T>, VPtr<T>, or a name that the layout declares");
}

const isEnum = (text: string, { enums }: TypeNames): boolean => enums.some((type) => type.name === text);

/** Bytes (and alignment) of a value in private memory; structs, strings, `Option` and `Result` are pointers there. */
export function sizeOf(type: ApiType): number {
  if (type.kind === "void") return 0;
  return type.kind === "scalar" ? SCALAR_BYTES[type.scalar] : 4;
}

/** `Option<T>`: a `u32` tag at 0 (0 is none), the value at `value`. */
export function optionLayout(value: ApiType): { value: number; size: number; align: number } {
  const align = Math.max(4, sizeOf(value));
  return { value: align, size: alignUp(align + sizeOf(value), align), align };
}

/** `Result<T,E>`: a `u32` tag at 0 (0 is ok), value and error at offsets of their own. */
export function resultLayout(
  value: ApiType,
  error: ApiType,
): { value: number; error: number; size: number; align: number } {
  const valueAt = Math.max(4, sizeOf(value));
  const errorAt = alignUp(valueAt + sizeOf(value), Math.max(1, sizeOf(error)));
  const align = Math.max(4, sizeOf(value), sizeOf(error));
  return { value: valueAt, error: errorAt, size: alignUp(errorAt + sizeOf(error), align), align };
}

/** Smallest multiple of `align` (a power of two) that is not below `n`; right beyond 2^32 too. */
export function alignUp(n: number, align: number): number {
  return Math.ceil(n / align) * align;
}

/** Field name of an interface function in the import module `host`. */
export function hostImportName(interfaceName: string, fn: HostFunction): string {
  return `${interfaceName}${fn.static ? "." : "#"}${fn.name}`;
}

/** Splits at top-level commas. */
function splitArguments(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === "<") depth++;
    else if (text[at] === ">") depth--;
    else if (text[at] === "," && depth === 0) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  parts.push(text.slice(from).trim());
  return parts;
}

function badType(text: string, expected: string): VdsoError {
  return new VdsoError("ERR_VDSO_MANIFEST_TYPE", `expected ${expected}, found the type "${text}"`);
}
