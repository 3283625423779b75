import { expect, onTestFinished, test, vi } from "vitest";
import { structured } from "../../runtime/ipc/codec.ts";
import type { EntityId } from "../../runtime/ipc/index.ts";
import { connect, expose, withOptions } from "../../runtime/ipc/service.ts";
import { Encoded } from "../../runtime/ipc/wire.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

class Calculator {
  readonly log: string[] = [];
  reason: unknown;
  kept: (() => unknown) | undefined;
  #total = 0;

  add(...numbers: number[]): number {
    for (const number of numbers) this.#total += number;
    return this.#total;
  }

  async fail(): Promise<never> {
    throw Object.assign(new TypeError("on purpose"), { code: "E_PURPOSE" });
  }

  async *count(to: number): AsyncGenerator<{ n: number }> {
    try {
      for (let n = 1; n <= to; n++) yield { n };
    } finally {
      this.log.push("count ended");
    }
  }

  async *large(to: number): AsyncGenerator<string> {
    for (let n = 0; n < to; n++) yield "x".repeat(500);
  }

  async each(items: readonly string[], visit: (item: string, index: number) => unknown): Promise<unknown[]> {
    const results: unknown[] = [];
    for (const [index, item] of items.entries()) results.push(await visit(item, index));
    return results;
  }

  forever(signal: AbortSignal): Promise<never> {
    return new Promise((_, reject) => {
      signal.addEventListener("abort", () => {
        this.log.push(`aborted: ${signal.reason}`);
        this.reason = signal.reason;
        reject(signal.reason);
      });
    });
  }

  /** As who has lost somebody else. */
  keep(callback: () => unknown, code: string): never {
    this.kept = callback;
    throw Object.assign(new Error("of another service"), { code });
  }

  keepFor(callback: () => unknown, signal: AbortSignal): Promise<never> {
    this.kept = callback;
    return this.forever(signal);
  }

  counter(): { next: () => number; sum: (from: () => number) => Promise<number> } {
    let n = 0;
    return { next: () => ++n, sum: async (from) => n + (await from()) };
  }

  perhaps? = () => "here";

  private = "not a function";
}

/** @returns what nobody has handled until the end of the test: a process would end by it */
function catchRejections(): unknown[] {
  const unhandled: unknown[] = [];
  const listeners = process.listeners("unhandledRejection");
  process.removeAllListeners("unhandledRejection");
  process.on("unhandledRejection", (error) => unhandled.push(error));
  onTestFinished(() => {
    process.removeAllListeners("unhandledRejection");
    for (const listener of listeners) process.on("unhandledRejection", listener);
  });
  return unhandled;
}

async function connected() {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const api = new Calculator();
  const service = await expose(server.ipc, "calculator", api);
  const remote = await connect<Calculator>(client.ipc, "calculator");
  return { server, client, api, service, remote, party };
}

test("functions are called with their object, in order, and return copies", async () => {
  const { remote } = await connected();
  const sums = await Promise.all([remote.add(1), remote.add(2, 3), remote.add()]);
  expect(sums).toEqual([1, 6, 6]);
});

test("errors come with name, code and the server's stack; the connection goes on", async () => {
  const { remote } = await connected();
  const error = (await remote.fail().catch((e: unknown) => e)) as TypeError & { code: string };
  expect([error.constructor, error.message, error.code]).toEqual([TypeError, "on purpose", "E_PURPOSE"]);
  expect(error.stack).toContain("Calculator.fail");
  expect(await remote.add(1)).toBe(1);
});

test("what is not offered cannot be called", async () => {
  const { remote } = await connected();
  const all = remote as unknown as Record<string, () => Promise<unknown>>;
  for (const name of ["missing", "private", "constructor", "toString", "__proto__", "hasOwnProperty"]) {
    await expectCode("ERR_VDSO_NO_METHOD", () => all[name]!());
  }
});

test("results come one by one, and stop when the reader leaves", async () => {
  const { remote, api } = await connected();
  const seen: number[] = [];
  for await (const { n } of remote.count(100)) seen.push(n);
  expect(seen).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
  for await (const { n } of remote.count(1_000_000)) if (n === 3) break;
  await settle();
  expect(api.log).toEqual(["count ended", "count ended"]);
  await expectCode("ERR_VDSO_STREAM", () => remote.count(2));
});

