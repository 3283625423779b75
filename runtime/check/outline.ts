/**
 * First step of the instrumentation: takes every access to the vVAR out of an image.
 *
 * The binary itself is rewritten, instruction by instruction, and not a text or tree made from it: the code that runs under the checker
 * is the shipped code, and each access keeps the byte offset by which a source map finds its line. An access becomes a call of
 * an imported hook with the same operands and the number of its site, so nothing around it changes:
 *
 *   i32.atomic.rmw.add vvar offset=8        ->   i32.const <site>; call $rmw32
 *   i64.load16_s vvar                       ->   i32.const <site>; call $load32; i32.extend16_s; i64.extend_i32_s
 *
 * The memory import disappears, so an access that had been missed would not validate. Loops get a counter, so that one that never touches the
 * vVAR ends in an error instead of never. Mutable globals are exported: they are private state of a thread.
 */

import type { VdsoError } from "../errors.ts";
import { Reader, sections } from "../image/sections.ts";
import { type AccessForm, type AccessSite, ATOMIC_ACCESSES, Bulk, Kind, PLAIN_ACCESSES } from "./accesses.ts";
import { readInstruction } from "./instructions.ts";
import {
  ByteWriter,
  readValueType,
  SectionId,
  skipLimits,
  unsupported,
  ValueType,
  writeModule,
} from "./wasm-binary.ts";

const { i32, i64 } = ValueType;
/** Hooks in the order of their imports: name, parameters, result. The last parameter is the site. */
const HOOKS = [
  ["load32", [i32, i32], i32],
  ["load64", [i32, i32], i64],
  ["store32", [i32, i32, i32], 0],
  ["store64", [i32, i64, i32], 0],
  ["rmw32", [i32, i32, i32], i32],
  ["rmw64", [i32, i64, i32], i64],
  ["cas32", [i32, i32, i32, i32], i32],
  ["cas64", [i32, i64, i64, i32], i64],
  ["wait32", [i32, i32, i64, i32], i32],
  ["wait64", [i32, i64, i64, i32], i32],
  ["notify", [i32, i32, i32], i32],
  ["copy", [i32, i32, i32, i32], 0],
  // Out of the vVAR: the hook writes into private memory only when the thread goes on.
  ["copyOut", [i32, i32, i32, i32], 0],
  ["fill", [i32, i32, i32, i32], 0],
  ["fuel", [], 0],
] as const;
type HookName = (typeof HOOKS)[number][0];
const HOOK_INDEX = Object.fromEntries(HOOKS.map(([name], index) => [name, index])) as Record<HookName, number>;

/** Module of the hooks that may suspend the caller. */
export const HOOK_MODULE = "vvar";
/** Operands that a hook looks at also when the thread goes on behind it: where a copy leads to. */
export const LASTING_OPERANDS: ReadonlyMap<string, readonly number[]> = new Map<HookName, readonly number[]>([
  ["copyOut", [0]],
]);
/** Export of the loop counter, and prefix of the exports of the image's own mutable globals. */
export const FUEL_EXPORT = "vdso:fuel";
export const GLOBAL_EXPORT = "vdso:global:";

export interface Outlined {
  readonly module: Uint8Array<ArrayBuffer>;
  readonly sites: readonly AccessSite[];
  /** Names of functions, where the image has a name section. */
  readonly functionNames: ReadonlyMap<number, string>;
  /** Names of the functions that each function index is exported as. */
  readonly exportedNames: ReadonlyMap<number, string>;
  readonly mutableGlobals: number;
}

/**
 * Replaces every access to the vVAR.
 *
 * @param vvarPages - what `memory.size` of the vVAR is; a vVAR never grows.
 */
export function outline(image: Uint8Array, vvarPages: number): Outlined {
  return new Outliner(image, vvarPages).run();
}

class Outliner {
  private readonly image: Uint8Array;
  private readonly vvarPages: number;
  private readonly sites: AccessSite[] = [];
  private vvar = -1;
  private memories = 0;
  private importedFunctions = 0;
  private importedGlobals = 0;
  private definedGlobals = 0;
  private types = 0;
  private readonly mutableGlobals: number[] = [];
  private readonly exportedNames = new Map<number, string>();
  private functionNames = new Map<number, string>();
  private currentFunction = 0;
  private currentBody: readonly [number, number] = [0, 0];

  constructor(image: Uint8Array, vvarPages: number) {
    this.image = image;
    this.vvarPages = vvarPages;
  }

