/** `vdso inspect` */

import { readFileSync } from "node:fs";
import { VdsoError } from "../errors.ts";
import type { ApiFunction, Constant, HostInterface, Manifest, VvarStruct } from "../image/manifest.ts";
import { readImage } from "../image/read.ts";
import { Reader, sections } from "../image/sections.ts";
import { type Command, formatBytes, onlyPositional, type ParsedArguments, print, UsageError } from "./command.ts";

const HELP = `Usage: vdso inspect <image> [options]

Shows what is in an image (.wasm): name and fingerprint, the layout of the shared memory, exports, constants, the
interface that processes supply, panics and log lines, and the size of each section. Verifies the image on the way.

Options
      --json  everything as JSON
      --wat   the code as WebAssembly text
  -h, --help  show this`;

async function run(parsed: ParsedArguments): Promise<void> {
  const path = onlyPositional(parsed, "the path of an image");
  const { json, wat } = parsed.values;
  if (json === true && wat === true) throw new UsageError("expected one of --json and --wat, found both");
  const image = readFile(path);
  const manifest = await readImage(image).catch((error: unknown) => {
    if (!(error instanceof VdsoError)) throw error;
    throw new VdsoError(error.code, `${path}: ${error.message}`, { cause: error.cause });
  });
  if (wat === true) print((await toText(image)).trimEnd());
  else if (json === true)
    print(JSON.stringify({ bytes: image.length, sections: sizes(image), manifest }, undefined, 2));
  else print(describe(manifest, image));
}

function readFile(path: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new VdsoError("ERR_VDSO_IMAGE_MISSING", `cannot read ${path}: ${reason}`);
  }
}

async function toText(image: Uint8Array): Promise<string> {
  const [{ default: wabt }, { WABT_FEATURES }] = await Promise.all([import("wabt"), import("../build/validate.ts")]);
  const module = (await wabt()).readWasm(image, { readDebugNames: true, ...WABT_FEATURES });
  try {
    module.applyNames();
    return module.toText({ foldExprs: true, inlineExport: false });
  } finally {
    module.destroy();
  }
}

interface SectionSize {
  readonly name: string;
  readonly bytes: number;
}

const SECTION_NAMES = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "data count",
];

/** Bytes of each section with its header, in the order of the file. */
function sizes(image: Uint8Array): SectionSize[] {
  return [...sections(image)].map(({ id, head, start, end }) => ({
    name: id === 0 ? `custom "${new Reader(image, start, end).name()}"` : (SECTION_NAMES[id] ?? `unknown ${id}`),
    bytes: end - head,
  }));
}

function describe(manifest: Manifest, image: Uint8Array): string {
  const { name, mode, log, builder, fingerprint, features, layout } = manifest;
  const facts = [
    ["package", manifest.package],
    ["built by", builder],
    ["mode", `${mode}, log calls ${log ? "compiled in" : "left out"}`],
    ["features", features.length > 0 ? features.join(", ") : "none"],
    ["fingerprint", fingerprint],
    ["size", formatBytes(image.length)],
    ["vVAR", `${formatBytes(layout.end)}, root ${layout.root} at ${layout.address}`],
    ["private", `${manifest.private.pages} page${manifest.private.pages === 1 ? "" : "s"} of 64 KiB per process`],
    ["panics", String(manifest.panics.length)],
    ["log lines", String(manifest.logs.length)],
  ];
  const parts = [
    `${name}\n${table(facts)}`,
    heading("Layout", layout.structs.map((struct) => describeStruct(struct, layout)).join("\n\n")),
    heading("Exports", manifest.exports.map((fn) => `  ${signature(fn)}`).join("\n")),
    heading("Constants", table(manifest.constants.map(describeConstant))),
    heading(
      "Enums",
      table(manifest.enums.map(({ name, values }) => [name, values.map((pair) => pair.join(" = ")).join(", ")])),
    ),
    heading(
      "API structs",
      manifest.structs
        .map(({ name, fields }) => `  ${name} { ${fields.map((field) => `${field.name}: ${field.type}`).join("; ")} }`)
        .join("\n"),
    ),
    heading("Interface", manifest.interfaces.map(describeInterface).join("\n")),
    heading(
      "Sections",
      table(
        sizes(image).map(({ name, bytes }) => [name, String(bytes)]),
        [1],
      ),
    ),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

function heading(title: string, body: string): string {
  return body === "" ? "" : `${title}\n${body}`;
}

function describeStruct(struct: VvarStruct, layout: Manifest["layout"]): string {
  const isRoot = struct.name === layout.root;
  const title = `  ${struct.name}: ${formatBytes(struct.size)}, aligned to ${struct.align}`;
  const header = isRoot ? ["address", "offset", "size", "field", "type"] : ["offset", "size", "field", "type"];
  const rows = struct.fields.map(({ name, offset, size, type, length, stride }) => {
    const whole = length === undefined ? type : `FixedArray<${type}>, ${length} of ${stride} bytes`;
    const columns = [String(offset), String(size), name, whole];
    return isRoot ? [String(layout.address + offset), ...columns] : columns;
  });
  return `${title}\n${table([header, ...rows], isRoot ? [0, 1, 2] : [0, 1], "    ")}`;
}

function signature({ name, params, result }: ApiFunction): string {
  const parameters = params.map((parameter) => {
    const optional = parameter.default === undefined ? "" : ` = ${parameter.default}`;
    return `${parameter.name}: ${parameter.type}${optional}`;
  });
  return `${name}(${parameters.join(", ")}): ${result}`;
}

function describeConstant({ name, type, value, config }: Constant): string[] {
  return [
    name,
    type,
    typeof value === "string" && type === "string" ? JSON.stringify(value) : String(value),
    config ? "config" : "",
  ];
}

function describeInterface({ name, functions }: HostInterface): string {
  return functions.map((fn) => `  ${name}${fn.static ? "." : "#"}${signature(fn)}`).join("\n");
}

/** Columns as wide as their widest cell. */
function table(rows: readonly (readonly string[])[], alignRight: readonly number[] = [], indent = "  "): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  const line = (row: readonly string[]) =>
    row.map((cell, column) =>
      alignRight.includes(column) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
    );
  return rows.map((row) => `${indent}${line(row).join("  ")}`.trimEnd()).join("\n");
}

export const command: Command = {
  help: HELP,
  options: { json: { type: "boolean" }, wat: { type: "boolean" } },
  run,
};
