/** The reduced search has to come to the same answers as the one that follows every step of every schedule. */
import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type AnyApi,
  type CheckResult,
  type CheckSpec,
  type CheckState,
  check,
  exhaustive,
  replay,
  type ThreadBody,
} from "../../runtime/check/index.ts";
import { image, imageOf } from "./images.ts";
import { imageOfWat } from "./operations.ts";
import { structures } from "./structures.ts";

/** A check in full or reduced, and every outcome: what the threads had called and been answered when nobody could go on. */
async function outcomes(
  spec: CheckSpec<AnyApi>,
  reduce: boolean,
): Promise<{ result: CheckResult; seen: readonly string[] }> {
  const seen = new Set<string>();
  const collect = ({ threads, reaper }: CheckState): void => {
    if (threads.some(({ status }) => status === "running") || reaper?.status === "running") return;
    const of = (thread: (typeof threads)[number]): string =>
      `${thread.status} ${thread.log.map(({ fn, args, result }) => `${fn}(${args.join()})=${String(result)}`).join(" ")}`;
    seen.add([...threads, ...(reaper ? [reaper] : [])].map(of).join("; "));
  };
  const safety = [...[spec.safety ?? []].flat(), collect];
  const result = await check({ ...spec, safety, strategy: exhaustive(), reduce });
  return { result, seen: [...seen].sort() };
}

async function compare(spec: CheckSpec<AnyApi>): Promise<CheckResult> {
  const full = await outcomes(spec, false);
  const reduced = await outcomes(spec, true);
  expect(full.result.reduction).toBe("none");
  expect(reduced.result.failure?.kind).toBe(full.result.failure?.kind);
  expect(reduced.result.failure?.schedule).toBe(full.result.failure?.schedule);
  if (full.result.ok) {
    expect(reduced.seen).toEqual(full.seen);
    expect(reduced.result.states).toBeLessThanOrEqual(full.result.states);
    const places = (result: CheckResult): unknown[] =>
      result.killPoints.map(({ thread, call, access, after, within, stuck }) =>
        [thread, call, access, after, within, stuck > 0].join(),
      );
    expect(places(reduced.result).sort()).toEqual(places(full.result).sort());
  }
  return reduced.result;
}

test.each(structures)(
  "$name: the same outcomes and the same places to die at, in full and reduced",
  async ({ name, spec }) => {
    await compare({ ...spec, ...(await image(name, {})) });
  },
);

test.each(structures.flatMap(({ name, spec, bugs }) => bugs.map((bug) => ({ name, title: bug.title, spec, bug }))))(
  "$name, $title: the same failure, in full and reduced",
  async ({ name, spec, bug }) => {
    const built = await image(name, { BUG: String(bug.bug), ...bug.config });
    const result = await compare({ ...spec, ...bug.spec, ...built });
    expect(result.ok).toBe(false);
  },
);

const OPERATIONS = {
  load: (word: number) => `(local.set 1 (i32.add (local.get 1) (i32.load $vvar (i32.const ${word}))))`,
  store: (word: number, value: number) => `(i32.store $vvar (i32.const ${word}) (i32.const ${value}))`,
  half: (word: number, value: number) => `(i32.store16 $vvar (i32.const ${word + 2}) (i32.const ${value}))`,
  atomicLoad: (word: number) => `(local.set 1 (i32.add (local.get 1) (i32.atomic.load $vvar (i32.const ${word}))))`,
  atomicStore: (word: number, value: number) => `(i32.atomic.store $vvar (i32.const ${word}) (i32.const ${value}))`,
  add: (word: number, value: number) =>
    `(local.set 1 (i32.add (local.get 1) (i32.atomic.rmw.add $vvar (i32.const ${word}) (i32.const ${value}))))`,
  /** The rest only if the word is not 0: what a release and an acquire order. */
  unless: (word: number) => `(if (i32.eqz (i32.atomic.load $vvar (i32.const ${word}))) (then (return (local.get 1))))`,
  copy: (word: number, value: number) =>
    `(memory.copy $vvar $vvar (i32.const ${word}) (i32.const ${1024 + 4 * (value % 5)}) (i32.const 4))`,
} as const;

const operation = fc
  .tuple(
    fc.constantFrom(...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[])),
    fc.nat(4),
    fc.integer({ min: 1, max: 3 }),
  )
  .map(([name, word, value]) => OPERATIONS[name](1024 + 4 * word, value));
const body = fc.array(operation, { minLength: 1, maxLength: 5 });

const calls = (...names: string[]): ThreadBody =>
  function* (t) {
    for (const name of names) yield* t.call(name, 0);
  };

