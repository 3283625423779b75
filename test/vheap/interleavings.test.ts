/** Every order of every access, with deaths at every access; what must hold is in `small-heap.ts`. */
import { expect, test } from "vitest";
import { type CheckSpec, check, exhaustive, pct } from "../../runtime/check/index.ts";
import { crowd, type HeapApi, type Scenario, scenarios } from "./scenarios.ts";
import { type HeapVvar, heapImage } from "./small-heap.ts";

async function passes({ constants, spec }: Scenario, kills?: CheckSpec["kills"]): Promise<void> {
  const image = await heapImage(constants);
  const strategy = exhaustive({ states: 3_000_000 });
  const result = await check<HeapApi, HeapVvar>({ ...image, ...spec, ...(kills && { kills }), strategy });
  expect(result.ok, String(result)).toBe(true);
  expect(result.tier).toBe("exhaustive");
}

for (const scenario of scenarios) {
  const { title, deaths, reaperDeaths } = scenario;
  test(`${title}, in all interleavings`, () => passes(scenario));
  if (deaths === 0) continue;
  const kills = { max: deaths, reaper: reaperDeaths };
  test(`${title}, with ${deaths} deaths at any access, ${reaperDeaths} of the reaper`, () => passes(scenario, kills));
}

test("four processes on eight units, with two deaths: sampled", async () => {
  const image = await heapImage(crowd.constants);
  const kills = { max: crowd.deaths, reaper: crowd.reaperDeaths };
  const result = await check<HeapApi, HeapVvar>({
    ...image,
    ...crowd.spec,
    kills,
    strategy: pct({ schedules: 3_000 }),
  });
  expect(result.ok, String(result)).toBe(true);
});
