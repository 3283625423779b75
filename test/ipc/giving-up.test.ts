/** Everything that waits can be given up: by a signal, with its reason, and after a time. */
import { expect, test } from "vitest";
import { openPort } from "../../runtime/ipc/comlink.ts";
import type { WaitOptions } from "../../runtime/ipc/guard.ts";
import type { Ipc } from "../../runtime/ipc/ipc.ts";
import type { IncomingCall } from "../../runtime/ipc/message.ts";
import { connect, expose } from "../../runtime/ipc/service.ts";
import { publish, subscribe, Topic } from "../../runtime/ipc/topic.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

async function silent() {
  const { party } = await system();
  const [server, client, full] = [party(), party(), party({ delivery: "polling" })];
  const never = server.ipc.entity().serve(() => new Promise(() => undefined));
  await server.ipc.register("silent", never);
  const slow = await Topic.create<number>(server.ipc, "slow");
  const reader = subscribe<number>(client.ipc, "slow", { overflow: "wait", limit: 1 });
  const first = reader.next();
  await settle();
  let published = 0;
  for (let isTaken = true; isTaken; published++) {
    const publishing = slow.publish(published).then(() => true);
    isTaken = await Promise.race([publishing, settle().then(() => false)]);
  }
  await first;
  const entity = client.ipc.entity();
  const target = full.ipc.entity();
  const [unread, unanswered] = [target.stream(entity.id, 1, 0, { window: 1 }), target.call(entity.id, 2)];
  unanswered.catch(() => undefined);
  const streaming = (await entity.recv(1)) as IncomingCall;
  const calling = (await entity.recv(2)) as IncomingCall;
  await streaming.answer(0);
  while (client.ipc.stats().waitingToSend === 0) void entity.send(target.id, 1).catch(() => undefined);
  return { server, client, entity, full, target, never, slow, streaming, unread, calling, unanswered };
}

type Silent = Awaited<ReturnType<typeof silent>>;

