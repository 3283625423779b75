/** Where a body can be stopped: its stops are numbered, and every structure that holds one is an item of the sequence it stands in. */

import { type Instruction, Op } from "../instructions.ts";
import { unsupported } from "../wasm-binary.ts";
import type { Reach } from "./reach.ts";

/** A call that can be stopped, or a structure in which there is one. */
export interface Item {
  /** Index of its (first) instruction. */
  readonly at: number;
  /** Number of its first stop, and of the first behind it. Numbers begin at 1: 0 is no stop. */
  readonly first: number;
  readonly next: number;
  /** Of a structure: its sequence; of an `if`: of both arms. */
  readonly arms: readonly (readonly Item[])[];
}

export interface Plan {
  readonly items: readonly Item[];
  /** Instruction of each stop; the first one is number 1. */
  readonly stops: readonly number[];
  /** Of each instruction that opens a structure: the index of its `end`, and of its `else` or -1. */
  readonly ends: Int32Array;
  readonly elses: Int32Array;
}

export function plan(instructions: readonly Instruction[], reach: Reach): Plan {
  const { ends, elses } = match(instructions);
  const stops: number[] = [];

  const sequence = (from: number, to: number): Item[] => {
    const items: Item[] = [];
    for (let at = from; at < to; at++) {
      const instruction = instructions[at]!;
      const first = stops.length + 1;
      const item = (arms: Item[][]): void => {
        if (stops.length >= first) items.push({ at, first, next: stops.length + 1, arms });
      };
      switch (instruction.op) {
        case Op.block:
        case Op.loop:
          item([sequence(at + 1, ends[at]!)]);
          at = ends[at]!;
          break;
        case Op.if: {
          const middle = elses[at]!;
          item([sequence(at + 1, middle < 0 ? ends[at]! : middle), middle < 0 ? [] : sequence(middle + 1, ends[at]!)]);
          at = ends[at]!;
          break;
        }
        case Op.try:
        case Op.tryTable:
          throw unsupported(
            `exceptions are handled at byte ${instruction.from} of what it was rewritten to, in a function that accesses the vVAR`,
          );
        default:
          if (reach.isStop(instruction)) {
            stops.push(at);
            item([]);
          }
          if (isLast(instruction.op)) return items;
      }
    }
    return items;
  };
  return { items: sequence(0, instructions.length - 1), stops, ends, elses };
}

/** Is what stands behind this instruction, in the same sequence, never reached? */
export function isLast(op: number): boolean {
  switch (op) {
    case Op.unreachable:
    case Op.br:
    case Op.brTable:
    case Op.return:
    case Op.returnCall:
    case Op.returnCallIndirect:
    case Op.throw:
    case Op.throwRef:
    case Op.rethrow:
      return true;
    default:
      return false;
  }
}

function match(instructions: readonly Instruction[]): Pick<Plan, "ends" | "elses"> {
  const ends = new Int32Array(instructions.length).fill(-1);
  const elses = new Int32Array(instructions.length).fill(-1);
  const open: number[] = [];
  for (const [at, { op, from }] of instructions.entries()) {
    if (op === Op.block || op === Op.loop || op === Op.if || op === Op.try || op === Op.tryTable) open.push(at);
    else if (op === Op.else) elses[open.at(-1) ?? 0] = at;
    else if (op === Op.end || op === Op.delegate) {
      const start = open.pop();
      if (start !== undefined) ends[start] = at;
      else if (at !== instructions.length - 1)
        throw unsupported(`the function that ends at byte ${from} goes on behind its end`);
    }
  }
  if (open.length > 0) throw unsupported("a block does not end");
  return { ends, elses };
}
