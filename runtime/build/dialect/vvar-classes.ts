/** Turns the fields of `@vvar` classes into accessors on an unmanaged class whose reference is the struct's offset in the vVAR. */
import { asc, tables } from "./asc.ts";
import type { FieldLayout, Layouts, StructLayout } from "./layout.ts";
import { OUT_OF_BOUNDS, type Sites } from "./sites.ts";
import { isStatic, type Tree, textOf, walk } from "./tree.ts";

export function rewriteVvarClasses(tree: Tree, layouts: Layouts, sites: Sites): void {
  for (const struct of layouts.structs.values()) rewriteClass(tree, struct, sites);
  const { root } = layouts;
  if (root === undefined) return;
  const { declaration, address, typeText } = root;
  declaration.initializer = tree.expression(`$changetype<${typeText}>(${address})`, declaration.range);
  // Inlined, the address becomes an offset of the instruction.
  const [inline] = tree.statements("@inline const x: u32 = 0;", declaration.range);
  if (inline instanceof asc.VariableStatement) declaration.decorators = inline.declarations[0]?.decorators ?? null;
}

/** Reports `new` of a class that has no constructor because it lives in the vVAR. */
export function refuseNewVvar(tree: Tree, layouts: Layouts): void {
  for (const source of tree.sources) {
    walk(source, (node) => {
      if (!(node instanceof asc.NewExpression)) return;
      const name = textOf(node.typeName);
      const type = asc.Node.createNamedType(node.typeName, null, false, node.range);
      if (layouts.structOf(source, type) === undefined) return;
      const help = "take a reference to one that the layout holds, as in shared.slots[0]";
      tree.error(node, "ERR_VDSO_STRUCT_NEW", `'${name}' lives in the vVAR and cannot be created`, help);
    });
  }
}

function rewriteClass(tree: Tree, struct: StructLayout, sites: Sites): void {
  const { node } = struct;
  node.members = node.members.filter((member) => !(member instanceof asc.FieldDeclaration) || isStatic(member));
  for (const field of struct.fields) {
    const { range } = field.node;
    const text = field.array === undefined ? plainAccessors(field) : arrayAccessor(tree, struct, field, sites);
    node.members.push(...tree.classText(`class X { ${text} }`, range).members);
  }
  node.decorators = tree.classText("@unmanaged @final class X {}", node.range).decorators;
  node.flags &= ~tables.CommonFlags.Declare;
}

function addressOf({ offset }: FieldLayout): string {
  return offset === 0 ? "$changetype<usize>(this)" : `$changetype<usize>(this) + ${offset}`;
}

function plainAccessors(field: FieldLayout): string {
  const { name, element } = field;
  const at = addressOf(field);
  const { text, kind, size } = element;
  if (kind === "scalar") {
    return (
      `@inline get ${name}(): ${text} { return $vvar.load<${text}>(${at}); } ` +
      `@inline set ${name}(value: ${text}) { $vvar.store<${text}>(${at}, value); }`
    );
  }
  const getter = `@inline get ${name}(): ${text} { return $changetype<${text}>(${at}); }`;
  if (kind !== "struct") return getter;
  return `${getter} @inline set ${name}(value: ${text}) { $vvar.copy(${at}, value, ${size}); }`;
}

/**
 * A FixedArray becomes a class of its own, because its length is not part of its type. `[]` checks the index; `unchecked(a[i])` does
 * not.
 */
function arrayAccessor(tree: Tree, struct: StructLayout, field: FieldLayout, sites: Sites): string {
  const { name, element, array, node } = field;
  if (array === undefined) throw new Error("not an array");
  const owner = struct.node.name.text;
  const className = `__${owner}$${name}`;
  const { text, kind, size } = element;
  const { length, stride } = array;
  const number = sites.indexCheck(`${owner}.${name}`, node);
  const check = `if (index >= ${length}) ${OUT_OF_BOUNDS}(index, ${length}, ${number});`;
  const at = `$changetype<usize>(this) + <usize>index * ${stride}`;
  const load = kind === "scalar" ? `return $vvar.load<${text}>(${at});` : `return $changetype<${text}>(${at});`;
  let members =
    `@inline get length(): u32 { return ${length}; } ` +
    `@inline @operator("[]") __get(index: u32): ${text} { ${check} ${load} } ` +
    `@inline @operator("{}") __uget(index: u32): ${text} { ${load} }`;
  if (kind === "scalar" || kind === "struct") {
    const store = kind === "scalar" ? `$vvar.store<${text}>(${at}, value);` : `$vvar.copy(${at}, value, ${size});`;
    members +=
      ` @inline @operator("[]=") __set(index: u32, value: ${text}): void { ${check} ${store} }` +
      ` @inline @operator("{}=") __uset(index: u32, value: ${text}): void { ${store} }`;
  }
  struct.source.statements.push(...tree.statements(`@unmanaged @final class ${className} { ${members} }`, node.range));
  return `@inline get ${name}(): ${className} { return $changetype<${className}>(${addressOf(field)}); }`;
}