test("results that are read late, or of calls that fail at once, are there all the same", async () => {
  const { server, client, remote, service } = await connected();
  const read = async (results: AsyncIterable<unknown>): Promise<unknown[]> => {
    const all: unknown[] = [];
    for await (const result of results) all.push(result);
    return all;
  };
  const late = [remote.count(0), remote.count(2), remote.add(5) as unknown as AsyncIterable<unknown>];
  await settle();
  expect(await Promise.all(late.map(read))).toEqual([[], [{ n: 1 }, { n: 2 }], [5]]);
  const large = "x".repeat(2 ** 26) as unknown as number;
  await expectCode("ERR_VDSO_HEAP_SIZE", () => read(remote.count(large)));
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => read(remote.count(Symbol("x") as unknown as number)));
  const { missing } = remote as unknown as { missing: typeof remote.count };
  await expectCode("ERR_VDSO_NO_METHOD", () => read(missing(1)));
  const aborted = withOptions(remote, { signal: AbortSignal.abort(new RangeError("before")) });
  await expect(read(aborted.count(1))).rejects.toThrow("before");
  const unfinished = remote.count(1000);
  await settle();
  service[Symbol.dispose]();
  await expectCode("ERR_VDSO_NO_ENTITY", () => read(remote.count(1)));
  server.die();
  await settle();
  // What had come is there, before the end is told.
  const first = unfinished[Symbol.asyncIterator]();
  for (let n = 1; n <= 16; n++) expect((await first.next()).value).toEqual({ n });
  await expectCode("ERR_VDSO_NO_ENTITY", () => first.next());
  await expectCode("ERR_VDSO_PEER_GONE", () => read(remote.count(1)));
  await expectCode("ERR_VDSO_PEER_GONE", () => read(remote.count(1)));
  client.ipc.close();
  await expectCode("ERR_VDSO_CLOSED", () => read(remote.count(1)));
  await expectCode("ERR_VDSO_CLOSED", () => remote.add(1));
});

test("results that nobody begins to read end the call, at once when they are left, otherwise after a while", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { server, client, remote, api } = await connected();
  await remote.count(1000)[Symbol.asyncIterator]().return?.();
  await settle();
  expect(client.ipc.stats().pendingCalls).toBe(0);
  await expectCode("ERR_VDSO_STREAM", () => remote.count(1000) as unknown as Promise<unknown>);
  const read = remote.count(20);
  await settle();
  const reading = read[Symbol.asyncIterator]();
  expect(client.ipc.stats().pendingCalls).toBe(2);
  vi.advanceTimersByTime(30_000);
  await settle();
  expect([client, server].map(({ ipc }) => [ipc.stats().pendingCalls, ipc.stats().kept])).toEqual([
    [1, 0],
    [0, 1],
  ]);
  for (let n = 1; n <= 20; n++) expect((await reading.next()).value).toEqual({ n });
  expect((await reading.next()).done).toBe(true);
  expect(api.log).toEqual(["count ended", "count ended", "count ended"]);
});

