/**
 * Values in a task's bytes: arguments on the way in, a result or an error on the way out.
 *
 * ```
 * 0 form u8   1 scalars u8   2 loans u16   4 length u32   8 time at which it began, f64, us   16 pid of its creator; time at which it ended   24 content
 * Scalars   what numbers, booleans, null and undefined are, a byte each; then the numbers, 8 bytes each, from the next multiple of 8 on
 * Value     what the codec made of it
 * Lent      arguments: 8 bytes offset in the heap of a buffer that holds the same
 * Sent      a result: 8 bytes handle, 8 bytes length of a buffer that holds the same; then, from the next multiple of 8 on, of each loan 8 bytes handle, 8 bytes length
 * ```
 * What does not fit lies in the shared heap. A buffer of arguments stays its sender's, who has it until the task has ended; the task reads it where it
 * is. A buffer of a result is handed over to whoever gets the result; everything that names it is written before, so that of a task whose process dies
 * in the middle its creator finds what had been sent.
 */
import { HEAP_BYTES } from "../../generated/vheap/vheap.js";
import { DATA_BYTES, type VschedApi } from "../../generated/vsched/vsched.js";
import { VdsoError } from "../errors.ts";
import { structured } from "../ipc/codec.ts";
import { type Heap, Loan, tookBack } from "../ipc/heap.ts";
import { vvarOf } from "../loader/attach.ts";
import { syncOf, syncToken } from "./sync.ts";
import { INDEX_MASK } from "./task-table.ts";

const Form = { Nothing: 0, Scalars: 1, Value: 2, Lent: 3, Sent: 4 } as const;
const Scalar = { Undefined: 0, Null: 1, False: 2, True: 3, Number: 4 } as const;

const BEGAN = 8;
const CREATOR = 16;
const ENDED = 16;
const CONTENT = 24;
const INLINE_BYTES = DATA_BYTES - CONTENT;
const LOAN_BYTES = 16;
/** More of them are left to the codec. */
const MAX_SCALARS = 8;
const FIRST_NUMBER = CONTENT + MAX_SCALARS;
/** Bytes of at least this length go into the heap by themselves: copied once on each side, and not by the codec. */
const LARGE_BYTES = 4096;

/** Arguments that wait for room, in a form that later changes of the values do not reach. */
export interface Packed {
  readonly scalars: readonly unknown[] | undefined;
  readonly bytes: Uint8Array;
}

const NO_BYTES = new Uint8Array(0);

/** How values get into the tasks of an image and out again, for one process. */
export class Payloads {
  readonly heap: Heap | undefined;
  /** Where the bytes of the table's first task are, and how far apart those of two are. */
  readonly #first: number;
  readonly #stride: number;
  readonly #owner: { readonly api: VschedApi };
  readonly #pid: number;
  readonly #bytes: Uint8Array<SharedArrayBuffer>;
  readonly #words: Uint32Array<SharedArrayBuffer>;
  readonly #floats: Float64Array<SharedArrayBuffer>;
  /** Buffers of arguments, by task. */
  readonly #lent = new Map<number, Loan[]>();
  #lentBytes = 0;

  /** Without a heap, values have to fit into a task. */
  constructor(api: VschedApi, pid: number, heap: Heap | undefined) {
    this.#first = api.dataAddress(0);
    this.#stride = api.dataAddress(1) - this.#first;
    this.#owner = { api };
    this.#pid = pid;
    this.heap = heap;
    const vvar = vvarOf(api);
    this.#bytes = new Uint8Array(vvar);
    this.#words = new Uint32Array(vvar);
    this.#floats = new Float64Array(vvar);
  }

  /** Bytes of the heap that arguments of this process's tasks take. */
  get lentBytes(): number {
    return this.#lentBytes;
  }

  /** @throws VdsoError `ERR_VDSO_TOO_LARGE` - there is no heap. For other errors see {@link Heap.loan}. */
  loan(bytes: number): Loan {
    return this.#heapFor("loan", bytes).loan(bytes);
  }

  // ------------------------------------------------------------------ arguments

