/** The attachments of one process: each image once, however many modules of the process ask for it. */
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { type AttachOptions, attach, checkLibrary } from "./attach.ts";
import type { VdsoHandle } from "./handle.ts";

export class Attachments {
  readonly #handles: readonly VdsoHandle[];
  readonly #options: AttachOptions;
  readonly #apis = new Map<string, unknown>();

  /** @param options - For every attachment. */
  constructor(handles: readonly VdsoHandle[], options: AttachOptions) {
    this.#handles = handles;
    this.#options = options;
  }

  /**
   * @param given - Implementations from this caller, who means to be the first.
   * @param others - Implementations for what `given` leaves out.
   * @throws VdsoError `ERR_VDSO_NOT_MAPPED` - there is no handle for this image.
   * @throws VdsoError `ERR_VDSO_ATTACHED` - `given`, but the image is attached already.
   * @throws VdsoError - whatever {@link attach} refuses.
   */
  attach<Api, Host>(library: VdsoLibrary<Api, Host>, given: object | undefined, others: object = {}): Api {
    checkLibrary(library);
    const { name, fingerprint } = library;
    // Another build of the library gets past this, and is refused for its fingerprint.
    const key = `${name} ${fingerprint}`;
    if (!this.#apis.has(key)) {
      const options = { ...this.#options, host: { ...others, ...given } };
      this.#apis.set(key, attach<Api, unknown>(library as VdsoLibrary<Api>, this.#handle(name), options));
    } else if (given !== undefined) {
      throw new VdsoError(
        "ERR_VDSO_ATTACHED",
        `attach: expected no implementations, because ${name} is attached already, found some`,
      );
    }
    return this.#apis.get(key) as Api;
  }

  #handle(name: string): VdsoHandle {
    const handle = this.#handles.find((each) => each.name === name);
    if (handle !== undefined) return handle;
    throw notMapped("attach", this.#handles, name);
  }
}

export function notMapped(caller: string, handles: readonly VdsoHandle[], name: string): VdsoError {
  const names = handles.map((each) => each.name).join(", ") || "none";
  return new VdsoError(
    "ERR_VDSO_NOT_MAPPED",
    `${caller}: expected an image that the kernel has booted (${names}), found ${name}`,
  );
}
