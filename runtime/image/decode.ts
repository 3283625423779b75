/**
 * A vVAR as JavaScript values, by the layout in its manifest.
 *
 * ```ts
 * const { count, history } = decodeVvar(mapping.manifest, mapping.memory);
 * decodeVvar(mapping.manifest, mapping.memory, { path: "history[3].at" }); // 12.5
 * ```
 */
import { VdsoError } from "../errors.ts";
import type { Layout, Scalar, VvarStruct as StructType, VvarField } from "./manifest.ts";
import { decodeScalar, getters } from "./scalars.ts";
import { parseVvarType, type TypeNames } from "./types.ts";

/** A value of the vVAR: structs are objects, arrays are arrays, 64-bit integers are bigints, `VPtr` and enums are numbers. */
export type VvarValue = number | bigint | boolean | VvarStruct | readonly VvarValue[];
export interface VvarStruct {
  readonly [field: string]: VvarValue;
}

/** Where vVARs come from: `mapping.memory`, `vvarOf(api)`, or a copy of its bytes. */
export type VvarSource = WebAssembly.Memory | ArrayBufferLike | Uint8Array;

/** Reads one value at a byte address. */
export type ReadScalar = (scalar: Scalar, at: number) => number | bigint | boolean;

/** A field, one element of an array of them, or the whole root struct. */
export interface VvarPlace {
  /** Byte address in the vVAR. */
  readonly at: number;
  /** As in {@link VvarField}. */
  readonly type: string;
  /** Of an array that is meant as a whole. */
  readonly length?: number;
  readonly stride?: number;
}

/**
 * The vVAR's values at this moment: a plain object, or what stands at `path` (`queues[0].slots[1].turn`). Other threads may write
 * meanwhile: each value is one that was there, all of them together may never have been.
 *
 * @throws VdsoError `ERR_VDSO_FIELD` - `path` leads to no field.
 * @throws VdsoError `ERR_VDSO_SIZE` - there are fewer bytes than the layout has.
 */
export function decodeVvar(
  manifest: TypeNames,
  source: VvarSource,
  options: { readonly path?: string } = {},
): VvarValue {
  const { layout } = manifest;
  const place = findPlace(layout, options.path ?? "");
  // A clone has read all the fields.
  return structuredClone(new VvarDecoder(manifest).decode(place, readerOf(copyBytes(layout, source))));
}

/** Reads values, each struct's fields when they are looked at: who needs few of many does not pay for all. */
export class VvarDecoder {
  readonly #types: TypeNames;
  readonly #structs: ReadonlyMap<string, StructType>;

  constructor(types: TypeNames) {
    this.#types = types;
    this.#structs = structsOf(types.layout);
  }

  decodeRoot(read: ReadScalar): VvarStruct {
    const { root, address } = this.#types.layout;
    return this.#struct(this.#structs.get(root)!, read, address);
  }

  decode({ at, type, length, stride = 0 }: VvarPlace, read: ReadScalar): VvarValue {
    if (length === undefined) return this.#value(type, read, at);
    return Array.from({ length }, (_, index) => this.#value(type, read, at + index * stride));
  }

  #value(type: string, read: ReadScalar, at: number): VvarValue {
    const struct = this.#structs.get(type);
    return struct ? this.#struct(struct, read, at) : read(scalarOf(type, this.#types), at);
  }

  #struct(struct: StructType, read: ReadScalar, base: number): VvarStruct {
    const object: Record<string, VvarValue> = {};
    for (const field of struct.fields) {
      Object.defineProperty(object, field.name, {
        enumerable: true,
        configurable: true,
        get: () => {
          const value = this.decode(fieldPlace(field, base), read);
          Object.defineProperty(object, field.name, { value, enumerable: true });
          return value;
        },
      });
    }
    return object;
  }
}

/** What a type that is no struct is in memory. */
export function scalarOf(text: string, types: TypeNames): Scalar {
  const type = parseVvarType(text, types);
  if (type.kind === "scalar" || type.kind === "atomic") return type.scalar;
  return type.kind === "enum" ? "i32" : "u32";
}

export function structsOf(layout: Layout): ReadonlyMap<string, StructType> {
  return new Map(layout.structs.map((struct) => [struct.name, struct]));
}

/** A field of the struct at `base`. */
export function fieldPlace(field: VvarField, base: number): VvarPlace {
  const { type, length, stride, size, offset } = field;
  const at = base + offset;
  return length === undefined ? { at, type } : { at, type, length, stride: stride ?? size / length };
}

/**
 * The place that a path leads to; the root struct for an empty one.
 *
 * @throws VdsoError `ERR_VDSO_FIELD` - it leads to none; the message names what there is.
 */
export function findPlace(layout: Layout, path: string): VvarPlace {
  const structs = structsOf(layout);
  let place: VvarPlace = { at: layout.address, type: layout.root };
  let done = "";
  const wrong = (expected: string): VdsoError =>
    new VdsoError("ERR_VDSO_FIELD", `path "${path}": expected ${done === "" ? "" : `behind ${done} `}${expected}`);
  for (const [step, index, name] of path.matchAll(/\[(\d+)\]|\.?([^.[\]]+)|./g)) {
    if (index !== undefined) {
      const { length, stride = 0, at, type } = place;
      if (length === undefined) throw wrong(`no index, found ${step}`);
      if (Number(index) >= length) throw wrong(`an index below ${length}, found ${step}`);
      place = { at: at + Number(index) * stride, type };
    } else {
      const fields = place.length === undefined ? structs.get(place.type)?.fields : undefined;
      const field = fields?.find((each) => each.name === name);
      if (!field) {
        const names = fields?.map((each) => each.name).join(", ");
        const instead = place.length === undefined ? "nothing more" : "an index";
        throw wrong(`${names === undefined ? instead : `one of ${names}`}, found ${step}`);
      }
      place = fieldPlace(field, place.at);
    }
    done += step;
  }
  return place;
}

/**
 * A copy of what the layout covers, so that what is read twice is the same.
 *
 * @throws VdsoError `ERR_VDSO_SIZE` - there are fewer bytes.
 */
export function copyBytes(layout: Layout, source: VvarSource): Uint8Array<ArrayBuffer> {
  const bytes = source instanceof Uint8Array ? source : new Uint8Array("buffer" in source ? source.buffer : source);
  if (bytes.length < layout.end) {
    throw new VdsoError("ERR_VDSO_SIZE", `expected the ${layout.end} bytes of a vVAR, found ${bytes.length}`);
  }
  return new Uint8Array(bytes.subarray(0, layout.end));
}

export function readerOf(bytes: Uint8Array): ReadScalar {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return (scalar, at) => decodeScalar(scalar, getters[scalar](view, at));
}
