/** What an access makes of the value in the vVAR; 64-bit values as two halves, so that no step allocates a bigint. */
import { Kind } from "./accesses.ts";

/** The value that {@link combine} leaves in the vVAR. */
export const combined = { low: 0, high: 0 };

/**
 * Computes what a read-modify-write stores, into {@link combined}. Narrow values come zero-extended; the caller cuts the result.
 *
 * @returns false for a CAS that fails and stores nothing.
 */
export function combine(
  kind: Kind,
  size: number,
  low: number,
  high: number,
  aLow: number,
  aHigh: number,
  bLow: number,
  bHigh: number,
): boolean {
  switch (kind) {
    case Kind.store:
    case Kind.exchange:
      combined.low = aLow;
      combined.high = aHigh;
      return true;
    case Kind.add: {
      const sum = (low + aLow) | 0;
      combined.low = sum;
      combined.high = (high + aHigh + (sum >>> 0 < low >>> 0 ? 1 : 0)) | 0;
      return true;
    }
    case Kind.sub:
      combined.low = (low - aLow) | 0;
      combined.high = (high - aHigh - (low >>> 0 < aLow >>> 0 ? 1 : 0)) | 0;
      return true;
    case Kind.and:
      combined.low = low & aLow;
      combined.high = high & aHigh;
      return true;
    case Kind.or:
      combined.low = low | aLow;
      combined.high = high | aHigh;
      return true;
    case Kind.xor:
      combined.low = low ^ aLow;
      combined.high = high ^ aHigh;
      return true;
    case Kind.cas:
      // A narrow CAS cuts its operands to the width of the word, as it cuts what it stores.
      if (low !== (size === 1 ? aLow & 0xff : size === 2 ? aLow & 0xffff : aLow) || (size === 8 && high !== aHigh)) {
        return false;
      }
      combined.low = bLow;
      combined.high = bHigh;
      return true;
    default:
      return false;
  }
}

/** A vVAR that calls run on directly, without other threads: for `init`, `processInit` and the set-up. */
export class DirectVvar {
  readonly bytes: Uint8Array<ArrayBuffer>;
  private readonly view: DataView;
  /** High half of the last 64-bit {@link DirectVvar.read}. */
  high = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }

  read(address: number, size: number): number {
    if (size === 1) return this.view.getUint8(address);
    if (size === 2) return this.view.getUint16(address, true);
    if (size === 8) this.high = this.view.getInt32(address + 4, true);
    return this.view.getInt32(address, true);
  }

  write(address: number, size: number, low: number, high: number): void {
    if (size === 1) this.view.setUint8(address, low);
    else if (size === 2) this.view.setUint16(address, low, true);
    else {
      this.view.setInt32(address, low, true);
      if (size === 8) this.view.setInt32(address + 4, high, true);
    }
  }
}
