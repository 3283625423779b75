/** `vdso new` */

import { cpSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { VERSION } from "../build/version.ts";
import { VdsoError } from "../errors.ts";
import { type Command, onlyPositional, type ParsedArguments, print, UsageError } from "./command.ts";

const HELP = `Usage: vdso new <name>

Makes the folder <name> with a project that builds, runs and is tested: the source of a vDSO, a program that starts
processes on it, a test, and settings with which editors understand the dialect. <name> may be a path; its last part
is the project's name.

Options
  -h, --help  show this`;

const STARTER = fileURLToPath(new URL("../../starter/", import.meta.url));

// Good as a package's, a folder's and an image's name alike.
const NAME = /^[a-z][a-z0-9-]{0,63}$/;

async function run(parsed: ParsedArguments): Promise<void> {
  const target = resolve(onlyPositional(parsed, "the name of the new project"));
  const name = basename(target);
  if (!NAME.test(name)) {
    throw new UsageError(
      `expected a name of lower-case letters, digits and "-", a letter first, found ${JSON.stringify(name)}`,
    );
  }
  if (existsSync(target) && readdirSync(target).length > 0) {
    throw new VdsoError(
      "ERR_VDSO_NEW_EXISTS",
      `expected a folder that is empty or does not exist yet, found ${target} with files in it`,
    );
  }
  create(target, name);
  const path = relative(process.cwd(), target) || ".";
  print(`made ${path}\n\n  cd ${path}\n  npm install\n  npm start\n  npm test`);
}

/** Copies the starter, then puts the name where it belongs, in the files and in their paths. */
function create(target: string, name: string): void {
  const fill = (text: string) => text.replaceAll("__name__", name).replaceAll("__version__", VERSION);
  try {
    cpSync(STARTER, target, { recursive: true });
    const entries = readdirSync(target, { recursive: true, withFileTypes: true });
    for (const entry of entries.filter((entry) => entry.isFile())) {
      const path = join(entry.parentPath, entry.name);
      writeFileSync(path, fill(readFileSync(path, "utf8")));
    }
    // Deepest first, so that the paths of those above still hold.
    for (const { parentPath, name: old } of entries.reverse()) {
      // npm leaves a file called .gitignore out of packages.
      const fresh = fill(old).replace(/^_gitignore$/, ".gitignore");
      if (fresh !== old) renameSync(join(parentPath, old), join(parentPath, fresh));
    }
  } catch (cause) {
    rmSync(target, { recursive: true, force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VdsoError("ERR_VDSO_NEW_FAILED", `cannot make ${target}: ${reason}`, { cause });
  }
}

export const command: Command = { help: HELP, options: {}, run };
