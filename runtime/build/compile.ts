/**
 * Source to image, in one run of the AssemblyScript compiler: the dialect is lowered when the sources have been parsed, the second memory
 * is linked in before the optimiser runs.
 *
 * ```ts
 * const { image, diagnostics } = await compile({ sources, name: "counter", package: "counter", mode: "release", log: true,
 *   features: [], config: {}, env: {} });
 * ```
 */
import { libraryFiles, main } from "assemblyscript/asc";
import type binaryen from "assemblyscript/binaryen";
import { type Manifest, START_EXPORT } from "../image/manifest.ts";
import { writeImage } from "../image/write.ts";
import type { CompileInput, CompileResult } from "./contract.ts";
import type { Diagnostic } from "./diagnostics.ts";
import { diagnosticAt } from "./diagnostics.ts";
import type { asc } from "./dialect/asc.ts";
import { tables } from "./dialect/asc.ts";
import { COMPILER_FAILED, hookCompiler } from "./dialect/compiler-hooks.ts";
import { type Dialect, lower } from "./dialect/dialect.ts";
import { explain } from "./dialect/explain.ts";
import { collectExports, type Docs, type Exports } from "./dialect/exports.ts";
import { survey } from "./dialect/survey.ts";
import { rewriteVoidResults } from "./dialect/void-results.ts";
import { helperLibrary } from "./helper-library.ts";
import { heapBase, importsVvar, link, PRIVATE } from "./link.ts";
import { BUILDER } from "./version.ts";

const ENTRY = "api.ts";
/** "Only variables, functions and enums become WebAssembly module exports": for classes that are types of the API, as they should be. */
const ONLY_FUNCTIONS_EXPORTED = 235;
/** Left over where the dialect has refused something. */
const ECHO = /^Cannot find name '(vvarRoot|config|panic|log)'/;
const MISSING_PROPERTY = /^Property '(\w+)' does not exist/;
const SYNTAX = /^TS1\d{3}$/;
const OUTPUT = { wasm: "image.wasm", wat: "image.wat", map: "image.wasm.map" } as const;
/** Private memory left for what functions make. */
const HEAP_BYTES = 8192;
const PAGE_BYTES = 65536;

/** Compiles one vDSO. Errors in the sources are returned, not thrown. */
export async function compile(input: CompileInput): Promise<CompileResult> {
  let shape: Shape = { pages: 1, touchVvar: false };
  for (;;) {
    const run = new Run(input, shape);
    await run.start();
    const wanted = run.wanted();
    if (wanted === undefined) return run.finish();
    shape = wanted;
  }
}

/** What only a first run can tell. */
interface Shape {
  /** Of private memory. */
  readonly pages: number;
  readonly touchVvar: boolean;
}

class Run {
  private readonly input: CompileInput;
  private readonly shape: Shape;
  private pagesWanted = 0;
  private readonly texts = new Map<string, string>();
  private readonly outputs = new Map<string, Uint8Array | string>();
  private readonly messages: CompilerMessage[] = [];
  private crash: Error | undefined;
  private dialect: Dialect | undefined;
  private exports: Exports | undefined;
  private parser: asc.Parser | undefined;
  private surveyed: readonly Diagnostic[] = [];

  constructor(input: CompileInput, shape: Shape) {
    this.input = input;
    this.shape = shape;
  }

  async start(): Promise<void> {
    Object.assign(libraryFiles, helperLibrary());
    const keep = ({ parser }: asc.Program): void => {
      this.parser = parser;
    };
    /** A transform that is a class has the program before its files are parsed. */
    function Keeper(this: { readonly program: asc.Program }): void {
      keep(this.program);
    }
    const { error, stderr } = await main(this.arguments(), {
      readFile: (name) => this.read(name),
      writeFile: (name, contents) => {
        this.outputs.set(name, contents);
      },
      listFiles: () => [],
      reportDiagnostic: (message) => this.messages.push(message),
      transforms: [
        Keeper,
        {
          afterParse: (parser: unknown) => this.afterParse(parser as asc.Parser),
          afterInitialize: (program: unknown) => {
            if (this.dialect !== undefined) hookCompiler(program as asc.Program, this.dialect);
          },
          afterCompile: (module: unknown) => this.afterCompile(module as binaryen.Module),
        },
      ] as unknown as NonNullable<CompilerHost["transforms"]>,
    });
    const wanted = /requires at least '?(\d+)'? pages of initial memory/.exec(String(stderr));
    if (wanted?.[1] !== undefined) this.pagesWanted = Number(wanted[1]);
    if (error !== null) this.crash = error;
    this.survey();
  }

