/**
 * What is read again behind a stop: what has to be saved there, and all that may be. A value that nobody reads any more would tell apart
 * states from which the same follows.
 *
 * Classical backward analysis, on the structures themselves: every label has the set that is live where it leads to, and only loops have to be
 * gone through again, until the set at their start is as large as what leads back to it. A read counts only if its value is needed: by an
 * instruction that does more than compute, or for a local that is live. So a sum that is carried round a loop and never used is not live.
 *
 * @see https://en.wikipedia.org/wiki/Live-variable_analysis
 */
import { type Instruction, Op } from "../instructions.ts";
import type { ModuleView } from "./module.ts";
import { isLast, type Plan } from "./plan.ts";
import { isPure, type Signature, signatureOf, structureSignature } from "./signature.ts";

type Bits = Uint32Array;

/** What is needed behind a stop, its own operands and results aside. */
export interface Needed {
  /** Locals, ascending. */
  readonly locals: readonly number[];
  /** Of the operands below, from the bottom: is it? */
  readonly operands: readonly boolean[];
}

interface Label {
  readonly live: Bits;
  /** Height of the operand stack below what a branch carries. */
  readonly height: number;
  /** Of the carried values: is it needed? Undefined where all are. */
  readonly needed: readonly boolean[] | undefined;
  readonly carries: number;
}

/** What is needed behind each stop of a plan. */
export function neededBehindStops(
  view: ModuleView,
  instructions: readonly Instruction[],
  plan: Plan,
  locals: readonly number[],
  results: number,
): readonly Needed[] {
  return new Liveness(view, instructions, plan, locals, results).run();
}

class Liveness {
  private readonly view: ModuleView;
  private readonly instructions: readonly Instruction[];
  private readonly plan: Plan;
  private readonly locals: readonly number[];
  private readonly results: number;
  private readonly stops: ReadonlySet<number>;
  private readonly none: Bits;
  private readonly starts: Int32Array;
  /** Height of the operand stack before each instruction; -1 where it is never reached. */
  private readonly heights: Int32Array;
  private readonly signatures: (Signature | undefined)[] = [];
  private readonly found = new Map<number, Needed>();
  /** Live at the start of each loop, as far as known. */
  private readonly loops = new Map<number, Bits>();
  private readonly labels: Label[] = [];
  /** By height: is the operand there needed? Valid below the height of the place that the analysis has come to. */
  private readonly needed: boolean[] = [];

  constructor(
    view: ModuleView,
    instructions: readonly Instruction[],
    plan: Plan,
    locals: readonly number[],
    results: number,
  ) {
    this.view = view;
    this.instructions = instructions;
    this.plan = plan;
    this.locals = locals;
    this.results = results;
    this.stops = new Set(plan.stops);
    this.none = new Uint32Array((locals.length + 31) >>> 5);
    this.starts = new Int32Array(instructions.length).fill(-1);
    for (const [start, end] of plan.ends.entries()) if (end >= 0) this.starts[end] = start;
    this.heights = new Int32Array(instructions.length).fill(-1);
  }

  run(): readonly Needed[] {
    const end = this.instructions.length - 1;
    this.measure(0, end, 0);
    this.labels.push({ live: this.none, height: 0, needed: undefined, carries: this.results });
    this.need(0, this.results, true);
    this.back(0, end, this.none.slice());
    return this.plan.stops.map((at) => this.found.get(at)!);
  }

  /** Goes forward once, for the heights. */
  private measure(from: number, to: number, base: number): void {
    let height = base;
    for (let at = from; at < to; at++) {
      const instruction = this.instructions[at]!;
      this.heights[at] = height;
      const end = this.plan.ends[at]!;
      if (end >= 0) {
        const { takes, leaves } = structureSignature(this.view, instruction);
        const inner = height - (instruction.op === Op.if ? 1 : 0);
        const middle = this.plan.elses[at]!;
        this.measure(at + 1, middle < 0 ? end : middle, inner);
        if (middle >= 0) this.measure(middle + 1, end, inner);
        height += leaves.length - takes;
        this.heights[end] = height;
        at = end;
      } else if (isLast(instruction.op)) return;
      else if (instruction.op === Op.brIf) height--;
      else {
        const signature = signatureOf(this.view, this.locals, instruction);
        this.signatures[at] = signature;
        height += signature.leaves.length - signature.takes;
      }
    }
  }

