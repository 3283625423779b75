/** Every order of every access, with deaths at every access; what must hold is in `small-heap.ts`. */
import { expect, test } from "vitest";
import { type CheckSpec, check, exhaustive } from "../../runtime/check/index.ts";
import { type HeapApi, type Scenario, scenarios } from "./scenarios.ts";
import { type HeapVvar, heapImage } from "./small-heap.ts";

async function passes({ constants, spec }: Scenario, kills?: CheckSpec["kills"]): Promise<void> {
  const image = await heapImage(constants);
  const strategy = exhaustive({ states: 3_000_000 });
  const result = await check<HeapApi, HeapVvar>({ ...image, ...spec, ...(kills && { kills }), strategy });
  expect(result.ok, String(result)).toBe(true);
  expect(result.tier).toBe("exhaustive");
}

test.each(scenarios)("$title, in all interleavings", (scenario) => passes(scenario));

test.each(scenarios.filter(({ deaths }) => deaths > 0))(
  "$title, with $deaths deaths at any access, and $reaperDeaths of the reaper",
  (scenario) => passes(scenario, { max: scenario.deaths, reaper: scenario.reaperDeaths }),
);
