/**
 * Constants: `config(...)` with its overrides, and the values of constant expressions, which layouts, the manifest and the API library
 * need before the compiler proper runs.
 */
import type { Constant, Scalar } from "../../image/manifest.ts";
import { asc, tables, toBigInt } from "./asc.ts";
import type { Found, Scope } from "./scope.ts";
import { calledMember, calledName, isExported, type Tree, textOf, typeName } from "./tree.ts";

/** Integers are `bigint`, floats `number`. */
export type Value = bigint | number | boolean | string;

const INTEGERS: Readonly<Record<string, readonly [bits: number, signed: boolean]>> = {
  u8: [8, false],
  i8: [8, true],
  u16: [16, false],
  i16: [16, true],
  u32: [32, false],
  i32: [32, true],
  u64: [64, false],
  i64: [64, true],
  usize: [32, false],
  isize: [32, true],
};

/** Thrown by the evaluator, reported by its callers. */
class NotConstant extends Error {
  readonly node: asc.Node;
  constructor(node: asc.Node, message: string) {
    super(message);
    this.node = node;
  }
}

export interface ConstantOptions {
  /** Values from the build's options: an unknown name is an error. */
  readonly config: Readonly<Record<string, string>>;
  /** Boolean constants to set to true. */
  readonly features: readonly string[];
  /** Values from the environment: unknown names are of no concern. */
  readonly env: Readonly<Record<string, string | undefined>>;
}

export class Constants {
  /** `config` constants by their configuration name, and exported constants of `api.ts`. */
  readonly table: Constant[] = [];
  private readonly tree: Tree;
  private readonly scope: Scope;
  private readonly options: ConstantOptions;
  private readonly values = new Map<asc.VariableDeclaration, Value>();
  private readonly running = new Set<asc.Node>();
  private readonly configured = new Map<string, asc.VariableDeclaration>();

  constructor(tree: Tree, scope: Scope, options: ConstantOptions) {
    this.tree = tree;
    this.scope = scope;
    this.options = options;
  }

  /** Replaces every `config(...)` by its value and fills {@link table}. */
  run(): void {
    for (const source of this.tree.sources) {
      for (const [, node] of this.scope.own(source)) {
        if (node instanceof asc.VariableDeclaration && configCall(node)) this.valueOf({ node, source });
      }
    }
    this.refuseUnknown();
    const entry = this.tree.entry;
    if (entry === undefined) return;
    for (const [name, node] of this.scope.own(entry)) {
      if (!(node instanceof asc.VariableDeclaration) || !isExported(node) || !isConst(node)) continue;
      const value = this.tryEvaluate({ node, source: entry });
      if (value !== undefined && !this.table.some((constant) => constant.name === name)) {
        this.table.push(entryOf(name, declaredType(node) ?? defaultType(value), value, false));
      }
    }
  }

  /** Value of a constant expression; reports and returns undefined when it is none. */
  evaluate(expression: asc.Expression, source: asc.Source, use: string): Value | undefined {
    try {
      return this.expression(expression, source);
    } catch (error) {
      if (!(error instanceof NotConstant)) throw error;
      this.tree.error(error.node, "ERR_VDSO_CONSTANT", `${use} must be known at build time: ${error.message}`);
      return undefined;
    }
  }

  /** Like {@link evaluate}, for what has to be a number of things. */
  count(expression: asc.Expression, source: asc.Source, use: string): number | undefined {
    const value = this.evaluate(expression, source, use);
    if (value === undefined) return undefined;
    if (typeof value === "bigint" && value >= 0n && value <= Number.MAX_SAFE_INTEGER) return Number(value);
    this.tree.error(expression, "ERR_VDSO_CONSTANT", `${use} must be a non-negative integer, found ${String(value)}`);
    return undefined;
  }

  /** Like {@link count}, for what need not be constant. */
  tryCount(expression: asc.Expression, source: asc.Source): number | undefined {
    try {
      const value = this.expression(expression, source);
      return typeof value === "bigint" && value >= 0n && value < 2n ** 32n ? Number(value) : undefined;
    } catch (error) {
      if (error instanceof NotConstant) return undefined;
      throw error;
    }
  }

