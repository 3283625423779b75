/** Heaps of a chosen size, as a program gets them: built, mapped, attached. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll } from "vitest";
import type library from "../../generated/vheap/vheap.js";
import type { VheapApi } from "../../generated/vheap/vheap.js";
import { buildVdso } from "../../runtime/build/index.ts";
import { type Mapping, map, pidOf } from "../../runtime/index.ts";
import { Heap } from "../../runtime/ipc/heap.ts";

export type HeapLibrary = typeof library;

export interface BuiltHeap extends Disposable {
  readonly library: HeapLibrary;
  readonly url: string;
}

/** The shipped sources, with a heap of so many units of 64 bytes, taken in turn from `far` units on. */
export async function buildHeap(units: number, far = 512): Promise<BuiltHeap> {
  const outDir = mkdtempSync(join(tmpdir(), "vheap-test-"));
  const srcDir = join(import.meta.dirname, "..", "..", "vdso-src", "vheap");
  const imageName = `vheap-${units}`;
  const config = { HEAP_BYTES: units * 64, HEAP_FAR_BYTES: far * 64 };
  await buildVdso({ srcDir, outDir, imageName, packageName: "wasm-vdso", config });
  const url = pathToFileURL(join(outDir, `${imageName}.js`)).href;
  const module = (await import(url)) as { default: HeapLibrary };
  return { library: module.default, url, [Symbol.dispose]: () => rmSync(outDir, { recursive: true, force: true }) };
}

export interface Party {
  readonly heap: Heap;
  readonly api: VheapApi;
  readonly pid: number;
}

export interface MappedHeap {
  readonly mapping: Mapping<VheapApi>;
  /** One process after the other, all in this thread. */
  attach(): Party;
  /** The words of the units. */
  readonly words: BigUint64Array;
  /** The whole vVAR but its header. */
  readonly bytes: Uint8Array;
}

export async function mapHeap({ library }: BuiltHeap): Promise<MappedHeap> {
  const mapping = await map(library);
  const { layout } = mapping.manifest;
  const field = (name: string) => layout.structs[0]!.fields.find((field) => field.name === name)!;
  const { buffer } = mapping.memory;
  return {
    mapping,
    attach() {
      const api = mapping.attach();
      return { heap: new Heap(api), api, pid: pidOf(api) };
    },
    words: new BigUint64Array(buffer, layout.address + field("words").offset, field("words").length!),
    bytes: new Uint8Array(buffer, layout.address, layout.end - layout.address),
  };
}

const built = new Map<string, Promise<BuiltHeap>>();
afterAll(async () => {
  for (const heap of built.values()) (await heap)[Symbol.dispose]();
});

/** A fresh heap; built once for all tests of a file. */
export async function heapOf(units: number, far?: number): Promise<MappedHeap> {
  const key = `${units} ${far}`;
  const library = built.get(key) ?? buildHeap(units, far);
  built.set(key, library);
  return mapHeap(await library);
}
