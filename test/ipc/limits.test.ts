/** A process without room for more still learns what makes room: that callers take more, have lost interest, have gone. */
import { expect, onTestFinished, test, vi } from "vitest";
import type { Delivery } from "../../runtime/ipc/index.ts";
import { IncomingCall, type Message } from "../../runtime/ipc/message.ts";
import { settle, system } from "./system.ts";

/** Starts handlers that end when their callers give up. */
async function waiting(limit: number, delivery: Delivery = "adaptive") {
  const { party } = await system();
  const server = party({ limit, delivery });
  const ended: unknown[] = [];
  const served: unknown[] = [];
  const entity = server.ipc.entity().serve((message: Message) => {
    const { data } = message;
    if (data !== "wait") {
      served.push(data);
      return data;
    }
    const { signal } = message as IncomingCall;
    return new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        ended.push((signal.reason as { code: string }).code);
        resolve();
      });
    });
  });
  return { party, server, entity, ended, served };
}

test.each(["adaptive", "eventLoop"] as const)("%s: that callers give up, without the heartbeat", async (delivery) => {
  const timer = setTimeout(() => undefined, 0);
  const heartbeat = vi.spyOn(globalThis, "setInterval").mockImplementation(() => timer);
  onTestFinished(() => heartbeat.mockRestore());
  const { party, server, entity, ended, served } = await waiting(3, delivery);
  const client = party().ipc.entity();
  const abort = new AbortController();
  // More than have room; those behind are given up before they have begun.
  const calls = Array.from({ length: 10 }, () => client.call(entity.id, 1, "wait", { signal: abort.signal }));
  const other = party().ipc.entity().call(entity.id, 1, "served");
  await settle();
  expect(server.ipc.stats().kept).toBe(3);
  abort.abort(new Error("enough"));
  expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(calls.map(() => "rejected"));
  expect((await other).data).toBe("served");
  await expect.poll(() => ended.length).toBe(10);
  expect(new Set(ended)).toEqual(new Set(["ERR_VDSO_CANCELLED"]));
  expect(served).toEqual(["served"]);
  expect(server.ipc.stats()).toMatchObject({ kept: 0, refused: 0 });
});

test("that more callers give up at once than the urgent lane has room for", async () => {
  const { party, server, entity, ended } = await waiting(500);
  const client = party();
  const abort = new AbortController();
  const from = client.ipc.entity();
  const calls = Array.from({ length: 500 }, () => from.call(entity.id, 1, "wait", { signal: abort.signal }));
  const behind = from.call(entity.id, 1, "served");
  await settle();
  expect(server.ipc.stats().kept).toBe(500);
  abort.abort();
  expect(client.ipc.stats().waitingToSend).toBeGreaterThan(0);
  await Promise.allSettled(calls);
  await behind;
  await expect.poll(() => ended.length).toBe(500);
  expect(client.ipc.stats()).toMatchObject({ waitingToSend: 0, pendingCalls: 0 });
});

test("that readers of streams take more", async () => {
  const { party } = await system();
  const server = party({ limit: 2 });
  const entity = server.ipc.entity().serve(async function* () {
    for (let n = 0; n < 100; n++) yield n;
  });
  const client = party().ipc.entity();
  const read = async (): Promise<number> => {
    let sum = 0;
    for await (const message of client.stream(entity.id, 1)) sum += message.data as number;
    return sum;
  };
  expect(await Promise.all([read(), read(), read(), read()])).toEqual([4950, 4950, 4950, 4950]);
  await expect.poll(() => server.ipc.stats().kept).toBe(0);
});

test.each([
  ["dies", (gone: { ipc: { close(): void }; die(): void }) => gone.die()],
  ["closes", (gone: { ipc: { close(): void }; die(): void }) => gone.ipc.close()],
])("that a caller %s, whose messages cannot all be taken", async (_, go) => {
  const { party, entity, ended } = await waiting(3);
  const [gone, other] = [party(), party()];
  const client = gone.ipc.entity();
  for (let n = 0; n < 5; n++) client.call(entity.id, 1, "wait").catch(() => undefined);
  await settle();
  const call = other.ipc.entity().call(entity.id, 1, "served");
  await settle();
  go(gone);
  expect((await call).data).toBe("served");
  // The last two may have begun when their caller was known to be gone.
  await expect.poll(() => ended.length).toBeGreaterThanOrEqual(3);
});

test("where there is room, what was sent before a call was given up comes before its end", async () => {
  const { party } = await system();
  const server = party();
  const events: unknown[] = [];
  const entity = server.ipc.entity().serve((message) => {
    events.push(message.data);
    if (!(message instanceof IncomingCall)) return undefined;
    message.signal.addEventListener("abort", () => events.push("end"));
    return new Promise(() => undefined);
  });
  const client = party().ipc.entity();
  const abort = new AbortController();
  const call = client.call(entity.id, 1, "call", { signal: abort.signal });
  for (let n = 0; n < 5; n++) void client.send(entity.id, 1, n);
  abort.abort();
  await expect(call).rejects.toThrow();
  await settle();
  expect(events).toEqual(["call", 0, 1, 2, 3, 4, "end"]);
});
