/** Files of a build: sources as the compiler sees them, hashes, and outputs that are never seen half-written. */

import { createHash, randomUUID } from "node:crypto";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { BuildError } from "./build-error.ts";
import type { SourceReader } from "./contract.ts";

/** 64 hex digits. */
export function sha256(data: Uint8Array | string): string {
  return createHash("sha256").update(data).digest("hex");
}

/** The file's bytes, or undefined when there is no such file. */
export function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Hash of a file, or null when there is none. */
export function hashFile(path: string): string | null {
  const bytes = readIfPresent(path);
  return bytes === undefined ? null : sha256(bytes);
}

/**
 * Reads sources below (and beside) a folder and remembers what it was asked for: also what it did not find, because a file
 * that appears later may change how an import resolves.
 */
export class FolderReader implements SourceReader {
  /** Path relative to the folder -> hash of the bytes that the compiler was given, null for a missing file. */
  readonly asked = new Map<string, string | null>();
  readonly #folder: string;
  readonly #texts = new Map<string, string | undefined>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  read(path: string): string | undefined {
    // One answer per path and build: a file that is saved meanwhile must not be seen in two states.
    if (this.#texts.has(path)) return this.#texts.get(path);
    const absolute = resolve(this.#folder, path);
    const bytes = readIfPresent(absolute);
    this.asked.set(relative(this.#folder, absolute).split(sep).join("/"), bytes === undefined ? null : sha256(bytes));
    const text = bytes?.toString("utf8").replace(/^\uFEFF/, "");
    this.#texts.set(path, text);
    return text;
  }
}

/** Writes beside the target and renames, so that a reader sees the old file or the new one. Leaves an equal file untouched. */
export function writeAtomically(path: string, data: Uint8Array | string): void {
  const bytes = typeof data === "string" ? Buffer.from(data) : data;
  const present = readIfPresent(path);
  if (present?.equals(bytes)) return;
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    writeFileSync(temporary, bytes, { flag: "wx" });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

// Writing a set of outputs takes milliseconds; whoever holds the lock for longer than this is gone.
const LOCK_STALE_MS = 30_000;
const LOCK_RETRY_MS = 5;

/**
 * Runs `write` while no other build, here or in another process, writes the same set of outputs, so that image, API
 * library and record on disk are always those of one build.
 */
export async function withOutputLock<T>(outDir: string, imageName: string, write: () => T): Promise<T> {
  makeFolder(outDir);
  const lock = join(outDir, `${imageName}.vdso-build.lock`);
  while (!tryLock(lock)) {
    breakStaleLock(lock);
    await sleep(LOCK_RETRY_MS);
  }
  try {
    return write();
  } finally {
    rmSync(lock, { force: true });
  }
}

/**
 * Makes a folder and those above it that are missing, from the top. Not with `recursive`, which asks again and again when the file system says
 * that a folder is missing whose parent exists, as `/proc` does.
 */
export function makeFolder(path: string): void {
  const missing: string[] = [];
  for (let folder = path; !statSync(folder, { throwIfNoEntry: false })?.isDirectory(); folder = dirname(folder)) {
    missing.unshift(folder);
    if (dirname(folder) === folder) break;
  }
  for (const folder of missing) {
    try {
      mkdirSync(folder);
    } catch (error) {
      // Another build may have made it meanwhile. A file in its place refuses what follows, or is the error itself.
      if (!hasCode(error, "EEXIST") || !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
    }
  }
}

function tryLock(lock: string): boolean {
  try {
    const file = openSync(lock, "wx");
    try {
      writeFileSync(file, String(process.pid));
    } finally {
      closeSync(file);
    }
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}

function breakStaleLock(lock: string): void {
  const held = statSync(lock, { throwIfNoEntry: false });
  if (held === undefined) return;
  const owner = Number(readIfPresent(lock)?.toString());
  const ownerGone = Number.isInteger(owner) && owner > 0 && !isAlive(owner);
  if (!ownerGone && Date.now() - held.mtimeMs < LOCK_STALE_MS) return;
  // Renamed before it is removed: of several that find it stale, one succeeds, and none removes the lock that follows it.
  const grave = `${lock}.${randomUUID()}.tmp`;
  try {
    renameSync(lock, grave);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
  rmSync(grave, { force: true });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return !hasCode(error, "ESRCH");
  }
}

/** Turns what the file system refused into an error that names the outputs' folder. */
export function outputError(outDir: string, cause: unknown): BuildError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new BuildError("ERR_VDSO_BUILD_OUTPUT", `cannot write to ${outDir}: ${reason}`, { cause });
}

/** The nearest folder at or above `path` that exists. */
export function nearestFolder(path: string): string {
  let folder = path;
  while (!statSync(folder, { throwIfNoEntry: false })?.isDirectory() && dirname(folder) !== folder)
    folder = dirname(folder);
  return folder;
}

function isMissing(error: unknown): boolean {
  return hasCode(error, "ENOENT") || hasCode(error, "ENOTDIR");
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