test.each<[string, (silent: Silent, options: WaitOptions) => Promise<unknown>]>([
  ["send", ({ entity, target }, options) => entity.send(target.id, 1, 0, options)],
  ["recv", ({ entity }, options) => entity.recv(1, options)],
  ["recvAny", ({ entity }, options) => entity.recvAny(options)],
  ["call", ({ entity, never }, options) => entity.call(never.id, 1, 0, options)],
  ["call, not sent yet", ({ entity, target }, options) => entity.call(target.id, 1, 0, options)],
  ["reply", ({ calling }, options) => calling.reply(1, options)],
  ["fail", ({ calling }, options) => calling.fail(new Error("no"), options)],
  ["answer, to who has not read the last", ({ streaming }, options) => streaming.answer(1, options)],
  ["stream", async ({ entity, never }, options) => entity.stream(never.id, 1, 0, options).next()],
  ["whenNamed", ({ client }, options) => client.ipc.whenNamed("nobody", options)],
  ["connect", ({ client }, options) => connect(client.ipc, "nobody", options)],
  ["openPort, without a listener", ({ client }, options) => openPort(client.ipc, "nobody", options)],
  ["openPort, that is not answered", ({ client }, options) => openPort(client.ipc, "silent", options)],
  ["subscribe", ({ client }, options) => subscribe(client.ipc, "nobody", options).next()],
  ["publish", ({ slow }, options) => slow.publish(1, options)],
  ["publish, without a topic", ({ client }, options) => publish(client.ipc, "nobody", 1, options)],
  ["publish, from elsewhere", ({ client }, options) => publish(client.ipc, "slow", 1, options)],
])("%s", async (_, wait) => {
  const all = await silent();
  const before = all.client.ipc.stats();
  await expectCode("ERR_VDSO_TIMEOUT", () => wait(all, { timeoutMs: 5 }));
  await expectCode("ERR_VDSO_ARGUMENT", () => wait(all, { timeoutMs: -1 }));
  const reason = new RangeError("enough");
  await expect(wait(all, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  const abort = new AbortController();
  const waiting = wait(all, { signal: abort.signal, timeoutMs: 60_000 });
  await settle();
  abort.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  const { pendingCalls, waitingToSend } = all.client.ipc.stats();
  expect({ pendingCalls, waitingToSend }).toEqual({
    pendingCalls: before.pendingCalls,
    waitingToSend: before.waitingToSend,
  });
});

test("an answer that is given up was not sent: another can be", async () => {
  const { full, target, calling, unanswered, streaming, unread } = await silent();
  const options = { timeoutMs: 5 };
  for (const [answered, answer] of [
    [calling, () => calling.reply(1, options)],
    [calling, () => calling.fail(new Error("no"), options)],
    [streaming, () => streaming.answer(1, options)],
    [streaming, () => streaming.reply(1, options)],
  ] as const) {
    await expectCode("ERR_VDSO_TIMEOUT", answer);
    expect(answered.answered).toBe(false);
  }
  const sent = [calling.reply(2), streaming.answer(2)];
  expect(calling.answered).toBe(true);
  await expectCode("ERR_VDSO_ANSWERED", () => calling.reply(3));
  target.serve(() => undefined, { keepAlive: false });
  const answers: unknown[] = [];
  const reading = (async () => {
    for await (const { data } of unread) answers.push(data);
  })();
  const [end] = [Promise.all(sent).then(() => streaming.reply())];
  await expect
    .poll(() => {
      full.ipc.poll();
      return answers;
    })
    .toEqual([0, 2]);
  expect((await unanswered).data).toBe(2);
  await end;
  full.ipc.poll();
  await reading;
  expect(full.ipc.stats()).toMatchObject({ strayReplies: 0, refused: 0 });
});

test("an answer that waits is given up by its caller as well", async () => {
  const { client, full, target, calling, entity } = await silent();
  const abort = new AbortController();
  const call = target.call(entity.id, 3, 0, { signal: abort.signal });
  const incoming = (await entity.recv(3)) as IncomingCall;
  const options = new AbortController();
  const reply = incoming.reply(1, { signal: options.signal });
  abort.abort(new Error("enough"));
  await expect(call).rejects.toThrow("enough");
  await expect.poll(() => incoming.signal.aborted).toBe(true);
  options.abort(new Error("too late"));
  await expect(reply).rejects.toThrow("too late");
  await incoming.reply(2);
  expect(client.ipc.stats().orphanedReplies).toBe(1);
  await expectCode("ERR_VDSO_TIMEOUT", () => calling.reply(1, { timeoutMs: 1 }));
  full.ipc.poll();
});

test("what blocks the thread is given up by handlers that run meanwhile", async () => {
  const { party } = await system();
  const [server, client] = [party({ delivery: "polling" }), party({ delivery: "polling" })];
  const never = server.ipc.entity();
  const reason = new RangeError("enough");
  const [entity, other] = [client.ipc.entity(), client.ipc.entity()];
  const wakeUp = client.ipc.entity().serve(() => abort.abort(reason), { keepAlive: false });
  let abort = new AbortController();
  for (const wait of [
    (options: WaitOptions) => entity.callSync(never.id, 1, 0, options),
    (options: WaitOptions) => other.recvSync(1, options),
  ]) {
    abort = new AbortController();
    expect(() => wait({ signal: AbortSignal.abort(reason) })).toThrow(reason);
    await server.ipc.entity().send(wakeUp.id, 1);
    expect(() => wait({ signal: abort.signal, timeoutMs: 60_000 })).toThrow(reason);
  }
  expect(() => client.ipc.whenNamedSync("nobody", { signal: AbortSignal.abort(reason) })).toThrow(reason);
  expect(client.ipc.stats()).toMatchObject({ pendingCalls: 0, waitingToSend: 0 });
  // The server was told.
  const call = never.tryRecv(1) as IncomingCall;
  server.ipc.poll();
  expect(call.signal.reason.cause).toEqual(reason);
});

test("a signal that the value itself fires gives the call up", async () => {
  const { entity, never } = await silent();
  const abort = new AbortController();
  const value = {
    get x(): number {
      abort.abort(new RangeError("enough"));
      return 1;
    },
  };
  await expect(entity.call(never.id, 1, value, { signal: abort.signal })).rejects.toThrow("enough");
});

test("a signal that the value itself fires gives up what blocks the thread, too, and the call of a service", async () => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const firing = (abort: AbortController) => ({
    get x(): number {
      abort.abort(new RangeError("enough"));
      return 1;
    },
  });
  const [first, second] = [new AbortController(), new AbortController()];
  const never = server.ipc.entity();
  const options = { signal: first.signal, timeoutMs: 60_000 };
  expect(() => client.ipc.entity().callSync(never.id, 1, firing(first), options)).toThrow("enough");
  await expose(server.ipc, "silent", { wait: (_: AbortSignal, __: unknown) => new Promise(() => undefined) });
  const remote = await connect<{ wait(signal: AbortSignal, value: unknown): Promise<unknown> }>(client.ipc, "silent");
  await expect(remote.wait(second.signal, firing(second))).rejects.toThrow("enough");
  expect(client.ipc.stats().pendingCalls).toBe(0);
});

test("a reason goes on through those who hand its signal on, and may be null", async () => {
  const { party } = await system();
  type Api = { wait(signal: AbortSignal): Promise<unknown> };
  const reasons: unknown[] = [];
  const parties = [party(), party(), party()];
  await expose(parties[0]!.ipc, "last", {
    wait: (signal: AbortSignal) =>
      new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          reasons.push(signal.reason);
          reject(signal.reason);
        });
      }),
  });
  const last = await connect<Api>(parties[1]!.ipc, "last");
  await expose(parties[1]!.ipc, "first", { wait: (signal: AbortSignal) => last.wait(signal) });
  const first = await connect<Api>(parties[2]!.ipc, "first");
  for (const reason of [new RangeError("enough"), null]) {
    const abort = new AbortController();
    const call = first.wait(abort.signal);
    await settle();
    abort.abort(reason);
    expect(await call.catch((error: unknown) => error)).toBe(reason);
    await settle();
  }
  expect(reasons).toMatchObject([
    { cause: { cause: { message: "enough" } } },
    { cause: { code: "ERR_VDSO_CANCELLED" } },
  ]);
});

