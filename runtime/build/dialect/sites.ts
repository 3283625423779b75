/**
 * Panics and log lines: each `assert`, `panic`, `throw` and `log.*` becomes a number, its site; the text goes into the manifest and not
 * into the image.
 */
import { LOG_LEVELS, type LogLevel, type LogSite, type PanicSite } from "../../image/manifest.ts";
import { asc, tables, toBigInt } from "./asc.ts";
import type { Scope } from "./scope.ts";
import { calledMember, calledName, place, rewrite, type Tree, textOf, walk } from "./tree.ts";

/** Of the helper library: panics when an index is out of range. */
export const OUT_OF_BOUNDS = "__outOfBounds";

export class Sites {
  readonly panics: PanicSite[] = [];
  readonly logs: LogSite[] = [];
  private readonly indexChecks: {
    readonly message: string;
    readonly node: asc.Node;
    readonly sites: Map<asc.Node, number>;
  }[] = [];
  private readonly tree: Tree;
  private readonly scope: Scope;
  private readonly logging: boolean;

  constructor(tree: Tree, scope: Scope, logging: boolean) {
    this.tree = tree;
    this.scope = scope;
    this.logging = logging;
  }

  /** Registers a panic. @returns its number */
  panic(message: string, node: asc.Node): number {
    return this.panics.push({ message, ...place(node) }) - 1;
  }

  /** Registers the check of an array's indexes. @returns its number: what lowered code has until {@link index} gives it a site */
  indexCheck(array: string, node: asc.Node): number {
    const message = `index {} is out of range: ${array} has length {}`;
    return this.indexChecks.push({ message, node, sites: new Map() }) - 1;
  }

  /** The panic of an index check: at the access if that is known. The compiler comes by an access in inlined code several times. */
  index(check: number, access: asc.Node | undefined): number {
    const found = this.indexChecks[check];
    if (found === undefined) throw new Error(`there is no index check ${check}`);
    const { message, node, sites } = found;
    const at = access ?? node;
    const site = sites.get(at) ?? this.panic(message, at);
    sites.set(at, site);
    return site;
  }

  /** Rewrites the author's sources. Comes before code is generated into them. */
  run(): void {
    for (const source of this.tree.sources) {
      rewrite(source, (node) => this.replace(node, source));
      walk(source, (node) => this.refuseValue(node, source));
    }
  }

  private replace(node: asc.Node, source: asc.Source): asc.Node {
    if (node instanceof asc.ThrowStatement) return this.throwStatement(node);
    if (node instanceof asc.ReturnStatement && node.value) {
      return this.isCall(node.value, "panic", source) ? this.panicStatement(node.value) : node;
    }
    if (node instanceof asc.TernaryExpression) return this.ternary(node, source);
    if (node instanceof asc.ExpressionStatement) return this.statement(node, source);
    if (this.isCall(node, "assert", source)) return this.assertCall(node);
    return node;
  }

  private statement(statement: asc.ExpressionStatement, source: asc.Source): asc.Node {
    const { expression } = statement;
    if (this.isCall(expression, "panic", source)) return this.panicStatement(expression);
    if (this.isLog(expression, source)) return this.logStatement(expression);
    const call = expression instanceof asc.CallExpression ? expression : undefined;
    const asserted = call && calledName(call) === "__assert" ? call.args : undefined;
    const [condition, site] = asserted ?? [];
    if (call !== undefined && condition !== undefined && site !== undefined) {
      // An if, because the compiler learns from it that a value is not null.
      return this.unless(condition, `throw ${textOfSite(site)};`, call.range);
    }
    // found || panic("...")
    if (expression instanceof asc.BinaryExpression && this.isCall(expression.right, "panic", source)) {
      const { Ampersand_Ampersand, Bar_Bar } = tables.Token;
      const isOr = (expression.operator as number) === Bar_Bar;
      if (isOr || (expression.operator as number) === Ampersand_Ampersand) {
        return this.branch(expression.left, isOr, this.panicStatement(expression.right), statement.range);
      }
    }
    return statement;
  }

  private isCall(node: asc.Node, name: string, source: asc.Source): node is asc.CallExpression {
    return node instanceof asc.CallExpression && calledName(node) === name && !this.scope.lookup(source, name);
  }

  private isLog(node: asc.Node, source: asc.Source): node is asc.CallExpression {
    return node instanceof asc.CallExpression && calledMember(node)?.[0] === "log" && !this.scope.lookup(source, "log");
  }

  /** What is left of panics and log lines stands where a value is wanted. */
  private refuseValue(node: asc.Node, source: asc.Source): void {
    if (this.isCall(node, "panic", source)) {
      const help = 'write if (...) panic("...") as a statement of its own';
      this.tree.error(node, "ERR_VDSO_PANIC_VALUE", "panic has no value", help);
    } else if (this.isLog(node, source)) {
      this.tree.error(node, "ERR_VDSO_PANIC_VALUE", "a log line has no value", "write it as a statement of its own");
    }
  }

  /** `n > 0 ? n : panic("...")`: the panicking side takes the other's type by ending in it; it is never reached. */
  private ternary(node: asc.TernaryExpression, source: asc.Source): asc.Node {
    if (this.isCall(node.ifElse, "panic", source)) node.ifElse = this.panicExpression(node.ifElse, node.ifThen);
    else if (this.isCall(node.ifThen, "panic", source)) node.ifThen = this.panicExpression(node.ifThen, node.ifElse);
    return node;
  }

