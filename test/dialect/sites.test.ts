import { beforeAll, describe, expect, test } from "vitest";
import { VdsoPanic } from "../../runtime/errors.ts";
import type { LogLevel } from "../../runtime/image/manifest.ts";
import type { Logger } from "../../runtime/loader/logger.ts";
import { type Running, run } from "./vdso.ts";

const SOURCE = `@vvar class VvarData { n: u32; @len(2) list: FixedArray<u8>; }
const shared = vvarRoot<VvarData>();
export enum Mode { A, B = 3 }
export function asserts(n: u32): u32 { assert(n > 5, "n is {} small"); return n; }
export function bare(n: u32): void {
  assert(n != 0 && n < 100);
}
export function values(): void { panic("u64 {} i64 {} f64 {} f32 {} bool {} u8 {} i8 {} mode {}", u64.MAX_VALUE, <i64>-5, 0.1, <f32>0.5, true, <u8>200, <i8>-3, Mode.B); }
export function fewer(): void { panic("{} and {} and {}", 1); }
export function more(): void { panic("one {}", 1, 2, 3); }
export function none(): void { panic("nothing"); }
export function quotes(): void { panic("a \\"quoted\\" \\\\ \\n é 😀 {}", 1); }
export function template(): void { panic(\`a template {}\`, 2); }
export function throws(): void { throw new Error("thrown"); }
export function throwsOther(): void { throw new RangeError("too far"); }
export function throwsEmpty(): void { throw new TypeError(); }
export function ternary(n: u32): u32 { return n > 0 ? n * 2 : panic("zero {}", n); }
export function ternaryFirst(n: u32): f64 { const v = n == 0 ? panic("zero") : <f64>n; return v; }
export function or(n: u32): u32 { n > 2 || panic("{} is not above 2", n); return n; }
export function and(n: u32): u32 { n > 2 && panic("{} is above 2", n); return n; }
export function returns(n: u32): u32 { if (n > 1) return n; return panic("returned {}", n); }
export function orElse(n: u32): u32 { if (n > 1) return n; else panic("else"); }
function inlined(n: u32): u32 { assert(n < 3, "inlined"); return n; }
// @ts-ignore: decorator
@inline function really(n: u32): u32 { assert(n < 4, "really inlined"); return n + inlined(n); }
export function throughInline(n: u32): u32 { return really(n); }
export function generic(n: u32): u32 { return least<u32>(n) + <u32>least<f64>(n); }
function least<T>(n: T): T { assert(n > 1, "least"); return n; }
export function narrows(text: string | null): u32 { assert(text != null, "no text"); return text.length; }
export function cast(text: string | null): u32 { return (<string>text).length; }
export function bang(text: string | null): u32 { return text!.length; }
const table: StaticArray<u32> = [1, 2, 3];
export function index(i: u32): u32 { return table[i]; }
export function reads(n: u32): u32 { return shared.list[0] + shared.list[n /* read */]; }
export function writes(n: u32): void { shared.list[n /* written */] = shared.list[0]; }
export function adds(n: u32): void { shared.list[n /* added */] += 1; }
export function nests(n: u32): u32 { return shared.list[shared.list[n /* inner */]]; }
// @ts-ignore: decorator
@inline function listed(n: u32): u32 { return shared.list[n /* inlined */]; }
export function inlines(n: u32): u32 { return listed(n) + listed(0); }
export function divides(a: u32, b: u32): u32 { return a / b; }
export function makesMuch(n: u32): u32 { let made: StaticArray<u8> = new StaticArray<u8>(n); return made.length; }
export function endless(n: u32): u32 { for (;;) { n++; if (n > 100) return n; } }
export function endlessContinue(n: u32): u32 { for (let i: u32 = 0; ; i++) { if (i < 5) continue; if (i + n > 10) return i; } }
export function broken(n: u32): u32 { for (;;) { if (n > 3) break; n++; for (;;) { break; } } return n; }
export function switched(n: u32): u32 { for (;;) { switch (n) { case 3: return 7; default: n++; break; } } }
`;

