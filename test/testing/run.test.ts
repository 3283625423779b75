import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type VdsoError, VdsoPanic } from "../../runtime/errors.ts";
import type { Kernel } from "../../runtime/kernel/kernel.ts";
import { runProcesses } from "../../runtime/testing/index.ts";
import { expectCode } from "../expect-code.ts";
import { buildLedger, type Ledger, type LedgerApi } from "./ledger.ts";

/** Longer than any test: a run that waits for it hangs. */
const timeoutMs = 600_000;

let ledger: Ledger;
beforeAll(async () => {
  ledger = await buildLedger();
});
afterAll(() => ledger[Symbol.dispose]());

function fixture(name: string): URL {
  return new URL(`./fixtures/${name}`, import.meta.url);
}

describe("functions", () => {
  test("return results in the order of their processes", async () => {
    const run = await runProcesses({
      processes: 4,
      timeoutMs,
      run: async ({ index, processes }) => {
        // The first one ends last.
        await new Promise((resolve) => setTimeout(resolve, (processes - index) * 20));
        return { index, big: 2n ** 64n };
      },
    });
    expect(run.results).toEqual([0, 1, 2, 3].map((index) => ({ index, big: 2n ** 64n })));
    expect(run.exits.map(({ reason }) => reason)).toEqual(["return", "return", "return", "return"]);
    expect(run.kills).toEqual([]);
  });

  test("come from a module, by name or as its default export", async () => {
    const module = fixture("work.ts");
    const doubled = await runProcesses<number>({ processes: 2, timeoutMs, module, args: 21 });
    expect(doubled.results).toEqual([42, 42]);
    const booked = await runProcesses({ vdsos: [ledger.url], processes: 3, timeoutMs, module, fn: "book", args: 50 });
    expect(booked.results).toEqual([0, 1, 2]);
    expect(booked.vvar("ledger")).toEqual({ owners: [0, 0], left: 150n, right: 150n, deaths: 3 });
    expect(booked.exits[0]?.note).toMatchObject({ text: "booking 49", count: 50, inside: false });
  });

  test("may be methods, arrows and function expressions", async () => {
    const method = await runProcesses({
      processes: 1,
      timeoutMs,
      run() {
        return "method";
      },
    });
    const asynchronous = await runProcesses({
      processes: 1,
      timeoutMs,
      async run() {
        return "async method";
      },
    });
    const named = await runProcesses({
      processes: 1,
      timeoutMs,
      run: function named() {
        return "function";
      },
    });
    expect([...method.results, ...asynchronous.results, ...named.results]).toEqual([
      "method",
      "async method",
      "function",
    ]);
  });

  test("get arguments, shared memory among them, and what setup made", async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    let api: LedgerApi | undefined;
    const run = await runProcesses({
      vdsos: [ledger.library],
      processes: 3,
      timeoutMs,
      args: { words, amount: 5 },
      setup(kernel: Kernel) {
        api = kernel.attach(ledger.library);
        api.book(1);
        return { pid: 1, text: "made" };
      },
      run({ args, setup, process }) {
        Atomics.add(args.words, 0, args.amount);
        return `${setup.text} ${process.pid > setup.pid}`;
      },
    });
    expect(run.results).toEqual(["made true", "made true", "made true"]);
    expect(words[0]).toBe(15);
    expect(api?.equal()).toBe(true);
    expect(run.vvar("ledger", "left")).toBe(1n);
  });

  test("begin together, when all are loaded", async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const { results } = await runProcesses({
      processes: 4,
      timeoutMs,
      args: words,
      run: ({ args, processes }) => {
        Atomics.add(args, 0, 1);
        // Alone, it would wait for ever.
        while (Atomics.load(args, 0) < processes);
        return true;
      },
    });
    expect(results).toEqual([true, true, true, true]);
  });
});