  run(): Outlined {
    const all = [...sections(this.image)];
    const reader = (id: number): Reader | undefined => {
      const found = all.find((section) => section.id === id);
      return found && new Reader(this.image, found.start, found.end);
    };
    for (const section of all) if (section.id === SectionId.custom) this.readCustom(section.start, section.end);

    // Types and imports decide every later index, so they are read before anything is written; the rest is in the order of the format.
    const types = this.rewriteTypes(reader(SectionId.type));
    const imports = this.rewriteImports(reader(SectionId.import));
    const globals = this.rewriteGlobals(reader(SectionId.global));
    const output: { id: number; content: Uint8Array }[] = [
      { id: SectionId.type, content: types },
      { id: SectionId.import, content: imports },
    ];
    const add = (id: number, content: Uint8Array | undefined): void => {
      if (content) output.push({ id, content });
    };
    const copy = (id: number): Uint8Array | undefined => {
      const found = all.find((section) => section.id === id);
      return found && this.image.subarray(found.start, found.end);
    };
    add(SectionId.function, copy(SectionId.function));
    add(SectionId.table, copy(SectionId.table));
    const memorySection = reader(SectionId.memory);
    if (memorySection) this.memories += memorySection.u32();
    add(SectionId.memory, copy(SectionId.memory));
    add(SectionId.tag, copy(SectionId.tag));
    add(SectionId.global, globals);
    add(SectionId.export, this.rewriteExports(reader(SectionId.export)));
    add(SectionId.element, this.rewriteElements(reader(SectionId.element)));
    add(SectionId.dataCount, copy(SectionId.dataCount));
    add(SectionId.code, this.rewriteCode(reader(SectionId.code)));
    add(SectionId.data, this.rewriteData(reader(SectionId.data)));
    return {
      module: writeModule(output),
      sites: this.sites,
      functionNames: this.functionNames,
      exportedNames: this.exportedNames,
      mutableGlobals: this.mutableGlobals.length,
    };
  }

  private readCustom(from: number, to: number): void {
    const reader = new Reader(this.image, from, to);
    if (reader.name() !== "name") return;
    while (reader.at < to) {
      const id = reader.u8();
      const end = reader.u32() + reader.at;
      if (id === 1) {
        for (let count = reader.u32(); count > 0; count--) this.functionNames.set(reader.u32(), reader.name());
      }
      reader.at = end;
    }
  }

  private rewriteTypes(reader: Reader | undefined): Uint8Array {
    const writer = new ByteWriter();
    this.types = reader?.u32() ?? 0;
    writer.u32(this.types + HOOKS.length);
    if (reader) writer.bytes(this.image.subarray(reader.at, reader.end));
    for (const [, params, result] of HOOKS) {
      writer.byte(0x60, params.length, ...params);
      if (result === 0) writer.byte(0);
      else writer.byte(1, result);
    }
    return writer.take();
  }

  private rewriteImports(reader: Reader | undefined): Uint8Array {
    const kept = new ByteWriter();
    let count = 0;
    for (let left = reader?.u32() ?? 0; reader && left > 0; left--) {
      const from = reader.at;
      const module = reader.name();
      const name = reader.name();
      const kind = reader.u8();
      let keep = true;
      if (kind === 0) {
        reader.skipLeb();
        this.importedFunctions++;
      } else if (kind === 2) {
        skipLimits(reader);
        if (module === "vdso" && name === "vvar") {
          this.vvar = this.memories;
          keep = false;
        } else throw unsupported(`it imports the memory ${module}.${name}; only vdso.vvar is known`);
        this.memories++;
      } else {
        const what = ["function", "table", "memory", "global", "tag"][kind] ?? `kind ${kind}`;
        throw unsupported(`it imports the ${what} ${module}.${name}; only functions and the vVAR can be imported`);
      }
      if (keep) {
        kept.bytes(this.image.subarray(from, reader.at));
        count++;
      }
    }
    const writer = new ByteWriter().u32(count + HOOKS.length).bytes(kept.take());
    for (const [index, [name]] of HOOKS.entries()) {
      writer
        .name(name === "fuel" ? "check" : HOOK_MODULE)
        .name(name)
        .byte(0)
        .u32(this.types + index);
    }
    return writer.take();
  }

  private functionIndex(index: number): number {
    return index < this.importedFunctions ? index : index + HOOKS.length;
  }

  private hook(name: HookName): number {
    return this.importedFunctions + HOOK_INDEX[name];
  }

  /** Number of a memory once the vVAR's import is gone. */
  private memoryIndex(index: number): number {
    return this.vvar >= 0 && index > this.vvar ? index - 1 : index;
  }

