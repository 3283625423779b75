/** Reading, walking and making syntax trees. */
import type { Diagnostic } from "../diagnostics.ts";
import { diagnosticAt } from "../diagnostics.ts";
import { asc, tables } from "./asc.ts";

/**
 * Names for generated code, which an author's declarations of the same name (`export function load()`) must not catch. The compiler finds
 * them by their full names.
 */
const HYGIENIC: Readonly<Record<string, string>> = {
  $changetype: "~lib/builtins/changetype",
  $load: "~lib/builtins/load",
  $store: "~lib/builtins/store",
  $memory: "~lib/memory/memory",
  $vvar: "~lib/vdso/vvar/vvar",
};

/** What all steps of the dialect share: the sources, a way to report, a way to make nodes. */
export class Tree {
  readonly diagnostics: Diagnostic[] = [];
  /** Members that were refused: that they are missing then is no news. */
  readonly refusedMembers = new Set<string>();
  readonly sources: readonly asc.Source[];
  private readonly parser: asc.Parser;

  constructor(parser: asc.Parser) {
    this.parser = parser;
    const { User, UserEntry } = tables.SourceKind;
    // The compiler's own runtime passes for the user's, too.
    this.sources = parser.sources.filter(
      ({ sourceKind, normalizedPath }) =>
        (sourceKind === User || sourceKind === UserEntry) && !normalizedPath.startsWith("~lib/"),
    );
  }

  get entry(): asc.Source | undefined {
    return this.sources.find(({ sourceKind }) => sourceKind === tables.SourceKind.UserEntry);
  }

  error(node: asc.Node, code: string, message: string, help?: string): void {
    const made = diagnosticAt(node.range, "error", code, message, help);
    // The compiler comes by some nodes several times.
    const same = ({ file, line, column, message: said }: Diagnostic): boolean =>
      file === made.file && line === made.line && column === made.column && said === message;
    if (!this.diagnostics.some(same)) this.diagnostics.push(made);
  }

  /** For what concerns a file as a whole. */
  errorAtStart({ range }: asc.Source, code: string, message: string, help?: string): void {
    const { source } = range;
    this.diagnostics.push(diagnosticAt({ start: 0, end: 0, source }, "error", code, message, help));
  }

  /**
   * Parses statements made up by us. Every node gets the range of the author's code that it stands for, so that errors and source maps
   * point there.
   */
  statements(text: string, range: asc.Range): asc.Statement[] {
    const source = new asc.Source(tables.SourceKind.User, range.source.normalizedPath, text);
    const tokenizer = new asc.Tokenizer(source);
    const { currentSource } = this.parser;
    this.parser.currentSource = source;
    const made: asc.Statement[] = [];
    while (!tokenizer.skip(tables.Token.EndOfFile)) {
      const statement = this.parser.parseTopLevelStatement(tokenizer, null);
      if (statement === null) throw new Error(`generated code does not parse: ${text}`);
      made.push(statement);
    }
    this.parser.currentSource = currentSource;
    for (const statement of made) {
      walk(statement, (node) => {
        node.range = range;
        if (node instanceof asc.IdentifierExpression) node.text = entryOf(HYGIENIC, node.text) ?? node.text;
      });
    }
    return made;
  }

  /** A class made up by us: its members and decorators are taken over into one of the author's. */
  classText(text: string, range: asc.Range): asc.ClassDeclaration {
    const [made] = this.statements(text, range);
    if (!(made instanceof asc.ClassDeclaration)) throw new Error(`not a class: ${text}`);
    return made;
  }

  expression(text: string, range: asc.Range): asc.Expression {
    const [made] = this.statements(`let _ = ${text};`, range);
    const initializer = made instanceof asc.VariableStatement ? made.declarations[0]?.initializer : null;
    if (!initializer) throw new Error(`not an expression: ${text}`);
    return initializer;
  }
}

type Slot = { [key: string]: unknown };

/** Calls `visit` for a node and all below it, parents first. */
export function walk(node: asc.Node, visit: (node: asc.Node) => void): void {
  visit(node);
  for (const key of Object.keys(node)) {
    if (key === "range") continue;
    const value = (node as unknown as Slot)[key];
    if (value instanceof asc.Node) walk(value, visit);
    else if (Array.isArray(value)) for (const item of value) if (item instanceof asc.Node) walk(item, visit);
  }
}

/** Replaces nodes, children first. */
export function rewrite(node: asc.Node, replace: (node: asc.Node) => asc.Node): asc.Node {
  const slots = node as unknown as Slot;
  for (const key of Object.keys(node)) {
    if (key === "range") continue;
    const value = slots[key];
    if (value instanceof asc.Node) slots[key] = rewrite(value, replace);
    else if (Array.isArray(value)) {
      for (let i = 0; i < value.length; i++) if (value[i] instanceof asc.Node) value[i] = rewrite(value[i], replace);
    }
  }
  return replace(node);
}

/** Looks a name up that an author wrote: `constructor` must not find what every object has. */
export function entryOf<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

export function textOf(node: asc.Node): string {
  return node.range.source.text.substring(node.range.start, node.range.end);
}

export function decorator(node: asc.DeclarationStatement, name: string): asc.DecoratorNode | undefined {
  return node.decorators?.find((found) => found.name instanceof asc.IdentifierExpression && found.name.text === name);
}

/** A type's name when it is plain: `Slot`, but not `queue.Slot`. */
export function typeName(type: asc.TypeNode): string | undefined {
  return type instanceof asc.NamedTypeNode && type.name.next === null ? type.name.identifier.text : undefined;
}

/** Name of the function that a call names plainly, as `panic` in `panic("x")`. */
export function calledName(call: asc.CallExpression): string | undefined {
  return call.expression instanceof asc.IdentifierExpression ? call.expression.text : undefined;
}

/** `["log", "warn"]` in `log.warn(...)`. */
export function calledMember(call: asc.CallExpression): [object: string, member: string] | undefined {
  const { expression } = call;
  if (!(expression instanceof asc.PropertyAccessExpression)) return undefined;
  if (!(expression.expression instanceof asc.IdentifierExpression)) return undefined;
  return [expression.expression.text, expression.property.text];
}

export function isExported(node: asc.DeclarationStatement): boolean {
  return (node.flags & tables.CommonFlags.Export) !== 0;
}

export function isStatic(node: asc.DeclarationStatement): boolean {
  return (node.flags & tables.CommonFlags.Static) !== 0;
}

/** The author's doc comment that stands right before a declaration; "" when there is none. */
export function docComment(node: asc.DeclarationStatement): string {
  const before = node.range.source.text.slice(0, node.range.start);
  const found = /\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*(?:(?:export|declare|const|@\w+(?:\([^)]*\))?)\s*)*$/.exec(before);
  return (found?.[1] ?? "").replace(/^[ \t]*\*[ \t]?/gm, "").trim();
}

export function place(node: asc.Node): { file: string; line: number; column: number } {
  const { source, start } = node.range;
  const line = source.lineAt(start);
  return { file: source.normalizedPath, line, column: source.columnAt() };
}
