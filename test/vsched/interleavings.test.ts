/** `VSCHED_ALL_STATES=1` also tries every interleaving of the large systems: some minutes. Otherwise those are tried in part. */
import { expect, test } from "vitest";
import { check, exhaustive, pct, preemptions } from "../../runtime/check/index.ts";
import { scenarios } from "./scenarios.ts";
import { smallImage } from "./small-image.ts";

const everything = process.env["VSCHED_ALL_STATES"] === "1";

test.each(scenarios)("$title", { timeout: 600_000 }, async ({ spec, tasks = 1, large = false }) => {
  const image = await smallImage({ TASKS: String(tasks) });
  const whole = { ...spec, ...image, timeouts: false };
  const strategy =
    large && !everything
      ? [preemptions(1, { states: 100_000 }), pct({ schedules: 1000 })]
      : exhaustive({ states: 20_000_000 });
  const result = await check({ ...whole, strategy });
  expect(result.ok, String(result)).toBe(true);
  if (!large || everything) expect(result.tier).toBe("exhaustive");
});
