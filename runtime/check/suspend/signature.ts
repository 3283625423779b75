/** What an instruction takes off the operand stack and leaves there, where it stands. */

import { type Instruction, Op } from "../instructions.ts";
import { unsupported } from "../wasm-binary.ts";
import { effectOf } from "./effects.ts";
import { blockType, type ModuleView } from "./module.ts";

export interface Signature {
  readonly takes: number;
  /** Types. That of a `select` without a type is its operands', and written here as 0. */
  readonly leaves: readonly number[];
}

const NOTHING: readonly number[] = [];

/** Everything but branches, returns and structures, which depend on more. */
export function signatureOf(view: ModuleView, locals: readonly number[], { op, index, list }: Instruction): Signature {
  switch (op) {
    case Op.unreachable:
      return { takes: 0, leaves: NOTHING };
    case Op.drop:
    case Op.localSet:
      return { takes: 1, leaves: NOTHING };
    case Op.localGet:
      return { takes: 0, leaves: [locals[index]!] };
    case Op.localTee:
      return { takes: 1, leaves: [locals[index]!] };
    case Op.globalGet:
      return { takes: 0, leaves: [view.globals[index]!] };
    case Op.tableGet:
      return { takes: 1, leaves: [view.tables[index]!] };
    case Op.refNull:
      return { takes: 0, leaves: [index] };
    case Op.select:
      return { takes: 3, leaves: [0] };
    case Op.selectTyped:
      return { takes: 3, leaves: list };
    case Op.call:
    case Op.returnCall: {
      const { params, results } = view.typeOf(index);
      return { takes: params.length, leaves: results };
    }
    case Op.callIndirect:
    case Op.returnCallIndirect: {
      const { params, results } = view.type(index);
      return { takes: params.length + 1, leaves: results };
    }
    default: {
      const effect = effectOf(op);
      if (!effect) throw unsupported(`instruction 0x${op.toString(16)} in a function that accesses the vVAR`);
      return { takes: effect.takes, leaves: effect.leaves === 0 ? NOTHING : [effect.leaves] };
    }
  }
}

/** Parameters (with the condition of an `if`) and results of a structure. */
export function structureSignature(view: ModuleView, { op, index }: Instruction): Signature {
  const { params, results } = blockType(view, index);
  return { takes: params.length + (op === Op.if ? 1 : 0), leaves: results };
}

/** Does an instruction do nothing but compute a number? Then nobody needs its operands where nobody needs its result. A trap would be more. */
export function isPure(op: number): boolean {
  if (op === Op.select || op === Op.selectTyped) return true;
  if (op < 0x45 || op > 0xc4) return false;
  if (op >= 0x6d && op <= 0x70) return false; // i32.div_s to i32.rem_u
  if (op >= 0x7f && op <= 0x82) return false; // of i64
  return !((op >= 0xa8 && op <= 0xab) || (op >= 0xae && op <= 0xb1)); // truncations
}