  /** The shape that the image has to have, when it is another one. */
  wanted(): Shape | undefined {
    const { pages, touchVvar } = this.shape;
    if (this.pagesWanted > pages) return { pages: this.pagesWanted, touchVvar };
    const wasm = this.outputs.get(OUTPUT.wasm);
    if (!touchVvar && wasm instanceof Uint8Array && !importsVvar(wasm)) return { pages, touchVvar: true };
    return undefined;
  }

  async finish(): Promise<CompileResult> {
    const diagnostics = this.diagnostics();
    const result = { diagnostics, files: [...this.texts.keys()], docs: this.exports?.docs ?? NO_DOCS };
    const wasm = this.outputs.get(OUTPUT.wasm);
    if (diagnostics.some(({ severity }) => severity === "error")) return result;
    if (this.crash !== undefined || !(wasm instanceof Uint8Array)) {
      throw new Error(`the compiler failed: ${this.crash?.message ?? "no output"}`, { cause: this.crash });
    }
    const { image, manifest } = await writeImage(wasm, this.manifest());
    const wat = this.outputs.get(OUTPUT.wat);
    const map = this.outputs.get(OUTPUT.map);
    return {
      ...result,
      image,
      manifest,
      ...(typeof wat === "string" ? { wat } : {}),
      ...(typeof map === "string" ? { sourceMap: map } : {}),
    };
  }

  private arguments(): string[] {
    const { mode, wat, sourceMap } = this.input;
    const pages = String(this.shape.pages);
    return [
      ENTRY,
      ...["--outFile", OUTPUT.wasm],
      ...(wat ? ["--textFile", OUTPUT.wat] : []),
      ...(sourceMap ? ["--sourceMap"] : []),
      ...(mode === "release" ? ["-O3"] : ["--debug"]),
      ...["--runtime", "stub", "--enable", "threads", "--exportStart", START_EXPORT, "--use", "abort=__abort"],
      ...["--initialMemory", pages, "--maximumMemory", pages, "--memoryBase", String(PRIVATE.dataStart)],
    ];
  }

  private read(name: string): string | null {
    const text = this.input.sources.read(name);
    if (text === undefined) return null;
    // Line endings must not change the image: they would show in columns and in literals.
    const unixText = text.replaceAll("\r\n", "\n");
    this.texts.set(name, unixText);
    return unixText;
  }

  private afterParse(parser: asc.Parser): void {
    const { config, features, env, log } = this.input;
    this.dialect = lower(parser, { config, features, env, log });
    this.exports = collectExports(this.dialect);
    rewriteVoidResults(this.dialect.tree);
  }

  /** Where files do not parse, the compiler stops; the dialect looks all the same at what does. */
  private survey(): void {
    if (this.dialect !== undefined || this.parser === undefined) return;
    const { config, features, env, log } = this.input;
    this.surveyed = survey(this.parser, { config, features, env, log });
  }

  private afterCompile(module: binaryen.Module): void {
    // Thrown, it ends the run; what is wrong has been noted.
    if (this.dialect === undefined || this.dialect.tree.diagnostics.length > 0)
      throw new Error("errors in the sources");
    const bytes = heapBase(module) + this.dialect.privateBytes + HEAP_BYTES;
    this.pagesWanted = Math.max(this.pagesWanted, Math.ceil(bytes / PAGE_BYTES));
    const names = this.exports?.functions.map(({ name }) => name) ?? [];
    const { mode } = this.input;
    link(module, { exports: new Set([...names, "memory", START_EXPORT]), mode, touchVvar: this.shape.touchVvar });
  }

