/** Does what docs/ipc.md says of codecs: takes its example as it stands there, with the package's name led to this repository. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import type { Codec } from "../../runtime/ipc/index.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

const root = join(import.meta.dirname, "..", "..");
const guide = readFileSync(join(root, "docs", "ipc.md"), "utf8");

/** The block of code that defines a name, as a module. */
async function exampleOf(name: string): Promise<unknown> {
  const blocks = [...guide.matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!);
  const code = blocks.find((block) => block.includes(`export const ${name}`));
  if (code === undefined) throw new Error(`docs/ipc.md: expected an example that exports ${name}, found none`);
  const dir = mkdtempSync(join(tmpdir(), "vipc-guide-"));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const file = join(dir, "example.ts");
  const runtime = pathToFileURL(join(root, "runtime")).href;
  writeFileSync(
    file,
    code
      .replaceAll('"wasm-vdso/ipc"', JSON.stringify(`${runtime}/ipc/index.ts`))
      .replaceAll('"wasm-vdso"', JSON.stringify(`${runtime}/index.ts`)),
  );
  const module = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as Record<string, unknown>;
  return module[name];
}

async function pair() {
  const codec = (await exampleOf("engine")) as Codec;
  const { party } = await system();
  const [a, b] = [party({ codec }), party({ codec })];
  return { a, b, codec, from: a.ipc.entity(), to: b.ipc.entity() };
}

test("values go through the codec that was plugged in, small and large ones, and stay what they are", async () => {
  const { a, from, to } = await pair();
  to.serve(({ data }) => data);
  const kept = (
    await from.call(to.id, 1, { list: [1, -0], when: new Date(5), numbers: new Float64Array(100).fill(1.5) })
  ).data;
  for (let n = 0; n < 20; n++) {
    const sent = { n, map: new Map([[n, "x".repeat(n * 10)]]), bytes: new Uint8Array(n * 8).fill(n) };
    expect((await from.call(to.id, 1, sent)).data).toEqual(sent);
  }
  // What came first shares no memory with what came later.
  expect(kept).toEqual({ list: [1, -0], when: new Date(5), numbers: new Float64Array(100).fill(1.5) });
  await settle();
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("what that codec cannot send, or read, is refused by name; errors of handlers arrive as ever", async () => {
  const { b, codec, from, to } = await pair();
  to.serve(({ data }) => {
    throw new RangeError(String(data));
  });
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => from.send(to.id, 1, { call: () => 1 }));
  await expect(from.call(to.id, 1, "on purpose")).rejects.toThrow(RangeError);
  await expectCode("ERR_VDSO_GARBAGE", () => codec.decode(new Uint8Array([1, 2, 3])));
  expect(b.ipc.stats().refused).toBe(0);
});
