import { beforeAll, describe, expect, test } from "vitest";
import { NAMES } from "../../generated/vnames/vnames.js";
import { tagOf } from "../../runtime/ipc/address.ts";
import { openPort } from "../../runtime/ipc/comlink.ts";
import type { EntityId } from "../../runtime/ipc/index.ts";
import type { IncomingCall, Message } from "../../runtime/ipc/message.ts";
import { connect } from "../../runtime/ipc/service.ts";
import { publish, subscribe } from "../../runtime/ipc/topic.ts";
import { expectCode } from "../expect-code.ts";
import { buildQueues, catchReports, type QueueLibrary, settle, system, takeAll } from "./system.ts";

let small: QueueLibrary;
beforeAll(async () => {
  small = await buildQueues({ QUEUE_LEN: 4, URGENT_LEN: 2, ARRAY_LEN: 8 });
});

async function pair() {
  const { party } = await system();
  const [a, b] = [party(), party()];
  return { a, b, from: a.ipc.entity(3), to: b.ipc.entity(200), party };
}

const texts = async (messages: Promise<Message>[]) => (await Promise.all(messages)).map(({ data }) => data);

describe("messages", () => {
  test("arrive with type, sender and value, in the order of their sends", async () => {
    const { from, to } = await pair();
    for (let i = 0; i < 500; i++) await from.send(to.id, 7, { i });
    for (let i = 0; i < 500; i++) {
      const message = await to.recvAny();
      expect([message.from, message.type, message.data]).toEqual([from.id, 7, { i }]);
    }
    expect([tagOf(from.id), tagOf(to.id), to.tag]).toEqual([3, 200, 200]);
  });

  test("that nobody waits for are kept, each type by itself", async () => {
    const { b, from, to } = await pair();
    for (let i = 0; i < 3; i++) for (const type of [1, 2]) await from.send(to.id, type, `${type}.${i}`);
    await settle();
    expect(b.ipc.stats().kept).toBe(6);
    expect(await texts([to.recv(2), to.recv(2), to.recvAny(), to.recvAny(), to.recvAny(), to.recvAny()])).toEqual([
      "2.0",
      "2.1",
      "1.0",
      "1.1",
      "1.2",
      "2.2",
    ]);
    expect(b.ipc.stats().kept).toBe(0);
  });

  test("go to the waiters of their type in the order in which these came; any type is a waiter like others", async () => {
    const { from, to } = await pair();
    const waiting = [to.recv(1), to.recvAny(), to.recv(1), to.recv(2)];
    for (const [type, text] of [
      [1, "a"],
      [1, "b"],
      [2, "c"],
      [1, "d"],
    ] as const) {
      await from.send(to.id, type, text);
    }
    expect(await texts(waiting)).toEqual(["a", "b", "d", "c"]);
  });

  test("may be sent to oneself, and to another entity of the process", async () => {
    const { a, from } = await pair();
    const other = a.ipc.entity();
    await from.send(from.id, 1, "self");
    await from.send(other.id, 1, "other");
    expect(await texts([from.recvAny(), other.recvAny()])).toEqual(["self", "other"]);
  });

  test.each([0, 1, 64, 65, 1000, 100_000])("carry %d bytes", async (length) => {
    const { a, from, to } = await pair();
    const bytes = Uint8Array.from({ length }, (_, i) => i * 7);
    await from.send(to.id, 1, bytes);
    const message = await to.recv(1);
    expect(Uint8Array.from(message.bytes!)).toEqual(bytes);
    message[Symbol.dispose]();
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  });

  test("hand over a loan: the receiver sees the sender's bytes, and gives them back", async () => {
    const { a, b, from, to } = await pair();
    const loan = a.heap.loan(5000);
    loan.bytes.fill(9);
    const { byteOffset } = loan.bytes;
    await from.send(to.id, 1, loan);
    await expectCode("ERR_VDSO_STALE_HANDLE", () => loan.bytes);
    const message = await to.recv(1);
    expect(message.bytes!.byteOffset).toBe(byteOffset);
    expect(b.heap.heldBy(b.pid)).toBe(8192);
    {
      using kept = message.takeLoan()!;
      message[Symbol.dispose]();
      expect(kept.bytes[4999]).toBe(9);
    }
    expect(a.heap.stats().ownedBlocks).toBe(0);
  });

  test("that cannot be sent leave the caller what it had, and name the reason", async () => {
    const { a, b, from, to } = await pair();
    const loan = a.heap.loan(100);
    const refused: readonly [string, () => unknown][] = [
      ["ERR_VDSO_NOT_CLONABLE", () => from.send(to.id, 1, { list: [1, { call: () => 1 }] })],
      ["ERR_VDSO_HEAP_SIZE", () => from.send(to.id, 1, new Uint8Array(2 ** 26))],
      ["ERR_VDSO_BAD_ENTITY", () => from.send(Number.NaN, 1)],
      ["ERR_VDSO_BAD_ENTITY", () => from.send(17, 1)],
      ["ERR_VDSO_PEER_GONE", () => from.send(to.id + 2 ** 40, 1, loan)],
      ["ERR_VDSO_PEER_GONE", () => from.call(2 ** 53 - 1, 1)],
      ["ERR_VDSO_ARGUMENT", () => from.send(to.id, -1)],
      ["ERR_VDSO_ARGUMENT", () => from.recv(1.5)],
      ["ERR_VDSO_ARGUMENT", () => from.recv(1, { timeoutMs: -1 })],
      ["ERR_VDSO_ARGUMENT", () => a.ipc.entity(256)],
    ];
    for (const [code, run] of refused) await expectCode(code, run);
    const { message } = await expectCode("ERR_VDSO_NOT_CLONABLE", () =>
      from.send(to.id, 1, { list: [1, { call: () => 1 }] }),
    );
    expect(message).toContain("value.list[1].call");
    expect(loan.bytes.length).toBe(100);
    loan.release();
    await settle();
    expect(b.ipc.stats()).toMatchObject({ kept: 0, refused: 0 });
    expect(a.heap.stats().ownedBlocks).toBe(0);
  });

  test("to an entity that has closed are counted, and their buffers given back", async () => {
    const { a, b, from, to } = await pair();
    to.close();
    await from.send(to.id, 1, new Uint8Array(1000));
    await settle();
    expect(b.ipc.stats().undeliverable).toBe(1);
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
    await expectCode("ERR_VDSO_CLOSED", () => to.recv(1));
  });

  test("wait when the mailbox is full, in order, and can be given up", async () => {
    const { party } = await system(small);
    const [a, b] = [party(), party({ delivery: "polling" })];
    const [from, to] = [a.ipc.entity(), b.ipc.entity()];
    const sends = Array.from({ length: 20 }, (_, i) => from.send(to.id, 1, i));
    const given = from.send(to.id, 1, "given up", { timeoutMs: 5 });
    const abort = new AbortController();
    const aborted = from.send(to.id, 1, "aborted", { signal: abort.signal });
    sends.push(from.send(to.id, 1, 20));
    expect(from.trySend(to.id, 1, "too soon")).toBe(false);
    abort.abort(new Error("enough"));
    await expect(aborted).rejects.toThrow("enough");
    await expectCode("ERR_VDSO_TIMEOUT", () => given);
    expect(a.ipc.stats().waitingToSend).toBeGreaterThan(10);
    const received: unknown[] = [];
    while (received.length < 21) {
      const message = to.tryRecv();
      if (message) received.push(message.data);
      else await settle();
    }
    await Promise.all(sends);
    expect(received).toEqual(Array.from({ length: 21 }, (_, i) => i));
    expect(to.tryRecv()).toBeUndefined();
    expect(a.ipc.stats().waitingToSend).toBe(0);
  });

  test("that do not fit into a full mailbox leave a loan with its sender, who can send it later", async () => {
    const { party } = await system(small);
    const [a, b] = [party(), party({ delivery: "polling" })];
    const [from, to] = [a.ipc.entity(), b.ipc.entity()];
    while (from.trySend(to.id, 1));
    const loan = a.heap.loan(1000);
    for (let tries = 0; tries < 3; tries++) expect(from.trySend(to.id, 1, loan)).toBe(false);
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 1, sentBlocks: 0 });
    loan.bytes.fill(7);
    while (to.tryRecv());
    expect(from.trySend(to.id, 1, loan)).toBe(true);
    using message = to.tryRecv();
    expect(message?.bytes).toEqual(new Uint8Array(1000).fill(7));
  });

  test("stay in the mailbox when too many are kept, until somebody asks", async () => {
    const { party } = await system(small);
    const [a, b] = [party(), party({ limit: 3 })];
    const [from, to] = [a.ipc.entity(), b.ipc.entity()];
    const sends = Promise.all(Array.from({ length: 30 }, (_, i) => from.send(to.id, 1, i)));
    await settle();
    expect(b.ipc.stats().kept).toBe(3);
    const received: unknown[] = [];
    for (let i = 0; i < 30; i++) received.push((await to.recv(1)).data);
    await sends;
    expect(received).toEqual(Array.from({ length: 30 }, (_, i) => i));
  });
});

