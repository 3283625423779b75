/** A peer that writes whatever it likes into items. */
import fc from "fast-check";
import { expect, test } from "vitest";
import vqueue from "../../generated/vqueue/vqueue.js";
import { vvarOf } from "../../runtime/index.ts";
import { mailboxOf } from "../../runtime/ipc/address.ts";
import { structured } from "../../runtime/ipc/codec.ts";
import { type IpcPort, listen, openPort } from "../../runtime/ipc/comlink.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import type { IncomingCall } from "../../runtime/ipc/message.ts";
import { connect, expose } from "../../runtime/ipc/service.ts";
import { subscribe, Topic } from "../../runtime/ipc/topic.ts";
import { collectGarbage } from "../collect-garbage.ts";
import { expectCode } from "../expect-code.ts";
import { catchReports, settle, system } from "./system.ts";

/** A process that writes items and sends buffers by hand. */
function lying(queue: Mapped["queue"], heap: Mapped["heap"]) {
  const pid = 500;
  const liar = queue.attach({ pid });
  const lender = heap.attach({ pid });
  const words = new Uint32Array(vvarOf(liar));
  const floats = new Float64Array(vvarOf(liar));
  return { liar, lender, words, floats, own: liar.register() };
}

type Mapped = Awaited<ReturnType<typeof system>>;

test("frames of garbage are refused and counted; everything else goes on", async () => {
  const { party, queue, heap } = await system(vqueue);
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  server.serve((message) => message.data);
  const { liar, lender, words, floats, own: mine } = lying(queue, heap);
  const mailboxes = [mailboxOf(server.id), mailboxOf(client.id)];
  const word = fc.oneof(fc.nat(0xffffffff), fc.nat(8), fc.constantFrom(mine, ...mailboxes));
  const frame = fc.record({
    target: fc.nat(1),
    words: fc.array(word, { minLength: 22, maxLength: 22 }),
    flags: fc.nat(0xffff),
    lent: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { maxLength: 30 }), async (frames) => {
      for (const { target, words: content, flags, lent } of frames) {
        const mailbox = mailboxes[target]!;
        const item = liar.claim(mailbox);
        if (item < 64) continue;
        words.set(content, item >>> 2);
        // Half of them to the entity that there is, from somebody who is there.
        words[(item >>> 2) + 1] = (flags << 16) | (content[1]! & 0xffff);
        if (content[2]! % 2 === 0) words[(item >>> 2) + 3] = (target === 0 ? server : client).id % 2 ** 21;
        // An answer that says it comes from the server is believed, as the limits say.
        if (content[2]! % 3 === 0 || (target === 1 && content[0] === mailboxes[0])) words[item >>> 2] = mine;
        if (lent) floats[(item + 24) >>> 3] = lender.transfer(lender.allocate(100), target === 0 ? b.pid : a.pid);
        liar.commit(mailbox, item);
      }
      const answer = await client.call(server.id, 1, { fine: true });
      expect(answer.data).toEqual({ fine: true });
    }),
    { numRuns: 150 },
  );
  await settle();
  expect(b.ipc.stats().refused).toBeGreaterThan(0);
  expect(b.ipc.stats().undeliverable).toBeGreaterThan(0);
  expect(a.ipc.stats().strayReplies).toBeGreaterThan(0);
  expect(b.ipc.stats().pendingCalls).toBe(0);
});

