/**
 * What the dialect can tell about sources of which some do not parse. The compiler gives up on such a build before the dialect's steps,
 * but an author wants to hear of all errors at once.
 */
import type { Diagnostic } from "../diagnostics.ts";
import { asc } from "./asc.ts";
import type { ConstantOptions } from "./constants.ts";
import { lower } from "./dialect.ts";

/** These complain about what stands there, and nothing that is missing elsewhere makes them wrong. */
const LOCAL = new Set([
  "ERR_VDSO_UNSUPPORTED",
  "ERR_VDSO_MESSAGE",
  "ERR_VDSO_LOG_LEVEL",
  "ERR_VDSO_FIELD_INITIALISER",
  "ERR_VDSO_LEN",
]);

/** The errors that are no consequence of what did not parse: all of files that import nothing broken, and those of a single node. */
export function survey(parser: asc.Parser, options: ConstantOptions & { readonly log: boolean }): Diagnostic[] {
  const broken = new Set(parser.diagnostics.flatMap(({ range }) => (range ? [range.source] : [])));
  const { tree } = lower(parser, options);
  const files = new Map(tree.sources.map((source) => [source.internalPath, source]));
  const isAffected = (source: asc.Source | undefined, seen: Set<asc.Source>): boolean => {
    // A file that is not there is as bad as one that does not parse.
    if (source === undefined || broken.has(source)) return true;
    if (seen.has(source)) return false;
    seen.add(source);
    return importsOf(source).some((path) => isAffected(files.get(path) ?? files.get(`${path}/index`), seen));
  };
  const affected = new Set(
    tree.sources.filter((source) => isAffected(source, new Set())).map(({ normalizedPath }) => normalizedPath),
  );
  return tree.diagnostics.filter(({ file, code }) => !affected.has(file) || LOCAL.has(code));
}

function importsOf({ statements }: asc.Source): string[] {
  return statements.flatMap((statement) => {
    const imports = statement instanceof asc.ImportStatement || statement instanceof asc.ExportStatement;
    return imports && statement.internalPath !== null ? [statement.internalPath] : [];
  });
}
