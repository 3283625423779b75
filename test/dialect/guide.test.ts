/** The guide for authors keeps its word: its sources build, and its calls return what stands behind them. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type Api, run } from "./vdso.ts";

const guide = readFileSync(join(import.meta.dirname, "..", "..", "docs", "authoring.md"), "utf8");
const ROOT = "@vvar class VvarData { unused: u32; }\nconst shared = vvarRoot<VvarData>();\n";

interface Example {
  readonly title: string;
  source: string;
  /** Lines of JavaScript. */
  calls: string[];
  host: Record<string, Record<string, string>>;
}

const examples: Example[] = [];
let title = "";
for (const [, heading, language, options, code] of guide.matchAll(
  /^##+ (.*)$|^```(\w+)(?: host=(.*))?\n([\s\S]*?)^```$/gm,
)) {
  if (heading !== undefined) title = heading;
  const last = examples.at(-1);
  if (language === "ts") examples.push({ title, source: code!, calls: [], host: {} });
  if (language === "js" && last !== undefined) {
    last.calls = code!.split("\n").filter((line) => line !== "");
    last.host = JSON.parse(options ?? "{}");
  }
}

/** Evaluates JavaScript in which the API's functions, enums and constants go by their names. */
function evaluate(code: string, names: Readonly<Record<string, unknown>>): unknown {
  return new Function(...Object.keys(names), `return (${code});`)(...Object.values(names));
}

describe("the guide for authors", () => {
  test.each(examples.map((example) => [example.title, example] as const))("%s", async (_, { source, calls, host }) => {
    const functions = Object.fromEntries(
      Object.entries(host).map(([name, members]) => [
        name,
        Object.fromEntries(Object.entries(members).map(([member, code]) => [member, evaluate(code, {})])),
      ]),
    );
    const { api, another, module } = await run(source.includes("vvarRoot") ? source : ROOT + source, {
      host: functions,
    });
    const namesOf = (of: Api): Record<string, unknown> => ({ ...module, api: of, ...of, default: undefined });
    const { default: _library, ...names } = namesOf(api);
    for (const line of calls) {
      const [, call, comment] = /^(.*?);(?: \/\/ (.*))?$/.exec(line)!;
      const message = /^throws "(.*)"$/.exec(comment ?? "")?.[1];
      if (message !== undefined) {
        const { default: _other, ...fresh } = namesOf(another());
        expect(() => evaluate(call!, fresh), line).toThrow(message);
      } else {
        const value = evaluate(call!, names);
        if (comment !== undefined) expect(value, line).toEqual(evaluate(comment, names));
      }
    }
  });

  test("has examples under all its headings about the language", () => {
    expect(examples.length).toBeGreaterThanOrEqual(11);
    expect(examples.filter(({ calls }) => calls.length === 0)).toEqual([]);
  });
});
