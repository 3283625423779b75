/**
 * Arguments and results of a call, between JavaScript values and what the image's functions take. It follows the manifest at run time; the
 * generated API libraries do the same as fixed code, but cannot stop in the middle of a call.
 */
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import type { Manifest, Scalar } from "../image/manifest.ts";
import { decodeScalar, getters, type Raw, setters } from "../image/scalars.ts";
import { type ApiType, optionLayout, parseType, resultLayout } from "../image/types.ts";
import { show } from "./values.ts";

/** What a codec needs to know about host objects. */
export interface HandleTable {
  /** Handle for an object that is passed in. */
  lend(object: object, interfaceName: string): number;
  object(handle: number): unknown;
}

interface Signature {
  readonly name: string;
  readonly params: readonly { readonly name: string; readonly type: ApiType; readonly default: string | undefined }[];
  readonly result: ApiType;
}

const INTEGER_RANGES: Partial<Record<Scalar, readonly [number, number]>> = {
  u8: [0, 0xff],
  i8: [-0x80, 0x7f],
  u16: [0, 0xffff],
  i16: [-0x8000, 0x7fff],
  u32: [0, 0xffffffff],
  i32: [-0x80000000, 0x7fffffff],
};

export class Codec {
  private readonly manifest: Manifest;
  private readonly view: DataView;
  private readonly memory: Uint8Array;
  private readonly handles: HandleTable;
  private readonly signatures = new Map<string, Signature>();
  /** First free byte of the argument area; belongs to the call that runs, as what it has there does. */
  top: number;

  constructor(manifest: Manifest, memory: WebAssembly.Memory, handles: HandleTable) {
    this.manifest = manifest;
    this.memory = new Uint8Array(memory.buffer);
    this.view = new DataView(memory.buffer);
    this.handles = handles;
    this.top = manifest.private.args;
    for (const fn of manifest.exports) this.define(fn.name, fn);
    for (const host of manifest.interfaces) {
      for (const fn of host.functions) this.define(`${host.name}${fn.static ? "." : "#"}${fn.name}`, fn);
    }
  }

  private define(name: string, fn: Manifest["exports"][number]): void {
    const type = (text: string): ApiType => parseType(text, this.manifest);
    this.signatures.set(name, {
      name,
      params: fn.params.map((param) => ({ name: param.name, type: type(param.type), default: param.default })),
      result: type(fn.result),
    });
  }

  /** Is there such an export? */
  has(name: string): boolean {
    return this.signatures.has(name);
  }

  /**
   * Encodes a call's arguments into the argument area.
   *
   * @throws VdsoError `ERR_VDSO_CHECK_ARGUMENT` - number or type of the arguments is wrong.
   */
  encodeArguments(name: string, args: readonly unknown[]): Raw[] {
    const { params } = this.signatures.get(name)!;
    const required = params.filter((param) => param.default === undefined).length;
    if (args.length > params.length || args.length < required) {
      const list = params.map((param) => param.name).join(", ");
      const wanted = required === params.length ? `${required}` : `${required} to ${params.length}`;
      throw refused(`${name}(${list}) takes ${wanted} argument${wanted === "1" ? "" : "s"}, found ${args.length}`);
    }
    this.top = this.manifest.private.args;
    return params.map((param, index) => {
      const value = args[index] === undefined && param.default !== undefined ? literal(param.default) : args[index];
      return this.encode(param.type, value, `${name}: ${param.name}`);
    });
  }

  decodeResult(name: string, raw: Raw | undefined): unknown {
    return this.decode(this.signatures.get(name)!.result, raw ?? 0);
  }

  /** Arguments of a call into the host; a method's handle comes first and is not among them. */
  decodeHostArguments(name: string, raw: readonly Raw[]): unknown[] {
    return this.signatures.get(name)!.params.map((param, index) => this.decode(param.type, raw[index]!));
  }

  encodeHostResult(name: string, value: unknown): Raw | undefined {
    const { result } = this.signatures.get(name)!;
    if (result.kind === "void") return undefined;
    try {
      return this.encode(result, value, `result of ${name}`);
    } catch (error) {
      if (error instanceof VdsoError) throw refused(error.message, "ERR_VDSO_CHECK_INTERFACE");
      throw error;
    }
  }

  /**
   * Wipes what a finished call left in the argument area and among the temporaries: it is dead, and states that differ only by it are
   * the same state.
   */
  wipe(): void {
    const { args, argsBytes, ringCursor } = this.manifest.private;
    this.memory.fill(0, args, this.top);
    this.top = args;
    // The temporaries begin behind the argument area; their cursor starts every call at 0, so all of them lie below it.
    if (ringCursor === 0) return;
    const used = this.view.getUint32(ringCursor, true);
    if (used === 0) return;
    const ring = args + argsBytes;
    this.memory.fill(0, ring, Math.min(ring + used, this.memory.length));
    this.view.setUint32(ringCursor, 0, true);
  }

  private allocate(bytes: number, where: string): number {
    const { args, argsBytes } = this.manifest.private;
    const at = (this.top + 7) & ~7;
    if (at + bytes > args + argsBytes) throw refused(`${where}: it does not fit into the argument area`);
    this.top = at + bytes;
    return at;
  }