  private rewriteGlobals(reader: Reader | undefined): Uint8Array {
    const writer = new ByteWriter();
    this.definedGlobals = reader?.u32() ?? 0;
    writer.u32(this.definedGlobals + 1);
    for (let index = 0; reader && index < this.definedGlobals; index++) {
      const type = reader.u8();
      const mutable = reader.u8() === 1;
      if (mutable) {
        if (type < ValueType.f64 || type > ValueType.i32) {
          throw unsupported(`its mutable global ${index} is neither an integer nor a float`);
        }
        this.mutableGlobals.push(this.importedGlobals + index);
      }
      writer.byte(type, mutable ? 1 : 0);
      this.rewriteExpression(reader, writer);
    }
    // The loop counter: starts at 0 and is set before each run.
    writer.byte(ValueType.i32, 1, 0x41, 0, 0x0b);
    return writer.take();
  }

  private rewriteExports(reader: Reader | undefined): Uint8Array {
    const writer = new ByteWriter();
    const count = reader?.u32() ?? 0;
    const kept = new ByteWriter();
    let exports = 0;
    for (let left = count; reader && left > 0; left--) {
      const name = reader.name();
      const kind = reader.u8();
      const index = reader.u32();
      if (kind === 2 && index === this.vvar) continue;
      if (kind === 0) this.exportedNames.set(index, name);
      kept
        .name(name)
        .byte(kind)
        .u32(kind === 0 ? this.functionIndex(index) : kind === 2 ? this.memoryIndex(index) : index);
      exports++;
    }
    writer.u32(exports + this.mutableGlobals.length + 1).bytes(kept.take());
    for (const [position, index] of this.mutableGlobals.entries()) {
      writer
        .name(GLOBAL_EXPORT + position)
        .byte(3)
        .u32(index);
    }
    writer.name(FUEL_EXPORT).byte(3).u32(this.fuelGlobal());
    return writer.take();
  }

  private fuelGlobal(): number {
    return this.importedGlobals + this.definedGlobals;
  }

  private rewriteElements(reader: Reader | undefined): Uint8Array | undefined {
    if (!reader) return undefined;
    const writer = new ByteWriter();
    const count = reader.u32();
    writer.u32(count);
    for (let left = count; left > 0; left--) {
      const flags = reader.u32();
      writer.u32(flags);
      const passive = (flags & 1) !== 0;
      const explicit = (flags & 2) !== 0;
      if (!passive) {
        if (explicit) writer.u32(reader.u32());
        this.rewriteExpression(reader, writer);
      }
      if ((passive || explicit) && (flags & 3) !== 0) writer.byte(reader.u8());
      const items = reader.u32();
      writer.u32(items);
      for (let item = 0; item < items; item++) {
        if ((flags & 4) !== 0) this.rewriteExpression(reader, writer);
        else writer.u32(this.functionIndex(reader.u32()));
      }
    }
    return writer.take();
  }

  private rewriteData(reader: Reader | undefined): Uint8Array | undefined {
    if (!reader) return undefined;
    const writer = new ByteWriter();
    const count = reader.u32();
    writer.u32(count);
    for (let left = count; left > 0; left--) {
      const flags = reader.u32();
      const memory = flags === 2 ? reader.u32() : 0;
      if (flags !== 1) {
        if (memory === this.vvar) throw unsupported("a data segment initialises the vVAR; init() has to do that");
        const index = this.memoryIndex(memory);
        if (index === 0) writer.u32(0);
        else writer.u32(2).u32(index);
        this.rewriteExpression(reader, writer);
      } else writer.u32(1);
      const bytes = reader.u32();
      writer.u32(bytes).bytes(this.image.subarray(reader.at, reader.at + bytes));
      reader.take(bytes);
    }
    return writer.take();
  }

  private rewriteCode(reader: Reader | undefined): Uint8Array | undefined {
    if (!reader) return undefined;
    const writer = new ByteWriter();
    const count = reader.u32();
    writer.u32(count);
    for (let index = 0; index < count; index++) {
      const end = reader.u32() + reader.at;
      this.currentFunction = this.importedFunctions + index;
      this.currentBody = [reader.at, end];
      const body = new Reader(this.image, reader.at, end);
      writer.sized((inner) => {
        const locals = body.at;
        for (let groups = body.u32(); groups > 0; groups--) {
          body.skipLeb();
          readValueType(body);
        }
        inner.bytes(this.image.subarray(locals, body.at));
        while (body.at < end) this.rewriteInstruction(body, inner);
      });
      reader.at = end;
    }
    return writer.take();
  }

