/**
 * `npm run bench -- [--only group] [--row words] [--runs n] [--json file] [--readme]`
 *
 * Ours and the alternatives are measured in turn, in processes of their own or in the same threads, so that what slows the machine down for a while
 * slows all of them. A figure is the median of the runs, and a ratio that of the runs' ratios: these are what to compare, absolute figures move with the
 * machine. `--row` takes the rows whose name contains these words. `--readme` puts them into the README's
 * table.
 */

import { fork, spawnSync } from "node:child_process";
import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Group, median, OURS, type Row } from "./group.ts";

interface RowResult {
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly better: Row["better"];
  readonly ours: number;
  readonly peers: Record<string, number>;
  /** How many times better ours is than each of the peers; below 1 the peer is. */
  readonly times: Record<string, number>;
}

const LEAST_RUNS = 5;
const root = join(import.meta.dirname, "..");

const groups = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".bench.ts"))
  .map((file) => file.slice(0, -".bench.ts".length))
  .sort();

const values = readOptions();
const chosen = values.only ?? groups;
const unknown = chosen.filter((name) => !groups.includes(name));
if (unknown.length > 0) fail(`unknown group ${unknown.join(", ")}; known are ${groups.join(", ")}`);
const runs = Number(values.runs ?? LEAST_RUNS);
if (!Number.isInteger(runs) || runs < 1) fail(`--runs: expected a positive number, found ${values.runs}`);

