/** What was given up, refused or lost leaves nothing behind: no waiter, no frame, no callback, no port, no buffer. */
import * as Comlink from "comlink";
import { beforeAll, expect, test } from "vitest";
import { vvarOf } from "../../runtime/index.ts";
import { mailboxOf } from "../../runtime/ipc/address.ts";
import { type IpcPort, listen, openPort } from "../../runtime/ipc/comlink.ts";
import { Fifo } from "../../runtime/ipc/fifo.ts";
import { Mailboxes } from "../../runtime/ipc/mailbox.ts";
import type { IncomingCall } from "../../runtime/ipc/message.ts";
import { connect, expose, withOptions } from "../../runtime/ipc/service.ts";
import { subscribe, Topic } from "../../runtime/ipc/topic.ts";
import { collectGarbage } from "../collect-garbage.ts";
import { expectCode } from "../expect-code.ts";
import { buildQueues, type QueueLibrary, settle, system } from "./system.ts";

let small: QueueLibrary;
beforeAll(async () => {
  small = await buildQueues({ QUEUE_LEN: 4, URGENT_LEN: 2, ARRAY_LEN: 8 });
});

test("a queue throws out what counts no more once it is more than half", () => {
  const queue = new Fifo<{ over: boolean }>();
  const items = Array.from({ length: 1000 }, () => ({ over: false }));
  for (const item of items) queue.push(item);
  for (const item of items) {
    item.over = true;
    queue.lapse(({ over }) => !over);
  }
  expect(queue.length).toBeLessThan(2);
});

