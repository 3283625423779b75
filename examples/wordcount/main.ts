/** `npm start -- [options] [files or folders]` */
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import vqueue from "../../generated/vqueue/vqueue.js";
import wordcount from "../../generated/wordcount/wordcount.js";
import { Kernel } from "../../runtime/index.ts";
import { whyUnreadable } from "./files.ts";
import { countFiles } from "./job.ts";
import { formatNotes, formatProgress, formatReport } from "./report.ts";

const HELP = `Usage: npm start -- [options] [files or folders]

Counts lines, words and bytes as \`wc\` does, and the most frequent words, in many processes at once that
share their memory. Without files: the sources and documents of this repository. Folders are searched,
but for node_modules, .git, generated, dist, and files that are no text.

A word is what stands between white space and has a printable character, all in UTF-8: as in
\`LC_ALL=C.UTF-8 wc\` of GNU coreutils 9.1.

  -p, --processes <n>  how many processes count; default: one for each core
  -h, --help           this text

Exit codes: 0 done, 1 something could not be read or failed, 2 bad usage, 130 interrupted.`;

/** One pid is the kernel's, one the reader's, and there are 1023. */
const MAX_PROCESSES = 1021;
/** How long the processes may take to end after an interruption. */
const SHUTDOWN_MS = 1000;

process.exitCode = await main();

async function main(): Promise<number> {
  let options: Options;
  try {
    options = parseOptions();
  } catch (error) {
    complain(`${(error as Error).message}; see --help`);
    return 2;
  }
  if (options.help) {
    console.log(HELP);
    return 0;
  }

  const readable: string[] = [];
  for (const path of options.paths) {
    const why = whyUnreadable(resolve(base(), path));
    if (why === undefined) readable.push(resolve(base(), path));
    else complain(`cannot read ${path}: ${why}`);
  }
  if (readable.length === 0) return 1;
  const code = await run(readable, options.processes);
  return readable.length < options.paths.length ? Math.max(code, 1) : code;
}

interface Options {
  readonly help: boolean;
  readonly processes: number;
  readonly paths: readonly string[];
}

function parseOptions(): Options {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, processes: { type: "string", short: "p" } },
  });
  const processes = Number(values.processes ?? Math.min(availableParallelism(), MAX_PROCESSES));
  if (!Number.isInteger(processes) || processes < 1 || processes > MAX_PROCESSES) {
    throw new Error(`--processes: expected a number from 1 to ${MAX_PROCESSES}, found ${values.processes}`);
  }
  const repository = resolve(import.meta.dirname, "..", "..");
  return { help: values.help ?? false, processes, paths: positionals.length > 0 ? positionals : [repository] };
}

/** npm runs scripts in the package's folder; paths mean the folder it was called in. */
function base(): string {
  const { npm_lifecycle_event: script, INIT_CWD: callersFolder } = process.env;
  return script === "start" && callersFolder ? callersFolder : process.cwd();
}

async function run(paths: readonly string[], processes: number): Promise<number> {
  const booting = Kernel.boot({ vdsos: [vqueue, wordcount] });
  let signalled: number | undefined;
  const stop = (_name: string, signal: number): void => {
    signalled ??= signal;
    void booting.then((kernel) => kernel.shutdown({ timeoutMs: SHUTDOWN_MS }));
  };
  // More than once: npm passes on what the terminal has sent already.
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const kernel = await booting;
  const live = process.stderr.isTTY;
  try {
    const report = await countFiles(kernel, {
      paths,
      processes,
      ...(live && { onProgress: (soFar) => process.stderr.write(`\r\x1b[K${formatProgress(soFar)}`) }),
    });
    if (live) process.stderr.write("\r\x1b[K");
    if (signalled === undefined) {
      console.log(formatReport(report));
      for (const note of formatNotes(report)) console.error(note);
      return report.unreadable > 0 ? 1 : 0;
    }
  } catch (error) {
    if (live) process.stderr.write("\r\x1b[K");
    if (signalled === undefined) {
      complain((error as Error).message);
      return 1;
    }
  } finally {
    await kernel.shutdown({ timeoutMs: 0 });
  }
  complain("interrupted");
  return 128 + signalled;
}

function complain(message: string): void {
  console.error(`wordcount: ${message}`);
}
