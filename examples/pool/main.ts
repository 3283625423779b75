/** `node examples/pool/main.ts files...`: what `sha256sum` prints, by all cores. */
import { Pool } from "../../runtime/sched/index.ts";

const WAITING = 100;

const paths = process.argv.slice(2);
const abort = new AbortController();
process.once("SIGINT", () => abort.abort(new Error("interrupted")));

await using pool = await Pool.start();
const { sha256 } = pool.module<typeof import("./hash.ts")>(new URL("./hash.ts", import.meta.url));

let done = 0;
function progress(): void {
  done++;
  if (process.stderr.isTTY)
    process.stderr.write(`\r${done} of ${paths.length} files${done === paths.length ? "\n" : ""}`);
}

const tasks: Promise<string>[] = [];
for (const path of paths) {
  // Not more than the threads can use soon: a list of files may be long.
  if (pool.queued >= WAITING) await pool.drain(WAITING / 2);
  const task = pool.run(sha256, [path], { signal: abort.signal });
  task.then(progress, progress);
  tasks.push(task);
}

for (const [n, outcome] of (await Promise.allSettled(tasks)).entries()) {
  if (outcome.status === "fulfilled") console.log(`${outcome.value}  ${paths[n]}`);
  else {
    console.error(`${paths[n]}: ${(outcome.reason as Error).message}`);
    process.exitCode = 1;
  }
}
