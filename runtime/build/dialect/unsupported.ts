/** What TypeScript has and the dialect has not, reported with what to write instead. */
import { asc } from "./asc.ts";
import { type Tree, walk } from "./tree.ts";

const CODE = "ERR_VDSO_UNSUPPORTED";

export function refuseUnsupported(tree: Tree): void {
  for (const source of tree.sources) {
    walk(source, (node) => {
      const complaint = complaintAbout(node);
      if (complaint !== undefined) tree.error(complaint.at ?? node, CODE, complaint.message, complaint.help);
    });
    for (const statement of source.statements) refuseTopLevel(tree, statement);
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
    return {
      message: "there are no object literals",
      help: "write an @apistruct class, then new it and set its fields",
    };
  }
  if (node instanceof asc.TupleTypeNode) {
    return { message: "there are no tuple types", help: "write an @apistruct class with a field per element" };
  }
  if (node instanceof asc.RegexpLiteralExpression) {
    return { message: "there are no regular expressions", help: "compare characters by charCodeAt" };
  }
  if (node instanceof asc.VariableStatement || node instanceof asc.InterfaceDeclaration) {
    const decorated =
      node.decorators ?? (node instanceof asc.VariableStatement ? node.declarations[0]?.decorators : null);
    const [first] = decorated ?? [];
    const written = first && !(first.range.source.text.slice(first.range.start, first.range.end) === "");
    const isHost = first?.name instanceof asc.IdentifierExpression && first.name.text === "host";
    if (first && written && !isHost) {
      const what = node instanceof asc.VariableStatement ? "variables" : "interfaces";
      return {
        message: `${what} cannot have decorators: editors refuse them`,
        help: "write a class, or a plain const",
        at: first,
      };
    }
  }
  return undefined;
}

function refuseTopLevel(tree: Tree, statement: asc.Statement): void {
  if (statement instanceof asc.ExportDefaultStatement) {
    tree.error(statement, CODE, "there are no default exports", "export it by its name");
  }
}
