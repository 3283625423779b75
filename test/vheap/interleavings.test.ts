/** Every order of every access, with deaths at every access; what must hold is in `small-heap.ts`. */
import { describe, expect, test } from "vitest";
import { type CheckSpec, check, exhaustive } from "../../runtime/check/index.ts";
import { type HeapApi, scenarios } from "./scenarios.ts";
import { type HeapVvar, heapImage } from "./small-heap.ts";

describe.each(scenarios)("$title", ({ constants, spec, deaths, reaperDeaths }) => {
  const run = async (kills?: CheckSpec<HeapApi, HeapVvar>["kills"]) => {
    const image = await heapImage(constants);
    return check<HeapApi, HeapVvar>({
      ...image,
      ...spec,
      ...(kills && { kills }),
      strategy: exhaustive({ states: 3_000_000 }),
    });
  };

  test("in all interleavings", async () => {
    const result = await run();
    expect(result.ok, String(result)).toBe(true);
    expect(result.tier).toBe("exhaustive");
  });

  test.runIf(deaths > 0)(`with ${deaths} deaths at any access, and ${reaperDeaths} of the reaper`, async () => {
    const result = await run({ max: deaths, reaper: reaperDeaths });
    expect(result.ok, String(result)).toBe(true);
    expect(result.tier).toBe("exhaustive");
  });
});
