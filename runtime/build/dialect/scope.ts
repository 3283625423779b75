/** Which declaration a name means in a file: its own, an imported one, a re-exported one. */
import { asc } from "./asc.ts";
import { isExported } from "./tree.ts";

export type Declaration =
  | asc.ClassDeclaration
  | asc.EnumDeclaration
  | asc.FunctionDeclaration
  | asc.VariableDeclaration
  | asc.TypeDeclaration
  | asc.NamespaceDeclaration;

/** A declaration and the file in which it stands. */
export interface Found<D extends Declaration = Declaration> {
  readonly node: D;
  readonly source: asc.Source;
}

interface FileScope {
  readonly own: Map<string, Declaration>;
  /** Local name -> file and name there. */
  readonly imported: Map<string, { path: string; name: string }>;
  /** `import * as ns`. */
  readonly namespaces: Map<string, string>;
  /** Exported name -> local name, or name in another file. */
  readonly exported: Map<string, { path: string | null; name: string }>;
  readonly stars: string[];
}

export class Scope {
  private readonly files = new Map<string, { source: asc.Source; scope: FileScope }>();

  constructor(sources: readonly asc.Source[]) {
    for (const source of sources) this.files.set(source.internalPath, { source, scope: readScope(source) });
  }

  /** Every declaration at the top of a file, in order. */
  own(source: asc.Source): Iterable<[string, Declaration]> {
    return this.files.get(source.internalPath)?.scope.own ?? [];
  }

  /** What `name` means in `source`; undefined for names that no file of the vDSO declares (built-ins, typing errors). */
  lookup(source: asc.Source, name: string, seen = new Set<string>()): Found | undefined {
    const scope = this.files.get(source.internalPath)?.scope;
    const own = scope?.own.get(name);
    if (own !== undefined) return { node: own, source };
    const imported = scope?.imported.get(name);
    return imported && this.exportOf(imported.path, imported.name, seen);
  }

  /** What a type's name means in `source`: `Slot`, or `queue.Slot` after `import * as queue`. */
  lookupType(source: asc.Source, type: asc.TypeNode): Found | undefined {
    if (!(type instanceof asc.NamedTypeNode)) return undefined;
    const { identifier, next } = type.name;
    if (next === null) return this.lookup(source, identifier.text);
    return next.next === null ? this.lookupIn(source, identifier.text, next.identifier.text) : undefined;
  }

  /** The type that is meant, by way of type aliases, and the file whose names it uses. */
  resolveType(source: asc.Source, type: asc.TypeNode, hops = 0): { type: asc.TypeNode; source: asc.Source } {
    const found = this.lookupType(source, type);
    // An alias of itself is the language's to report.
    if (!(found?.node instanceof asc.TypeDeclaration) || hops > 100) return { type, source };
    const meant = this.resolveType(found.source, found.node.type, hops + 1);
    return type.isNullable ? { ...meant, type: nullable(meant.type) } : meant;
  }

  /** What `namespace.name` means, where `import * as namespace`. */
  lookupIn(source: asc.Source, namespace: string, name: string): Found | undefined {
    const path = this.files.get(source.internalPath)?.scope.namespaces.get(namespace);
    return path === undefined ? undefined : this.exportOf(path, name, new Set());
  }

  /** Everything that a file exports, by exported name. */
  exports(source: asc.Source, seen = new Set<asc.Source>()): Map<string, Found> {
    const all = new Map<string, Found>();
    const scope = this.files.get(source.internalPath)?.scope;
    if (scope === undefined || seen.has(source)) return all;
    seen.add(source);
    for (const path of scope.stars) {
      const file = this.file(path);
      if (file) for (const [name, found] of this.exports(file.source, seen)) all.set(name, found);
    }
    for (const [name, node] of scope.own) if (isExported(node)) all.set(name, { node, source });
    for (const name of scope.exported.keys()) {
      const found = this.exportOf(source.internalPath, name, new Set());
      if (found !== undefined) all.set(name, found);
    }
    return all;
  }

  private file(path: string) {
    return this.files.get(path) ?? this.files.get(`${path}/index`);
  }

  private exportOf(path: string, name: string, seen: Set<string>): Found | undefined {
    const file = this.file(path);
    if (file === undefined || seen.has(`${path}:${name}`)) return undefined;
    seen.add(`${path}:${name}`);
    const exported = file.scope.exported.get(name);
    if (exported !== undefined) {
      if (exported.path !== null) return this.exportOf(exported.path, exported.name, seen);
      return this.lookup(file.source, exported.name, seen);
    }
    for (const star of file.scope.stars) {
      const found = this.exportOf(star, name, seen);
      if (found !== undefined) return found;
    }
    const own = file.scope.own.get(name);
    return own && { node: own, source: file.source };
  }
}

function nullable(type: asc.TypeNode): asc.TypeNode {
  if (!(type instanceof asc.NamedTypeNode)) return type;
  return asc.Node.createNamedType(type.name, type.typeArguments, true, type.range);
}

function readScope(source: asc.Source): FileScope {
  const scope: FileScope = {
    own: new Map(),
    imported: new Map(),
    namespaces: new Map(),
    exported: new Map(),
    stars: source.exportPaths ?? [],
  };
  for (const statement of source.statements) {
    if (statement instanceof asc.VariableStatement) {
      for (const declaration of statement.declarations) scope.own.set(declaration.name.text, declaration);
    } else if (
      statement instanceof asc.ClassDeclaration ||
      statement instanceof asc.EnumDeclaration ||
      statement instanceof asc.FunctionDeclaration ||
      statement instanceof asc.TypeDeclaration ||
      statement instanceof asc.NamespaceDeclaration
    ) {
      scope.own.set(statement.name.text, statement);
    } else if (statement instanceof asc.ImportStatement) {
      if (statement.namespaceName) scope.namespaces.set(statement.namespaceName.text, statement.internalPath);
      for (const { name, foreignName } of statement.declarations ?? []) {
        scope.imported.set(name.text, { path: statement.internalPath, name: foreignName.text });
      }
    } else if (statement instanceof asc.ExportStatement) {
      for (const { localName, exportedName } of statement.members ?? []) {
        scope.exported.set(exportedName.text, { path: statement.internalPath, name: localName.text });
      }
    }
  }
  return scope;
}
