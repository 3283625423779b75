/**
 * Rewrites a function so that it can leave at any of its stops and be entered there again.
 *
 * Each sequence of instructions that holds stops, directly or in structures, begins with jumps over what stands before them; a jump leads
 * from structure to structure down to the stop itself:
 *
 *   block $stop                    ;; one for each item of the sequence
 *     (br_if $stop (local.get $to))
 *     ...                          ;; the original code up to the stop; its operands are in locals now
 *   end
 *   (if (local.get $to) (then      ;; take the frame off: restore the locals, to = 0
 *   (call $f ...)                  ;; when returning its operands are nothing: it takes its own from its frame
 *   (if (i32.load $mode) (then     ;; the thread was stopped in there
 *     ...                          ;; save the locals that are read behind here, and the number of the stop
 *     (return)))
 */

import { Reader } from "../../image/sections.ts";
import { type Instruction, Op } from "../instructions.ts";
import { ByteWriter, unsupported, ValueType } from "../wasm-binary.ts";
import { FrameWriter, MAX_STOPS, type SavedLocal } from "./frame.ts";
import { type Needed, neededBehindStops } from "./liveness.ts";
import { type Body, blockType, bytesOf, type FunctionType, type ModuleView } from "./module.ts";
import { OperandStack, type Source } from "./operand-stack.ts";
import { type Item, isLast, type Plan, plan } from "./plan.ts";
import type { Reach } from "./reach.ts";
import { signatureOf, structureSignature } from "./signature.ts";

export interface RewriteOptions {
  /** Number of the memory with the frames. */
  readonly memory: number;
  /** Operands of a call that it takes also when the thread comes back to it, by their positions. */
  readonly lasting: (func: number) => readonly number[];
}

/** Rewrites one body; returns it from the declarations of its locals on. */
export function rewriteBody(view: ModuleView, reach: Reach, func: number, options: RewriteOptions): Uint8Array {
  return new Rewriter(view, reach, func, options).run();
}

/** Where a label of the original stands in the rewritten code. */
interface Label {
  /** How deep it is nested, itself included. */
  readonly nesting: number;
  /** Types of what a branch to it carries. */
  readonly carries: readonly number[];
}

class Rewriter {
  private readonly view: ModuleView;
  private readonly options: RewriteOptions;
  private readonly body: Body;
  private readonly type: FunctionType;
  private readonly plan: Plan;
  private readonly needed: readonly Needed[];
  private readonly locals: number[];
  private readonly writer = new ByteWriter();
  private readonly stack: OperandStack;
  private readonly frame: FrameWriter;
  /** Local with the number of the stop to go to; 0 for none. */
  private readonly to: number;
  private readonly labels: Label[];
  private nesting = 0;

  constructor(view: ModuleView, reach: Reach, func: number, options: RewriteOptions) {
    this.view = view;
    this.options = options;
    this.body = view.bodies[func - view.imports.length]!;
    this.type = view.typeOf(func);
    this.locals = [...this.type.params, ...this.body.locals];
    this.plan = plan(this.body.instructions, reach);
    if (this.plan.stops.length > MAX_STOPS) throw unsupported(`function ${func} accesses the vVAR in too many places`);
    this.needed = neededBehindStops(
      view,
      this.body.instructions,
      this.plan,
      [...this.locals],
      this.type.results.length,
    );
    this.stack = new OperandStack(this.writer, (type) => this.newLocal(type));
    this.to = this.newLocal(ValueType.i32);
    this.frame = new FrameWriter(this.writer, options.memory, this.newLocal(ValueType.i32), this.to);
    this.labels = [{ nesting: 0, carries: this.type.results }];
  }

  run(): Uint8Array {
    const { instructions } = this.body;
    this.frame.enter();
    if (this.sequence(this.plan.items, 0, instructions.length - 1)) this.stack.want(this.type.results.length);
    this.writer.byte(0x0b);
    return this.declarations().bytes(this.writer.take()).take();
  }

  private newLocal(type: number): number {
    return this.locals.push(type) - 1;
  }

  /** The original's declarations, and the new locals behind them. */
  private declarations(): ByteWriter {
    const { bytes } = this.view;
    const { start, code, locals } = this.body;
    const added = this.locals.slice(this.type.params.length + locals.length);
    const reader = new Reader(bytes, start, code);
    const writer = new ByteWriter().u32(reader.u32() + added.length).bytes(bytes.subarray(reader.at, code));
    for (const type of added) writer.byte(1, type);
    return writer;
  }

