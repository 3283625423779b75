/** The `vdso` command: finds the command, reads its options, turns errors into exit codes. */

import { styleText } from "node:util";
import { VERSION } from "../build/version.ts";
import { VdsoError } from "../errors.ts";
import { type Command, FailedError, parseArguments, print, printError, UsageError } from "./command.ts";

const HELP = `Usage: vdso <command> [options]

Builds vDSOs: code and shared state in one WebAssembly image, mapped into every thread.

Commands
  build <dir>      build the vDSO in a folder: image, API library and types
  inspect <image>  show what is in an image: layout, exports, constants, sizes
  new <name>       make a project with a vDSO that builds, runs and is tested

Options
  -h, --help       show this, or with a command its options
  -V, --version    show the version

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

// Loaded one at a time: a build that has nothing to do should cost next to nothing.
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  build: async () => (await import("./build.ts")).command,
  inspect: async () => (await import("./inspect.ts")).command,
  new: async () => (await import("./new.ts")).command,
};

/** Runs the command line. @returns the exit code: 0 done, 1 failed, 2 wrong usage */
export async function main(argv: readonly string[]): Promise<number> {
  // `vdso inspect x | head` closes the pipe early; that is no failure.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    throw error;
  });
  const [name, ...rest] = argv;
  try {
    if (name === undefined) throw new UsageError("expected a command, found nothing");
    if (name === "--help" || name === "-h" || (name === "help" && rest.length === 0)) return say(HELP);
    if (name === "--version" || name === "-V") return say(VERSION);
    if (name === "help") return await runCommand(rest[0]!, ["--help"]);
    return await runCommand(name, rest);
  } catch (error) {
    return explain(error, name);
  }
}

async function runCommand(name: string, args: readonly string[]): Promise<number> {
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (load === undefined) {
    throw new UsageError(`unknown command "${name}"; known are ${Object.keys(COMMANDS).join(", ")}`);
  }
  const command = await load();
  const parsed = parseArguments(command.options, args);
  if (parsed.values["help"] === true) return say(command.help);
  await command.run(parsed);
  return 0;
}

function say(text: string): number {
  print(text);
  return 0;
}

function explain(error: unknown, command: string | undefined): number {
  const label = styleText("red", "error:", { stream: process.stderr });
  if (error instanceof UsageError) {
    const known = command !== undefined && Object.hasOwn(COMMANDS, command);
    printError(`${label} ${error.message}\nSee vdso ${known ? `${command} ` : ""}--help`);
    return 2;
  }
  if (error instanceof FailedError) return 1;
  if (error instanceof VdsoError) {
    printError(`${label} ${error.message} [${error.code}]`);
    // Most messages say what their cause said.
    if (error.cause !== undefined && !error.message.includes(messageOf(error.cause))) {
      printError(describe(error.cause));
    }
    return 1;
  }
  printError(`${label} ${describe(error)}`);
  return 1;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