test("programs of random accesses have the same outcomes and failures, with and without deaths", async () => {
  const params = [{ name: "n", type: "u32" }];
  let reduced = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(body, { minLength: 3, maxLength: 3 }),
      body,
      fc.boolean(),
      async (bodies, drop, kills) => {
        const functions = [...bodies, drop].map((lines, index) => {
          const name = index === bodies.length ? "processDrop" : `f${index}`;
          const result = name === "processDrop" ? "" : "(result i32)";
          const text = lines
            .join("\n")
            .replaceAll("(return (local.get 1))", result ? "(return (local.get 1))" : "(return)");
          return {
            wat: `(func (export "${name}") (param i32) ${result} (local i32) ${text} ${result && "(local.get 1)"})`,
            fn: { name, params, result: result ? "u32" : "void" },
          };
        });
        const { image: bytes } = await imageOfWat(
          functions.map(({ wat }) => wat).join("\n"),
          functions.map(({ fn }) => fn),
        );
        const result = await compare({
          image: bytes,
          threads: { a: calls("f0"), b: calls("f1", "f0"), c: calls("f2") },
          ...(kills && { kills: { max: 1, reaper: 1 } }),
        });
        if (result.reduction !== "none") reduced++;
      },
    ),
    { numRuns: 80, seed: 7 },
  );
  expect(reduced).toBeGreaterThan(5);
});

const call = (...names: string[]): ThreadBody =>
  function* (t) {
    for (const name of names) yield* t.call(name);
  };

const INIT = `
  @vvar class VvarData { own: Atomic<u32>; plain: u32; second: u32; flag: Atomic<u32>; other: Atomic<u32>; }
  const shared = vvarRoot<VvarData>();
`;

test("a race with an access that a thread was taken past is found, and its schedule shows both accesses at once", async () => {
  const { image: bytes } = await imageOf(`${INIT}
    export function write(): void { shared.flag.load(); shared.plain = 1; shared.flag.load(); }
    export function read(): u32 { shared.other.add(1); shared.other.add(1); shared.other.add(1); return shared.plain; }
    export function add(): void { shared.other.add(1); shared.flag.store(1); }
  `);
  const threads = { a: call("write"), b: call("read"), c: call("add") };
  const { failure } = await check({ image: bytes, threads, strategy: exhaustive() });
  expect(failure?.kind).toBe("race");
  const again = await check({ image: bytes, threads, strategy: replay(failure!.schedule) });
  expect(again.failure?.message).toBe(failure!.message);
  expect(again.failure?.pending.map(({ access }) => access.field)).toEqual(expect.arrayContaining(["plain", "plain"]));
});

test("a word that a second thread comes to late is not taken for the first one's", async () => {
  const { image: bytes } = await imageOf(`${INIT}
    export function twice(): u32 { shared.flag.add(1); const before = shared.own.load(); shared.own.store(before + 1); return before; }
    export function late(): void { if (shared.flag.load() == 1) shared.own.store(7); }
  `);
  const spec = { image: bytes, threads: { a: call("twice", "twice"), b: call("late") } };
  const { result, seen } = await outcomes(spec, true);
  expect(result.ok, String(result)).toBe(true);
  expect(seen).toEqual((await outcomes(spec, false)).seen);
  expect(seen.join()).toMatch(/twice\(\)=7/);
});

test("a death between two accesses that nobody else makes is followed", async () => {
  const { image: bytes } = await imageOf(`${INIT}
    export function change(): void { shared.flag.add(1); shared.plain = 1; shared.second = 1; shared.flag.add(1); }
    export function busy(): void { shared.other.add(1); shared.other.add(1); }
    export function processDrop(pid: u32): void { if (shared.plain != shared.second) panic("half done"); }
  `);
  const spec = { image: bytes, threads: { a: call("change"), b: call("busy") }, kills: { threads: ["a"] } };
  const { result } = await outcomes(spec, true);
  expect(result.failure?.message).toMatch(/half done/);
});

test("a thread that goes round over accesses of its own does not keep the others from going on", async () => {
  const { image: bytes } = await imageOf(`${INIT}
    export function round(): bool { shared.own.load(); return shared.own.load() == 9; }
    export function fail(): void { shared.flag.add(1); panic("reached"); }
  `);
  const spec: CheckSpec<AnyApi> = {
    image: bytes,
    threads: {
      a: {
        daemon: true,
        *run(t) {
          yield* t.until("round", [], (done) => done === true);
        },
      },
      b: call("fail"),
    },
  };
  const { result } = await outcomes(spec, true);
  expect(result.failure?.message).toMatch(/reached/);
});

test("a rule that looks at the vVAR is asked about every step", async () => {
  const { image: bytes } = await imageOf(`${INIT}
    export function change(): void { shared.flag.add(1); shared.plain = 1; shared.plain = 0; shared.flag.add(1); }
  `);
  const result = await check({
    image: bytes,
    threads: { a: call("change"), b: call("change") },
    races: { allow: ["VvarData.other"] },
    safety: ({ vvar }) => vvar["second"] === 0 && vvar["plain"] === 0,
    strategy: exhaustive(),
  });
  expect(["safety", "race"]).toContain(result.failure?.kind);
  const alone = await check({
    image: bytes,
    threads: { a: call("change") },
    safety: ({ vvar }) => vvar["plain"] === 0,
    strategy: exhaustive(),
  });
  expect(alone.failure?.kind).toBe("safety");
  expect(alone.reduction).toBe("none");
});
