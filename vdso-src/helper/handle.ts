/** Host objects kept beyond the call that brought them: `object.retain()`, and later `object.release()`. */
// @ts-ignore: decorator
@global
@external("vdso", "retain")
export declare function __retain(handle: u32): void;
// @ts-ignore: decorator
@global
@external("vdso", "release")
export declare function __release(handle: u32): void;
