/** `VPtr<T>`: a reference kept in the vVAR, as a byte offset into the same vVAR, so that it means the same to every process. */
import { __vvar_load_u32, __vvar_store_u32 } from "./intrinsics";

// @ts-ignore: decorator
@global
@unmanaged @final
export class VPtr<T> {
  /** Does it refer to nothing? */
  // @ts-ignore: decorator
  @inline
  get isNull(): bool {
    return __vvar_load_u32(changetype<usize>(this)) == 0;
  }

  /** What it refers to; look at `isNull` first. */
  // @ts-ignore: decorator
  @inline
  get(): T {
    return changetype<T>(<usize>__vvar_load_u32(changetype<usize>(this)));
  }

  // @ts-ignore: decorator
  @inline
  set(target: T): void {
    __vvar_store_u32(changetype<usize>(this), <u32>changetype<usize>(target));
  }

  // @ts-ignore: decorator
  @inline
  clear(): void {
    __vvar_store_u32(changetype<usize>(this), 0);
  }
}
