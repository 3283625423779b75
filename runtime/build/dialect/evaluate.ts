/**
 * Values of constant expressions, before the compiler proper runs: layouts and the manifest need them. Types follow the language's rules
 * (a literal takes the type expected of it, operands meet in the wider type, integers wrap), so that both come to the same value.
 */
import { asc, tables, toBigInt } from "./asc.ts";
import type { Found, Scope } from "./scope.ts";
import { calledName, isStatic, textOf, typeName } from "./tree.ts";
import { convert, fitting, integerOf, isFloat, type Typed, type Value, wrap } from "./values.ts";

/** Thrown by the evaluator, reported by its callers. */
export class NotConstant extends Error {
  readonly node: asc.Node;
  constructor(node: asc.Node, message: string) {
    super(message);
    this.node = node;
  }
}

/** Names that mean something only inside an expression: earlier members of the same enum. */
export type Locals = ReadonlyMap<string, Typed>;

const NO_LOCALS: Locals = new Map();

export class Evaluator {
  private readonly scope: Scope;
  /** Value of a variable; its declaration may be a `config`. */
  private readonly variable: (found: Found<asc.VariableDeclaration>) => Typed;

  constructor(scope: Scope, variable: (found: Found<asc.VariableDeclaration>) => Typed) {
    this.scope = scope;
    this.variable = variable;
  }

  /** @param expected - the type that the context asks for @throws NotConstant */
  evaluate(node: asc.Expression, source: asc.Source, expected?: string, locals = NO_LOCALS): Typed {
    const inner = (below: asc.Expression, type = expected): Typed => this.evaluate(below, source, type, locals);
    if (node instanceof asc.IntegerLiteralExpression)
      return literal(BigInt.asUintN(64, toBigInt(node.value)), expected);
    if (node instanceof asc.FloatLiteralExpression) return float(node.value, expected === "f32" ? "f32" : "f64");
    if (node instanceof asc.StringLiteralExpression) return { type: "string", value: node.value };
    if (node instanceof asc.TrueExpression) return { type: "bool", value: true };
    if (node instanceof asc.FalseExpression) return { type: "bool", value: false };
    if (node instanceof asc.ParenthesizedExpression) return inner(node.expression);
    if (node instanceof asc.AssertionExpression && node.toType) {
      return cast(node, inner(node.expression, typeName(node.toType)), typeName(node.toType) ?? textOf(node.toType));
    }
    if (node instanceof asc.UnaryPrefixExpression) {
      const { operand } = node;
      if (node.operator === tables.Token.Minus && operand instanceof asc.IntegerLiteralExpression) {
        return literal(-BigInt.asUintN(64, toBigInt(operand.value)), expected);
      }
      return unary(node, inner(operand));
    }
    if (node instanceof asc.TernaryExpression) {
      return inner(inner(node.condition, undefined).value ? node.ifThen : node.ifElse);
    }
    if (node instanceof asc.BinaryExpression) {
      const isComparison = COMPARISONS.has(node.operator);
      const left = inner(node.left, isComparison ? undefined : expected);
      return binary(node, left, inner(node.right, left.type));
    }
    if (node instanceof asc.CallExpression) return this.call(node, inner, expected);
    if (node instanceof asc.IdentifierExpression) {
      const local = locals.get(node.text);
      if (local !== undefined) return local;
      if (node.text === "Infinity" || node.text === "NaN")
        return float(Number(node.text), expected === "f32" ? "f32" : "f64");
    }
    return this.named(node, source);
  }

  /** Names and values of an enum. `problem` hears of what is wrong. */
  enumValues(
    { node, source }: Found<asc.EnumDeclaration>,
    problem: (node: asc.Node, message: string) => void,
  ): [string, number][] {
    const values = new Map<string, Typed>();
    let next = 0n;
    for (const { name, initializer } of node.values) {
      if (initializer) {
        try {
          const { value } = this.evaluate(initializer, source, "i32", values);
          const whole = typeof value === "bigint" ? convert(value, "i32") : undefined;
          if (typeof whole === "bigint") next = whole;
          else problem(initializer, `expected an integer, found ${typeof value} ${String(value)}`);
        } catch (error) {
          if (!(error instanceof NotConstant)) throw error;
          problem(error.node, error.message);
        }
      }
      values.set(name.text, { type: "i32", value: next });
      next += 1n;
    }
    return [...values].map(([name, { value }]) => [name, Number(value)]);
  }