function readOptions() {
  try {
    return parseArgs({
      options: {
        only: { type: "string", multiple: true },
        row: { type: "string", multiple: true },
        runs: { type: "string" },
        json: { type: "string" },
        readme: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    return fail((error as Error).message);
  }
}

function isChosen(name: string): boolean {
  return values.row === undefined || values.row.some((words) => name.includes(words));
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

/** Before the runs, which take minutes. */
function checkOutput(): void {
  if (values.json === undefined) return;
  try {
    closeSync(openSync(values.json, "a"));
  } catch (error) {
    fail(`--json: cannot write ${values.json}: ${(error as Error).message}`);
  }
}

/** What is measured is the package, so it has to be there. */
function buildPackage(): void {
  const { status } = spawnSync(process.execPath, [join(root, "scripts", "build-package.ts")], { stdio: "inherit" });
  if (status !== 0) fail("the package does not build");
}

function measureOnce(group: string, row: string, ...variant: string[]): Promise<readonly number[]> {
  return new Promise((resolve, reject) => {
    const child = fork(join(import.meta.dirname, "run-variant.ts"), [group, row, ...variant]);
    let figures: readonly number[] | undefined;
    child.on("message", (message) => {
      figures = message as readonly number[];
    });
    child.on("error", reject);
    child.on("exit", (code) => {
      if (code === 0 && figures !== undefined) resolve(figures);
      else
        reject(new Error(`${[group, row, ...variant].join(", ")}: the process ended with code ${code} and no figure`));
    });
  });
}

async function measureRow(group: string, row: Row): Promise<RowResult> {
  const { name, unit, better } = row;
  const peers = "together" in row ? row.against : Object.keys(row.peers);
  /** By run: ours, then the peers'. */
  const figures: number[][] = [];
  for (let run = 1; run <= runs; run++) {
    const at = `${group}: ${name}, run ${run} of ${runs}`;
    if ("together" in row) {
      showProgress(at);
      figures.push([...(await measureOnce(group, name))]);
      continue;
    }
    const ofRun: number[] = [];
    for (const variant of [OURS, ...peers]) {
      showProgress(`${at}, ${variant}`);
      ofRun.push(...(await measureOnce(group, name, variant)));
    }
    figures.push(ofRun);
  }
  showProgress("");
  const rounded = (values: readonly number[]) => Number(median(values).toPrecision(4));
  const byPeer = (figure: (ours: number, peer: number) => number) =>
    Object.fromEntries(peers.map((peer, i) => [peer, rounded(figures.map((of) => figure(of[0]!, of[i + 1]!)))]));
  return {
    group,
    name,
    unit,
    better,
    ours: rounded(figures.map(([ours]) => ours!)),
    peers: byPeer((_, peer) => peer),
    times: byPeer((ours, peer) => (better === "higher" ? ours / peer : peer / ours)),
  };
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001b[K${text}`);
}

function ratio({ times }: RowResult, peer: string): string {
  const ofPeer = times[peer]!;
  return `${ofPeer.toFixed(ofPeer < 10 ? 2 : 1)} x`;
}

function print(results: readonly RowResult[]): void {
  const lines: string[][] = [];
  for (const result of results) {
    const { name, unit, ours, peers } = result;
    lines.push([name, OURS, format(ours), unit, ""]);
    for (const [peer, value] of Object.entries(peers)) lines.push(["", peer, format(value), unit, ratio(result, peer)]);
  }
  const width = (column: number) => Math.max(...lines.map((line) => line[column]!.length));
  const widths = [0, 1, 2, 3, 4].map(width);
  for (const [name = "", variant = "", value = "", unit = "", times = ""] of lines) {
    const cells = [
      name.padEnd(widths[0]!),
      variant.padEnd(widths[1]!),
      value.padStart(widths[2]!),
      unit.padEnd(widths[3]!),
    ];
    console.log(`  ${cells.join("  ")}  ${times.padStart(widths[4]!)}`.trimEnd());
  }
}

function format(value: number): string {
  return value >= 1000 ? String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, " ") : String(value);
}

/** Replaces the rows of what was measured between the two marks in the README; those of other groups and rows stay. */
function writeReadme(machine: string, results: readonly RowResult[]): void {
  const path = join(root, "README.md");
  const marks = /(<!-- figures: begin -->\n)([\s\S]*?)(<!-- figures: end -->)/;
  const text = readFileSync(path, "utf8");
  const rows = new Map<string, string>();
  for (const line of (marks.exec(text)?.[2] ?? "").split("\n")) {
    const [, group = "", name = ""] = line.split("|").map((cell) => cell.trim());
    if (groups.includes(group)) rows.set(`${group}: ${name}`, line);
  }
  for (const group of new Set(results.map((result) => result.group))) {
    // A whole group: rows that it does not have any more go.
    if (values.row === undefined) for (const key of rows.keys()) if (key.startsWith(`${group}: `)) rows.delete(key);
  }
  for (const result of results) {
    const { group, name, unit, ours, peers } = result;
    const others = Object.entries(peers).map(([peer, value]) => `${peer}: ${format(value)} (${ratio(result, peer)})`);
    rows.set(`${group}: ${name}`, `| ${group} | ${name} | ${format(ours)} ${unit} | ${others.join("; ")} |`);
  }
  const table = [
    "| group | work | ours | alternatives (how many times better ours is) |",
    "|---|---|---|---|",
    ...[...rows].sort(([a], [b]) => groupOf(a) - groupOf(b)).map(([, row]) => row),
  ];
  writeFileSync(
    path,
    text.replace(marks, (_, begin, __, end) => `${begin}${machine}.\n\n${table.join("\n")}\n${end}`),
  );
}

function groupOf(key: string): number {
  return groups.indexOf(key.slice(0, key.indexOf(":")));
}

checkOutput();
buildPackage();
const machine = `${cpus()[0]?.model ?? "unknown processor"}, ${cpus().length} cores, Node ${process.version}, median of ${runs} runs`;
console.log(machine);
console.log("x: how many times better ours is than this alternative\n");
const results: RowResult[] = [];
for (const group of chosen) {
  const { default: rows } = (await import(`./${group}.bench.ts`)) as { default: Group };
  const ofGroup: RowResult[] = [];
  for (const row of rows.filter(({ name }) => isChosen(name))) ofGroup.push(await measureRow(group, row));
  if (ofGroup.length === 0) continue;
  console.log(group);
  print(ofGroup);
  console.log();
  results.push(...ofGroup);
}
if (results.length === 0) fail(`--row: no row of these groups has a name with ${values.row?.join(", ")}`);
if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ rows: results }, undefined, 2)}\n`);
if (values.readme) writeReadme(machine, results);
