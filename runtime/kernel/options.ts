/** What a kernel and its processes can be given. */
import type { VdsoLibrary } from "../image/library.ts";
import type { LogThreshold } from "../loader/logger.ts";
import type { OutputMode, ResourceLimits } from "../platform/platform.ts";
import type { LogLine } from "./log.ts";

export interface BootOptions {
  /** API libraries of the images to map, in boot order. */
  readonly vdsos: readonly VdsoLibrary[];
  /** Interfaces for the kernel's own attachments, by image name. */
  readonly host?: Readonly<Record<string, Readonly<Record<string, object>>>>;
  /** Lines below this level are dropped where they arise. Default: `info`. */
  readonly logLevel?: LogThreshold;
  /** Takes the lines of all processes, and the errors that end them. Default: one line each on standard error. */
  readonly log?: (line: LogLine) => void;
}

export interface SpawnOptions {
  /** For logs and process lists. Default: the module's file name. */
  readonly name?: string;
  readonly argv?: readonly string[];
  /** A value that the process finds as `current().data`; cloned, but for shared memory and what is transferred. */
  readonly data?: unknown;
  /** Ports and buffers in `data` that move to the process instead of being cloned. */
  readonly transfer?: readonly Transferable[];
  /** Replaces the kernel's environment, which is the default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** A module that is loaded in the process first; its exports implement the interfaces of the same names. */
  readonly interfaces?: string | URL;
  /** Breaks off the start; after it, ends the process as `kernel.kill` does. */
  readonly signal?: AbortSignal;
  readonly resourceLimits?: ResourceLimits;
  /** Default: `inherit`. */
  readonly stdout?: OutputMode;
  /** Default: `inherit`. */
  readonly stderr?: OutputMode;
}

export interface AdoptOptions {
  /** Default: `adopted`. */
  readonly name?: string;
  /** As in {@link SpawnOptions.signal}. */
  readonly signal?: AbortSignal;
}

export interface ShutdownOptions {
  /** How long processes may take to end by themselves. Default: 2000. */
  readonly timeoutMs?: number;
  /** Ends the waiting: what still runs is terminated at once. */
  readonly signal?: AbortSignal;
}
