/**
 * A matcher for vitest: `toPass()`.
 *
 * ```ts
 * import "wasm-vdso/check/vitest";
 *
 * test("increments are not lost", async () => {
 *   expect(await check({ image: counter, threads, safety })).toPass();
 * });
 * ```
 */
import { expect } from "vitest";
import type { CheckResult } from "./report.ts";

/** Passes when the check found nothing; otherwise its message is the report: what failed, the schedule, how to replay it. */
function toPass(result: CheckResult): { pass: boolean; message: () => string } {
  return {
    pass: result.ok,
    message: () =>
      result.ok ? `expected the check to fail, but it passed: ${result}` : `the check failed\n\n${result}`,
  };
}

expect.extend({ toPass });

declare module "vitest" {
  // The type parameters have to be those of the interface that is extended.
  interface Matchers<R extends void | Promise<void> = void | Promise<void>, T = unknown> {
    /** Passes when the check found nothing; see `wasm-vdso/check/vitest`. */
    toPass(): T extends CheckResult ? R : never;
  }
}
