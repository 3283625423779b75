#!/usr/bin/env node
// The command's entry in the published package and in a checkout. A checkout runs from its sources, whatever `dist` holds.
// CommonJS, and little of it at first: most builds have nothing to do, and should take no longer than it takes to see that.
const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

const root = join(__dirname, "..");
const source = join(root, "runtime", "cli", "main.ts");
const pinnedNode = join(root, "node_modules", "node", "bin", process.platform === "win32" ? "node.exe" : "node");

if (!existsSync(source)) {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const cli = join(root, "dist", "runtime", "cli");
  if (isOlder(process.versions.node, engines.node)) fail(`expected Node ${engines.node}, found ${process.version}`);
  else if (!require(join(cli, "quick.cjs")).quick(process.argv.slice(2))) run(join(cli, "main.js"));
} else if (process.features.typescript) {
  run(source);
} else if (existsSync(pinnedNode)) {
  // The machine's own Node does not run TypeScript.
  runAs(pinnedNode, [__filename, ...process.argv.slice(2)]);
} else {
  fail("this checkout has nothing installed yet: npm start, npm test and npm run build do that, or npm ci");
}

async function run(main) {
  // Half of a short command's time would go into compiling (and stripping types from) the same files again.
  require("node:module").enableCompileCache?.();
  const { main: command } = await import(require("node:url").pathToFileURL(main).href);
  process.exitCode = await command(process.argv.slice(2));
}

/** Hands over to another program. What ends it from a terminal reaches both; a signal to this process alone has to be passed on. */
function runAs(program, args) {
  const child = require("node:child_process").spawn(program, args, { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
    process.on(signal, () => signal !== "SIGINT" && child.kill(signal));
  child.on("error", (error) => fail(`cannot run ${program}: ${error.message}`));
  child.on("exit", (code) => {
    process.exitCode = code ?? 1;
  });
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