  /** Names and values of an enum. */
  enumValues({ node, source }: Found<asc.EnumDeclaration>): [string, number][] {
    const values: [string, number][] = [];
    let next = 0n;
    for (const { name, initializer } of node.values) {
      if (initializer) {
        const value = this.evaluate(initializer, source, `the value of ${node.name.text}.${name.text}`);
        if (typeof value === "bigint") next = value;
      }
      values.push([name.text, Number(next)]);
      next += 1n;
    }
    return values;
  }

  private tryEvaluate(found: Found<asc.VariableDeclaration>): Value | undefined {
    try {
      return this.valueOf(found);
    } catch (error) {
      if (error instanceof NotConstant) return undefined;
      throw error;
    }
  }

  private valueOf({ node, source }: Found<asc.VariableDeclaration>): Value {
    const known = this.values.get(node);
    if (known !== undefined) return known;
    if (!isConst(node) || !node.initializer) throw new NotConstant(node, `'${node.name.text}' is not a constant`);
    if (this.running.has(node)) throw new NotConstant(node, `'${node.name.text}' is defined by itself`);
    this.running.add(node);
    try {
      const call = configCall(node);
      const value = call ? this.configValue(node, source, call) : this.expression(node.initializer, source);
      const type = declaredType(node);
      const converted = typeof value === "bigint" && (type === "f32" || type === "f64") ? Number(value) : value;
      this.values.set(node, converted);
      return converted;
    } finally {
      this.running.delete(node);
    }
  }

  /** `config("NAME", default)`, `config.powerOfTwo("NAME", default)`, `config.range("NAME", default, least, most)`. */
  private configValue(node: asc.VariableDeclaration, source: asc.Source, call: asc.CallExpression): Value {
    const [nameNode, fallbackNode, leastNode, mostNode] = call.args;
    if (!(nameNode instanceof asc.StringLiteralExpression) || fallbackNode === undefined) {
      const help = 'write config("NAME", default)';
      this.tree.error(call, "ERR_VDSO_CONFIG_FORM", "config takes a name in quotes and a default value", help);
      return this.replace(node, 0n, "u32");
    }
    const name = nameNode.value;
    const fallback = this.evaluate(fallbackNode, source, `the default of ${name}`) ?? 0n;
    const type = declaredType(node) ?? defaultType(fallback);
    if (!(type in INTEGERS) && !["f32", "f64", "bool", "string"].includes(type)) {
      const help = "use an integer, float, bool or string type";
      this.tree.error(node.type ?? node, "ERR_VDSO_CONFIG_FORM", `a config constant cannot be of type ${type}`, help);
      return this.replace(node, 0n, "u32");
    }
    if (this.configured.has(name)) {
      this.tree.error(
        call,
        "ERR_VDSO_CONFIG_TWICE",
        `a constant is called "${name}" already`,
        "import it, or rename one",
      );
    }
    this.configured.set(name, node);

    const { text, origin } = this.overrideOf(name);
    let value: Value | undefined = text === undefined ? fitting(fallback, type) : parseValue(text, type);
    if (value === undefined) {
      const found = text === undefined ? String(fallback) : `"${text}"`;
      const message = `${name} must be of type ${type}, found ${found}${origin}`;
      this.tree.error(fallbackNode, "ERR_VDSO_CONFIG_VALUE", message, rangeText(type));
      value = zeroOf(type);
    } else {
      const check = calledMember(call)?.[1];
      const complaint =
        check === "powerOfTwo"
          ? powerOfTwoComplaint(value)
          : check === "range"
            ? this.rangeComplaint(value, leastNode, mostNode, source)
            : undefined;
      if (complaint !== undefined) {
        this.tree.error(call, "ERR_VDSO_CONFIG_VALUE", `${name} must be ${complaint}, found ${value}${origin}`);
      }
    }
    this.table.push(entryOf(name, type, value, true));
    return this.replace(node, value, type);
  }

