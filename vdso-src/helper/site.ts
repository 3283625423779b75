/**
 * Panics and logs. The texts stay in the manifest: the build turns each `assert`, `panic`, `throw` and `log.*` into a number, its *site*,
 * and passes the arguments one by one before it.
 */
// @ts-ignore: decorator
@external("vdso", "panic")
declare function panicAt(site: i32): void;
// @ts-ignore: decorator
@external("vdso", "log")
declare function logAt(site: i32): void;
// @ts-ignore: decorator
@external("vdso", "argI")
declare function argumentI(value: i64): void;
// @ts-ignore: decorator
@external("vdso", "argU")
declare function argumentU(value: u64): void;
// @ts-ignore: decorator
@external("vdso", "argF")
declare function argumentF(value: f64): void;
// @ts-ignore: decorator
@external("vdso", "argB")
declare function argumentB(value: i32): void;
// @ts-ignore: decorator
@external("vdso", "abort")
declare function abortWith(message: usize, file: usize, line: u32, column: u32): void;

const LOG_LEVEL: usize = 16;

/** Passes one argument of the next panic or log line. */
// @ts-ignore: decorator
@global
export function __argument<T>(value: T): void {
  if (isFloat<T>()) argumentF(<f64>value);
  else if (isBoolean<T>()) argumentB(<i32>value);
  else if (isReference<T>()) argumentU(changetype<usize>(value));
  else if (isSigned<T>()) argumentI(<i64>value);
  else argumentU(<u64>value);
}

// @ts-ignore: decorator
@global
export function __panic(site: i32): void {
  panicAt(site);
  unreachable();
}

// @ts-ignore: decorator
@global
@inline
export function __assert<T>(condition: T, site: i32): void {
  if (!condition) __panic(site);
}

/** Panics when `index` is not below `length`. Not inlined, so that a check costs one comparison and one call in code. */
// @ts-ignore: decorator
@global
export function __outOfBounds(index: u32, length: u32, site: i32): void {
  // An index below 0 has become one beyond 2^31; arrays that long are hardly ever meant.
  argumentI(<i32>index);
  argumentU(length);
  __panic(site);
}

/** Are lines of this level wanted? One load and a branch. */
// @ts-ignore: decorator
@global
@inline
export function __logs(level: u32): bool {
  return load<u32>(LOG_LEVEL) >= level;
}

// @ts-ignore: decorator
@global
export function __log(site: i32): void {
  logAt(site);
}

/** Where AssemblyScript's own library ends up: `new StaticArray(-1)`, an index out of range, ... */
// @ts-ignore: decorator
@global
export function __abort(message: string | null, file: string | null, line: u32, column: u32): void {
  abortWith(changetype<usize>(message), changetype<usize>(file), line, column);
  unreachable();
}
