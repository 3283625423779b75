/**
 * Gives a compiled module its second memory: the vVAR is imported as `vdso.vvar`, and the imports of module `vvar` (the helper library's
 * intrinsics) become the instructions that they stand for. The optimiser inlines them afterwards.
 */
import binaryen from "assemblyscript/binaryen";
import { START_EXPORT, TEMPORARY_LEVEL_BYTES, TEMPORARY_LEVELS } from "../image/manifest.ts";

/** Where things stand in private memory; vdso-src/helper/temporaries.ts has a picture. */
export const PRIVATE = {
  logLevel: 16,
  ringCursor: 20,
  args: 1024,
  argsBytes: 15360,
  /** Behind the temporaries. */
  dataStart: 16384 + TEMPORARY_LEVELS * TEMPORARY_LEVEL_BYTES,
} as const;

/** Header word that a fence reads, modifies and writes. */
const FENCE_WORD = 64;
const VVAR = "vvar";
/** The compiler exports functions with default parameters by way of one that reads how many arguments were passed; callers of ours pass all. */
const TRAMPOLINE = "@varargs";

type Module = binaryen.Module;
type Expr = number;
type Kind = "i32" | "i64" | "f32" | "f64" | "none";

interface Intrinsic {
  params: Kind[];
  result: Kind;
  body(m: Module, args: Expr[], privateMemory: string): Expr;
}

const WIDTHS = { u8: 1, u16: 2, u32: 4, u64: 8 } as const;
type Width = keyof typeof WIDTHS;

function intrinsics(): Map<string, Intrinsic> {
  const table = new Map<string, Intrinsic>();
  const define = (name: string, params: Kind[], result: Kind, body: Intrinsic["body"]): void => {
    table.set(name, { params, result, body });
  };
  const at = (args: Expr[], i = 0): Expr => args[i] as Expr;

  define("load.u8", ["i32"], "i32", (m, a) => m.i32.load8_u(0, 1, at(a), VVAR));
  define("load.i8", ["i32"], "i32", (m, a) => m.i32.load8_s(0, 1, at(a), VVAR));
  define("load.u16", ["i32"], "i32", (m, a) => m.i32.load16_u(0, 2, at(a), VVAR));
  define("load.i16", ["i32"], "i32", (m, a) => m.i32.load16_s(0, 2, at(a), VVAR));
  define("load.u32", ["i32"], "i32", (m, a) => m.i32.load(0, 4, at(a), VVAR));
  define("load.u64", ["i32"], "i64", (m, a) => m.i64.load(0, 8, at(a), VVAR));
  define("load.f32", ["i32"], "f32", (m, a) => m.f32.load(0, 4, at(a), VVAR));
  define("load.f64", ["i32"], "f64", (m, a) => m.f64.load(0, 8, at(a), VVAR));
  define("store.u8", ["i32", "i32"], "none", (m, a) => m.i32.store8(0, 1, at(a), at(a, 1), VVAR));
  define("store.u16", ["i32", "i32"], "none", (m, a) => m.i32.store16(0, 2, at(a), at(a, 1), VVAR));
  define("store.u32", ["i32", "i32"], "none", (m, a) => m.i32.store(0, 4, at(a), at(a, 1), VVAR));
  define("store.u64", ["i32", "i64"], "none", (m, a) => m.i64.store(0, 8, at(a), at(a, 1), VVAR));
  define("store.f32", ["i32", "f32"], "none", (m, a) => m.f32.store(0, 4, at(a), at(a, 1), VVAR));
  define("store.f64", ["i32", "f64"], "none", (m, a) => m.f64.store(0, 8, at(a), at(a, 1), VVAR));

  for (const width of Object.keys(WIDTHS) as Width[]) defineAtomics(define, width);

  define("wait32", ["i32", "i32", "i64"], "i32", (m, a) => m.memory.atomic.wait32(at(a), at(a, 1), at(a, 2), VVAR));
  define("wait64", ["i32", "i64", "i64"], "i32", (m, a) => m.memory.atomic.wait64(at(a), at(a, 1), at(a, 2), VVAR));
  define("notify", ["i32", "i32"], "i32", (m, a) => m.memory.atomic.notify(at(a), at(a, 1), VVAR));
  // Not atomic.fence: Binaryen's precompute pass evaluates it to nothing. A read-modify-write is never removed.
  define("fence", [], "none", (m) => m.drop(m.i32.atomic.rmw.or(0, m.i32.const(FENCE_WORD), m.i32.const(0), VVAR)));
  define("size", [], "i32", (m) => m.memory.size(VVAR));
  define("copy", ["i32", "i32", "i32"], "none", (m, a) => m.memory.copy(at(a), at(a, 1), at(a, 2), VVAR, VVAR));
  define("copyIn", ["i32", "i32", "i32"], "none", (m, a, own) => m.memory.copy(at(a), at(a, 1), at(a, 2), VVAR, own));
  define("copyOut", ["i32", "i32", "i32"], "none", (m, a, own) => m.memory.copy(at(a), at(a, 1), at(a, 2), own, VVAR));
  define("fill", ["i32", "i32", "i32"], "none", (m, a) => m.memory.fill(at(a), at(a, 1), at(a, 2), VVAR));
  return table;
}