  /** Goes back from `to` to `from`; `live` is what is live behind, and becomes what is live before. */
  private back(from: number, to: number, live: Bits): void {
    for (let at = to - 1; at >= from; at--) {
      const instruction = this.instructions[at]!;
      if (instruction.op === Op.end) {
        const start = this.starts[at]!;
        if (this.heights[start]! >= 0) this.structure(start, at, live);
        at = start;
      } else if (this.heights[at]! >= 0) this.step(at, instruction, live);
    }
  }

  private step(at: number, instruction: Instruction, live: Bits): void {
    const height = this.heights[at]!;
    const { op, index } = instruction;
    if (op === Op.br || op === Op.brIf || op === Op.brTable) {
      this.branch(instruction, height, live);
      return;
    }
    if (isLast(op)) {
      live.fill(0);
      const takes = op === Op.return ? this.results : op === Op.unreachable ? 0 : height;
      this.need(height - takes, takes, true);
      return;
    }
    const { takes, leaves } = this.signatures[at]!;
    const base = height - takes;
    const wanted = this.needed.slice(base, base + leaves.length).includes(true);
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    switch (op) {
      case Op.localGet:
        if (wanted) live[word]! |= bit;
        break;
      case Op.localSet:
      case Op.localTee:
        this.needed[base] = wanted || (live[word]! & bit) !== 0;
        live[word]! &= ~bit;
        break;
      case Op.drop:
        this.needed[base] = false;
        break;
      case Op.call:
      case Op.callIndirect:
        if (this.stops.has(at)) this.found.set(at, { locals: members(live), operands: this.needed.slice(0, base) });
        this.need(base, takes, true);
        break;
      default:
        this.need(base, takes, wanted || !isPure(op));
    }
  }

  private branch({ op, index, list }: Instruction, height: number, live: Bits): void {
    const label = this.label(index);
    const base = height - label.carries - (op === Op.br ? 0 : 1);
    for (let position = 0; position < label.carries; position++) {
      let needed = op === Op.brIf && this.needed[base + position]!;
      for (const depth of [index, ...list]) needed ||= this.label(depth).needed?.[position] ?? true;
      this.needed[base + position] = needed;
    }
    if (op !== Op.br) this.needed[height - 1] = true;
    if (op === Op.brIf) add(live, label.live);
    else live.set(label.live);
    for (const depth of list) add(live, this.label(depth).live);
  }

  private structure(start: number, end: number, live: Bits): void {
    const { op } = this.instructions[start]!;
    const { takes, leaves } = structureSignature(this.view, this.instructions[start]!);
    const height = this.heights[start]! - takes;
    if (op === Op.loop) {
      const behind = live.slice();
      const results = this.needed.slice(height, height + leaves.length);
      const head = this.loops.get(start) ?? this.none.slice();
      this.loops.set(start, head);
      this.labels.push({ live: head, height, needed: undefined, carries: takes });
      do {
        live.set(behind);
        this.restore(height, results);
        this.back(start + 1, end, live);
      } while (add(head, live));
      this.labels.pop();
      return;
    }
    const needed = this.needed.slice(height, height + leaves.length);
    this.labels.push({ live: live.slice(), height, needed, carries: leaves.length });
    const middle = this.plan.elses[start]!;
    if (op === Op.if) {
      const other = live.slice();
      if (middle >= 0) this.back(middle + 1, end, other);
      this.restore(height, needed);
      this.back(start + 1, middle >= 0 ? middle : end, live);
      add(live, other);
      // What both arms take is needed if one of them needs it, and the condition always is.
      this.need(height, takes, true);
    } else this.back(start + 1, end, live);
    this.labels.pop();
  }

  private label(depth: number): Label {
    return this.labels[this.labels.length - 1 - depth]!;
  }

  private need(height: number, count: number, needed: boolean): void {
    for (let position = 0; position < count; position++) this.needed[height + position] = needed;
  }

  private restore(height: number, needed: readonly boolean[]): void {
    for (const [position, is] of needed.entries()) this.needed[height + position] = is;
  }
}

/** Adds a set to another; true if that grew. */
function add(to: Bits, from: Bits): boolean {
  let grew = false;
  for (let word = 0; word < to.length; word++) {
    const sum = (to[word]! | from[word]!) >>> 0;
    if (sum !== to[word]) grew = true;
    to[word] = sum;
  }
  return grew;
}

function members(bits: Bits): number[] {
  const list: number[] = [];
  for (const [word, value] of bits.entries()) {
    for (let bit = 0; bit < 32; bit++) if ((value & (1 << bit)) !== 0) list.push(word * 32 + bit);
  }
  return list;
}
