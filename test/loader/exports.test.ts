import { setFlagsFromString } from "node:v8";
import { expect, test } from "vitest";
import vsched from "../../generated/vsched/vsched.js";
import { attach } from "../../runtime/loader/attach.ts";
import { map } from "../../runtime/loader/map.ts";

setFlagsFromString("--allow-natives-syntax");
const isFast = new Function("object", "return %HasFastProperties(object)") as (object: object) => boolean;

test("calls look nothing up in a hash table, however many functions an image has", async () => {
  const { handle } = await map(vsched);
  let exports: object = {};
  const watched: typeof vsched = {
    ...vsched,
    bind(runtime) {
      ({ exports } = runtime);
      return vsched.bind(runtime);
    },
  };
  const api = attach(watched, handle) as object;
  expect(Object.keys(exports).length).toBeGreaterThan(60);
  expect(isFast(exports)).toBe(true);
  expect(isFast(api)).toBe(true);
});