describe("a failure", () => {
  test("of one function ends the run, with its error, and the other processes", async () => {
    const run = runProcesses({
      processes: 3,
      timeoutMs,
      setup: () => new Int32Array(new SharedArrayBuffer(4)),
      run: ({ index, note, setup: noted }) => {
        note("deciding", { index });
        if (index !== 1) {
          Atomics.add(noted, 0, 1);
          Atomics.notify(noted, 0);
          return new Promise(() => setInterval(() => {}, 1000));
        }
        for (let seen = 0; seen < 2; seen = Atomics.load(noted, 0)) Atomics.wait(noted, 0, seen);
        throw Object.assign(new RangeError("too far"), { code: "E_FAR" });
      },
    });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(error.cause).toMatchObject({ name: "RangeError", message: "too far", code: "E_FAR" });
    expect(error.message).toContain("process 1 failed: too far");
    expect(error.message).toMatch(/0 \(pid \d+\): running, last: deciding \{ index: 0 \}/);
  });

  test("is collected when failures are allowed", async () => {
    const run = await runProcesses({
      processes: 4,
      timeoutMs,
      allowFailures: true,
      run: ({ index, process }) => {
        if (index === 1) throw new Error("on purpose");
        if (index === 2) process.exit(7);
        if (index === 3) return new Promise<number>(() => {});
        return index;
      },
    });
    expect(run.results).toEqual([0]);
    const exits = run.exits.toSorted((a, b) => a.index - b.index);
    expect(exits).toMatchObject([
      { reason: "return" },
      { reason: "exit", code: 1, error: { message: "on purpose" } },
      { reason: "exit", code: 7 },
      { reason: "error", error: { code: "ERR_VDSO_STUCK" } },
    ]);
  });

  test("is a panic with message and place when a vDSO panicked", async () => {
    const run = runProcesses({
      vdsos: [ledger.url],
      processes: 2,
      timeoutMs,
      run: ({ attach, index }) => attach<LedgerApi>("ledger").book(12 + index),
    });
    const { cause } = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(cause).toBeInstanceOf(VdsoPanic);
    expect(cause).toMatchObject({ template: "unlucky amount", file: "api.ts" });
  });

  test("is a process that ends before its function returns", async () => {
    const run = runProcesses({ processes: 1, timeoutMs, run: ({ process }) => process.exit(3) });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(error.message).toContain("process 0 ended (exit, code 3) before its function returned");
  });

  test("is an error that comes after the result", async () => {
    const run = runProcesses({
      processes: 1,
      timeoutMs,
      run: () => {
        setTimeout(() => {
          throw new Error("too late");
        }, 1);
      },
    });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(error.cause).toMatchObject({ message: "too late" });
  });

  test("is a result that cannot be sent", async () => {
    const run = runProcesses({ processes: 1, timeoutMs, run: () => ({ call: () => {} }) });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(error.cause).toMatchObject({ code: "ERR_VDSO_TEST_RESULT" });
  });

  test("is explained when an inline function uses its file", async () => {
    const outside = 1;
    const run = runProcesses({ processes: 1, timeoutMs, run: () => outside });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => run);
    expect(error.message).toContain("outside is not defined. A function given as `run` is sent to the process as text");
  });

  test("of setup is the run's", async () => {
    const reason = new Error("no setup");
    const setup = (): never => {
      throw reason;
    };
    await expect(runProcesses({ processes: 1, timeoutMs, setup, run: () => {} })).rejects.toBe(reason);
  });
});

