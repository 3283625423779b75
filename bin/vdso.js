#!/usr/bin/env node
// The command's entry in the published package and in a checkout. A checkout runs from its sources, whatever `dist` holds.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import module from "node:module";
import { fileURLToPath } from "node:url";

const source = new URL("../runtime/cli/main.ts", import.meta.url);
const pinnedNode = new URL("../node_modules/node/bin/node", import.meta.url);

if (!existsSync(source)) {
  await run(new URL("../dist/runtime/cli/main.js", import.meta.url));
} else if (process.features.typescript) {
  await run(source);
} else {
  // The machine's own Node does not run TypeScript.
  const args = [fileURLToPath(import.meta.url), ...process.argv.slice(2)];
  process.exitCode = spawnSync(fileURLToPath(pinnedNode), args, { stdio: "inherit" }).status ?? 1;
}

async function run(main) {
  // Half of a short command's time would go into compiling (and stripping types from) the same files again.
  module.enableCompileCache?.();
  const { main: command } = await import(main.href);
  process.exitCode = await command(process.argv.slice(2));
}
