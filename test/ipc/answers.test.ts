/** Answers whose caller, or whose giver, goes while they wait for room. */
import { expect, test } from "vitest";
import { VdsoError } from "../../runtime/errors.ts";
import { mailboxOf } from "../../runtime/ipc/address.ts";
import type { Handler } from "../../runtime/ipc/entity.ts";
import type { Ipc } from "../../runtime/ipc/ipc.ts";
import type { IncomingCall } from "../../runtime/ipc/message.ts";
import type { ReplyStream } from "../../runtime/ipc/stream.ts";
import { collectGarbage } from "../collect-garbage.ts";
import { expectCode } from "../expect-code.ts";
import { type Party, settle, system } from "./system.ts";

/** A server, and a caller that takes nothing by itself, whose mailbox is full. */
async function waiting(serve?: Handler, count = 1) {
  const { party } = await system();
  const [server, caller] = [party(), party({ delivery: "polling" })];
  const entity = server.ipc.entity();
  if (serve) entity.serve(serve);
  const target = caller.ipc.entity();
  const calls = Array.from({ length: count }, () => target.call(entity.id, 2));
  for (const call of calls) call.catch(() => undefined);
  const incoming = serve ? undefined : ((await entity.recv(2)) as IncomingCall);
  await settle();
  const filler = server.ipc.entity();
  while (server.ipc.stats().waitingToSend === 0) void filler.send(target.id, 1).catch(() => undefined);
  return { server, caller, entity, target, call: calls[0]!, incoming: incoming! };
}

/** A stream with room for one answer, which nobody has read. */
async function unread() {
  const { party } = await system();
  const [server, caller] = [party(), party()];
  const entity = server.ipc.entity();
  const stream = caller.ipc.entity().stream(entity.id, 1, 0, { window: 1 });
  const incoming = (await entity.recv(1)) as IncomingCall;
  await incoming.answer(0);
  return { caller, stream, incoming };
}

async function takeAll(ipc: Ipc): Promise<void> {
  for (let round = 0; round < 20; round++) {
    ipc.poll();
    await settle();
  }
}

const noBlocks = { ownedBlocks: 0, sentBlocks: 0 };

test("a call is refused when its entity closes and the answer that waited is given up", async () => {
  const { caller, entity, incoming, call } = await waiting();
  const abort = new AbortController();
  const reply = incoming.reply(1, { signal: abort.signal });
  entity.close();
  abort.abort(new RangeError("enough"));
  await expect(reply).rejects.toThrow("enough");
  await takeAll(caller.ipc);
  await expectCode("ERR_VDSO_NO_ENTITY", () => call);
});

test("a call is refused when its entity closes and the answer that waited cannot be handed over", async () => {
  const { server, caller, entity, incoming, call } = await waiting();
  const loan = server.heap.loan(1000);
  const reply = expectCode("ERR_VDSO_DOUBLE_FREE", () => incoming.reply(loan));
  entity.close();
  loan.release();
  await takeAll(caller.ipc);
  await reply;
  await expectCode("ERR_VDSO_NO_ENTITY", () => call);
});

test("an answer that waits ends with its Ipc", async () => {
  const { server, incoming } = await waiting();
  const first = incoming.reply(1);
  server.ipc.close();
  await expectCode("ERR_VDSO_CLOSED", () => first);
  // It was refused for want of its entity.
  await expectCode("ERR_VDSO_ANSWERED", () => incoming.reply(2));
  expect(server.ipc.stats()).toMatchObject({ orphanedReplies: 1, waitingToSend: 0 });
});

test("handlers that end before, or after, the end of an Ipc whose callers take nothing leave nothing", async () => {
  const ends: (() => void)[] = [];
  const { server } = await waiting(() => new Promise((resolve) => ends.push(() => resolve(server.heap.loan(1000)))), 4);
  for (const end of ends.slice(0, 2)) end();
  await settle();
  server.ipc.close();
  await settle();
  for (const end of ends.slice(2)) end();
  await settle();
  expect(server.heap.stats()).toMatchObject(noBlocks);
  expect(server.ipc.stats().waitingToSend).toBe(0);
});

test("an Ipc that has closed sends nothing, though there is room again", async () => {
  let end = (): void => undefined;
  const { server, caller, target, call } = await waiting(() => new Promise((resolve) => (end = () => resolve(1))));
  end();
  await settle();
  server.ipc.close();
  const inbox = mailboxOf(target.id);
  // As the caller's thread may before the server's next microtask.
  for (let n = 0; n < 40; n++) caller.queues.release(inbox, caller.queues.take(inbox));
  await takeAll(caller.ipc);
  await expectCode("ERR_VDSO_PEER_GONE", () => call);
});

test.each([
  ["closes", (caller: { ipc: Ipc }) => caller.ipc.close()],
  ["dies", (caller: { die(): void }) => caller.die()],
])("an answer that waits for a caller that %s is nobody's, and its loan is given back", async (_, go) => {
  let end = (_: unknown): void => undefined;
  const { server, caller } = await waiting(() => new Promise((resolve) => (end = resolve)));
  end(server.heap.loan(1000));
  await settle();
  go(caller);
  await expect.poll(() => server.heap.stats()).toMatchObject(noBlocks);
  await expect.poll(() => server.ipc.stats()).toMatchObject({ waitingToSend: 0, orphanedReplies: 1 });
});