  /**
   * Encodes arguments that cannot be sent yet.
   *
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent.
   */
  pack(args: readonly unknown[]): Packed {
    if (args.length <= MAX_SCALARS && args.every(isScalar)) return { scalars: [...args], bytes: NO_BYTES };
    return { scalars: undefined, bytes: encode(args, "arguments", borrowed).slice() };
  }

  /**
   * Writes a task's arguments, before its start.
   *
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent.
   * @throws VdsoError `ERR_VDSO_TOO_LARGE` - they do not fit into a task, and there is no heap.
   * @throws VdsoError `ERR_VDSO_OUT_OF_MEMORY`, `ERR_VDSO_HEAP_BUSY` - not now. Arguments take at most half of the heap together, so that there is room
   * for results.
   * @throws VdsoError `ERR_VDSO_HEAP_SIZE` - they are larger than that.
   */
  putArguments(id: number, args: readonly unknown[] | Packed): void {
    const at = this.#dataAt(id);
    this.#floats[(at + BEGAN) >>> 3] = 0;
    this.#floats[(at + CREATOR) >>> 3] = this.#pid;
    const packed = "bytes" in args ? args : undefined;
    const scalars = packed ? packed.scalars : (args as readonly unknown[]);
    if (scalars && this.#putScalars(at, scalars)) return;
    const loans: Loan[] = [];
    try {
      const bytes = packed?.bytes ?? encode(args, "arguments", (value) => borrowed(value) ?? this.#aside(value, loans));
      if (bytes.length <= INLINE_BYTES) this.#putInline(at, bytes);
      else this.#putLent(at, this.#lend(bytes, loans).byteOffset, bytes.length);
    } catch (error) {
      this.#free(loans);
      throw error;
    }
    if (loans.length > 0) this.#lent.set(id, loans);
  }

  /** Copies bytes into the heap. */
  #lend(bytes: Uint8Array, loans: Loan[]): Uint8Array {
    const heap = this.#heapFor("arguments", bytes.length);
    this.#refuseMoreThanHalf(bytes.length);
    const loan = heap.loan(bytes.length);
    loans.push(loan);
    this.#lentBytes += loan.length;
    loan.bytes.set(bytes);
    return loan.bytes;
  }

  #aside(value: object, loans: Loan[]): unknown {
    if (!this.heap || !isLarge(value)) return undefined;
    return [this.#lend(value, loans).byteOffset, value.length, 1];
  }

  #free(loans: readonly Loan[]): void {
    for (const loan of loans) {
      this.#lentBytes -= loan.length;
      loan.release();
    }
  }

