/** The scalar types: their widths, and how their values lie in memory and cross the boundary of WebAssembly. */
import type { Scalar } from "./manifest.ts";

/** A value as it crosses the boundary of WebAssembly. */
export type Raw = number | bigint;

/** The vVAR's header; the layout begins behind it. */
export const HEADER_BYTES = 1024;

export const SCALAR_BYTES: Readonly<Record<Scalar, number>> = {
  bool: 1,
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u32: 4,
  i32: 4,
  u64: 8,
  i64: 8,
  f32: 4,
  f64: 8,
};

export function decodeScalar(scalar: Scalar, raw: Raw): number | bigint | boolean {
  switch (scalar) {
    case "bool":
      return raw !== 0;
    case "u64":
      return BigInt.asUintN(64, BigInt(raw));
    case "i64":
      return BigInt.asIntN(64, BigInt(raw));
    case "f32":
    case "f64":
      return Number(raw);
    case "u8":
      return Number(raw) & 0xff;
    case "u16":
      return Number(raw) & 0xffff;
    case "u32":
      return Number(raw) >>> 0;
    case "i8":
      return (Number(raw) << 24) >> 24;
    case "i16":
      return (Number(raw) << 16) >> 16;
    case "i32":
      return Number(raw) | 0;
  }
}

/** The value that 32 or 64 bits stand for. */
export function fromBits(scalar: Scalar, low: number, high: number): number | bigint | boolean {
  const view = new DataView(new ArrayBuffer(8));
  view.setInt32(0, low, true);
  view.setInt32(4, high, true);
  return decodeScalar(scalar, getters[scalar](view, 0));
}

/** How each scalar is read from memory. */
export const getters: Readonly<Record<Scalar, (view: DataView, at: number) => Raw>> = {
  bool: (view, at) => view.getUint8(at),
  u8: (view, at) => view.getUint8(at),
  i8: (view, at) => view.getInt8(at),
  u16: (view, at) => view.getUint16(at, true),
  i16: (view, at) => view.getInt16(at, true),
  u32: (view, at) => view.getUint32(at, true),
  i32: (view, at) => view.getInt32(at, true),
  u64: (view, at) => view.getBigUint64(at, true),
  i64: (view, at) => view.getBigInt64(at, true),
  f32: (view, at) => view.getFloat32(at, true),
  f64: (view, at) => view.getFloat64(at, true),
};

export const setters: Readonly<Record<Scalar, (view: DataView, at: number, value: Raw) => void>> = {
  bool: (view, at, value) => view.setUint8(at, Number(value)),
  u8: (view, at, value) => view.setUint8(at, Number(value)),
  i8: (view, at, value) => view.setInt8(at, Number(value)),
  u16: (view, at, value) => view.setUint16(at, Number(value), true),
  i16: (view, at, value) => view.setInt16(at, Number(value), true),
  u32: (view, at, value) => view.setUint32(at, Number(value), true),
  i32: (view, at, value) => view.setInt32(at, Number(value), true),
  u64: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  i64: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
  f32: (view, at, value) => view.setFloat32(at, Number(value), true),
  f64: (view, at, value) => view.setFloat64(at, Number(value), true),
};
