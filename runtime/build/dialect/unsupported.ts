/** What TypeScript has and the dialect has not, reported with what to write instead. */
import { asc, tables } from "./asc.ts";
import { calledMember, calledName, decorator, entryOf, rewrite, type Tree, textOf, typeName, walk } from "./tree.ts";

const CODE = "ERR_VDSO_UNSUPPORTED";

export function refuseUnsupported(tree: Tree): void {
  for (const source of tree.sources) {
    const fieldTypes = new Set<asc.Node>();
    walk(source, (node) => {
      if (node instanceof asc.ClassDeclaration && decorator(node, "vvar")) {
        for (const member of node.members)
          if (member instanceof asc.FieldDeclaration && member.type) fieldTypes.add(member.type);
      }
      const complaint = complaintAbout(node) ?? complaintAboutUse(node, fieldTypes);
      if (complaint !== undefined) tree.error(complaint.at ?? node, CODE, complaint.message, complaint.help);
    });
    for (const statement of source.statements) refuseTopLevel(tree, statement);
    // The compiler goes on with what was tried, lest it complain about what is missing then.
    rewrite(source, (node) =>
      node instanceof asc.TryStatement ? asc.Node.createBlockStatement(node.bodyStatements, node.range) : node,
    );
  }
}

interface Complaint {
  message: string;
  help: string;
  at?: asc.Node;
}

function complaintAbout(node: asc.Node): Complaint | undefined {
  if (node instanceof asc.TryStatement) {
    const help = "return a Result<T, E> for what a caller can handle; a panic ends the process";
    return { message: "there is no try/catch", help };
  }
  if (node instanceof asc.ForOfStatement) {
    return { message: "there are no iterators", help: "write for (let i: u32 = 0; i < a.length; i++)" };
  }
  if (node instanceof asc.ObjectLiteralExpression) {
    const help = "write an @apistruct class, then new it and set its fields";
    return { message: "there are no object literals", help };
  }
  if (node instanceof asc.TupleTypeNode) {
    return { message: "there are no tuple types", help: "write an @apistruct class with a field per element" };
  }
  if (node instanceof asc.RegexpLiteralExpression) {
    return { message: "there are no regular expressions", help: "compare characters by charCodeAt" };
  }
  if (node instanceof asc.FunctionDeclaration && (node.flags & tables.CommonFlags.Declare) !== 0) {
    const message = `'${node.name.text}' has no body: functions from outside come by interfaces only`;
    const help = `write @host declare class Host { static ${node.name.text}(...): ...; }`;
    return { message, help, at: node.name };
  }
  return undefined;
}

/** Parts of JavaScript's world that the language knows, but would import from a host that does not have them. */
const WORLD: Readonly<Record<string, string>> = {
  console: 'write log.info("... {}", value)',
  trace: 'write log.trace("... {}", value)',
  Date: "let the host tell: @host declare class Clock { static now(): f64; }",
  performance: "let the host tell: @host declare class Clock { static now(): f64; }",
  process: "let the host do it, by a @host interface",
  crypto: "let the host do it, by a @host interface",
  seed: "let the host tell: @host declare class Chance { static random(): f64; }",
};

const PLACED: Readonly<Record<string, string>> = {
  Atomic: "declare it as a field of a @vvar class",
  VPtr: "declare it as a field of a @vvar class",
  FixedArray: "declare it as a field of a @vvar class, with @len(n)",
  Option: "write Option.some(value) or Option.none()",
  Result: "write Result.ok(value) or Result.err(error)",
};

function complaintAboutUse(node: asc.Node, fieldTypes: ReadonlySet<asc.Node>): Complaint | undefined {
  if (node instanceof asc.NewExpression) {
    const name = node.typeName.identifier.text;
    const help = entryOf(PLACED, name);
    if (help !== undefined) return { message: `${name} cannot be created by new`, help };
    const world = entryOf(WORLD, name);
    if (world !== undefined) return { message: `there is no ${name}`, help: world };
  }
  if (node instanceof asc.CallExpression) {
    const [object, member] = calledMember(node) ?? [];
    const name = calledName(node) ?? object ?? "";
    const help = object === "Math" && member === "random" ? WORLD["seed"] : entryOf(WORLD, name);
    if (help !== undefined) return { message: `there is no ${textOf(node.expression)}`, help };
  }
  if (node instanceof asc.NamedTypeNode && typeName(node) === "FixedArray" && !fieldTypes.has(node)) {
    const help = "pass the struct that holds it, or its address: changetype<usize>(shared.bytes)";
    return { message: "a FixedArray is a field of a @vvar class, and no type of its own", help };
  }
  return undefined;
}

function refuseTopLevel(tree: Tree, statement: asc.Statement): void {
  if (statement instanceof asc.ExportDefaultStatement) {
    tree.error(statement, CODE, "there are no default exports", "export it by its name");
  } else if (statement instanceof asc.VariableStatement) {
    for (const declaration of statement.declarations) {
      if ((declaration.flags & tables.CommonFlags.Declare) === 0) continue;
      const message = `'${declaration.name.text}' comes from nowhere`;
      tree.error(declaration, CODE, message, "write a static function of a @host interface that returns it");
    }
  }
}
