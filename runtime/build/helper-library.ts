/** The helper library as the compiler wants it: library files by name, and one that pulls them in. */
import { readdirSync, readFileSync } from "node:fs";

/** Key of the file that the compiler loads by itself; all that the others mark `@global` is visible everywhere. */
const ENTRY = "vdso";

const FOLDER = new URL("../../vdso-src/helper/", import.meta.url);

let files: Readonly<Record<string, string>> | undefined;

/** Library files by the compiler's name for them: `vdso/atomic` -> text. Read once. */
export function helperLibrary(): Readonly<Record<string, string>> {
  if (files !== undefined) return files;
  const names = readdirSync(FOLDER)
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"))
    .map((name) => name.slice(0, -".ts".length))
    .sort();
  const library: Record<string, string> = {
    [ENTRY]: names.map((name) => `import "./${ENTRY}/${name}";\n`).join(""),
  };
  for (const name of names) {
    library[`${ENTRY}/${name}`] = readFileSync(new URL(`${name}.ts`, FOLDER), "utf8").replaceAll("\r\n", "\n");
  }
  files = library;
  return library;
}
