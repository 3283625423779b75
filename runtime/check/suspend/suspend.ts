/**
 * Second step of the instrumentation: makes every function from which a hook can be reached able to leave, with its state saved as data, and to be
 * entered again where it was.
 *
 * The host stops a thread in a hook: it sets the mode to `leaving` and returns anything. Every function on the way out then saves its frame and returns. To go on, the host
 * puts the frames back, sets the mode to `returning` and calls the export again with any arguments; every function goes straight to the call it
 * was in, down to the hook, which sets the mode to `running` and returns what the access yielded.
 *
 * A frame holds what is read again and nothing else, so that two threads of which the same follows are in the same state.
 */
import { Reader } from "../../image/sections.ts";
import { ByteWriter, SectionId, writeModule } from "../wasm-binary.ts";
import { ModuleView } from "./module.ts";
import { Reach } from "./reach.ts";
import { rewriteBody } from "./rewrite.ts";

export interface SuspendOptions {
  /** Module of the imports that may stop the thread. */
  readonly hooks: string;
  /** Operands of an import that it looks at also when the thread comes back to it, by position. */
  readonly lasting: ReadonlyMap<string, readonly number[]>;
  /** Name to export the memory with the frames by, and its size. */
  readonly memory: string;
  readonly pages: number;
}

/** Order of the sections in a module. */
const ORDER = [
  SectionId.type,
  SectionId.import,
  SectionId.function,
  SectionId.table,
  SectionId.memory,
  SectionId.tag,
  SectionId.global,
  SectionId.export,
  SectionId.element,
  SectionId.dataCount,
  SectionId.code,
  SectionId.data,
];

/**
 * Rewrites a module.
 *
 * @throws VdsoError `ERR_VDSO_CHECK_UNSUPPORTED` - a function that can be stopped is of a kind that cannot be entered again.
 */
export function makeSuspendable(module: Uint8Array, options: SuspendOptions): Uint8Array<ArrayBuffer> {
  const view = new ModuleView(module);
  const isHook = (func: number): boolean => view.imports[func]?.module === options.hooks;
  const reach = new Reach(view, isHook);
  const contents = new Map<number, Uint8Array>(
    view.sections.map(({ id, start, end }) => [id, module.subarray(start, end)]),
  );
  contents.set(
    SectionId.memory,
    oneMore(contents.get(SectionId.memory), (writer) => writer.byte(1).u32(options.pages).u32(options.pages)),
  );
  contents.set(
    SectionId.export,
    oneMore(contents.get(SectionId.export), (writer) => writer.name(options.memory).byte(2).u32(view.memories)),
  );
  const code = new ByteWriter().u32(view.bodies.length);
  for (const [position, { start, end }] of view.bodies.entries()) {
    const func = view.imports.length + position;
    const body = reach.canStop(func)
      ? rewriteBody(view, reach, func, {
          memory: view.memories,
          lasting: (called) => (isHook(called) ? options.lasting.get(view.imports[called]!.name) : undefined) ?? [],
        })
      : module.subarray(start, end);
    code.u32(body.length).bytes(body);
  }
  if (view.bodies.length > 0) contents.set(SectionId.code, code.take());
  return writeModule(
    ORDER.flatMap((id) => {
      const content = contents.get(id);
      return content ? [{ id, content }] : [];
    }),
  );
}

/** A section with one entry more. */
function oneMore(content: Uint8Array | undefined, write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter();
  if (!content) writer.u32(1);
  else {
    const reader = new Reader(content, 0, content.length);
    writer.u32(reader.u32() + 1).bytes(content.subarray(reader.at));
  }
  write(writer);
  return writer.take();
}
