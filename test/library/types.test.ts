import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { buildSample, type Folder, makeFolder, SAMPLE_WAT, sampleManifest } from "../loader/sample.ts";

const root = resolve(import.meta.dirname, "../..");

let folder: Folder;

beforeAll(async () => {
  folder = makeFolder();
  const docs = {
    functions: { add: { text: "Adds. @returns the sum", params: { a: "one */ number" } } },
    types: { Mode: "How it runs.", LENGTH: "Slots.", Snapshot: "At one moment.", Observer: "Watches." },
    members: { "Mode.Idle": "Nothing to do.", "Snapshot.count": "So far.", "Observer.now": "Milliseconds." },
  };
  const sample = await buildSample(SAMPLE_WAT, sampleManifest(), docs);
  folder.write("sample.js", sample.js);
  folder.write("sample.d.ts", sample.dts);

  const plain = sampleManifest();
  plain.name = "plain";
  plain.interfaces = [];
  plain.exports = plain.exports.filter((fn) => fn.name === "zero");
  const wat = `(module (import "vdso" "vvar" (memory $vvar 0 65536 shared)) (memory $own 1 1) (export "memory" (memory $own))
    (func (export "zero") (result i32) (i32.const 0)))`;
  const bare = await buildSample(wat, plain);
  folder.write("plain.js", bare.js);
  folder.write("plain.d.ts", bare.dts);
  folder.write("package.json", '{ "type": "module" }');
  writeFileSync(
    join(folder.path, "tsconfig.json"),
    JSON.stringify({
      extends: join(root, "tsconfig.json"),
      compilerOptions: {
        typeRoots: [join(root, "node_modules/@types")],
        skipLibCheck: false,
        rewriteRelativeImportExtensions: false,
      },
      include: ["./*.ts"],
      exclude: [],
    }),
  );
});

afterAll(() => folder.remove());

/** What the compiler says about a program that uses the libraries. */
function compile(program: string): string[] {
  const imports = `import { attach } from ${JSON.stringify(join(root, "runtime/loader/attach.ts"))};
import { map } from ${JSON.stringify(join(root, "runtime/loader/map.ts"))};
import plain from "./plain.js";
import sample, { type Host, LENGTH, Mode, type Observer, type Result, type SampleApi, type Snapshot } from "./sample.js";
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const same = <_ extends true>(): void => {};
declare const host: Host;
export const used: unknown[] = [attach, map, plain, sample, LENGTH, Mode, same, host];
export type Used = [Host, Observer, Result<1, 2>, SampleApi, Snapshot, Same<1, 1>];
`;
  writeFileSync(join(folder.path, "program.ts"), imports + program);
  try {
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", folder.path], {
      stdio: "pipe",
    });
    return [];
  } catch (error) {
    const output = String((error as { stdout: unknown }).stdout);
    const errors = [...output.matchAll(/program\.ts\((\d+),\d+\): error (TS\d+)/g)];
    if (errors.length === 0) throw new Error(output);
    return errors.map(([, , code]) => code!);
  }
}

test("attach and map infer the API and want the host that the image wants", () => {
  const errors = compile(`
const mapping = await map(sample);
const api = attach(sample, mapping.handle, { host });
same<Same<typeof api, SampleApi>>();
const own = mapping.attach({ host, pid: 5, logLevel: "off" });
same<Same<typeof own, SampleApi>>();
const bare = attach(plain, mapping.handle);
same<Same<ReturnType<typeof bare.zero>, number>>();
await map(sample, { host: {}, managed: true });

const sum: number = api.add(1) + api.add(1, 2) + LENGTH;
const mode: Mode = api.mode();
api.setMode(Mode.Counting);
same<Same<typeof Mode.Counting, 5>>();
const observer: Observer = { changed: (value: bigint) => value > 1n };
const told: boolean = api.tell(observer, 1n);
const found: bigint | undefined = api.echoOption(undefined);
const outcome = api.echoResult({ ok: true, value: 1n });
if (outcome.ok) same<Same<typeof outcome.value, bigint>>();
else same<Same<typeof outcome.error, Mode>>();
const snapshot: Snapshot = api.nothing();
const label: string | null = snapshot.label;
export const results = [sum, mode, told, found, label, own, bare];
`);
  expect(errors).toEqual([]);
});

test("the compiler refuses what does not fit", () => {
  const cases: readonly [string, string][] = [
    ["attach(sample, handle);", "TS2554"], // no host where the image wants one
    ["(await map(sample)).attach({ pid: 5 });", "TS2345"],
    ["attach(sample, handle, { host: { Observer: { now: () => 1 } } });", "TS2739"],
    ["attach(sample, handle, { host }).count(1);", "TS2345"],
    ["attach(sample, handle, { host }).setMode(1);", "TS2345"],
    ["attach(sample, handle, { host }).processInit(1);", "TS2339"],
    ['attach(plain, handle, { logLevel: "loud" });', "TS2322"],
    ["attach({ name: 'x' }, handle);", "TS2740"],
  ];
  const program = ["const { handle } = await map(plain);", ...cases.map(([line]) => line)].join("\n");
  expect(compile(program)).toEqual(cases.map(([, code]) => code));
});

test("the author's comments are where an editor looks for them", () => {
  const dts = readFileSync(join(folder.path, "sample.d.ts"), "utf8");
  expect(dts).toContain("  /**\n   * Adds.\n   * @returns the sum\n   * @param a - one *\\/ number\n   */\n  add(");
  expect(dts).toContain("/** How it runs. */\nexport declare const Mode");
  expect(dts).toContain("  /** Nothing to do. */\n  readonly Idle: 0;");
  expect(dts).toContain("/**\n * Slots.\n *\n * u32, built as 64\n */\nexport declare const LENGTH: number;");
  expect(dts).toContain("  /** So far. */\n  count: bigint;");
  expect(dts).toContain("  /** Milliseconds. */\n  now(): number;");
});