  /** A constant expression, up to its `end`. */
  private rewriteExpression(reader: Reader, writer: ByteWriter): void {
    while (this.rewriteInstruction(reader, writer) !== 0x0b);
  }

  /** Rewrites one instruction and returns its opcode. */
  private rewriteInstruction(reader: Reader, writer: ByteWriter): number {
    const from = reader.at;
    const code = reader.u8();
    if (code >= 0x28 && code <= 0x3e) {
      this.rewriteAccess(reader, writer, from, PLAIN_ACCESSES.get(code)!, [code]);
      return code;
    }
    switch (code) {
      case 0x26: // table.set
        throw changesUnsaved("a table", from);
      case 0x03: {
        // loop
        this.copyInstruction(reader, writer, from);
        const fuel = this.fuelGlobal();
        writer.byte(0x23).u32(fuel).byte(0x45, 0x04, 0x40, 0x10).u32(this.hook("fuel")).byte(0x0b);
        writer.byte(0x23).u32(fuel).byte(0x41, 0x7f, 0x6a, 0x24).u32(fuel);
        return code;
      }
      case 0x10: // call
      case 0x12: // return_call
      case 0xd2: // ref.func
        writer.byte(code).u32(this.functionIndex(reader.u32()));
        return code;
      case 0x3f: {
        // memory.size
        const memory = reader.u32();
        if (memory === this.vvar) writer.byte(0x41).s32(this.vvarPages);
        else writer.byte(0x3f).u32(this.memoryIndex(memory));
        return code;
      }
      case 0x40: {
        // memory.grow
        const what = reader.u32() === this.vvar ? "the vVAR, and a vVAR never grows" : "its private memory";
        throw unsupported(`it grows ${what}`);
      }
      case 0xfc:
        this.rewriteBulk(reader, writer, from);
        return code;
      case 0xfd:
        this.rewriteVector(reader, writer, from);
        return code;
      case 0xfe:
        this.rewriteAtomic(reader, writer, from);
        return code;
      default:
        this.copyInstruction(reader, writer, from);
        return code;
    }
  }

  private copyInstruction(reader: Reader, writer: ByteWriter, from: number): void {
    reader.at = from;
    readInstruction(reader);
    writer.bytes(this.image.subarray(from, reader.at));
  }

  private memoryArgument(reader: Reader): { align: number; memory: number; offset: number } {
    const flags = reader.u32();
    const memory = (flags & 0x40) !== 0 ? reader.u32() : 0;
    return { align: flags & 0x3f, memory, offset: reader.u32() };
  }

  private writeMemoryArgument(writer: ByteWriter, argument: { align: number; memory: number; offset: number }): void {
    const memory = this.memoryIndex(argument.memory);
    if (memory === 0) writer.u32(argument.align).u32(argument.offset);
    else
      writer
        .u32(argument.align | 0x40)
        .u32(memory)
        .u32(argument.offset);
  }

  private callHook(writer: ByteWriter, name: HookName, site: Omit<AccessSite, "func" | "body">): void {
    writer.byte(0x41).s32(this.sites.length).byte(0x10).u32(this.hook(name));
    this.sites.push({ ...site, func: this.currentFunction, body: this.currentBody });
  }

  private rewriteAccess(
    reader: Reader,
    writer: ByteWriter,
    from: number,
    form: AccessForm,
    code: readonly number[],
  ): void {
    const argument = this.memoryArgument(reader);
    if (argument.memory !== this.vvar) {
      writer.byte(...code);
      this.writeMemoryArgument(writer, argument);
      return;
    }
    const { kind, type, size, signed, op, atomic } = form;
    const site = { kind, op, atomic, size, offset: argument.offset, bulk: Bulk.within, position: from };
    const wide = size === 8 ? "64" : "32";
    const narrowed = type === "i64" && size < 8;
    if (kind === Kind.load) {
      this.callHook(writer, `load${wide}`, site);
      if (type === "f32") writer.byte(0xbe); // f32.reinterpret_i32
      if (type === "f64") writer.byte(0xbf); // f64.reinterpret_i64
      if (signed && size === 1) writer.byte(0xc0); // i32.extend8_s
      if (signed && size === 2) writer.byte(0xc1); // i32.extend16_s
      if (narrowed) writer.byte(signed ? 0xac : 0xad); // i64.extend_i32_s, _u
      return;
    }
    if (kind === Kind.cas) {
      // A narrow 64-bit CAS has two operands to narrow; the hook does that.
      this.callHook(writer, type === "i64" ? "cas64" : "cas32", site);
      return;
    }
    if (type === "f32") writer.byte(0xbc); // i32.reinterpret_f32
    if (type === "f64") writer.byte(0xbd); // i64.reinterpret_f64
    if (narrowed) writer.byte(0xa7); // i32.wrap_i64
    this.callHook(writer, kind === Kind.store ? `store${wide}` : `rmw${wide}`, site);
    if (kind !== Kind.store && narrowed) writer.byte(0xad); // i64.extend_i32_u
  }

