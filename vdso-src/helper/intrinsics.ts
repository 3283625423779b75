/**
 * The instructions on the vVAR, as imports of module `vvar`. The build replaces each import by the instruction itself, on the
 * shared memory (runtime/build/link.ts), and the optimiser inlines it; none is left in an image. Addresses are byte offsets in the vVAR.
 */
// Plain loads and stores: for words that no other process writes at the same time.
// @ts-ignore: decorator
@external("vvar", "load.u8")
export declare function __vvar_load_u8(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "load.i8")
export declare function __vvar_load_i8(at: usize): i32;
// @ts-ignore: decorator
@external("vvar", "load.u16")
export declare function __vvar_load_u16(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "load.i16")
export declare function __vvar_load_i16(at: usize): i32;
// @ts-ignore: decorator
@external("vvar", "load.u32")
export declare function __vvar_load_u32(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "load.u64")
export declare function __vvar_load_u64(at: usize): u64;
// @ts-ignore: decorator
@external("vvar", "load.f32")
export declare function __vvar_load_f32(at: usize): f32;
// @ts-ignore: decorator
@external("vvar", "load.f64")
export declare function __vvar_load_f64(at: usize): f64;
// @ts-ignore: decorator
@external("vvar", "store.u8")
export declare function __vvar_store_u8(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "store.u16")
export declare function __vvar_store_u16(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "store.u32")
export declare function __vvar_store_u32(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "store.u64")
export declare function __vvar_store_u64(at: usize, value: u64): void;
// @ts-ignore: decorator
@external("vvar", "store.f32")
export declare function __vvar_store_f32(at: usize, value: f32): void;
// @ts-ignore: decorator
@external("vvar", "store.f64")
export declare function __vvar_store_f64(at: usize, value: f64): void;
// Atomics, sequentially consistent.
// @ts-ignore: decorator
@external("vvar", "atomic.load.u8")
export declare function __vvar_atomic_load_u8(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.store.u8")
export declare function __vvar_atomic_store_u8(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "atomic.add.u8")
export declare function __vvar_atomic_add_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.sub.u8")
export declare function __vvar_atomic_sub_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.and.u8")
export declare function __vvar_atomic_and_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.or.u8")
export declare function __vvar_atomic_or_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xor.u8")
export declare function __vvar_atomic_xor_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xchg.u8")
export declare function __vvar_atomic_xchg_u8(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.cas.u8")
export declare function __vvar_atomic_cas_u8(at: usize, expected: u32, replacement: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.load.u16")
export declare function __vvar_atomic_load_u16(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.store.u16")
export declare function __vvar_atomic_store_u16(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "atomic.add.u16")
export declare function __vvar_atomic_add_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.sub.u16")
export declare function __vvar_atomic_sub_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.and.u16")
export declare function __vvar_atomic_and_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.or.u16")
export declare function __vvar_atomic_or_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xor.u16")
export declare function __vvar_atomic_xor_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xchg.u16")
export declare function __vvar_atomic_xchg_u16(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.cas.u16")
export declare function __vvar_atomic_cas_u16(at: usize, expected: u32, replacement: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.load.u32")
export declare function __vvar_atomic_load_u32(at: usize): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.store.u32")
export declare function __vvar_atomic_store_u32(at: usize, value: u32): void;
// @ts-ignore: decorator
@external("vvar", "atomic.add.u32")
export declare function __vvar_atomic_add_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.sub.u32")
export declare function __vvar_atomic_sub_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.and.u32")
export declare function __vvar_atomic_and_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.or.u32")
export declare function __vvar_atomic_or_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xor.u32")
export declare function __vvar_atomic_xor_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.xchg.u32")
export declare function __vvar_atomic_xchg_u32(at: usize, value: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.cas.u32")
export declare function __vvar_atomic_cas_u32(at: usize, expected: u32, replacement: u32): u32;
// @ts-ignore: decorator
@external("vvar", "atomic.load.u64")
export declare function __vvar_atomic_load_u64(at: usize): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.store.u64")
export declare function __vvar_atomic_store_u64(at: usize, value: u64): void;
// @ts-ignore: decorator
@external("vvar", "atomic.add.u64")
export declare function __vvar_atomic_add_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.sub.u64")
export declare function __vvar_atomic_sub_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.and.u64")
export declare function __vvar_atomic_and_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.or.u64")
export declare function __vvar_atomic_or_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.xor.u64")
export declare function __vvar_atomic_xor_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.xchg.u64")
export declare function __vvar_atomic_xchg_u64(at: usize, value: u64): u64;
// @ts-ignore: decorator
@external("vvar", "atomic.cas.u64")
export declare function __vvar_atomic_cas_u64(at: usize, expected: u64, replacement: u64): u64;
// Parking. Time-outs in nanoseconds, negative: for ever. Results: 0 woken, 1 the value differed, 2 timed out.
// @ts-ignore: decorator
@external("vvar", "wait32")
export declare function __vvar_wait32(at: usize, expected: u32, timeoutNs: i64): i32;
// @ts-ignore: decorator
@external("vvar", "wait64")
export declare function __vvar_wait64(at: usize, expected: u64, timeoutNs: i64): i32;
// @ts-ignore: decorator
@external("vvar", "notify")
export declare function __vvar_notify(at: usize, count: i32): u32;
// Whole memory.
// @ts-ignore: decorator
@external("vvar", "fence")
export declare function __vvar_fence(): void;
// @ts-ignore: decorator
@external("vvar", "size")
export declare function __vvar_size(): u32;
// @ts-ignore: decorator
@external("vvar", "copy")
export declare function __vvar_copy(to: usize, from: usize, bytes: usize): void;
// @ts-ignore: decorator
@external("vvar", "copyIn")
export declare function __vvar_copyIn(to: usize, fromPrivate: usize, bytes: usize): void;
// @ts-ignore: decorator
@external("vvar", "copyOut")
export declare function __vvar_copyOut(toPrivate: usize, from: usize, bytes: usize): void;
// @ts-ignore: decorator
@external("vvar", "fill")
export declare function __vvar_fill(at: usize, value: u32, bytes: usize): void;