  private diagnostics(): Diagnostic[] {
    const own = this.dialect?.tree.diagnostics ?? this.surveyed;
    // The language's complaints on a line that the dialect has complained about follow from it.
    const said = new Set(own.map(({ file, line }) => `${file}:${line}`));
    const others: Diagnostic[] = [];
    for (const message of this.messages) {
      if (message.category < tables.DiagnosticCategory.Warning || message.code === ONLY_FUNCTIONS_EXPORTED) continue;
      if (message.message.includes(COMPILER_FAILED)) continue;
      const severity = message.category === tables.DiagnosticCategory.Error ? "error" : "warning";
      const diagnostic = this.describe(message, severity);
      if (own.length > 0 && ECHO.test(diagnostic.message)) continue;
      const property = MISSING_PROPERTY.exec(diagnostic.message)?.[1];
      if (property !== undefined && this.dialect?.tree.refusedMembers.has(property)) continue;
      if (!said.has(`${diagnostic.file}:${diagnostic.line}`) || diagnostic.line === 0) others.push(diagnostic);
    }
    // The dialect's first: what the language complains about may follow from it, wherever it stands.
    return [...[...own].sort(byPlace), ...withoutEchoes(others).sort(byPlace)];
  }

  private describe(message: CompilerMessage, severity: Diagnostic["severity"]): Diagnostic {
    const code = message.code < 1000 ? `AS${message.code}` : `TS${message.code}`;
    const file = message.range?.source?.normalizedPath;
    const text =
      file === undefined ? undefined : (this.texts.get(file) ?? libraryFiles[file.replace(/^~lib\/|\.ts$/g, "")]);
    const { text: explained, help } = explain(message.code, message.message, text?.slice(message.range?.start) ?? "");
    if (file !== undefined && text !== undefined && message.range) {
      const { start, end } = message.range;
      return diagnosticAt({ start, end, source: { normalizedPath: file, text } }, severity, code, explained, help);
    }
    const nowhere = { file: "", line: 0, column: 0, length: 0, text: "" };
    return { severity, code, message: explained, ...(help === undefined ? {} : { help }), ...nowhere };
  }

  private manifest(): Omit<Manifest, "fingerprint"> {
    const { dialect, exports, input } = this;
    if (dialect === undefined || exports === undefined) throw new Error("nothing was compiled");
    const layout = dialect.layouts.manifest();
    return {
      name: input.name,
      package: input.package,
      mode: input.mode,
      log: input.log,
      features: [...input.features].sort(),
      builder: BUILDER,
      layout,
      constants: dialect.constants.table,
      enums: [...dialect.layouts.enums.values()],
      structs: exports.structs,
      exports: exports.functions,
      interfaces: exports.interfaces,
      panics: dialect.sites.panics,
      logs: dialect.sites.logs,
      private: {
        pages: this.shape.pages,
        logLevel: PRIVATE.logLevel,
        args: PRIVATE.args,
        argsBytes: PRIVATE.argsBytes,
        ringCursor: PRIVATE.ringCursor,
      },
    };
  }
}

function byPlace(a: Diagnostic, b: Diagnostic): number {
  return a.file === b.file ? a.line - b.line || a.column - b.column : a.file < b.file ? -1 : 1;
}

/** Of several complaints about the same place the one that helps; of the same, one. */
function withoutEchoes(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const best = new Map<string, Diagnostic>();
  for (const diagnostic of diagnostics) {
    const { file, line, column, code, message, help } = diagnostic;
    // A form that it does not know the parser stumbles over at each of its words.
    const isSyntax = help !== undefined && SYNTAX.test(code);
    const place = `${file}:${line}:${isSyntax ? message : column}`;
    const other = best.get(place);
    if (other === undefined || line === 0 || (other.help === undefined && help !== undefined))
      best.set(line === 0 ? diagnostic.message : place, diagnostic);
  }
  return [...best.values()];
}

type CompilerHost = NonNullable<Parameters<typeof main>[1]>;
type CompilerMessage = Parameters<NonNullable<CompilerHost["reportDiagnostic"]>>[0];

const NO_DOCS: Docs = { functions: {}, types: {}, members: {} };
