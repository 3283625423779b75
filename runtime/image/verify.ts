/**
 * Checks that a module has the form of an image: nothing but the imports it may have, nothing exported that its manifest
 * does not declare, and nothing that runs or writes to the vVAR by the mere act of being instantiated.
 *
 * ```ts
 * const manifest = await readImage(bytes);
 * verifyStructure(bytes, manifest);
 * ```
 */
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import { type ApiFunction, type HostFunction, type Manifest, START_EXPORT } from "./manifest.ts";
import { Reader, sections } from "./sections.ts";
import { type ApiType, hostImportName, parseType, type TypeNames } from "./types.ts";

/** Every function that the runtime offers to an image, with its WebAssembly signature. Module: `vdso`. */
export const RUNTIME_FUNCTIONS: Readonly<Record<string, string>> = {
  panic: "i32->",
  log: "i32->",
  argI: "i64->",
  argU: "i64->",
  argF: "f64->",
  argB: "i32->",
  abort: "i32,i32,i32,i32->",
  retain: "i32->",
  release: "i32->",
};

/** Name of the shared memory in the import module `vdso`. */
export const VVAR_IMPORT = "vvar";
/** Name under which an image exports its private memory. */
export const MEMORY_EXPORT = "memory";

const SECTION = { type: 1, import: 2, function: 3, memory: 5, export: 7, start: 8, data: 11 } as const;
const KIND = ["function", "table", "memory", "global", "tag"];
const FUNCTION = 0;
const MEMORY = 2;
const VALUE_TYPES: Readonly<Record<number, string>> = {
  127: "i32",
  126: "i64",
  125: "f32",
  124: "f64",
  123: "v128",
  112: "funcref",
  111: "externref",
};

interface Limits {
  shared: boolean;
  initial: number;
  maximum: number | undefined;
}

interface Shape {
  types: string[];
  /** Type of each function, imported ones first. */
  functions: number[];
  imports: { module: string; name: string; kind: number; type: number }[];
  memories: Limits[];
  exports: { name: string; kind: number; index: number }[];
  /** Memory that each active data segment is copied to. */
  dataTargets: number[];
  start: boolean;
}

/**
 * @throws VdsoError `ERR_VDSO_IMAGE_IMPORT` - an import that an image may not have, or with another signature.
 * @throws VdsoError `ERR_VDSO_IMAGE_EXPORT` - an export that the manifest does not declare, a declared one that is missing, or one
 * with another signature.
 * @throws VdsoError `ERR_VDSO_IMAGE_MEMORY` - other memories than the imported vVAR and one fixed private memory.
 * @throws VdsoError `ERR_VDSO_IMAGE_DATA` - a data segment that would be written to the vVAR at every attach.
 * @throws VdsoError `ERR_VDSO_IMAGE_START` - a start function, which would run before anything is checked.
 * @throws VdsoError `ERR_VDSO_IMAGE_MAGIC`, `ERR_VDSO_IMAGE_TRUNCATED`, `ERR_VDSO_IMAGE_CORRUPT` - not a WebAssembly module.
 */
export function verifyStructure(image: Uint8Array, manifest: Manifest): void {
  const shape = readShape(image);
  verifyImports(shape, manifest);
  verifyMemories(shape, manifest);
  verifyExports(shape, manifest);
  if (shape.dataTargets.includes(0)) {
    throw refusal(
      "ERR_VDSO_IMAGE_DATA",
      "no data segment on the vVAR",
      `${shape.dataTargets.filter((memory) => memory === 0).length}`,
    );
  }
  if (shape.start) throw refusal("ERR_VDSO_IMAGE_START", "no start function", "one");
}

/** WebAssembly signature of a function in a manifest: `i32,i64->f64`. */
export function wasmSignature(fn: ApiFunction | HostFunction, names: TypeNames, self = false): string {
  const params = fn.params.map((parameter) => wasmType(parseType(parameter.type, names)));
  return `${(self ? ["i32", ...params] : params).join()}->${wasmType(parseType(fn.result, names))}`;
}

function wasmType(type: ApiType): string {
  if (type.kind === "void") return "";
  if (type.kind !== "scalar") return "i32";
  if (type.scalar === "f32" || type.scalar === "f64") return type.scalar;
  return type.scalar === "u64" || type.scalar === "i64" ? "i64" : "i32";
}

function verifyImports(shape: Shape, manifest: Manifest): void {
  const allowed = new Map(Object.entries(RUNTIME_FUNCTIONS).map(([name, signature]) => [`vdso.${name}`, signature]));
  for (const host of manifest.interfaces) {
    for (const fn of host.functions) {
      allowed.set(`host.${hostImportName(host.name, fn)}`, wasmSignature(fn, manifest, !fn.static));
    }
  }
  for (const { module, name, kind, type } of shape.imports) {
    const found = `${module}.${name}`;
    if (kind === MEMORY && found === `vdso.${VVAR_IMPORT}`) continue;
    const expected = allowed.get(found);
    if (kind !== FUNCTION || expected === undefined) {
      throw refusal(
        "ERR_VDSO_IMAGE_IMPORT",
        `imports of the runtime and the image's interfaces only`,
        `${KIND[kind] ?? "?"} ${found}`,
      );
    }
    if (shape.types[type] !== expected) {
      throw refusal("ERR_VDSO_IMAGE_IMPORT", `${found} with signature ${expected}`, String(shape.types[type]));
    }
  }
}

