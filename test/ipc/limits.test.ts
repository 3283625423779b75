/** A process without room for more still learns what makes room: that callers take more, have lost interest, have gone. */
import { expect, onTestFinished, test, vi } from "vitest";
import { mailboxOf } from "../../runtime/ipc/address.ts";
import { IpcPort } from "../../runtime/ipc/comlink.ts";
import type { Delivery } from "../../runtime/ipc/index.ts";
import { IncomingCall, type Message } from "../../runtime/ipc/message.ts";
import { buildQueues, settle, system } from "./system.ts";

function stopHeartbeat(): void {
  const timer = setTimeout(() => undefined, 0);
  const heartbeat = vi.spyOn(globalThis, "setInterval").mockImplementation(() => timer);
  onTestFinished(() => heartbeat.mockRestore());
}

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
  stopHeartbeat();
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
  stopHeartbeat();
  const { party, server, entity, ended } = await waiting(500);
  const client = party();
  const abort = new AbortController();
  const from = client.ipc.entity();
  const calls = Array.from({ length: 500 }, () => from.call(entity.id, 1, "wait", { signal: abort.signal }));
  const behind = from.call(entity.id, 1, "served");
  await settle();
  expect(server.ipc.stats().kept).toBe(500);
  abort.abort();
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

test("that readers of more streams than the urgent lane has room for take more", async () => {
  stopHeartbeat();
  const { party } = await system(await buildQueues({ QUEUE_LEN: 8, URGENT_LEN: 2 }));
  const server = party({ delivery: "polling" });
  const entity = server.ipc.entity();
  const client = party().ipc.entity();
  const streams = [1, 2, 3, 4].map((type) => client.stream(entity.id, type, 0, { window: 1 }));
  const calls = streams.map((_, n) => entity.recvSync(n + 1) as IncomingCall);
  for (const call of calls) await call.answer(1);
  for (const stream of streams) await stream.next();
  await settle();
  // The reader hears nothing from who has credit, so that only the room wakes it.
  const answers = calls.slice(2).map((call) => call.answer(2));
  const reading = streams.slice(2).map(async (stream) => (await stream.next()).value?.data);
  for (let round = 0; round < 2; round++) {
    server.ipc.poll();
    await settle();
  }
  await Promise.all(answers);
  expect(await Promise.all(reading)).toEqual([2, 2]);
});

test.each([
  ["dies", (gone: { ipc: { close(): void }; die(): void }) => gone.die()],
  ["closes", (gone: { ipc: { close(): void }; die(): void }) => gone.ipc.close()],
])("that a caller %s, whose messages cannot all be taken", async (_, go) => {
  stopHeartbeat();
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

test("that somebody has closed who waited for nothing", async () => {
  stopHeartbeat();
  const { party } = await system();
  const [server, gone] = [party({ limit: 2 }), party()];
  const entity = server.ipc.entity();
  const from = gone.ipc.entity();
  for (let n = 0; n < 2; n++) await from.send(entity.id, 1, n);
  let told = 0;
  server.ipc.whenGone(from.id, () => told++);
  await settle();
  expect(server.ipc.stats().kept).toBe(2);
  gone.ipc.close();
  await expect.poll(() => told).toBe(1);
  expect([1, 2, 3].map(() => entity.tryRecv()?.data)).toEqual([0, 1, undefined]);
});

test("where there is room, a call ends between what was sent before it was given up and what after", async () => {
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
  for (let n = 0; n < 3; n++) void client.send(entity.id, 1, n);
  abort.abort();
  for (let n = 3; n < 5; n++) void client.send(entity.id, 1, n);
  await expect(call).rejects.toThrow();
  await settle();
  expect(events).toEqual(["call", 0, 1, 2, "end", 3, 4]);
});

test("that a call which keeps nobody alive is given up", async () => {
  const { party, entity, ended } = await waiting(1);
  const client = party().ipc.entity();
  const abort = new AbortController();
  const call = client.call(entity.id, 1, "wait", { background: true, signal: abort.signal });
  const behind = client.call(entity.id, 1, "served");
  await settle();
  abort.abort();
  await expect(call).rejects.toThrow();
  expect((await behind).data).toBe("served");
  expect(ended.length).toBe(1);
});

test("that a caller gives up, behind an urgent message whose sender died before it was sent", async () => {
  const { party, queue } = await system();
  const server = party({ limit: 1 });
  const entity = server.ipc.entity();
  const client = party().ipc.entity();
  const abort = new AbortController();
  const call = client.call(entity.id, 1, 0, { signal: abort.signal });
  const incoming = (await entity.recv(1)) as IncomingCall;
  void client.send(entity.id, 2);
  void client.send(entity.id, 2);
  await settle();
  expect(server.ipc.stats().kept).toBe(1);
  const dead = queue.attach({ pid: 500 });
  expect(dead.claimUrgent(mailboxOf(entity.id))).toBeGreaterThanOrEqual(64);
  queue.drop(500);
  abort.abort();
  await expect(call).rejects.toThrow();
  await expect.poll(() => incoming.signal.aborted).toBe(true);
});

test("many calls that a process gives up as it closes, and its end, reach who looks only when told to", async () => {
  const { party } = await system();
  const server = party({ delivery: "polling" });
  const client = party();
  let [ended, gone] = [0, 0];
  const entity = server.ipc.entity().serve((message) => {
    const { signal } = message as IncomingCall;
    return new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        ended++;
        resolve();
      });
    });
  });
  const from = client.ipc.entity();
  for (let n = 0; n < 200; n++) from.call(entity.id, 1).catch(() => undefined);
  server.ipc.poll();
  server.ipc.whenGone(from.id, () => gone++);
  client.ipc.close();
  await expect
    .poll(() => {
      server.ipc.poll();
      return [ended, gone, server.ipc.stats().kept];
    })
    .toEqual([200, 1, 0]);
});