  private call(
    node: asc.CallExpression,
    inner: (below: asc.Expression, type?: string) => Typed,
    expected: string | undefined,
  ): Typed {
    const name = calledName(node);
    const [first, ...others] = node.args;
    if (first !== undefined && (name === "min" || name === "max")) {
      let best = inner(first, expected);
      for (const other of others) {
        const value = inner(other, best.type);
        if (name === "min" ? value.value < best.value : value.value > best.value)
          best = { ...best, value: value.value };
      }
      return best;
    }
    const converts = name !== undefined && (integerOf(name) !== undefined || isFloat(name) || name === "bool");
    if (converts && first !== undefined && others.length === 0) return cast(node, inner(first, name), name);
    throw notConstant(node);
  }

  /** `LENGTH`, `Mode.Idle`, `u32.MAX_VALUE`, `Slot.FREE`, `sizes.SLOTS` and `sizes.Mode.Idle` after `import * as sizes`. */
  private named(node: asc.Expression, source: asc.Source): Typed {
    const found = this.declaration(node, source);
    if (found?.node instanceof asc.VariableDeclaration)
      return this.variable({ node: found.node, source: found.source });
    if (!(node instanceof asc.PropertyAccessExpression)) throw notConstant(node);
    const property = node.property.text;
    const integer = node.expression instanceof asc.IdentifierExpression ? integerOf(node.expression.text) : undefined;
    if (integer !== undefined && (property === "MAX_VALUE" || property === "MIN_VALUE")) {
      const least = integer.signed ? -(1n << BigInt(integer.bits - 1)) : 0n;
      const value = property === "MIN_VALUE" ? least : least + (1n << BigInt(integer.bits)) - 1n;
      return { type: textOf(node.expression), value };
    }
    const owner = this.declaration(node.expression, source);
    if (owner?.node instanceof asc.EnumDeclaration) {
      const values = this.enumValues({ node: owner.node, source: owner.source }, (at, message) => {
        throw new NotConstant(at, message);
      });
      const value = values.find(([name]) => name === property)?.[1];
      if (value !== undefined) return { type: "i32", value: BigInt(value) };
    }
    if (owner?.node instanceof asc.ClassDeclaration) {
      const field = owner.node.members.find((member) => isStatic(member) && member.name.text === property);
      const isConstant = field !== undefined && (field.flags & tables.CommonFlags.Readonly) !== 0;
      if (isConstant && field instanceof asc.FieldDeclaration && field.initializer) {
        const type = field.type ? typeName(field.type) : undefined;
        const value = this.evaluate(field.initializer, owner.source, type);
        return type === undefined ? value : cast(node, value, type);
      }
    }
    throw notConstant(node);
  }

  private declaration(node: asc.Expression, source: asc.Source): Found | undefined {
    if (node instanceof asc.IdentifierExpression) return this.scope.lookup(source, node.text);
    if (!(node instanceof asc.PropertyAccessExpression)) return undefined;
    if (!(node.expression instanceof asc.IdentifierExpression)) return undefined;
    return this.scope.lookupIn(source, node.expression.text, node.property.text);
  }
}

const T = tables.Token;
const COMPARISONS = new Set<number>([
  ...[T.Equals_Equals, T.Equals_Equals_Equals, T.Exclamation_Equals, T.Exclamation_Equals_Equals],
  ...[T.LessThan, T.GreaterThan, T.LessThan_Equals, T.GreaterThan_Equals],
]);

function notConstant(node: asc.Node): NotConstant {
  return new NotConstant(node, `'${textOf(node)}' is not a constant expression`);
}

function float(value: number, type: string): Typed {
  return { type, value: type === "f32" ? Math.fround(value) : value };
}

/** An integer literal takes the type expected of it if it fits, else the first of i32, u32, i64. */
function literal(value: bigint, expected: string | undefined): Typed {
  if (expected !== undefined && isFloat(expected)) return float(Number(value), expected);
  const types = [...(expected === undefined ? [] : [expected]), "i32", "u32", "i64"];
  const type = types.find((each) => integerOf(each) !== undefined && fitting(value, each) !== undefined) ?? "u64";
  return { type, value };
}

function cast(node: asc.Node, { value }: Typed, type: string): Typed {
  const converted = convert(value, type);
  if (converted === undefined) throw new NotConstant(node, `${String(value)} cannot become ${type}`);
  return { type, value: converted };
}