describe.each(["release", "debug"] as const)("panics, %s", (mode) => {
  let running: Running;
  beforeAll(async () => {
    running = await run(SOURCE, { mode });
  });
  const panic = (name: string, ...args: unknown[]): VdsoPanic => {
    try {
      running.another()[name]!(...args);
    } catch (error) {
      expect(error).toBeInstanceOf(VdsoPanic);
      return error as VdsoPanic;
    }
    throw new Error(`${name} did not panic`);
  };
  const place = (text: string): { file: string; line: number; column: number } => {
    const before = SOURCE.slice(0, SOURCE.indexOf(text));
    return { file: "api.ts", line: before.split("\n").length, column: before.length - before.lastIndexOf("\n") };
  };

  test("carry message, file, line and column", () => {
    expect(panic("asserts", 5)).toMatchObject({ template: "n is {} small", args: [], ...place('assert(n > 5, "n') });
    expect(running.api["asserts"]!(6)).toBe(6);
    expect(panic("bare", 0)).toMatchObject({
      template: "assertion failed: n != 0 && n < 100",
      ...place("assert(n != 0"),
    });
    expect(panic("none")).toMatchObject({ template: "nothing", ...place('panic("nothing")') });
    expect(panic("quotes").message).toContain('a "quoted" \\ \n é 😀 1');
    expect(panic("template").message).toContain("a template 2");
  });

  test("carry exact values of every type, be they too few or too many", () => {
    expect(panic("values").args).toEqual([18446744073709551615n, -5, 0.1, 0.5, true, 200, -3, 3]);
    expect(panic("values").message).toContain(
      "u64 18446744073709551615 i64 -5 f64 0.1 f32 0.5 bool true u8 200 i8 -3 mode 3",
    );
    expect(panic("fewer").message).toContain("1 and {} and {}");
    expect(panic("more").message).toContain("one 1 [2, 3]");
  });

  test("come from throw, too", () => {
    expect(panic("throws")).toMatchObject({ template: "thrown", ...place('throw new Error("thrown")') });
    expect(panic("throwsOther").template).toBe("too far");
    expect(panic("throwsEmpty").template).toBe("TypeError");
  });

  test("stand in conditional expressions, returns and at the end of functions", () => {
    expect(running.api["ternary"]!(4)).toBe(8);
    expect(panic("ternary", 0)).toMatchObject({ template: "zero {}", args: [0], ...place('panic("zero {}"') });
    expect(running.api["ternaryFirst"]!(3)).toBe(3);
    expect(panic("ternaryFirst", 0).template).toBe("zero");
    expect([running.api["or"]!(3), running.api["and"]!(2), running.api["returns"]!(2)]).toEqual([3, 2, 2]);
    expect(panic("or", 2).message).toContain("2 is not above 2");
    expect(panic("and", 3).message).toContain("3 is above 2");
    expect(panic("returns", 0).message).toContain("returned 0");
    expect(panic("orElse", 0).message).toContain("else");
  });

  test("keep their place through inlining and generics", () => {
    expect(running.api["throughInline"]!(2)).toBe(4);
    expect(panic("throughInline", 3)).toMatchObject({ template: "inlined", ...place('assert(n < 3, "inl') });
    expect(panic("throughInline", 4)).toMatchObject({ template: "really inlined", ...place('assert(n < 4, "re') });
    expect(running.api["generic"]!(2)).toBe(4);
    expect(panic("generic", 1)).toMatchObject({ template: "least", ...place('assert(n > 1, "least') });
  });

  test("of the language's own checks have messages and places, too, and no strings in the image", () => {
    expect(running.api["narrows"]!("four")).toBe(4);
    expect(panic("narrows", null).template).toBe("no text");
    expect(panic("cast", null)).toMatchObject({
      template: "null where a value is needed: text",
      ...place("<string>text"),
      column: expect.any(Number),
    });
    expect(panic("bang", null).template).toContain("null where a value is needed: text");
    expect(panic("index", 3).template).toBe("Index out of range");
    expect(running.wat).not.toContain('vdso" "abort');
    expect(Buffer.from(running.image).toString("latin1")).not.toContain("I\0n\0d\0e\0x");
  });

  test("of an index point at the access, also through inlining and in assignments", () => {
    const at = (name: string, text: string, ...args: unknown[]): void => {
      const { line, column } = place(text);
      expect(panic(name, ...args)).toMatchObject({
        message: `tested: index 2 is out of range: VvarData.list has length 2 (api.ts:${line}:${column})`,
      });
    };
    at("reads", "n /* read */", 2);
    at("writes", "n /* written */", 2);
    at("adds", "n /* added */", 2);
    at("nests", "n /* inner */", 2);
    at("inlines", "n /* inlined */", 2);
    expect(running.api["inlines"]!(1)).toBe(0);
  });

  test("name the end of private memory", () => {
    expect(running.api["makesMuch"]!(100)).toBe(100);
    expect(panic("makesMuch", 60_000).template).toBe("private memory is used up");
    expect(panic("makesMuch", 2 ** 30).template).toMatch(/private memory is used up|Invalid length/);
  });

  test("endless loops need no return behind them", () => {
    expect(running.api["endless"]!(1)).toBe(101);
    expect(running.api["endlessContinue"]!(2)).toBe(9);
    expect(running.api["broken"]!(0)).toBe(4);
    expect(running.api["switched"]!(0)).toBe(7);
  });
});

