/** Which decorators there are, and what they stand on. The compiler ignores those that it does not know; a typing error must not pass. */
import { asc, tables } from "./asc.ts";
import { decorator, entryOf, type Tree, textOf, walk } from "./tree.ts";

type Target = "class" | "field" | "function" | "method" | "variable" | "interface" | "enum" | "namespace" | "type";

const PLACES: Readonly<Record<string, readonly Target[]>> = {
  vvar: ["class"],
  apistruct: ["class"],
  host: ["class", "interface"],
  align: ["class", "field"],
  len: ["field"],
  inline: ["function", "method"],
  operator: ["method"],
  final: ["class"],
  unmanaged: ["class"],
};
/** A class is one of these at most. */
const ROLES = ["vvar", "apistruct", "host"] as const;

export function checkDecorators(tree: Tree): void {
  for (const source of tree.sources) {
    const top = new Set<asc.Node>(source.statements);
    walk(source, (node) => {
      if (node instanceof asc.ClassDeclaration) {
        checkClass(tree, node, top.has(node));
        for (const member of node.members)
          check(tree, member, memberTarget(member), decorator(node, "vvar") !== undefined);
      } else if (node instanceof asc.VariableStatement) {
        for (const declaration of node.declarations) check(tree, declaration, "variable", false);
      } else {
        const target = targetOf(node);
        if (target !== undefined) check(tree, node as asc.DeclarationStatement, target, false);
      }
    });
  }
}

function targetOf(node: asc.Node): Target | undefined {
  if (node instanceof asc.MethodDeclaration) return undefined;
  if (node instanceof asc.FunctionDeclaration) return "function";
  if (node instanceof asc.EnumDeclaration) return "enum";
  if (node instanceof asc.NamespaceDeclaration) return "namespace";
  return node instanceof asc.TypeDeclaration ? "type" : undefined;
}

function memberTarget(member: asc.DeclarationStatement): Target {
  return member instanceof asc.FieldDeclaration ? "field" : "method";
}

function checkClass(tree: Tree, node: asc.ClassDeclaration, isTop: boolean): void {
  check(tree, node, node instanceof asc.InterfaceDeclaration ? "interface" : "class", false);
  const roles = ROLES.filter((role) => decorator(node, role));
  const [role, other] = roles;
  const name = node.name.text;
  if (role === undefined) {
    const align = decorator(node, "align");
    if (align)
      tree.error(align, "ERR_VDSO_DECORATOR", `@align on a class is for @vvar classes`, `write @vvar class ${name}`);
    if ((node.flags & tables.CommonFlags.Declare) !== 0) {
      const help = `write @host declare class ${name} { ... } if the host supplies it`;
      tree.error(node.name, "ERR_VDSO_UNSUPPORTED", `class '${name}' has no code`, help);
    }
    return;
  }
  if (other !== undefined) {
    const message = `class '${name}' cannot be both @${role} and @${other}`;
    tree.error(node.name, "ERR_VDSO_DECORATOR", message, "write two classes");
  }
  if (!isTop) {
    const message = `@${role} class '${name}' must stand at the top of its file`;
    tree.error(node.name, "ERR_VDSO_DECORATOR", message, "move it out of the namespace or function");
  }
}

function check(tree: Tree, node: asc.DeclarationStatement, target: Target, inVvar: boolean): void {
  const seen = new Set<string>();
  for (const found of node.decorators ?? []) {
    const name = textOf(found.name).replace(/^@/, "");
    const base = name.split(".")[0] ?? name;
    const places = entryOf(PLACES, base);
    const error = (message: string, help: string): void => tree.error(found, "ERR_VDSO_DECORATOR", message, help);
    if (places === undefined) {
      const near = Object.keys(PLACES).find((known) => distance(known, base) <= 2);
      const known = Object.keys(PLACES).map((each) => `@${each}`);
      error(
        `there is no decorator @${name}`,
        near === undefined ? `there are ${known.join(", ")}` : `did you mean @${near}?`,
      );
    } else if (target === "variable") {
      error("variables cannot have decorators: editors refuse them", "write a class, or a plain const");
    } else if (!places.includes(target)) {
      error(
        `@${name} cannot stand on ${/^[aeiou]/.test(target) ? "an" : "a"} ${target}`,
        `it stands on a ${places[0] === "field" ? "field of a @vvar class" : places.join(" or ")}`,
      );
    } else if (target === "field" && !inVvar) {
      error(`@${name} is for fields of @vvar classes`, "private memory needs none");
    } else if (seen.has(name)) {
      error(`@${name} stands here twice`, "leave one out");
    }
    seen.add(name);
  }
}

/** Edit distance. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let k = 1; k <= b.length; k++) {
      const swap = (row[k - 1] ?? 0) + (a[i - 1] === b[k - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[k] ?? 0) + 1, (next[k - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