test("an answer to a caller whose end was not noticed yet is nobody's", async () => {
  const { party } = await system();
  const [server, caller] = [party({ delivery: "polling" }), party()];
  const entity = server.ipc.entity();
  for (let type = 1; type <= 3; type++) {
    caller.ipc
      .entity()
      .stream(entity.id, type)
      .next()
      .catch(() => undefined);
  }
  const [first, second, third] = [1, 2, 3].map((type) => entity.tryRecv(type) as IncomingCall);
  caller.ipc.close();
  await first!.reply(server.heap.loan(1000));
  await second!.fail(new Error("no"));
  await expectCode("ERR_VDSO_PEER_GONE", () => third!.answer(1));
  server.ipc.poll();
  expect(server.heap.stats()).toMatchObject(noBlocks);
  expect(server.ipc.stats().orphanedReplies).toBe(2);
});

test("a reader's room that an answer was given up for is there for the next, and what was answered ends with that", async () => {
  const { server, caller, entity, target } = await waiting();
  const stream = target.stream(entity.id, 1, 0, { window: 2 });
  const incoming = (await entity.recv(1)) as IncomingCall;
  for (let n = 0; n < 3; n++) {
    await expectCode("ERR_VDSO_TIMEOUT", () => incoming.answer("given up", { timeoutMs: 5 }));
  }
  const sent = [incoming.answer(1), incoming.answer(2), incoming.reply(3)];
  const answers: unknown[] = [];
  const reading = (async () => {
    for await (const { data } of stream) answers.push(data);
  })();
  await takeAll(caller.ipc);
  await Promise.all([...sent, reading]);
  expect(answers).toEqual([1, 2, 3]);
  caller.ipc.close();
  await settle();
  expect(incoming.signal.aborted).toBe(false);
  expect(server.heap.stats()).toMatchObject(noBlocks);
});

test("an answer that waits for its reader ends with the call, and is not sent behind the last", async () => {
  const { caller, stream, incoming } = await unread();
  const late = incoming.answer("late");
  await incoming.reply();
  await expectCode("ERR_VDSO_ANSWERED", () => late);
  expect((await stream.next()).value?.data).toBe(0);
  expect((await stream.next()).done).toBe(true);
  expect(caller.ipc.stats().strayReplies).toBe(0);
});

test("an answer that is given up because somebody else has gone is another's to give", async () => {
  const { caller, incoming, call } = await waiting();
  const abort = new AbortController();
  const reply = incoming.reply(1, { signal: abort.signal });
  abort.abort(new VdsoError("ERR_VDSO_PEER_GONE", "of another"));
  await expectCode("ERR_VDSO_PEER_GONE", () => reply);
  await takeAll(caller.ipc);
  await incoming.reply(2);
  await takeAll(caller.ipc);
  expect((await call).data).toBe(2);
});

test("answers that wait for their reader go in order, also when a later one is given first", async () => {
  const { party } = await system();
  const [server, client] = [party({ delivery: "polling" }), party({ delivery: "polling" })];
  const entity = server.ipc.entity();
  const mine = client.ipc.entity();
  const stream = mine.stream(entity.id, 1, 0, { window: 1 });
  const incoming = entity.tryRecv(1) as IncomingCall;
  void incoming.answer(0);
  void incoming.answer(1);
  // In the same run as the credit for the one before.
  entity.serve(() => void incoming.answer(2));
  client.ipc.poll();
  const answers = [(await stream.next()).value?.data];
  void mine.send(entity.id, 5);
  for (let n = 1; n < 3; n++) {
    server.ipc.poll();
    await settle();
    client.ipc.poll();
    answers.push((await stream.next()).value?.data);
  }
  expect(answers).toEqual([0, 1, 2]);
});

test("loans that a handler yields to a reader who has left are given back", async () => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const entity = server.ipc.entity().serve(async function* () {
    for (;;) yield server.heap.loan(1000);
  });
  for await (using _ of client.ipc.entity().stream(entity.id, 1, 0, { window: 2 })) break;
  await settle();
  expect(server.heap.stats()).toMatchObject(noBlocks);
});

test.each([
  ["ERR_VDSO_CANCELLED", (stream: ReplyStream) => stream.return()],
  ["ERR_VDSO_PEER_GONE", (_: ReplyStream, caller: Party) => caller.die()],
])("%s: answers that wait for a reader who goes fail", async (code, go) => {
  const { caller, stream, incoming } = await unread();
  const late = [incoming.answer(1), incoming.answer(2)];
  for (const each of late) each.catch(() => undefined);
  await settle();
  await go(stream, caller);
  for (const each of late) await expectCode(code, () => each);
});

test("answers that are given up for want of a reader leave nothing", async () => {
  const { stream, incoming } = await unread();
  const bytesAfter = async (answers: number): Promise<number> => {
    for (let n = 0; n < answers; n++) {
      const abort = new AbortController();
      const answer = incoming.answer(1, { signal: abort.signal });
      abort.abort(new Error("no"));
      await answer.catch(() => undefined);
    }
    collectGarbage();
    return process.memoryUsage().heapUsed;
  };
  await bytesAfter(2000);
  const before = await bytesAfter(1000);
  expect((await bytesAfter(20_000)) - before).toBeLessThan(20_000 * 50);
  await stream.next();
});
