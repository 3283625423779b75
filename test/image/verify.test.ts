import { describe, expect, test } from "vitest";
import { validateImage } from "../../runtime/build/validate.ts";
import type { Manifest } from "../../runtime/image/manifest.ts";
import { verifyStructure } from "../../runtime/image/verify.ts";
import { writeImage } from "../../runtime/image/write.ts";
import { expectCode } from "../expect-code.ts";
import { assemble, buildSample, sampleManifest } from "../loader/sample.ts";

/** The smallest image there is, and what a test adds to or changes in it. */
function small({
  imports = "",
  memories = "(memory $own 1 1)",
  body = "",
  vvar = "(memory $vvar 0 65536 shared)",
} = {}): string {
  return `(module (import "vdso" "vvar" ${vvar}) ${imports} ${memories} (export "memory" (memory $own))
    (func $zero (export "zero") (result i32) (i32.const 0)) ${body})`;
}

function manifest(): Manifest {
  const description = sampleManifest();
  const exports = description.exports.filter((fn) => fn.name === "zero");
  return { ...description, exports, fingerprint: "0000000000000000" };
}

const verify = (wat: string, change: (manifest: Manifest) => void = () => {}): void => {
  const expected = manifest();
  change(expected);
  verifyStructure(assemble(wat), expected);
};

describe("the structural check", () => {
  test("accepts the smallest image and the sample", async () => {
    expect(() => verify(small())).not.toThrow();
    const sample = await buildSample();
    expect(() => verifyStructure(sample.image, sample.manifest)).not.toThrow();
  });

  test.each([
    ["a function of another module", '(import "env" "now" (func (result f64)))', "env.now"],
    ["an unknown function of the runtime", '(import "vdso" "exit" (func))', "vdso.exit"],
    ["a function of an interface that nobody declared", '(import "host" "Disk.read" (func))', "host.Disk.read"],
    ["a table", '(import "vdso" "table" (table 1 funcref))', "table vdso.table"],
    ["a global", '(import "vdso" "global" (global i32))', "global vdso.global"],
    ["a second memory", '(import "vdso" "more" (memory 1))', "memory vdso.more"],
    ["the runtime's function with another signature", '(import "vdso" "panic" (func (param i64)))', "i64->"],
    ["an interface's function with another signature", '(import "host" "Observer.now" (func (result i32)))', "->i32"],
    ["a method without its handle", '(import "host" "Observer#changed" (func (param i64) (result i32)))', "i64->i32"],
  ])("refuses the import of %s", async (_, imports, found) => {
    const error = await expectCode("ERR_VDSO_IMAGE_IMPORT", () => verify(small({ imports })));
    expect(error.message).toContain(`found ${found.includes("->") || found.includes(" ") ? "" : "function "}${found}`);
  });

  test.each([
    ["no vVAR", '(module (memory $own 1 1) (export "memory" (memory $own)))'],
    ["a third memory", small({ memories: "(memory $own 1 1) (memory 1 1)" })],
    ["a vVAR that is not shared", small({ vvar: "(memory $vvar 1 1)" })],
    ["a private memory that can grow", small({ memories: "(memory $own 1 2)" })],
    ["a private memory without a maximum", small({ memories: "(memory $own 1)" })],
    ["a private memory of another size", small({ memories: "(memory $own 2 2)" })],
    ["a private memory that is shared", small({ memories: "(memory $own 1 1 shared)" })],
  ])("refuses %s", async (_, wat) => {
    await expectCode("ERR_VDSO_IMAGE_MEMORY", () => verify(wat));
  });

  test.each([
    ["a function that the manifest does not declare", small({ body: '(func (export "secret"))' })],
    ["a global", small({ body: '(global (export "g") i32 (i32.const 1))' })],
    ["a table", small({ body: '(table (export "t") 1 funcref)' })],
    ["the vVAR", small({ body: '(export "vvar" (memory $vvar))' })],
    ["a function with another signature", small().replace("(result i32) (i32.const 0)", "(result i64) (i64.const 0)")],
    ["no private memory", small().replace('(export "memory" (memory $own))', "")],
    [
      "the vVAR as its private memory",
      small().replace('(export "memory" (memory $own))', '(export "memory" (memory $vvar))'),
    ],
    ["nothing of what the manifest declares", small().replace('(export "zero")', "")],
  ])("refuses a module that exports %s", async (_, wat) => {
    await expectCode("ERR_VDSO_IMAGE_EXPORT", () => verify(wat));
  });

  test("refuses a data segment on the vVAR, and accepts one on the private memory", async () => {
    const onVvar = small({ body: '(data (memory $vvar) (i32.const 2048) "abc")' });
    await expectCode("ERR_VDSO_IMAGE_DATA", () => verify(onVvar));
    expect(() => verify(small({ body: '(data (memory $own) (i32.const 2048) "abc") (data "passive")' }))).not.toThrow();
  });

  test("refuses a start function", async () => {
    await expectCode("ERR_VDSO_IMAGE_START", () => verify(small({ body: "(func $go) (start $go)" })));
  });

  test("refuses what it cannot read", async () => {
    const broken = assemble(small());
    const types = broken.indexOf(0x60);
    broken[types] = 0x5f;
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => verifyStructure(broken, manifest()));
  });

  test("refuses a signature with a type that the manifest lacks", async () => {
    await expectCode("ERR_VDSO_MANIFEST_TYPE", () =>
      verify(small(), (m) => {
        m.exports[0]!.result = "Unheard";
      }),
    );
  });
});

describe("the independent validator", () => {
  const image = async (wat: string) => writeImage(assemble(wat), manifest());

  test("accepts an image with two memories and atomics", async () => {
    const sample = await buildSample();
    await validateImage(sample.image, sample.manifest);
  });

  test("refuses code that is not valid", async () => {
    const { image: bytes, manifest: written } = await image(small());
    // The body of zero() becomes an f32.const, whose immediate swallows the rest.
    const code = bytes.findLastIndex((byte, at) => byte === 0x41 && bytes[at + 1] === 0 && bytes[at + 2] === 0x0b);
    bytes[code] = 0x43;
    const error = await expectCode("ERR_VDSO_IMAGE_INVALID", () => validateImage(bytes, written));
    expect(error.cause).toBeInstanceOf(Error);
  });

  test("refuses an image that says something else than the build meant", async () => {
    const { image: bytes, manifest: written } = await image(small());
    await expectCode("ERR_VDSO_IMAGE_INVALID", () => validateImage(bytes, { ...written, package: "other" }));
  });

  test("refuses what only the structural check sees", async () => {
    const { image: bytes, manifest: written } = await image(small({ body: "(func $go) (start $go)" }));
    await expectCode("ERR_VDSO_IMAGE_START", () => validateImage(bytes, written));
  });

  test("reads a Node buffer that is a part of a bigger one", async () => {
    const { image: bytes, manifest: written } = await image(small());
    await validateImage(Buffer.concat([Buffer.from("before"), bytes]).subarray(6), written);
  });
});
