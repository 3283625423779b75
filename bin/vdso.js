#!/usr/bin/env node
// The command's entry in the published package and in a checkout. A checkout runs from its sources, whatever `dist` holds.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const source = new URL("../runtime/cli/main.ts", import.meta.url);
const windows = process.platform === "win32";
const pinnedNode = fileURLToPath(new URL(`../node_modules/node/bin/node${windows ? ".exe" : ""}`, import.meta.url));

if (!existsSync(source)) {
  const { engines } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  if (isOlder(process.versions.node, engines.node)) fail(`expected Node ${engines.node}, found ${process.version}`);
  else await run(new URL("../dist/runtime/cli/main.js", import.meta.url));
} else if (process.features.typescript) {
  await run(source);
} else if (existsSync(pinnedNode)) {
  // The machine's own Node does not run TypeScript.
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  await runAs(pinnedNode, args);
} else {
  fail("this checkout has nothing installed yet: npm start, npm test and npm run build do that, or npm ci");
}

async function run(main) {
  // Half of a short command's time would go into compiling (and stripping types from) the same files again.
  module.enableCompileCache?.();
  const { main: command } = await import(main.href);
  process.exitCode = await command(process.argv.slice(2));
}

/** Hands over to another program. What ends it from a terminal reaches both; a signal to this process alone has to be passed on. */
async function runAs(program, args) {
  const child = spawn(program, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => signal !== "SIGINT" && child.kill(signal));
  const [code] = await once(child, "exit");
  process.exitCode = code ?? 1;
}

/** @param range - `>=22.12` */
function isOlder(version, range) {
  const [major, minor] = version.split(".").map(Number);
  const [neededMajor, neededMinor = 0] = range.slice(">=".length).split(".").map(Number);
  return major < neededMajor || (major === neededMajor && minor < neededMinor);
}

function fail(message) {
  console.error(`error: ${message}`);
  process.exitCode = 1;
}
