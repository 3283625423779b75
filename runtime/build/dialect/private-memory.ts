/**
 * How much private memory the arrays take that a vDSO makes when it starts: `const scratch = new StaticArray<u8>(4096)`. The memory never
 * grows, so the build has to know.
 */
import { asc } from "./asc.ts";
import type { Constants } from "./constants.ts";
import type { Scope } from "./scope.ts";
import { entryOf, type Tree, typeName } from "./tree.ts";

const ELEMENT_BYTES: Readonly<Record<string, number>> = {
  ...{ bool: 1, u8: 1, i8: 1, u16: 2, i16: 2, u64: 8, i64: 8, f64: 8 },
  ...{ ArrayBuffer: 1, Uint8Array: 1, Int8Array: 1, Uint8ClampedArray: 1, Uint16Array: 2, Int16Array: 2 },
  ...{ Uint32Array: 4, Int32Array: 4, Float32Array: 4, Uint64Array: 8, Int64Array: 8, Float64Array: 8 },
};
/** Headers and alignment. */
const OVERHEAD = 64;

export function privateArrayBytes(tree: Tree, scope: Scope, constants: Constants): number {
  let bytes = 0;
  for (const source of tree.sources) {
    for (const [, node] of scope.own(source)) {
      if (!(node instanceof asc.VariableDeclaration) || !(node.initializer instanceof asc.NewExpression)) continue;
      const { typeName: made, typeArguments, args } = node.initializer;
      const [length] = args;
      const count = length && constants.tryCount(length, source);
      if (count === undefined) continue;
      const [element] = typeArguments ?? [];
      const name =
        element === undefined ? made.identifier.text : (typeName(scope.resolveType(source, element).type) ?? "");
      bytes += count * (entryOf(ELEMENT_BYTES, name) ?? 4) + OVERHEAD;
    }
  }
  return bytes;
}
