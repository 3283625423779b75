/**
 * Reads the manifest of an image.
 *
 * ```ts
 * const manifest = await readImage(await readFile("vqueue.wasm"));
 * ```
 */
import { VdsoError } from "../errors.ts";
import { peekManifest, unpackManifest } from "./compact.ts";
import { abiFingerprint, sha256 } from "./fingerprint.ts";
import { MANIFEST_VERSION, type Manifest } from "./manifest.ts";
import { Reader, SECTION_NAME, sections } from "./sections.ts";

const MAGIC_BYTES = 4;
const CHECKSUM_BYTES = 32;

/**
 * Reads and verifies an image's manifest; any changed byte is refused.
 *
 * @throws VdsoError `ERR_VDSO_IMAGE_MAGIC` - not WebAssembly.
 * @throws VdsoError `ERR_VDSO_IMAGE_TRUNCATED` - cut off.
 * @throws VdsoError `ERR_VDSO_IMAGE_FOREIGN` - WebAssembly, but not an image.
 * @throws VdsoError `ERR_VDSO_IMAGE_VERSION` - written by a build that this reader does not know.
 * @throws VdsoError `ERR_VDSO_IMAGE_CORRUPT` - changed after it was built.
 */
export async function readImage(image: Uint8Array): Promise<Manifest> {
  let found: { head: number; start: number; end: number } | undefined;
  for (const section of sections(image)) {
    const reader = new Reader(image, section.start, section.end);
    if (section.id === 0 && reader.name() === SECTION_NAME) {
      found = { head: section.head, start: reader.at, end: section.end };
      break;
    }
  }
  if (found === undefined) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_FOREIGN",
      `expected an image (a custom section "${SECTION_NAME}"), found WebAssembly that was not built as one`,
    );
  }
  const { checksum, packed } = splitSection(image.subarray(found.start, found.end));
  if (found.end !== image.length) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_CORRUPT",
      `expected the image to end with section "${SECTION_NAME}" at ${found.end}, found ${image.length} bytes`,
    );
  }
  const computed = await sha256([image.subarray(0, found.head), packed]);
  if (!computed.every((byte, at) => byte === checksum[at])) {
    throw new VdsoError("ERR_VDSO_IMAGE_CORRUPT", "the image was changed after it was built: its checksum is wrong");
  }
  const manifest = unpackManifest(new TextDecoder().decode(packed.slice()));
  const fingerprint = await abiFingerprint(manifest);
  if (manifest.fingerprint !== fingerprint) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_CORRUPT",
      `expected fingerprint ${fingerprint}, found ${manifest.fingerprint} in the manifest`,
    );
  }
  return manifest;
}

/** What an attachment knows of its image. */
export interface ImageFacts {
  readonly fingerprint: string;
  /** Address of the log level in private memory. */
  readonly logLevel: number;
  /** All of it; unpacked by the first call. */
  manifest(): Manifest;
}

/**
 * The facts of a compiled module, at once but without its checksum: for modules that `map` has verified before.
 *
 * @throws VdsoError `ERR_VDSO_IMAGE_FOREIGN`, `ERR_VDSO_IMAGE_VERSION`, `ERR_VDSO_IMAGE_CORRUPT` - as for {@link readImage}.
 */
export function factsOf(module: WebAssembly.Module): ImageFacts {
  const [section] = WebAssembly.Module.customSections(module, SECTION_NAME);
  if (section === undefined) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_FOREIGN",
      `expected an image, found a module without a section "${SECTION_NAME}"`,
    );
  }
  const packed = new TextDecoder().decode(splitSection(new Uint8Array(section)).packed.slice());
  let manifest: Manifest | undefined;
  return {
    ...peekManifest(packed),
    manifest() {
      manifest ??= unpackManifest(packed);
      return manifest;
    },
  };
}

function splitSection(contents: Uint8Array): { checksum: Uint8Array; packed: Uint8Array } {
  const reader = new Reader(contents, 0, contents.length);
  const magic = new TextDecoder().decode(reader.take(MAGIC_BYTES).slice());
  if (magic !== SECTION_NAME) {
    throw new VdsoError(
      "ERR_VDSO_IMAGE_FOREIGN",
      `expected a section that begins with "${SECTION_NAME}", found "${magic}"`,
    );
  }
  const version = reader.u8();
  if (version !== MANIFEST_VERSION) {
    throw new VdsoError("ERR_VDSO_IMAGE_VERSION", `expected manifest version ${MANIFEST_VERSION}, found ${version}`);
  }
  return { checksum: reader.take(CHECKSUM_BYTES), packed: contents.subarray(reader.at) };
}
