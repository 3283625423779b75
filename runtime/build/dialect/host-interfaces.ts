/** `@host declare class`: functions that each process supplies. They become imports of module `host`. */
import { asc, tables } from "./asc.ts";
import type { Scope } from "./scope.ts";
import { decorator, isStatic, type Tree, textOf } from "./tree.ts";

export interface HostFunctionNode {
  readonly name: string;
  readonly isStatic: boolean;
  readonly signature: asc.FunctionTypeNode;
  readonly node: asc.MethodDeclaration;
}

export interface HostClass {
  readonly name: string;
  readonly node: asc.ClassDeclaration;
  readonly source: asc.Source;
  readonly functions: readonly HostFunctionNode[];
}

/** Makes each an unmanaged class, whose reference is the handle, with a method per import. */
export function rewriteHostInterfaces(tree: Tree, scope: Scope): Map<asc.ClassDeclaration, HostClass> {
  const found = new Map<asc.ClassDeclaration, HostClass>();
  const names = new Map<string, HostClass>();
  for (const source of tree.sources) {
    for (const [name, node] of scope.own(source)) {
      if (!(node instanceof asc.ClassDeclaration) || !decorator(node, "host")) continue;
      const other = names.get(name);
      if (other !== undefined) {
        const message = `an interface is called '${name}' already, in ${other.source.normalizedPath}`;
        tree.error(node.name, "ERR_VDSO_HOST_FORM", message, "import it, or rename one");
        continue;
      }
      const host = rewriteClass(tree, node, source);
      found.set(node, host);
      names.set(name, host);
    }
  }
  return found;
}

function rewriteClass(tree: Tree, node: asc.ClassDeclaration, source: asc.Source): HostClass {
  const name = node.name.text;
  if (node instanceof asc.InterfaceDeclaration) {
    const help = `write @host declare class ${name} { ... }`;
    tree.error(node.name, "ERR_VDSO_HOST_FORM", "@host is for classes: editors refuse decorators on interfaces", help);
  }
  if (!(node instanceof asc.InterfaceDeclaration) && (node.flags & tables.CommonFlags.Declare) === 0) {
    const help = `write @host declare class ${name} { ... }`;
    tree.error(node.name, "ERR_VDSO_HOST_FORM", `interface '${name}' is not declared`, help);
  }
  const functions: HostFunctionNode[] = [];
  let imports = "";
  let methods = "";
  for (const member of node.members) {
    if (!(member instanceof asc.MethodDeclaration)) {
      const help = "write a method that returns the value";
      tree.error(member, "ERR_VDSO_HOST_FORM", `interface '${name}' has functions only`, help);
      continue;
    }
    if (member.body) {
      const help = "end it with a semicolon: the host supplies the body";
      tree.error(member.name, "ERR_VDSO_HOST_FORM", `'${name}.${member.name.text}' has a body`, help);
    }
    const method = { name: member.name.text, isStatic: isStatic(member), signature: member.signature, node: member };
    if (["retain", "release"].includes(method.name)) {
      tree.error(
        member.name,
        "ERR_VDSO_HOST_FORM",
        `every handle has a ${method.name}() already`,
        "rename the function",
      );
      continue;
    }
    functions.push(method);
    imports += importText(name, method);
    methods += methodText(name, method);
  }
  const { range } = node;
  source.statements.push(...tree.statements(imports, range));
  const handle = "<u32>$changetype<usize>(this)";
  const made = tree.classText(
    `@unmanaged @final class X { ${methods} @inline retain(): void { __retain(${handle}); } ` +
      `@inline release(): void { __release(${handle}); } }`,
    range,
  );
  node.members = made.members;
  node.decorators = made.decorators;
  node.flags &= ~tables.CommonFlags.Declare;
  for (const member of made.members) member.flags &= ~tables.CommonFlags.Declare;
  return { name, node, source, functions };
}

function parameters({ signature }: HostFunctionNode): { name: string; type: string }[] {
  return signature.parameters.map(({ name, type }) => ({ name: name.text, type: textOf(type) }));
}

function importText(owner: string, method: HostFunctionNode): string {
  const list = parameters(method).map(({ name, type }) => `${name}: ${type}`);
  if (!method.isStatic) list.unshift("__handle: u32");
  const separator = method.isStatic ? "." : "#";
  const result = textOf(method.signature.returnType) || "void";
  return (
    `@external("host", "${owner}${separator}${method.name}") ` +
    `declare function __host_${owner}_${method.name}(${list.join(", ")}): ${result};\n`
  );
}

function methodText(owner: string, method: HostFunctionNode): string {
  const list = parameters(method);
  const args = list.map(({ name }) => name);
  if (!method.isStatic) args.unshift("<u32>$changetype<usize>(this)");
  const result = textOf(method.signature.returnType) || "void";
  const call = `__host_${owner}_${method.name}(${args.join(", ")});`;
  const typed = list.map(({ name, type }) => `${name}: ${type}`).join(", ");
  return `@inline ${method.isStatic ? "static " : ""}${method.name}(${typed}): ${result} { ${result === "void" ? "" : "return "}${call} }\n`;
}