  /** A sequence of instructions. Is its end reached? */
  private sequence(items: readonly Item[], from: number, to: number): boolean {
    const { instructions } = this.body;
    const { ends } = this.plan;
    // Where nothing stands before the only item, there is nothing to jump over.
    const jumps = items.length > 1 || (items.length === 1 && items[0]!.at > from);
    if (jumps) this.jumps(items);
    let next = 0;
    for (let at = from; at < to; at++) {
      const item = items[next];
      if (item?.at === at) {
        next++;
        this.item(item, jumps);
        if (item.arms.length > 0) at = ends[at]!;
        continue;
      }
      const instruction = instructions[at]!;
      if (ends[at]! >= 0) {
        this.untouched(at, ends[at]!);
        at = ends[at]!;
      } else this.instruction(instruction);
      if (isLast(instruction.op)) return false;
    }
    return true;
  }

  private jumps(items: readonly Item[]): void {
    const { writer, to } = this;
    for (let count = items.length; count > 0; count--) this.open();
    if (items.length === 1) {
      writer.byte(0x20).u32(to).byte(0x0d, 0);
      return;
    }
    const { first } = items[0]!;
    writer.byte(0x02, 0x40, 0x20).u32(to).byte(0x41).s32(first).byte(0x6b, 0x0e);
    writer.u32(items.at(-1)!.next - first);
    for (const [index, item] of items.entries())
      for (let stop = item.first; stop < item.next; stop++) writer.u32(index + 1);
    // No stop to go to is a number below the first: unsigned, one above all.
    writer.byte(0, 0x0b);
  }

  private open(): void {
    this.writer.byte(0x02, 0x40);
    this.nesting++;
  }

  private close(): void {
    this.writer.byte(0x0b);
    this.nesting--;
  }

  private item(item: Item, jumps: boolean): void {
    const instruction = this.body.instructions[item.at]!;
    const { op } = instruction;
    if (item.arms.length === 0) this.stop(instruction, item.first, jumps);
    else if (op === Op.if) this.branching(instruction, item, jumps);
    else {
      this.stack.place(0);
      if (jumps) this.close();
      this.writer.byte(op);
      this.structure(instruction, item);
    }
  }

  /** Block, loop, or `if` behind its opcode. */
  private structure(instruction: Instruction, item: Item): void {
    const { view, stack, writer } = this;
    const { params, results } = blockType(view, instruction.index);
    if (params.length > 0) {
      throw unsupported("a block that takes operands holds an access to the vVAR");
    }
    writer.bytes(view.bytes.subarray(instruction.from + 1, instruction.to));
    this.nesting++;
    this.labels.push({ nesting: this.nesting, carries: instruction.op === Op.loop ? [] : results });
    const { height } = stack;
    const end = this.plan.ends[item.at]!;
    const middle = this.plan.elses[item.at]!;
    const arms =
      middle < 0
        ? [[item.at + 1, end]]
        : [
            [item.at + 1, middle],
            [middle + 1, end],
          ];
    for (const [index, [from, to]] of (arms as [number, number][]).entries()) {
      if (index > 0) writer.byte(0x05);
      if (this.sequence(item.arms[index]!, from, to)) stack.want(results.length);
      stack.cut(height);
    }
    this.labels.pop();
    this.close();
    for (const type of results) stack.push(type);
  }

  /** An `if` with stops in it: who goes back to one of them goes into its arm whatever the condition is, which nobody kept. */
  private branching(instruction: Instruction, item: Item, jumps: boolean): void {
    const { stack, writer, to } = this;
    stack.place(1);
    const [condition] = stack.takePlaced(1) as [Source];
    if (jumps) this.close();
    const [thenArm, elseArm] = item.arms;
    if (elseArm!.length === 0) {
      stack.get(condition);
      writer.byte(0x20).u32(to).byte(0x72);
    } else {
      // The number of the first stop of the other arm divides them; 0, which is always below, when that is the only arm.
      if (thenArm!.length === 0) writer.byte(0x41, 0);
      else writer.byte(0x20).u32(to).byte(0x41).s32(elseArm![0]!.first).byte(0x49);
      stack.get(condition);
      writer.byte(0x20).u32(to).byte(0x1b);
    }
    writer.byte(0x04);
    this.structure(instruction, item);
  }

