/** `@apistruct` classes: records in private memory that cross the API by value. */
import { alignUp } from "../../image/types.ts";
import { asc } from "./asc.ts";
import type { Scope } from "./scope.ts";
import { calledMember, decorator, entryOf, isStatic, type Tree, textOf, typeName, walk } from "./tree.ts";

export interface ApiStructLayout {
  readonly node: asc.ClassDeclaration;
  readonly source: asc.Source;
  readonly size: number;
  readonly fields: readonly ApiStructField[];
}

interface ApiStructField {
  readonly node: asc.FieldDeclaration;
  readonly type: asc.TypeNode;
  readonly offset: number;
}

const BYTES: Readonly<Record<string, number>> = {
  ...{ bool: 1, u8: 1, i8: 1, u16: 2, i16: 2, u64: 8, i64: 8, f64: 8, number: 8, boolean: 1 },
};
/** A struct has to fit among the temporaries. */
const MOST_BYTES = 4096;

/** Turns fields into accessors, and gives the class a constructor that takes room among the temporaries. */
export function rewriteApiStructs(tree: Tree, scope: Scope): ReadonlyMap<asc.ClassDeclaration, ApiStructLayout> {
  return new ApiStructs(tree, scope).run();
}

class ApiStructs {
  private readonly tree: Tree;
  private readonly scope: Scope;
  private readonly structs = new Map<asc.ClassDeclaration, ApiStructLayout>();

  constructor(tree: Tree, scope: Scope) {
    this.tree = tree;
    this.scope = scope;
  }

  run(): ReadonlyMap<asc.ClassDeclaration, ApiStructLayout> {
    for (const source of this.tree.sources) {
      for (const [, node] of this.scope.own(source)) {
        if (node instanceof asc.ClassDeclaration && decorator(node, "apistruct")) {
          this.structs.set(node, this.layOut(node, source));
        }
      }
    }
    for (const source of this.tree.sources) this.refuseKept(source);
    for (const struct of this.structs.values()) this.rewrite(struct);
    return this.structs;
  }

  private layOut(node: asc.ClassDeclaration, source: asc.Source): ApiStructLayout {
    const name = node.name.text;
    const error = (at: asc.Node, message: string, help: string): void => {
      this.tree.error(at, "ERR_VDSO_STRUCT_FORM", message, help);
    };
    if (node.isGeneric || node.extendsType) {
      const help = "write a class of its own, and nest it as a field";
      error(node.name, `@apistruct class '${name}' cannot be generic or extend another`, help);
    }
    const fields: ApiStructField[] = [];
    let offset = 0;
    let align = 1;
    for (const member of node.members) {
      if (member instanceof asc.MethodDeclaration && member.name instanceof asc.ConstructorExpression) {
        const help = "give the fields initialisers, or set them after new";
        error(member.name, `@apistruct class '${name}' cannot have a constructor`, help);
      }
      if (!(member instanceof asc.FieldDeclaration) || isStatic(member)) continue;
      if (!member.type) {
        const help = `for example ${member.name.text}: u32`;
        this.tree.error(member.name, "ERR_VDSO_FIELD_TYPE", `field '${member.name.text}' needs a type`, help);
        this.tree.refusedMembers.add(member.name.text);
        continue;
      }
      const size = this.bytesOf(member.type, source);
      offset = alignUp(offset, size);
      fields.push({ node: member, type: member.type, offset });
      offset += size;
      align = Math.max(align, size);
    }
    const size = alignUp(offset, align);
    if (size > MOST_BYTES) {
      const message = `@apistruct class '${name}' takes ${size} bytes, more than ${MOST_BYTES}`;
      error(node.name, message, "keep large data in the vVAR");
    }
    return { node, source, size, fields };
  }

  /** Scalars take their size; enums and everything held by reference take 4 bytes. */
  private bytesOf(type: asc.TypeNode, source: asc.Source): number {
    return entryOf(BYTES, typeName(this.scope.resolveType(source, type).type) ?? "") ?? 4;
  }

  private rewrite(struct: ApiStructLayout): void {
    const { node, source, size, fields } = struct;
    const name = node.name.text;
    node.members = node.members.filter(
      (member) =>
        !(member instanceof asc.FieldDeclaration && !isStatic(member)) &&
        !(member.name instanceof asc.ConstructorExpression),
    );
    let body = "";
    const initializers: asc.Expression[] = [];
    for (const { node: field, type, offset } of fields) {
      const text = textOf(type) + (type.isNullable && !textOf(type).includes("null") ? " | null" : "");
      const at = offset === 0 ? "$changetype<usize>(this)" : `$changetype<usize>(this) + ${offset}`;
      const accessors =
        `@inline get ${field.name.text}(): ${text} { return $load<${text}>(${at}); } ` +
        `@inline set ${field.name.text}(value: ${text}) { $store<${text}>(${at}, value); }`;
      node.members.push(...this.tree.classText(`class X { ${accessors} }`, field.range).members);
      if (field.initializer) initializers.push(field.initializer);
      else if (this.created(type, source).some((below) => this.reaches(below, struct, new Set()))) {
        const help = `write ${textOf(type)} | null`;
        this.tree.error(field.name, "ERR_VDSO_STRUCT_RECURSIVE", `struct '${name}' contains itself`, help);
        continue;
      }
      const value = field.initializer ? "0" : this.initialValue(type, source);
      if (value !== undefined) body += `__it.${field.name.text} = ${value}; `;
    }
    const made = this.tree.classText(
      `@unmanaged @final class X { constructor() { const __it = $changetype<${name}>(__temporary(${size})); ` +
        `$memory.fill($changetype<usize>(__it), 0, ${size}); ${body}return __it; } }`,
      node.range,
    );
    fillInitializers(made, initializers);
    node.decorators = made.decorators;
    node.members.push(...made.members);
  }

