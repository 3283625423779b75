/** The language's own complaints, in the dialect's words where those help more. */

export interface Explanation {
  text: string;
  help?: string;
}

interface Entry {
  readonly code: number;
  /** Of the message. */
  readonly pattern?: RegExp;
  /** Of the source, from the place of the complaint. */
  readonly at?: RegExp;
  readonly text?: string;
  readonly help: string;
}

const TUPLES = { text: "there are no tuple types", help: "write an @apistruct class with a field per element" };

const ASYNC = {
  text: "there are no async functions",
  help: "write a function that returns when it is done; to wait for another process, wait on an Atomic",
};
const FOR_IN = { text: "there is no for ... in", help: "write for (let i: u32 = 0; i < a.length; i++)" };
/** The parser stumbles over `for (const k in o)` at `k` or behind it. */
const NAME_IN = /^\w*\s*in\s/;

const ENTRIES: readonly Entry[] = [
  {
    code: 100,
    pattern: /closure/i,
    text: "there are no closures: an inner function cannot use variables around it",
    help: "pass them as parameters, or make them top-level",
  },
  { code: 100, pattern: /exception/i, text: "there is no try/catch", help: "return a Result<T, E>" },
  { code: 100, pattern: /iterat/i, text: "there are no iterators", help: "write a counting for loop" },
  { code: 200, help: "convert explicitly, as in <u32>value" },
  { code: 1003, at: /^\*/, text: "there are no generators", help: "export one function per step" },
  ...[1005, 1109, 1110].map((code) => ({ code, at: /^(export\s+)?async\b/, ...ASYNC })),
  {
    code: 1109,
    at: /^await\b/,
    text: "there is no await",
    help: "call the function; to wait for another process, wait on an Atomic",
  },
  { code: 1005, at: /^default\b/, text: "there are no default exports", help: "export it by its name" },
  ...[1005, 1110, 1155].map((code) => ({ code, at: NAME_IN, ...FOR_IN })),
  { code: 1109, at: /^@/, text: "a decorator cannot stand here", help: "move the class to the top of the file" },
  { code: 1110, at: /^\[/, ...TUPLES },
  { code: 1110, help: "write the type, for example : u32" },
  {
    code: 2322,
    pattern: /'[iuf](8|16|32|64)' is not.*'[iuf](8|16|32|64)'/,
    help: "convert explicitly, as in <u32>value",
  },
  {
    code: 2540,
    pattern: /Cannot assign to '\w+' /,
    help: "an Atomic is set by store(), a VPtr by set(), a constant never",
  },
  { code: 6054, help: "check the path: it is relative to the importing file, without the ending" },
];

/** @param at - the source from the place of the complaint on */
export function explain(code: number, message: string, at: string): Explanation {
  const text = authorsNames(message);
  const found = ENTRIES.find(
    (entry) => entry.code === code && (entry.pattern?.test(text) ?? true) && (entry.at?.test(at) ?? true),
  );
  return found === undefined ? { text } : { text: found.text ?? text, help: found.help };
}

/** The compiler puts files in front of names, and has classes for numbers. */
function authorsNames(message: string): string {
  return message
    .replace(/~lib\/number\/(\w+)/g, (_, name: string) => name.toLowerCase())
    .replace(/~lib\/string\/String\b/g, "string")
    .replace(/(?<=['<,| ])~?(?:[\w.-]+\/)+(?=[\w$])/g, "")
    .replace(/'\w+#(\w+)'/g, "'$1'")
    .replace(/^User-defined: "(.*)"$/, "$1")
    .replace(/\b__\w+\$(\w+)/g, "FixedArray '$1'")
    .replace(/\b__VoidResult</g, "Result<void,");
}
