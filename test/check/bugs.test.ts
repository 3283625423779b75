import { describe, expect, test } from "vitest";
import { check, exhaustive, replay } from "../../runtime/check/index.ts";
import { image } from "./images.ts";
import { structures } from "./structures.ts";

describe.each(structures)("$name", ({ name, spec, bugs }) => {
  test.each(bugs)("finds: $title", async ({ bug, found, config, spec: other }) => {
    const built = await image(name, { ...config, BUG: String(bug) });
    const whole = { ...spec, ...other, ...built };
    const { failure } = await check({ ...whole, strategy: exhaustive() });
    expect(failure, "no failure was found").toBeDefined();
    expect(found, String(failure)).toContain(failure?.kind);

    const again = await check({ ...whole, strategy: replay(failure!.schedule) });
    expect(again.failure?.kind).toBe(failure?.kind);
    expect(again.failure?.message).toBe(failure?.message);
    expect(again.failure?.trace).toEqual(failure?.trace);
  });

  test("finds nothing in the corrected twin", async () => {
    const variants = [{ spec: {}, config: {} }, ...bugs.filter((bug) => bug.spec || bug.config)];
    for (const { spec: other, config } of variants) {
      const built = await image(name, config);
      const result = await check({ ...spec, ...other, ...built, strategy: exhaustive() });
      expect(result.ok, String(result)).toBe(true);
      expect(result.tier).toBe("exhaustive");
    }
  });
});
