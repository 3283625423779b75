/** The example vDSO across a kernel and four processes. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Remote as RemoteObject, wrap } from "comlink";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { buildVdso } from "../../runtime/build/index.ts";
import { Kernel } from "../../runtime/kernel/kernel.ts";
import type { LogLine } from "../../runtime/kernel/log.ts";
import type { LogThreshold } from "../../runtime/loader/logger.ts";
import { Project } from "../build/project.ts";
import type { ExampleApi, ExampleLibrary, Remote } from "./process.ts";

const PROCESSES = 4;

let project: Project;
let library: ExampleLibrary;
let url: string;

beforeAll(async () => {
  project = new Project({});
  const { outDir } = project;
  const srcDir = join(import.meta.dirname, "..", "..", "vdso-src", "example");
  await buildVdso({ srcDir, outDir, imageName: "example", packageName: "example", verbose: 0 });
  url = pathToFileURL(join(outDir, "example.js")).href;
  ({ default: library } = (await import(url)) as { default: ExampleLibrary });
});

afterAll(() => project[Symbol.dispose]());

interface System {
  readonly kernel: ExampleApi;
  readonly processes: readonly RemoteObject<Remote>[];
  readonly lines: LogLine[];
}

async function start(logLevel: LogThreshold = "off"): Promise<System> {
  const lines: LogLine[] = [];
  const kernel = await Kernel.boot({ vdsos: [library], logLevel, log: (line) => lines.push(line) });
  onTestFinished(() => kernel.shutdown({ timeoutMs: 0 }));
  const processes: RemoteObject<Remote>[] = [];
  for (let i = 0; i < PROCESSES; i++) {
    const { port1, port2 } = new MessageChannel();
    onTestFinished(() => port1.close());
    await kernel.spawn(new URL("./process.ts", import.meta.url), {
      name: `process ${i}`,
      argv: [url],
      data: port2,
      transfer: [port2],
    });
    processes.push(wrap<Remote>(port1));
  }
  return { kernel: kernel.attach(library, { TestTrait: { test_fn3: () => 0 } }), processes, lines };
}

const all = <T>({ processes }: System, ask: (process: RemoteObject<Remote>, i: number) => Promise<T>): Promise<T[]> =>
  Promise.all(processes.map(ask));

test("the shared value set in one is seen in all, whoever sets it", async () => {
  const system = await start();
  expect(await all(system, (process) => process.get_shared())).toEqual([0n, 0n, 0n, 0n]);
  for (const [i, process] of system.processes.entries()) {
    const value = (1n << 63n) + BigInt(i);
    await process.set_shared(value);
    expect(await all(system, (other) => other.get_shared())).toEqual([value, value, value, value]);
    expect(system.kernel.get_shared()).toBe(value);
  }
  system.kernel.set_shared(7n);
  expect(await all(system, (process) => process.get_shared())).toEqual([7n, 7n, 7n, 7n]);
});

test("the private value set in one is seen in that one", async () => {
  const system = await start();
  system.kernel.set_private(99n);
  await all(system, (process, i) => process.set_private(BigInt(i + 1)));
  expect(await all(system, (process) => process.get_private())).toEqual([1n, 2n, 3n, 4n]);
  expect(system.kernel.get_private()).toBe(99n);
});

test("test_args takes and returns an Option, a Result and a pair, in every combination", async () => {
  const system = await start();
  const largest = 2 ** 32 - 2;
  const answers = await all(system, (process, i) =>
    process.test_args(i % 2 === 0 ? undefined : largest, i < 2 ? { ok: true, value: i } : { ok: false, error: i }, {
      first: i,
      second: largest,
    }),
  );
  const pair = (first: number) => ({ first, second: largest + 1 });
  expect(answers).toEqual([
    { option: undefined, result: { ok: true, value: 1 }, pair: pair(1) },
    { option: largest + 1, result: { ok: true, value: 2 }, pair: pair(2) },
    { option: undefined, result: { ok: false, error: 2 }, pair: pair(3) },
    { option: largest + 1, result: { ok: false, error: 3 }, pair: pair(4) },
  ]);
});

test("test_call calls the three functions of a host object in order, with effects on that object", async () => {
  const system = await start();
  const called = await all(system, (process) => process.call());
  const effects = ["test_fn1(1) total 1", "test_fn2(2) total 3", "test_fn3(3)"];
  expect(called).toEqual(Array(PROCESSES).fill({ sum: 10 + 300, effects }));
});

test.each([
  ["off", []],
  ["error", ["error"]],
  ["warn", ["error", "warn"]],
  ["info", ["error", "warn", "info"]],
  ["debug", ["error", "warn", "info", "debug"]],
  ["trace", ["error", "warn", "info", "debug", "trace"]],
] as const)(
  "test_log writes what the host's level %s lets through, each line with its process",
  async (level, expected) => {
    const system = await start(level);
    await system.processes[0]!.set_shared(5n);
    for (const process of system.processes) await process.test_log();
    const texts = {
      error: "an error: 1",
      warn: "a warning: 2.5",
      info: "information: true",
      debug: "debugging: 5",
      trace: "a trace",
    };
    const lines = (i: number): string[] =>
      system.lines
        .filter(({ process }) => process === `process ${i}`)
        .map(({ vdso, level: at, message }) => `${vdso} ${at} ${message}`);
    const wanted = expected.map((at) => `example ${at} ${texts[at]}`);
    // Lines take their own way to the kernel: each process's in order, but not ahead of its answers.
    for (const i of system.processes.keys()) await expect.poll(() => lines(i)).toEqual(wanted);
    expect(system.lines).toHaveLength(PROCESSES * wanted.length);
  },
);
