/** `@apistruct` classes: records in private memory that cross the API by value. */
import { alignUp } from "../../image/types.ts";
import { asc } from "./asc.ts";
import type { Scope } from "./scope.ts";
import { decorator, isStatic, type Tree, textOf, typeName } from "./tree.ts";

export interface ApiStructLayout {
  readonly node: asc.ClassDeclaration;
  readonly source: asc.Source;
  readonly size: number;
  readonly fields: readonly {
    readonly node: asc.FieldDeclaration;
    readonly type: asc.TypeNode;
    readonly offset: number;
  }[];
}

const BYTES: Readonly<Record<string, number>> = {
  bool: 1,
  u8: 1,
  i8: 1,
  u16: 2,
  i16: 2,
  u64: 8,
  i64: 8,
  f64: 8,
  number: 8,
  boolean: 1,
};

/** Turns fields into accessors, and gives the class a constructor that takes room from the ring of temporaries. */
export function rewriteApiStructs(tree: Tree, scope: Scope): Map<asc.ClassDeclaration, ApiStructLayout> {
  const structs = new Map<asc.ClassDeclaration, ApiStructLayout>();
  for (const source of tree.sources) {
    for (const [, node] of scope.own(source)) {
      if (node instanceof asc.ClassDeclaration && decorator(node, "apistruct")) {
        structs.set(node, layOut(tree, scope, node, source));
      }
    }
  }
  for (const struct of structs.values()) rewriteClass(tree, scope, struct, structs);
  return structs;
}

function layOut(tree: Tree, scope: Scope, node: asc.ClassDeclaration, source: asc.Source): ApiStructLayout {
  const name = node.name.text;
  if (node.isGeneric || node.extendsType) {
    const help = "write a class of its own, and nest it as a field";
    tree.error(
      node.name,
      "ERR_VDSO_STRUCT_FORM",
      `@apistruct class '${name}' cannot be generic or extend another`,
      help,
    );
  }
  const fields: { node: asc.FieldDeclaration; type: asc.TypeNode; offset: number }[] = [];
  let offset = 0;
  let align = 1;
  for (const member of node.members) {
    if (member instanceof asc.MethodDeclaration && member.name instanceof asc.ConstructorExpression) {
      const help = "give the fields initialisers, or set them after new";
      tree.error(member, "ERR_VDSO_STRUCT_FORM", `@apistruct class '${name}' cannot have a constructor`, help);
    }
    if (!(member instanceof asc.FieldDeclaration) || isStatic(member)) continue;
    if (!member.type) {
      const help = `for example ${member.name.text}: u32`;
      tree.error(member, "ERR_VDSO_FIELD_TYPE", `field '${member.name.text}' needs a type`, help);
      continue;
    }
    const size = bytesOf(scope, member.type, source);
    offset = alignUp(offset, size);
    fields.push({ node: member, type: member.type, offset });
    offset += size;
    align = Math.max(align, size);
  }
  return { node, source, size: alignUp(offset, align), fields };
}

/** Scalars take their size; enums and everything held by reference take 4 bytes. */
function bytesOf(scope: Scope, type: asc.TypeNode, source: asc.Source): number {
  return BYTES[typeName(scope.resolveType(source, type).type) ?? ""] ?? 4;
}

function rewriteClass(
  tree: Tree,
  scope: Scope,
  struct: ApiStructLayout,
  structs: ReadonlyMap<asc.ClassDeclaration, ApiStructLayout>,
): void {
  const { node, source, size, fields } = struct;
  const name = node.name.text;
  node.members = node.members.filter((member) => !(member instanceof asc.FieldDeclaration) || isStatic(member));
  let body = "";
  const initializers: asc.Expression[] = [];
  for (const { node: field, type, offset } of fields) {
    const text = textOf(type) + (type.isNullable && !textOf(type).includes("null") ? " | null" : "");
    const at = offset === 0 ? "changetype<usize>(this)" : `changetype<usize>(this) + ${offset}`;
    const accessors =
      `@inline get ${field.name.text}(): ${text} { return load<${text}>(${at}); } ` +
      `@inline set ${field.name.text}(value: ${text}) { store<${text}>(${at}, value); }`;
    node.members.push(...tree.classText(`class X { ${accessors} }`, field.range).members);
    if (field.initializer) {
      initializers.push(field.initializer);
      body += `it.${field.name.text} = 0; `;
      continue;
    }
    const zero = initialValue(tree, scope, field, type, source, struct, structs);
    if (zero !== undefined) body += `it.${field.name.text} = ${zero}; `;
  }
  const made = tree.classText(
    `@unmanaged @final class X { constructor() { const it = changetype<${name}>(__temporary(${size})); ` +
      `memory.fill(changetype<usize>(it), 0, ${size}); ${body}return it; } }`,
    node.range,
  );
  fillInitializers(made, initializers);
  node.decorators = made.decorators;
  node.members.push(...made.members);
}

/** What a field holds before it is set, where that is not just zero bytes. */
function initialValue(
  tree: Tree,
  scope: Scope,
  field: asc.FieldDeclaration,
  type: asc.TypeNode,
  source: asc.Source,
  owner: ApiStructLayout,
  structs: ReadonlyMap<asc.ClassDeclaration, ApiStructLayout>,
): string | undefined {
  const { type: meant } = scope.resolveType(source, type);
  if (meant.isNullable) return undefined;
  const name = typeName(meant);
  if (name === "Option" || name === "Result") return `changetype<${textOf(type)}>(__NOTHING)`;
  if (name === "string") return '""';
  const nested = structOf(scope, type, source, structs);
  if (nested === undefined) return undefined;
  if (reaches(scope, nested, owner, structs, new Set())) {
    const message = `struct '${owner.node.name.text}' contains itself`;
    tree.error(field, "ERR_VDSO_STRUCT_RECURSIVE", message, `write ${textOf(type)} | null`);
    return undefined;
  }
  return `new ${textOf(type)}()`;
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

function structOf(
  scope: Scope,
  type: asc.TypeNode,
  source: asc.Source,
  structs: ReadonlyMap<asc.ClassDeclaration, ApiStructLayout>,
): ApiStructLayout | undefined {
  const meant = scope.resolveType(source, type);
  const found = scope.lookupType(meant.source, meant.type);
  return found?.node instanceof asc.ClassDeclaration ? structs.get(found.node) : undefined;
}

/** Does `from`, by fields that are created with it, hold a `target`? */
function reaches(
  scope: Scope,
  from: ApiStructLayout,
  target: ApiStructLayout,
  structs: ReadonlyMap<asc.ClassDeclaration, ApiStructLayout>,
  seen: Set<ApiStructLayout>,
): boolean {
  if (from === target) return true;
  if (seen.has(from)) return false;
  seen.add(from);
  return from.fields.some(({ type }) => {
    const next = scope.resolveType(from.source, type).type.isNullable
      ? undefined
      : structOf(scope, type, from.source, structs);
    return next !== undefined && reaches(scope, next, target, structs, seen);
  });
}