describe("kills", () => {
  test("hit running functions, and others take the places of the dead", async () => {
    const run = await runProcesses({
      vdsos: [ledger.url],
      processes: 4,
      timeoutMs,
      kills: { count: 12, seed: 7, respawn: true, maxDelayMs: 10 },
      run: ({ attach, killsLeft, note }) => {
        const { book, equal } = attach<LedgerApi>("ledger");
        note("booking");
        while (killsLeft() > 0) book(1);
        return equal();
      },
    });
    expect(run.results).toEqual([true, true, true, true]);
    expect(run.seed).toBe(7);
    expect(run.kills).toHaveLength(12);
    expect(run.kills.every(({ reason }) => reason === "killed")).toBe(true);
    expect(run.kills.every(({ note }) => note === undefined || note.text === "booking")).toBe(true);
    expect(new Set(run.exits.map(({ pid }) => pid)).size).toBe(16);
    expect(run.vvar("ledger")).toMatchObject({ owners: [0, 0], deaths: 16 });
    expect(run.vvar("ledger", "left")).toBe(run.vvar("ledger", "right"));
  });

  test("leave no result of those that are not started again", async () => {
    const run = await runProcesses({
      processes: 3,
      timeoutMs,
      kills: { count: 2, seed: 1 },
      run: ({ killsLeft, index }) => {
        while (killsLeft() > 0);
        return index;
      },
    });
    const killed = run.kills.map(({ index }) => index);
    expect(killed).toHaveLength(2);
    expect(run.results).toEqual([0, 1, 2].filter((index) => !killed.includes(index)));
    expect(run.exits).toHaveLength(3);
  });

  test("choose the same victims for the same seed", async () => {
    const victims = async (seed: number): Promise<number[]> => {
      const run = await runProcesses({
        processes: 3,
        timeoutMs,
        kills: { count: 6, seed, respawn: true },
        run: ({ killsLeft }) => {
          while (killsLeft() > 0);
        },
      });
      return run.kills.map(({ index }) => index);
    };
    const first = await victims(3);
    expect(first).toHaveLength(6);
    expect(await victims(3)).toEqual(first);
  });

  test("end with the functions, when those return earlier", async () => {
    const kills = { count: 3, minDelayMs: 3_600_000 };
    const run = await runProcesses({ processes: 3, timeoutMs, kills, run: ({ index }) => index });
    expect(run.results).toEqual([0, 1, 2]);
    expect(run.kills).toEqual([]);
  });
});

describe("a run that hangs", () => {
  test("is given up with what each process did and what the vVARs hold", async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const run = runProcesses({
      vdsos: [ledger.url],
      processes: 3,
      timeoutMs: 3000,
      trace: true,
      args: words,
      run: ({ attach, args, index, note }) => {
        if (index === 2) {
          note("has nothing to do");
          return;
        }
        const { acquire } = attach<LedgerApi>("ledger");
        acquire(index);
        Atomics.add(args, 0, 1);
        while (Atomics.load(args, 0) < 2);
        acquire(1 - index);
      },
    });
    const { message } = await expectCode("ERR_VDSO_TEST_TIMEOUT", () => run);
    expect(message).toContain("the functions of 3 processes to return within 3000 ms, found 2 that did not");
    const pids = [0, 1].map((index) => new RegExp(`  ${index} \\(pid (\\d+)\\)`).exec(message)?.[1]);
    expect(message).toMatch(/ {2}0 \(pid \d+\): running, inside ledger\.acquire\(1\) for \d+ ms \(note 2\)/);
    expect(message).toMatch(/ {2}1 \(pid \d+\): running, inside ledger\.acquire\(0\) for \d+ ms \(note 2\)/);
    expect(message).toMatch(/ {2}2 \(pid \d+\): returned \(return, code 0\), last: has nothing to do/);
    expect(message).toContain(`vVAR of ledger:\n  owners: [${pids.join(", ")}]\n  left: 0\n`);
  });

  test("is given up while setup hangs", async () => {
    const run = runProcesses({ processes: 2, timeoutMs: 50, setup: () => new Promise<void>(() => {}), run: () => {} });
    const { message } = await expectCode("ERR_VDSO_TEST_TIMEOUT", () => run);
    expect(message).toContain("  0 (no pid): not started");
  });

  test("ends when its signal fires", async () => {
    const abort = new AbortController();
    const reason = new Error("changed my mind");
    const run = runProcesses({
      processes: 2,
      timeoutMs,
      signal: abort.signal,
      setup: (kernel) => void kernel.on("exit", () => {}),
      run: () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0),
    });
    abort.abort(reason);
    await expect(run).rejects.toBe(reason);
    await expect(runProcesses({ processes: 1, signal: abort.signal, run: () => {} })).rejects.toBe(reason);
  });
});

