/** The language's own complaints, in the dialect's words where those help more. */

export interface Explanation {
  text: string;
  help?: string;
}

const EXPLANATIONS: readonly { code: number; pattern?: RegExp; text?: string; help: string }[] = [
  {
    code: 100,
    pattern: /closure/i,
    text: "there are no closures: an inner function cannot use variables around it",
    help: "pass them as parameters, or make them top-level",
  },
  { code: 100, pattern: /exception/i, text: "there is no try/catch", help: "return a Result<T, E>" },
  { code: 100, pattern: /iterat/i, text: "there are no iterators", help: "write a counting for loop" },
  { code: 6054, help: "check the path: it is relative to the importing file, without the ending" },
  { code: 2322, help: "convert explicitly, as in <u32>value" },
];

export function explain(code: number, message: string): Explanation {
  const found = EXPLANATIONS.find((entry) => entry.code === code && (entry.pattern?.test(message) ?? true));
  return found === undefined ? { text: message } : { text: found.text ?? message, help: found.help };
}
