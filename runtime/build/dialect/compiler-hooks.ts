/**
 * The few places where the compiler itself has to know the dialect, because only it knows the types:
 *
 * - `Option.none()`, `Result.ok(x)`: type arguments come from the type that is expected there,
 * - failures of the language's own checks (a null, an index, the end of memory) become panics with a site, as the author's own do:
 *   without strings in the image; `throw 5` in lowered code is the panic of site 5, `throw null` is never reached,
 * - an index check of the vVAR gets its site where the author wrote the access: the check itself is inlined there,
 * - an error inside the helper library is shown where the author called it.
 *
 * The hooks stand on the compiler's class, since a transform never sees its instance; they do nothing for programs of others.
 */
import { asc, toBigInt } from "./asc.ts";
import { OUT_OF_BOUNDS, type Sites } from "./sites.ts";
import { calledMember, calledName, type Tree, textOf } from "./tree.ts";
import { VOID_RESULT } from "./void-results.ts";

interface Run {
  readonly tree: Tree;
  readonly sites: Sites;
}

/** What the hooks use of the compiler; its types hide some of it. */
interface Compiler {
  readonly program: asc.Program;
  readonly resolver: asc.Resolver;
  readonly module: {
    unreachable(): number;
    i32(value: number): number;
    block(label: null, children: number[]): number;
  };
  readonly diagnostics: asc.DiagnosticMessage[];
  currentType: asc.Type;
  currentFlow: asc.Flow;
  compile(): unknown;
  error(code: number, range: asc.Range, detail: string): void;
  compileCallExpression(call: asc.CallExpression, contextualType: asc.Type, constraints: number): number;
  compileCallDirect(
    instance: asc.Function,
    args: asc.Expression[],
    at: asc.Node,
    self: number,
    constraints: number,
  ): number;
  compileElementAccessExpression(
    access: asc.ElementAccessExpression,
    contextualType: asc.Type,
    constraints: number,
  ): number;
  makeAssignment(
    target: asc.Element,
    value: number,
    type: asc.Type,
    at: asc.Expression,
    object: asc.Expression | null,
    index: asc.Expression | null,
    tee: boolean,
  ): number;
  compileStatement(statement: asc.Statement): number;
  ensureStaticString(text: string): number;
  makeAbort(message: asc.Expression | null, at: asc.Node): number;
  makeStaticAbort(message: number, at: asc.Node): number;
  makeRuntimeNonNullCheck(expression: number, type: asc.Type, at: asc.Node): number;
}

/** Any code of the language's: it ends the run. */
const NOT_IMPLEMENTED = 100;
/** In its text, because the dialect's own error takes its place. */
export const COMPILER_FAILED = "the compiler failed";

const runs = new WeakMap<asc.Program, Run>();
const compiler = asc.Compiler.prototype as unknown as Compiler;
const {
  compile,
  compileCallExpression,
  compileElementAccessExpression,
  makeAssignment,
  ensureStaticString,
  makeAbort,
  makeStaticAbort,
  makeRuntimeNonNullCheck,
} = compiler;

/** Makes the compiler know the dialect when it compiles this program. */
export function hookCompiler(program: asc.Program, run: Run): void {
  runs.set(program, run);
}

/** A failure of the compiler itself would end the process. It becomes an error at the function that it was busy with. */
compiler.compile = function () {
  try {
    return compile.call(this);
  } catch (cause) {
    const run = runs.get(this.program);
    const [entry] = run?.tree.sources ?? [];
    if (run === undefined || entry === undefined) throw cause;
    const { declaration } = this.currentFlow.sourceFunction;
    const at = isLibrary(declaration) ? entry : declaration.name;
    if (run.tree.diagnostics.length === 0) {
      const help = "this is a bug of the compiler, but writing this part in another way may help";
      run.tree.error(at, "ERR_VDSO_COMPILER", `the compiler failed here: ${String(cause)}`, help);
    }
    this.error(NOT_IMPLEMENTED, at.range, COMPILER_FAILED);
    return this.module;
  }
};

compiler.compileCallExpression = function (call, contextualType, constraints) {
  const run = runs.get(this.program);
  if (run === undefined) return compileCallExpression.call(this, call, contextualType, constraints);
  const known = this.diagnostics.length;
  const made =
    wrapperCall(this, run, call, contextualType, constraints) ??
    compileCallExpression.call(this, withSite(run, call), contextualType, constraints);
  if (!isLibrary(call)) {
    for (const message of this.diagnostics.slice(known)) {
      if (message.range?.source && isLibrary({ range: message.range })) message.range = call.range;
    }
  }
  return made;
};

/** The index of the access that is being compiled, the innermost one. */
let accessed: asc.Node | undefined;

function accessing(index: asc.Node, make: () => number): number {
  const outer = accessed;
  accessed = index;
  try {
    return make();
  } finally {
    accessed = outer;
  }
}

compiler.compileElementAccessExpression = function (access, contextualType, constraints) {
  return accessing(access.elementExpression, () =>
    compileElementAccessExpression.call(this, access, contextualType, constraints),
  );
};