function verifyMemories(shape: Shape, manifest: Manifest): void {
  const imported = shape.imports.filter((entry) => entry.kind === MEMORY).length;
  const [vvar, own] = shape.memories;
  if (imported !== 1 || shape.memories.length !== 2 || vvar === undefined || own === undefined) {
    throw refusal(
      "ERR_VDSO_IMAGE_MEMORY",
      "the imported vVAR and one private memory",
      `${imported} imported and ${shape.memories.length - imported} of its own`,
    );
  }
  if (!vvar.shared) throw refusal("ERR_VDSO_IMAGE_MEMORY", "the vVAR to be shared", "a memory that is not");
  const { pages } = manifest.private;
  if (own.shared || own.initial !== pages || own.maximum !== pages) {
    throw refusal(
      "ERR_VDSO_IMAGE_MEMORY",
      `a private memory of exactly ${pages} pages that cannot grow`,
      `${own.initial} to ${own.maximum ?? "any"} pages${own.shared ? ", shared" : ""}`,
    );
  }
}

function verifyExports(shape: Shape, manifest: Manifest): void {
  const declared = new Map(manifest.exports.map((fn) => [fn.name, fn]));
  let memory = false;
  for (const { name, kind, index } of shape.exports) {
    if (name === MEMORY_EXPORT && kind === MEMORY && index === 1) {
      memory = true;
      continue;
    }
    if (name === START_EXPORT && kind === FUNCTION && shape.types[shape.functions[index] ?? -1] === "->") continue;
    const fn = declared.get(name);
    if (fn === undefined || kind !== FUNCTION) {
      throw refusal("ERR_VDSO_IMAGE_EXPORT", "only what the manifest declares", `${KIND[kind] ?? "?"} "${name}"`);
    }
    const expected = wasmSignature(fn, manifest);
    const found = shape.types[shape.functions[index] ?? -1];
    if (found !== expected)
      throw refusal("ERR_VDSO_IMAGE_EXPORT", `"${name}" with signature ${expected}`, String(found));
    declared.delete(name);
  }
  if (!memory) throw refusal("ERR_VDSO_IMAGE_EXPORT", `the private memory as "${MEMORY_EXPORT}"`, "none");
  for (const name of declared.keys())
    throw refusal("ERR_VDSO_IMAGE_EXPORT", `"${name}", which the manifest declares`, "none");
}

function readShape(image: Uint8Array): Shape {
  const shape: Shape = {
    types: [],
    functions: [],
    imports: [],
    memories: [],
    exports: [],
    dataTargets: [],
    start: false,
  };
  for (const section of sections(image)) {
    const reader = new Reader(image, section.start, section.end);
    const each = (visit: () => void): void => {
      for (let left = reader.u32(); left > 0; left--) visit();
    };
    if (section.id === SECTION.type) each(() => shape.types.push(readSignature(reader)));
    else if (section.id === SECTION.import) each(() => readImport(reader, shape));
    else if (section.id === SECTION.function) each(() => shape.functions.push(reader.u32()));
    else if (section.id === SECTION.memory) each(() => shape.memories.push(readLimits(reader)));
    else if (section.id === SECTION.export) {
      each(() => shape.exports.push({ name: reader.name(), kind: reader.u8(), index: reader.u32() }));
    } else if (section.id === SECTION.start) shape.start = true;
    else if (section.id === SECTION.data) each(() => readDataSegment(reader, shape));
  }
  return shape;
}

function readSignature(reader: Reader): string {
  const form = reader.u8();
  if (form !== 0x60) throw unknown("a function type (0x60)", form);
  const types = () => Array.from({ length: reader.u32() }, () => readValueType(reader)).join();
  return `${types()}->${types()}`;
}

function readValueType(reader: Reader): string {
  const code = reader.u8();
  return VALUE_TYPES[code] ?? `0x${code.toString(16)}`;
}

function readImport(reader: Reader, shape: Shape): void {
  const entry = { module: reader.name(), name: reader.name(), kind: reader.u8(), type: -1 };
  if (entry.kind === FUNCTION) {
    entry.type = reader.u32();
    shape.functions.push(entry.type);
  } else if (entry.kind === MEMORY) {
    shape.memories.push(readLimits(reader));
  } else {
    // Its length depends on the kind, and no other kind is allowed: there is no need to read on.
    throw refusal(
      "ERR_VDSO_IMAGE_IMPORT",
      "functions and the vVAR",
      `${KIND[entry.kind] ?? "?"} ${entry.module}.${entry.name}`,
    );
  }
  shape.imports.push(entry);
}

function readLimits(reader: Reader): Limits {
  const flags = reader.u8();
  if (flags > 3) throw unknown("memory limits of 32 bits and 64 KiB pages (flags 0 to 3)", flags);
  const initial = reader.u32();
  return { shared: flags >= 2, initial, maximum: (flags & 1) === 1 ? reader.u32() : undefined };
}

function readDataSegment(reader: Reader, shape: Shape): void {
  const flags = reader.u32();
  if (flags > 2) throw unknown("a data segment (flags 0 to 2)", flags);
  if (flags !== 1) {
    shape.dataTargets.push(flags === 2 ? reader.u32() : 0);
    const code = reader.u8();
    if (code !== 0x41) throw unknown("a data segment at a constant address (i32.const)", code);
    reader.skipLeb();
    const end = reader.u8();
    if (end !== 0x0b) throw unknown("the end of the address (0x0b)", end);
  }
  reader.take(reader.u32());
}

function refusal(code: VdsoErrorCode, expected: string, found: string): VdsoError {
  return new VdsoError(code, `not the form of an image: expected ${expected}, found ${found}`);
}

function unknown(expected: string, found: number): VdsoError {
  return new VdsoError("ERR_VDSO_IMAGE_CORRUPT", `expected ${expected}, found 0x${found.toString(16)}`);
}
