/**
 * The vVAR as a whole: typed loads and stores at byte offsets, copies, the fence. Fields of `@vvar` classes are built on these; authors
 * need them for bytes whose layout only they know, as in `vvar.copyIn(shared.slots[i].data, scratch, 64)`.
 */
import {
  __vvar_copy,
  __vvar_copyIn,
  __vvar_copyOut,
  __vvar_fence,
  __vvar_fill,
  __vvar_load_f32,
  __vvar_load_f64,
  __vvar_load_i16,
  __vvar_load_i8,
  __vvar_load_u16,
  __vvar_load_u32,
  __vvar_load_u64,
  __vvar_load_u8,
  __vvar_size,
  __vvar_store_f32,
  __vvar_store_f64,
  __vvar_store_u16,
  __vvar_store_u32,
  __vvar_store_u64,
  __vvar_store_u8,
} from "./intrinsics";

/** A reference (vVAR struct, array, private StaticArray) or a plain number, as an address. */
// @ts-ignore: decorator
@global
@inline
export function __address<T>(place: T): usize {
  if (isReference<T>()) return changetype<usize>(place);
  else return <usize>place;
}

// @ts-ignore: decorator
@global
export namespace vvar {
  /** Plain load of a `T`. */
  // @ts-ignore: decorator
  @inline
  export function load<T>(at: usize): T {
    if (isFloat<T>()) {
      if (sizeof<T>() == 4) return <T>__vvar_load_f32(at);
      else return <T>__vvar_load_f64(at);
    } else if (isReference<T>()) return changetype<T>(<usize>__vvar_load_u32(at));
    else if (isBoolean<T>()) return <T>(__vvar_load_u8(at) != 0);
    else if (sizeof<T>() == 1) {
      if (isSigned<T>()) return <T>__vvar_load_i8(at);
      else return <T>__vvar_load_u8(at);
    } else if (sizeof<T>() == 2) {
      if (isSigned<T>()) return <T>__vvar_load_i16(at);
      else return <T>__vvar_load_u16(at);
    } else if (sizeof<T>() == 4) return <T>__vvar_load_u32(at);
    else return <T>__vvar_load_u64(at);
  }

  /** Plain store of a `T`. */
  // @ts-ignore: decorator
  @inline
  export function store<T>(at: usize, value: T): void {
    if (isFloat<T>()) {
      if (sizeof<T>() == 4) __vvar_store_f32(at, <f32>value);
      else __vvar_store_f64(at, <f64>value);
    } else if (isReference<T>()) __vvar_store_u32(at, <u32>changetype<usize>(value));
    else if (sizeof<T>() == 1) __vvar_store_u8(at, <u32>value);
    else if (sizeof<T>() == 2) __vvar_store_u16(at, <u32>value);
    else if (sizeof<T>() == 4) __vvar_store_u32(at, <u32>value);
    else __vvar_store_u64(at, <u64>value);
  }

  /** Copies bytes within the vVAR; the areas may overlap. */
  // @ts-ignore: decorator
  @inline
  export function copy<D, S>(to: D, from: S, bytes: u32): void {
    __vvar_copy(__address(to), __address(from), bytes);
  }

  /** Copies bytes from private memory into the vVAR. */
  // @ts-ignore: decorator
  @inline
  export function copyIn<D, S>(to: D, fromPrivate: S, bytes: u32): void {
    __vvar_copyIn(__address(to), __address(fromPrivate), bytes);
  }

  /** Copies bytes from the vVAR into private memory. */
  // @ts-ignore: decorator
  @inline
  export function copyOut<D, S>(toPrivate: D, from: S, bytes: u32): void {
    __vvar_copyOut(__address(toPrivate), __address(from), bytes);
  }

  /** Sets bytes of the vVAR. */
  // @ts-ignore: decorator
  @inline
  export function fill<D>(at: D, value: u8, bytes: u32): void {
    __vvar_fill(__address(at), value, bytes);
  }

  /** A full barrier: an atomic read-modify-write, since the optimiser deletes `atomic.fence`. */
  // @ts-ignore: decorator
  @inline
  export function fence(): void {
    __vvar_fence();
  }

  /** Size of the vVAR in pages of 64 KiB. */
  // @ts-ignore: decorator
  @inline
  export function pages(): u32 {
    return __vvar_size();
  }
}
