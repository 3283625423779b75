/**
 * Panics and log lines: each `assert`, `panic`, `throw` and `log.*` becomes a number, its site; the text goes into the manifest and not
 * into the image.
 */
import { LOG_LEVELS, type LogLevel, type LogSite, type PanicSite } from "../../image/manifest.ts";
import { asc } from "./asc.ts";
import type { Scope } from "./scope.ts";
import { calledMember, calledName, place, rewrite, type Tree, textOf } from "./tree.ts";

export class Sites {
  readonly panics: PanicSite[] = [];
  readonly logs: LogSite[] = [];
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

  /** Rewrites the author's sources. Comes before code is generated into them. */
  run(): void {
    for (const source of this.tree.sources) rewrite(source, (node) => this.replace(node, source));
  }

  private replace(node: asc.Node, source: asc.Source): asc.Node {
    if (node instanceof asc.ThrowStatement) return this.throwStatement(node);
    if (node instanceof asc.ExpressionStatement && node.expression instanceof asc.CallExpression) {
      const call = node.expression;
      if (calledName(call) === "panic" && !this.scope.lookup(source, "panic")) return this.panicStatement(call);
      const member = calledMember(call);
      if (member?.[0] === "log" && !this.scope.lookup(source, "log")) return this.logStatement(call, member[1]);
      return node;
    }
    if (node instanceof asc.CallExpression && calledName(node) === "assert" && !this.scope.lookup(source, "assert")) {
      return this.assertCall(node);
    }
    return node;
  }

  private assertCall(call: asc.CallExpression): asc.Node {
    const [condition, messageNode] = call.args;
    if (condition === undefined) return call;
    const text = messageNode === undefined ? `assertion failed: ${textOf(condition)}` : literal(messageNode);
    if (text === undefined) {
      this.refuseMessage(messageNode ?? call, call);
      return condition;
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
    return this.block([], `__panic(${this.panic(text, statement)}); unreachable();`, statement.range);
  }

  private panicStatement(call: asc.CallExpression): asc.Node {
    const [messageNode, ...args] = call.args;
    const text = messageNode && literal(messageNode);
    if (text === undefined) return this.refuseMessage(messageNode ?? call, call);
    return this.block(args, `__panic(${this.panic(text, call)}); unreachable();`, call.range);
  }

  private logStatement(call: asc.CallExpression, level: string): asc.Node {
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

  private refuseMessage(node: asc.Node, whole: asc.Node): asc.Node {
    const help =
      'the text stays outside the image: write "... {} ..." and pass the values behind it, as in panic("... {}", n)';
    this.tree.error(node, "ERR_VDSO_MESSAGE", "the message must be one literal text in quotes", help);
    return this.block([], "unreachable();", whole.range);
  }
}

function literal(node: asc.Expression): string | undefined {
  if (node instanceof asc.StringLiteralExpression) return node.value;
  if (node instanceof asc.TemplateLiteralExpression && node.expressions.length === 0 && node.tag === null) {
    return node.parts[0];
  }
  return undefined;
}
