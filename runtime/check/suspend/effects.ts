/** What an instruction does to the operand stack, wherever it stands. */
import { ATOMIC_ACCESSES, Kind, PLAIN_ACCESSES } from "../accesses.ts";
import { Op, PREFIXED } from "../instructions.ts";
import { ValueType } from "../wasm-binary.ts";

const { i32, i64, f32, f64, v128, funcref } = ValueType;

/** How many operands an instruction takes, and the type of the one it leaves, or 0. */
export interface Effect {
  readonly takes: number;
  readonly leaves: number;
}

const effects = new Map<number, Effect>();

function define(first: number, last: number, takes: number, leaves: number): void {
  for (let op = first; op <= last; op++) effects.set(op, { takes, leaves });
}

define(0x01, 0x01, 0, 0); // nop
define(0x24, 0x24, 1, 0); // global.set
define(0x3f, 0x3f, 0, i32); // memory.size
define(Op.i32Const, Op.i32Const, 0, i32);
define(Op.i64Const, Op.i64Const, 0, i64);
define(0x43, 0x43, 0, f32); // f32.const, f64.const
define(0x44, 0x44, 0, f64);
define(0xd1, 0xd1, 1, i32); // ref.is_null
define(Op.refFunc, Op.refFunc, 0, funcref);

const VALUE: Readonly<Record<string, number>> = { i32, i64, f32, f64 };
for (const [op, { kind, type }] of PLAIN_ACCESSES) {
  if (kind === Kind.load) define(op, op, 1, VALUE[type]!);
  else define(op, op, 2, 0);
}
for (const [code, { kind, type }] of ATOMIC_ACCESSES) {
  const op = PREFIXED.atomic + code;
  if (kind === Kind.store) define(op, op, 2, 0);
  else define(op, op, kind === Kind.load ? 1 : kind === Kind.cas ? 3 : 2, VALUE[type]!);
}

// Numeric instructions: runs of equal effect, from the first code on.
type Run = readonly [length: number, takes: number, leaves: number];
function defineRuns(first: number, runs: readonly Run[]): void {
  let op = first;
  for (const [length, takes, leaves] of runs) {
    if (takes > 0) define(op, op + length - 1, takes, leaves);
    op += length;
  }
}

defineRuns(0x45, [
  [1, 1, i32], // i32.eqz
  [10, 2, i32], // comparisons of i32
  [1, 1, i32], // i64.eqz
  [22, 2, i32], // comparisons of i64, f32, f64
  [3, 1, i32],
  [15, 2, i32],
  [3, 1, i64],
  [15, 2, i64],
  [7, 1, f32],
  [7, 2, f32],
  [7, 1, f64],
  [7, 2, f64],
  [5, 1, i32], // i32.wrap_i64, truncations
  [6, 1, i64],
  [5, 1, f32],
  [5, 1, f64],
  [1, 1, i32], // reinterpretations
  [1, 1, i64],
  [1, 1, f32],
  [1, 1, f64],
  [2, 1, i32], // sign extensions
  [3, 1, i64],
]);
defineRuns(PREFIXED.bulk, [
  [4, 1, i32], // saturating truncations
  [4, 1, i64],
]);
define(PREFIXED.bulk + 8, PREFIXED.bulk + 8, 3, 0); // memory.init
define(PREFIXED.bulk + 10, PREFIXED.bulk + 11, 3, 0); // memory.copy, memory.fill
define(PREFIXED.bulk + 16, PREFIXED.bulk + 16, 0, i32); // table.size

// Vector instructions in the order of their codes; a run that takes nothing is a gap.
const GAP = (length: number): Run => [length, 0, 0];
defineRuns(PREFIXED.vector, [
  [11, 1, v128], // loads
  [1, 2, 0], // v128.store
  GAP(1), // v128.const
  [2, 2, v128], // shuffle, swizzle
  [6, 1, v128], // splats
  [2, 1, i32], // lanes of i8x16: extract twice, replace
  [1, 2, v128],
  [2, 1, i32],
  [1, 2, v128],
  [1, 1, i32],
  [1, 2, v128],
  [1, 1, i64],
  [1, 2, v128],
  [1, 1, f32],
  [1, 2, v128],
  [1, 1, f64],
  [1, 2, v128],
  [42, 2, v128], // comparisons
  [1, 1, v128], // not
  [4, 2, v128],
  [1, 3, v128], // bitselect
  [1, 1, i32], // any_true
  [4, 2, v128], // load and store of lanes
  [4, 2, 0],
  [2, 1, v128], // load32_zero, load64_zero
  [5, 1, v128], // demote, promote, i8x16.abs, neg, popcnt
  [2, 1, i32], // all_true, bitmask
  [2, 2, v128],
  [4, 1, v128], // rounding of f32x4
  [9, 2, v128],
  [2, 1, v128],
  [4, 2, v128],
  [1, 1, v128],
  [1, 2, v128],
  [6, 1, v128], // extadd_pairwise, i16x8.abs, neg
  [1, 2, v128],
  [2, 1, i32],
  [2, 2, v128],
  [4, 1, v128],
  [9, 2, v128],
  [1, 1, v128], // f64x2.nearest
  [5, 2, v128],
  GAP(1),
  [5, 2, v128],
  [2, 1, v128], // i32x4.abs, neg
  GAP(1),
  [2, 1, i32],
  GAP(2),
  [4, 1, v128],
  [4, 2, v128],
  GAP(2),
  [1, 2, v128],
  GAP(3),
  [6, 2, v128],
  GAP(1),
  [4, 2, v128],
  [2, 1, v128], // i64x2.abs, neg
  GAP(1),
  [2, 1, i32],
  GAP(2),
  [4, 1, v128],
  [4, 2, v128],
  GAP(2),
  [1, 2, v128],
  GAP(3),
  [11, 2, v128],
  [2, 1, v128], // f32x4.abs, neg
  GAP(1),
  [1, 1, v128],
  [8, 2, v128],
  [2, 1, v128], // f64x2.abs, neg
  GAP(1),
  [1, 1, v128],
  [8, 2, v128],
  [8, 1, v128], // conversions
  [1, 2, v128], // relaxed: swizzle, truncations, multiply-add and lane selection, the rest
  [4, 1, v128],
  [8, 3, v128],
  [6, 2, v128],
  [1, 3, v128],
]);
define(PREFIXED.vector + 12, PREFIXED.vector + 12, 0, v128);
define(PREFIXED.atomic + 3, PREFIXED.atomic + 3, 0, 0); // atomic.fence

/** Effect of an instruction whose operands do not depend on its surroundings; undefined for those that do, or are not known. */
export function effectOf(op: number): Effect | undefined {
  return effects.get(op);
}
