/** Random modules whose functions call hooks in every place that there is: for the rewriting that lets them be stopped there. */

type Type = "i32" | "i64" | "f32" | "f64";
const TYPES: readonly Type[] = ["i32", "i64", "f32", "f64"];
const BINARY: Readonly<Record<Type, readonly string[]>> = {
  i32: ["i32.add", "i32.sub", "i32.xor", "i32.shl", "i32.rem_u"],
  i64: ["i64.add", "i64.mul", "i64.or", "i64.rotl"],
  f32: ["f32.add", "f32.min"],
  f64: ["f64.sub", "f64.max"],
};
/** From a type to another, without a trap and without a NaN. */
const CONVERT: Readonly<Record<Type, readonly [from: Type, op: string][]>> = {
  i32: [
    ["i64", "i32.wrap_i64"],
    ["i64", "i64.eqz"],
    ["f64", "i32.trunc_sat_f64_s"],
    ["f32", "i32.reinterpret_f32"],
  ],
  i64: [
    ["i32", "i64.extend_i32_s"],
    ["f64", "i64.trunc_sat_f64_u"],
  ],
  f32: [["i32", "f32.convert_i32_s"]],
  f64: [
    ["i64", "f64.convert_i64_s"],
    ["i32", "f64.convert_i32_u"],
  ],
};
/** Types of parameters and result of what a function may call; `$yield...` are the hooks. */
const CALLABLE: readonly { name: string; params: readonly Type[]; result?: Type }[] = [
  ...TYPES.map((type) => ({ name: `$yield_${type}`, params: [type], result: type })),
  { name: "$yield", params: ["i32", "i64"] },
  { name: "$f0", params: ["i32", "f64"], result: "i32" },
  { name: "$f1", params: ["i64"], result: "f64" },
  { name: "$f2", params: ["f32", "i32"] },
  { name: "$pure", params: ["i32"], result: "i64" },
  { name: "$deep", params: ["i32"], result: "i32" },
];
const LOCALS = 3;
const COUNTERS = 12;

interface Label {
  readonly name: string;
  /** What a branch carries. */
  readonly type: Type | undefined;
  /** Of a loop: the local that counts its rounds down. */
  readonly counter: string | undefined;
}