test("a subscription ends with its signal", async () => {
  const { client, slow } = await silent();
  const abort = new AbortController();
  const values = subscribe<number>(client.ipc, "slow", { signal: abort.signal });
  await values.next();
  const next = values.next();
  await settle();
  expect(slow.subscribers).toBe(2);
  abort.abort(new RangeError("enough"));
  await expect(next).rejects.toThrow("enough");
  await expect.poll(() => slow.subscribers).toBe(1);
});

test.each<[string, (ipc: Ipc, options: WaitOptions) => Promise<unknown>]>([
  ["publish", (ipc, options) => publish(ipc, "late", 1, options)],
  ["openPort", (ipc, options) => openPort(ipc, "late", options)],
])("the steps of %s share one time-out", async (_, wait) => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const never = server.ipc.entity().serve(() => new Promise(() => undefined));
  const ends: string[] = [];
  const waiting = expectCode("ERR_VDSO_TIMEOUT", () => wait(client.ipc, { timeoutMs: 800 })).then(() =>
    ends.push("one"),
  );
  await new Promise((resolve) => setTimeout(resolve, 400));
  await server.ipc.register("late", never);
  // What a time-out that begins anew with the second step would come after.
  await Promise.all([waiting, new Promise((resolve) => setTimeout(resolve, 700)).then(() => ends.push("two"))]);
  expect(ends).toEqual(["one", "two"]);
});
