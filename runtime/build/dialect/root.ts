/** The one `const shared = vvarRoot<VvarData>()` of an image: which struct stands at the beginning of the vVAR. */
import { alignUp } from "../../image/types.ts";
import { asc, tables } from "./asc.ts";
import type { Layouts, StructLayout } from "./layout.ts";
import type { Scope } from "./scope.ts";
import { calledName, type Tree, textOf, walk } from "./tree.ts";

/** The runtime's header comes first; see runtime/loader. */
const FIRST_ADDRESS = 1024;
const MEMORY_LIMIT = 2 ** 32;

export interface Root {
  readonly declaration: asc.VariableDeclaration;
  readonly struct: StructLayout;
  readonly address: number;
  readonly typeText: string;
}

interface RootCall {
  readonly declaration: asc.VariableDeclaration;
  readonly call: asc.CallExpression;
  readonly source: asc.Source;
}

/** Reports and returns undefined when there is none, or none that can be laid out. */
export function findRoot(tree: Tree, scope: Scope, layouts: Layouts): Root | undefined {
  const calls = rootCalls(tree, scope);
  const misplaced = refuseMisplaced(tree, new Set(calls.map(({ call }) => call)));
  const [first, ...others] = calls;
  if (first === undefined) {
    const help = "write const shared = vvarRoot<VvarData>(); with a @vvar class VvarData";
    const { entry } = tree;
    if (entry && !misplaced) tree.errorAtStart(entry, "ERR_VDSO_ROOT_MISSING", "the vDSO has no vVAR root", help);
    return undefined;
  }
  for (const { call } of others) {
    const help = "nest both structs in one, and export the root from one file";
    tree.error(call, "ERR_VDSO_ROOT_TWICE", "a vDSO has exactly one vvarRoot", help);
  }
  const { declaration, call, source } = first;
  const type = call.typeArguments?.[0];
  const struct = type && layouts.structOf(source, type);
  if (type === undefined || struct === undefined) {
    const help = "write vvarRoot<VvarData>() with a @vvar class VvarData";
    const text = type ? `'${textOf(type)}' is none` : "none is named";
    tree.error(type ?? call, "ERR_VDSO_ROOT_TYPE", `vvarRoot needs a @vvar class, ${text}`, help);
    return undefined;
  }
  const address = alignUp(FIRST_ADDRESS, struct.align);
  const end = address + struct.size;
  if (end > MEMORY_LIMIT) {
    const message = `the vVAR would take ${end} bytes; a memory has at most ${MEMORY_LIMIT}`;
    tree.error(struct.node.name, "ERR_VDSO_LAYOUT_SIZE", message, "make the arrays shorter");
    return undefined;
  }
  return { declaration, struct, address, typeText: textOf(type) };
}

function rootCalls(tree: Tree, scope: Scope): RootCall[] {
  const calls: RootCall[] = [];
  for (const source of tree.sources) {
    for (const [name, declaration] of scope.own(source)) {
      if (!(declaration instanceof asc.VariableDeclaration)) continue;
      const { initializer: call } = declaration;
      if (!(call instanceof asc.CallExpression) || calledName(call) !== "vvarRoot") continue;
      calls.push({ declaration, call, source });
      if ((declaration.flags & tables.CommonFlags.Const) === 0) {
        const help = `write const ${name} = ...`;
        tree.error(declaration.name, "ERR_VDSO_ROOT_FORM", "the vVAR's root is a constant", help);
      }
    }
  }
  return calls;
}

function refuseMisplaced(tree: Tree, placed: ReadonlySet<asc.Node>): boolean {
  let misplaced = false;
  for (const source of tree.sources) {
    walk(source, (node) => {
      if (!(node instanceof asc.CallExpression) || calledName(node) !== "vvarRoot" || placed.has(node)) return;
      misplaced = true;
      const help = "write const shared = vvarRoot<VvarData>(); at the top of a file, and use shared here";
      tree.error(node, "ERR_VDSO_ROOT_FORM", "vvarRoot is the value of a constant, and nothing else", help);
    });
  }
  return misplaced;
}
