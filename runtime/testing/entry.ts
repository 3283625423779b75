/** What each process of a run begins with: loads what it calls, waits for the others, calls it, reports. */
import { show, stepText } from "../check/values.ts";
import { VdsoError } from "../errors.ts";
import type { VdsoLibrary } from "../image/library.ts";
import { toPortable } from "../platform/protocol.ts";
import { attach, type Process } from "../process/index.ts";
import type { TestFunction, TestProcess } from "./options.ts";
import { type ProcessData, type Report, SHARED, type Work } from "./protocol.ts";
import { RecordWriter } from "./record.ts";

export default async function main(own: Process): Promise<void> {
  const data = own.data as ProcessData;
  const post = (report: Report): void => data.port.postMessage(report);
  const record = new RecordWriter(data.record);
  let refused = true;
  try {
    const libraries = await Promise.all(data.libraries.map(loadLibrary));
    const run = await load(data.work);
    post({ kind: "loaded" });
    Atomics.wait(data.shared, SHARED.gate, 0);
    refused = false;
    const value = await run(contextOf(own, data, record, libraries));
    try {
      post({ kind: "result", value });
    } catch (cause) {
      throw new VdsoError("ERR_VDSO_TEST_RESULT", `expected a result that can be sent, found ${show(value)}`, {
        cause,
      });
    }
  } catch (error) {
    post({ kind: "error", refused, error: toPortable(data.work.kind === "source" ? explained(error) : error) });
    own.exit(1);
  }
  data.port.close();
}

function contextOf(
  own: Process,
  data: ProcessData,
  record: RecordWriter,
  libraries: readonly VdsoLibrary[],
): TestProcess<unknown, unknown> {
  const traced = new WeakSet<object>();
  const { index, processes, incarnation, args, setup } = data;

  function find(name: string): VdsoLibrary {
    const library = libraries.find((each) => each.name === name);
    if (library !== undefined) return library;
    throw new VdsoError(
      "ERR_VDSO_NOT_MAPPED",
      `attach: expected the name of an image whose library was given in vdsos as a URL ` +
        `(${libraries.map((each) => each.name).join(", ") || "none was"}), found ${name}`,
    );
  }

  return {
    index,
    processes,
    incarnation,
    args,
    setup,
    process: own,
    killsLeft: () => Atomics.load(data.shared, SHARED.killsLeft),
    note: (...parts) => record.write(parts.map((part) => (typeof part === "string" ? part : show(part))).join(" ")),
    attach<Api extends object>(library: VdsoLibrary<Api> | string, host?: object): Api {
      const found = typeof library === "string" ? (find(library) as VdsoLibrary<Api>) : library;
      const api = attach(found, host);
      if (data.trace && !traced.has(api)) {
        traced.add(api);
        noteCalls(found.name, api as Record<string, unknown>, record);
      }
      return api;
    },
  };
}

/** In place: the API has to stay the object that `attach` returned, for `vvarOf` and `pidOf`. */
function noteCalls(image: string, api: Record<string, unknown>, record: RecordWriter): void {
  for (const [name, fn] of Object.entries(api)) {
    if (typeof fn !== "function") continue;
    api[name] = (...args: unknown[]): unknown => {
      record.write(`${image}.${stepText(name, args)}`);
      record.inside = true;
      try {
        return fn(...args);
      } finally {
        record.inside = false;
      }
    };
  }
}

async function loadLibrary(url: string): Promise<VdsoLibrary> {
  return (await importModule(url))["default"] as VdsoLibrary;
}

async function load(work: Work): Promise<TestFunction> {
  if (work.kind === "source") return compile(work.source);
  const exported = await importModule(work.url);
  const run = exported[work.name];
  if (typeof run === "function") return run as TestFunction;
  const names = Object.keys(exported).filter((name) => typeof exported[name] === "function");
  throw new VdsoError(
    "ERR_VDSO_TEST_FUNCTION",
    `expected ${work.url} to export a function "${work.name}", found ${typeof run}; functions that it exports: ` +
      (names.join(", ") || "none"),
  );
}

async function importModule(url: string): Promise<Record<string, unknown>> {
  try {
    return await import(url);
  } catch (cause) {
    // A module that this one imports may be missing too: only the URL tells whose fault it is.
    const { code, url: culprit, message } = Object(cause) as { code?: unknown; url?: unknown; message?: unknown };
    if (code === "ERR_MODULE_NOT_FOUND" && culprit === url) {
      throw new VdsoError("ERR_VDSO_MODULE_NOT_FOUND", `there is no module ${url}`, { cause });
    }
    throw new VdsoError("ERR_VDSO_MODULE_LOAD", `${url} threw while it was loaded: ${message}`, { cause });
  }
}

/** The function that a source text is: an expression, or a method of an object. */
function compile(source: string): TestFunction {
  const bodies = [`return (${source}\n)`, `return Object.values({ ${source}\n})[0]`];
  let failure: unknown;
  for (const body of bodies) {
    try {
      return new Function(`"use strict"; ${body}`)() as TestFunction;
    } catch (error) {
      failure ??= error;
    }
  }
  throw new VdsoError("ERR_VDSO_TEST_FUNCTION", `the text of \`run\` is no function by itself: ${failure}`, {
    cause: failure,
  });
}

/** Names that a function found around it in its file are unknown in the process: what the engine says of them misleads. */
function explained(error: unknown): unknown {
  if (!(error instanceof ReferenceError)) return error;
  error.message +=
    ". A function given as `run` is sent to the process as text: it sees its parameter, globals and what it imports by itself, " +
    "nothing else of its file. Pass values as `args`, or put the function into a module and name that as `module`";
  return error;
}
