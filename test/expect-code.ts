import { expect } from "vitest";
import { VdsoError } from "../runtime/errors.ts";

/** What `run` throws or rejects with, which must be an error of this code. */
export async function expectCode(code: string, run: () => unknown): Promise<VdsoError> {
  let found: unknown;
  try {
    found = await run();
  } catch (error) {
    expect(error).toBeInstanceOf(VdsoError);
    expect(error).toMatchObject({ code });
    return error as VdsoError;
  }
  throw new Error(`expected ${code}, found no error but ${String(found)}`);
}
