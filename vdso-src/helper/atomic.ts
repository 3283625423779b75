/** `Atomic<T>`: one word in the vVAR, 8 to 64 bits, sequentially consistent. Also floats, for `load` and `store`. */
import {
  __vvar_atomic_add_u16,
  __vvar_atomic_add_u32,
  __vvar_atomic_add_u64,
  __vvar_atomic_add_u8,
  __vvar_atomic_and_u16,
  __vvar_atomic_and_u32,
  __vvar_atomic_and_u64,
  __vvar_atomic_and_u8,
  __vvar_atomic_cas_u16,
  __vvar_atomic_cas_u32,
  __vvar_atomic_cas_u64,
  __vvar_atomic_cas_u8,
  __vvar_atomic_load_u16,
  __vvar_atomic_load_u32,
  __vvar_atomic_load_u64,
  __vvar_atomic_load_u8,
  __vvar_atomic_or_u16,
  __vvar_atomic_or_u32,
  __vvar_atomic_or_u64,
  __vvar_atomic_or_u8,
  __vvar_atomic_store_u16,
  __vvar_atomic_store_u32,
  __vvar_atomic_store_u64,
  __vvar_atomic_store_u8,
  __vvar_atomic_sub_u16,
  __vvar_atomic_sub_u32,
  __vvar_atomic_sub_u64,
  __vvar_atomic_sub_u8,
  __vvar_atomic_xchg_u16,
  __vvar_atomic_xchg_u32,
  __vvar_atomic_xchg_u64,
  __vvar_atomic_xchg_u8,
  __vvar_atomic_xor_u16,
  __vvar_atomic_xor_u32,
  __vvar_atomic_xor_u64,
  __vvar_atomic_xor_u8,
  __vvar_notify,
  __vvar_wait32,
  __vvar_wait64,
} from "./intrinsics";

// @ts-ignore: decorator
@global
@unmanaged @final
export class Atomic<T> {
  /** The value. */
  // @ts-ignore: decorator
  @inline
  load(): T {
    if (isFloat<T>()) {
      if (sizeof<T>() == 4) return <T>reinterpret<f32>(__vvar_atomic_load_u32(changetype<usize>(this)));
      else return <T>reinterpret<f64>(__vvar_atomic_load_u64(changetype<usize>(this)));
    } else if (isBoolean<T>()) return <T>(__vvar_atomic_load_u8(changetype<usize>(this)) != 0);
    else if (sizeof<T>() == 1) return <T>__vvar_atomic_load_u8(changetype<usize>(this));
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_load_u16(changetype<usize>(this));
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_load_u32(changetype<usize>(this));
    else return <T>__vvar_atomic_load_u64(changetype<usize>(this));
  }

  /** Sets the value. */
  // @ts-ignore: decorator
  @inline
  store(value: T): void {
    if (isFloat<T>()) {
      if (sizeof<T>() == 4) __vvar_atomic_store_u32(changetype<usize>(this), reinterpret<u32>(<f32>value));
      else __vvar_atomic_store_u64(changetype<usize>(this), reinterpret<u64>(<f64>value));
    }
    else if (sizeof<T>() == 1) __vvar_atomic_store_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) __vvar_atomic_store_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) __vvar_atomic_store_u32(changetype<usize>(this), <u32>value);
    else __vvar_atomic_store_u64(changetype<usize>(this), <u64>value);
  }

  /** Adds (wraps). @returns the value before */
  // @ts-ignore: decorator
  @inline
  add(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_add_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_add_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_add_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_add_u64(changetype<usize>(this), <u64>value);
  }

  /** Subtracts (wraps). @returns the value before */
  // @ts-ignore: decorator
  @inline
  sub(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_sub_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_sub_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_sub_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_sub_u64(changetype<usize>(this), <u64>value);
  }

  /** Bitwise and. @returns the value before */
  // @ts-ignore: decorator
  @inline
  and(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_and_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_and_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_and_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_and_u64(changetype<usize>(this), <u64>value);
  }

  /** Bitwise or. @returns the value before */
  // @ts-ignore: decorator
  @inline
  or(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_or_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_or_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_or_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_or_u64(changetype<usize>(this), <u64>value);
  }

  /** Bitwise exclusive or. @returns the value before */
  // @ts-ignore: decorator
  @inline
  xor(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_xor_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_xor_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_xor_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_xor_u64(changetype<usize>(this), <u64>value);
  }

  /** Sets the value. @returns the value before */
  // @ts-ignore: decorator
  @inline
  exchange(value: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_xchg_u8(changetype<usize>(this), <u32><u8>value);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_xchg_u16(changetype<usize>(this), <u32><u16>value);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_xchg_u32(changetype<usize>(this), <u32>value);
    else return <T>__vvar_atomic_xchg_u64(changetype<usize>(this), <u64>value);
  }

  /** Sets `replacement` if the value is `expected`. @returns the value before */
  // @ts-ignore: decorator
  @inline
  compareExchange(expected: T, replacement: T): T {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return <T>__vvar_atomic_cas_u8(changetype<usize>(this), <u32><u8>expected, <u32><u8>replacement);
    else if (sizeof<T>() == 2) return <T>__vvar_atomic_cas_u16(changetype<usize>(this), <u32><u16>expected, <u32><u16>replacement);
    else if (sizeof<T>() == 4) return <T>__vvar_atomic_cas_u32(changetype<usize>(this), <u32>expected, <u32>replacement);
    else return <T>__vvar_atomic_cas_u64(changetype<usize>(this), <u64>expected, <u64>replacement);
  }

  /** Sets `replacement` if the value is `expected`. @returns did it? */
  // @ts-ignore: decorator
  @inline
  cas(expected: T, replacement: T): bool {
    if (isFloat<T>()) ERROR("an Atomic of a float has load() and store() only");
    if (sizeof<T>() == 1) return __vvar_atomic_cas_u8(changetype<usize>(this), <u32><u8>expected, <u32><u8>replacement) == <u32><u8>expected;
    else if (sizeof<T>() == 2) return __vvar_atomic_cas_u16(changetype<usize>(this), <u32><u16>expected, <u32><u16>replacement) == <u32><u16>expected;
    else if (sizeof<T>() == 4) return __vvar_atomic_cas_u32(changetype<usize>(this), <u32>expected, <u32>replacement) == <u32>expected;
    else return __vvar_atomic_cas_u64(changetype<usize>(this), <u64>expected, <u64>replacement) == <u64>expected;
  }

  /** Parks this thread while the value is `expected`, at most `timeoutNs` nanoseconds (negative: for ever).
   * @returns 0 woken, 1 the value differed, 2 timed out */
  // @ts-ignore: decorator
  @inline
  wait(expected: T, timeoutNs: i64 = -1): i32 {
    if (isFloat<T>() || sizeof<T>() < 4) ERROR("wait() needs an Atomic of 32 or 64 bits");
    if (sizeof<T>() == 4) return __vvar_wait32(changetype<usize>(this), <u32>expected, timeoutNs);
    else return __vvar_wait64(changetype<usize>(this), <u64>expected, timeoutNs);
  }

  /** Wakes at most `count` threads parked here (-1: all). @returns how many */
  // @ts-ignore: decorator
  @inline
  notify(count: i32 = -1): u32 {
    if (isFloat<T>() || sizeof<T>() < 4) ERROR("notify() needs an Atomic of 32 or 64 bits");
    return __vvar_notify(changetype<usize>(this), count);
  }
}
