/**
 * Can this engine run images? Asked before anything is compiled, so that the answer is a sentence and not a `LinkError`.
 *
 * ```ts
 * checkEngine(); // throws ERR_VDSO_ENGINE or ERR_VDSO_ISOLATION
 * ```
 */
import { VdsoError } from "../errors.ts";

/** First versions that run two memories with atomics. */
export const REQUIRED_ENGINES = "Node 22.12, Deno 2.9, Bun 1.4, Chrome 120, Edge 120 or Firefox 125";

/** A shared memory, a second one, and an access to each: what every image is made of. */
const PROBE = Uint8Array.of(
  ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
  ...[0x01, 0x04, 0x01, 0x60, 0x00, 0x00], // type: () -> ()
  ...[0x02, 0x09, 0x01, 0x01, 0x76, 0x01, 0x6d, 0x02, 0x03, 0x01, 0x01], // import: shared memory v.m
  ...[0x03, 0x02, 0x01, 0x00], // function
  ...[0x05, 0x04, 0x01, 0x01, 0x01, 0x01], // memory
  ...[0x0a, 0x12, 0x01, 0x10, 0x00], // code
  ...[0x41, 0x00, 0xfe, 0x10, 0x02, 0x00, 0x1a], // i32.atomic.load of memory 0
  ...[0x41, 0x00, 0x28, 0x42, 0x01, 0x00, 0x1a, 0x0b], // i32.load of memory 1
);

/**
 * @throws VdsoError `ERR_VDSO_ENGINE` - no WebAssembly with two memories and atomics; the message names the versions that have it.
 * @throws VdsoError `ERR_VDSO_ISOLATION` - a page that is not cross-origin isolated, so without shared memory.
 */
export function checkEngine(): void {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(PROBE)) {
    throw new VdsoError(
      "ERR_VDSO_ENGINE",
      `expected WebAssembly with several memories and atomics (${REQUIRED_ENGINES}, or later), found ${engineName()}`,
    );
  }
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated;
  if (typeof SharedArrayBuffer === "function" && isolated !== false) return;
  throw new VdsoError(
    "ERR_VDSO_ISOLATION",
    "expected shared memory, found none: in a browser the page has to be served with the headers " +
      "Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
  );
}

function engineName(): string {
  const { process, navigator } = globalThis as {
    process?: { versions?: { node?: string } };
    navigator?: { userAgent?: string };
  };
  const node = process?.versions?.node;
  return node === undefined ? (navigator?.userAgent ?? "an unknown engine") : `Node ${node}`;
}
