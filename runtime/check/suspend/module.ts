/** What the rewriting has to know of a module besides its code: types, numbers and who may be called by reference. */
import { Reader, type Section, sections } from "../../image/sections.ts";
import { type Instruction, Op, readInstruction } from "../instructions.ts";
import { readValueType, SectionId, skipLimits, unsupported, ValueType } from "../wasm-binary.ts";

export interface FunctionType {
  readonly params: readonly number[];
  readonly results: readonly number[];
}

export interface ImportedFunction {
  readonly module: string;
  readonly name: string;
}

/** A function of the module's own. */
export interface Body {
  /** First byte of its locals' declarations, first byte of its code, first byte behind it. */
  readonly start: number;
  readonly code: number;
  readonly end: number;
  /** Types of the locals behind the parameters. */
  readonly locals: readonly number[];
  readonly instructions: readonly Instruction[];
}

export class ModuleView {
  readonly bytes: Uint8Array;
  readonly sections: readonly Section[];
  readonly types: FunctionType[] = [];
  readonly imports: ImportedFunction[] = [];
  /** Index of the type of every function, imported ones first. */
  readonly functions: number[] = [];
  readonly tables: number[] = [];
  readonly globals: number[] = [];
  memories = 0;
  readonly bodies: Body[] = [];
  /** Functions that somebody may call without naming them. */
  readonly referenced = new Set<number>();

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.sections = [...sections(bytes)];
    this.each(SectionId.type, (reader) => this.types.push(readFunctionType(reader)));
    this.each(SectionId.import, (reader) => this.readImport(reader));
    this.each(SectionId.function, (reader) => this.functions.push(reader.u32()));
    this.each(SectionId.table, (reader) => {
      this.tables.push(readValueType(reader));
      skipLimits(reader);
    });
    this.each(SectionId.memory, (reader) => {
      skipLimits(reader);
      this.memories++;
    });
    this.each(SectionId.global, (reader) => {
      this.globals.push(readValueType(reader));
      reader.u8();
      this.readExpression(reader);
    });
    this.each(SectionId.element, (reader) => this.readElements(reader));
    this.each(SectionId.code, (reader) => this.bodies.push(this.readBody(reader)));
  }

  /** Type of a function, imported or not. */
  typeOf(func: number): FunctionType {
    return this.type(this.functions[func] ?? -1);
  }

  type(index: number): FunctionType {
    const type = this.types[index];
    if (!type) throw unsupported(`it names a type ${index} that is not there`);
    return type;
  }

  private each(id: number, read: (reader: Reader) => void): void {
    const found = this.sections.find((section) => section.id === id);
    if (!found) return;
    const reader = new Reader(this.bytes, found.start, found.end);
    for (let left = reader.u32(); left > 0; left--) read(reader);
  }

  private readImport(reader: Reader): void {
    this.imports.push({ module: reader.name(), name: reader.name() });
    // The outlined module imports nothing but functions.
    if (reader.u8() !== 0) throw unsupported("it imports more than functions");
    this.functions.push(reader.u32());
  }

  private readElements(reader: Reader): void {
    const flags = reader.u32();
    const passive = (flags & 1) !== 0;
    const explicit = (flags & 2) !== 0;
    if (!passive) {
      if (explicit) reader.u32();
      this.readExpression(reader);
    }
    if ((flags & 3) !== 0) {
      // Kind of the elements, or with expressions their type.
      if ((flags & 4) !== 0) readValueType(reader);
      else reader.u8();
    }
    for (let left = reader.u32(); left > 0; left--) {
      if ((flags & 4) !== 0) this.readExpression(reader);
      else this.referenced.add(reader.u32());
    }
  }

  private readExpression(reader: Reader): void {
    while (this.read(reader).op !== Op.end);
  }

  private read(reader: Reader): Instruction {
    const instruction = readInstruction(reader);
    if (instruction.op === Op.refFunc) this.referenced.add(instruction.index);
    return instruction;
  }

  private readBody(reader: Reader): Body {
    const length = reader.u32();
    const start = reader.at;
    const end = start + length;
    reader.take(length);
    const body = new Reader(this.bytes, start, end);
    const locals: number[] = [];
    for (let groups = body.u32(); groups > 0; groups--) {
      const count = body.u32();
      // The engines' own limit.
      if (locals.length + count > 50_000) throw unsupported(`a function at byte ${start} has too many locals`);
      const type = readValueType(body);
      for (let left = count; left > 0; left--) locals.push(type);
    }
    const code = body.at;
    const instructions: Instruction[] = [];
    while (body.at < end) instructions.push(this.read(body));
    return { start, code, end, locals, instructions };
  }
}

function readFunctionType(reader: Reader): FunctionType {
  const form = reader.u8();
  if (form !== 0x60) throw unsupported(`its type of the form 0x${form.toString(16)} is none of a function`);
  const list = (): number[] => {
    const types: number[] = [];
    for (let left = reader.u32(); left > 0; left--) types.push(readValueType(reader));
    return types;
  };
  return { params: list(), results: list() };
}

/** Parameters and results of a block, from its immediate. */
export function blockType(view: ModuleView, index: number): FunctionType {
  if (index >= 0) return view.type(index);
  return { params: [], results: index === -0x40 ? [] : [-index] };
}

/** Bytes that a value takes in a saved frame; 0 for references, which have no bytes. */
export function bytesOf(type: number): number {
  switch (type) {
    case ValueType.i32:
    case ValueType.f32:
      return 4;
    case ValueType.i64:
    case ValueType.f64:
      return 8;
    case ValueType.v128:
      return 16;
    default:
      return 0;
  }
}
