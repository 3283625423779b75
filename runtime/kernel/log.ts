/** Lines that the kernel writes for its processes: what their vDSOs log, what ends them, what goes wrong in cleaning up. */
import type { LogLevel } from "../image/manifest.ts";
import type { ImageLogLine } from "../loader/log-line.ts";

/** With `vdso`, `args`, `file` and `line` when an image wrote it, without them when the kernel did. */
export interface LogLine extends Partial<ImageLogLine> {
  readonly level: LogLevel;
  readonly message: string;
  readonly pid: number;
  /** Name of the process. */
  readonly process: string;
  /** What ended the process, or went wrong behind it. */
  readonly error?: Error;
}

/** Writes lines such as `[reader] vqueue warn: queue full (queue.ts:12)`, in Node to standard error: standard output is the program's. */
export function writeLine({ level, process, vdso, message, file, line }: LogLine): void {
  const from = vdso === undefined ? "" : `${vdso} `;
  const at = file === undefined ? "" : ` (${file}:${line})`;
  console.error(`[${process}] ${from}${level}: ${message}${at}`);
}
