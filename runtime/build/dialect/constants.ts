/** Constants: `config(...)` with its overrides, and those that `api.ts` exports. */
import type { Constant } from "../../image/manifest.ts";
import { isApiName } from "./api-names.ts";
import { asc, tables } from "./asc.ts";
import { Evaluator, NotConstant } from "./evaluate.ts";
import type { Found, Scope } from "./scope.ts";
import { calledMember, calledName, docComment, entryOf, type Tree, textOf, typeName, walk } from "./tree.ts";
import {
  convert,
  defaultType,
  fitting,
  integerOf,
  isConstantType,
  literalText,
  parseValue,
  rangeText,
  standIn,
  type Typed,
  type Value,
} from "./values.ts";

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
  /** The author's comments on them. */
  readonly docs: Record<string, string> = {};
  private readonly tree: Tree;
  private readonly scope: Scope;
  private readonly options: ConstantOptions;
  private readonly evaluator: Evaluator;
  private readonly values = new Map<asc.VariableDeclaration, Typed>();
  private readonly running = new Set<asc.Node>();
  private readonly refused = new Set<asc.Node>();
  private readonly configured = new Map<string, asc.VariableDeclaration>();

  constructor(tree: Tree, scope: Scope, options: ConstantOptions) {
    this.tree = tree;
    this.scope = scope;
    this.options = options;
    this.evaluator = new Evaluator(scope, (found) => this.valueOf(found));
  }

  /** Replaces every `config(...)` by its value and fills {@link table}. */
  run(): void {
    for (const source of this.tree.sources) {
      for (const [, node] of this.scope.own(source)) {
        if (node instanceof asc.VariableDeclaration && configCall(node.initializer)) this.tryValueOf({ node, source });
      }
    }
    for (const source of this.tree.sources) this.refuseMisplaced(source);
    this.refuseUnknown();
    const { entry } = this.tree;
    if (entry === undefined) return;
    for (const [name, { node, source }] of this.scope.exports(entry)) {
      if (!(node instanceof asc.VariableDeclaration) || !isConst(node)) continue;
      const value = this.tryValueOf({ node, source });
      if (value === undefined) this.refuseComputed(name, node);
      else if (!this.table.some((constant) => constant.name === name)) {
        if (!isApiName(name))
          this.tree.error(node.name, "ERR_VDSO_API_NAME", `'${name}' is taken in JavaScript`, "rename it");
        this.enter(name, node, value, false);
      }
    }
  }

  /** Value of a constant expression; reports and returns undefined when it is none. */
  evaluate(expression: asc.Expression, source: asc.Source, use: string, type?: string): Value | undefined {
    try {
      return this.evaluator.evaluate(expression, source, type).value;
    } catch (error) {
      if (!(error instanceof NotConstant)) throw error;
      // The same culprit may be behind several uses.
      if (!this.refused.has(error.node)) {
        this.tree.error(error.node, "ERR_VDSO_CONSTANT", `${use} must be known at build time: ${error.message}`);
      }
      this.refused.add(error.node);
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
      const { value } = this.evaluator.evaluate(expression, source);
      return typeof value === "bigint" && value >= 0n && value < 2n ** 32n ? Number(value) : undefined;
    } catch (error) {
      if (error instanceof NotConstant) return undefined;
      throw error;
    }
  }

  /** Names and values of an enum. */
  enumValues(found: Found<asc.EnumDeclaration>): [string, number][] {
    return this.evaluator.enumValues(found, (node, message) => {
      const use = `a value of enum ${found.node.name.text}`;
      this.tree.error(node, "ERR_VDSO_CONSTANT", `${use} must be an integer known at build time: ${message}`);
    });
  }

  private tryValueOf(found: Found<asc.VariableDeclaration>): Typed | undefined {
    try {
      return this.valueOf(found);
    } catch (error) {
      if (error instanceof NotConstant) return undefined;
      throw error;
    }
  }

  private valueOf({ node, source }: Found<asc.VariableDeclaration>): Typed {
    const known = this.values.get(node);
    if (known !== undefined) return known;
    const name = node.name.text;
    if (!isConst(node) || !node.initializer) throw new NotConstant(node.name, `'${name}' is not a constant`);
    if (this.running.has(node)) throw new NotConstant(node.name, `'${name}' is defined by itself`);
    this.running.add(node);
    try {
      const call = configCall(node.initializer);
      const value = call ? this.configValue(node, source, call) : this.plainValue(node.initializer, node, source);
      this.values.set(node, value);
      return value;
    } finally {
      this.running.delete(node);
    }
  }

  private plainValue(initializer: asc.Expression, node: asc.VariableDeclaration, source: asc.Source): Typed {
    const type = this.declaredType(node, source);
    const typed = this.evaluator.evaluate(initializer, source, type);
    if (type === undefined || type === typed.type) return typed;
    const value = convert(typed.value, type);
    if (value === undefined) throw new NotConstant(initializer, `${String(typed.value)} is not of type ${type}`);
    return { type, value };
  }

  /** `config("NAME", default)`, `config.range("NAME", default, least, most)`, `config.powerOfTwo` with or without the last two. */
  private configValue(node: asc.VariableDeclaration, source: asc.Source, call: asc.CallExpression): Typed {
    const [nameNode, fallbackNode, leastNode, mostNode] = call.args;
    const form = calledMember(call)?.[1];
    if (!(nameNode instanceof asc.StringLiteralExpression) || fallbackNode === undefined) {
      const help = 'write config("NAME", default)';
      this.tree.error(call, "ERR_VDSO_CONFIG_FORM", "config takes a name in quotes and a default value", help);
      const type = this.declaredType(node, source) ?? "u32";
      return this.replace(node, standIn(type), type);
    }
    const bounded = form === "range" || (form === "powerOfTwo" && call.args.length > 2);
    const expectedCount = bounded ? 4 : 2;
    if (call.args.length !== expectedCount) {
      const help = `write config${form ? `.${form}` : ""}("NAME", default${bounded ? ", least, most" : ""})`;
      const message = `config${form ? `.${form}` : ""} takes ${expectedCount} arguments, found ${call.args.length}`;
      this.tree.error(call, "ERR_VDSO_CONFIG_FORM", message, help);
    }
    const name = nameNode.value;
    this.checkName(name, nameNode, call, node);
    const declared = this.declaredType(node, source);
    const fallback =
      this.evaluate(fallbackNode, source, `the default of ${name}`, declared) ?? standIn(declared ?? "u32");
    const type = declared ?? defaultType(fallback);
    if (!isConstantType(type)) {
      const help = "use an integer, float, bool or string type";
      this.tree.error(node.type ?? node, "ERR_VDSO_CONFIG_FORM", `a config constant cannot be of type ${type}`, help);
      return this.replace(node, 1n, "u32");
    }
    const { text, origin } = this.overrideOf(name);
    const range = bounded && leastNode && mostNode ? this.rangeOf(leastNode, mostNode, source, type) : undefined;
    const complaintAbout = (candidate: Value): string | undefined => {
      const inside = !range || (candidate >= range.least && candidate <= range.most);
      const fits = form === "powerOfTwo" ? isPowerOfTwo(candidate) : true;
      if (inside && fits) return undefined;
      const kind = form === "powerOfTwo" ? "a power of two" : "";
      return range ? `${kind}${kind && " "}from ${range.least} to ${range.most}` : kind;
    };
    const given = text === undefined ? fitting(fallback, type) : parseValue(text, type);
    const complaint = given === undefined ? undefined : complaintAbout(given);
    if (given === undefined) {
      const found = text === undefined ? String(fallback) : `"${text}"`;
      const message = `${name} must be of type ${type}, found ${found}${origin}`;
      this.tree.error(fallbackNode, "ERR_VDSO_CONFIG_VALUE", message, rangeText(type));
    } else if (complaint !== undefined) {
      this.tree.error(call, "ERR_VDSO_CONFIG_VALUE", `${name} must be ${complaint}, found ${given}${origin}`);
    }
    // After an error the build goes on with a value that nothing else has to complain about.
    const candidates = [given, fitting(fallback, type), range?.least, standIn(type)];
    const value =
      candidates.find((each) => each !== undefined && complaintAbout(each) === undefined) ?? given ?? standIn(type);
    this.enter(name, node, { type, value }, true);
    return this.replace(node, value, type);
  }

  private refuseComputed(name: string, { initializer, name: at }: asc.VariableDeclaration): void {
    // The vVAR's root may be exported along with the layout that it belongs to; it is no part of the API.
    if (initializer instanceof asc.CallExpression && calledName(initializer) === "vvarRoot") return;
    const help = "export a function that returns it";
    this.tree.error(at, "ERR_VDSO_API_FORM", `exported constant '${name}' is not known at build time`, help);
  }

  private enter(name: string, node: asc.VariableDeclaration, value: Typed, config: boolean): void {
    this.table.push(tableEntry(name, value, config));
    const text = docComment(node);
    if (text !== "") this.docs[name] = text;
  }

  private checkName(name: string, at: asc.Node, call: asc.CallExpression, node: asc.VariableDeclaration): void {
    if (!isApiName(name)) {
      const help = 'environment and API library use it as a name: write it like "QUEUE_LEN"';
      this.tree.error(at, "ERR_VDSO_CONFIG_FORM", `"${name}" cannot be the name of a constant`, help);
    }
    if (this.configured.has(name)) {
      const help = "import it, or rename one";
      this.tree.error(call, "ERR_VDSO_CONFIG_TWICE", `a constant is called "${name}" already`, help);
    }
    this.configured.set(name, node);
  }

  private rangeOf(
    leastNode: asc.Expression,
    mostNode: asc.Expression,
    source: asc.Source,
    type: string,
  ): { least: Value; most: Value } | undefined {
    const least = this.evaluate(leastNode, source, "the range's start", type);
    const most = this.evaluate(mostNode, source, "the range's end", type);
    return least === undefined || most === undefined ? undefined : { least, most };
  }

  private overrideOf(name: string): { text: string | undefined; origin: string } {
    const option = entryOf(this.options.config, name);
    if (option !== undefined) return { text: option, origin: " (from the build's options)" };
    if (this.options.features.includes(name)) return { text: "true", origin: " (from the build's features)" };
    const environment = entryOf(this.options.env, name);
    if (environment !== undefined) return { text: environment, origin: " (from the environment)" };
    return { text: undefined, origin: "" };
  }

  /** `config` anywhere but as the value of a constant at the top of a file. */
  private refuseMisplaced(source: asc.Source): void {
    if (this.scope.lookup(source, "config")) return;
    walk(source, (node) => {
      if (!isConfigCall(node)) return;
      const help = 'write const LENGTH: u32 = config("LENGTH", 64); at the top of a file, and use LENGTH here';
      this.tree.error(node, "ERR_VDSO_CONFIG_FORM", "config is the value of a constant, and nothing else", help);
    });
  }

  private refuseUnknown(): void {
    const known = [...this.configured.keys()];
    const list = known.length === 0 ? "this vDSO has none" : `known: ${known.join(", ")}`;
    const { entry } = this.tree;
    if (entry === undefined) return;
    for (const name of Object.keys(this.options.config)) {
      if (!known.includes(name)) {
        this.tree.errorAtStart(entry, "ERR_VDSO_CONFIG_UNKNOWN", `no constant is called "${name}"; ${list}`);
      }
    }
    for (const name of this.options.features) {
      if (!known.includes(name)) {
        const help = `declare it: const ${name}: bool = config("${name}", false)`;
        this.tree.errorAtStart(entry, "ERR_VDSO_CONFIG_UNKNOWN", `no feature is called "${name}"; ${list}`, help);
      }
    }
  }

  private replace(node: asc.VariableDeclaration, value: Value, type: string): Typed {
    node.initializer = this.tree.expression(literalText(value, type), node.initializer?.range ?? node.range);
    const typed = { type, value };
    this.values.set(node, typed);
    return typed;
  }

  private declaredType(node: asc.VariableDeclaration, source: asc.Source): string | undefined {
    if (!node.type) return undefined;
    const { type } = this.scope.resolveType(source, node.type);
    const name = typeName(type) ?? textOf(type);
    return name === "boolean" ? "bool" : name === "number" ? "f64" : name;
  }
}

function isConfigCall(node: asc.Node | null): node is asc.CallExpression {
  if (!(node instanceof asc.CallExpression)) return false;
  const member = calledMember(node);
  if (member === undefined) return calledName(node) === "config";
  return member[0] === "config" && (member[1] === "powerOfTwo" || member[1] === "range");
}

function configCall(initializer: asc.Expression | null): asc.CallExpression | undefined {
  return isConfigCall(initializer) ? initializer : undefined;
}

function isConst(node: asc.VariableDeclaration): boolean {
  return (node.flags & tables.CommonFlags.Const) !== 0;
}

function tableEntry(name: string, { type, value }: Typed, config: boolean): Constant {
  const shown = type === "usize" ? "u32" : type === "isize" ? "i32" : type;
  if (typeof value !== "bigint") return { name, type: shown, value, config };
  return { name, type: shown, value: integerOf(type)?.bits === 64 ? String(value) : Number(value), config };
}

function isPowerOfTwo(value: Value): boolean {
  return typeof value === "bigint" && value > 0n && (value & (value - 1n)) === 0n;
}
