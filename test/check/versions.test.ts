/** Schedules that other versions of Node found, with what they came to there. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { check, exhaustive, replay } from "../../runtime/check/index.ts";
import { type Recording, traceLines } from "./record-replays.ts";
import { structures } from "./structures.ts";

const FIXTURES = join(import.meta.dirname, "fixtures");
const recorded = readdirSync(FIXTURES).map(
  (file) => JSON.parse(readFileSync(join(FIXTURES, file), "utf8")) as { node: string; recordings: Recording[] },
);

test("one recording at least is of another version than the one that runs now", () => {
  expect(recorded.some(({ node }) => node !== process.version)).toBe(true);
});

describe.each(recorded)("found under Node $node", ({ recordings }) => {
  test.each(recordings)(
    "$structure fails in the same way, step by step, after the same number of states",
    async (recording) => {
      const { spec, bugs } = structures.find(({ name }) => name === recording.structure)!;
      const image = new Uint8Array(Buffer.from(recording.image, "base64"));
      const whole = { ...spec, ...bugs[recording.index]!.spec, image };
      const { failure } = await check({ ...whole, strategy: replay(recording.schedule) });
      expect(failure?.kind).toBe(recording.kind);
      expect(failure?.message).toBe(recording.message);
      expect(traceLines(failure!.trace)).toEqual(recording.trace);
      const again = await check({ ...whole, strategy: exhaustive() });
      expect(again.failure?.schedule).toBe(recording.schedule);
      expect(again.states).toBe(recording.states);
    },
  );
});