  private rangeComplaint(
    value: Value,
    leastNode: asc.Expression | undefined,
    mostNode: asc.Expression | undefined,
    source: asc.Source,
  ): string | undefined {
    const least = leastNode && this.evaluate(leastNode, source, "the range's start");
    const most = mostNode && this.evaluate(mostNode, source, "the range's end");
    if (least === undefined || most === undefined)
      return "given with a range: config.range(name, default, least, most)";
    return value < least || value > most ? `from ${least} to ${most}` : undefined;
  }

  private overrideOf(name: string): { text: string | undefined; origin: string } {
    const option = this.options.config[name];
    if (option !== undefined) return { text: option, origin: " (from the build's options)" };
    if (this.options.features.includes(name)) return { text: "true", origin: " (from the build's features)" };
    const environment = this.options.env[name];
    if (environment !== undefined) return { text: environment, origin: " (from the environment)" };
    return { text: undefined, origin: "" };
  }

  private refuseUnknown(): void {
    const known = [...this.configured.keys()];
    const list = known.length === 0 ? "this vDSO has none" : `known: ${known.join(", ")}`;
    const { entry } = this.tree;
    if (entry === undefined) return;
    for (const name of Object.keys(this.options.config)) {
      if (!known.includes(name)) {
        this.tree.error(entry, "ERR_VDSO_CONFIG_UNKNOWN", `no constant is called "${name}"; ${list}`);
      }
    }
    for (const name of this.options.features) {
      if (!known.includes(name)) {
        const help = `declare it: const ${name}: bool = config("${name}", false)`;
        this.tree.error(entry, "ERR_VDSO_CONFIG_UNKNOWN", `no feature is called "${name}"; ${list}`, help);
      }
    }
  }

  private replace(node: asc.VariableDeclaration, value: Value, type: string): Value {
    const range = node.initializer?.range ?? node.range;
    const text = typeof value === "string" ? JSON.stringify(value) : floatText(value, type);
    node.initializer = this.tree.expression(text, range);
    this.values.set(node, value);
    return value;
  }

  private expression(node: asc.Expression, source: asc.Source): Value {
    // A literal has no sign: what looks negative is a u64 beyond 2^63.
    if (node instanceof asc.IntegerLiteralExpression) return BigInt.asUintN(64, toBigInt(node.value));
    if (node instanceof asc.FloatLiteralExpression) return node.value;
    if (node instanceof asc.StringLiteralExpression) return node.value;
    if (node instanceof asc.TrueExpression) return true;
    if (node instanceof asc.FalseExpression) return false;
    if (node instanceof asc.ParenthesizedExpression) return this.expression(node.expression, source);
    if (node instanceof asc.AssertionExpression) {
      const value = this.expression(node.expression, source);
      const type = node.toType ? typeName(node.toType) : undefined;
      return type === undefined ? value : (convert(value, type) ?? value);
    }
    if (node instanceof asc.UnaryPrefixExpression) return unary(node, this.expression(node.operand, source));
    if (node instanceof asc.TernaryExpression) {
      return this.expression(this.expression(node.condition, source) ? node.ifThen : node.ifElse, source);
    }
    if (node instanceof asc.BinaryExpression) {
      return binary(node, this.expression(node.left, source), this.expression(node.right, source));
    }
    if (node instanceof asc.CallExpression) {
      const name = calledName(node);
      if (name === "min" || name === "max") {
        const values = node.args.map((arg) => this.expression(arg, source));
        return values.reduce((a, b) => ((name === "min") === b < a ? b : a));
      }
    }
    if (node instanceof asc.IdentifierExpression) {
      const found = this.scope.lookup(source, node.text);
      if (found?.node instanceof asc.VariableDeclaration)
        return this.valueOf({ node: found.node, source: found.source });
    }
    if (node instanceof asc.PropertyAccessExpression && node.expression instanceof asc.IdentifierExpression) {
      const value = this.member(node.expression.text, node.property.text, source);
      if (value !== undefined) return value;
    }
    throw new NotConstant(node, `'${textOf(node)}' is not a constant expression`);
  }