/** Writes a module; every decision is the next number of `choices`, and the simplest one when they have come to an end. */
export function randomModule(choices: readonly number[]): string {
  let at = 0;
  let names = 0;
  let counters = 0;
  let labels: Label[] = [];
  let result: Type | undefined;
  /** Functions that may be called: those behind the one that is written, so that all ends. */
  let callable = CALLABLE;

  const choose = (count: number): number => (at < choices.length ? choices[at++]! % count : 0);
  const pick = <T>(list: readonly T[]): T => list[choose(list.length)]!;
  const local = (type: Type): string => `$${type}_${choose(LOCALS)}`;
  const constant = (type: Type): string => `(${type}.const ${pick([0, 1, 2, 7, 100, 65_537])})`;
  const within = (label: Omit<Label, "name">, write: (name: string) => string): string => {
    const name = `$l${names++}`;
    labels.push({ name, ...label });
    const text = write(name);
    labels.pop();
    return text;
  };
  const block = (type: Type | undefined, depth: number): string => {
    const body = statements(depth);
    return type ? `${body} ${expression(type, depth)}` : body;
  };
  const resultOf = (type: Type | undefined): string => (type ? `(result ${type})` : "");
  const call = (depth: number, type: Type | undefined): string | undefined => {
    const fitting = callable.filter((fn) => fn.result === type);
    if (fitting.length === 0) return undefined;
    const { name, params } = pick(fitting);
    return `(call ${name} ${params.map((param) => expression(param, depth)).join(" ")})`;
  };
  const structure = (type: Type | undefined, depth: number): string => {
    switch (choose(3)) {
      case 0:
        return within(
          { type, counter: undefined },
          (name) => `(block ${name} ${resultOf(type)} ${block(type, depth)})`,
        );
      case 1: {
        // Outside of its label.
        const condition = expression("i32", depth);
        return within({ type, counter: undefined }, (name) => {
          const arms = `(then ${block(type, depth)}) (else ${block(type, depth)})`;
          return `(if ${name} ${resultOf(type)} ${condition} ${arms})`;
        });
      }
      default: {
        if (counters === COUNTERS) return type ? constant(type) : "(nop)";
        const counter = `$counter_${counters++}`;
        const set = `(local.set ${counter} (i32.const ${1 + choose(3)}))`;
        const loop = within(
          { type: undefined, counter },
          (name) =>
            `(loop ${name} ${resultOf(type)} ${statements(depth)} ${again(name, counter)} ${type ? expression(type, depth) : ""})`,
        );
        return type ? `(block (result ${type}) ${set} ${loop})` : `${set} ${loop}`;
      }
    }
  };
  const again = (name: string, counter: string): string =>
    `(br_if ${name} (i32.gt_s (local.tee ${counter} (i32.sub (local.get ${counter}) (i32.const 1))) (i32.const 0)))`;

  const expression = (type: Type, depth: number): string => {
    if (depth <= 0) return choose(2) === 0 ? `(local.get ${local(type)})` : constant(type);
    const deeper = depth - 1;
    switch (choose(11)) {
      case 0:
        return `(local.get ${local(type)})`;
      case 1:
        return constant(type);
      case 2:
      case 3:
        return `(${pick(BINARY[type])} ${expression(type, deeper)} ${nonZero(type, deeper)})`;
      case 4: {
        const [from, op] = pick(CONVERT[type]);
        return `(${op} ${expression(from, deeper)})`;
      }
      case 5:
      case 6:
        return call(deeper, type) ?? constant(type);
      case 7:
        return structure(type, deeper);
      case 8:
        return `(local.tee ${local(type)} ${expression(type, deeper)})`;
      case 9:
        return `(select ${expression(type, deeper)} ${expression(type, deeper)} ${expression("i32", deeper)})`;
      default: {
        if (type === "i64") return "(global.get $count)";
        if (type !== "i32") return `(local.get ${local(type)})`;
        if (choose(2) === 0) {
          const lane = `(i32x4.splat ${expression("i32", deeper)})`;
          return `(i32x4.extract_lane 1 (i32x4.add ${lane} (i32x4.splat ${expression("i32", deeper)})))`;
        }
        const target = labels.filter((label) => label.type === "i32").at(-1);
        return target
          ? `(br_if ${target.name} ${expression("i32", deeper)} ${expression("i32", deeper)})`
          : `(call_indirect (type $unary) ${expression("i32", deeper)} (i32.and (i32.const 1) ${expression("i32", deeper)}))`;
      }
    }
  };
  // An i32.rem_u by zero would trap.
  const nonZero = (type: Type, depth: number): string =>
    type === "i32" ? `(i32.or (i32.const 1) ${expression(type, depth)})` : expression(type, depth);

  const statement = (depth: number): string => {
    const deeper = depth - 1;
    const type = pick(TYPES);
    switch (choose(10)) {
      case 0:
        return "(nop)";
      case 1:
      case 2:
        return `(local.set ${local(type)} ${expression(type, deeper)})`;
      case 3:
        return `(drop ${expression(type, deeper)})`;
      case 4:
      case 5:
        return structure(undefined, deeper);
      case 6:
        return call(deeper, undefined) ?? "(nop)";
      case 7:
        return `(global.set $count (i64.add (global.get $count) ${expression("i64", deeper)}))`;
      case 8: {
        // Two results, taken from the operand stack one by one.
        if (callable.length < CALLABLE.length) return "(nop)";
        return `${expression("i32", deeper)} call $two local.set ${local("i64")} local.set ${local("i32")}`;
      }
      default:
        return leave(deeper);
    }
  };
  const leave = (depth: number): string => {
    const target = labels.length > 0 ? pick(labels) : undefined;
    // Seldom, because what stands behind it is never reached.
    if (!target) return choose(4) === 3 ? `(return ${result ? expression(result, depth) : ""})` : "(nop)";
    if (target.counter) return again(target.name, target.counter);
    const value = target.type ? expression(target.type, depth) : "";
    switch (choose(6)) {
      case 0:
        return `(br ${target.name} ${value})`;
      case 1: {
        const same = labels.filter((label) => label.type === target.type && !label.counter).map((label) => label.name);
        return `(br_table ${same.join(" ")} ${target.name} ${value} ${expression("i32", depth)})`;
      }
      default: {
        const branch = `(br_if ${target.name} ${value} ${expression("i32", depth)})`;
        return target.type ? `(drop ${branch})` : branch;
      }
    }
  };
  const statements = (depth: number): string =>
    depth <= 0 ? "" : Array.from({ length: choose(4) }, () => statement(depth)).join(" ");

  const func = (head: string, type: Type | undefined, depth: number): string => {
    labels = [];
    counters = 0;
    result = type;
    // Several statements at least: what is simplest is none.
    const body = Array.from({ length: 2 + choose(4) }, () => statement(depth)).join("\n    ");
    const params = [...head.matchAll(/\(param (\$\w+) /g)].map((match) => match[1]);
    const names = TYPES.flatMap((of) => Array.from({ length: LOCALS }, (_, index) => [`$${of}_${index}`, of] as const));
    const locals = [
      ...names.filter(([name]) => !params.includes(name)),
      ...Array.from({ length: COUNTERS }, (_, index) => [`$counter_${index}`, "i32"] as const),
    ];
    const declared = locals.map(([name, of]) => `(local ${name} ${of})`).join(" ");
    return `(func ${head} ${declared}\n    ${body}\n    ${type ? expression(type, depth) : ""})`;
  };

  const text: string[] = [];
  text.push(func('(export "main") (param $i32_0 i32) (param $i64_0 i64) (param $f64_0 f64) (result i64)', "i64", 6));
  callable = CALLABLE.filter(({ name }) => name !== "$f0");
  text.push(func("$f0 (param $i32_0 i32) (param $f64_0 f64) (result i32)", "i32", 4));
  callable = callable.filter(({ name }) => name !== "$f1");
  text.push(func("$f1 (param $i64_0 i64) (result f64)", "f64", 4));
  callable = callable.filter(({ name }) => name !== "$f2");
  text.push(func("$f2 (param $f32_0 f32) (param $i32_0 i32)", undefined, 4));
  return `(module
  (type $unary (func (param i32) (result i32)))
  ${TYPES.map((type) => `(import "hook" "yield_${type}" (func $yield_${type} (param ${type}) (result ${type})))`).join("\n  ")}
  (import "hook" "yield" (func $yield (param i32 i64)))
  (table 2 2 funcref)
  (elem (i32.const 0) $deep $flat)
  (memory 1 1)
  (global $count (export "count") (mut i64) (i64.const 3))
  (func $flat (param i32) (result i32) (i32.mul (local.get 0) (i32.const 3)))
  (func $pure (param i32) (result i64) (i64.extend_i32_u (call $flat (local.get 0))))
  (func $deep (param i32) (result i32)
    (if (result i32) (i32.and (local.get 0) (i32.const 3))
      (then (i32.add (call $yield_i32 (local.get 0)) (call $deep (i32.sub (i32.and (local.get 0) (i32.const 3)) (i32.const 1)))))
      (else (i32.const 5))))
  (func $two (param i32) (result i32 i64)
    (call $yield_i32 (local.get 0)) (call $yield_i64 (i64.extend_i32_s (local.get 0))))
  ${text.join("\n  ")})`;
}