/** The part of binaryen's atomics that all widths share; its types spell each width out. */
interface AtomicOperations {
  add(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  sub(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  and(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  or(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  xor(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  xchg(offset: number, ptr: Expr, value: Expr, memory: string): Expr;
  cmpxchg(offset: number, ptr: Expr, expected: Expr, replacement: Expr, memory: string): Expr;
}

function defineAtomics(
  define: (name: string, params: Kind[], result: Kind, body: Intrinsic["body"]) => void,
  width: Width,
): void {
  const type = width === "u64" ? "i64" : "i32";
  const load = (m: Module, ptr: Expr): Expr => {
    const { atomic } = m.i32;
    if (width === "u8") return atomic.load8_u(0, ptr, VVAR);
    if (width === "u16") return atomic.load16_u(0, ptr, VVAR);
    return width === "u32" ? atomic.load(0, ptr, VVAR) : m.i64.atomic.load(0, ptr, VVAR);
  };
  const store = (m: Module, ptr: Expr, value: Expr): Expr => {
    const { atomic } = m.i32;
    if (width === "u8") return atomic.store8(0, ptr, value, VVAR);
    if (width === "u16") return atomic.store16(0, ptr, value, VVAR);
    return width === "u32" ? atomic.store(0, ptr, value, VVAR) : m.i64.atomic.store(0, ptr, value, VVAR);
  };
  const operations = (m: Module): AtomicOperations => {
    const { atomic } = m.i32;
    if (width === "u8") return atomic.rmw8_u;
    if (width === "u16") return atomic.rmw16_u;
    return width === "u32" ? atomic.rmw : m.i64.atomic.rmw;
  };
  const ptr = (args: Expr[]): Expr => args[0] as Expr;
  const value = (args: Expr[]): Expr => args[1] as Expr;
  define(`atomic.load.${width}`, ["i32"], type, (m, a) => load(m, ptr(a)));
  define(`atomic.store.${width}`, ["i32", type], "none", (m, a) => store(m, ptr(a), value(a)));
  for (const operation of ["add", "sub", "and", "or", "xor", "xchg"] as const) {
    define(`atomic.${operation}.${width}`, ["i32", type], type, (m, a) =>
      operations(m)[operation](0, ptr(a), value(a), VVAR),
    );
  }
  define(`atomic.cas.${width}`, ["i32", type, type], type, (m, a) =>
    operations(m).cmpxchg(0, ptr(a), value(a), a[2] as Expr, VVAR),
  );
}

const TABLE = intrinsics();

/** First byte of private memory behind the image's own data; ask before linking. */
export function heapBase(m: Module): number {
  const global = m.getGlobal("~lib/memory/__heap_base");
  // Where nothing refers to it, nothing can use what lies behind it.
  if (global === 0) return PRIVATE.dataStart;
  const info = binaryen.getExpressionInfo(binaryen.getGlobalInfo(global).init);
  return "value" in info && typeof info.value === "number" ? info.value : PRIVATE.dataStart;
}

export interface LinkOptions {
  /** Names of the exports to keep: all others go. */
  readonly exports: ReadonlySet<string>;
  readonly mode: "debug" | "release";
  /** For images that have no use for their vVAR: one, so that they have the form of all others. */
  readonly touchVvar: boolean;
}

/** Did the optimiser leave the import of the vVAR? It does not where nothing uses it. */
export function importsVvar(wasm: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(wasm).includes(`\x04vdso\x04${VVAR}\x02`);
}

/** Binaryen's settings belong to the thread, and the compiler leaves its own behind: equal sources would give two images. */
function forgetEarlierBuilds(): void {
  binaryen.setOptimizeLevel(2);
  binaryen.setShrinkLevel(1);
  binaryen.setFastMath(false);
  binaryen.setAlwaysInlineMaxSize(2);
  binaryen.setFlexibleInlineMaxSize(20);
  binaryen.setOneCallerInlineMaxSize(-1);
  binaryen.setAllowInliningFunctionsWithLoops(false);
}

/** Links a module; call it once, before the optimiser runs. */
export function link(m: Module, { exports: keep, mode, touchVvar }: LinkOptions): void {
  forgetEarlierBuilds();
  const { Features } = binaryen;
  m.setFeatures(
    m.getFeatures() | Features.MultiMemory | Features.Atomics | Features.BulkMemory | Features.BulkMemoryOpt,
  );
  // Only right while there is one memory: it would take the vVAR for zero-filled and unshared.
  binaryen.setZeroFilledMemory(true);
  m.runPasses(["memory-packing"]);

  for (const { name, value } of exportsOf(m)) {
    if (!keep.has(name) || (name === START_EXPORT && !touchVvar && isEmpty(m, value))) m.removeExport(name);
    else if (value.endsWith(TRAMPOLINE)) {
      m.removeExport(name);
      m.addFunctionExport(value.slice(0, -TRAMPOLINE.length), name);
    }
  }
  m.addMemoryImport(VVAR, "vdso", "vvar", true);
  // Listed first: replacing a function moves the others.
  const functions: binaryen.FunctionInfo[] = [];
  for (let i = 0; i < m.getNumFunctions(); i++) functions.push(binaryen.getFunctionInfo(m.getFunctionByIndex(i)));
  for (const info of functions) define(m, info);
  if (touchVvar) touch(m);
  if (mode === "release") inlineIntrinsics(m);
}

/** A fence at the start: the one access that does nothing and stays. */
function touch(m: Module): void {
  const { value } = binaryen.getExportInfo(m.getExport(START_EXPORT));
  const { body } = binaryen.getFunctionInfo(m.getFunction(value));
  const fence = TABLE.get("fence")?.body(m, [], "0");
  if (fence === undefined) throw new Error("no fence");
  m.removeFunction(value);
  m.addFunction(value, binaryen.none, binaryen.none, [], m.block(null, [fence, body]));
}

function isEmpty(m: Module, name: string): boolean {
  const { body } = binaryen.getFunctionInfo(m.getFunction(name));
  return body === 0 || binaryen.getExpressionId(body) === binaryen.NopId;
}

function exportsOf(m: Module): binaryen.ExportInfo[] {
  const exports: binaryen.ExportInfo[] = [];
  for (let i = 0; i < m.getNumExports(); i++) exports.push(binaryen.getExportInfo(m.getExportByIndex(i)));
  return exports;
}

function define(m: Module, info: binaryen.FunctionInfo): void {
  if (info.module !== "vvar" || info.base === null) return;
  const intrinsic = TABLE.get(info.base);
  if (intrinsic === undefined) throw new Error(`the helper library imports an unknown instruction "${info.base}"`);
  const params = binaryen.createType(intrinsic.params.map((kind) => binaryen[kind]));
  const result = binaryen[intrinsic.result];
  if (params !== info.params || result !== info.results) {
    throw new Error(`the helper library declares "${info.base}" with another signature`);
  }
  const args = intrinsic.params.map((kind, i) => m.local.get(i, binaryen[kind]));
  m.removeFunction(info.name);
  m.addFunction(info.name, params, result, [], intrinsic.body(m, args, "0"));
}

/** A first round of inlining, so that the optimiser's own rounds see plain instructions with constant offsets. */
function inlineIntrinsics(m: Module): void {
  // Nothing lives below 1024 in either memory, so constants may be folded into offsets.
  binaryen.setLowMemoryUnused(true);
  const before = binaryen.getAlwaysInlineMaxSize();
  binaryen.setAlwaysInlineMaxSize(8);
  m.runPasses(["inlining", "precompute-propagate", "simplify-locals", "optimize-added-constants-propagate", "vacuum"]);
  binaryen.setAlwaysInlineMaxSize(before);
}
