/** The process that reads: straight from the files into buffers of shared memory. */
import { closeSync, openSync, readSync } from "node:fs";
import vqueue from "../../generated/vqueue/vqueue.js";
import wordcount, { BUFFER_BYTES, BUFFERS, type Cut, Outcome, Start } from "../../generated/wordcount/wordcount.js";
import { attach, type Process, vvarOf } from "../../runtime/process/index.ts";
import { type FoundFile, findFiles } from "./files.ts";
import { Messages } from "./messages.ts";

const queues = attach(vqueue);
const counts = attach(wordcount);

/** A NUL byte this near to the beginning makes a file a binary one, as for git. */
const BINARY_BYTES = 8000;

export default function main(self: Process): void {
  const [chunkQueue, freeQueue, counters, ...paths] = self.argv;
  const chunks = new Messages(queues, Number(chunkQueue));
  const free = new Messages(queues, Number(freeQueue));
  const buffers = Array.from(
    { length: BUFFERS },
    (_, buffer) => new Uint8Array(vvarOf(counts), counts.bufferAddress(buffer), BUFFER_BYTES),
  );

  /** The buffer to fill next, if there is one already: a file that is empty, binary or cannot be read leaves it to the file after it. */
  let held: number | undefined;

  /** @returns undefined when this process is asked to end */
  function readFile(fd: number, file: FoundFile): Outcome | undefined {
    let position = 0;
    let start: Start = Start.Fresh;
    while (true) {
      if (held === undefined) {
        const message = free.receive(self);
        if (message?.kind !== "free") return undefined;
        held = message.buffer;
      }
      const buffer = held;
      const view = buffers[buffer]!;
      const bytes = fill(fd, view, position);
      const binary = position === 0 && !file.named && view.subarray(0, Math.min(bytes, BINARY_BYTES)).includes(0);
      if (binary) return Outcome.Binary;
      if (bytes === 0) return Outcome.Counted;
      // What is cut off is read again, into the next buffer.
      const cut: Cut = bytes < BUFFER_BYTES ? { bytes, next: Start.Fresh } : counts.cut(buffer, bytes, start);
      held = undefined;
      chunks.send({ kind: "chunk", buffer, bytes: cut.bytes, start });
      if (bytes < BUFFER_BYTES) return Outcome.Counted;
      position += cut.bytes;
      start = cut.next;
    }
  }

  for (const file of findFiles(paths)) {
    let outcome: Outcome | undefined = Outcome.Unreadable;
    try {
      const fd = openSync(file.path, "r");
      try {
        outcome = readFile(fd, file);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      console.error(`wordcount: cannot read ${file.path}: ${(error as Error).message}`);
    }
    if (outcome === undefined) return;
    counts.fileDone(outcome);
  }
  for (let counter = 0; counter < Number(counters); counter++) chunks.send({ kind: "end" });
}

/** Reads until the buffer is full or the file ends. */
function fill(fd: number, view: Uint8Array, position: number): number {
  let bytes = 0;
  while (bytes < view.length) {
    const read = readSync(fd, view, bytes, view.length - bytes, position + bytes);
    if (read === 0) break;
    bytes += read;
  }
  return bytes;
}
