/** Names for the bytes of a vVAR: from an address to `queues[0].slots[1].turn`, and back from the names in an allow-list. */
import { VdsoError } from "../errors.ts";
import { readerOf, structsOf, VvarDecoder, type VvarStruct } from "../image/decode.ts";
import type { Manifest, Scalar, VvarStruct as StructType, VvarField } from "../image/manifest.ts";
import { fromBits, HEADER_BYTES, SCALAR_BYTES } from "../image/scalars.ts";
import { parseVvarType } from "../image/types.ts";

export class VvarLayout {
  private readonly manifest: Manifest;
  private readonly structs: ReadonlyMap<string, StructType>;
  private readonly root: StructType;
  private readonly decoder: VvarDecoder;

  constructor(manifest: Manifest) {
    this.manifest = manifest;
    this.structs = structsOf(manifest.layout);
    this.root = this.structs.get(manifest.layout.root)!;
    this.decoder = new VvarDecoder(manifest);
  }

  /** The innermost field at an address, its path, and how far inside it the address is. */
  private find(address: number): { struct: StructType; field: VvarField; path: string; rest: number } | undefined {
    const { layout } = this.manifest;
    if (address < layout.address || address >= layout.end) return undefined;
    let struct = this.root;
    let rest = address - layout.address;
    let path = "";
    for (;;) {
      const inside = rest;
      const field = struct.fields.find(({ offset, size }) => inside >= offset && inside < offset + size);
      if (!field) return undefined;
      path += path === "" ? field.name : `.${field.name}`;
      rest -= field.offset;
      if (field.length !== undefined) {
        const stride = field.stride ?? field.size / field.length;
        path += `[${Math.floor(rest / stride)}]`;
        rest %= stride;
      }
      const inner = this.structs.get(field.type);
      if (!inner) return { struct, field, path, rest };
      struct = inner;
    }
  }

  /** Path of the field at an address: `history[3].at`; with `+n` for a byte inside it that is not its first. */
  pathOf(address: number): string {
    if (address < HEADER_BYTES) return `header+${address}`;
    const found = this.find(address);
    if (!found) return `vVAR+${address}`;
    return found.rest === 0 ? found.path : `${found.path}+${found.rest}`;
  }

  /** Name of the type and field at an address, `Slot.turn`: what an allow-list takes. */
  fieldOf(address: number): string {
    const found = this.find(address);
    return found ? `${found.struct.name}.${found.field.name}` : "no field";
  }

  /** Text of a value that was found at an address, by the type of the field there. */
  show(address: number, bytes: number, low: number, high: number): string {
    const scalar = this.scalarAt(address);
    const fits = scalar !== undefined && SCALAR_BYTES[scalar] === bytes;
    const unsigned = bytes === 8 ? "u64" : bytes === 4 ? "u32" : bytes === 2 ? "u16" : "u8";
    return String(fromBits(fits ? scalar : unsigned, low, high));
  }

  private scalarAt(address: number): Scalar | undefined {
    const found = this.find(address);
    if (found?.rest !== 0) return undefined;
    return this.scalarOf(found.field.type);
  }

  private scalarOf(text: string): Scalar {
    const type = parseVvarType(text, this.manifest);
    if (type.kind === "scalar" || type.kind === "atomic") return type.scalar;
    return type.kind === "enum" ? "i32" : "u32";
  }

  /**
   * Marks the bytes of the named fields.
   *
   * @throws VdsoError `ERR_VDSO_CHECK_FIELD` - a name that is in no struct of the layout.
   */
  bytesOf(names: readonly string[]): Uint8Array {
    const { layout } = this.manifest;
    const marked = new Uint8Array(layout.end);
    for (const name of names) {
      let found = false;
      const [type, fieldName, ...more] = name.split(".");
      const byType = this.structs.get(type!);
      const wanted = byType && more.length === 0 ? undefined : pathPattern(name);
      this.visit(this.root, layout.address, "", (path, struct, field, at, bytes) => {
        const hit = wanted ? wanted.test(path) : struct === byType && field.name === fieldName;
        if (!hit) return;
        found = true;
        marked.fill(1, at, at + bytes);
      });
      if (!found) {
        const fields = layout.structs.flatMap((struct) => struct.fields.map((field) => `${struct.name}.${field.name}`));
        throw new VdsoError(
          "ERR_VDSO_CHECK_FIELD",
          `races.allow names "${name}", which is no field of the layout; there are ${fields.join(", ")}`,
        );
      }
    }
    return marked;
  }

  /** Every field, arrays also element by element. */
  private visit(
    struct: StructType,
    base: number,
    prefix: string,
    see: (path: string, struct: StructType, field: VvarField, at: number, bytes: number) => void,
  ): void {
    for (const field of struct.fields) {
      const at = base + field.offset;
      const path = prefix === "" ? field.name : `${prefix}.${field.name}`;
      see(path, struct, field, at, field.size);
      const inner = this.structs.get(field.type);
      const stride = field.stride ?? field.size;
      for (let index = 0; index < (field.length ?? 1); index++) {
        const element = field.length === undefined ? path : `${path}[${index}]`;
        if (field.length !== undefined) see(element, struct, field, at + index * stride, stride);
        if (inner) this.visit(inner, at + index * stride, element, see);
      }
    }
  }

  /** The vVAR as JavaScript values, each field decoded when it is looked at. */
  decode(bytes: Uint8Array): VvarStruct {
    return this.decoder.decodeRoot(readerOf(bytes));
  }
}

/** `history[*].at` as a pattern on whole paths; a name without an index means every element. */
function pathPattern(name: string): RegExp {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
  const elements = escaped.replace(/\\\[\\\*\\\]/g, "\\[\\d+\\]").replace(/\\\./g, "(?:\\[\\d+\\])?\\.");
  return new RegExp(`^${elements}$`);
}
