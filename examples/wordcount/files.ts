/** Finds the files to count. */
import { type Dirent, readdirSync, statSync } from "node:fs";
import { join } from "node:path";

/** Folders that hold what others made; they count only when they are named. */
const SKIPPED_FOLDERS = new Set(["node_modules", ".git", "generated", "dist"]);

export interface FoundFile {
  readonly path: string;
  /** Named by the user, not found in a folder. */
  readonly named: boolean;
}

/** Why nothing can be read there; undefined when it is a file or a folder. */
export function whyUnreadable(path: string): string | undefined {
  try {
    const found = statSync(path);
    return found.isFile() || found.isDirectory() ? undefined : "neither a file nor a folder";
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === "ENOENT" || code === "ENOTDIR" ? "no such file or folder" : message;
  }
}

/**
 * The files among `paths`, and those in the folders among them, in order. Links in folders are not followed: they may go round in
 * circles. What cannot be looked into comes as if it were a file: whoever opens it learns why.
 */
export function* findFiles(paths: readonly string[]): Generator<FoundFile> {
  for (const path of paths) {
    const entries = entriesOf(path);
    if (entries === undefined) yield { path, named: true };
    else yield* filesIn(path, entries);
  }
}

function* filesIn(folder: string, entries: Dirent[]): Generator<FoundFile> {
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isFile()) yield { path, named: false };
    else if (entry.isDirectory() && !SKIPPED_FOLDERS.has(entry.name)) {
      const inside = entriesOf(path);
      if (inside === undefined) yield { path, named: false };
      else yield* filesIn(path, inside);
    }
  }
}

/** What a folder holds; undefined when it cannot be read, or is none. */
function entriesOf(path: string): Dirent[] | undefined {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch {
    return undefined;
  }
}
