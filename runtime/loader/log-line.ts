/** A line of an image's log in one piece: what a process sends to its kernel. */
import type { SiteArgument } from "../errors.ts";
import { LOG_LEVELS, type LogLevel } from "../image/manifest.ts";
import type { Logger, LogSource } from "./logger.ts";

export interface ImageLogLine {
  readonly level: LogLevel;
  /** Image name. */
  readonly vdso: string;
  readonly message: string;
  /** What was put into the message. */
  readonly args: readonly SiteArgument[];
  /** Author's file. */
  readonly file: string;
  /** 1-based. */
  readonly line: number;
}

/** A logger whose every level ends in `write`. */
export function lineLogger(write: (line: ImageLogLine) => void): Logger {
  const writeLevel =
    (level: LogLevel) =>
    (message: string, { vdso, args, file, line }: LogSource) => {
      write({ level, vdso, message, args, file, line });
    };
  return Object.fromEntries(LOG_LEVELS.map((level) => [level, writeLevel(level)]));
}
