/** What is known of a run at a moment, for the message of the error that ends it. */
import { formatVvar } from "../image/format.ts";
import type { Manifest } from "../image/manifest.ts";
import type { LogLine } from "../kernel/log.ts";
import type { Note } from "./record.ts";

/** An image of the run. */
export interface DumpedImage {
  readonly manifest: Manifest;
  readonly memory: WebAssembly.Memory;
}

/** A process of the run, at the moment. */
export interface DumpedProcess {
  readonly index: number;
  readonly incarnation: number;
  readonly pid: number | undefined;
  /** `running`, `returned`, `ended (exit, code 3)`. */
  readonly state: string;
  readonly note: Note | undefined;
}

const LOG_LINES = 10;
const VVAR_LINES = 40;

export function dump(
  processes: readonly DumpedProcess[],
  images: readonly DumpedImage[],
  lines: readonly LogLine[],
): string {
  const text = ["processes:", ...processes.map((each) => `  ${processLine(each)}`)];
  for (const { manifest, memory } of images) {
    text.push(`vVAR of ${manifest.name}:`, indented(formatVvar(manifest, memory, { maxLines: VVAR_LINES })));
  }
  if (lines.length > 0) {
    text.push(lines.length > LOG_LINES ? `the last ${LOG_LINES} of ${lines.length} log lines:` : "log:");
    for (const { process: name, vdso, level, message } of lines.slice(-LOG_LINES)) {
      text.push(indented(`[${name}] ${vdso === undefined ? "" : `${vdso} `}${level}: ${message}`));
    }
  }
  return text.join("\n");
}

function processLine({ index, incarnation, pid, state, note }: DumpedProcess): string {
  const again = incarnation === 0 ? "" : `, started again ${incarnation === 1 ? "once" : `${incarnation} times`}`;
  const who = `${index} (${pid === undefined ? "no pid" : `pid ${pid}`}${again}): ${state}`;
  return note === undefined ? who : `${who}, ${noteText(note)}`;
}

/** `inside locks.acquire(1) for 294 ms`, or `last note: pushing 17 (note 18, 3 ms ago)`. */
export function noteText({ text, inside, count, ageMs }: Note): string {
  const age = `${Math.round(ageMs)} ms`;
  return inside ? `inside ${text} for ${age} (note ${count})` : `last: ${text} (note ${count}, ${age} ago)`;
}

const indented = (text: string): string => text.replace(/^/gm, "  ");
