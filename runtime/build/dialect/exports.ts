/** What `api.ts` exports, in the manifest's terms: functions, the types that their signatures use, interfaces; and the author's docs. */
import type { ApiFunction, ApiStruct, EnumType, HostInterface, Parameter } from "../../image/manifest.ts";
import { isApiName } from "./api-names.ts";
import type { ApiStructLayout } from "./api-structs.ts";
import { asc, tables } from "./asc.ts";
import type { Dialect } from "./dialect.ts";
import type { HostClass } from "./host-interfaces.ts";

import { docComment, entryOf, textOf, typeName } from "./tree.ts";

/** The author's doc comments, for the API library's types. */
export interface Docs {
  functions: Record<string, { text: string }>;
  /** Enums, API structs, interfaces. */
  types: Record<string, string>;
  /** By `Type.member`. */
  members: Record<string, string>;
}

export interface Exports {
  readonly functions: ApiFunction[];
  readonly structs: ApiStruct[];
  readonly enums: EnumType[];
  readonly interfaces: HostInterface[];
  readonly docs: Docs;
}

const SCALARS = new Set(["bool", "u8", "i8", "u16", "i16", "u32", "i32", "u64", "i64", "f32", "f64"]);
const ALIASES: Readonly<Record<string, string>> = { usize: "u32", isize: "i32", boolean: "bool", number: "f64" };
const ALLOWED =
  "numbers, bool, enums, strings, @host handles, @apistruct classes, Option<T>, Result<T, E>, @vvar references";
const ALLOWED_TO_HOST = "numbers, bool, enums, strings, @host handles, @vvar references";

/** Where a type stands. */
interface Position {
  /** For messages, as in `parameter 'n' of 'add'`. */
  readonly use: string;
  readonly isResult?: boolean;
  /** In a function that the host supplies: less can be passed there. */
  readonly isHost?: boolean;
  /** What a type is missing from, when it is not the result. */
  readonly name?: string;
}

/** Exports with a meaning of their own: name -> parameters. */
const LIFECYCLE: Readonly<Record<string, readonly string[]>> = { init: [], processInit: ["u32"], processDrop: ["u32"] };

export function collectExports(dialect: Dialect): Exports {
  return new Collector(dialect).run();
}

class Collector {
  private readonly dialect: Dialect;
  private readonly functions: ApiFunction[] = [];
  private readonly structs = new Map<asc.ClassDeclaration, ApiStruct>();
  private readonly interfaces = new Map<asc.ClassDeclaration, HostInterface>();
  private readonly docs: Docs = { functions: {}, types: {}, members: {} };

  constructor(dialect: Dialect) {
    this.dialect = dialect;
  }

  run(): Exports {
    const { tree, scope, layouts, hosts } = this.dialect;
    const { entry } = tree;
    if (entry !== undefined) {
      for (const [name, { node, source }] of scope.exports(entry)) this.exported(name, node, source);
    }
    Object.assign(this.docs.types, this.dialect.constants.docs);
    // An interface may be used only by functions that are not exported: every process supplies it all the same.
    for (const host of hosts.values()) this.interfaceOf(host);
    return {
      functions: this.functions,
      structs: [...this.structs.values()],
      enums: [...layouts.enums.values()],
      interfaces: [...this.interfaces.values()],
      docs: this.docs,
    };
  }

  private exported(name: string, node: asc.Node, source: asc.Source): void {
    const { tree, layouts } = this.dialect;
    if (node instanceof asc.FunctionDeclaration) this.functionOf(name, node, source);
    else if (node instanceof asc.EnumDeclaration) this.enumOf(node, source);
    else if (node instanceof asc.VariableDeclaration && (node.flags & tables.CommonFlags.Const) === 0) {
      const help = `export a function that returns it: '${name}' is private, each process has its own`;
      tree.error(node.name, "ERR_VDSO_API_FORM", "variables cannot be exported", help);
    } else if (node instanceof asc.NamespaceDeclaration) {
      const help = "export the functions one by one";
      tree.error(node.name, "ERR_VDSO_API_FORM", "namespaces cannot be exported", help);
    } else if (node instanceof asc.ClassDeclaration) {
      const { apiStructs, hosts } = this.dialect;
      const struct = apiStructs.get(node);
      if (struct !== undefined) this.structOf(struct);
      else if (!hosts.has(node) && !layouts.structs.has(node)) {
        const help = "mark it @apistruct to pass it by value, or do not export it";
        tree.error(node.name, "ERR_VDSO_API_FORM", `class '${name}' cannot be exported`, help);
      }
    }
  }

