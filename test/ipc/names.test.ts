/** Names, in every order of every access, and with deaths at every access. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { compile } from "../../runtime/build/compile.ts";
import {
  type Choose,
  check,
  exhaustive,
  type Goal,
  linearizable,
  type SafetyPredicate,
  survivorsFinish,
  type ThreadBody,
  type VvarStruct,
} from "../../runtime/check/index.ts";

interface NamesApi {
  add(name: string, target: number): number;
  remove(name: string): number;
  lookup(name: string): number;
}

interface NamesVvar extends VvarStruct {
  readonly adder: number;
  readonly entries: readonly { readonly word: bigint; readonly name: readonly bigint[] }[];
}

const READY = 2n;
const NAMES = 2;
let image: Uint8Array<ArrayBuffer>;
let sourceMap: string;

beforeAll(async () => {
  const folder = join(import.meta.dirname, "..", "..", "vdso-src", "vnames");
  const read = (path: string): string | undefined => {
    try {
      return readFileSync(join(folder, path), "utf8");
    } catch {
      return undefined;
    }
  };
  const config = { NAMES: `${NAMES}`, NAME_UNITS: "4" };
  const options = { name: "vnames", package: "vnames", mode: "release", log: false, features: [], env: {} } as const;
  const built = await compile({ ...options, sources: { read }, config, sourceMap: true });
  image = new Uint8Array(built.image!);
  sourceMap = built.sourceMap!;
});

class Model {
  readonly names = new Map<string, number>();

  add(name: string, target: number, choose: Choose): number {
    const status = this.names.has(name) ? 1 : this.names.size === NAMES ? 2 : 0;
    const chosen = choose([status, 3]);
    if (chosen === 0) this.names.set(name, target);
    return chosen;
  }

  remove(name: string): number {
    return this.names.delete(name) ? 0 : 4;
  }

  lookup(name: string): number {
    return this.names.get(name) ?? 0;
  }
}

const adds = (name: string, target: number): ThreadBody<NamesApi> =>
  function* (t) {
    if ((yield* t.call("add", name, target)) === 0) yield* t.call("remove", name);
  };

const looks = (name: string, times: number): ThreadBody<NamesApi> =>
  function* (t) {
    for (let i = 0; i < times; i++) yield* t.call("lookup", name);
  };

const unique: SafetyPredicate<NamesVvar> = ({ vvar }) => {
  const names = vvar.entries.filter(({ word }) => ((word >> 32n) & 3n) === READY).map(({ name }) => name.join());
  return new Set(names).size === names.length;
};

const free: Goal<NamesVvar> = { name: "nobody is left adding", holds: ({ vvar }) => vvar.adder === 0 };

describe.each([
  { title: "two add one name", threads: { a: adds("x", 1), b: adds("x", 2) } },
  { title: "two add, one looks up", threads: { a: adds("x", 1), b: adds("y", 2), c: looks("x", 2) } },
])("$title", ({ threads }) => {
  test("in all interleavings, as a table of names would", async () => {
    const result = await check<NamesApi, NamesVvar>({
      image,
      sourceMap,
      threads,
      safety: [unique, linearizable(Model)],
      goals: [survivorsFinish(), free],
      strategy: exhaustive({ states: 1_000_000 }),
    });
    expect(result.ok, String(result)).toBe(true);
    expect(result.tier).toBe("exhaustive");
  });

  test("with a death at any access, and one of the reaper", async () => {
    const result = await check<NamesApi, NamesVvar>({
      image,
      sourceMap,
      threads,
      safety: unique,
      goals: [survivorsFinish(), free],
      kills: { max: 1, reaper: 1 },
      strategy: exhaustive({ states: 1_000_000 }),
    });
    expect(result.ok, String(result)).toBe(true);
    expect(result.tier).toBe("exhaustive");
  });
});