  /**
   * Reads the arguments of a task that begins here, with one more behind them. Loans become views of the sender's memory.
   *
   * @throws VdsoError `ERR_VDSO_TASK_KILLED` - the sender has ended, and its memory with it.
   */
  takeArguments(id: number, last?: unknown): unknown[] {
    const at = this.#dataAt(id);
    if (this.#bytes[at] === Form.Scalars) {
      const scalars = this.#takeScalars(at);
      scalars.push(last);
      return scalars;
    }
    const args = structured.decode(this.#encodedArguments(at), (token) => this.#borrow(token)) as unknown[];
    const sender = this.#floats[(at + CREATOR) >>> 3]!;
    // Looked at after the copies: the heap takes a process out before it takes back its memory.
    if (this.heap && !this.heap.api.isAttached(sender)) {
      throw new VdsoError(
        "ERR_VDSO_TASK_KILLED",
        `task ${id}: expected arguments of a process that lives, found that ${sender} has ended`,
      );
    }
    return [...args, last];
  }

  #encodedArguments(at: number): Uint8Array {
    switch (this.#bytes[at]) {
      case Form.Value:
        return this.#inline(at);
      case Form.Lent:
        // A copy: what was checked has to be what is used.
        return new Uint8Array(this.#view(this.#floats[(at + CONTENT) >>> 3]!, this.#words[(at + 4) >>> 2]!));
      default:
        throw damaged();
    }
  }

  /** The task has ended: its arguments are not needed any more. */
  freeArguments(id: number): void {
    if (this.#lent.size === 0) return;
    const loans = this.#lent.get(id);
    if (!loans) return;
    this.#lent.delete(id);
    this.#free(loans);
  }

  // ------------------------------------------------------------------ results

  /** Notes when a task began. */
  stampBegin(id: number, us: number): void {
    this.#floats[(this.#dataAt(id) + BEGAN) >>> 3] = us;
  }

  /** Notes when a task ended, and what became of it. Loans in the value are handed over. @throws as {@link putArguments} */
  putResult(id: number, value: unknown, us: number): void {
    const at = this.#dataAt(id);
    const receiver = this.#floats[(at + CREATOR) >>> 3]!;
    if (isScalar(value)) this.#putScalar(at, value);
    else {
      const loans: Loan[] = [];
      const made: Loan[] = [];
      try {
        const bytes = encode(value, "result", (object) => this.#sendable(object, loans, made));
        if (loans.length === 0 && bytes.length <= INLINE_BYTES) this.#putInline(at, bytes);
        else this.#sendLoan(at, bytes, loans, receiver);
      } catch (error) {
        for (const loan of made) loan[Symbol.dispose]();
        throw error;
      }
    }
    this.#floats[(at + ENDED) >>> 3] = us;
  }

  /** @returns which of the loans it is, and 1 if its receiver gets a copy */
  #sendable(object: object, loans: Loan[], made: Loan[]): unknown {
    if (object instanceof Loan) return [loans.push(object) - 1, 0];
    if (!this.heap || !isLarge(object)) return syncToken(object);
    const loan = this.heap.loan(object.length);
    made.push(loan);
    loan.bytes.set(object);
    return [loans.push(loan) - 1, 1];
  }

  /** Writes that there is no value. */
  putNothing(id: number, us: number): void {
    const at = this.#dataAt(id);
    this.#bytes[at] = Form.Nothing;
    this.#floats[(at + ENDED) >>> 3] = us;
  }

  /** Reads what became of a task that has exited. @throws VdsoError `ERR_VDSO_GARBAGE` - these are not bytes of a value. */
  takeResult(id: number): unknown {
    const at = this.#dataAt(id);
    switch (this.#bytes[at]) {
      case Form.Nothing:
        return undefined;
      case Form.Scalars:
        return this.#takeScalars(at)[0];
      case Form.Value:
        return structured.decode(this.#inline(at), (token) => this.#syncOf(token));
      case Form.Sent:
        return this.#receiveLoan(at);
      default:
        throw damaged();
    }
  }

  /** Of a task whose process died: gives back what had been sent of its result. */
  discardResult(id: number): void {
    const at = this.#dataAt(id);
    const { heap } = this;
    if (!heap || this.#bytes[at] !== Form.Sent) return;
    // The buffer with the names of the others is sent first: when it did not come, nothing did, and its sender's memory is taken back by the heap.
    const handle = this.#floats[(at + CONTENT) >>> 3]!;
    const capacity = heap.api.accept(handle);
    if (capacity < 0) return;
    for (const [other] of this.#named(at, heap.memory.subarray(heap.api.offsetOf(handle)), capacity)) {
      if (heap.api.accept(other) > 0) heap.api.release(other);
    }
    heap.api.release(handle);
  }

  /** When a task that has exited began (0: it has not), and when it ended, in microseconds of the shared clock. */
  beganAt(id: number): number {
    return this.#floats[(this.#dataAt(id) + BEGAN) >>> 3]!;
  }
  endedAt(id: number): number {
    return this.#floats[(this.#dataAt(id) + ENDED) >>> 3]!;
  }

  /** As the image's `dataAddress`, without a call. */
  #dataAt(id: number): number {
    return this.#first + (id & INDEX_MASK) * this.#stride;
  }

  // ------------------------------------------------------------------ inline

  /** @returns false: not all of them are scalars */
  #putScalars(at: number, values: readonly unknown[]): boolean {
    const { length } = values;
    if (length > MAX_SCALARS) return false;
    for (let n = 0; n < length; n++) if (!this.#scalarAt(at, n, values[n])) return false;
    this.#bytes[at] = Form.Scalars;
    this.#bytes[at + 1] = length;
    return true;
  }

  #putScalar(at: number, value: unknown): void {
    this.#scalarAt(at, 0, value);
    this.#bytes[at] = Form.Scalars;
    this.#bytes[at + 1] = 1;
  }

  #scalarAt(at: number, n: number, value: unknown): boolean {
    let kind: number;
    if (typeof value === "number") {
      this.#floats[((at + FIRST_NUMBER) >>> 3) + n] = value;
      kind = Scalar.Number;
    } else if (value === undefined) kind = Scalar.Undefined;
    else if (value === null) kind = Scalar.Null;
    else if (typeof value === "boolean") kind = value ? Scalar.True : Scalar.False;
    else return false;
    this.#bytes[at + CONTENT + n] = kind;
    return true;
  }

  #takeScalars(at: number): unknown[] {
    const count = Math.min(this.#bytes[at + 1]!, MAX_SCALARS);
    const values: unknown[] = [];
    for (let n = 0; n < count; n++) {
      switch (this.#bytes[at + CONTENT + n]) {
        case Scalar.Number:
          values.push(this.#floats[((at + FIRST_NUMBER) >>> 3) + n]);
          break;
        case Scalar.Null:
          values.push(null);
          break;
        case Scalar.True:
          values.push(true);
          break;
        case Scalar.False:
          values.push(false);
          break;
        default:
          values.push(undefined);
      }
    }
    return values;
  }

  #putInline(at: number, bytes: Uint8Array): void {
    this.#bytes[at] = Form.Value;
    this.#words[(at + 4) >>> 2] = bytes.length;
    this.#bytes.set(bytes, at + CONTENT);
  }

  #inline(at: number): Uint8Array {
    const length = Math.min(this.#words[(at + 4) >>> 2]!, INLINE_BYTES);
    return this.#bytes.slice(at + CONTENT, at + CONTENT + length);
  }

  // ------------------------------------------------------------------ in the heap

  #putLent(at: number, where: number, length: number): void {
    this.#bytes[at] = Form.Lent;
    this.#words[(at + 4) >>> 2] = length;
    this.#floats[(at + CONTENT) >>> 3] = where;
  }

