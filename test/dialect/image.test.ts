import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { validateImage } from "../../runtime/build/validate.ts";
import { build, buildWhole, run, type Sources } from "./vdso.ts";

const root = join(import.meta.dirname, "..", "..");

function sourcesOf(vdso: string): Record<string, string> {
  const folder = join(root, "vdso-src", vdso);
  return Object.fromEntries(
    readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")] as const),
  );
}

/** Bytes of the section with this number. */
function sectionBytes(image: Uint8Array, wanted: number): number {
  let at = 8;
  const leb = (): number => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = image[at++]!;
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < image.length) {
    const id = image[at++];
    const size = leb();
    if (id === wanted) return size;
    at += size;
  }
  return 0;
}

const CODE = 10;
const DATA = 11;

test.each([
  ["example", 3072, 1024],
  ["vqueue", 24.25 * 1024, 19.25 * 1024],
])("the image of %s stays small", async (vdso, bytes, codeBytes) => {
  const { image } = await buildWhole(sourcesOf(vdso));
  expect(image.length).toBeLessThanOrEqual(bytes);
  expect(sectionBytes(image, CODE)).toBeLessThanOrEqual(codeBytes);
  expect(sectionBytes(image, DATA)).toBe(0);
});

test("builds are identical to the byte: twice, in another process and folder, with other line endings", async () => {
  for (const vdso of ["example", "vqueue"]) {
    const sources = sourcesOf(vdso);
    const images = [await build(sources), await build(sources)].map(({ image }) => Buffer.from(image!).toString("hex"));
    const windows = Object.fromEntries(
      Object.entries(sources).map(([name, text]) => [name, text.replaceAll("\n", "\r\n")]),
    );
    images.push(Buffer.from((await build(windows)).image!).toString("hex"));
    const script = `
      const { build } = await import(${JSON.stringify(join(import.meta.dirname, "vdso.ts"))});
      const { image } = await build(${JSON.stringify(sources)});
      process.stdout.write(Buffer.from(image).toString("hex"));`;
    // By standard input: it is too long for an argument.
    const { stdout } = spawnSync(process.execPath, ["--input-type=module"], {
      input: script,
      cwd: "/",
      encoding: "utf8",
    });
    images.push(stdout);
    expect(new Set(images).size).toBe(1);
  }
});

const SMALL = "@vvar class VvarData { a: u32; } const shared = vvarRoot<VvarData>();\n";

const exportsOf = (image: Uint8Array): string[] =>
  WebAssembly.Module.exports(new WebAssembly.Module(image as Uint8Array<ArrayBuffer>)).map(({ name }) => name);

test("an image runs code at its start only if it has private data to compute", async () => {
  const constant = await buildWhole(
    `${SMALL} let a: u32 = 5; const t: StaticArray<u8> = [1]; export function f(): u32 { return a + t[0] + shared.a; }`,
  );
  expect(exportsOf(constant.image).sort()).toEqual(["f", "memory"]);
  const computed = await buildWhole(`${SMALL} let a: u32 = shared.a + 1; export function f(): u32 { return a; }`);
  expect(exportsOf(computed.image).sort()).toEqual(["_initialize", "f", "memory"]);
});

test("lifecycle functions are exported, and no part of the API", async () => {
  const { api, manifest, another } = await run(`
    @vvar class VvarData { inits: Atomic<u32>; pids: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();
    export function init(): void { shared.inits.add(1); }
    export function processInit(pid: u32): void { shared.pids.add(pid); }
    export function processDrop(pid: i32): void { shared.pids.sub(pid); }
    export function seen(): u32 { return shared.inits.load() * 100 + shared.pids.load(); }`);
  expect(manifest.exports.map(({ name }) => name)).toEqual(["init", "processInit", "processDrop", "seen"]);
  expect(Object.keys(api)).toEqual(["seen"]);
  another();
  expect(api["seen"]!()).toBe(100 + 2 + 3);
});

