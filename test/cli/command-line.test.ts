import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { root, runCommand, vdso } from "./vdso.ts";

test("--help lists the commands, and each command has its own", async () => {
  const general = await vdso(["--help"]);
  expect(general).toMatchObject({ code: 0, stderr: "" });
  for (const command of ["build", "inspect", "new"]) {
    expect(general.stdout).toContain(`  ${command} `);
    for (const args of [
      [command, "--help"],
      ["help", command],
    ]) {
      const { code, stdout } = await vdso(args);
      expect(code).toBe(0);
      expect(stdout).toMatch(new RegExp(`^Usage: vdso ${command} `));
    }
  }
});

test("--version is the package's", async () => {
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  expect(await vdso(["--version"])).toEqual({ code: 0, stdout: `${version}\n`, stderr: "" });
});

test("wrong usage ends with code 2, says what is wrong and where to look", async () => {
  const wrong: [string[], RegExp][] = [
    [[], /expected a command/],
    [["biuld"], /unknown command "biuld"; known are build, inspect, new/],
    [["toString"], /unknown command/],
    [["build"], /expected the folder of a vDSO, found nothing/],
    [["build", "a", "b"], /found also b/],
    [["build", "vdso-src/example/api.ts"], /expected the folder of a vDSO, found the file vdso-src\/example\/api\.ts/],
    [["build", "a", "--fast"], /--fast/],
    [["build", "a", "--config", "X"], /expected NAME=VALUE, found "X"/],
    [["build", "a", "--config", "=1"], /expected NAME=VALUE/],
    [["build", "a", "--mode", "fast"], /expected release or debug, found fast/],
    [["build", "a", "--out"], /--out/],
    [["inspect"], /expected the path of an image/],
    [["inspect", "a", "--json", "--wat"], /found both/],
    [["new"], /expected the name/],
    [["new", "Not A Name"], /lower-case letters/],
  ];
  for (const [args, expected] of wrong) {
    const { code, stdout, stderr } = await vdso(args);
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: "" });
    expect(stderr).toMatch(expected);
    expect(stderr).toMatch(/See vdso .*--help/);
  }
});

test("a benchmark whose figures cannot be written ends before it measures", async () => {
  const path = join(root, "no", "such", "folder", "figures.json");
  const { code, stdout, stderr } = await runCommand(process.execPath, [join(root, "bench", "main.ts"), "--json", path]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  expect(stderr).toContain(`--json: cannot write ${path}`);
});
