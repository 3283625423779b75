/**
 * The shortest way through `vdso build` when there is nothing to do, which is what it finds most of the time. The package holds it as one
 * CommonJS file: loading the modules of the whole command, and Node's own behind them, would take longer than the check.
 */

import { writeSync } from "node:fs";
import { upToDate } from "../build/result.ts";
import { BUILD_OPTIONS, doneLine, readConfig } from "./build-arguments.ts";
import { parseArguments } from "./command.ts";

/** @returns false when the command itself has to run; nothing has happened then. */
export function quick([name, ...args]: readonly string[]): boolean {
  const line = name === "build" ? upToDateLine(args) : undefined;
  if (line === undefined) return false;
  try {
    // Not `process.stdout`, whose streams take longer to load than all else here.
    writeSync(1, `${line}\n`);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // A reader that is only slow needs the stream; one that has gone is no failure.
    if (code === "EAGAIN") process.stdout.write(`${line}\n`);
    else if (code !== "EPIPE") throw error;
  }
  return true;
}

/** What the command would print, when that is all that it would do. */
function upToDateLine(args: readonly string[]): string | undefined {
  try {
    const parsed = parseArguments(BUILD_OPTIONS, args);
    if (["help", "watch", "verbose"].some((name) => parsed.values[name] === true)) return undefined;
    const result = upToDate(readConfig(parsed));
    return result?.warnings.length === 0 ? doneLine(result) : undefined;
  } catch {
    // Whatever it is, the command itself finds it again and explains it.
    return undefined;
  }
}