  private functionOf(name: string, node: asc.FunctionDeclaration, source: asc.Source): void {
    const { tree } = this.dialect;
    if (node.isGeneric) {
      const help = "export one function per type";
      tree.error(node.name, "ERR_VDSO_API_FORM", `exported function '${name}' cannot be generic`, help);
      return;
    }
    const params = this.parameters(node.signature, source, `'${name}'`);
    const position = { use: `the result of '${name}'`, isResult: true };
    const result = this.type(node.signature.returnType, source, position);
    const expected = entryOf(LIFECYCLE, name);
    if (
      expected !== undefined &&
      (result !== "void" || params.map(({ type }) => (type === "i32" ? "u32" : type)).join() !== expected.join())
    ) {
      const form = `export function ${name}(${expected.length > 0 ? "pid: u32" : ""}): void`;
      tree.error(node.name, "ERR_VDSO_API_FORM", `'${name}' has another form than the runtime calls`, `write ${form}`);
    }
    if (["memory", "_initialize", "constructor", "__proto__"].includes(name)) {
      tree.error(node.name, "ERR_VDSO_API_FORM", `'${name}' is a name of the runtime's own`, "rename the function");
    }
    this.functions.push({ name, params, result: result ?? "void" });
    const text = docComment(node);
    if (text !== "") this.docs.functions[name] = { text };
  }

  private parameters(signature: asc.FunctionTypeNode, source: asc.Source, owner: string, isHost = false): Parameter[] {
    const { tree, constants } = this.dialect;
    return signature.parameters.map((parameter) => {
      const name = parameter.name.text;
      const use = `parameter '${name}' of ${owner}`;
      const type = this.type(parameter.type, source, { use, isHost, name }, parameter.name) ?? "u32";
      if (parameter.parameterKind === tables.ParameterKind.Rest) {
        tree.error(parameter, "ERR_VDSO_API_FORM", "there are no rest parameters", "export one function per count");
      }
      if (!parameter.initializer) return { name, type };
      const value = constants.evaluate(parameter.initializer, source, `the default of '${name}'`, type);
      return value === undefined ? { name, type } : { name, type, default: literalOf(value, type) };
    });
  }

  /** @param at - what to mark when there is no type */
  private type(
    written: asc.TypeNode,
    usedIn: asc.Source,
    position: Position,
    at: asc.Node = written,
  ): string | undefined {
    const { use, isResult = false, isHost = false } = position;
    const { tree, scope, layouts, apiStructs, hosts } = this.dialect;
    const { type, source } = scope.resolveType(usedIn, written);
    const plain = typeName(type) ?? "";
    const name = entryOf(ALIASES, plain) ?? plain;
    const nullable = type.isNullable;
    const known = SCALARS.has(name) || name === "string" || (name === "void" && isResult);
    if (known && (!nullable || name === "string")) return nullable ? `${name}?` : name;
    if (name === "" && textOf(written) === "") {
      const help = isResult ? "write : void, or the type it returns" : `for example ${position.name}: u32`;
      tree.error(at, "ERR_VDSO_API_TYPE", `${use} needs a type`, help);
      return undefined;
    }
    if (isHost && this.isRecord(type, source, name)) {
      tree.error(
        written,
        "ERR_VDSO_API_TYPE",
        `${use} cannot be of type '${textOf(written)}'`,
        hostHelp(name, isResult),
      );
      return undefined;
    }
    if ((name === "Option" || name === "Result") && type instanceof asc.NamedTypeNode && !nullable) {
      const parts = (type.typeArguments ?? []).map((part, i) =>
        this.type(part, source, { use, isResult: name === "Result" && i === 0 }),
      );
      if (parts.length === (name === "Option" ? 1 : 2))
        return parts.includes(undefined) ? undefined : `${name}<${parts.join(",")}>`;
    }
    const found = scope.lookupType(source, type);
    if (found?.node instanceof asc.EnumDeclaration && !nullable) return this.enumOf(found.node, found.source);
    if (found?.node instanceof asc.ClassDeclaration) {
      const record = apiStructs.get(found.node);
      if (record !== undefined) return this.structOf(record) + (nullable ? "?" : "");
      const host = hosts.get(found.node);
      if (host !== undefined && !nullable) return this.interfaceOf(host).name;
      const struct = layouts.structs.get(found.node);
      if (struct !== undefined && !nullable) return layouts.structName(struct);
    }
    const nullHelp = isHost
      ? "only strings can be null"
      : "only strings and @apistruct classes can be null; use Option<T>";
    const help = nullable ? nullHelp : `it takes ${isHost ? ALLOWED_TO_HOST : ALLOWED}`;
    tree.error(written, "ERR_VDSO_API_TYPE", `${use} cannot be of type '${textOf(written)}'`, help);
    return undefined;
  }

