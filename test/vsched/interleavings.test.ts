/** `VSCHED_ALL_STATES=1` also tries every interleaving of the large systems, which have 3 to 22 million states: some ten minutes. Otherwise those are tried in part. */
import { expect, test } from "vitest";
import { check, exhaustive, pct, preemptions } from "../../runtime/check/index.ts";
import { scenarios } from "./scenarios.ts";
import { slotScenarios } from "./slot-scenarios.ts";
import { smallImage } from "./small-image.ts";

const everything = process.env["VSCHED_ALL_STATES"] === "1";

test.each([...scenarios, ...slotScenarios])("$title", { timeout: 600_000 }, async ({ spec, tables, large }) => {
  const whole = !large || everything;
  const image = await smallImage(tables);
  const strategy = whole
    ? exhaustive({ states: 25_000_000 })
    : [preemptions(1, { states: 100_000 }), pct({ schedules: 1000 })];
  const result = await check({ ...spec, ...image, timeouts: false, strategy });
  expect(result.ok, String(result)).toBe(true);
  if (whole) expect(result.tier).toBe("exhaustive");
});
