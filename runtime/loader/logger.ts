/** Where the log lines of an image go. */

import type { SiteArgument } from "../errors.ts";
import { VdsoError } from "../errors.ts";
import { LOG_LEVELS, type LogLevel, type LogSite } from "../image/manifest.ts";

/** Where a line comes from: the author's source, the image, and what was put into the message. */
export interface LogSource extends Readonly<LogSite> {
  readonly vdso: string;
  readonly args: readonly SiteArgument[];
}

/** One function a level; a level without one is dropped. */
export type Logger = { readonly [Level in LogLevel]?: (message: string, source: LogSource) => void };

export type LogThreshold = LogLevel | "off";

export const DEFAULT_LOG_LEVEL: LogThreshold = "info";

/** Writes lines such as `[reader] vqueue: queue full` to the console. */
export function consoleLogger(process: string): Logger {
  const line = (message: string, { vdso }: LogSource): string => `[${process}] ${vdso}: ${message}`;
  return {
    error: (message, source) => console.error(line(message, source)),
    warn: (message, source) => console.warn(line(message, source)),
    info: (message, source) => console.info(line(message, source)),
    debug: (message, source) => console.debug(line(message, source)),
    // Not console.trace, which adds a JavaScript stack to each line.
    trace: (message, source) => console.debug(line(message, source)),
  };
}

/**
 * The number that an image compares the level of a line with: 0 is off, 5 lets everything through.
 *
 * @throws VdsoError `ERR_VDSO_OPTION` - not a level.
 */
export function levelNumber(level: LogThreshold): number {
  const number = level === "off" ? 0 : LOG_LEVELS.indexOf(level) + 1;
  if (number === 0 && level !== "off") {
    throw new VdsoError(
      "ERR_VDSO_OPTION",
      `expected a log level (off, ${LOG_LEVELS.join(", ")}), found ${String(level)}`,
    );
  }
  return number;
}
