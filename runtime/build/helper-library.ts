/** The helper library as the compiler wants it: library files by name, and one that pulls them in. */
import { readdirSync, readFileSync } from "node:fs";

/** Key of the file that the compiler loads by itself; all that the others mark `@global` is visible everywhere. */
const ENTRY = "vdso";
/** Files that take the place of one of the compiler's own. */
const REPLACED: Readonly<Record<string, string>> = { heap: "rt/stub" };

const FOLDER = new URL("../../vdso-src/helper/", import.meta.url);

let files: Readonly<Record<string, string>> | undefined;

/** Library files by the compiler's name for them: `vdso/atomic` -> text. Read once. */
export function helperLibrary(): Readonly<Record<string, string>> {
  if (files !== undefined) return files;
  const names = readdirSync(FOLDER)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => name.slice(0, -".ts".length))
    .sort();
  const added = names.filter((name) => !(name in REPLACED));
  const library: Record<string, string> = {
    [ENTRY]: added.map((name) => `import "./${ENTRY}/${name}";\n`).join(""),
  };
  for (const name of names) {
    const text = readFileSync(new URL(`${name}.ts`, FOLDER), "utf8").replaceAll("\r\n", "\n");
    library[REPLACED[name] ?? `${ENTRY}/${name}`] = text;
  }
  files = library;
  return library;
}
