/** Checks of calls beside sending and receiving: mailboxes of two slots, as the checker's image has them. */
import { join } from "node:path";
import { expect } from "vitest";
import { type CheckSpec, check, type ThreadBody } from "../../runtime/check/index.ts";
import { imageFrom } from "../check/images.ts";
import "../../runtime/check/vitest.ts";

/** The mailbox that is there at the beginning; that of the kernel, everybody receives. */
export const ID = 1024;
export const [OK, EMPTY, STALE, CLOSED] = [0, 2, 5, 6];

const images = new Map<string, ReturnType<typeof imageFrom>>();

function imageWith(mailboxes: number, length: number): ReturnType<typeof imageFrom> {
  const image =
    images.get(`${mailboxes} ${length}`) ??
    imageFrom(join(import.meta.dirname, "vdsos/checked"), {
      QUEUE_LEN: String(length),
      URGENT_LEN: "1",
      ARRAY_LEN: String(mailboxes),
      MAP_LEN: "2",
      PROCESSES: "6",
      SPIN: "0",
      COUNTERS: "false",
    });
  images.set(`${mailboxes} ${length}`, image);
  return image;
}

/** Passes when every interleaving does. The mailboxes but the first are registered without being used. */
export async function proves(
  threads: CheckSpec["threads"],
  more: Partial<CheckSpec> & { readonly mailboxes?: number; readonly length?: number } = {},
): Promise<void> {
  const { mailboxes = 1, length = 2, ...rest } = more;
  const { image, sourceMap } = await imageWith(mailboxes, length);
  const result = await check({
    image,
    sourceMap,
    *setup(t) {
      yield* t.call("prepare", 0);
      for (let more = 1; more < mailboxes; more++) yield* t.call("register", 0, true);
    },
    threads,
    timeouts: false,
    ...rest,
  });
  expect(result).toPass();
  expect(result.tier).toBe("exhaustive");
}

/** One call after the other. */
export const calls = (...each: readonly (readonly [fn: string, ...args: unknown[]])[]): ThreadBody =>
  function* (t) {
    for (const [fn, ...args] of each) yield* t.call(fn, ...args);
  };