  /** `Mode.Idle`, `u32.MAX_VALUE`, `sizes.SLOTS` after `import * as sizes`. */
  private member(object: string, property: string, source: asc.Source): Value | undefined {
    const integer = INTEGERS[object];
    if (integer !== undefined) {
      const [bits, signed] = integer;
      if (property === "MAX_VALUE") return (1n << BigInt(signed ? bits - 1 : bits)) - 1n;
      if (property === "MIN_VALUE") return signed ? -(1n << BigInt(bits - 1)) : 0n;
    }
    const found = this.scope.lookup(source, object);
    if (found?.node instanceof asc.EnumDeclaration) {
      const value = this.enumValues({ node: found.node, source: found.source }).find(([name]) => name === property);
      return value && BigInt(value[1]);
    }
    const inNamespace = this.scope.lookupIn(source, object, property);
    if (inNamespace?.node instanceof asc.VariableDeclaration) {
      return this.valueOf({ node: inNamespace.node, source: inNamespace.source });
    }
    return undefined;
  }
}

function configCall(node: asc.VariableDeclaration): asc.CallExpression | undefined {
  const { initializer } = node;
  if (!(initializer instanceof asc.CallExpression)) return undefined;
  const member = calledMember(initializer);
  const called = member === undefined ? calledName(initializer) : member[0];
  if (called !== "config") return undefined;
  return member === undefined || member[1] === "powerOfTwo" || member[1] === "range" ? initializer : undefined;
}

function isConst(node: asc.VariableDeclaration): boolean {
  return (node.flags & tables.CommonFlags.Const) !== 0;
}

function declaredType(node: asc.VariableDeclaration): string | undefined {
  return node.type ? (typeName(node.type) ?? textOf(node.type)) : undefined;
}

function defaultType(value: Value): string {
  if (typeof value === "bigint") return fitting(value, "i32") === undefined ? "i64" : "i32";
  if (typeof value === "number") return "f64";
  return typeof value === "boolean" ? "bool" : "string";
}

function entryOf(name: string, type: string, value: Value, config: boolean): Constant {
  const shown = type === "usize" ? "u32" : type === "isize" ? "i32" : type;
  const wide = shown === "u64" || shown === "i64";
  return {
    name,
    type: shown as Scalar | "string",
    value: typeof value === "bigint" ? (wide ? String(value) : Number(value)) : value,
    config,
  };
}

function zeroOf(type: string): Value {
  if (type in INTEGERS) return 0n;
  return type === "bool" ? false : type === "string" ? "" : 0;
}

/** The value as a value of `type`, or undefined when it does not fit. */
function fitting(value: Value, type: string): Value | undefined {
  const integer = INTEGERS[type];
  if (integer !== undefined) {
    if (typeof value !== "bigint") return undefined;
    const [bits, signed] = integer;
    const wrapped = signed ? BigInt.asIntN(bits, value) : BigInt.asUintN(bits, value);
    return wrapped === value ? value : undefined;
  }
  if (type === "f64" || type === "f32")
    return typeof value === "bigint" || typeof value === "number" ? Number(value) : undefined;
  if (type === "bool") return typeof value === "boolean" ? value : undefined;
  return type === "string" && typeof value === "string" ? value : undefined;
}

/** Reads a constant as somebody types it into an environment variable. */
function parseValue(text: string, type: string): Value | undefined {
  if (type === "string") return text;
  const trimmed = text.trim();
  if (type === "bool") {
    if (trimmed === "true" || trimmed === "1") return true;
    return trimmed === "false" || trimmed === "0" ? false : undefined;
  }
  if (type in INTEGERS) {
    const match = /^(-?)(\d[\d_]*|0x[\da-f_]+|0b[01_]+)$/i.exec(trimmed);
    if (match === null) return undefined;
    const magnitude = BigInt((match[2] ?? "").replaceAll("_", ""));
    return fitting(match[1] === "-" ? -magnitude : magnitude, type);
  }
  const number = Number(trimmed);
  return trimmed === "" || Number.isNaN(number) ? undefined : number;
}

