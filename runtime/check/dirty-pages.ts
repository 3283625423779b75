/**
 * Which parts of a private memory differ from what they were at the start: a thread's private state is those parts, usually some
 * hundred bytes of 64 KiB. Comparing 64 KiB takes JavaScript longer than the call whose state is to be saved, so a small module does it.
 */
import { ByteWriter, SectionId, ValueType, writeModule } from "./wasm-binary.ts";

/** Bytes of one page of this comparison (not a page of WebAssembly). */
export const PAGE = 256;
const PAGE_SHIFT = 8;
/** Bytes compared at once. */
const STRIDE = 32;

let compiled: WebAssembly.Module | undefined;

export class DirtyPages {
  private readonly memory: Uint8Array;
  private readonly pristine: Uint8Array;
  /** One byte a page, the first page at 1: set when it differs. */
  private readonly flags: Uint8Array;
  private readonly scanner: (bytes: number) => void;
  private readonly size: number;
  /** Pages that differ, ascending; after {@link DirtyPages.scan}. */
  readonly pages: number[] = [];

  constructor(memory: WebAssembly.Memory) {
    this.memory = new Uint8Array(memory.buffer);
    this.size = this.memory.length;
    const copy = new WebAssembly.Memory({ initial: this.size / 0x10000 + 1 });
    this.pristine = new Uint8Array(copy.buffer, 0, this.size);
    this.pristine.set(this.memory);
    this.flags = new Uint8Array(copy.buffer, this.size);
    compiled ??= new WebAssembly.Module(scannerModule());
    const instance = new WebAssembly.Instance(compiled, { check: { memory, pristine: copy } });
    this.scanner = instance.exports["scan"] as (bytes: number) => void;
  }

  /** Finds the pages that differ now. */
  scan(): void {
    this.scanner(this.size);
    this.pages.length = 0;
    for (let page = 0; page < this.size >> PAGE_SHIFT; page++) if (this.flags[page + 1] !== 0) this.pages.push(page);
  }

  content(page: number): Uint8Array {
    return this.memory.subarray(page * PAGE, page * PAGE + PAGE);
  }

  restore(page: number): void {
    this.memory.set(this.pristine.subarray(page * PAGE, page * PAGE + PAGE), page * PAGE);
  }

  set(page: number, content: Uint8Array): void {
    this.memory.set(content, page * PAGE);
  }
}

/**
 * `scan(bytes)`: for each page of memory 0, a byte behind the pristine copy in memory 1 says whether the page differs.
 *
 *   at = 0
 *   while (at < bytes) {
 *     end = at + PAGE; memory1[bytes + (end >> PAGE_SHIFT)] = 0
 *     do if (memory0[at, 32 bytes] == memory1[at, 32 bytes]) at += 32; else { memory1[bytes + (end >> PAGE_SHIFT)] = 1; at = end }
 *     while (at < end)
 *   }
 */
function scannerModule(): Uint8Array<ArrayBuffer> {
  const bytes = 0;
  const at = 1;
  const end = 2;
  const body = new ByteWriter().byte(1, 2, ValueType.i32);
  const get = (local: number): void => void body.byte(0x20, local);
  const constant = (value: number): void => void body.byte(0x41).s32(value);
  const flag = (value: number): void => {
    get(bytes);
    get(end);
    constant(PAGE_SHIFT);
    body.byte(0x76, 0x6a); // i32.shr_u, i32.add
    constant(value);
    body.byte(0x3a, 0x40, 1, 0); // i32.store8 of memory 1
  };
  const difference = (offset: number): void => {
    get(at);
    body.byte(0xfd, 0, 0).u32(offset); // v128.load of memory 0
    get(at);
    body.byte(0xfd, 0, 0x40, 1).u32(offset); // v128.load of memory 1
    body.byte(0xfd, 0x51); // v128.xor
  };
  body.byte(0x02, 0x40, 0x03, 0x40); // block, loop
  get(at);
  get(bytes);
  body.byte(0x4f, 0x0d, 1); // i32.ge_u, br_if out
  get(at);
  constant(PAGE);
  body.byte(0x6a, 0x21, end); // i32.add, local.set
  flag(0);
  body.byte(0x03, 0x40); // loop
  difference(0);
  difference(STRIDE / 2);
  body.byte(0xfd, 0x50, 0xfd, 0x53, 0x04, 0x40); // v128.or, v128.any_true, if
  flag(1);
  get(end);
  body.byte(0x21, at, 0x05); // local.set, else
  get(at);
  constant(STRIDE);
  body.byte(0x6a, 0x21, at, 0x0b); // i32.add, local.set, end
  get(at);
  get(end);
  body.byte(0x49, 0x0d, 0, 0x0b); // i32.lt_u, br_if, end of the inner loop
  body.byte(0x0c, 0, 0x0b, 0x0b, 0x0b); // br, end of loop, block and function
  const section = (id: number, fill: (writer: ByteWriter) => void): { id: number; content: Uint8Array } => {
    const writer = new ByteWriter();
    fill(writer);
    return { id, content: writer.take() };
  };
  return writeModule([
    section(SectionId.type, (writer) => writer.byte(1, 0x60, 1, ValueType.i32, 0)),
    section(SectionId.import, (writer) => {
      writer.u32(2);
      for (const name of ["memory", "pristine"]) writer.name("check").name(name).byte(2, 0, 0);
    }),
    section(SectionId.function, (writer) => writer.byte(1, 0)),
    section(SectionId.export, (writer) => writer.byte(1).name("scan").byte(0, 0)),
    section(SectionId.code, (writer) => writer.byte(1).sized((inner) => inner.bytes(body.take()))),
  ]);
}
