/**
 * `return Option.none()` and `const x: Result<u32, Mode> = Result.err(...)` need no type arguments: the declared type is right there. The
 * compiler does not look at it, so it is written in here.
 */
import { asc } from "./asc.ts";
import { calledMember, type Tree, typeName, walk } from "./tree.ts";

export function fillTypeArguments(tree: Tree): void {
  for (const source of tree.sources) {
    walk(source, (node) => {
      if (node instanceof asc.FunctionDeclaration && node.body) fillReturns(node.body, node.signature.returnType);
      if (node instanceof asc.VariableDeclaration && node.type && node.initializer) fill(node.initializer, node.type);
    });
  }
}

function fillReturns(body: asc.Node, type: asc.TypeNode): void {
  if (!isWrapper(type)) return;
  walk(body, (node) => {
    if (node instanceof asc.ReturnStatement && node.value) fill(node.value, type);
  });
}

function isWrapper(type: asc.TypeNode): type is asc.NamedTypeNode {
  const name = typeName(type);
  return (name === "Option" || name === "Result") && type instanceof asc.NamedTypeNode && type.typeArguments !== null;
}

function fill(value: asc.Expression, type: asc.TypeNode): void {
  if (!isWrapper(type)) return;
  if (value instanceof asc.ParenthesizedExpression) fill(value.expression, type);
  else if (value instanceof asc.TernaryExpression) {
    fill(value.ifThen, type);
    fill(value.ifElse, type);
  } else if (value instanceof asc.CallExpression && value.typeArguments === null) {
    if (calledMember(value)?.[0] === typeName(type)) value.typeArguments = type.typeArguments;
  }
}
