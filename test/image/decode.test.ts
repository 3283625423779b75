import { describe, expect, test } from "vitest";
import { decodeVvar } from "../../runtime/image/decode.ts";
import { formatVvar } from "../../runtime/image/format.ts";
import type { TypeNames } from "../../runtime/image/types.ts";
import { expectCode } from "../expect-code.ts";

const types: TypeNames = {
  layout: {
    root: "Root",
    address: 1024,
    end: 1024 + 16 + 1000 * 16 + 64,
    structs: [
      {
        name: "Root",
        size: 16 + 1000 * 16 + 64,
        align: 8,
        fields: [
          { name: "count", offset: 0, type: "Atomic<u64>", size: 8 },
          { name: "mode", offset: 8, type: "Atomic<Mode>", size: 4 },
          { name: "last", offset: 12, type: "VPtr<Sample>", size: 4 },
          { name: "samples", offset: 16, type: "Sample", size: 16_000, length: 1000, stride: 16 },
          { name: "flags", offset: 16_016, type: "bool", size: 4, length: 4, stride: 1 },
          { name: "words", offset: 16_020, type: "i32", size: 60, length: 15, stride: 4 },
        ],
      },
      {
        name: "Sample",
        size: 16,
        align: 8,
        fields: [
          { name: "at", offset: 0, type: "f64", size: 8 },
          { name: "value", offset: 8, type: "i32", size: 4 },
        ],
      },
    ],
  },
  enums: [
    {
      name: "Mode",
      values: [
        ["Idle", 0],
        ["Counting", 5],
      ],
    },
  ],
  structs: [],
  interfaces: [],
};

function vvar(): { bytes: Uint8Array<ArrayBuffer>; view: DataView } {
  const bytes = new Uint8Array(types.layout.end);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(1024, 2n ** 63n, true);
  view.setInt32(1032, 5, true);
  view.setFloat64(1040 + 3 * 16, 12.5, true);
  view.setInt32(1040 + 3 * 16 + 8, -1, true);
  bytes[1024 + 16_017] = 1;
  return { bytes, view };
}

describe("decoding", () => {
  test("gives a plain object with every value", () => {
    const decoded = decodeVvar(types, vvar().bytes) as Record<string, unknown[]>;
    expect(decoded).toMatchObject({ count: 2n ** 63n, mode: 5, last: 0, flags: [false, true, false, false] });
    expect(decoded["samples"]).toHaveLength(1000);
    expect(decoded["samples"]?.[3]).toEqual({ at: 12.5, value: -1 });
    expect(Object.getOwnPropertyDescriptor(decoded, "count")).toHaveProperty("value");
  });

  test("reads shared memory as it is at that moment", () => {
    const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
    new DataView(memory.buffer).setBigUint64(1024, 1n, true);
    const before = decodeVvar(types, memory, { path: "count" });
    new DataView(memory.buffer).setBigUint64(1024, 2n, true);
    expect([before, decodeVvar(types, memory.buffer, { path: "count" })]).toEqual([1n, 2n]);
  });

  test.each([
    ["samples[3].value", -1],
    ["samples[3]", { at: 12.5, value: -1 }],
    ["flags", [false, true, false, false]],
  ])("gives what stands at a path: %s", (path, value) => {
    expect(decodeVvar(types, vvar().bytes, { path })).toEqual(value);
  });

  test.each([
    ["nothing", "expected one of count, mode, last, samples, flags, words, found nothing"],
    ["samples[1000]", "expected behind samples an index below 1000, found [1000]"],
    ["samples.at", "expected behind samples an index, found .at"],
    ["samples[0].no", "expected behind samples[0] one of at, value, found .no"],
    ["count[0]", "expected behind count no index, found [0]"],
    ["count.more", "expected behind count nothing more, found .more"],
    ["samples[-1]", "expected behind samples an index, found ["],
  ])("refuses the path %s", async (path, message) => {
    const error = await expectCode("ERR_VDSO_FIELD", () => decodeVvar(types, vvar().bytes, { path }));
    expect(error.message).toContain(message);
  });

  test("refuses memory that is too small", async () => {
    await expectCode("ERR_VDSO_SIZE", () => decodeVvar(types, new Uint8Array(1024)));
  });
});

describe("formatting", () => {
  test("shows what differs from the rest", () => {
    expect(formatVvar(types, vvar().bytes)).toBe(
      [
        "count: 9223372036854775808",
        "mode: Counting (5)",
        "last: null",
        "samples: 1000 x Sample, 999 of them { at: 0, value: 0 }",
        "  [3]: { at: 12.5, value: -1 }",
        "flags: [false, true, false, false]",
        "words: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]",
      ].join("\n"),
    );
  });

  test("takes as usual what most elements are, not only zero", () => {
    const { bytes, view } = vvar();
    for (let index = 0; index < 1000; index++) view.setInt32(1040 + index * 16 + 8, index < 20 ? index : 7, true);
    const lines = formatVvar(types, bytes, { path: "samples", maxElements: 2 }).split("\n");
    expect(lines).toEqual([
      "samples: 1000 x Sample, 981 of them { at: 0, value: 7 }",
      "  [0]: { at: 0, value: 0 }",
      "  [1]: { at: 0, value: 1 }",
      "  … 17 more",
    ]);
  });

  test("shows a run of equal elements once", () => {
    const { bytes, view } = vvar();
    for (let index = 400; index < 600; index++) view.setInt32(1040 + index * 16 + 8, 9, true);
    expect(formatVvar(types, bytes, { path: "samples" }).split("\n")).toEqual([
      "samples: 1000 x Sample, 799 of them { at: 0, value: 0 }",
      "  [3]: { at: 12.5, value: -1 }",
      "  [400..599]: { at: 0, value: 9 }",
    ]);
  });

  test("stays short when all elements differ", () => {
    const { bytes, view } = vvar();
    for (let index = 0; index < 1000; index++) view.setInt32(1040 + index * 16 + 8, index + 1, true);
    const lines = formatVvar(types, bytes, { maxLines: 6 }).split("\n");
    expect(lines.slice(3)).toEqual([
      "samples: 1000 x Sample:",
      "  [0]: { at: 0, value: 1 }",
      "  [1]: { at: 0, value: 2 }",
      "… 9 more lines",
    ]);
  });

  test("says when a number is none of its enum", () => {
    const { bytes, view } = vvar();
    view.setInt32(1032, 6, true);
    view.setUint32(1036, 1040, true);
    expect(formatVvar(types, bytes, { path: "mode" })).toBe("mode: not in Mode (6)");
    expect(formatVvar(types, bytes, { path: "last" })).toBe("last: -> 1040");
  });
});