test("sends that are given up at a full mailbox are forgotten, and their buffers given back", async () => {
  const { party } = await system(small);
  const [a, b] = [party(), party({ delivery: "polling" })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  for (let i = 0; i < 4; i++) await from.send(to.id, 1, i);
  const first = from.send(to.id, 1, "first");
  for (let round = 0; round < 200; round++) {
    const abort = new AbortController();
    const sends = [1, 2].map(() => from.send(to.id, 1, new Uint8Array(1000), { signal: abort.signal }));
    abort.abort(new Error("no"));
    for (const send of sends) await expect(send).rejects.toThrow("no");
  }
  expect(a.ipc.stats().waitingToSend).toBeLessThan(5);
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  for (let i = 0; i < 4; i++) expect(to.tryRecv()?.data).toBe(i);
  await first;
  expect(to.tryRecv()?.data).toBe("first");
});

test("a waiter that gives up is not served, however many did before", async () => {
  const { party } = await system();
  const entity = party().ipc.entity();
  const abort = new AbortController();
  const given = Array.from({ length: 500 }, (_, type) => entity.recv(type % 250, { signal: abort.signal }));
  const waiting = [entity.recv(3), entity.recvAny()];
  abort.abort(new Error("no"));
  for (const wait of given) await expect(wait).rejects.toThrow("no");
  for (const text of ["a", "b"]) await entity.send(entity.id, 3, text);
  expect((await Promise.all(waiting)).map(({ data }) => data)).toEqual(["a", "b"]);
});

test("a message sent just before its sender ended is received, and its buffer with it", async () => {
  const { party } = await system();
  const [a, b] = [party(), party({ delivery: "polling" })];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  await from.send(to.id, 1, "known");
  expect(to.tryRecv()?.data).toBe("known");
  await from.send(to.id, 1, new Uint8Array(5000).fill(3));
  a.die();
  b.ipc.wait(1);
  const message = to.tryRecv();
  expect(message?.bytes?.[4999]).toBe(3);
  message?.[Symbol.dispose]();
  b.ipc.wait(1);
  expect(b.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("a server's end is noticed though others never stop sending", async () => {
  const { party } = await system();
  const [a, b, c] = [party(), party(), party()];
  const [client, server, noise] = [a.ipc.entity(), b.ipc.entity(), c.ipc.entity()];
  client.serve(() => undefined);
  const call = client.call(server.id, 1);
  await server.recv(1);
  let over = false;
  const caught = expectCode("ERR_VDSO_PEER_GONE", () => call).finally(() => {
    over = true;
  });
  b.die();
  while (!over) {
    for (let i = 0; i < 300; i++) noise.trySend(client.id, 1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await caught;
});

test("an Ipc that closes says so to nobody else's mailbox", async () => {
  const { party, queue } = await system();
  const plain = new Mailboxes(queue.attach({ pid: 700 }));
  const inbox = plain.register();
  const a = party();
  await a.ipc.entity().call(a.ipc.entity().serve(() => 1).id, 1);
  a.ipc.close();
  expect(inbox.tryReceive()).toBeUndefined();
});

test("whoever wants to know of another's end is told once, also when it was over before", async () => {
  const { party } = await system();
  const [a, b] = [party(), party()];
  const { id } = b.ipc.entity();
  const told: string[] = [];
  a.ipc.whenGone(id, () => told.push("one"));
  a.ipc.whenGone(id, () => told.push("two"))();
  const keepsLooking = a.ipc.hold();
  b.die();
  await expect.poll(() => told).toEqual(["one"]);
  keepsLooking();
  a.ipc.whenGone(id, () => told.push("late"));
  await settle();
  expect(told).toEqual(["one", "late"]);
});

test("callbacks end with their call when nobody gets them, and with the process that had them", async () => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const kept: ((n: number) => Promise<number>)[] = [];
  const api = {
    keep: (callback: (n: number) => Promise<number>) => void kept.push(callback),
    make: () => () => 1,
    echo: (callback: () => number) => callback,
  };
  const service = await expose(server.ipc, "keeper", api);
  const remote = await connect<typeof api>(client.ipc, "keeper");
  const weak: WeakRef<object>[] = [];
  const lend = async (): Promise<void> => {
    const callback = (n: number): Promise<number> => Promise.resolve(n + 1);
    weak.push(new WeakRef(callback));
    await remote.keep(callback);
  };
  await lend();
  expect(await kept[0]!(1)).toBe(2);
  // What comes back to where it was made is itself again.
  const own = (): number => 5;
  expect(await remote.echo(own)).toBe(own);
  // Refused with the value, undeliverable, and lost with the process.
  const refuse = async (more: unknown): Promise<unknown> => {
    const callback = (): number => 1;
    weak.push(new WeakRef(callback));
    return await (remote.echo as (...args: unknown[]) => Promise<unknown>)(callback, more).catch((e: unknown) => e);
  };
  expect(await refuse(Symbol("no"))).toMatchObject({ code: "ERR_VDSO_NOT_CLONABLE" });
  service[Symbol.dispose]();
  expect(await refuse(1)).toMatchObject({ code: "ERR_VDSO_NO_ENTITY" });
  await settle();
  collectGarbage();
  await settle();
  expect(weak.map((each) => each.deref() !== undefined)).toEqual([true, false, false]);
  const stay = client.ipc.hold();
  let gone = false;
  client.ipc.whenGone(service.id, () => {
    gone = true;
  });
  server.die();
  await expect.poll(() => gone).toBe(true);
  stay();
  await settle();
  collectGarbage();
  await settle();
  expect(weak.map((each) => each.deref())).toEqual([undefined, undefined, undefined]);
});

test("a callback of a call that was given up before it was sent is nobody's", async () => {
  const { party } = await system();
  const [server, client] = [party({ delivery: "polling" }), party()];
  await expose(server.ipc, "keeper", { keep: (_: () => number) => 1 });
  const remote = await connect<{ keep(callback: () => number): number }>(client.ipc, "keeper");
  const [entity, target] = [client.ipc.entity(), server.ipc.entity()];
  while (client.ipc.stats().waitingToSend === 0) void entity.send(target.id, 1).catch(() => undefined);
  const weak: WeakRef<object>[] = [];
  const lend = async (): Promise<void> => {
    const callback = (): number => 1;
    weak.push(new WeakRef(callback));
    await expectCode("ERR_VDSO_TIMEOUT", () => withOptions(remote, { timeoutMs: 5 }).keep(callback));
  };
  await lend();
  server.ipc.poll();
  await settle();
  collectGarbage();
  await settle();
  expect(weak[0]!.deref()).toBeUndefined();
});

test("a callback that its borrower has no longer is nobody's", async () => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const api = { take: (callback: () => number) => void callback };
  await expose(server.ipc, "taker", api);
  const remote = await connect<typeof api>(client.ipc, "taker");
  let weak: WeakRef<object> | undefined;
  await (async () => {
    const callback = (): number => 1;
    weak = new WeakRef(callback);
    await remote.take(callback);
  })();
  await expect
    .poll(async () => {
      await settle();
      collectGarbage();
      return weak?.deref() === undefined;
    })
    .toBe(true);
});

test("a stream whose reader left ends its source, though that has nothing to give", async () => {
  const { party } = await system();
  const [a, b] = [party(), party()];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  let returned = 0;
  to.serve(() => ({
    [Symbol.asyncIterator]: () => {
      const { promise, resolve } = Promise.withResolvers<IteratorResult<number>>();
      return {
        next: () => promise,
        return: () => {
          returned++;
          resolve({ done: true, value: undefined });
          return promise;
        },
      };
    },
  }));
  const stream = from.stream(to.id, 1);
  const next = stream.next();
  await settle();
  await stream.return();
  expect((await next).done).toBe(true);
  await settle();
  expect(returned).toBeGreaterThan(0);
  expect(b.ipc.stats().kept).toBe(0);
});

test("a subscription that failed is forgotten, and a value is what it was when it was published", async () => {
  const { party } = await system();
  const [owner, client] = [party(), party()];
  const topic = await Topic.create<{ n: number }>(owner.ipc, "things");
  const failing = subscribe<{ n: number }>(client.ipc, "things", { overflow: "fail", limit: 1 });
  const first = failing.next();
  await settle();
  const thing = { n: 1 };
  const published = topic.publish(thing);
  thing.n = 2;
  await published;
  expect((await first).value).toEqual({ n: 1 });
  const late = subscribe<{ n: number }>(client.ipc, "things");
  expect((await late.next()).value).toEqual({ n: 1 });
  for (let n = 0; n < 100; n++) void topic.publish({ n });
  expect(topic.subscribers).toBe(1);
  await late.return(undefined);
  await expectCode("ERR_VDSO_OVERFLOW", async () => {
    for await (const value of failing) expect(value.n).toBeLessThan(100);
  });
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => topic.publish({ n: (() => 1) as unknown as number }));
});

test("ports that nobody opens end with the process that asked for them, and what is no request holds nobody", async () => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const ports: IpcPort[] = [];
  await listen(server.ipc, "thing", (port) => {
    ports.push(port);
    Comlink.expose({ n: 1 }, port);
  });
  const port = await openPort(client.ipc, "thing");
  const { promise, resolve } = Promise.withResolvers<unknown>();
  port.addEventListener("message", resolve);
  port.start();
  port.postMessage({ id: "a-b-c-d", answer: "not a request" });
  expect(await Comlink.wrap<{ n: number }>(port).n).toBe(1);
  await promise;
  // Asks for a port, and never opens it.
  await client.ipc.entity().call(server.ipc.lookup("thing")!, 4);
  expect(ports.length).toBe(2);
  let closed = 0;
  for (const each of ports) each.addEventListener("close", () => closed++);
  client.die();
  await expect.poll(() => closed).toBe(2);
});

test("an answer of garbage in the heap is refused, and given back", async () => {
  const { party, queue, heap } = await system();
  const a = party();
  const client = a.ipc.entity();
  const pid = 500;
  const [liar, lender] = [queue.attach({ pid }), heap.attach({ pid })];
  const [words, floats] = [new Uint32Array(vvarOf(liar)), new Float64Array(vvarOf(liar))];
  const own = liar.register();
  const server = own * 2 ** 21 + 1;
  const [value, lent] = [2 << 4, 1 << 6];
  for (const kind of [2, 3]) {
    const call = client.call(server, 1);
    const asked = liar.take(own);
    const number = words[asked / 4 + 4]!;
    liar.release(own, asked);
    const item = liar.claim(mailboxOf(client.id));
    words.set([own, (kind | value | lent) << 16, 0, client.id % 2 ** 21, number, 1], item >>> 2);
    const handle = lender.allocate(1000);
    new Uint8Array(vvarOf(lender), lender.offsetOf(handle), 1000).fill(255);
    floats[(item + 24) >>> 3] = lender.transfer(handle, a.pid);
    words[(item + 32) >>> 2] = 1000;
    liar.commit(mailboxOf(client.id), item);
    await expectCode("ERR_VDSO_GARBAGE", async () => (await call).data);
  }
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("an answer to a caller that has gone is not even made", async () => {
  const { party } = await system();
  const [a, b] = [party(), party()];
  const [from, to] = [a.ipc.entity(), b.ipc.entity()];
  const abort = new AbortController();
  const call = from.call(to.id, 1, undefined, { signal: abort.signal });
  const incoming = (await to.recv(1)) as IncomingCall;
  abort.abort(new Error("no"));
  await expect(call).rejects.toThrow("no");
  await settle();
  const loan = b.heap.loan(1000);
  await incoming.reply(loan);
  expect(b.ipc.stats().orphanedReplies).toBe(1);
  expect(b.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("a name that is too long is refused by whoever waits for it, blocking or not", async () => {
  const { party } = await system();
  const { ipc } = party();
  for (const name of ["", "x".repeat(65)]) {
    await expectCode("ERR_VDSO_ARGUMENT", () => ipc.whenNamed(name));
    await expectCode("ERR_VDSO_ARGUMENT", () => ipc.whenNamedSync(name));
  }
});
