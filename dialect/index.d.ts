/**
 * The dialect that vDSOs are written in, for editors: with it they accept a vDSO's sources as they are, complete names and show documentation.
 * The build does not read this file.
 *
 * In the vDSO's folder, `tsconfig.json`:
 *
 * ```json
 * { "extends": "wasm-vdso/dialect/tsconfig.json", "include": ["."] }
 * ```
 *
 * AssemblyScript's own types and functions (`u32`, `f64`, `StaticArray`, `min`, `unchecked`, ...) come with it.
 */

/// <reference path="./first.d.ts" />
/// <reference types="assemblyscript/std/assembly/index.d.ts" />

// ------------------------------------------------------------------ decorators

/** Lays a class out in the vVAR, the shared memory: fields in order, no initialisers, no inheritance, methods allowed. */
declare function vvar(target: object): void;

/** An interface: functions that each process supplies when it attaches. Static functions belong to the process, methods to objects passed as handles. */
declare function host(target: object): void;

/** A struct that crosses the API: a plain object in JavaScript. */
declare function apistruct(target: object): void;

/** Aligns a field, or every instance of a class, to `bytes`, a power of two. 64 keeps what different threads write on different cache lines. */
declare function align(bytes: number): (target: object, name?: string) => void;

/** Number of elements of a `FixedArray` field: a constant expression. */
declare function len(count: number): (target: object, name: string) => void;

// ------------------------------------------------------------------ in the vVAR

/** The vVAR's root struct. Exactly one call per image, at the top level. */
declare function vvarRoot<T>(): T;

/**
 * One word in the vVAR, sequentially consistent. `T`: `bool`, an integer of 8 to 64 bits, an enum; `f32` and `f64` with `load` and `store` only.
 */
interface Atomic<T> {
  load(): T;
  store(value: T): void;
  /** Wraps. @returns the value before */
  add(value: T): T;
  /** Wraps. @returns the value before */
  sub(value: T): T;
  /** @returns the value before */
  and(value: T): T;
  /** @returns the value before */
  or(value: T): T;
  /** @returns the value before */
  xor(value: T): T;
  /** @returns the value before */
  exchange(value: T): T;
  /** Stores `replacement` if the value is `expected`. @returns the value before */
  compareExchange(expected: T, replacement: T): T;
  /** Stores `replacement` if the value is `expected`. @returns did it? */
  cas(expected: T, replacement: T): bool;
  /**
   * Parks this thread while the value is `expected`. 32 and 64 bits only.
   *
   * @param timeoutNs - nanoseconds; negative, the default: for ever
   * @returns 0 woken, 1 the value differed, 2 timed out
   */
  wait(expected: T, timeoutNs?: i64): i32;
  /** Wakes up to `count` threads parked here; -1, the default: all. 32 and 64 bits only. @returns how many */
  notify(count?: i32): u32;
}

/** An array inside a struct of the vVAR; its length comes from `@len`. An index beyond it panics, unless in `unchecked(...)`. */
interface FixedArray<T> {
  readonly length: u32;
  [index: number]: T;
}

/** A reference kept in the vVAR: an offset into the same vVAR, so it means the same to every process. */
interface VPtr<T> {
  readonly isNull: bool;
  /** Look at `isNull` first. */
  get(): T;
  set(target: T): void;
  clear(): void;
}

/** The vVAR as bytes. `at`, `to`, `from`: a struct or array of the vVAR, or an address. */
declare namespace vvar {
  function load<T>(at: usize): T;
  function store<T>(at: usize, value: T): void;
  /** Within the vVAR; the areas may overlap. */
  function copy<D, S>(to: D, from: S, bytes: u32): void;
  /** From private memory into the vVAR. */
  function copyIn<D, S>(to: D, fromPrivate: S, bytes: u32): void;
  /** From the vVAR into private memory. */
  function copyOut<D, S>(toPrivate: D, from: S, bytes: u32): void;
  function fill<D>(at: D, value: u8, bytes: u32): void;
  /** A full barrier between the accesses before and after it. */
  function fence(): void;
  /** Size of the vVAR in pages of 64 KiB. */
  function pages(): u32;
}

/** Text in the vVAR, as UTF-8. `to`, `from`: an array of the vVAR, or an address. */
declare namespace utf8 {
  /** Bytes that `text` takes. */
  function length(text: string): u32;
  /** Writes as many whole characters as fit in `maxBytes`. @returns bytes written */
  function write<D>(to: D, text: string, maxBytes: u32): u32;
  /** The text in `bytes` bytes, at most 2 KiB; what is not UTF-8 becomes U+FFFD. */
  function read<S>(from: S, bytes: u32): string;
}

// ------------------------------------------------------------------ constants

/**
 * A constant that a build option or an environment variable called `name` may override. `fallback` may use constants that stand before it.
 *
 * ```ts
 * export const QUEUE_LEN: u32 = config.powerOfTwo("QUEUE_LEN", 64);
 * ```
 */
declare function config<T extends number | boolean | string>(name: string, fallback: T): T;
declare namespace config {
  /** Also refuses what is no power of two, and, with bounds, what is less than `least` or more than `most`. */
  function powerOfTwo(name: string, fallback: number, least?: number, most?: number): number;
  /** Also refuses what is less than `least` or more than `most`. */
  function range(name: string, fallback: number, least: number, most: number): number;
}

// ------------------------------------------------------------------ panics and logs

type SiteArgument = number | boolean;

/** Ends the process at this instruction: JavaScript gets a `VdsoPanic` with message, arguments, file and line. `{}` in the message are filled. */
declare function panic(message: string, ...args: SiteArgument[]): never;

/** Lines for the process's logger; `{}` in the message are filled. Below the host's level a call costs one load and a branch. */
declare namespace log {
  function error(message: string, ...args: SiteArgument[]): void;
  function warn(message: string, ...args: SiteArgument[]): void;
  function info(message: string, ...args: SiteArgument[]): void;
  function debug(message: string, ...args: SiteArgument[]): void;
  function trace(message: string, ...args: SiteArgument[]): void;
}

// ------------------------------------------------------------------ in the API

/** Handles of host objects, of `@host` classes, have these. */
interface Object {
  /** Keeps a host object beyond the call that passed it. */
  retain(): void;
  /** Lets go of what {@link Object.retain} kept. */
  release(): void;
}

/** In JavaScript `T | undefined`. */
declare class Option<T> {
  static some<T>(value: T): Option<T>;
  static none<T>(): Option<T>;
  readonly isSome: bool;
  readonly isNone: bool;
  /** Look at `isSome` first. */
  readonly value: T;
  unwrapOr(fallback: T): T;
}

/** In JavaScript `{ ok: true, value } | { ok: false, error }`. */
declare class Result<T, E> {
  static ok<E>(): Result<void, E>;
  static ok<T, E>(value: T): Result<T, E>;
  static err<T, E>(error: E): Result<T, E>;
  readonly isOk: bool;
  readonly isErr: bool;
  /** Look at `isOk` first. */
  readonly value: T;
  /** Look at `isErr` first. */
  readonly error: E;
  /** The value, or `fallback` in place of an error. */
  unwrapOr(fallback: T): T;
}