  private encode(type: ApiType, value: unknown, where: string): Raw {
    const wrong = (expected: string): VdsoError => refused(`${where}: expected ${expected}, found ${show(value)}`);
    switch (type.kind) {
      case "void":
        return 0;
      case "scalar":
        return encodeScalar(type.scalar, value, wrong);
      case "enum": {
        const members = this.manifest.enums.find((entry) => entry.name === type.name)?.values ?? [];
        if (!members.some(([, member]) => member === value)) throw wrong(`a value of ${type.name}`);
        return value as number;
      }
      case "vvar":
        return encodeScalar("u32", value, wrong);
      case "interface":
        if (typeof value !== "object" || value === null) throw wrong(`an object of interface ${type.name}`);
        return this.handles.lend(value, type.name);
      case "string": {
        if (value === null && type.nullable) return 0;
        if (typeof value !== "string") throw wrong("a string");
        const at = this.allocate(8 + value.length * 2, where) + 8;
        this.view.setUint32(at - 8, 2, true);
        this.view.setUint32(at - 4, value.length * 2, true);
        for (let index = 0; index < value.length; index++) {
          this.view.setUint16(at + index * 2, value.charCodeAt(index), true);
        }
        return at;
      }
      case "struct": {
        if (value === null && type.nullable) return 0;
        if (typeof value !== "object" || value === null) throw wrong(`a ${type.name}`);
        const struct = this.manifest.structs.find((entry) => entry.name === type.name)!;
        const at = this.allocate(struct.size, where);
        for (const field of struct.fields) {
          const path = `${where}.${field.name}`;
          const part = (value as Record<string, unknown>)[field.name];
          this.store(parseType(field.type, this.manifest), at + field.offset, part, path);
        }
        return at;
      }
      case "option": {
        if (value === undefined) return 0;
        const layout = optionLayout(type.value);
        const at = this.allocate(layout.size, where);
        this.view.setUint32(at, 1, true);
        this.store(type.value, at + layout.value, value, where);
        return at;
      }
      case "result": {
        const result = value as { ok?: unknown; value?: unknown; error?: unknown } | null | undefined;
        if (typeof result?.ok !== "boolean") throw wrong("{ ok: true, value } or { ok: false, error }");
        const layout = resultLayout(type.value, type.error);
        const at = this.allocate(layout.size, where);
        this.view.setUint32(at, result.ok ? 0 : 1, true);
        if (result.ok) this.store(type.value, at + layout.value, result.value, where);
        else this.store(type.error, at + layout.error, result.error, where);
        return at;
      }
    }
  }

  private store(type: ApiType, at: number, value: unknown, where: string): void {
    const raw = this.encode(type, value, where);
    const scalar = memoryScalar(type);
    if (scalar !== undefined) setters[scalar](this.view, at, raw);
  }

  private decode(type: ApiType, raw: Raw): unknown {
    switch (type.kind) {
      case "void":
        return undefined;
      case "scalar":
        return decodeScalar(type.scalar, raw);
      case "enum":
        return Number(raw) | 0;
      case "vvar":
        return Number(raw) >>> 0;
      case "interface":
        return this.handles.object(Number(raw) >>> 0);
      case "string": {
        const at = Number(raw) >>> 0;
        if (at === 0) return null;
        const units = this.view.getUint32(at - 4, true) >>> 1;
        let text = "";
        for (let index = 0; index < units; index++) {
          text += String.fromCharCode(this.view.getUint16(at + index * 2, true));
        }
        return text;
      }
      case "struct": {
        const at = Number(raw) >>> 0;
        if (at === 0) return null;
        const struct = this.manifest.structs.find((entry) => entry.name === type.name)!;
        return Object.fromEntries(
          struct.fields.map((field) => [
            field.name,
            this.fetch(parseType(field.type, this.manifest), at + field.offset),
          ]),
        );
      }
      case "option": {
        const at = Number(raw) >>> 0;
        if (at === 0 || this.view.getUint32(at, true) === 0) return undefined;
        return this.fetch(type.value, at + optionLayout(type.value).value);
      }
      case "result": {
        const at = Number(raw) >>> 0;
        const layout = resultLayout(type.value, type.error);
        return this.view.getUint32(at, true) === 0
          ? { ok: true, value: this.fetch(type.value, at + layout.value) }
          : { ok: false, error: this.fetch(type.error, at + layout.error) };
      }
    }
  }

  private fetch(type: ApiType, at: number): unknown {
    const scalar = memoryScalar(type);
    return scalar === undefined ? undefined : this.decode(type, getters[scalar](this.view, at));
  }
}

/** The scalar that stands for a value in memory: pointers, handles and enums are words. */
function memoryScalar(type: ApiType): Scalar | undefined {
  if (type.kind === "void") return undefined;
  if (type.kind === "scalar") return type.scalar;
  return type.kind === "enum" ? "i32" : "u32";
}

function encodeScalar(scalar: Scalar, value: unknown, wrong: (expected: string) => VdsoError): Raw {
  if (scalar === "bool") {
    if (typeof value !== "boolean") throw wrong("a boolean");
    return value ? 1 : 0;
  }
  if (scalar === "u64" || scalar === "i64") {
    const wrapped =
      typeof value === "bigint" && (scalar === "u64" ? BigInt.asUintN(64, value) : BigInt.asIntN(64, value));
    if (wrapped !== value) throw wrong(`a bigint that fits ${scalar}`);
    return value as bigint;
  }
  const range = INTEGER_RANGES[scalar];
  if (typeof value !== "number" || (range && !(Number.isInteger(value) && value >= range[0] && value <= range[1]))) {
    throw wrong(range ? `an integer that fits ${scalar}` : "a number");
  }
  return value;
}

/** A default value as the manifest writes it: a JavaScript literal. */
function literal(text: string): unknown {
  if (/^-?\d+n$/.test(text)) return BigInt(text.slice(0, -1));
  if (text === "undefined") return undefined;
  return JSON.parse(text);
}

function refused(message: string, code: VdsoErrorCode = "ERR_VDSO_CHECK_ARGUMENT"): VdsoError {
  return new VdsoError(code, message);
}
