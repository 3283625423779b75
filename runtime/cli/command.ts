/** What every command of `vdso` is made of, and what it writes with. */

import { type ParseArgsOptionsConfig, parseArgs } from "node:util";

/** The values and positionals that `parseArgs` found. */
export interface ParsedArguments {
  readonly values: Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>;
  readonly positionals: readonly string[];
}

export interface Command {
  /** Shown by `--help`. */
  readonly help: string;
  readonly options: ParseArgsOptionsConfig;
  /** Returns when done; throws {@link UsageError} for a wrong command line and VdsoError for what went wrong. */
  run(parsed: ParsedArguments): Promise<void>;
}

/** The command line is wrong: exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Something went wrong and has been said already: exit code 1. */
export class FailedError extends Error {
  override readonly name = "FailedError";
}

/** @throws UsageError - an option that the command does not have, or one without its value. */
export function parseArguments(options: Command["options"], args: readonly string[]): ParsedArguments {
  const all = { ...options, help: { type: "boolean", short: "h" } } as const;
  try {
    return parseArgs({ args: [...args], options: all, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** The one argument that a command takes. */
export function onlyPositional({ positionals }: ParsedArguments, what: string): string {
  const [first, ...rest] = positionals;
  if (first === undefined) throw new UsageError(`expected ${what}, found nothing`);
  if (rest.length > 0) throw new UsageError(`expected ${what} alone, found also ${rest.join(" ")}`);
  return first;
}

export function textOption({ values }: ParsedArguments, name: string): string | undefined {
  const value = values[name];
  return typeof value === "string" ? value : undefined;
}

export function textsOption({ values }: ParsedArguments, name: string): string[] {
  const value = values[name];
  return Array.isArray(value) ? value.filter((element) => typeof element === "string") : [];
}

export function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function printError(text: string): void {
  process.stderr.write(`${text}\n`);
}

/** May standard error be coloured? A terminal that wants it, or `FORCE_COLOR`; never with `NO_COLOR`. */
export function errorColor(): boolean {
  if (process.env["NO_COLOR"]) return false;
  return Boolean(process.env["FORCE_COLOR"]) || (process.stderr.isTTY && process.stderr.hasColors());
}

/** `2 312 bytes`, grouped so that it can be read. */
export function formatBytes(bytes: number): string {
  return `${String(bytes).replace(/\B(?=(\d{3})+$)/g, " ")} byte${bytes === 1 ? "" : "s"}`;
}