describe("bad input is refused", () => {
  const run = (): void => {};
  const module = fixture("work.ts");

  test.each<[string, Partial<Parameters<typeof runProcesses>[0]> & object, string]>([
    ["no processes", { processes: 0, run }, "processes: expected a whole number from 1 to 1022, found 0"],
    ["half a process", { processes: 1.5, run }, "processes: expected"],
    ["no function", {} as object, "one of the options module and run, found neither"],
    ["two functions", { run, module }, "one of the options module and run, found both"],
    ["no patience", { run, timeoutMs: 0 }, "timeoutMs: expected a positive number, found 0"],
    [
      "more kills than processes",
      { run, kills: { count: 2 } },
      "kills.count: expected at most 1, one for each process",
    ],
    ["negative kills", { run, kills: { count: -1 } }, "kills.count: expected a whole number"],
    [
      "delays in the wrong order",
      { run, kills: { count: 1, minDelayMs: 9, maxDelayMs: 1 } },
      "kills.maxDelayMs: expected at least 9",
    ],
    ["a native function", { run: Math.max }, "run: expected a function with a source text"],
    ["a relative module", { module: "./work.ts" }, "module: expected an absolute URL"],
    ["arguments that cannot be sent", { run, args: () => {} }, "args: expected a value that can be sent"],
  ])("%s", async (_what, options, message) => {
    const given = { processes: 1, ...options } as Parameters<typeof runProcesses>[0];
    const error = await expectCode("ERR_VDSO_OPTION", () => runProcesses(given));
    expect(error.message).toContain(message);
  });

  test.each([
    ["a missing module", fixture("nowhere.ts"), "default", "ERR_VDSO_MODULE_NOT_FOUND", "there is no module"],
    ["a module that throws", fixture("throws-at-load.ts"), "default", "ERR_VDSO_MODULE_LOAD", "no good"],
    [
      "a missing export",
      module,
      "bok",
      "ERR_VDSO_TEST_FUNCTION",
      'a function "bok", found undefined; functions that it exports: book, default',
    ],
    ["an export that is no function", module, "notAFunction", "ERR_VDSO_TEST_FUNCTION", "found number"],
  ])("%s", async (_what, url, fn, code, message) => {
    const error = await expectCode(code, () => runProcesses({ processes: 2, timeoutMs, module: url, fn }));
    expect(error.message).toContain(message);
  });

  test("a setup that returns what cannot be sent", async () => {
    await expectCode("ERR_VDSO_OPTION", () => runProcesses({ processes: 1, timeoutMs, setup: () => () => {}, run }));
  });

  test("the name of an image that the process cannot import", async () => {
    const given = runProcesses({
      vdsos: [ledger.library],
      processes: 1,
      timeoutMs,
      run: ({ attach }) => void attach("ledger"),
    });
    const error = await expectCode("ERR_VDSO_TEST_FAILED", () => given);
    expect((error.cause as VdsoError).code).toBe("ERR_VDSO_NOT_MAPPED");
    expect(error.message).toContain("whose library was given in vdsos as a URL (none was), found ledger");
  });

  test("the vVAR of an image that the run did not have", async () => {
    const done = await runProcesses({ processes: 1, timeoutMs, run });
    expect(() => done.vvar("ledger")).toThrow(expect.objectContaining({ code: "ERR_VDSO_NOT_MAPPED" }));
  });
});

test("runs leave no worker behind, however they end: the program ends by itself", async () => {
  const program = fileURLToPath(fixture("whole-program.ts"));
  const { stdout } = await promisify(execFile)(process.execPath, [program]);
  expect(stdout).toBe("0,1 ERR_VDSO_TEST_TIMEOUT ERR_VDSO_TEST_FAILED\n");
});
