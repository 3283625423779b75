/** How messages get to their receivers, and who else may wait on the same attachment. */
import { expect, onTestFinished, test, vi } from "vitest";
import vqueue, { ARRAY_LEN } from "../../generated/vqueue/vqueue.js";
import { Ipc } from "../../runtime/ipc/ipc.ts";
import { Mailboxes } from "../../runtime/ipc/mailbox.ts";
import type { Delivery } from "../../runtime/ipc/pump.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

const DELIVERIES: readonly Delivery[] = ["adaptive", "eventLoop"];

test.each(DELIVERIES)("%s: calls, messages and streams arrive by themselves", async (delivery) => {
  const { party } = await system(vqueue);
  const [a, b] = [party({ delivery }), party({ delivery })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  to.serve(async function* () {
    for (let n = 0; n < 50; n++) yield n;
  });
  const seen: unknown[] = [];
  for await (const { data } of from.stream(to.id, 1)) seen.push(data);
  expect(seen).toEqual(Array.from({ length: 50 }, (_, n) => n));
  const echo = b.ipc.entity().serve(({ data }) => data);
  for (let n = 0; n < 50; n++) {
    expect((await from.call(echo.id, 1, n)).data).toBe(n);
    if (n % 10 === 0) await settle();
  }
});

test("polling: nothing happens but when it is asked for", async () => {
  const { party } = await system(vqueue);
  const [a, b] = [party({ delivery: "polling" }), party({ delivery: "polling" })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  to.serve(({ data }) => data);
  let answer: unknown;
  const call = from.call(to.id, 1, "x").then(({ data }) => {
    answer = data;
  });
  await settle();
  expect(b.ipc.poll()).toBe(1);
  await settle();
  expect(answer).toBeUndefined();
  expect(a.ipc.poll()).toBe(1);
  await call;
  expect(answer).toBe("x");
  // Blocks until there is something.
  await to.send(from.id, 2, "sync");
  expect(from.recvSync(2, { timeoutMs: 60_000 }).data).toBe("sync");
});

test.each(DELIVERIES)("%s: a process that has blocked in between is woken as before", async (delivery) => {
  const { party } = await system(vqueue);
  const [a, b] = [party({ delivery }), party({ delivery })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  to.serve(({ data }) => data, { keepAlive: false });
  for (let round = 0; round < 5; round++) {
    await settle();
    await expectCode("ERR_VDSO_TIMEOUT", () => b.ipc.entity().recvSync(1, { timeoutMs: 1 }));
    await settle();
    expect((await from.call(to.id, 1, round)).data).toBe(round);
  }
});

test.each(DELIVERIES)("%s: mailboxes of the same attachment are waited for beside it", async (delivery) => {
  const { party, queue } = await system(vqueue);
  const [a, b] = [party({ delivery }), party({ delivery })];
  const shared = new Mailboxes(b.queues);
  const inbox = shared.register({ policy: "wait" });
  const outside = new Mailboxes(queue.attach({ pid: 800 })).open(inbox.id);
  const echo = b.ipc.entity().serve(({ data }) => data);
  const client = a.ipc.entity();
  const received: number[] = [];
  const receiving = (async () => {
    while (received.length < 300) received.push((await inbox.receive()).messageType);
  })();
  const calling = (async () => {
    for (let n = 0; n < 300; n++) {
      expect((await client.call(echo.id, 1, n)).data).toBe(n);
      if (n % 50 === 0) await settle();
    }
  })();
  for (let n = 0; n < 300; n++) {
    await outside.send({ messageType: n });
    if (n % 7 === 0) await settle();
  }
  await Promise.all([receiving, calling]);
  expect(received).toEqual(Array.from({ length: 300 }, (_, n) => n));
  // One that nobody waits for keeps nobody busy, and the other is still woken.
  await outside.send({ messageType: 1 });
  await settle();
  expect((await client.call(echo.id, 1, "after")).data).toBe("after");
});

test.each([
  ["adaptive", "while it looks for messages"],
  ["adaptive", "asleep"],
  ["eventLoop", "asleep"],
] as const)("%s: a process's end is noticed %s, without the heartbeat", async (delivery, state) => {
  const timer = setTimeout(() => undefined, 0);
  const heartbeat = vi.spyOn(globalThis, "setInterval").mockImplementation(() => timer);
  onTestFinished(() => heartbeat.mockRestore());
  const { party } = await system(vqueue);
  const [a, b] = [party({ delivery }), party({ delivery })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  const echo = b.ipc.entity().serve(({ data }) => data);
  for (let n = 0; n < 20; n++) await from.call(echo.id, 1, n);
  const call = from.call(to.id, 1);
  await to.recv(1);
  if (state === "asleep") await settle();
  b.die();
  await expectCode("ERR_VDSO_PEER_GONE", () => call);
  expect(heartbeat).toHaveBeenCalled();
});

test("a thread that may not block has no parked delivery, and no delivery is one that is none", async () => {
  const { party } = await system(vqueue);
  const { message } = await expectCode("ERR_VDSO_OPTION", () => party({ delivery: "often" as Delivery }));
  expect(message).toBe("delivery: expected adaptive, eventLoop, parked, polling, found often");
  const blocking = vi.spyOn(Atomics, "wait").mockImplementation(() => {
    throw new TypeError("not in this thread");
  });
  onTestFinished(() => blocking.mockRestore());
  await expectCode("ERR_VDSO_OPTION", () => party({ delivery: "parked" }));
});

test("each process takes one mailbox; the first without one is told which constant to raise", async () => {
  const { party } = await system(vqueue);
  const parties = Array.from({ length: ARRAY_LEN }, () => party({ delivery: "polling" }));
  const { message } = await expectCode("ERR_VDSO_NO_MAILBOX", () => party());
  expect(message).toContain("ARRAY_LEN");
  parties[5]!.ipc.close();
  expect(party().ipc).toBeInstanceOf(Ipc);
});
