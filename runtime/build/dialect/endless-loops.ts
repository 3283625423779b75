/**
 * `for (;;)` that nothing breaks out of: the compiler sees that `while (true)` never ends, but not that this does not, and would ask for a
 * return behind it.
 */
import { asc } from "./asc.ts";
import { rewrite, type Tree } from "./tree.ts";

export function markEndlessLoops(tree: Tree): void {
  for (const source of tree.sources) {
    rewrite(source, (node) => {
      if (!(node instanceof asc.ForStatement) || !isEndless(node) || breaks(node.body)) return node;
      const [block] = tree.statements("{ ; throw null; }", node.range);
      if (!(block instanceof asc.BlockStatement)) throw new Error("not a block");
      block.statements[0] = node;
      return block;
    });
  }
}

function isEndless({ condition }: asc.ForStatement): boolean {
  return condition === null || condition instanceof asc.TrueExpression;
}

/** Is there a `break` for the loop with this body? */
function breaks(node: asc.Node): boolean {
  if (node instanceof asc.BreakStatement) return true;
  const catchesIt =
    node instanceof asc.ForStatement ||
    node instanceof asc.WhileStatement ||
    node instanceof asc.DoStatement ||
    node instanceof asc.SwitchStatement ||
    node instanceof asc.FunctionDeclaration;
  if (catchesIt) return false;
  return Object.entries(node).some(([key, value]: [string, unknown]) => {
    if (key === "range") return false;
    if (value instanceof asc.Node) return breaks(value);
    return Array.isArray(value) && value.some((item) => item instanceof asc.Node && breaks(item));
  });
}
