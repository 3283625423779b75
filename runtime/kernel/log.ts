/** Lines that the kernel writes for its processes: what their vDSOs log, what ends them, what goes wrong in cleaning up. */
import type { LogLevel } from "../image/manifest.ts";

export interface LogLine {
  readonly level: LogLevel;
  readonly pid: number;
  /** Name of the process. */
  readonly process: string;
  /** Image whose code wrote the line; absent when the kernel did. */
  readonly vdso?: string;
  readonly message: string;
  /** Author's file, with `vdso`. */
  readonly file?: string;
  /** 1-based, with `file`. */
  readonly line?: number;
  /** What ended the process. */
  readonly error?: Error;
}

/** Writes a line to standard error, in Node as in a browser's console. */
export function writeLine({ level, pid, process, vdso, message, file, line }: LogLine): void {
  const from = vdso === undefined ? "" : ` ${vdso}`;
  const at = file === undefined ? "" : ` (${file}:${line})`;
  console.error(`${process}[${pid}]${from} ${level}: ${message}${at}`);
}
