/** An image that exports every instruction which can touch the vVAR, each as a function of its own. */
import binaryen from "binaryen";
import { type AccessForm, ATOMIC_ACCESSES, Kind, PLAIN_ACCESSES } from "../../runtime/check/accesses.ts";
import type { ApiFunction, Manifest, Scalar } from "../../runtime/image/manifest.ts";
import { writeImage } from "../../runtime/image/write.ts";

/** First byte behind the vVAR's header, where the operations work. */
export const BASE = 1024;
/** Bytes that they may touch. */
export const ROOM = 64;
const END = BASE + ROOM + 16;

export interface Operation {
  readonly name: string;
  readonly fn: ApiFunction;
  readonly form: AccessForm | undefined;
}

const WAT_TYPE: Readonly<Record<string, Scalar>> = { i32: "i32", i64: "i64", f32: "f32", f64: "f64" };

function accessOperation(form: AccessForm): { operation: Operation; wat: string } {
  const name = form.op.replaceAll(".", "_");
  const { type, kind } = form;
  const operands = kind === Kind.load ? 0 : kind === Kind.cas ? 2 : 1;
  const result = kind === Kind.store ? "" : type;
  const params = ["i32", ...Array<string>(operands).fill(type)];
  const gets = params.map((_, index) => `(local.get ${index})`).join(" ");
  const wat = `(func (export "${name}") (param ${params.join(" ")}) ${result && `(result ${result})`}
    (${form.op} $vvar offset=${BASE} ${gets}))`;
  const fn: ApiFunction = {
    name,
    params: params.map((param, index) => ({ name: `p${index}`, type: index === 0 ? "u32" : WAT_TYPE[param]! })),
    result: result === "" ? "void" : WAT_TYPE[result]!,
  };
  return { operation: { name, fn, form }, wat };
}

const bulk: readonly { name: string; params: number; wat: string; result?: "u32" }[] = [
  {
    name: "fill",
    params: 3,
    wat: "(memory.fill $vvar (i32.add (local.get 0) (i32.const 1024)) (local.get 1) (local.get 2))",
  },
  {
    name: "copy_within",
    params: 3,
    wat: "(memory.copy $vvar $vvar (i32.add (local.get 0) (i32.const 1024)) (i32.add (local.get 1) (i32.const 1024)) (local.get 2))",
  },
  {
    name: "copy_in",
    params: 3,
    wat: "(memory.copy $vvar $own (i32.add (local.get 0) (i32.const 1024)) (i32.add (local.get 1) (i32.const 512)) (local.get 2))",
  },
  {
    name: "copy_out",
    params: 3,
    wat: "(memory.copy $own $vvar (i32.add (local.get 0) (i32.const 512)) (i32.add (local.get 1) (i32.const 1024)) (local.get 2))",
  },
  { name: "size", params: 3, wat: "(memory.size $vvar)", result: "u32" },
  {
    name: "notify",
    params: 3,
    wat: "(memory.atomic.notify $vvar offset=1024 (i32.and (local.get 0) (i32.const 56)) (local.get 1))",
    result: "u32",
  },
  { name: "own", params: 3, wat: "(i32.load $own offset=512 (local.get 0))", result: "u32" },
];

/** Every instruction with an operand that says where. */
export const operations: readonly Operation[] = [
  ...[...PLAIN_ACCESSES.values(), ...ATOMIC_ACCESSES.values()].map((form) => accessOperation(form).operation),
  ...bulk.map(({ name, params, result }) => ({
    name,
    form: undefined,
    fn: {
      name,
      params: Array.from({ length: params }, (_, index) => ({ name: `p${index}`, type: "u32" })),
      result: result ?? "void",
    },
  })),
];

/** A module as an image, with a vVAR that is one array of bytes. */
export async function imageOfWat(
  body: string,
  exports: readonly ApiFunction[],
  end = END,
): Promise<{ image: Uint8Array<ArrayBuffer>; manifest: Manifest }> {
  const f = binaryen.Features;
  const module = binaryen.parseText(`(module
    (import "vdso" "vvar" (memory $vvar 0 65536 shared))
    (memory $own 1 1)
    (export "memory" (memory $own))
    ${body})`);
  module.setFeatures(
    f.Atomics | f.BulkMemory | f.BulkMemoryOpt | f.MultiMemory | f.SignExt | f.MutableGlobals | f.SIMD128,
  );
  try {
    return await writeImage(new Uint8Array(module.emitBinary()), {
      name: "operations",
      package: "operations",
      mode: "release",
      log: false,
      features: [],
      builder: "test",
      layout: {
        root: "Root",
        address: BASE,
        end,
        structs: [
          {
            name: "Root",
            size: end - BASE,
            align: 8,
            fields: [{ name: "bytes", offset: 0, type: "u8", size: end - BASE, length: end - BASE, stride: 1 }],
          },
        ],
      },
      constants: [],
      enums: [],
      structs: [],
      exports: [...exports],
      interfaces: [],
      panics: [],
      logs: [],
      private: { pages: 1, logLevel: 16, args: 1024, argsBytes: 1024, ringCursor: 0 },
    });
  } finally {
    module.dispose();
  }
}

export function operationsImage(): ReturnType<typeof imageOfWat> {
  const accesses = [...PLAIN_ACCESSES.values(), ...ATOMIC_ACCESSES.values()].map((form) => accessOperation(form).wat);
  const rest = bulk.map(({ name, params, wat, result }) => {
    const types = Array<string>(params).fill("i32").join(" ");
    return `(func (export "${name}") (param ${types}) ${result ? "(result i32)" : ""} ${wat})`;
  });
  return imageOfWat(
    [...accesses, ...rest].join("\n"),
    operations.map((operation) => operation.fn),
  );
}
