// Gives the calling thread a core of its own. Left to itself, the system's scheduler may keep two threads that wake each other on one core for seconds, and
// then a figure says where it put them, and nothing of what they run.
import { spawnSync } from "node:child_process";
import { readlinkSync } from "node:fs";
import { cpus } from "node:os";

export function pin(core: number): void {
  // Elsewhere there is no way from inside.
  if (process.platform !== "linux" || cpus().length < 2) return;
  const thread = readlinkSync("/proc/thread-self").split("/").at(-1)!;
  const { status, stderr } = spawnSync("taskset", ["-p", "-c", String(core), thread], { encoding: "utf8" });
  // Without the command the figure moves from run to run, and is still one.
  if (status !== null && status !== 0) throw new Error(`taskset: ${stderr}`);
}
