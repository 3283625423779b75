/**
 * Makes a checkout ready to run, before `npm start`, `npm test`, `npm run check` and `npm run bench`: installs what the lock file names
 * unless it is there already, then builds the repository's vDSOs, which takes a moment when nothing changed.
 *
 * Plain JavaScript for the Node that happens to be on the machine (20 or later); everything after runs on the pinned Node.
 */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const windows = process.platform === "win32";
const pinnedNode = join(root, "node_modules", "node", "bin", windows ? "node.exe" : "node");

/** Why the installed packages are not those of the lock file; undefined when they are. */
function installationGap() {
  const installedFile = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(installedFile)) return "nothing is installed";
  const wanted = readPackages(join(root, "package-lock.json"));
  const installed = readPackages(installedFile);
  for (const [path, { version, integrity, optional }] of Object.entries(wanted)) {
    if (path === "") continue;
    const found = installed[path];
    // npm leaves out optional packages that are for other platforms.
    if (found === undefined && optional) continue;
    if (found === undefined) return `${path} is missing`;
    if (found.version !== version || found.integrity !== integrity) return `${path} is not ${version}`;
  }
  const version = runPinned(["--version"], "pipe").stdout?.trim();
  const pinned = `v${wanted["node_modules/node"].version}`;
  return version === pinned
    ? undefined
    : `the pinned Node does not run: expected ${pinned}, found ${version || "none"}`;
}

function readPackages(file) {
  return JSON.parse(readFileSync(file, "utf8")).packages;
}

function install() {
  // The npm that runs this script, so that nobody needs another one on the PATH.
  const npm = process.env.npm_execpath;
  // Not its warnings: some packages would like the Node that is just being installed.
  const ci = ["ci", "--loglevel=error"];
  const [command, args] = npm ? [process.execPath, [npm, ...ci]] : ["npm", ci];
  const { status } = spawnSync(command, args, { cwd: root, stdio: ["ignore", 2, 2], shell: !npm && windows });
  if (status !== 0) fail("npm ci failed");
}

function runPinned(args, stdio) {
  const env = { ...process.env, NODE_COMPILE_CACHE: join(root, "node_modules", ".cache", "node") };
  return spawnSync(pinnedNode, args, { cwd: root, stdio, encoding: "utf8", env });
}

function fail(message) {
  console.error(`setup: ${message}`);
  process.exit(1);
}

const gap = installationGap();
if (gap !== undefined) {
  console.error(`setup: ${gap}; installing from the lock file`);
  install();
  const still = installationGap();
  if (still !== undefined) fail(still);
}
const { status } = runPinned([join(root, "scripts", "build-vdsos.ts")], ["ignore", 2, 2]);
if (status !== 0) fail("the vDSOs of this repository do not build");