  private panicExpression(call: asc.CallExpression, typed: asc.Expression): asc.Expression {
    const steps = this.panicStatement(call).statements.map((step) => {
      if (step instanceof asc.ExpressionStatement) return step.expression;
      const site = step instanceof asc.ThrowStatement ? textOfSite(step.value) : "0";
      return this.tree.expression(`__panic(${site})`, call.range);
    });
    return asc.Node.createCommaExpression([...steps, typed], call.range);
  }

  private unless(condition: asc.Expression, then: string, range: asc.Range): asc.Node {
    return this.branch(condition, true, this.block([], then, range), range);
  }

  /** `if (condition) then`, or `if (!condition) then`. */
  private branch(condition: asc.Expression, negated: boolean, then: asc.Statement, range: asc.Range): asc.Node {
    const [made] = this.tree.statements(negated ? "if (!(0)) {}" : "if (0) {}", range);
    if (!(made instanceof asc.IfStatement)) throw new Error("not an if");
    if (made.condition instanceof asc.UnaryPrefixExpression) made.condition.operand = condition;
    else made.condition = condition;
    made.ifTrue = then;
    return made;
  }

  private assertCall(call: asc.CallExpression): asc.Node {
    const [condition, messageNode] = call.args;
    if (condition === undefined) {
      this.tree.error(
        call,
        "ERR_VDSO_MESSAGE",
        "assert needs a condition",
        'write assert(n > 0, "n must be positive")',
      );
      return call;
    }
    const text = messageNode === undefined ? `assertion failed: ${textOf(condition)}` : literal(messageNode);
    if (text === undefined) {
      this.refuseMessage(messageNode ?? call, call);
      return condition;
    }
    if (call.args.length > 2) {
      const help = 'write if (!(...)) panic("... {}", value)';
      this.tree.error(call, "ERR_VDSO_MESSAGE", "assert takes no values for its message", help);
    }
    const site = this.panic(text, call);
    call.expression = this.tree.expression("__assert", call.range);
    call.args = [condition, this.tree.expression(String(site), call.range)];
    return call;
  }

  private throwStatement(statement: asc.ThrowStatement): asc.Node {
    const { value } = statement;
    if (!(value instanceof asc.NewExpression)) {
      const help = 'write throw new Error("..."), or panic("...", a, b) to show values';
      this.tree.error(value, "ERR_VDSO_MESSAGE", "only a new Error can be thrown", help);
      return statement;
    }
    const [messageNode] = value.args;
    const text = messageNode === undefined ? value.typeName.identifier.text : literal(messageNode);
    if (text === undefined) return this.refuseMessage(messageNode ?? value, statement);
    return this.block([], `throw ${this.panic(text, statement)};`, statement.range);
  }

  private panicStatement(call: asc.CallExpression): asc.BlockStatement {
    const [messageNode, ...args] = call.args;
    const text = messageNode && literal(messageNode);
    if (text === undefined) return this.refuseMessage(messageNode ?? call, call);
    // A throw of the number, because the compiler sees that it ends the flow; see compiler-hooks.ts.
    return this.block(args, `throw ${this.panic(text, call)};`, call.range);
  }

  private logStatement(call: asc.CallExpression): asc.Node {
    const level = calledMember(call)?.[1] ?? "";
    const index = LOG_LEVELS.indexOf(level as LogLevel);
    if (index < 0) {
      this.tree.error(
        call,
        "ERR_VDSO_LOG_LEVEL",
        `there is no log.${level}`,
        `the levels are ${LOG_LEVELS.join(", ")}`,
      );
      return this.block([], "", call.range);
    }
    const [messageNode, ...args] = call.args;
    const text = messageNode && literal(messageNode);
    if (text === undefined) return this.refuseMessage(messageNode ?? call, call);
    if (!this.logging) return this.block([], "", call.range);
    const site = this.logs.push({ level: level as LogLevel, message: text, ...place(call) }) - 1;
    const [statement] = this.tree.statements(`if (__logs(${index + 1})) {}`, call.range);
    if (!(statement instanceof asc.IfStatement)) throw new Error("not an if");
    statement.ifTrue = this.block(args, `__log(${site});`, call.range);
    return statement;
  }

  /** `{ __argument(a); __argument(b); <end> }` */
  private block(args: readonly asc.Expression[], end: string, range: asc.Range): asc.BlockStatement {
    const [made] = this.tree.statements(`{ ${"__argument(0); ".repeat(args.length)}${end} }`, range);
    if (!(made instanceof asc.BlockStatement)) throw new Error("not a block");
    for (const [i, argument] of args.entries()) {
      const statement = made.statements[i];
      if (statement instanceof asc.ExpressionStatement && statement.expression instanceof asc.CallExpression) {
        statement.expression.args = [argument];
      }
    }
    return made;
  }

  private refuseMessage(node: asc.Node, whole: asc.Node): asc.BlockStatement {
    const help =
      'the text stays outside the image: write "... {} ..." and pass the values behind it, as in panic("... {}", n)';
    this.tree.error(node, "ERR_VDSO_MESSAGE", "the message must be one literal text in quotes", help);
    return this.block([], "throw null;", whole.range);
  }
}

function textOfSite(node: asc.Expression): string {
  return node instanceof asc.IntegerLiteralExpression ? String(toBigInt(node.value)) : "0";
}

function literal(node: asc.Expression): string | undefined {
  if (node instanceof asc.StringLiteralExpression) return node.value;
  if (node instanceof asc.TemplateLiteralExpression && node.expressions.length === 0 && node.tag === null) {
    return node.parts[0];
  }
  return undefined;
}
