/**
 * What the compiler is given and what it gives back. Plain data and two small interfaces, free of Node, so that the same compiler
 * runs in a worker of Node and in a browser.
 */

import type { Manifest } from "../image/manifest.ts";
import type { Diagnostic } from "./diagnostics.ts";
import type { Docs } from "./dialect/exports.ts";

/** Where sources come from. Paths are relative to the vDSO's folder, with `/`; they may go up with `../`. */
export interface SourceReader {
  /** The file's text, or undefined when there is none. */
  read(path: string): string | undefined;
}

export interface CompileInput {
  readonly sources: SourceReader;
  /** Image name. */
  readonly name: string;
  readonly package: string;
  readonly mode: "debug" | "release";
  /** Are `log.*` calls compiled in? */
  readonly log: boolean;
  readonly features: readonly string[];
  /** Values for constants, as text; an unknown name is an error. They win over the environment. */
  readonly config: Readonly<Record<string, string>>;
  /** Values for constants by the environment; looked up only for names of constants. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly wat?: boolean;
  readonly sourceMap?: boolean;
}

export interface CompileResult {
  readonly diagnostics: Diagnostic[];
  /** Absent when a diagnostic is an error. */
  readonly image?: Uint8Array;
  readonly manifest?: Manifest;
  readonly wat?: string;
  readonly sourceMap?: string;
  /** Files read, as the source reader was asked for them. */
  readonly files: string[];
  /** The author's doc comments. */
  readonly docs: Docs;
}
