/** The `.d.ts` of an API library: what an editor shows to those who use an image. */
import type {
  ApiFunction,
  Constant,
  EnumType,
  HostFunction,
  HostInterface,
  Manifest,
  Parameter,
} from "../image/manifest.ts";
import { type ApiType, parseType } from "../image/types.ts";
import { type AuthorDocs, pascalCase } from "./library.ts";

export function generateTypes(manifest: Manifest, api: readonly ApiFunction[], docs: AuthorDocs): string {
  const types = new Types(manifest, docs);
  const apiName = `${pascalCase(manifest.name)}Api`;
  const withStatics = manifest.interfaces.filter((host) => host.functions.some((fn) => fn.static));
  const host =
    withStatics.length === 0
      ? ""
      : `/** What a process that attaches has to supply. */
export interface Host {
${withStatics.map(({ name }) => `  readonly ${name}: ${name}Statics;\n`).join("")}}

`;
  return `${manifest.enums.map((type) => types.enum(type)).join("")}${manifest.constants.map((value) => types.constant(value)).join("")}${
    types.usesResult(api) ? RESULT : ""
  }${manifest.structs.map((struct) => types.struct(struct)).join("")}${manifest.interfaces.map((entry) => types.interface(entry)).join("")}${host}export interface ${apiName} {
${api.map((fn) => types.method(fn, docs.functions[fn.name]?.text, docs.functions[fn.name]?.params)).join("")}}

/** The image with its API: for \`map\` and \`attach\`. */
declare const library: {
  readonly name: ${JSON.stringify(manifest.name)};
  readonly fingerprint: string;
  readonly vvarBytes: number;
  image(): Uint8Array<ArrayBuffer>;
  readonly interfaces: Readonly<
    Record<string, { readonly statics: readonly string[]; readonly methods: readonly string[] }>
  >;
  imports(runtime: never): Record<string, CallableFunction>;
  bind(runtime: never): ${apiName};
  /** Type only. */
  readonly host?: ${host === "" ? "{}" : "Host"};
};
export default library;
`;
}

const RESULT = `export type Result<T, E> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly error: E };

`;

class Types {
  readonly #manifest: Manifest;
  readonly #docs: AuthorDocs;

  constructor(manifest: Manifest, docs: AuthorDocs) {
    this.#manifest = manifest;
    this.#docs = docs;
  }

  enum({ name, values }: EnumType): string {
    const members = values.map(([member, value]) => `${this.#member(name, member)}  readonly ${member}: ${value};\n`);
    return `${this.#typeDoc(name)}export declare const ${name}: {\n${members.join("")}};
${this.#typeDoc(name)}export type ${name} = (typeof ${name})[keyof typeof ${name}];\n\n`;
  }

  constant({ name, type, value }: Constant): string {
    const text = this.#docs.types[name];
    const shown = type === "string" ? JSON.stringify(value) : String(value);
    const about = `${type}, built as ${shown}`;
    return `${doc(text === undefined ? about : `${text}\n\n${about}`)}export declare const ${name}: ${this.text(type)};\n\n`;
  }

  struct({ name, fields }: Manifest["structs"][number]): string {
    const members = fields.map(
      (field) => `${this.#member(name, field.name)}  ${field.name}: ${this.text(field.type)};\n`,
    );
    return `${this.#typeDoc(name)}export interface ${name} {\n${members.join("")}}\n\n`;
  }

  interface({ name, functions }: HostInterface): string {
    const group = (statics: boolean) =>
      functions
        .filter((fn) => fn.static === statics)
        .map((fn) => this.method(fn, this.#docs.members[`${name}.${fn.name}`]))
        .join("");
    const statics = group(true);
    const methods = group(false);
    return `${methods ? `${this.#typeDoc(name)}export interface ${name} {\n${methods}}\n\n` : `${this.#typeDoc(name)}export type ${name} = object;\n\n`}${
      statics ? `${this.#typeDoc(name)}export interface ${name}Statics {\n${statics}}\n\n` : ""
    }`;
  }

  method(fn: ApiFunction | HostFunction, text?: string, params?: Readonly<Record<string, string>>): string {
    const lines = text === undefined || text === "" ? [] : [text];
    for (const { name } of fn.params) {
      if (params?.[name]) lines.push(`@param ${name} - ${params[name]}`);
    }
    const list = fn.params.map((parameter, index) => this.#parameter(parameter, fn.params.slice(index + 1)));
    return `${doc(lines.join("\n"), "  ")}  ${fn.name}(${list.join(", ")}): ${this.text(fn.result)};\n`;
  }

  usesResult(api: readonly ApiFunction[]): boolean {
    const functions = [...api, ...this.#manifest.interfaces.flatMap((host) => host.functions)];
    const texts = functions.flatMap((fn) => [fn.result, ...fn.params.map((parameter) => parameter.type)]);
    texts.push(...this.#manifest.structs.flatMap((struct) => struct.fields.map((field) => field.type)));
    return texts.some((text) => text.includes("Result<"));
  }

  text(text: string): string {
    return typeScript(parseType(text, this.#manifest));
  }

  #parameter({ name, type, default: value }: Parameter, following: readonly Parameter[]): string {
    if (value === undefined) return `${name}: ${this.text(type)}`;
    // Only what stands behind all required parameters can be left out.
    if (following.some((parameter) => parameter.default === undefined))
      return `${name}: ${this.text(type)} | undefined`;
    return `${name}?: ${this.text(type)}`;
  }

  #typeDoc(name: string): string {
    return doc(this.#docs.types[name]);
  }

  #member(type: string, member: string): string {
    return doc(this.#docs.members[`${type}.${member}`], "  ");
  }
}

function typeScript(type: ApiType): string {
  switch (type.kind) {
    case "void":
      return "void";
    case "scalar":
      if (type.scalar === "bool") return "boolean";
      return type.scalar === "u64" || type.scalar === "i64" ? "bigint" : "number";
    case "vvar":
      return "number";
    case "string":
      return type.nullable ? "string | null" : "string";
    case "struct":
      return type.nullable ? `${type.name} | null` : type.name;
    case "enum":
    case "interface":
      return type.name;
    case "option":
      return `${typeScript(type.value)} | undefined`;
    case "result":
      return `Result<${typeScript(type.value)}, ${typeScript(type.error)}>`;
  }
}

function doc(text: string | undefined, indent = ""): string {
  if (text === undefined || text.trim() === "") return "";
  // Editors read a tag only at the beginning of a line.
  const tagged = text.trim().replace(/[ \t]+(?=@(?:param|returns|throws|see|example|deprecated)\b)/g, "\n");
  const lines = tagged.replaceAll("*/", "*\\/").split(/\r?\n/);
  if (lines.length === 1) return `${indent}/** ${lines[0]} */\n`;
  return `${indent}/**\n${lines.map((line) => `${indent} * ${line}`.trimEnd()).join("\n")}\n${indent} */\n`;
}