  private rewriteAtomic(reader: Reader, writer: ByteWriter, from: number): void {
    const code = reader.u32();
    if (code === 3) {
      // atomic.fence: every access is sequentially consistent here, so there is nothing to do.
      reader.take(1);
      return;
    }
    const form = ATOMIC_ACCESSES.get(code);
    if (form) {
      this.rewriteAccess(reader, writer, from, form, [0xfe, code]);
      return;
    }
    const argument = this.memoryArgument(reader);
    if (argument.memory !== this.vvar) {
      throw unsupported(`a wait or notify on private memory at byte ${from}`);
    }
    const common = { atomic: true, offset: argument.offset, bulk: Bulk.within, position: from };
    if (code === 0) {
      this.callHook(writer, "notify", { ...common, kind: Kind.notify, op: "memory.atomic.notify", size: 4 });
    } else if (code === 1) {
      this.callHook(writer, "wait32", { ...common, kind: Kind.wait, op: "memory.atomic.wait32", size: 4 });
    } else if (code === 2) {
      this.callHook(writer, "wait64", { ...common, kind: Kind.wait, op: "memory.atomic.wait64", size: 8 });
    } else throw unsupported(`atomic instruction 0x${code.toString(16)} at byte ${from} is not known here`);
  }

  private rewriteBulk(reader: Reader, writer: ByteWriter, from: number): void {
    const code = reader.u32();
    const common = { atomic: false, size: 0, offset: 0, position: from };
    if (code === 10) {
      const to = reader.u32();
      const source = reader.u32();
      if (to === this.vvar || source === this.vvar) {
        const bulk = to !== source ? (to === this.vvar ? Bulk.in : Bulk.out) : Bulk.within;
        this.callHook(writer, bulk === Bulk.out ? "copyOut" : "copy", {
          ...common,
          kind: Kind.copy,
          op: "memory.copy",
          bulk,
        });
      } else writer.byte(0xfc, 10).u32(this.memoryIndex(to)).u32(this.memoryIndex(source));
      return;
    }
    if (code === 11) {
      const memory = reader.u32();
      if (memory === this.vvar) {
        this.callHook(writer, "fill", { ...common, kind: Kind.fill, op: "memory.fill", bulk: Bulk.within });
      } else writer.byte(0xfc, 11).u32(this.memoryIndex(memory));
      return;
    }
    if (code === 8) {
      const segment = reader.u32();
      const memory = reader.u32();
      if (memory === this.vvar) throw unsupported(`memory.init of the vVAR at byte ${from}`);
      writer.byte(0xfc, 8).u32(segment).u32(this.memoryIndex(memory));
      return;
    }
    if (code === 9 || code === 13) throw changesUnsaved("which segments there are", from); // data.drop, elem.drop
    // table.init, table.copy, table.grow, table.fill
    if (code === 12 || code === 14 || code === 15 || code === 17) throw changesUnsaved("a table", from);
    this.copyInstruction(reader, writer, from);
  }

  private rewriteVector(reader: Reader, writer: ByteWriter, from: number): void {
    const code = reader.u32();
    const laneAccess = code >= 84 && code <= 91;
    if (code <= 11 || laneAccess || code === 92 || code === 93) {
      const argument = this.memoryArgument(reader);
      if (argument.memory === this.vvar) throw unsupported(`a 128-bit access to the vVAR at byte ${from}`);
      writer.byte(0xfd).u32(code);
      this.writeMemoryArgument(writer, argument);
      if (laneAccess) writer.byte(reader.u8());
      return;
    }
    this.copyInstruction(reader, writer, from);
  }
}

/** Private state of a thread is its globals, its memory and its stack; what else may change would be one for all threads here. */
function changesUnsaved(what: string, at: number): VdsoError {
  return unsupported(`the instruction at byte ${at} changes ${what}, which is not saved with a thread`);
}