compiler.makeAssignment = function (target, value, type, at, object, index, tee) {
  const make = (): number => makeAssignment.call(this, target, value, type, at, object, index, tee);
  return index === null ? make() : accessing(index, make);
};

/** An index check with the site of its access in place of its own number. */
function withSite({ tree, sites }: Run, call: asc.CallExpression): asc.CallExpression {
  const [index, length, check] = call.args;
  if (calledName(call) !== OUT_OF_BOUNDS || !(check instanceof asc.IntegerLiteralExpression)) return call;
  const site = tree.expression(String(sites.index(Number(toBigInt(check.value)), accessed)), call.range);
  return asc.Node.createCallExpression(call.expression, null, [index!, length!, site], call.range);
}

const CLASSES = ["~lib/vdso/option/Option", "~lib/vdso/option/Result", `~lib/vdso/option/${VOID_RESULT}`];

/** `Option.none()` and the like without type arguments. Undefined when the call is something else. */
function wrapperCall(
  compiler: Compiler,
  { tree }: Run,
  call: asc.CallExpression,
  contextualType: asc.Type,
  constraints: number,
): number | undefined {
  const [object, member] = calledMember(call) ?? [];
  if (call.typeArguments !== null || member === undefined || (object !== "Option" && object !== "Result"))
    return undefined;
  const named = compiler.currentFlow.lookup(object) ?? compiler.program.lookup(object);
  if (!(named instanceof asc.ClassPrototype) || !CLASSES.includes(named.internalName)) return undefined;
  const expected = compiler.currentFlow && contextualType.getClass();
  if (expected && CLASSES.includes(expected.prototype.internalName) && expected.prototype.name.endsWith(object)) {
    const prototype = expected.prototype.getMember(member);
    if (!(prototype instanceof asc.FunctionPrototype)) return undefined;
    const instance = compiler.resolver.resolveFunction(prototype, expected.typeArguments);
    return instance
      ? compiler.compileCallDirect(instance, call.args, call, 0, constraints)
      : compiler.module.unreachable();
  }
  if (object === "Option" && member === "some") return undefined;
  const help = `write ${object}.${member}<${object === "Option" ? "u32" : "u32, Mode"}>(...) with its types`;
  tree.error(
    call,
    "ERR_VDSO_TYPE_ARGUMENTS",
    `what ${textOf(call.expression)}(...) is of cannot be told from here`,
    help,
  );
  return compiler.module.unreachable();
}

compiler.makeAbort = function (message, at) {
  const run = runs.get(this.program);
  if (run === undefined) return makeAbort.call(this, message, at);
  const thrown = at instanceof asc.ThrowStatement ? at.value : undefined;
  if (thrown instanceof asc.NullExpression) return this.module.unreachable();
  if (thrown instanceof asc.IntegerLiteralExpression) return panic(this, run, Number(toBigInt(thrown.value)), at);
  const text = message === null ? `assertion failed: ${textOf(at)}` : literalOf(this, message);
  return text === undefined ? makeAbort.call(this, message, at) : panic(this, run, run.sites.panic(text, at), at);
};

/** The check, whose message is not to be put into the image. */
let checkedIn: Compiler | undefined;

compiler.ensureStaticString = function (text) {
  return checkedIn === this ? this.module.i32(0) : ensureStaticString.call(this, text);
};

compiler.makeStaticAbort = function (message, at) {
  const run = runs.get(this.program);
  if (run === undefined || checkedIn !== this) return makeStaticAbort.call(this, message, at);
  return panic(this, run, run.sites.panic(`null where a value is needed: ${textOf(at)}`, at), at);
};

compiler.makeRuntimeNonNullCheck = function (expression, type, at) {
  if (!runs.has(this.program)) return makeRuntimeNonNullCheck.call(this, expression, type, at);
  checkedIn = this;
  try {
    return makeRuntimeNonNullCheck.call(this, expression, type, at);
  } finally {
    checkedIn = undefined;
  }
};

function panic(compiler: Compiler, { tree }: Run, site: number, at: asc.Node): number {
  const before = { type: compiler.currentType, flow: compiler.currentFlow, checkedIn };
  const [statement] = tree.statements(`__panic(${site});`, at.range);
  if (statement === undefined) throw new Error("not a statement");
  // A flow of its own: what follows the check is reachable.
  compiler.currentFlow = before.flow.fork();
  checkedIn = undefined;
  const made = compiler.compileStatement(statement);
  compiler.currentFlow = before.flow;
  compiler.currentType = before.type;
  checkedIn = before.checkedIn;
  return compiler.module.block(null, [made, compiler.module.unreachable()]);
}

/** The text of a message: a literal, or one of the library's constants. */
function literalOf({ resolver, currentFlow }: Compiler, message: asc.Expression): string | undefined {
  if (message instanceof asc.StringLiteralExpression) return message.value;
  if (!(message instanceof asc.IdentifierExpression)) return undefined;
  const found = resolver.lookupExpression(message, currentFlow);
  const initializer = found instanceof asc.Global ? found.initializerNode : null;
  return initializer instanceof asc.StringLiteralExpression ? initializer.value : undefined;
}

function isLibrary({ range }: { range: asc.Range }): boolean {
  return range.source.normalizedPath.startsWith("~lib/");
}