describe("calls", () => {
  test("are answered with bytes, values or nothing, each to its caller", async () => {
    const { a, from, to } = await pair();
    to.serve(({ data }) => data);
    const other = a.ipc.entity();
    const values = Array.from({ length: 300 }, (_, i) => (i % 3 === 0 ? undefined : { i, big: "x".repeat(i) }));
    const answers = await Promise.all(values.map((value, i) => (i % 2 ? from : other).call(to.id, 1, value)));
    expect(answers.map(({ data }) => data)).toEqual(values);
    expect(answers[0]!.from).toBe(to.id);
    expect(a.ipc.stats().pendingCalls).toBe(0);
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  });

  test("may be answered late, in another order, by recv", async () => {
    const { from, to } = await pair();
    const answers = [1, 2, 3].map((i) => from.call(to.id, i));
    const calls = [await to.recv(3), await to.recv(1), await to.recv(2)] as IncomingCall[];
    for (const call of calls) await call.reply(call.type * 10);
    expect((await Promise.all(answers)).map(({ data }) => data)).toEqual([10, 20, 30]);
  });

  test("reject with the server's error: message, name, code, stack and cause", async () => {
    const { from, to } = await pair();
    to.serve(({ type }) => {
      if (type === 1) throw Object.assign(new RangeError("too far", { cause: new Error("why") }), { code: "E_FAR" });
      if (type === 2) return Promise.reject("a text");
      return () => "a function";
    });
    const error = (await from.call(to.id, 1).catch((e: unknown) => e)) as RangeError & { code: string };
    expect(error).toBeInstanceOf(RangeError);
    expect([error.message, error.code, (error.cause as Error).message]).toEqual(["too far", "E_FAR", "why"]);
    expect(error.stack).toContain("messages.test.ts");
    await expect(from.call(to.id, 2)).rejects.toBe("a text");
    await expect(from.call(to.id, 3)).rejects.toMatchObject({ code: "ERR_VDSO_NOT_CLONABLE" });
  });

  test("time out and are aborted; the server learns of it, and its late answer does no harm", async () => {
    const { a, b, from, to } = await pair();
    const calls: IncomingCall[] = [];
    to.serve((message) => {
      calls.push(message as IncomingCall);
      return new Promise(() => undefined);
    });
    const abort = new AbortController();
    const aborted = from.call(to.id, 1, "x", { signal: abort.signal });
    await expectCode("ERR_VDSO_TIMEOUT", () => from.call(to.id, 2, "x", { timeoutMs: 1 }));
    abort.abort(new Error("no more"));
    await expect(aborted).rejects.toThrow("no more");
    await settle();
    expect(calls.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    const reasons = calls.map(({ signal }) => signal.reason as Error);
    expect(reasons).toMatchObject([{ code: "ERR_VDSO_CANCELLED" }, { code: "ERR_VDSO_CANCELLED" }]);
    expect(reasons.map(({ cause }) => cause)).toMatchObject([{ message: "no more" }, { code: "ERR_VDSO_TIMEOUT" }]);
    await calls[0]!.reply(new Uint8Array(1000));
    expect(b.ipc.stats().orphanedReplies).toBe(1);
    expect(a.ipc.stats()).toMatchObject({ pendingCalls: 0, strayReplies: 0 });
    expect(a.heap.stats().ownedBlocks).toBe(0);
    await expect(from.call(to.id, 1, "x", { signal: AbortSignal.abort(new Error("before")) })).rejects.toThrow(
      "before",
    );
  });

  test("are given up for reasons that cannot be sent, or for which there is no room", async () => {
    const { a, b, from, to } = await pair();
    const large = new Error("x".repeat(100_000));
    const give = takeAll(b.heap);
    const causes: unknown[] = [];
    const odd = Object.defineProperty(new Error(), "code", {
      get() {
        throw new Error("not to be read");
      },
    });
    for (const reason of [() => 1, Symbol("why"), large, odd, undefined, null, "text"]) {
      const abort = new AbortController();
      const call = from.call(to.id, 1, 0, { signal: abort.signal });
      const incoming = (await to.recv(1)) as IncomingCall;
      abort.abort(reason);
      await expect(call).rejects.toBe(abort.signal.reason);
      await expect.poll(() => incoming.signal.aborted).toBe(true);
      causes.push((incoming.signal.reason as Error).cause);
    }
    expect(causes).toMatchObject([
      { message: "() => 1" },
      { message: "Symbol(why)" },
      { message: "Error: xxxxxxxxxxxxx" },
      undefined,
      { message: expect.any(String), name: "AbortError" },
      null,
      "text",
    ]);
    give();
    expect([a, b].map(({ ipc }) => ipc.stats().refused)).toEqual([0, 0]);
  });

  test("are told when their answer cannot be handed over", async () => {
    const { b, from, to } = await pair();
    to.serve(() => {
      const loan = b.heap.loan(1000);
      loan.release();
      return loan;
    });
    await expectCode("ERR_VDSO_DOUBLE_FREE", () => from.call(to.id, 1));
  });

  test("have one answer: the second is refused where it is given", async () => {
    const { from, to } = await pair();
    const answer = from.call(to.id, 1);
    const call = (await to.recv(1)) as IncomingCall;
    await call.reply(1);
    await expectCode("ERR_VDSO_ANSWERED", () => call.reply(2));
    await expectCode("ERR_VDSO_ANSWERED", () => call.fail(new Error("late")));
    await expectCode("ERR_VDSO_ANSWERED", () => call.answer(2));
    expect((await answer).data).toBe(1);
  });

  test("reject at once when the server closes, before, during or after they arrive", async () => {
    const { b, from, to } = await pair();
    const waiting = [from.call(to.id, 1), from.call(to.id, 2)];
    await to.recv(1);
    to.close();
    for (const call of waiting) await expectCode("ERR_VDSO_NO_ENTITY", () => call);
    await expectCode("ERR_VDSO_NO_ENTITY", () => from.call(to.id, 1));
    const next = b.ipc.entity();
    const last = [from.call(next.id, 1), from.call(next.id, 2)];
    await next.recv(1);
    const unread = from.call(next.id, 3);
    b.ipc.close();
    for (const call of [...last, unread]) await expectCode("ERR_VDSO_NO_ENTITY", () => call);
    await expectCode("ERR_VDSO_PEER_GONE", () => from.call(next.id, 1));
  });

  test("reject at once when the server's process dies, also those that wait for room", async () => {
    const { party } = await system(small);
    const [a, b] = [party(), party({ delivery: "polling" })];
    const [from, to] = [a.ipc.entity(), b.ipc.entity()];
    const calls = Array.from({ length: 12 }, () => from.call(to.id, 1, new Uint8Array(500)));
    const sends = Array.from({ length: 3 }, () => from.send(to.id, 1, new Uint8Array(500)));
    await settle();
    b.die();
    for (const waiting of [...calls, ...sends]) await expectCode("ERR_VDSO_PEER_GONE", () => waiting);
    expect(a.ipc.stats()).toMatchObject({ pendingCalls: 0, waitingToSend: 0 });
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  });

  test("of a caller that died are told so; what it had sent on the way is freed", async () => {
    const { a, b, from, to } = await pair();
    const call = from.call(to.id, 1);
    call.catch(() => undefined);
    const incoming = (await to.recv(1)) as IncomingCall;
    // Sent to b in a message that never was.
    a.heap.loan(1000).transfer(b.pid);
    a.die();
    const { signal } = incoming;
    await new Promise((resolve) => (signal.aborted ? resolve(0) : signal.addEventListener("abort", resolve)));
    await settle();
    expect(b.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
    await incoming.reply("too late");
    expect(b.ipc.stats().orphanedReplies).toBe(1);
  });

  test("reject when their own entity closes", async () => {
    const { from, to } = await pair();
    const call = from.call(to.id, 1);
    const waiting = from.recv(1);
    const incoming = (await to.recv(1)) as IncomingCall;
    from.close();
    await expectCode("ERR_VDSO_CLOSED", () => call);
    await expectCode("ERR_VDSO_CLOSED", () => waiting);
    await settle();
    expect(incoming.signal.aborted).toBe(true);
  });
});

describe("streams", () => {
  test("end with what their last answer says, if it says something", async () => {
    const { a, from, to } = await pair();
    to.serve(async (message) => {
      const call = message as IncomingCall;
      for (let n = 0; n < 3; n++) await call.answer(n);
      if (call.type !== 1) await call.reply(call.type === 2 ? "the last" : new Uint8Array(1000));
    });
    const single = a.ipc.entity().serve(() => "the only one");
    const read = async (id: EntityId, type: number): Promise<unknown[]> => {
      const all: unknown[] = [];
      for await (using message of from.stream(id, type, 0, { window: 2 })) {
        const { data } = message;
        all.push(data instanceof Uint8Array ? data.length : data);
      }
      return all;
    };
    expect(await read(to.id, 1)).toEqual([0, 1, 2]);
    expect(await read(to.id, 2)).toEqual([0, 1, 2, "the last"]);
    expect(await read(to.id, 3)).toEqual([0, 1, 2, 1000]);
    expect(await read(single.id, 1)).toEqual(["the only one"]);
    // One that is not read any more.
    const left = from.stream(to.id, 3);
    await left.next();
    await left.return();
    await settle();
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  });

  test("bring many answers to one call, no more at once than there is room for", async () => {
    const { from, to } = await pair();
    let made = 0;
    to.serve(async function* ({ data }) {
      for (let i = 0; i < (data as number); i++) {
        made++;
        yield { i };
      }
    } as (message: Message) => AsyncIterable<unknown>);
    const stream = from.stream(to.id, 1, 1000, { window: 8 });
    await settle();
    expect(made).toBeLessThanOrEqual(9);
    let next = 0;
    for await (const { data } of stream) {
      expect(data).toEqual({ i: next++ });
      expect(made).toBeLessThanOrEqual(next + 9);
    }
    expect(next).toBe(1000);
  });

  test("end early when the reader leaves, and with the server's error", async () => {
    const { a, from, to } = await pair();
    let ended = false;
    let signal: AbortSignal | undefined;
    to.serve(async function* (message: Message) {
      const { type } = message;
      signal = (message as IncomingCall).signal;
      try {
        for (let i = 0; ; i++) {
          if (type === 2 && i === 3) throw new Error("third");
          yield new Uint8Array(100);
        }
      } finally {
        ended = true;
      }
    });
    for await (const message of from.stream(to.id, 1, 0, { window: 2 })) {
      message[Symbol.dispose]();
      break;
    }
    await settle();
    expect(ended).toBe(true);
    const reason = signal?.reason as Error | undefined;
    expect(reason).toMatchObject({ code: "ERR_VDSO_CANCELLED" });
    expect(reason?.cause).toBeUndefined();
    let count = 0;
    const failing = async () => {
      for await (const message of from.stream(to.id, 2)) {
        message[Symbol.dispose]();
        count++;
      }
    };
    await expect(failing()).rejects.toThrow("third");
    expect(count).toBe(3);
    expect(a.ipc.stats().pendingCalls).toBe(0);
    await settle();
    expect(a.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  });

  test("fail when the server dies, and are refused to callers that want one answer", async () => {
    const { b, from, to } = await pair();
    const stream = from.stream(to.id, 1);
    const call = (await to.recv(1)) as IncomingCall;
    await call.answer("first");
    expect((await stream.next()).value?.data).toBe("first");
    b.die();
    await expectCode("ERR_VDSO_PEER_GONE", () => stream.next());
    expect(await stream.next()).toEqual({ done: true, value: undefined });
    await expectCode("ERR_VDSO_ARGUMENT", () => from.stream(to.id, 1, 0, { window: 0 }));
  });

  test("are refused to callers that want one answer, and their source is left", async () => {
    const { b, from } = await pair();
    let left = 0;
    const endless = (): AsyncIterator<number> => ({
      next: async () => ({ done: false, value: 1 }),
      return: async () => {
        left++;
        return { done: true, value: undefined };
      },
    });
    const server = b.ipc.entity().serve(() => ({ [Symbol.asyncIterator]: endless }));
    await expectCode("ERR_VDSO_NO_STREAM", () => from.call(server.id, 1));
    expect(left).toBe(1);
    const asked = b.ipc.entity();
    const call = from.call(asked.id, 1);
    const incoming = (await asked.recv(1)) as IncomingCall;
    await expectCode("ERR_VDSO_NO_STREAM", () => incoming.answer(1));
    await incoming.reply("one");
    expect((await call).data).toBe("one");
  });
});

describe("names", () => {
  test("are found, waited for, refused a second time, and end with their process", async () => {
    const { a, b, from, to } = await pair();
    expect(a.ipc.lookup("server")).toBeUndefined();
    const found = a.ipc.whenNamed("server");
    await b.ipc.register("server", to);
    expect(await found).toBe(to.id);
    expect(a.ipc.lookup("server")).toBe(to.id);
    await expectCode("ERR_VDSO_NAME_TAKEN", () => a.ipc.register("server", from));
    await expectCode("ERR_VDSO_NOT_OWNER", () => a.ipc.unregister("server"));
    b.die();
    expect(a.ipc.lookup("server")).toBeUndefined();
    await a.ipc.register("server", from);
    a.ipc.unregister("server");
    await expectCode("ERR_VDSO_NO_NAME", () => a.ipc.unregister("server"));
    await expectCode("ERR_VDSO_TIMEOUT", () => a.ipc.whenNamed("server", { timeoutMs: 1 }));
    for (const name of ["", "x".repeat(65)]) {
      await expectCode("ERR_VDSO_ARGUMENT", () => a.ipc.register(name, from));
      await expectCode("ERR_VDSO_ARGUMENT", () => a.ipc.whenNamed(name));
    }
    const closed = a.ipc.entity();
    await a.ipc.register("server", closed);
    await a.ipc.register("other", from);
    closed.close();
    expect([a.ipc.lookup("server"), a.ipc.lookup("other")]).toEqual([undefined, from.id]);
    const long = "\u{1F600}".repeat(32);
    await a.ipc.register(long, from);
    expect(a.ipc.lookup(long)).toBe(from.id);
  });
});

test("whoever waits for a name is told when its own Ipc closes", async () => {
  const { a, from } = await pair();
  const waits = [
    a.ipc.whenNamed("nobody"),
    connect(a.ipc, "nobody"),
    openPort(a.ipc, "nobody"),
    publish(a.ipc, "nobody", 1),
    subscribe(a.ipc, "nobody").next(),
  ];
  await settle();
  from.serve(() => a.ipc.close());
  await from.send(from.id, 1);
  for (const wait of waits) await expectCode("ERR_VDSO_CLOSED", () => wait);
  await expectCode("ERR_VDSO_CLOSED", () => a.ipc.whenNamed("nobody"));
  await expectCode("ERR_VDSO_CLOSED", () => a.ipc.whenNamedSync("nobody"));
});

test("there is no more room for names than the table has, and for entities than there are numbers", async () => {
  const { a, b } = await pair();
  const many = a.ipc.entity();
  for (let n = 0; n < NAMES; n++) await a.ipc.register(`name ${n}`, many);
  const one = b.ipc.entity();
  await expectCode("ERR_VDSO_NO_ROOM", () => b.ipc.register("one", one));
  many.close();
  await b.ipc.register("one", one);
  const entities = Array.from({ length: 8191 - 1 }, () => a.ipc.entity());
  await expectCode("ERR_VDSO_ENTITY_LIMIT", () => a.ipc.entity());
  entities[17]!.close();
  expect(a.ipc.entity().closed).toBe(false);
});

describe("handlers", () => {
  test.each<[string, () => unknown]>([
    ["throw an object without a prototype", () => raise(Object.assign(Object.create(null), { run: () => 1 }))],
    ["throw an error that cannot be read", () => raise(unreadable("message", new Error("x")))],
    ["return what cannot be read", () => unreadable("then", {})],
    ["return what cannot be read as a stream", () => unreadable(Symbol.asyncIterator, {})],
    ["return later what cannot be read", async () => unreadable(Symbol.asyncIterator, {})],
    ["return what cannot be sent", () => Symbol("no")],
    ["return what cannot be waited for", () => unreadable("then", {}, () => raise(new Error("x")))],
  ])("that %s fail the call, and nothing else", async (_, handler) => {
    const { b, from } = await pair();
    const server = b.ipc.entity().serve(({ type }) => (type === 1 ? handler() : "fine"));
    await expect(from.call(server.id, 1)).rejects.toBeInstanceOf(Error);
    expect((await from.call(server.id, 2)).data).toBe("fine");
    expect(b.ipc.stats().kept).toBe(0);
  });

  test("that throw more than there is room for fail the call with its beginning", async () => {
    const { b, from } = await pair();
    const server = b.ipc.entity().serve(() => raise("\u6f22".repeat(100)));
    const giveBack = takeAll(b.heap);
    await expect(from.call(server.id, 1)).rejects.toThrow("????????????????????");
    giveBack();
  });

  test("that throw at a message which is no call: nobody waits, so it is the process's error", async () => {
    const { b, from } = await pair();
    const thrown = catchReports();
    const error = new Error("on purpose");
    const server = b.ipc.entity().serve(() => raise(error));
    await from.send(server.id, 1);
    await settle();
    expect(thrown).toEqual([error]);
    expect(b.ipc.stats()).toMatchObject({ kept: 0, refused: 0 });
  });
});

function raise(value: unknown): never {
  throw value;
}

function unreadable(key: string | symbol, target: object, value?: () => unknown): object {
  return Object.defineProperty(target, key, value ? { value } : { get: () => raise(new Error("unreadable")) });
}