test("results that nobody begins to read are given back, of calls that have ended too", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { client, remote } = await connected();
  const left = [remote.large(1000), remote.large(10)];
  await settle();
  expect(client.heap.stats().ownedBlocks).toBeGreaterThan(20);
  vi.advanceTimersByTime(30_000);
  await settle();
  expect(client.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  for (const results of left) await expectCode("ERR_VDSO_STREAM", () => results[Symbol.asyncIterator]().next());
  const last = remote.large(1000);
  await settle();
  client.ipc.close();
  await settle();
  expect(client.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  await expectCode("ERR_VDSO_CLOSED", () => last[Symbol.asyncIterator]().next());
});

test("a service passes on what another returns, one result or several, and errors", async () => {
  const { client, remote, party } = await connected();
  await expose(client.ipc, "forward", {
    count: (n: number) => remote.count(n),
    add: (n: number) => remote.add(n),
    fail: () => remote.fail(),
    counter: () => remote.counter(),
  });
  const forward = await connect<Pick<typeof remote, "count" | "add" | "fail" | "counter">>(party().ipc, "forward");
  const seen: number[] = [];
  for await (const { n } of forward.count(20)) seen.push(n);
  expect(seen).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
  for await (const { n } of forward.count(1e9)) if (n === 50) break;
  expect(await forward.add(5)).toBe(5);
  await expect(forward.fail()).rejects.toMatchObject({ code: "E_PURPOSE" });
  expect(await (await forward.counter()).next()).toBe(1);
  await settle();
  expect(client.ipc.stats()).toMatchObject({ pendingCalls: 0, kept: 0 });
});

test("a callback that nobody awaits harms nobody when its owner goes", async () => {
  const unhandled = catchRejections();
  const { server, client, remote, api } = await connected();
  await remote.keep(() => new Promise(() => undefined), "E_NONE").catch(() => undefined);
  void api.kept?.();
  await settle();
  client.die();
  await expect.poll(() => server.ipc.stats().pendingCalls).toBe(0);
  void api.kept?.();
  await settle();
  expect(unhandled).toEqual([]);
});

test("a reason that cannot be read ends the call like others", async () => {
  const { client, remote } = await connected();
  const abort = new AbortController();
  const reason = new Proxy(
    {},
    {
      get() {
        throw new Error("a trap");
      },
    },
  );
  const call = remote.forever(abort.signal);
  await settle();
  abort.abort(reason);
  const end = await call.catch((error: unknown) => error === reason);
  expect(end).toBe(true);
  expect(client.ipc.stats().pendingCalls).toBe(0);
});

test("results of an entity that is no service are read as well, and their buffers given back", async () => {
  const { server, client } = await connected();
  const raw = server.ipc.entity().serve(async function* () {
    for (let n = 1; n <= 3; n++) yield new Uint8Array(n * 1000);
  });
  await server.ipc.register("raw", raw);
  const remote = await connect<{ read(): AsyncIterable<Uint8Array> }>(client.ipc, "raw");
  const sizes: number[] = [];
  for await (const { length } of remote.read()) sizes.push(length);
  expect(sizes).toEqual([1000, 2000, 3000]);
  expect(client.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("an error that nobody awaits is nobody's", async () => {
  const { remote } = await connected();
  const unhandled = catchRejections();
  void remote.fail();
  await settle();
  expect(unhandled).toMatchObject([{ code: "E_PURPOSE" }]);
});

test("calls are given up by options as well, of one or of several results", async () => {
  const { client, remote, api } = await connected();
  const never = new AbortController().signal;
  await expectCode("ERR_VDSO_TIMEOUT", () => withOptions(remote, { timeoutMs: 5 }).forever(never));
  await expect.poll(() => api.reason).toMatchObject({ cause: { code: "ERR_VDSO_TIMEOUT" } });
  const abort = new AbortController();
  const patient = withOptions(withOptions(remote, { timeoutMs: 60_000 }), { signal: abort.signal });
  const call = patient.forever(never);
  const reading = (async () => {
    for await (const { n } of patient.count(1e9)) if (n === 100) abort.abort(new RangeError("enough"));
  })();
  await expect(call).rejects.toThrow("enough");
  await expect(reading).rejects.toThrow("enough");
  expect(await remote.add(1)).toBe(1);
  expect(client.ipc.stats().pendingCalls).toBe(0);
  await expectCode("ERR_VDSO_ARGUMENT", () => withOptions(remote, { timeoutMs: "5" as unknown as number }).add(1));
  await expectCode("ERR_VDSO_ARGUMENT", () => withOptions(remote, { signal: {} as AbortSignal }).add(1));
  await expectCode("ERR_VDSO_ARGUMENT", () => withOptions({}, {}));
  await expectCode("ERR_VDSO_ARGUMENT", () => expose(client.ipc, "none", null as unknown as object));
});

test("callbacks run where they were made, and their results and errors come back", async () => {
  const { remote } = await connected();
  const here: string[] = [];
  const results = await remote.each(["a", "b"], (item, index) => {
    here.push(item);
    return `${item}${index}`;
  });
  expect([here, results]).toEqual([
    ["a", "b"],
    ["a0", "b1"],
  ]);
  const refuse = () => Promise.reject(new RangeError("not this one"));
  await expect(remote.each(["a"], refuse)).rejects.toThrow(new RangeError("not this one"));
});

test("stand-ins for functions that are not their sender's are refused", async () => {
  const { server, client, service, party } = await connected();
  const liar = party().ipc.entity();
  const send = (token: unknown) =>
    liar.call(service.id, 1, new Encoded(structured.encode(["add", [() => 1]], () => token)));
  const tokens = [5, "text", null, {}, [], ["other"], ["function"], ["function", liar.id], ["function", liar.id, "x"]];
  for (const owner of [0, 5, -1, 0.5, 2 ** 53, "x", service.id, client.ipc.entity().id]) {
    tokens.push(["function", owner, 1] as never);
  }
  for (const token of tokens) await expectCode("ERR_VDSO_GARBAGE", () => send(token));
  await send(["function", liar.id, 1]);
  expect(server.ipc.stats().kept).toBe(0);
});

test("callbacks outlive a call that is given up", async () => {
  const { remote, api } = await connected();
  const short = withOptions(remote, { timeoutMs: 5 });
  await expectCode("ERR_VDSO_TIMEOUT", () => short.keepFor(() => "here", new AbortController().signal));
  expect(await api.kept?.()).toBe("here");
});

test.each(["ERR_VDSO_PEER_GONE", "ERR_VDSO_NO_ENTITY"])(
  "callbacks outlive an error with the code %s that a function throws",
  async (code) => {
    const { remote, api } = await connected();
    await expect(remote.keep(() => "here", code)).rejects.toMatchObject({ code });
    expect(await api.kept?.()).toBe("here");
  },
);

test("functions in results can be called, and passed back to where they came from", async () => {
  const { remote } = await connected();
  const counter = await remote.counter();
  expect(await counter.next()).toBe(1);
  expect(await counter.sum(() => 10)).toBe(11);
  expect(await counter.sum(counter.next)).toBe(3);
});

test("messages that are no calls are refused and counted, by services and by callbacks", async () => {
  const { server, remote, service, party } = await connected();
  const kept = await remote.counter();
  const liar = party().ipc.entity();
  const garbage = [undefined, null, 5, "text", {}, { a: 1 }, ["add"], ["add", 5], ["missing", []], [["add"], []]];
  for (const value of garbage) for (const type of [1, 2, 3, 9]) await liar.send(service.id, type, value);
  await settle();
  expect(server.ipc.stats().refused).toBe(garbage.length * 4);
  for (const value of garbage.slice(0, 8)) await expectCode("ERR_VDSO_GARBAGE", () => liar.call(service.id, 1, value));
  await expectCode("ERR_VDSO_GARBAGE", () => liar.call(service.id, 2, ["add", []]));
  for (const method of ["missing", 5, null, ["add"]]) {
    await expectCode("ERR_VDSO_NO_METHOD", () => liar.call(service.id, 1, [method, []]));
  }
  // The server's end of all services and callbacks is the entity that it opened before this one.
  const callbacks = (service.id - 1) as EntityId;
  const { refused: before, undeliverable } = server.ipc.stats();
  for (const value of garbage) for (const type of [1, 2, 9]) await liar.send(callbacks, type, value);
  await settle();
  expect(server.ipc.stats()).toMatchObject({ refused: before + garbage.length * 3, undeliverable });
  expect(await kept.next()).toBe(1);
  expect(await remote.add(2)).toBe(2);
});

test("a signal aborts both sides, here with its reason", async () => {
  const { remote, api } = await connected();
  const abort = new AbortController();
  const call = remote.forever(abort.signal);
  await settle();
  abort.abort(new Error("enough"));
  await expect(call).rejects.toThrow("enough");
  await settle();
  expect(api.log).toEqual([expect.stringContaining("found that it has cancelled the call")]);
  expect(api.reason).toMatchObject({ code: "ERR_VDSO_CANCELLED", cause: { message: "enough" } });
  await expect(remote.forever(AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
});

test("calls reject when the server goes, and reach the next that has the name", async () => {
  const { server, remote, party } = await connected();
  const call = remote.forever(new AbortController().signal);
  await settle();
  server.die();
  await expectCode("ERR_VDSO_PEER_GONE", () => call);
  await expectCode("ERR_VDSO_PEER_GONE", () => remote.add(1));
  const service = await expose(party().ipc, "calculator", new Calculator());
  expect(await remote.add(5)).toBe(5);
  service[Symbol.dispose]();
  await expectCode("ERR_VDSO_NO_ENTITY", () => remote.add(1));
});

test("an argument that cannot be sent rejects with its path, and nothing is called", async () => {
  const { remote } = await connected();
  const { message } = await expectCode("ERR_VDSO_NOT_CLONABLE", () =>
    remote.add(1, { deep: [Symbol("x")] } as unknown as number),
  );
  expect(message).toContain("arguments[1].deep[0]: expected something that can be sent");
  expect(await remote.add()).toBe(0);
});

test("types are inferred from the service's", async () => {
  const { remote } = await connected();
  const sum: Promise<number> = remote.add(1);
  // @ts-expect-error: a number is wanted.
  const wrong = remote.add("1");
  // @ts-expect-error: several results are no promise.
  const numbers: { n: number }[] = await remote.count(0);
  expect(numbers).toBeUndefined();
  expect(await remote.perhaps()).toBe("here");
  // @ts-expect-error: no function.
  const missing: unknown = remote.private;
  await Promise.all([sum, wrong]);
  expect(missing).toBeTypeOf("function");
});
