/**
 * What an image says about itself. The build writes it, compacted, into the custom section `vdso`; everything that needs to know
 * an image (API library, loader, inspector, checker) reads it from there.
 *
 * Types are short texts. In the vVAR: a scalar (`bool u8 i8 u16 i16 u32 i32 u64 i64 f32 f64`), the name of an enum, the name of a
 * struct (inline), `Atomic<T>`, `VPtr<T>`. In the API: `void`, a scalar, `string`, the name of an enum, of an interface (a handle), of
 * an API struct, `Option<T>`, `Result<T,E>`; a trailing `?` makes `string` and API structs nullable. Names are unique within a manifest.
 */

/** Version of the manifest's own form; a reader refuses any other. */
export const MANIFEST_VERSION = 1;

/** Export that runs the initialisers of private data that are not constant; called once per instance, before everything else. */
export const START_EXPORT = "_initialize";

export type Scalar = "bool" | "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "f32" | "f64";

export interface Manifest {
  /** Image name, also the API library's. */
  name: string;
  /** Package name given to the build. */
  package: string;
  mode: "debug" | "release";
  /** Are `log.*` calls compiled in? */
  log: boolean;
  /** Features the image was built with, sorted. */
  features: string[];
  /** Who built it: `wasm-vdso 0.1.0`. */
  builder: string;
  /** 16 hex digits over layout, constants, exported and interface signatures; see {@link abiFingerprint}. */
  fingerprint: string;
  layout: Layout;
  constants: Constant[];
  enums: EnumType[];
  /** API structs, laid out in private memory. */
  structs: ApiStruct[];
  exports: ApiFunction[];
  interfaces: HostInterface[];
  panics: PanicSite[];
  logs: LogSite[];
  private: PrivateMemory;
}

/** Layout of the vVAR. */
export interface Layout {
  /** Name of the root struct. */
  root: string;
  /** Byte address of the root struct, at least 1024. */
  address: number;
  /** First byte behind the root struct. */
  end: number;
  /** Every struct that the root reaches, the root first. */
  structs: VvarStruct[];
}

export interface VvarStruct {
  name: string;
  size: number;
  align: number;
  fields: VvarField[];
}

export interface VvarField {
  name: string;
  /** Bytes from the struct's start. */
  offset: number;
  type: string;
  /** Bytes of the whole field. */
  size: number;
  /** Elements of a `FixedArray`; absent otherwise. */
  length?: number;
  /** Bytes from one element to the next; with `length` only. */
  stride?: number;
}

export interface Constant {
  name: string;
  /** A scalar or `string`. */
  type: string;
  /** 64-bit integers as decimal text, so that JSON keeps them. */
  value: number | boolean | string;
  /** Can the environment or a build option override it? (`config(...)`, not a plain exported constant) */
  config: boolean;
}

export interface EnumType {
  name: string;
  /** [name, value], in the author's order. */
  values: [string, number][];
}

export interface ApiStruct {
  name: string;
  size: number;
  fields: { name: string; offset: number; type: string }[];
}

export interface Parameter {
  name: string;
  type: string;
  /** JavaScript literal applied by the API library when the argument is left out. */
  default?: string;
}

export interface ApiFunction {
  name: string;
  params: Parameter[];
  result: string;
}

export interface HostInterface {
  name: string;
  functions: HostFunction[];
}

/** Import name: `Interface.fn` when static, else `Interface#fn` with the handle as first parameter. Module: `host`. */
export interface HostFunction {
  name: string;
  static: boolean;
  params: Parameter[];
  result: string;
}

export interface PanicSite {
  message: string;
  file: string;
  line: number;
  column: number;
}

export type LogLevel = "error" | "warn" | "info" | "debug" | "trace";

/** In the order of the dialect's numbers: `error` is 1, 0 is off. */
export const LOG_LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

export interface LogSite extends PanicSite {
  level: LogLevel;
}

/**
 * Temporaries (results by reference) lie behind the argument area, in levels: what runs inside a call into the host has the next one, so
 * that the host may call the image again. The cursor counts from the first level's start.
 */
export const TEMPORARY_LEVEL_BYTES = 8192;
export const TEMPORARY_LEVELS = 4;

/** Where the host finds things in private memory; all below the image's own data. */
export interface PrivateMemory {
  /** Pages of 64 KiB; the memory never grows. */
  pages: number;
  /** Address of the `u32` log level. */
  logLevel: number;
  /** Area for encoded arguments: the API library pushes them as a stack. */
  args: number;
  argsBytes: number;
  /** Address of the temporaries' cursor (`u32`), moved to the next level for the time of a call into the host. */
  ringCursor: number;
}
