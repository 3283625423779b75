/**
 * The form of a generated API library: one JavaScript module per image, without imports, so that any bundler takes it and so that
 * each image has call sites of its own (call sites shared by several images run half as fast).
 */

/** What a generated module exports by default. `Api` is the typed object that {@link VdsoLibrary.bind} returns. */
export interface VdsoLibrary<Api = unknown, Host = unknown> {
  readonly name: string;
  readonly fingerprint: string;
  /** Bytes that the vVAR must have at least: end of the layout. */
  readonly vvarBytes: number;
  /** The image: a complete WebAssembly module with its manifest. A fresh copy at each call. */
  image(): Uint8Array<ArrayBuffer>;
  /** Interfaces that a process has to supply: names of static functions and of methods. */
  readonly interfaces: Readonly<
    Record<string, { readonly statics: readonly string[]; readonly methods: readonly string[] }>
  >;
  /** Import object of module `host`. */
  imports(runtime: LibraryRuntime): Record<string, CallableFunction>;
  /** The typed API over an instance's exports; called once, after instantiation. */
  bind(runtime: LibraryRuntime): Api;
  /** Type only: the implementations that `attach` wants. */
  readonly host?: Host;
}

/** What the loader gives to a generated library. One per attachment. */
export interface LibraryRuntime {
  /** Exports of the instance; set before `bind` runs. After a panic every member throws `ERR_VDSO_DEAD`. */
  readonly exports: Record<string, CallableFunction>;
  /** Private memory; never grows, so views on it stay valid. Set before `bind` runs. */
  readonly memory: WebAssembly.Memory;
  /** Implementations by interface name, verified at attach. */
  readonly host: Readonly<Record<string, Record<string, CallableFunction>>>;
  /** Why the attachment is dead; a host function that returns to a dead instance throws this instead. */
  readonly dead: Error | undefined;
  /** Passes an object for the time of one call; refuses one that lacks a method (`ERR_VDSO_INTERFACE`). */
  lend(object: unknown, interfaceName: string, methods: readonly string[]): number;
  /** Ends what {@link LibraryRuntime.lend} began. */
  giveBack(handle: number): void;
  /** The object behind a handle; a stale one panics. */
  object(handle: number): Record<string, CallableFunction>;
  /**
   * Throws `ERR_VDSO_ARGUMENT`: function, parameter, what was expected, what was found. For what a host function returned (`fn` is
   * then its import name, `Observer.now` or `Observer#changed`) `ERR_VDSO_HOST_RESULT`.
   */
  badArgument(fn: string, parameter: string, expected: string, found: unknown): never;
  /** Throws `ERR_VDSO_NULL`: the image returned null where its signature says that it never does. */
  badNull(where: string): never;
  /** The error to throw for one that left a call: a WebAssembly trap is the death of the attachment, all else goes on unchanged. */
  trapped(error: unknown): unknown;
}
