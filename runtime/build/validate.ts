/**
 * A second opinion on every image: WABT's validator, which shares no code with the compiler, then our own structural check.
 *
 * ```ts
 * await validateImage(image, manifest);
 * ```
 */
import wabt from "wabt";
import { VdsoError } from "../errors.ts";
import { packManifest } from "../image/compact.ts";
import type { Manifest } from "../image/manifest.ts";
import { readImage } from "../image/read.ts";
import { verifyStructure } from "../image/verify.ts";

/** Also needed by whoever reads an image with WABT: it refuses two memories and atomics unless told. */
export const WABT_FEATURES = {
  threads: true,
  multi_memory: true,
  bulk_memory: true,
  mutable_globals: true,
  sat_float_to_int: true,
  sign_extension: true,
  multi_value: true,
  reference_types: true,
  simd: true,
  extended_const: true,
} as const;

/** WABT's own types leave out that validating needs the features, too. */
interface Validator {
  validate(features: typeof WABT_FEATURES): void;
  destroy(): void;
}

let loading: ReturnType<typeof wabt> | undefined;

/**
 * Reads an image back from its bytes and checks all of it.
 *
 * @param manifest - What the build put into it; what is read back must say the same.
 * @throws VdsoError `ERR_VDSO_IMAGE_INVALID` - not valid WebAssembly, or another manifest.
 * @throws VdsoError `ERR_VDSO_IMAGE_...` - see {@link readImage} and {@link verifyStructure}.
 */
export async function validateImage(image: Uint8Array, manifest: Manifest): Promise<void> {
  loading ??= wabt();
  const { readWasm } = await loading;
  let module: Validator | undefined;
  try {
    // A copy: WABT reads the whole pool behind a Node buffer.
    module = readWasm(new Uint8Array(image), { readDebugNames: false, ...WABT_FEATURES });
    module.validate(WABT_FEATURES);
  } catch (cause) {
    const found = cause instanceof Error ? cause.message.trim() : String(cause);
    throw new VdsoError("ERR_VDSO_IMAGE_INVALID", `expected valid WebAssembly, found: ${found}`, { cause });
  } finally {
    module?.destroy();
  }
  const found = await readImage(image);
  if (packManifest(found) !== packManifest(manifest)) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_INVALID",
      "expected the manifest that was written, found another one in the image",
    );
  }
  verifyStructure(image, manifest);
}