  /** A result in a buffer of the heap, with the buffers that are part of it. Nothing was handed over when this throws. */
  #sendLoan(at: number, bytes: Uint8Array, loans: readonly Loan[], receiver: number): void {
    if (loans.length > 0xffff) throw new VdsoError("ERR_VDSO_TOO_LARGE", `result: expected at most 65535 loans`);
    const table = tableAfter(bytes.length);
    const own = this.#heapFor("result", bytes.length).loan(table + loans.length * LOAN_BYTES);
    own.bytes.set(bytes);
    const view = viewOf(own.bytes);
    for (const [n, loan] of loans.entries()) {
      view.setFloat64(table + n * LOAN_BYTES, loan.sentHandle, true);
      view.setFloat64(table + n * LOAN_BYTES + 8, loan.length, true);
    }
    this.#words[(at + 4) >>> 2] = bytes.length;
    this.#bytes[at + 2] = loans.length & 0xff;
    this.#bytes[at + 3] = loans.length >> 8;
    this.#floats[(at + CONTENT) >>> 3] = own.sentHandle;
    this.#floats[(at + CONTENT + 8) >>> 3] = own.length;
    this.#bytes[at] = Form.Sent;
    const sent: Loan[] = [];
    try {
      for (const loan of [own, ...loans]) {
        loan.transfer(receiver);
        sent.push(loan);
      }
    } catch (error) {
      for (const loan of sent) tookBack(loan);
      own[Symbol.dispose]();
      throw error;
    }
  }

  #receiveLoan(at: number): unknown {
    const { heap } = this;
    if (!heap) throw damaged();
    const total = this.#floats[(at + CONTENT + 8) >>> 3]!;
    const length = this.#words[(at + 4) >>> 2]!;
    using own = heap.accept(this.#floats[(at + CONTENT) >>> 3]!, total);
    const copy = new Uint8Array(own.bytes);
    const loans: Loan[] = [];
    try {
      for (const [handle, bytes] of this.#named(at, copy, total)) loans.push(heap.accept(handle, bytes));
      return structured.decode(copy.subarray(0, length), (token) => {
        const sync = syncOf(this.#owner, token);
        if (sync) return sync;
        const [index, copied] = token as number[];
        const loan = loans[index!];
        if (!loan) throw damaged();
        if (copied !== 1) return loan;
        const bytes = new Uint8Array(loan.bytes);
        loan.release();
        return bytes;
      });
    } catch (error) {
      for (const loan of loans) loan[Symbol.dispose]();
      throw error;
    }
  }

  /** Handle and length of each loan in a result, as the first `total` bytes of its buffer say. */
  #named(at: number, buffer: Uint8Array, total: number): [handle: number, bytes: number][] {
    const table = tableAfter(this.#words[(at + 4) >>> 2]!);
    const count = this.#bytes[at + 2]! | (this.#bytes[at + 3]! << 8);
    if (table + count * LOAN_BYTES > total) throw damaged();
    const view = viewOf(buffer);
    return Array.from({ length: count }, (_, n) => {
      const start = table + n * LOAN_BYTES;
      return [view.getFloat64(start, true), view.getFloat64(start + 8, true)];
    });
  }

  #heapFor(what: string, bytes: number): Heap {
    if (this.heap) return this.heap;
    throw new VdsoError(
      "ERR_VDSO_TOO_LARGE",
      `${what}: expected at most ${INLINE_BYTES} bytes, as long as the kernel has no image vheap, found ${bytes}`,
    );
  }

  #refuseMoreThanHalf(bytes: number): void {
    const limit = HEAP_BYTES / 2;
    if (bytes > limit) {
      throw new VdsoError(
        "ERR_VDSO_HEAP_SIZE",
        `arguments: expected at most ${limit} bytes, half of the heap, found ${bytes}`,
      );
    }
    if (this.#lentBytes + bytes <= limit) return;
    throw new VdsoError(
      "ERR_VDSO_OUT_OF_MEMORY",
      `arguments: expected room for ${bytes} bytes, found that arguments of tasks take ${this.#lentBytes} of the ${limit} bytes that they may`,
    );
  }

  #borrow(token: unknown): unknown {
    const sync = syncOf(this.#owner, token);
    if (sync) return sync;
    const [offset, length, copied] = token as number[];
    const view = this.#view(offset!, length!);
    return copied === 1 ? new Uint8Array(view) : view;
  }

  #syncOf(token: unknown): unknown {
    const sync = syncOf(this.#owner, token);
    if (!sync) throw damaged();
    return sync;
  }

  #view(offset: number, length: number): Uint8Array<SharedArrayBuffer> {
    const { heap } = this;
    const end = offset + length;
    if (!heap || !Number.isInteger(offset) || offset < 0 || !(end <= heap.memory.length)) throw damaged();
    return heap.memory.subarray(offset, end) as Uint8Array<SharedArrayBuffer>;
  }
}

/** A loan among arguments: its receiver looks at the sender's memory. A mutex is the same one there. */
function borrowed(value: object): unknown {
  return value instanceof Loan ? [value.bytes.byteOffset, value.length] : syncToken(value);
}

function encode(value: unknown, what: string, replace: (value: object) => unknown): Uint8Array {
  try {
    return structured.encode(value, replace);
  } catch (error) {
    if (!(error instanceof VdsoError) || error.code !== "ERR_VDSO_NOT_CLONABLE") throw error;
    throw new VdsoError(error.code, error.message.replace(/^value/, what));
  }
}

/** Where the names of loans begin, behind a value of so many bytes. */
function tableAfter(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

function viewOf({ buffer, byteOffset, length }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, length);
}

function isLarge(value: object): value is Uint8Array {
  return value instanceof Uint8Array && value.length >= LARGE_BYTES;
}

function isScalar(value: unknown): boolean {
  return typeof value === "number" || value === undefined || value === null || value === true || value === false;
}

function damaged(): VdsoError {
  return new VdsoError("ERR_VDSO_GARBAGE", "expected the bytes of a task's value, found others");
}
