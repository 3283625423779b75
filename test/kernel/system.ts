import { onTestFinished } from "vitest";
import { Kernel } from "../../runtime/kernel/kernel.ts";
import type { LogLine } from "../../runtime/kernel/log.ts";
import type { BootOptions } from "../../runtime/kernel/options.ts";
import type { Process } from "../../runtime/kernel/process.ts";

/** A kernel that is shut down after the test, also a failed one. Its lines are collected, not printed. */
export async function boot(options: Partial<BootOptions> = {}): Promise<{ kernel: Kernel; lines: LogLine[] }> {
  const lines: LogLine[] = [];
  const kernel = await Kernel.boot({ vdsos: [], log: (line) => lines.push(line), ...options });
  onTestFinished(() => kernel.shutdown({ timeoutMs: 0 }));
  return { kernel, lines };
}

export function fixture(name: string): URL {
  return new URL(`./fixtures/${name}`, import.meta.url);
}

/** Everything that a process wrote to a stream opened with `pipe`. */
export async function output(process: Process): Promise<string> {
  let text = "";
  for await (const chunk of process.stdout ?? []) text += String(chunk);
  return text;
}