test("a process's end is told once, though whoever hears of it looks at once", async () => {
  const { party } = await system();
  const server = party();
  let told = 0;
  const entity = server.ipc.entity().serve((message) => {
    const { signal } = message as IncomingCall;
    return new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => {
        server.ipc.wait(1);
        resolve();
      });
    });
  });
  const client = party();
  client.ipc
    .entity()
    .call(entity.id, 1)
    .catch(() => undefined);
  await settle();
  server.ipc.whenGone(client.ipc.entity().id, () => told++);
  client.die();
  await expect.poll(() => told).toBe(1);
  await settle();
  expect(told).toBe(1);
});

test("calls that were received and wait for an answer are given up, as many as there are", async () => {
  const { party } = await system();
  const server = party({ delivery: "polling" });
  const entity = server.ipc.entity();
  const abort = new AbortController();
  const client = party().ipc.entity();
  const calls = Array.from({ length: 3000 }, () => client.call(entity.id, 1, 0, { signal: abort.signal }));
  const received: IncomingCall[] = [];
  for (let next = entity.tryRecv(1); next; next = entity.tryRecv(1)) received.push(next as IncomingCall);
  expect(received.length).toBe(3000);
  abort.abort();
  await Promise.allSettled(calls);
  server.ipc.poll();
  expect(received.filter(({ signal }) => signal.aborted).length).toBe(3000);
});

test("what a process had sent before it was seen dead begins, and hears of that", async () => {
  const { party } = await system();
  const server = party();
  let [left, lost] = [0, 0];
  const endless = (): AsyncIterator<number> => ({
    next: () => new Promise(() => undefined),
    return: async () => {
      left++;
      return { done: true, value: undefined };
    },
  });
  const late = server.ipc.entity().serve(async () => {
    await settle();
    return { [Symbol.asyncIterator]: endless };
  });
  const entity = server.ipc.entity().serve(({ data }) => (data === "stream" ? { [Symbol.asyncIterator]: endless } : 0));
  const port = IpcPort.accept(server.ipc);
  port.addEventListener("close", () => lost++);
  const dying = party();
  const client = dying.ipc.entity();
  const reading: Promise<unknown>[] = [];
  for (let n = 0; n < 600; n++) void client.send(entity.id, 1, n);
  for (const [to, data] of [
    [entity, "stream"],
    [late, 0],
  ] as const)
    reading.push(client.stream(to.id, 1, data).next());
  IpcPort.connect(dying.ipc, port.id);
  for (const each of reading) each.catch(() => undefined);
  dying.die();
  await expect.poll(() => [left, lost, server.ipc.stats().kept]).toEqual([2, 1, 0]);
});

test("ports take no room from calls, and what was posted before a port closed arrives before its end", async () => {
  const { party, server, entity, ended } = await waiting(2);
  const client = party();
  const ports = Array.from({ length: 5 }, () => IpcPort.accept(server.ipc));
  const events: unknown[] = [];
  for (const port of ports) {
    port.addEventListener("close", () => events.push("end"));
    port.onmessage = ({ data }) => void events.push(data);
  }
  const here = ports.map(({ id }) => IpcPort.connect(client.ipc, id));
  await settle();
  expect(server.ipc.stats().kept).toBe(0);
  const abort = new AbortController();
  const from = client.ipc.entity();
  const calls = [1, 2].map(() => from.call(entity.id, 1, "wait", { signal: abort.signal }));
  await settle();
  here[0]!.postMessage("one");
  here[0]!.close();
  await settle();
  expect(events).toEqual([]);
  abort.abort();
  await Promise.allSettled(calls);
  await expect.poll(() => events).toEqual(["one", "end"]);
  expect(ended.length).toBe(2);
});
