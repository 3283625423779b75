/** Reads the instructions of a body: where each stands, and its immediates. */
import type { Reader } from "../image/sections.ts";
import { readValueType, unsupported } from "./wasm-binary.ts";

/** Opcodes that steer the flow, or whose effect on the operand stack depends on what they name. */
export const Op = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  try: 0x06,
  catch: 0x07,
  throw: 0x08,
  rethrow: 0x09,
  throwRef: 0x0a,
  end: 0x0b,
  br: 0x0c,
  brIf: 0x0d,
  brTable: 0x0e,
  return: 0x0f,
  call: 0x10,
  callIndirect: 0x11,
  returnCall: 0x12,
  returnCallIndirect: 0x13,
  delegate: 0x18,
  catchAll: 0x19,
  drop: 0x1a,
  select: 0x1b,
  selectTyped: 0x1c,
  tryTable: 0x1f,
  localGet: 0x20,
  localSet: 0x21,
  localTee: 0x22,
  globalGet: 0x23,
  tableGet: 0x25,
  i32Const: 0x41,
  i64Const: 0x42,
  refNull: 0xd0,
  refFunc: 0xd2,
} as const;

/** Instructions behind a prefix byte are numbered from these. */
export const PREFIXED = { bulk: 0xfc000, vector: 0xfd000, atomic: 0xfe000 } as const;

export interface Instruction {
  readonly op: number;
  /** First byte, and first byte behind it. */
  readonly from: number;
  readonly to: number;
  /** The first immediate that is an index, a depth or a type; of a `br_table` the default. */
  readonly index: number;
  /** Of a `br_table`: the depths before the default. Of a typed `select`: the types. */
  readonly list: readonly number[];
}

const NONE: readonly number[] = [];

/** Reads the next instruction. */
export function readInstruction(reader: Reader): Instruction {
  const from = reader.at;
  const code = reader.u8();
  let op = code;
  let index = -1;
  let list = NONE;
  if (code >= 0x28 && code <= 0x3e) skipMemoryArgument(reader);
  else if (code >= 0xfc && code <= 0xfe) op = readPrefixed(reader, code);
  else if (code < 0x45 || code > 0xc4) {
    switch (code) {
      case Op.unreachable:
      case 0x01: // nop
      case Op.else:
      case Op.throwRef:
      case Op.end:
      case Op.return:
      case Op.catchAll:
      case Op.drop:
      case Op.select:
      case 0xd1: // ref.is_null
        break;
      case Op.block:
      case Op.loop:
      case Op.if:
      case Op.try:
        index = readBlockType(reader);
        break;
      case Op.tryTable:
        index = readBlockType(reader);
        for (let left = reader.u32(); left > 0; left--) {
          if (reader.u8() < 2) reader.u32();
          reader.u32();
        }
        break;
      case Op.brTable:
        list = Array.from({ length: count(reader) }, () => reader.u32());
        index = reader.u32();
        break;
      case Op.selectTyped:
        list = Array.from({ length: count(reader) }, () => readValueType(reader));
        break;
      case Op.callIndirect:
      case Op.returnCallIndirect:
        index = reader.u32();
        reader.u32();
        break;
      case Op.catch:
      case Op.throw:
      case Op.rethrow:
      case Op.br:
      case Op.brIf:
      case Op.call:
      case Op.returnCall:
      case Op.delegate:
      case Op.localGet:
      case Op.localSet:
      case Op.localTee:
      case Op.globalGet:
      case 0x24: // global.set
      case Op.tableGet:
      case 0x26: // table.set
      case 0x3f: // memory.size
      case 0x40: // memory.grow
      case Op.refFunc:
        index = reader.u32();
        break;
      case Op.refNull:
        index = reader.u8();
        if (index < 0x40 || index > 0x7f) throw unknown(code, from);
        break;
      case Op.i32Const:
      case Op.i64Const:
        reader.skipLeb();
        break;
      case 0x43: // f32.const
        reader.take(4);
        break;
      case 0x44: // f64.const
        reader.take(8);
        break;
      default:
        throw unknown(code, from);
    }
  }
  return { op, from, to: reader.at, index, list };
}

/** Reads how long a list of single bytes or more is, which cannot be longer than what is left. */
function count(reader: Reader): number {
  const length = reader.u32();
  if (length > reader.end - reader.at) reader.take(length);
  return length;
}

function readPrefixed(reader: Reader, prefix: number): number {
  const from = reader.at - 1;
  const code = reader.u32();
  if (prefix === 0xfc) {
    if (code > 17) throw unknown(prefix, from, code);
    if (code >= 8) reader.u32();
    if (code === 8 || code === 10 || code === 12 || code === 14) reader.u32();
    return PREFIXED.bulk + code;
  }
  if (prefix === 0xfd) {
    const laneAccess = code >= 84 && code <= 91;
    if (code <= 11 || laneAccess || code === 92 || code === 93) skipMemoryArgument(reader);
    if (laneAccess || (code >= 21 && code <= 34)) reader.u8();
    if (code === 12 || code === 13) reader.take(16);
    return PREFIXED.vector + code;
  }
  if (code === 3) reader.u8();
  else skipMemoryArgument(reader);
  return PREFIXED.atomic + code;
}

function skipMemoryArgument(reader: Reader): void {
  if ((reader.u32() & 0x40) !== 0) reader.u32();
  reader.skipLeb();
}

/** Index of a type; of no type or a single result the negative of the byte that says so. */
function readBlockType(reader: Reader): number {
  const first = reader.bytes[reader.at]!;
  return first >= 0x40 && first <= 0x7f ? -readValueType(reader) : reader.u32();
}

function unknown(code: number, at: number, second?: number): Error {
  const name = `0x${code.toString(16)}${second === undefined ? "" : ` ${second}`}`;
  return unsupported(`instruction ${name} at byte ${at} is not known here`);
}
