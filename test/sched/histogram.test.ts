import { expect, test } from "vitest";
import { Histogram } from "../../runtime/sched/histogram.ts";

test("percentiles are at most an eighth too large and never too small", () => {
  const histogram = new Histogram();
  const values = Array.from({ length: 10_000 }, (_, n) => ((n * 7919) % 10_007) ** 1.7);
  for (const value of values) histogram.record(value);
  const sorted = [...values].sort((a, b) => a - b);
  for (const share of [0.01, 0.25, 0.5, 0.9, 0.99, 1]) {
    const exact = sorted[Math.ceil(share * sorted.length) - 1]!;
    const found = histogram.percentile(share);
    expect(found).toBeGreaterThanOrEqual(exact);
    expect(found).toBeLessThanOrEqual(exact * 1.125 + 1);
  }
});

test("nothing, less than nothing and centuries are counted too", () => {
  const histogram = new Histogram();
  expect(histogram.summary()).toEqual({ count: 0, meanMs: 0, maxMs: 0, p50Ms: 0, p90Ms: 0, p99Ms: 0 });
  histogram.record(-5);
  histogram.record(1e16);
  expect(histogram.summary()).toMatchObject({ count: 2, maxMs: 1e13 });
});

test("each bucket's values are at most an eighth above its least, to the last of 50 days", () => {
  for (let us = 1; us < 2 ** 43; us = Math.ceil(us * 1.03)) {
    const histogram = new Histogram();
    histogram.record(us);
    histogram.record(2 ** 44);
    const found = histogram.percentile(0.5);
    expect(found).toBeGreaterThanOrEqual(us);
    expect(found).toBeLessThanOrEqual(us * 1.125 + 1);
  }
});
