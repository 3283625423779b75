/** `Result<void, E>`: a class cannot have a field of type void, so these become a class without the value. */
import { asc } from "./asc.ts";
import { calledMember, type Tree, typeName, walk } from "./tree.ts";

/** Name of that class, in vdso-src/helper/option.ts. */
export const VOID_RESULT = "__VoidResult";

/** Comes last: code generated before is written in the author's terms. */
export function rewriteVoidResults(tree: Tree): void {
  for (const source of tree.sources) {
    walk(source, (node) => {
      if (node instanceof asc.NamedTypeNode && typeName(node) === "Result" && isVoid(node.typeArguments)) {
        node.name = asc.Node.createSimpleTypeName(VOID_RESULT, node.range);
        node.typeArguments = node.typeArguments.slice(1);
      } else if (
        node instanceof asc.CallExpression &&
        calledMember(node)?.[0] === "Result" &&
        isVoid(node.typeArguments)
      ) {
        node.typeArguments = node.typeArguments.slice(1);
        const { expression } = node;
        if (expression instanceof asc.PropertyAccessExpression) {
          expression.expression = asc.Node.createIdentifierExpression(VOID_RESULT, expression.expression.range);
        }
      }
    });
  }
}

function isVoid(typeArguments: asc.TypeNode[] | null): typeArguments is asc.TypeNode[] {
  const [first] = typeArguments ?? [];
  return first !== undefined && typeName(first) === "void";
}
