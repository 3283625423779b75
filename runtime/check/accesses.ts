/** The instructions that touch the vVAR, as data. */

/** What an access does. */
export const Kind = {
  load: 0,
  store: 1,
  add: 2,
  sub: 3,
  and: 4,
  or: 5,
  xor: 6,
  exchange: 7,
  cas: 8,
  wait: 9,
  notify: 10,
  copy: 11,
  fill: 12,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** Which memories a `memory.copy` names. */
export const Bulk = { within: 0, in: 1, out: 2 } as const;
export type Bulk = (typeof Bulk)[keyof typeof Bulk];

/** One instruction of the image that accesses the vVAR. */
export interface AccessSite {
  readonly kind: Kind;
  /** Name of the instruction, as in the text format. */
  readonly op: string;
  readonly atomic: boolean;
  /** Bytes; 0 for bulk accesses, whose length is an operand. */
  readonly size: number;
  /** Constant added to the address operand. */
  readonly offset: number;
  /** For {@link Kind.copy}. */
  readonly bulk: Bulk;
  /** Index of the function that holds it, in the image's own numbering. */
  readonly func: number;
  /** Where that function's body begins and ends in the image. */
  readonly body: readonly [number, number];
  /** Byte offset of the instruction in the image: what source maps count in. */
  readonly position: number;
}

/** Type of the value on the operand stack. */
type Operand = "i32" | "i64" | "f32" | "f64";

/** Form of an access instruction with a memory argument. */
export interface AccessForm {
  readonly op: string;
  readonly kind: Kind;
  readonly type: Operand;
  readonly size: number;
  readonly signed: boolean;
  readonly atomic: boolean;
}

const plain = new Map<number, AccessForm>();
const atomic = new Map<number, AccessForm>();

function define(into: Map<number, AccessForm>, code: number, op: string, kind: Kind, bytes: number): void {
  const type = op.slice(0, 3) as Operand;
  into.set(code, { op, kind, type, size: bytes, signed: op.endsWith("_s"), atomic: into === atomic });
}

const LOADS = [
  ["i32.load", 4],
  ["i64.load", 8],
  ["f32.load", 4],
  ["f64.load", 8],
  ["i32.load8_s", 1],
  ["i32.load8_u", 1],
  ["i32.load16_s", 2],
  ["i32.load16_u", 2],
  ["i64.load8_s", 1],
  ["i64.load8_u", 1],
  ["i64.load16_s", 2],
  ["i64.load16_u", 2],
  ["i64.load32_s", 4],
  ["i64.load32_u", 4],
] as const;
for (const [index, [op, bytes]] of LOADS.entries()) define(plain, 0x28 + index, op, Kind.load, bytes);

const STORES = [
  ["i32.store", 4],
  ["i64.store", 8],
  ["f32.store", 4],
  ["f64.store", 8],
  ["i32.store8", 1],
  ["i32.store16", 2],
  ["i64.store8", 1],
  ["i64.store16", 2],
  ["i64.store32", 4],
] as const;
for (const [index, [op, bytes]] of STORES.entries()) define(plain, 0x36 + index, op, Kind.store, bytes);

/** Every group of atomics comes in these seven widths, in this order of codes. */
const WIDTHS = [
  ["i32", "", 4],
  ["i64", "", 8],
  ["i32", "8", 1],
  ["i32", "16", 2],
  ["i64", "8", 1],
  ["i64", "16", 2],
  ["i64", "32", 4],
] as const;
const RMW = [
  [0x1e, "add", Kind.add],
  [0x25, "sub", Kind.sub],
  [0x2c, "and", Kind.and],
  [0x33, "or", Kind.or],
  [0x3a, "xor", Kind.xor],
  [0x41, "xchg", Kind.exchange],
  [0x48, "cmpxchg", Kind.cas],
] as const;
for (const [index, [type, width, bytes]] of WIDTHS.entries()) {
  const narrow = width === "" ? "" : "_u";
  define(atomic, 0x10 + index, `${type}.atomic.load${width}${narrow}`, Kind.load, bytes);
  define(atomic, 0x17 + index, `${type}.atomic.store${width}`, Kind.store, bytes);
  for (const [base, name, kind] of RMW) {
    define(atomic, base + index, `${type}.atomic.rmw${width}.${name}${narrow}`, kind, bytes);
  }
}

/** Plain loads and stores by opcode. */
export const PLAIN_ACCESSES: ReadonlyMap<number, AccessForm> = plain;
/** Atomic loads, stores and read-modify-writes by the code behind the prefix 0xFE. */
export const ATOMIC_ACCESSES: ReadonlyMap<number, AccessForm> = atomic;

/** Does this access change the vVAR? (a CAS counts even when it fails: what matters is that it may) */
export function writes(kind: Kind): boolean {
  return kind !== Kind.load && kind !== Kind.wait && kind !== Kind.notify;
}

/** Accesses that a process makes from JavaScript, plain, to a place that the image gave it: `thread.read`, `thread.write`. */
export const HOST_ACCESSES: readonly AccessSite[] = [1, 2, 4, 8].flatMap((size) =>
  ([Kind.load, Kind.store] as const).map((kind) => ({
    kind,
    op: `${kind === Kind.load ? "read" : "write"} of ${size * 8} bits by the host`,
    atomic: false,
    size,
    offset: 0,
    bulk: Bulk.within,
    func: -1,
    body: [-1, -1],
    position: -1,
  })),
);
