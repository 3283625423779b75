import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import vqueue, { ARRAY_LEN, ITEM_BYTES, QUEUE_LEN, URGENT_LEN, type VqueueApi } from "../../generated/vqueue/vqueue.js";
import { vvarOf } from "../../runtime/loader/attach.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";

test("a million items sent and received in place allocate nothing", async () => {
  // In a young generation of 1 MiB, even one number an item would be collected a dozen times.
  const flags = ["--trace-gc", "--max-semi-space-size=1"];
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...flags,
    join(import.meta.dirname, "fixtures/million.ts"),
  ]);
  const measured = /^begin\n([\s\S]*)^end /m.exec(stdout)?.[1];
  expect(measured).toBe("");
});

test("the shared memory is at most one and a half times what the items take, at the default constants", async () => {
  const mapping = (await map(vqueue)) as Mapping<VqueueApi>;
  const payload = ARRAY_LEN * (QUEUE_LEN + URGENT_LEN) * ITEM_BYTES;
  expect(vvarOf(mapping.attach()).byteLength / payload).toBeLessThanOrEqual(1.5);
});