function unary(node: asc.UnaryPrefixExpression, { type, value }: Typed): Typed {
  const integer = integerOf(type);
  if (node.operator === T.Exclamation) return { type: "bool", value: !value };
  if (typeof value === "number") {
    if (node.operator === T.Minus) return { type, value: -value };
    if (node.operator === T.Plus) return { type, value };
  }
  if (typeof value === "bigint" && integer !== undefined) {
    if (node.operator === T.Minus) return { type, value: wrap(-value, integer) };
    if (node.operator === T.Plus) return { type, value };
    if (node.operator === T.Tilde) return { type, value: wrap(~value, integer) };
  }
  throw notConstant(node);
}

function binary(node: asc.BinaryExpression, left: Typed, right: Typed): Typed {
  const operator: number = node.operator;
  if (operator === T.Ampersand_Ampersand) return left.value ? right : left;
  if (operator === T.Bar_Bar) return left.value ? left : right;
  if (operator === T.Plus && left.type === "string" && right.type === "string") {
    return { type: "string", value: `${String(left.value)}${String(right.value)}` };
  }
  const isShift = SHIFTS.has(operator);
  const type = isShift ? left.type : commonType(left.type, right.type);
  if (type === undefined) throw new NotConstant(node, `${left.type} and ${right.type} do not go together`);
  const a = convert(left.value, type);
  const b = convert(right.value, type);
  if (a === undefined || b === undefined) throw notConstant(node);
  const compared = COMPARISONS.has(operator) ? compare(operator, a, b) : undefined;
  if (compared !== undefined) return { type: "bool", value: compared };
  const integer = integerOf(type);
  if (integer !== undefined && typeof a === "bigint" && typeof b === "bigint") {
    const count = BigInt(integer.bits);
    const whole = integerOperation(node, a, isShift ? BigInt.asUintN(integer.bits, b) % count : b, count);
    if (whole !== undefined) return { type, value: wrap(whole, integer) };
  } else if (typeof a === "number" && typeof b === "number") {
    const value = floatOperation(operator, a, b);
    if (value !== undefined) return float(value, type);
  }
  throw notConstant(node);
}

const SHIFTS = new Set<number>([T.LessThan_LessThan, T.GreaterThan_GreaterThan, T.GreaterThan_GreaterThan_GreaterThan]);

/** Where both sides meet: the language takes the left type if the right fits into it, else the right one. */
function commonType(left: string, right: string): string | undefined {
  if (isAssignable(right, left)) return left;
  return isAssignable(left, right) ? right : undefined;
}

function isAssignable(from: string, to: string): boolean {
  if (from === to) return true;
  if (isFloat(from)) return from === "f32" && to === "f64";
  const bits = from === "bool" ? 1 : integerOf(from)?.bits;
  if (bits === undefined) return false;
  if (isFloat(to)) return bits <= (to === "f32" ? 23 : 52);
  return bits <= (integerOf(to)?.bits ?? 0);
}

function compare(operator: number, a: Value, b: Value): boolean {
  switch (operator) {
    case T.LessThan:
      return a < b;
    case T.GreaterThan:
      return a > b;
    case T.LessThan_Equals:
      return a <= b;
    case T.GreaterThan_Equals:
      return a >= b;
    case T.Equals_Equals:
    case T.Equals_Equals_Equals:
      return a === b;
    default:
      return a !== b;
  }
}

function floatOperation(operator: number, a: number, b: number): number | undefined {
  switch (operator) {
    case T.Plus:
      return a + b;
    case T.Minus:
      return a - b;
    case T.Asterisk:
      return a * b;
    case T.Slash:
      return a / b;
    case T.Percent:
      return a % b;
    default:
      return undefined;
  }
}

function integerOperation(node: asc.BinaryExpression, a: bigint, b: bigint, bits: bigint): bigint | undefined {
  switch (node.operator as number) {
    case T.Plus:
      return a + b;
    case T.Minus:
      return a - b;
    case T.Asterisk:
      return a * b;
    case T.Slash:
    case T.Percent:
      if (b === 0n) throw new NotConstant(node, "division by zero");
      return node.operator === T.Slash ? a / b : a % b;
    case T.LessThan_LessThan:
      return a << b;
    case T.GreaterThan_GreaterThan:
      return a >> b;
    case T.GreaterThan_GreaterThan_GreaterThan:
      return BigInt.asUintN(Number(bits), a) >> b;
    case T.Ampersand:
      return a & b;
    case T.Bar:
      return a | b;
    case T.Caret:
      return a ^ b;
    default:
      return undefined;
  }
}