  /** A call that may come back because the thread was stopped in it. */
  private stop(instruction: Instruction, number: number, jumps: boolean): void {
    const { view, stack, writer, frame } = this;
    const indirect = instruction.op === Op.callIndirect;
    const { params, results } = indirect ? view.type(instruction.index) : view.typeOf(instruction.index);
    const count = params.length + (indirect ? 1 : 0);
    stack.place(count);
    const operands = stack.takePlaced(count);
    if (jumps) this.close();
    const lasting = indirect ? [params.length] : this.options.lasting(instruction.index);
    const saved = this.savedLocals(
      number,
      lasting.map((position) => operands[position]!),
    );

    writer.byte(0x20).u32(this.to).byte(0x04, 0x40);
    frame.restore(saved);
    writer.byte(0x0b);
    for (const operand of operands) stack.get(operand);
    writer.bytes(view.bytes.subarray(instruction.from, instruction.to));
    stack.pushPlaced(results);
    frame.mode();
    writer.byte(0x04, 0x40);
    frame.save(number, saved);
    for (const type of this.type.results) writeZero(writer, type);
    writer.byte(0x0f, 0x0b);
  }

  /** What a frame holds: the locals that are needed behind a stop, and those that stand for operands. */
  private savedLocals(number: number, lasting: readonly Source[]): SavedLocal[] {
    const { locals, operands } = this.needed[number - 1]!;
    const below = this.stack.sources().filter((_, height) => operands[height]);
    const numbers = new Set([...locals, ...below, ...lasting].filter((source) => typeof source === "number"));
    return Array.from(numbers, (local) => {
      const type = this.locals[local]!;
      if (bytesOf(type) === 0) throw unsupported("a reference is kept across an access to the vVAR");
      return { local, type };
    });
  }

  private instruction(instruction: Instruction): void {
    const { stack, view, writer } = this;
    const { op, index, from, to } = instruction;
    switch (op) {
      case Op.localGet:
        stack.pushPending(this.locals[index]!, index);
        return;
      case Op.i32Const:
      case Op.i64Const:
        stack.pushPending(op === Op.i32Const ? ValueType.i32 : ValueType.i64, view.bytes.subarray(from, to));
        return;
      case Op.drop:
        stack.drop();
        return;
      case Op.return:
        stack.pop(this.type.results.length);
        writer.byte(op);
        return;
      case Op.br:
      case Op.brIf:
      case Op.brTable: {
        const { carries } = this.label(index);
        stack.pop(carries.length + (op === Op.br ? 0 : 1));
        this.branch(instruction);
        if (op === Op.brIf) for (const type of carries) stack.push(type);
        return;
      }
      default: {
        const { takes, leaves } = signatureOf(view, this.locals, instruction);
        const selected = op === Op.select ? stack.typeAt(1) : 0;
        stack.pop(takes);
        writer.bytes(view.bytes.subarray(from, to));
        for (const type of leaves) stack.push(type || selected);
      }
    }
  }

  /** A structure without stops: as it is, but for branches that lead out of it. */
  private untouched(start: number, end: number): void {
    const { stack, view, writer } = this;
    const { instructions } = this.body;
    const { takes, leaves } = structureSignature(view, instructions[start]!);
    stack.pop(takes);
    for (let at = start; at <= end; at++) {
      const instruction = instructions[at]!;
      if (this.plan.ends[at]! >= 0) {
        this.nesting++;
        this.labels.push({ nesting: this.nesting, carries: [] });
      }
      if (instruction.op === Op.br || instruction.op === Op.brIf || instruction.op === Op.brTable)
        this.branch(instruction);
      else writer.bytes(view.bytes.subarray(instruction.from, instruction.to));
      if (instruction.op === Op.end) {
        this.labels.pop();
        this.nesting--;
      }
    }
    for (const type of leaves) stack.push(type);
  }

  private branch({ op, index, list }: Instruction): void {
    const { writer } = this;
    writer.byte(op);
    if (op === Op.brTable) {
      writer.u32(list.length);
      for (const depth of list) writer.u32(this.depth(depth));
    }
    writer.u32(this.depth(index));
  }

  /** How far a label of the original is away in the rewritten code. */
  private depth(original: number): number {
    return this.nesting - this.label(original).nesting;
  }

  private label(depth: number): Label {
    const label = this.labels[this.labels.length - 1 - depth];
    if (!label) throw unsupported("a branch leads out of its function");
    return label;
  }
}

function writeZero(writer: ByteWriter, type: number): void {
  switch (type) {
    case ValueType.i32:
      writer.byte(0x41, 0);
      return;
    case ValueType.i64:
      writer.byte(0x42, 0);
      return;
    case ValueType.f32:
      writer.byte(0x43, 0, 0, 0, 0);
      return;
    case ValueType.f64:
      writer.byte(0x44, 0, 0, 0, 0, 0, 0, 0, 0);
      return;
    case ValueType.v128:
      writer.byte(0xfd, 12, ...new Array<number>(16).fill(0));
      return;
    default:
      // A reference; of a type of its own the engine says no.
      writer.byte(0xd0, type);
  }
}