  /** Is it made of several values? */
  private isRecord(type: asc.TypeNode, source: asc.Source, name: string): boolean {
    if (name === "Option" || name === "Result") return true;
    const found = this.dialect.scope.lookupType(source, type);
    return found?.node instanceof asc.ClassDeclaration && this.dialect.apiStructs.has(found.node);
  }

  private enumOf(node: asc.EnumDeclaration, source: asc.Source): string {
    const { layouts } = this.dialect;
    const name = layouts.enumName({ node, source });
    this.claim(name, node);
    this.document(name, node);
    for (const value of node.values) this.documentMember(`${name}.${value.name.text}`, value);
    return name;
  }

  private structOf(layout: ApiStructLayout): string {
    const { node } = layout;
    const known = this.structs.get(node);
    if (known !== undefined) return known.name;
    const name = node.name.text;
    const struct: ApiStruct = { name, size: layout.size, fields: [] };
    this.structs.set(node, struct);
    this.claim(name, node);
    this.document(name, node);
    for (const { node: field, type, offset } of layout.fields) {
      const text = this.type(type, layout.source, { use: `field '${name}.${field.name.text}'` });
      if (text === undefined) continue;
      struct.fields.push({ name: field.name.text, offset, type: text });
      this.documentMember(`${name}.${field.name.text}`, field);
    }
    return name;
  }

  private interfaceOf(host: HostClass): HostInterface {
    const known = this.interfaces.get(host.node);
    if (known !== undefined) return known;
    const made: HostInterface = { name: host.name, functions: [] };
    this.interfaces.set(host.node, made);
    this.claim(host.name, host.node);
    this.document(host.name, host.node);
    for (const { name, isStatic: fixed, signature, node } of host.functions) {
      this.documentMember(`${host.name}.${name}`, node);
      const owner = `'${host.name}.${name}'`;
      const params = this.parameters(signature, host.source, owner, true);
      const position = { use: `the result of ${owner}`, isResult: true, isHost: true };
      const result = this.type(signature.returnType, host.source, position) ?? "void";
      made.functions.push({ name, static: fixed, params, result });
    }
    return made;
  }

  private readonly claimed = new Map<string, asc.DeclarationStatement>();

  /** Types of the API share one namespace, the API library's. */
  private claim(name: string, node: asc.DeclarationStatement): void {
    const other = this.claimed.get(name);
    if (other !== undefined && other !== node) {
      const message = `the API would have two types called '${name}'; the other is in ${other.range.source.normalizedPath}`;
      this.dialect.tree.error(node.name, "ERR_VDSO_API_NAME", message, "rename one");
    }
    if (!isApiName(name)) {
      this.dialect.tree.error(node.name, "ERR_VDSO_API_NAME", `'${name}' is taken in JavaScript`, "rename it");
    }
    this.claimed.set(name, node);
  }

  private document(name: string, node: asc.DeclarationStatement): void {
    const text = docComment(node);
    if (text !== "") this.docs.types[name] = text;
  }

  private documentMember(name: string, node: asc.DeclarationStatement): void {
    const text = docComment(node);
    if (text !== "") this.docs.members[name] = text;
  }
}

/** What to write for a record that a function of the host would take or return. */
function hostHelp(name: string, isResult: boolean): string {
  if (!isResult)
    return name === "Option"
      ? "take the value, and a bool that says whether there is one"
      : "pass the fields one by one";
  if (name === "Option")
    return "return a value that means none (-1, a string | null), or declare one more function that returns a bool";
  if (name === "Result")
    return "return an enum that says how it went, and declare one more function that returns the value";
  return "declare a function per field";
}

/** A default value as JavaScript source. */
function literalOf(value: bigint | number | boolean | string, type: string): string {
  if (type === "u64" || type === "i64") return `${value}n`;
  return typeof value === "string" ? JSON.stringify(value) : String(value);
}