test("functions with default parameters are exported as they are", async () => {
  const { wat } = await buildWhole(`${SMALL} export function f(a: u32 = 5): u32 { return a + shared.a; }`);
  expect(wat).not.toContain("varargs");
});

test("an image that has no use for its vVAR still has the form of one", async () => {
  const { api, image, manifest } = await run(`${SMALL} export function f(): u32 { return 7; }`);
  await validateImage(image, manifest);
  expect(api["f"]!()).toBe(7);
});

test("private memory is as large as what the image starts with needs", async () => {
  const pagesOf = async (sources: Sources): Promise<number> => (await buildWhole(sources)).manifest.private.pages;
  expect(await pagesOf(`${SMALL} export function f(): u32 { return shared.a; }`)).toBe(1);
  const arrays = `${SMALL}
    const LENGTH: u32 = config("LENGTH", 100000);
    const scratch = new StaticArray<u32>(LENGTH);
    const bytes = new Uint8Array(70000);
    export function last(): u32 { scratch[LENGTH - 1] = 5; bytes[69999] = 6; return scratch[LENGTH - 1] + bytes[69999]; }`;
  const { api, manifest } = await run(arrays);
  expect(manifest.private.pages).toBe(9);
  expect(api["last"]!()).toBe(11);
  const list = Array.from({ length: 30_000 }, (_, i) => i % 251).join(", ");
  const table = await run(
    `${SMALL} const t: StaticArray<u8> = [${list}]; export function at(i: u32): u8 { return t[i]; }`,
  );
  expect(table.manifest.private.pages).toBe(2);
  expect(table.api["at"]!(29_999)).toBe(29_999 % 251);
});

test("source maps lead to the author's files", async () => {
  const { sourceMap } = await build(sourcesOf("vqueue"), { sourceMap: true });
  const map = JSON.parse(sourceMap!) as { sources: string[]; mappings: string };
  expect(map.sources).toEqual(expect.arrayContaining(["api.ts", "layout.ts"]));
  expect(map.mappings.length).toBeGreaterThan(100);
});

test("every form of image satisfies an independent validator, in both modes", async () => {
  for (const mode of ["release", "debug"] as const) {
    for (const vdso of ["example", "vqueue"]) {
      const { image, manifest } = await buildWhole(sourcesOf(vdso), { mode });
      await validateImage(image, manifest);
    }
  }
});

test("authors may use the names of what generated code uses, and of what every JavaScript object has", async () => {
  const { api } = await run(`
    @vvar class VvarData { load: u32; store: Atomic<u32>; value: u32; toString_: u32; @len(2) index: FixedArray<u32>; }
    const memory = vvarRoot<VvarData>();
    @apistruct class Snapshot { load: u32; value: u32 = it; changetype: Option<u32>; }
    const it: u32 = 3;
    export function load(): u32 { return memory.load; }
    export function store(value: u32): u32 { memory.load = value; memory.index[1] = value; memory.store.store(value); return memory.store.load(); }
    export function changetype(): u32 { return 1; }
    export function unreachable(): u32 { return 2; }
    export function vvar(): u32 { return memory.index[1]; }
    export function toString(): u32 { return 4; }
    export function hasOwnProperty(valueOf: u32): u32 { return valueOf; }
    export function snapshot(): Snapshot { return new Snapshot(); }
    export { toString as default, toString as delete };
  `);
  expect(api["store"]!(9)).toBe(9);
  expect([api["load"]!(), api["vvar"]!(), api["changetype"]!(), api["unreachable"]!()]).toEqual([9, 9, 1, 2]);
  expect([api["toString"]!(), api["hasOwnProperty"]!(5), api["default"]!(), api["delete"]!()]).toEqual([4, 5, 4, 4]);
  expect(api["snapshot"]!()).toEqual({ load: 0, value: 3, changetype: undefined });
});
