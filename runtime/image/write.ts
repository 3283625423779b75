/**
 * Makes an image of a module: appends the manifest as custom section `vdso`.
 *
 * ```ts
 * const { image, manifest } = await writeImage(module, description);
 * manifest.fingerprint; // computed here
 * ```
 *
 * The section's contents, `checksum` being SHA-256 over all of the module's bytes before the section and the manifest's:
 *
 * ```text
 *  0      4        5           37
 * +------+--------+-----------+------------------+
 * | vdso | version | checksum | manifest (JSON)  |
 * +------+--------+-----------+------------------+
 * ```
 */
import { VdsoError } from "../errors.ts";
import { packManifest } from "./compact.ts";
import { abiFingerprint, sha256 } from "./fingerprint.ts";
import { MANIFEST_VERSION, type Manifest } from "./manifest.ts";
import { leb128, Reader, SECTION_NAME, sections } from "./sections.ts";

/**
 * @param module - A WebAssembly module that is not an image yet; copied.
 * @throws VdsoError `ERR_VDSO_IMAGE_MAGIC`, `ERR_VDSO_IMAGE_TRUNCATED` - `module` is not WebAssembly.
 * @throws VdsoError `ERR_VDSO_IMAGE_CORRUPT` - `module` is an image already.
 */
export async function writeImage(
  module: Uint8Array,
  description: Omit<Manifest, "fingerprint">,
): Promise<{ image: Uint8Array<ArrayBuffer>; manifest: Manifest }> {
  for (const section of sections(module)) {
    if (section.id === 0 && new Reader(module, section.start, section.end).name() === SECTION_NAME) {
      throw new VdsoError("ERR_VDSO_IMAGE_CORRUPT", `expected a module without a section "${SECTION_NAME}", found one`);
    }
  }
  const manifest: Manifest = { ...description, fingerprint: await abiFingerprint(description) };
  const text = new TextEncoder();
  const packed = text.encode(packManifest(manifest));
  const name = text.encode(SECTION_NAME);
  const head = [name.length, ...name, ...name, MANIFEST_VERSION];
  const checksum = await sha256([module, packed]);
  const size = leb128(head.length + checksum.length + packed.length);
  const image = new Uint8Array(module.length + 1 + size.length + head.length + checksum.length + packed.length);
  let at = 0;
  for (const part of [module, [0], size, head, checksum, packed]) {
    image.set(part, at);
    at += part.length;
  }
  return { image, manifest };
}