const LOGS = `@vvar class VvarData { n: u32; } const shared = vvarRoot<VvarData>();
let evaluated: u32 = 0;
function value(): u32 { return ++evaluated; }
export function all(): void {
  log.error("error {}", value());
  log.warn("warn {} {}", 2.5, true);
  log.info("info {} {}", u64.MAX_VALUE, -1);
  log.debug("debug");
  log.trace("trace {}", value());
}
export function inBranch(n: u32): void { if (n > 1) log.info("more {}", n); else log.warn("less"); }
export function evaluations(): u32 { return evaluated; }
`;

describe("log lines", () => {
  const collect = (): { logger: Logger; lines: string[] } => {
    const lines: string[] = [];
    const levels: LogLevel[] = ["error", "warn", "info", "debug", "trace"];
    const logger = Object.fromEntries(
      levels.map((level) => [
        level,
        (text: string, { file, line, column }: { file: string; line: number; column: number }) =>
          lines.push(`${level} ${text} ${file}:${line}:${column}`),
      ]),
    ) as unknown as Logger;
    return { logger, lines };
  };

  test("carry level, values and place; what is below the host's level costs no evaluation", async () => {
    const { another } = await run(LOGS);
    const { logger, lines } = collect();
    const api = another({ log: logger, logLevel: "info" });
    api["all"]!();
    expect(lines).toEqual([
      "error error 1 api.ts:5:3",
      "warn warn 2.5 true api.ts:6:3",
      "info info 18446744073709551615 -1 api.ts:7:3",
    ]);
    expect(api["evaluations"]!()).toBe(1);
    const everything = collect();
    another({ log: everything.logger, logLevel: "trace" })["all"]!();
    expect(everything.lines.map((line) => line.split(" ")[0])).toEqual(["error", "warn", "info", "debug", "trace"]);
    const silent = collect();
    another({ log: silent.logger, logLevel: "off" })["all"]!();
    expect(silent.lines).toEqual([]);
  });

  test("stand as branches of an if", async () => {
    const { another } = await run(LOGS);
    const { logger, lines } = collect();
    const api = another({ log: logger, logLevel: "trace" });
    api["inBranch"]!(2);
    api["inBranch"]!(0);
    expect(lines).toEqual(["info more 2 api.ts:11:53", "warn less api.ts:11:82"]);
  });

  test("leave no trace in an image that is built without them", async () => {
    const { manifest, wat, another } = await run(LOGS, { log: false });
    expect(manifest).toMatchObject({ log: false, logs: [] });
    expect(wat).not.toContain('"log"');
    const { logger, lines } = collect();
    const api = another({ log: logger, logLevel: "trace" });
    api["all"]!();
    expect(lines).toEqual([]);
    expect(api["evaluations"]!()).toBe(0);
  });
});
