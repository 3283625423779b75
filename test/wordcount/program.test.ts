import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BUFFERS } from "../../generated/wordcount/wordcount.js";
import { endlessFile, folder, row, run, start } from "./program.ts";

describe("files and folders", () => {
  test("a folder is searched, but not what others made in it, and no binary files", async () => {
    const path = folder({ "a.txt": "one\n", "picture.bin": "two\0\n" });
    for (const name of ["sub", "node_modules", ".git", "generated", "dist"]) {
      mkdirSync(join(path, name));
      writeFileSync(join(path, name, "b.txt"), "three four\n");
    }
    symlinkSync(path, join(path, "sub", "round-in-circles"));
    const { code, stdout, stderr } = await run(path);
    expect(row(stdout, "total")).toEqual([2, 3, 15]);
    expect(stderr).toBe("1 file skipped: not text\n");
    expect(code).toBe(0);
  });

  test("what is named counts, be it binary or in a folder that is skipped otherwise", async () => {
    const path = folder({ "picture.bin": "two\0\n" });
    const inside = join(path, "node_modules");
    mkdirSync(inside);
    writeFileSync(join(inside, "b.txt"), "three four\n");
    const { stdout } = await run(join(path, "picture.bin"), inside);
    expect(row(stdout, "total")).toEqual([2, 3, 16]);
  });

  test("without arguments it counts this repository", async () => {
    const { code, stdout } = await run();
    expect(code).toBe(0);
    expect(row(stdout, "total")[0]).toBeGreaterThan(1000);
  });

  test("under npm start, paths mean the folder that npm was called in", async () => {
    const path = folder({ "a.txt": "one\n" });
    const env = { npm_lifecycle_event: "start", INIT_CWD: path };
    const { code, stdout } = await start(["a.txt"], { env }).ended;
    expect(row(stdout, "total")).toEqual([1, 1, 4]);
    expect(code).toBe(0);
  });

  test("a missing file is named; the others are counted, and the exit code is 1", async () => {
    const cwd = folder({ "here.txt": "one\n" });
    const { code, stdout, stderr } = await start(["nowhere.txt", "here.txt"], { cwd }).ended;
    expect(stderr).toBe("wordcount: cannot read nowhere.txt: no such file or folder\n");
    expect(row(stdout, "total")).toEqual([1, 1, 4]);
    expect(code).toBe(1);
  });

  test("with nothing to read it prints no table", async () => {
    const { code, stdout, stderr } = await run("/dev/null", join(folder(), "nowhere.txt"));
    expect(stderr).toMatch(/\/dev\/null: neither a file nor a folder\n.*nowhere\.txt: no such file or folder\n/);
    expect(stdout).toBe("");
    expect(code).toBe(1);
  });

  test("a file whose reading fails is named, and the exit code is 1", async () => {
    const cwd = folder({ "here.txt": "one\n" });
    // Nothing is mapped at its first byte; where there is no such file, it is missing.
    const { code, stdout, stderr } = await start(["/proc/self/mem", "here.txt"], { cwd }).ended;
    expect(stderr).toContain("cannot read /proc/self/mem: ");
    expect(row(stdout, "total")).toEqual([1, 1, 4]);
    expect(code).toBe(1);
  });

  test("more files whose reading fails than there are buffers do not use the buffers up", async () => {
    const cwd = folder({ "here.txt": "one\n" });
    const failing = Array.from({ length: BUFFERS + 1 }, () => "/proc/self/mem");
    const { code, stdout } = await run(...failing, join(cwd, "here.txt"));
    expect(row(stdout, "total")).toEqual([1, 1, 4]);
    expect(code).toBe(1);
  });
});

describe("usage", () => {
  test("--help says what there is", async () => {
    const { code, stdout, stderr } = await run("--help");
    expect(stdout).toMatch(/^Usage: npm start -- /);
    expect(stderr).toBe("");
    expect(code).toBe(0);
  });

  test.each([
    [["--processes", "0"], "--processes: expected a number from 1 to 1021, found 0"],
    [["--processes", "two"], "found two"],
    [["--processes"], "argument missing"],
    [["--nonsense"], "--nonsense"],
  ])("%s is refused with exit code 2", async (args, message) => {
    const { code, stdout, stderr } = await run(...args);
    expect(stderr).toContain(message);
    expect(stderr).toContain("see --help");
    expect(stdout).toBe("");
    expect(code).toBe(2);
  });
});

test("as many processes as asked for count, and their rows sum up to the total", async () => {
  const path = folder(Object.fromEntries(Array.from({ length: 50 }, (_, n) => [`${n}.txt`, "one two\nthree\n"])));
  const { stdout } = await run("-p", "3", path);
  const rows = ["counter-1", "counter-2", "counter-3"].map((name) => row(stdout, name));
  expect([0, 1, 2].map((column) => rows.reduce((sum, each) => sum + each[column]!, 0))).toEqual([100, 150, 700]);
  expect(row(stdout, "total")).toEqual([100, 150, 700]);
  expect(row(stdout, "counter-4")).toEqual([Number.NaN, Number.NaN, Number.NaN]);
});

test("prints nothing but the tables when its output is no terminal", async () => {
  const path = folder({ "a.txt": "to be or not to be\n" });
  const { stdout, stderr } = await run("-p", "1", path);
  expect(stderr).toBe("");
  expect(stdout).toBe(
    [
      "process    chunks  lines  words  bytes",
      "counter-1       1      1      6     19",
      "total           1      1      6     19",
      "",
      "times  word",
      "    2  be",
      "    2  to",
      "    1  not",
      "    1  or",
      "",
    ].join("\n"),
  );
});

describe("on a terminal", () => {
  test("shows progress, and wipes it away", async () => {
    const running = start([folder({ "a.txt": "one\n" })], { terminal: true });
    const { stderr, stdout } = await running.ended;
    expect(stderr.endsWith("\r\x1b[K")).toBe(true);
    expect(row(stdout, "total")).toEqual([1, 1, 4]);
  });

  test.each([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const)("%s ends the work with exit code %i and without tables", async (signal, expected) => {
    const running = start(["--processes", "2", endlessFile()], { terminal: true });
    await running.stderr(/[1-9]\d* bytes/);
    running.signal(signal);
    // npm passes on what the terminal has sent already.
    running.signal(signal);
    const { code, stdout, stderr } = await running.ended;
    expect(stderr).toMatch(/wordcount: interrupted\n$/);
    expect(stdout).toBe("");
    expect(code).toBe(expected);
  });
});
