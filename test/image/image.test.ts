import { beforeAll, describe, expect, test } from "vitest";
import { VdsoError } from "../../runtime/errors.ts";
import { packManifest, peekManifest, unpackManifest } from "../../runtime/image/compact.ts";
import { abiFingerprint, sha256 } from "../../runtime/image/fingerprint.ts";
import type { Manifest } from "../../runtime/image/manifest.ts";
import { factsOf, readImage } from "../../runtime/image/read.ts";
import { writeImage } from "../../runtime/image/write.ts";
import { expectCode } from "../expect-code.ts";
import { assemble, buildSample, SAMPLE_WAT, type Sample, sampleManifest } from "../loader/sample.ts";

let sample: Sample;
let module: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  module = assemble(SAMPLE_WAT);
  sample = await buildSample();
});

/** Where the section's contents begin: "vdso", version, checksum, manifest. */
function contentsOf(image: Uint8Array): number {
  return new TextDecoder("latin1").decode(image).lastIndexOf("vdsovdso") + 4;
}

async function refusalOf(image: Uint8Array): Promise<string> {
  try {
    await readImage(image);
  } catch (error) {
    if (error instanceof VdsoError) return error.code;
    throw error;
  }
  return "accepted";
}

describe("the compacted manifest", () => {
  test("comes back as it was, odd numbers and absent fields included", () => {
    const manifest: Manifest = { ...sampleManifest(), fingerprint: "0123456789abcdef" };
    manifest.constants.push(
      { name: "NOT", type: "f64", value: Number.NaN, config: false },
      { name: "LOW", type: "f32", value: -Infinity, config: false },
      { name: "DEEP", type: "i64", value: "-9223372036854775808", config: false },
      { name: "EMPTY", type: "string", value: "", config: true },
    );
    expect(unpackManifest(packManifest(manifest))).toStrictEqual(manifest);
  });

  test.each([0, 1, 3])("shows its fingerprint and log level without being unpacked, with %i features", (count) => {
    const features = Array.from({ length: count }, (_, index) => `feature${index}`);
    const manifest: Manifest = { ...sampleManifest(), fingerprint: "0123456789abcdef", features };
    const { logLevel } = manifest.private;
    expect(peekManifest(packManifest(manifest))).toEqual({ fingerprint: "0123456789abcdef", logLevel });
  });

  test("takes less than half of the plain JSON", () => {
    expect(packManifest(sample.manifest).length).toBeLessThan(JSON.stringify(sample.manifest).length / 2);
  });

  test.each(["", "{}", "[]", "[1]", '["a","b"', '["a",99]', "null"])("is refused when it is %j", async (text) => {
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => unpackManifest(text));
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => peekManifest(text));
  });

  test("is refused with a value too many or too few", async () => {
    const tokens = JSON.parse(packManifest(sample.manifest)) as unknown[];
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => unpackManifest(JSON.stringify([...tokens, 1])));
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => unpackManifest(JSON.stringify(tokens.slice(0, -1))));
  });
});