  /** What a field of this type holds before it is set, where that is not just zero bytes. */
  private initialValue(type: asc.TypeNode, source: asc.Source): string | undefined {
    const meant = this.scope.resolveType(source, type);
    if (meant.type.isNullable) return undefined;
    const name = typeName(meant.type);
    if (name === "string") return '""';
    if (name === "Option") return `$changetype<${textOf(type)}>(__NOTHING)`;
    if (name === "Result") {
      // Ok, with the value that a field of the value's type would have.
      const [held] = meant.type instanceof asc.NamedTypeNode ? (meant.type.typeArguments ?? []) : [];
      const value = held && this.initialValue(held, meant.source);
      return value === undefined ? `$changetype<${textOf(type)}>(__NOTHING)` : `Result.ok(${value})`;
    }
    return this.structOf(type, source) === undefined ? undefined : `new ${textOf(type)}()`;
  }

  private structOf(type: asc.TypeNode, source: asc.Source): ApiStructLayout | undefined {
    const meant = this.scope.resolveType(source, type);
    const found = this.scope.lookupType(meant.source, meant.type);
    return found?.node instanceof asc.ClassDeclaration ? this.structs.get(found.node) : undefined;
  }

  /** The structs that are made along with a field of this type. */
  private created(type: asc.TypeNode, source: asc.Source): ApiStructLayout[] {
    const meant = this.scope.resolveType(source, type);
    if (meant.type.isNullable) return [];
    if (typeName(meant.type) === "Result" && meant.type instanceof asc.NamedTypeNode) {
      const [held] = meant.type.typeArguments ?? [];
      return held ? this.created(held, meant.source) : [];
    }
    const struct = this.structOf(meant.type, meant.source);
    return struct === undefined ? [] : [struct];
  }

  private reaches(from: ApiStructLayout, target: ApiStructLayout, seen: Set<ApiStructLayout>): boolean {
    if (from === target) return true;
    if (seen.has(from)) return false;
    seen.add(from);
    return from.fields.some(
      ({ node, type }) =>
        !node.initializer && this.created(type, from.source).some((below) => this.reaches(below, target, seen)),
    );
  }

  /** Private data outlives the call; a temporary does not. */
  private refuseKept(source: asc.Source): void {
    const check = (node: asc.VariableDeclaration | asc.FieldDeclaration): void => {
      if (!this.isTemporary(node, source)) return;
      const message = `'${node.name.text}' would keep a temporary, which younger ones overwrite`;
      const help = "keep its values in variables of their own, and make the struct when it is asked for";
      this.tree.error(node.name, "ERR_VDSO_TEMPORARY", message, help);
    };
    walk(source, (node) => {
      if (!(node instanceof asc.ClassDeclaration)) return;
      for (const member of node.members) {
        if (member instanceof asc.FieldDeclaration && (isStatic(member) || !hasRole(node))) check(member);
      }
    });
    const visit = (statements: readonly asc.Statement[]): void => {
      for (const statement of statements) {
        if (statement instanceof asc.NamespaceDeclaration) visit(statement.members);
        if (statement instanceof asc.VariableStatement) for (const node of statement.declarations) check(node);
      }
    };
    visit(source.statements);
  }

  private isTemporary(node: asc.VariableDeclaration | asc.FieldDeclaration, source: asc.Source): boolean {
    const { initializer } = node;
    const made = initializer instanceof asc.NewExpression ? initializer.typeName : undefined;
    const type = node.type ?? (made && asc.Node.createNamedType(made, null, false, made.range));
    if (type) {
      const name = typeName(this.scope.resolveType(source, type).type);
      return name === "Option" || name === "Result" || this.structOf(type, source) !== undefined;
    }
    const object = initializer instanceof asc.CallExpression ? calledMember(initializer)?.[0] : undefined;
    return object === "Option" || object === "Result";
  }
}

function hasRole(node: asc.ClassDeclaration): boolean {
  return ["vvar", "apistruct", "host"].some((role) => decorator(node, role) !== undefined);
}

/** Puts the author's expressions in place of the zeros written for them. */
function fillInitializers(made: asc.ClassDeclaration, initializers: readonly asc.Expression[]): void {
  const [maker] = made.members;
  const body = maker instanceof asc.MethodDeclaration ? maker.body : null;
  if (!(body instanceof asc.BlockStatement)) throw new Error("no constructor body");
  const rest = [...initializers];
  for (const statement of body.statements) {
    const assignment = statement instanceof asc.ExpressionStatement ? statement.expression : undefined;
    if (assignment instanceof asc.BinaryExpression && assignment.right instanceof asc.IntegerLiteralExpression) {
      assignment.right = rest.shift() ?? assignment.right;
    }
  }
}
