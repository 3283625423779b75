/** `Option<T>` and `Result<T, E>`: in JavaScript `T | undefined`, and `{ ok: true, value } | { ok: false, error }`. */
import { __NOTHING, __temporary } from "./temporaries";

// @ts-ignore: decorator
@global
@unmanaged @final
export class Option<T> {
  tag: u32;
  /** The value; look at `isSome` first. */
  value: T;

  static some<T>(value: T): Option<T> {
    const it = changetype<Option<T>>(__temporary(offsetof<Option<T>>()));
    it.tag = 1;
    it.value = value;
    return it;
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
  tag: u32;
  /** The value; look at `isOk` first. */
  value: T;
  /** The error; look at `isErr` first. */
  error: E;

  static ok<T, E>(value: T): Result<T, E> {
    const it = changetype<Result<T, E>>(__temporary(offsetof<Result<T, E>>()));
    it.tag = 0;
    it.value = value;
    return it;
  }

  static err<T, E>(error: E): Result<T, E> {
    const it = changetype<Result<T, E>>(__temporary(offsetof<Result<T, E>>()));
    it.tag = 1;
    it.error = error;
    return it;
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
