import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  type CheckResult,
  type CheckSpec,
  check,
  exhaustive,
  pct,
  preemptions,
  random,
  replay,
  type ThreadBody,
} from "../../runtime/check/index.ts";
import { image, imageOf } from "./images.ts";
import { permits, queue, structures } from "./structures.ts";
import "../../runtime/check/vitest.ts";

async function broken(structure = queue, bug = 2, more: object = {}): Promise<CheckResult> {
  const built = await image(structure.name, { BUG: String(bug) });
  return check({ ...structure.spec, ...built, ...more });
}

describe("a report", () => {
  test("names thread, call, instruction, field, value and the author's line of each step", async () => {
    const { failure } = await broken(queue, 3, { strategy: exhaustive() });
    const [first] = failure!.trace;
    expect(first).toMatchObject({
      step: 1,
      thread: "p0",
      event: "access",
      call: "tryPush(10n)",
      access: {
        op: "i32.atomic.load",
        field: "tail",
        value: "0",
        function: "tryPush",
        source: { file: "api.ts", text: "const tail = shared.tail.load();", near: false },
      },
    });
    expect(failure!.message).toMatch(
      /^data race on slots\[\d\]\.item \(Slot\.item\) between "\w\d" \(.*\) and "\w\d" \(/,
    );
    expect(failure!.pending.map((next) => next.access.field)).toContain("slots[0].item");
  });

  test("never shows a line of another function, however the optimiser moved the instructions", async () => {
    const gate = await imageOf(`@vvar class Gate { epoch: Atomic<u32>; sleepers: Atomic<u32>; tokens: Atomic<u32>; }
const gate = vvarRoot<Gate>();
function tryTake(): bool {
  while (true) {
    const n = gate.tokens.load();
    if (n == 0) return false;
    if (gate.tokens.cas(n, n - 1)) return true;
  }
}
export function take(): void {
  while (true) {
    if (tryTake()) return;
    const epoch = gate.epoch.load();
    gate.sleepers.add(1);
    gate.epoch.wait(epoch);
    gate.sleepers.sub(1);
  }
}
export function give(): void {
  gate.tokens.add(1);
  if (gate.sleepers.load() == 0) return;
  gate.epoch.add(1);
  gate.epoch.notify(1);
}`);
    const { failure } = await check({
      ...gate,
      threads: {
        *a(t) {
          yield* t.call("take");
        },
        *b(t) {
          yield* t.call("give");
        },
      },
      strategy: exhaustive(),
    });
    expect(String(failure)).toMatch(/^deadlock: "a" \(take\(\)\) sleeps on epoch = 0, and nobody is left to wake it\n/);
    const lines = failure!.trace.map(({ call, access }) => ({ call, line: access!.source!.line }));
    expect(lines.filter(({ call, line }) => (call === "give()") !== line >= 20)).toEqual([]);
    expect(lines.some(({ call }) => call === "give()")).toBe(true);
  });

  test("is text for people, with the way to replay it", async () => {
    const { failure } = await broken(queue, 3, { strategy: exhaustive() });
    const text = String(failure);
    expect(text).toContain("race: data race on slots[0].item");
    expect(text).toMatch(/ {2}3 {2}p0 {2}tryPush\(10n\) {2}i32\.atomic\.rmw\.cmpxchg {2}tail +0 -> 1 +~?api\.ts:\d+/);
    expect(text).toContain(`again: strategy: replay(${JSON.stringify(failure!.schedule)})`);
  });

  test("is JSON for programs", async () => {
    const { failure } = await broken(queue, 3, { strategy: exhaustive() });
    const json = JSON.parse(JSON.stringify(failure)) as typeof failure;
    expect(json).toMatchObject({ kind: "race", schedule: failure!.schedule });
    expect(json!.trace).toHaveLength(failure!.trace.length);
  });

  test("names calls by what is known without a source map", async () => {
    const { failure } = await broken(queue, 3, { strategy: exhaustive(), sourceMap: undefined });
    expect(failure!.trace[0]!.access?.source).toBeUndefined();
    expect(String(failure)).toContain("in tryPush()");
  });

  test("says who was killed where", async () => {
    const { failure } = await broken(permits, 3, { strategy: exhaustive() });
    const death = failure!.trace.find((step) => step.event !== "access");
    expect(death).toMatchObject({ event: "killed", thread: expect.stringMatching(/^[ab]$/), call: "acquire(2)" });
    expect(String(failure)).toContain("KILLED");
    expect(failure!.trace.some((step) => step.thread === "reaper")).toBe(true);
  });

  test("of a sampled failure has the seed that found it, and a schedule cut to what is needed", async () => {
    const found = await broken(queue, 2, { strategy: random({ seed: 5 }), races: false });
    expect(found.tier).toBe("sampled");
    const { failure } = found;
    const again = await broken(queue, 2, { strategy: random({ seed: failure!.seed!, schedules: 1 }), races: false });
    expect(again.failure?.schedule).toBe(failure!.schedule);
    expect(again.failure?.message).toBe(failure!.message);
  });
});

describe("strategies", () => {
  test.each([
    ["exhaustive", exhaustive(), "exhaustive"],
    ["at most 2 preemptions", preemptions(2), "bounded"],
    ["PCT", pct(), "sampled"],
    ["random", random(), "sampled"],
  ])("%s: finds the bug, and says how far it went", async (_, strategy, tier) => {
    const result = await broken(queue, 2, { strategy, races: false });
    expect(result.failure).toBeDefined();
    expect(result.tier).toBe(tier);
  });

  test.each([
    ["at most 1 preemption", preemptions(1)],
    ["PCT", pct()],
    ["random", random()],
  ])("%s: finds what a death breaks", async (_, strategy) => {
    const { failure } = await broken(permits, 3, { strategy });
    expect(failure?.trace.some((step) => step.event.startsWith("killed"))).toBe(true);
  });

  test("a bound of no preemption at all misses what needs one", async () => {
    const result = await broken(queue, 2, { strategy: preemptions(0), races: false });
    expect(result).toPass();
    expect(String(result)).toMatch(/^preemptions\(0\): all \d+ states and \d+ steps passed$/);
  });

  test("what is too large for a search is searched within a bound, then sampled", async () => {
    const small = [exhaustive({ states: 50 }), preemptions(1, { states: 50 }), pct({ schedules: 20 })];
    const result = await broken(queue, 0, { strategy: small });
    expect(result.tiers.map(({ strategy, complete }) => [strategy, complete])).toEqual([
      ["exhaustive", false],
      ["preemptions(1)", false],
      ["pct(depth 3)", true],
    ]);
    expect(result.tier).toBe("sampled");
    expect(String(result)).toContain("20 schedules passed");
  });

  describe("without a strategy", () => {
    const ORDER = `
      @vvar class VvarData { turn: Atomic<u32>; }
      const shared = vvarRoot<VvarData>();
      export function order(): u32 {
        let order: u32 = 0;
        for (let step: u32 = 0; step < 4; step++) order = order * 16 + shared.turn.add(1);
        return order;
      }`;
    const takesTurns: ThreadBody = function* (t) {
      yield* t.call("order");
    };
    const run = async (limits?: CheckSpec["limits"]): Promise<CheckResult> => {
      const { image: bytes } = await imageOf(ORDER);
      return check({
        image: bytes,
        threads: { a: takesTurns, b: takesTurns, c: takesTurns },
        ...(limits && { limits }),
      });
    };
    const summary = ({ tiers }: CheckResult): unknown =>
      tiers.map(({ strategy, tier, complete, limit }) => ({ strategy, tier, complete, limit }));
    const tried = (limit: number) => [
      { strategy: "exhaustive", tier: "exhaustive", complete: false, limit },
      { strategy: "preemptions(2)", tier: "bounded", complete: false, limit },
    ];

    test("the exhaustive search has two million states to get through", async () => {
      const result = await run();
      expect(summary(result)).toEqual([{ ...tried(2_000_000)[0], complete: true }]);
      expect(result).toMatchObject({ tier: "exhaustive", states: 110_251 });
      expect(String(result)).toBe("exhaustive: all 110251 states and 110250 steps passed");
    });

    test("what is too large for it is searched within a bound", async () => {
      const result = await run({ states: 5_000 });
      expect(summary(result)).toEqual([tried(5_000)[0], { ...tried(5_000)[1], complete: true }]);
      expect(result).toMatchObject({ tier: "bounded", states: 2_389 });
      expect(result.tiers[0]!.states).toBeGreaterThan(5_000);
      expect(String(result)).toBe(
        "exhaustive: given up after 5000 states; preemptions(2): all 2389 states and 2388 steps passed",
      );
    });

    test("what is too large for that as well is sampled", async () => {
      const result = await run({ states: 1_000 });
      const sampled = { strategy: "pct(depth 3)", tier: "sampled", complete: true, limit: 20_000 };
      expect(summary(result)).toEqual([...tried(1_000), sampled]);
      expect(result).toMatchObject({ tier: "sampled", schedules: 20_000 });
      for (const { states } of result.tiers.slice(0, 2)) expect(states).toBeGreaterThan(1_000);
      expect(String(result)).toBe(
        "exhaustive: given up after 1000 states; preemptions(2): given up after 1000 states; pct(depth 3): 20000 schedules passed",
      );
    });
  });

  test("a replayed schedule of the broken image passes on the corrected one, where it still fits", async () => {
    const { failure } = await broken(queue, 4, { strategy: exhaustive(), races: false });
    const corrected = await image("queue");
    const result = await check({ ...queue.spec, ...corrected, races: false, strategy: replay(failure!.schedule) });
    expect(result).toPass();
    expect(result.tier).toBe("replayed");
  });
});

test("every bug's schedule fails in the same way in another process", async () => {
  const found: { structure: string; index: number; schedule: string; failure: string }[] = [];
  for (const { name, spec, bugs } of structures) {
    for (const [index, { bug, config, spec: other }] of bugs.entries()) {
      const built = await image(name, { ...config, BUG: String(bug) });
      const { failure } = await check({ ...spec, ...other, ...built, strategy: exhaustive() });
      found.push({
        structure: name,
        index,
        schedule: failure!.schedule,
        failure: `${failure!.kind}: ${failure!.message} ${JSON.stringify(failure!.trace)}`,
      });
    }
  }
  const script = join(import.meta.dirname, "replay-process.ts");
  const { stdout, stderr, status } = spawnSync(process.execPath, [script], {
    input: JSON.stringify(found.map(({ structure, index, schedule }) => ({ structure, index, schedule }))),
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toEqual(found.map(({ failure }) => failure));
}, 300_000);

describe("toPass()", () => {
  test("fails with the report", async () => {
    const result = await broken(queue, 3, { strategy: exhaustive() });
    expect(() => expect(result).toPass()).toThrow(/the check failed\n\nrace: data race on slots\[0\]\.item/);
    expect(result).not.toPass();
  });

  test("negated, fails with what was covered", async () => {
    const result = await broken(queue, 0, { strategy: exhaustive() });
    expect(() => expect(result).not.toPass()).toThrow(
      /expected the check to fail, but it passed: exhaustive, reduced: all \d+ states/,
    );
  });
});