test("services, topics and ports refuse frames and stand-ins of garbage, whoever says to have sent them", async () => {
  const { party, queue } = await system(vqueue);
  const [server, client] = [party(), party()];
  const thrown = catchReports();
  const service = await expose(server.ipc, "service", { echo: (value: unknown) => value });
  const remote = await connect<{ echo(value: unknown): unknown }>(client.ipc, "service");
  const topic = await Topic.create<unknown>(server.ipc, "topic");
  const values = subscribe<number>(client.ipc, "topic");
  const ports: IpcPort[] = [];
  await listen(server.ipc, "ports", (port) => {
    ports.push(port);
    port.onmessage = ({ data }) => port.postMessage(data);
  });
  const port = await openPort(client.ipc, "ports");
  const liar = queue.attach({ pid: 500 });
  const words = new Uint32Array(vvarOf(liar));
  const bytes = new Uint8Array(vvarOf(liar));
  const mine = liar.register();
  const here = mailboxOf(service.id);
  // The server's end of callbacks, its service, topic and listener, and the port.
  const targets = [1, 2, 3, 4, 5];
  const id = fc.oneof(
    fc.constantFrom(0, 1, service.id, mine * 2 ** 21 + 1, 2 ** 53 - 1, -1, 0.5, Number.NaN),
    fc.nat(2 ** 21),
  );
  const token = fc.oneof(
    fc.tuple(fc.constantFrom("function", "signal", "port", "other"), id, fc.oneof(id, fc.constant("x"))),
    fc.constantFrom(null, 5, "text", {}, []),
  );
  const value = fc.oneof(
    id,
    fc.tuple(fc.constantFrom("echo", "toString", 1), fc.constant([() => 0])),
    fc.constantFrom(undefined, [], ["echo"], [1, [() => 0]], "text", () => 0, ["dropOldest", 1], ["wait", 0]),
  );
  const frame = fc.record({
    sender: fc.oneof(fc.nat(63), fc.constantFrom(mine, here, 2 ** 32 - 1)),
    to: fc.constantFrom(...targets),
    kind: fc.nat(1),
    type: fc.constantFrom(1, 2, 3, 4, 9),
    call: fc.nat(5),
    window: fc.nat(1),
    value,
    token,
  });
  await fc.assert(
    fc.asyncProperty(fc.array(frame, { minLength: 20, maxLength: 60 }), async (frames) => {
      for (const { sender, to, kind, type, call, window, value, token } of frames) {
        const encoded = structured.encode(value, () => token);
        const item = liar.claim(here);
        if (item < 64 || encoded.length > 64) continue;
        const flags = kind | (2 << 4) | (window << 7);
        words.set([sender, (flags << 16) | encoded.length, type, to, call, 1 | (window << 21)], item >>> 2);
        bytes.set(encoded, item + 24);
        liar.commit(here, item);
      }
      await settle();
      expect(await remote.echo({ fine: true })).toEqual({ fine: true });
    }),
    { numRuns: 200 },
  );
  await topic.publish("fine");
  for await (const published of values) if ((published as unknown) === "fine") break;
  const answer = new Promise((resolve) => {
    port.onmessage = ({ data }) => resolve(data);
  });
  port.postMessage("fine");
  expect(await answer).toBe("fine");
  expect(ports.length).toBeGreaterThan(0);
  expect(server.ipc.stats().refused).toBeGreaterThan(100);
  // What was taken for functions of others is forgotten.
  collectGarbage();
  await settle();
  expect(thrown).toEqual([]);
});

test("garbage over the heap's words and over items that wait, while calls go on: each call is answered or refused by name, and nobody hangs", async () => {
  const { party, queue, heap } = await system(vqueue);
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  server.serve((message) => message.data);
  const items = new Uint32Array(vvarOf(queue.attach({ pid: 500 })));
  const liar = queue.attach({ pid: 501 });
  const firstWord = liar.firstItem(mailboxOf(server.id)) / 4;
  const lender = heap.attach({ pid: 502 });
  const block = new Heap(lender).loan(64);
  const heapWords = new BigUint64Array(vvarOf(lender), 0, block.bytes.byteOffset >>> 3);
  const state = heapWords.findIndex((word) => Number(word & 7n) === 2 && Number(word >> 33n) === 502);
  expect(state).toBeGreaterThan(0);
  let seed = 7;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * below);
  };
  const codes = new Set<string>();
  let answered = 0;
  for (let round = 0; round < 400; round++) {
    const calls = Array.from({ length: 8 }, (_, n) =>
      client.call(server.id, 1, new Uint8Array(n % 2 === 0 ? 20 : 500).fill(n), { timeoutMs: 200 }).then(
        (answer) => {
          answered++;
          answer[Symbol.dispose]();
        },
        (error: unknown) => codes.add((error as { code?: string }).code ?? String(error)),
      ),
    );
    // Payload words only: a slot's own word is the queue's affair.
    for (let n = 0; n < 6; n++) items[firstWord + random(64) * 24 + random(22)] = seed;
    if (round % 4 === 0) heapWords[state + random(64)] = (BigInt(random(2 ** 32)) << 32n) | BigInt(random(2 ** 32));
    await Promise.all(calls);
  }
  expect(answered).toBeGreaterThan(100);
  expect([...codes].filter((code) => !code.startsWith("ERR_VDSO_"))).toEqual([]);
});

