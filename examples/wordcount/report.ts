/** What the job prints. */
import type { Report, Totals } from "./job.ts";

const COLUMNS = ["chunks", "lines", "words", "bytes"] as const;

/** The table per process and in total, and the most frequent words. */
export function formatReport(report: Report): string {
  const rows = [...report.processes, { name: "total", counts: report.total }];
  const counts = align([
    ["process", ...COLUMNS],
    ...rows.map(({ name, counts }) => [name, ...COLUMNS.map((column) => `${counts[column]}`)]),
  ]);
  if (report.topWords.length === 0) return counts;
  const words = align([["times", "word"], ...report.topWords.map(({ times, word }) => [`${times}`, word])], true);
  return `${counts}\n\n${words}`;
}

/** What was not counted, or not listed; nothing when there is no such thing. */
export function formatNotes({ binary, unreadable, unlisted }: Report): string[] {
  const notes: string[] = [];
  if (binary > 0) notes.push(`${files(binary)} skipped: not text`);
  if (unreadable > 0) notes.push(`${files(unreadable)} could not be read`);
  if (unlisted > 0n) notes.push(`${unlisted} words are not among those listed: too long, or too many different ones`);
  return notes;
}

/** One line for a terminal. */
export function formatProgress({ files: done, total }: Totals): string {
  return `${files(done)}, ${total.lines} lines, ${total.words} words, ${total.bytes} bytes`;
}

function files(count: number): string {
  return `${count} ${count === 1 ? "file" : "files"}`;
}

/** Numbers to the right, the column with the names to the left: the first one, or the last. */
function align(rows: readonly (readonly string[])[], namesLast = false): string {
  const columns = rows[0]!.length;
  const names = namesLast ? columns - 1 : 0;
  const widths = Array.from({ length: columns }, (_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === names ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
