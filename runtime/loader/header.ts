/**
 * The first 1024 bytes of every vVAR belong to the loader, all little endian:
 *
 * ```text
 *  0   magic "VVAR"            4  header version          8  ABI fingerprint (8 bytes)
 * 16   size in bytes (f64)    24  state                  28  managed
 * 32   next pid's sequence number                        40  boot id (u64, not 0)
 * 64   word that the image's fences read, modify and write
 * ```
 *
 * Written once by `map`, before any other thread has the memory; afterwards only the state (once) and the sequence number change.
 */
import { VdsoError } from "../errors.ts";
import type { VdsoHandle } from "./handle.ts";

const MAGIC = 0x52415656;
const VERSION = 1;
/** No vVAR is smaller. */
export const HEADER_BYTES = 1024;

const OFFSET = { magic: 0, version: 4, fingerprint: 8, size: 16, state: 24, managed: 28, sequence: 32, bootId: 40 };

const STATE = { none: 0, initialising: 1, ready: 2, failed: 3 } as const;

/** `pid = generation * 1024 + index`; index 0 is nobody's. */
const PID_INDEXES = 1024;
const MAX_GENERATION = 2 ** 21;
/** Index 1 is left to the kernel, or to whoever mapped the image. */
const FIRST_INDEX = 2;

/** Writes the header of a fresh vVAR; it is `initialising` until {@link markReady} or {@link markFailed}. */
export function writeHeader(memory: WebAssembly.Memory, fingerprint: string, managed: boolean): void {
  const view = new DataView(memory.buffer);
  const bootId = crypto.getRandomValues(new BigUint64Array(1))[0]!;
  view.setUint32(OFFSET.version, VERSION, true);
  for (let at = 0; at < 8; at++) {
    view.setUint8(OFFSET.fingerprint + at, Number.parseInt(fingerprint.slice(at * 2, at * 2 + 2), 16));
  }
  view.setFloat64(OFFSET.size, memory.buffer.byteLength, true);
  view.setUint32(OFFSET.managed, managed ? 1 : 0, true);
  view.setBigUint64(OFFSET.bootId, bootId === 0n ? 1n : bootId, true);
  Atomics.store(words(memory), OFFSET.state / 4, STATE.initialising);
  view.setUint32(OFFSET.magic, MAGIC, true);
}

export function markReady(memory: WebAssembly.Memory): void {
  Atomics.store(words(memory), OFFSET.state / 4, STATE.ready);
}

export function markFailed(memory: WebAssembly.Memory): void {
  Atomics.store(words(memory), OFFSET.state / 4, STATE.failed);
}

/**
 * Does the vVAR belong to the image that the library was made for, and is it ready?
 *
 * @throws VdsoError `ERR_VDSO_SIZE`, `ERR_VDSO_UNINITIALISED`, `ERR_VDSO_MAGIC`, `ERR_VDSO_HEADER_VERSION`, `ERR_VDSO_FINGERPRINT`,
 * `ERR_VDSO_INITIALISING`, `ERR_VDSO_INIT_FAILED`
 */
export function checkHeader(handle: VdsoHandle, vvarBytes: number): void {
  const { memory, name } = handle;
  const refuse = (code: `ERR_VDSO_${string}`, expected: string, found: string | number): VdsoError =>
    new VdsoError(code, `${name}: expected ${expected}, found ${found}`);
  const bytes = memory.buffer.byteLength;
  const needed = Math.max(vvarBytes, HEADER_BYTES);
  if (bytes < needed) throw refuse("ERR_VDSO_SIZE", `a vVAR of at least ${needed} bytes`, `${bytes}`);

  const view = new DataView(memory.buffer);
  const magic = view.getUint32(OFFSET.magic, true);
  if (magic === 0)
    throw refuse("ERR_VDSO_UNINITIALISED", "a vVAR that map() has set up", "one that was never initialised");
  if (magic !== MAGIC) throw refuse("ERR_VDSO_MAGIC", `a vVAR (magic ${hex(MAGIC)})`, hex(magic));
  const version = view.getUint32(OFFSET.version, true);
  if (version !== VERSION) throw refuse("ERR_VDSO_HEADER_VERSION", `header version ${VERSION}`, version);
  const fingerprint = readFingerprint(view);
  if (fingerprint !== handle.fingerprint) {
    throw refuse("ERR_VDSO_FINGERPRINT", `a vVAR with the handle's fingerprint ${handle.fingerprint}`, fingerprint);
  }
  const size = view.getFloat64(OFFSET.size, true);
  if (size !== bytes) throw refuse("ERR_VDSO_SIZE", `a vVAR of ${size} bytes, as its header says`, `${bytes}`);

  const state = Atomics.load(words(memory), OFFSET.state / 4);
  if (state === STATE.initialising)
    throw refuse("ERR_VDSO_INITIALISING", "a vVAR that is ready", "one whose init() runs");
  if (state === STATE.failed) throw refuse("ERR_VDSO_INIT_FAILED", "a vVAR that is ready", "one whose init() failed");
  if (state !== STATE.ready) throw refuse("ERR_VDSO_UNINITIALISED", "a vVAR that is ready", `state ${state}`);
}

/** Checks a pid that the application chose, or takes the next one where no kernel assigns them. */
export function claimPid(memory: WebAssembly.Memory, name: string, pid: number | undefined): number {
  if (pid !== undefined) {
    checkPid(name, pid);
    return pid;
  }
  if (new DataView(memory.buffer).getUint32(OFFSET.managed, true) !== 0) {
    throw new VdsoError("ERR_VDSO_PID", `${name}: expected a pid (a kernel assigns them for this vVAR), found none`);
  }
  const sequence = Atomics.add(words(memory), OFFSET.sequence / 4, 1) >>> 0;
  const indexes = PID_INDEXES - FIRST_INDEX;
  return (Math.floor(sequence / indexes) % MAX_GENERATION) * PID_INDEXES + FIRST_INDEX + (sequence % indexes);
}

/** @throws VdsoError `ERR_VDSO_PID` - not `generation * 1024 + index` with an index from 1 to 1023. */
export function checkPid(name: string, pid: number): void {
  if (Number.isInteger(pid) && pid > 0 && pid < MAX_GENERATION * PID_INDEXES && pid % PID_INDEXES !== 0) return;
  throw new VdsoError(
    "ERR_VDSO_PID",
    `${name}: expected a pid of the form generation * 1024 + index, index 1 to 1023, found ${pid}`,
  );
}

function readFingerprint(view: DataView): string {
  return Array.from({ length: 8 }, (_, at) => byteHex(view.getUint8(OFFSET.fingerprint + at))).join("");
}

const byteHex = (byte: number): string => byte.toString(16).padStart(2, "0");
const hex = (word: number): string => `0x${word.toString(16).padStart(8, "0")}`;
const words = (memory: WebAssembly.Memory): Int32Array => new Int32Array(memory.buffer, 0, HEADER_BYTES / 4);