test("answers from somebody else than was asked, unasked ones and second ones are counted, and their buffers freed", async () => {
  const { party, queue, heap } = await system();
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  const { liar, lender, words, floats, own } = lying(queue, heap);
  const call = client.call(server.id, 1);
  const incoming = await server.recv(1);
  const [reply, lent] = [2, 1 << 6];
  for (let id = 0; id < 4; id++) {
    const item = liar.claim(mailboxOf(client.id));
    words.set([own, ((reply | (1 << 4) | lent) << 16) | 0, 0, client.id % 2 ** 21, id, 0], item >>> 2);
    floats[(item + 24) >>> 3] = lender.transfer(lender.allocate(1000), a.pid);
    words[(item + 32) >>> 2] = 1000;
    liar.commit(mailboxOf(client.id), item);
  }
  await settle();
  expect(a.ipc.stats()).toMatchObject({ strayReplies: 4, pendingCalls: 1 });
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  if ("reply" in incoming) await (incoming.reply as (data: string) => Promise<void>)("the real one");
  expect((await call).data).toBe("the real one");
});

test("the end of a call counts whatever stands in it as its reason", async () => {
  const { party, queue, heap } = await system();
  const a = party();
  const server = a.ipc.entity();
  const { liar, lender, words, floats, own } = lying(queue, heap);
  const [call, cancel, value, lent] = [1, 8, 2 << 4, 1 << 6];
  const write = (flags: number, length: number, id: number, handle: number): void => {
    const item = liar.claim(mailboxOf(server.id));
    words.set([own, (flags << 16) | (handle ? 0 : length), 1, server.id % 2 ** 21, id, 0], item >>> 2);
    floats[(item + 24) >>> 3] = handle;
    words[(item + 32) >>> 2] = length;
    liar.commit(mailboxOf(server.id), item);
  };
  const ends: [flags: number, length: number, handle: number][] = [
    [cancel | value, 65, 0],
    [cancel | (3 << 4), 0, 0],
    [cancel | value, 20, 0],
    [cancel | value | lent, 10, 12345],
    [cancel | value | lent, 2 ** 31, lender.transfer(lender.allocate(1000), a.pid)],
    [cancel | value | lent, 10, lender.transfer(lender.allocate(1000), a.pid)],
  ];
  for (const [id, end] of ends.entries()) {
    write(call, 0, id, 0);
    const incoming = (await server.recv(1)) as IncomingCall;
    write(end[0], end[1], id, end[2]);
    await expect.poll(() => incoming.signal.aborted).toBe(true);
    expect((incoming.signal.reason as Error).cause).toBeUndefined();
    expect(a.ipc.stats().refused).toBe(id + 1);
    // Of a call that there is not.
    write(end[0], end[1], id, end[2] && lender.transfer(lender.allocate(1000), a.pid));
  }
  await settle();
  expect(a.ipc.stats().refused).toBe(ends.length);
  expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("an answer to a call that still waits to be sent is nobody's", async () => {
  const { party, queue } = await system();
  const [a, b] = [party(), party({ delivery: "polling" })];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  while (client.trySend(server.id, 1));
  const call = client.call(server.id, 1);
  // Calls have numbers in turn, from 1.
  const liar = queue.attach({ pid: 500 });
  const item = liar.claim(mailboxOf(client.id));
  new Uint32Array(vvarOf(liar)).set([mailboxOf(server.id), 2 << 16, 0, client.id % 2 ** 21, 1, 0], item >>> 2);
  liar.commit(mailboxOf(client.id), item);
  await settle();
  expect(a.ipc.stats()).toMatchObject({ strayReplies: 1, pendingCalls: 1, waitingToSend: 1 });
  b.ipc.close();
  await expectCode("ERR_VDSO_PEER_GONE", () => call);
  expect(a.ipc.stats()).toMatchObject({ pendingCalls: 0, waitingToSend: 0 });
});

test("a mailbox that is corrupt closes its process's side: who waits is told", async () => {
  const { party, queue } = await system();
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  const call = client.call(server.id, 1);
  await server.recv(1);
  // Past every turn that a slot can have.
  const liar = queue.attach({ pid: 500 });
  const view = new BigUint64Array(vvarOf(liar));
  const first = liar.firstItem(mailboxOf(server.id));
  for (let slot = 0; slot < 4096; slot++) view[(first - 8 + slot * 96) / 8] = 0xffff_ffff_ffff_ffffn;
  client.send(server.id, 1).catch(() => undefined);
  await expectCode("ERR_VDSO_PEER_GONE", () => call).catch(async (error) => {
    // Its owner noticed first, and said so.
    expect(String(error)).toContain("ERR_VDSO_NO_ENTITY");
  });
});
