/**
 * Every error that this package throws on purpose.
 *
 * ```ts
 * import { VdsoError } from "wasm-vdso";
 * try {
 *   await map(library);
 * } catch (error) {
 *   if (error instanceof VdsoError && error.code === "ERR_VDSO_ENGINE") showUpgradeNotice();
 * }
 * ```
 */

/** Stable error codes: test these, not the messages. */
export type VdsoErrorCode = `ERR_VDSO_${string}`;

/** An error with a stable `code`; its message names what was expected and what was found. */
export class VdsoError extends Error {
  override readonly name: string = "VdsoError";
  readonly code: VdsoErrorCode;

  constructor(code: VdsoErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A number that the author of a vDSO attached to a panic or a log line; `bigint` beyond 2^53. */
export type SiteArgument = number | bigint | boolean;

/** Where in the author's sources a panic or a log line stands. */
export interface SourceSite {
  /** Path below the vDSO's source folder, `/` as separator. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
  /** 1-based. */
  readonly column: number;
}

/**
 * A panic inside a vDSO (`assert`, `panic`, `throw`). It counts as the death of the process at that instruction: the
 * attachment that panicked refuses every further call with `ERR_VDSO_DEAD`.
 */
export class VdsoPanic extends VdsoError {
  override readonly name: string = "VdsoPanic";
  /** Name of the image. */
  readonly vdso: string;
  /** The author's message, its `{}` not yet filled. */
  readonly template: string;
  readonly args: readonly SiteArgument[];
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor(vdso: string, template: string, args: readonly SiteArgument[], site: SourceSite) {
    super("ERR_VDSO_PANIC", `${vdso}: ${formatSite(template, args)} (${site.file}:${site.line}:${site.column})`);
    this.vdso = vdso;
    this.template = template;
    this.args = args;
    this.file = site.file;
    this.line = site.line;
    this.column = site.column;
  }
}

/** Fills each `{}` of a template with the next argument; arguments left over follow in brackets. */
export function formatSite(template: string, args: readonly SiteArgument[]): string {
  let next = 0;
  const text = template.replace(/\{\}/g, (hole) => (next < args.length ? String(args[next++]) : hole));
  return next < args.length ? `${text} [${args.slice(next).join(", ")}]` : text;
}