function rangeText(type: string): string {
  const integer = INTEGERS[type];
  if (integer === undefined) return type === "bool" ? "write true or false" : "write a number, for example 0.5";
  const [bits, signed] = integer;
  return signed
    ? `an integer from ${-(1n << BigInt(bits - 1))} to ${(1n << BigInt(bits - 1)) - 1n}`
    : `an integer from 0 to ${(1n << BigInt(bits)) - 1n}`;
}

function powerOfTwoComplaint(value: Value): string | undefined {
  return typeof value === "bigint" && value > 0n && (value & (value - 1n)) === 0n ? undefined : "a power of two";
}

function floatText(value: Value, type: string): string {
  const text = String(value);
  if (typeof value !== "number") return text;
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value < 0 ? "-Infinity" : "Infinity";
  return type === "f32" || type === "f64" ? (/[.e]/.test(text) ? text : `${text}.0`) : text;
}

function convert(value: Value, type: string): Value | undefined {
  const integer = INTEGERS[type];
  if (integer !== undefined && typeof value !== "string") {
    const [bits, signed] = integer;
    const whole = typeof value === "bigint" ? value : BigInt(Math.trunc(Number(value)));
    return signed ? BigInt.asIntN(bits, whole) : BigInt.asUintN(bits, whole);
  }
  if (type === "f32") return Math.fround(Number(value));
  if (type === "f64") return Number(value);
  return type === "bool" ? Boolean(value) : undefined;
}

function unary(node: asc.UnaryPrefixExpression, value: Value): Value {
  const { Minus, Plus, Tilde, Exclamation } = tables.Token;
  if (node.operator === Exclamation) return !value;
  if (typeof value === "bigint" || typeof value === "number") {
    if (node.operator === Minus) return -value;
    if (node.operator === Plus) return value;
    if (node.operator === Tilde && typeof value === "bigint") return ~value;
  }
  throw new NotConstant(node, `'${textOf(node)}' is not a constant expression`);
}

function binary(node: asc.BinaryExpression, left: Value, right: Value): Value {
  const T = tables.Token;
  switch (node.operator as number) {
    case T.Ampersand_Ampersand:
      return left && right;
    case T.Bar_Bar:
      return left || right;
    case T.Equals_Equals:
    case T.Equals_Equals_Equals:
      return left === right || Number(left) === Number(right);
    case T.Exclamation_Equals:
    case T.Exclamation_Equals_Equals:
      return left !== right && Number(left) !== Number(right);
    case T.LessThan:
      return left < right;
    case T.GreaterThan:
      return left > right;
    case T.LessThan_Equals:
      return left <= right;
    case T.GreaterThan_Equals:
      return left >= right;
  }
  if (typeof left === "bigint" && typeof right === "bigint") {
    const whole = integerOperation(node, left, right);
    if (whole !== undefined) return whole;
  } else if (typeof left === "string" || typeof right === "string") {
    if (node.operator === T.Plus) return String(left) + String(right);
  } else {
    const [a, b] = [Number(left), Number(right)];
    if (node.operator === T.Plus) return a + b;
    if (node.operator === T.Minus) return a - b;
    if (node.operator === T.Asterisk) return a * b;
    if (node.operator === T.Slash) return a / b;
    if (node.operator === T.Percent) return a % b;
  }
  throw new NotConstant(node, `'${textOf(node)}' is not a constant expression`);
}

function integerOperation(node: asc.BinaryExpression, a: bigint, b: bigint): bigint | undefined {
  const T = tables.Token;
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
      return b < 0n || b > 64n ? undefined : a << b;
    case T.GreaterThan_GreaterThan:
    case T.GreaterThan_GreaterThan_GreaterThan:
      return b < 0n || b > 64n ? undefined : a >> b;
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
