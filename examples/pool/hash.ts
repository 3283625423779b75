/** Runs in the threads of the pool. */
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import type { TaskContext } from "../../runtime/sched/index.ts";

const CHUNK_BYTES = 256 * 1024;
const chunk = new Uint8Array(CHUNK_BYTES);

/** SHA-256 of a file, in hexadecimal digits. Gives way between chunks when the scheduler says so, and ends there when it is aborted. */
export async function sha256(path: string, task: TaskContext): Promise<string> {
  const hash = createHash("sha256");
  const file = openSync(path, "r");
  try {
    while (true) {
      const bytes = readSync(file, chunk);
      if (bytes === 0) return hash.digest("hex");
      // Before anything else runs in this thread: the chunk is everybody's.
      hash.update(chunk.subarray(0, bytes));
      if (task.shouldYield()) await task.yieldNow();
      task.signal.throwIfAborted();
    }
  } finally {
    closeSync(file);
  }
}
