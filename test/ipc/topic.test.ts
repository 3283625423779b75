import { expect, test } from "vitest";
import { publish, type SubscribeOptions, subscribe, Topic } from "../../runtime/ipc/topic.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

async function topic() {
  const { party } = await system();
  const [owner, client] = [party(), party()];
  const numbers = await Topic.create<number>(owner.ipc, "numbers");
  const read = (options?: SubscribeOptions) => subscribe<number>(client.ipc, "numbers", options);
  return { owner, client, numbers, read, party };
}

async function take<T>(values: AsyncGenerator<T>, count: number): Promise<T[]> {
  const taken: T[] = [];
  for await (const value of values) if (taken.push(value) === count) break;
  return taken;
}

test("every subscriber gets every value in order, from the last one before it came", async () => {
  const { numbers, read, client } = await topic();
  await numbers.publish(0);
  await numbers.publish(1);
  const readers = [take(read(), 50), take(read(), 50)];
  await settle();
  for (let i = 2; i < 40; i++) await numbers.publish(i);
  for (let i = 40; i < 60; i++) await publish(client.ipc, "numbers", i);
  const expected = Array.from({ length: 50 }, (_, i) => i + 1);
  expect(await Promise.all(readers)).toEqual([expected, expected]);
  await settle();
  expect(numbers.subscribers).toBe(0);
});

test("a subscriber that does not read loses what it chose to lose, and nobody else does", async () => {
  const { numbers, read } = await topic();
  const oldest = read({ overflow: "dropOldest", limit: 4 });
  const newest = read({ overflow: "dropNewest", limit: 4 });
  const failing = read({ overflow: "fail", limit: 4 });
  const all = take(read(), 101);
  await numbers.publish(0);
  const slow = [oldest, newest, failing];
  for (const reader of slow) expect((await reader.next()).value).toBe(0);
  for (let i = 1; i <= 100; i++) {
    await numbers.publish(i);
    if (i % 2 === 0) await settle();
  }
  expect(await all).toEqual(Array.from({ length: 101 }, (_, i) => i));
  const last = await take(oldest, 20);
  const first = await take(newest, 20);
  expect(last.slice(-4)).toEqual([97, 98, 99, 100]);
  expect(first).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  await expectCode("ERR_VDSO_OVERFLOW", async () => {
    for await (const value of failing) expect(value).toBeLessThan(30);
  });
});

test("publishers wait for a subscriber that wants them to", async () => {
  const { numbers, read } = await topic();
  const reader = read({ overflow: "wait", limit: 2 });
  const first = reader.next();
  await settle();
  let published = 0;
  const publishing = (async () => {
    for (; published < 100; published++) await numbers.publish(published);
  })();
  await first;
  await settle();
  expect(published).toBeLessThan(30);
  expect(await take(reader, 99)).toEqual(Array.from({ length: 99 }, (_, i) => i + 1));
  await publishing;
});

test("subscriptions end with their owner, and dead subscribers are forgotten", async () => {
  const { owner, client, numbers, read, party } = await topic();
  const other = party();
  const dying = subscribe<number>(other.ipc, "numbers");
  const [mine, theirs] = [read().next(), dying.next()];
  await settle();
  expect(numbers.subscribers).toBe(2);
  theirs.catch(() => undefined);
  other.die();
  await settle();
  await numbers.publish(1);
  expect((await mine).value).toBe(1);
  const closed = await Topic.create<number>(client.ipc, "closed");
  closed[Symbol.dispose]();
  await expectCode("ERR_VDSO_CLOSED", () => closed.publish(1));
  const reader = read();
  await reader.next();
  const next = reader.next();
  owner.die();
  await expectCode("ERR_VDSO_PEER_GONE", () => next);
  await expectCode("ERR_VDSO_TIMEOUT", () => publish(client.ipc, "numbers", 1, { timeoutMs: 1 }));
});

test("who comes late gets the last value, also of a publisher that has died since", async () => {
  const { numbers, read, party } = await topic();
  await numbers.publish(1);
  const publisher = party();
  await publish(publisher.ipc, "numbers", 2);
  publisher.die();
  await settle();
  expect(await take(read(), 1)).toEqual([2]);
});

test("a name is one topic's, and options are checked", async () => {
  const { owner, read } = await topic();
  await expectCode("ERR_VDSO_NAME_TAKEN", () => Topic.create(owner.ipc, "numbers"));
  await expectCode("ERR_VDSO_OPTION", () => read({ limit: 0 }).next());
  await expectCode("ERR_VDSO_OPTION", () => read({ overflow: "drop" as "wait" }).next());
});