describe("an image", () => {
  test("says what was written into it", async () => {
    expect(await readImage(sample.image)).toStrictEqual(sample.manifest);
    const facts = factsOf(new WebAssembly.Module(sample.image));
    expect(facts.manifest()).toStrictEqual(sample.manifest);
    expect([facts.fingerprint, facts.logLevel]).toEqual([
      sample.manifest.fingerprint,
      sample.manifest.private.logLevel,
    ]);
  });

  test("is the same to the byte each time", async () => {
    const again = await writeImage(module, sampleManifest());
    expect(again.image).toEqual(sample.image);
  });

  test("begins with the module and is one itself", () => {
    expect(sample.image.subarray(0, module.length)).toEqual(module);
    expect(WebAssembly.validate(sample.image)).toBe(true);
  });

  test("is not made of an image, nor of anything but WebAssembly", async () => {
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => writeImage(sample.image, sampleManifest()));
    await expectCode("ERR_VDSO_IMAGE_MAGIC", () => writeImage(new TextEncoder().encode("(module)"), sampleManifest()));
  });

  test("is refused with a code of its own when it is not WebAssembly", async () => {
    const error = await expectCode("ERR_VDSO_IMAGE_MAGIC", () => readImage(new TextEncoder().encode("#!/bin/sh")));
    expect(error.message).toContain("23 21 2f 62");
    const older = sample.image.slice();
    older[4] = 2;
    await expectCode("ERR_VDSO_IMAGE_MAGIC", () => readImage(older));
  });

  test("is refused with a code of its own when it is foreign WebAssembly", async () => {
    await expectCode("ERR_VDSO_IMAGE_FOREIGN", () => readImage(module));
    const empty = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    await expectCode("ERR_VDSO_IMAGE_FOREIGN", () => factsOf(empty));
  });

  test("is refused with a code of its own when it has another manifest version", async () => {
    const newer = sample.image.slice();
    newer[contentsOf(newer) + 4]! += 1;
    const error = await expectCode("ERR_VDSO_IMAGE_VERSION", () => readImage(newer));
    expect(error.message).toBe("expected manifest version 1, found 2");
  });

  test("is refused when it is cut off, at each length", async () => {
    const codes = new Map<string, number>();
    for (let length = 0; length < sample.image.length; length++) {
      const code = await refusalOf(sample.image.subarray(0, length));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // Cut between two sections there is nothing to see but that the last one is missing.
    expect([...codes.keys()].sort()).toEqual(["ERR_VDSO_IMAGE_FOREIGN", "ERR_VDSO_IMAGE_TRUNCATED"]);
    expect(codes.get("ERR_VDSO_IMAGE_FOREIGN")).toBeLessThan(12);
  });

  test("is refused when any single byte of it was changed", async () => {
    const accepted: number[] = [];
    for (let at = 0; at < sample.image.length; at++) {
      for (const flip of [1, 128, (at % 254) + 1]) {
        const changed = sample.image.slice();
        changed[at]! ^= flip;
        if ((await refusalOf(changed)) === "accepted") accepted.push(at);
      }
    }
    expect(accepted).toEqual([]);
  });

  test("is refused when something was appended", async () => {
    const custom = [0, 2, 1, 0x78];
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => readImage(Uint8Array.of(...sample.image, ...custom)));
    await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => readImage(Uint8Array.of(...sample.image, 0)));
  });

  test("is refused when its checksum is right and its fingerprint is not", async () => {
    const forged = sample.image.slice();
    const contents = contentsOf(forged);
    const packed = new TextDecoder("latin1").decode(forged.subarray(contents + 37));
    const changed = packed.replace(sample.manifest.fingerprint, "0000000000000000");
    forged.set(new TextEncoder().encode(changed), contents + 37);
    forged.set(await sha256([module, new TextEncoder().encode(changed)]), contents + 5);
    const error = await expectCode("ERR_VDSO_IMAGE_CORRUPT", () => readImage(forged));
    expect(error.message).toContain(sample.manifest.fingerprint);
  });
});

describe("the fingerprint", () => {
  type Change = (manifest: Omit<Manifest, "fingerprint">) => void;
  const changed = (change: Change) => {
    const manifest = sampleManifest();
    change(manifest);
    return abiFingerprint(manifest);
  };

  test("has 16 hex digits", () => {
    expect(sample.manifest.fingerprint).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each<[string, Change]>([
    [
      "the name",
      (m) => {
        m.name = "other";
      },
    ],
    [
      "a field's offset",
      (m) => {
        m.layout.structs[0]!.fields[0]!.offset = 16;
      },
    ],
    [
      "a field's type",
      (m) => {
        m.layout.structs[0]!.fields[2]!.type = "i32";
      },
    ],
    [
      "an array's length",
      (m) => {
        m.layout.structs[0]!.fields[3]!.length = 2;
      },
    ],
    [
      "the layout's end",
      (m) => {
        m.layout.end += 8;
      },
    ],
    [
      "a constant",
      (m) => {
        m.constants[0]!.value = 65;
      },
    ],
    [
      "a parameter's type",
      (m) => {
        m.exports[4]!.params[0]!.type = "i32";
      },
    ],
    [
      "a parameter's default",
      (m) => {
        m.exports[4]!.params[1]!.default = "8";
      },
    ],
    [
      "a result",
      (m) => {
        m.exports[3]!.result = "i32";
      },
    ],
    ["an export's absence", (m) => void m.exports.pop()],
    ["an interface's function", (m) => void m.interfaces[0]!.functions.pop()],
    [
      "static or not",
      (m) => {
        m.interfaces[0]!.functions[0]!.static = false;
      },
    ],
    [
      "a value of an enum in use",
      (m) => {
        m.enums[0]!.values[1]![1] = 6;
      },
    ],
    [
      "a struct in use",
      (m) => {
        m.structs[0]!.fields[4]!.offset = 23;
      },
    ],
    [
      "a struct within a struct",
      (m) => {
        m.structs[1]!.fields[0]!.type = "i32";
      },
    ],
    [
      "where arguments go",
      (m) => {
        m.private.args += 8;
      },
    ],
  ])("depends on %s", async (_, change) => {
    expect(await changed(change)).not.toBe(sample.manifest.fingerprint);
  });

  test.each<[string, Change]>([
    [
      "messages",
      (m) => {
        m.panics[0]!.message = "other";
      },
    ],
    ["lines", (m) => void m.logs[0]!.line++],
    [
      "the mode",
      (m) => {
        m.mode = "debug";
      },
    ],
    [
      "the builder",
      (m) => {
        m.builder = "wasm-vdso 9.9.9";
      },
    ],
    ["enums that nothing uses", (m) => void m.enums.pop()],
    ["the order of exports", (m) => void m.exports.reverse()],
    ["the order of constants", (m) => void m.constants.reverse()],
  ])("does not depend on %s", async (_, change) => {
    expect(await changed(change)).toBe(sample.manifest.fingerprint);
  });
});
