/** `Option<T>` and `Result<T, E>`: in JavaScript `T | undefined`, and `{ ok: true, value } | { ok: false, error }`. */
import { __NOTHING, __temporary } from "./temporaries";

// @ts-ignore: decorator
@global
@unmanaged @final
export class Option<T> {
  /** 0: none. */
  readonly tag: u32;
  /** The value; look at `isSome` first. */
  readonly value: T;

  static some<T>(value: T): Option<T> {
    const at = __temporary(offsetof<Option<T>>());
    store<u32>(at, 1);
    store<T>(at, value, offsetof<Option<T>>("value"));
    return changetype<Option<T>>(at);
  }

  static none<T>(): Option<T> {
    return changetype<Option<T>>(__NOTHING);
  }

  // @ts-ignore: decorator
  @inline
  get isSome(): bool {
    return this.tag != 0;
  }

  // @ts-ignore: decorator
  @inline
  get isNone(): bool {
    return !this.isSome;
  }

  // @ts-ignore: decorator
  @inline
  unwrapOr(fallback: T): T {
    return this.isSome ? this.value : fallback;
  }
}

// @ts-ignore: decorator
@global
@unmanaged @final
export class Result<T, E> {
  /** 0: ok. */
  readonly tag: u32;
  /** The value; look at `isOk` first. */
  readonly value: T;
  /** The error; look at `isErr` first. */
  readonly error: E;

  static ok<T, E>(value: T): Result<T, E> {
    const at = __temporary(offsetof<Result<T, E>>());
    store<u32>(at, 0);
    store<T>(at, value, offsetof<Result<T, E>>("value"));
    return changetype<Result<T, E>>(at);
  }

  static err<T, E>(error: E): Result<T, E> {
    const at = __temporary(offsetof<Result<T, E>>());
    store<u32>(at, 1);
    store<E>(at, error, offsetof<Result<T, E>>("error"));
    return changetype<Result<T, E>>(at);
  }

  // @ts-ignore: decorator
  @inline
  get isOk(): bool {
    return this.tag == 0;
  }

  // @ts-ignore: decorator
  @inline
  get isErr(): bool {
    return this.tag != 0;
  }

  /** The value, or `fallback` in place of an error. */
  // @ts-ignore: decorator
  @inline
  unwrapOr(fallback: T): T {
    return this.isOk ? this.value : fallback;
  }
}

/** What the build makes of `Result<void, E>`, since no field can be of type void. */
// @ts-ignore: decorator
@global
@unmanaged @final
export class __VoidResult<E> {
  /** 0: ok. */
  readonly tag: u32;
  /** The error; look at `isErr` first. */
  readonly error: E;

  static ok<E>(): __VoidResult<E> {
    return changetype<__VoidResult<E>>(__NOTHING);
  }

  static err<E>(error: E): __VoidResult<E> {
    const at = __temporary(offsetof<__VoidResult<E>>());
    store<u32>(at, 1);
    store<E>(at, error, offsetof<__VoidResult<E>>("error"));
    return changetype<__VoidResult<E>>(at);
  }

  // @ts-ignore: decorator
  @inline
  get isOk(): bool {
    return this.tag == 0;
  }

  // @ts-ignore: decorator
  @inline
  get isErr(): bool {
    return this.tag != 0;
  }
}
