/** What a run and its processes say to each other. */
import type { PortableError } from "../platform/protocol.ts";

/** What a process calls: an export of a module, or a function by its source text. */
export type Work =
  | { readonly kind: "export"; readonly url: string; readonly name: string }
  | { readonly kind: "source"; readonly source: string };

/** Places of the words that a run shares with its processes. */
export const SHARED = {
  /** 1 once the functions may begin: that they begin together is what makes them meet. */
  gate: 0,
  /** Kills still to come. */
  killsLeft: 1,
  count: 2,
} as const;

/** Given to each process as its `data`. */
export interface ProcessData {
  readonly port: MessagePort;
  readonly record: SharedArrayBuffer;
  /** Words of the whole run, written by it alone; see {@link SHARED}. */
  readonly shared: Int32Array<SharedArrayBuffer>;
  readonly work: Work;
  /** Modules of the API libraries that were given by URL. */
  readonly libraries: readonly string[];
  readonly trace: boolean;
  readonly index: number;
  readonly processes: number;
  readonly incarnation: number;
  readonly args: unknown;
  readonly setup: unknown;
}

/** From a process to the run. */
export type Report =
  /** Everything is loaded; it waits at the gate. */
  | { readonly kind: "loaded" }
  | { readonly kind: "result"; readonly value: unknown }
  /** `refused`: the test itself is wrong, whatever the vDSOs do. */
  | { readonly kind: "error"; readonly refused: boolean; readonly error: PortableError };
