/** What Comlink's documentation promises, over ports of ours. */
import * as Comlink from "comlink";
import { expect, onTestFinished, test, vi } from "vitest";
import { structured } from "../../runtime/ipc/codec.ts";
import { type IpcPort, listen, openPort, type PortMessage } from "../../runtime/ipc/comlink.ts";
import type { Ipc } from "../../runtime/ipc/ipc.ts";
import { expectCode } from "../expect-code.ts";
import { catchReports, settle, system, takeAll } from "./system.ts";

class Thing {
  counter = 0;
  nested = { value: 7, twice: (n: number) => n * 2 };
  last: unknown;

  increment(by = 1): number {
    this.counter += by;
    return this.counter;
  }

  fail(): never {
    throw new RangeError("on purpose");
  }

  failWith(value: unknown): never {
    throw value;
  }

  async visit(callback: (n: number) => Promise<number>): Promise<number> {
    return (await callback(1)) + (await callback(2));
  }

  child() {
    return Comlink.proxy({ name: "child", rename: (name: string) => `renamed ${name}` });
  }

  bytes(buffer: ArrayBuffer): number {
    return buffer.byteLength;
  }

  give(length: number): ArrayBuffer {
    const buffer = new Uint8Array(length).fill(5).buffer;
    return Comlink.transfer(buffer, [buffer]);
  }

  keep(value: unknown): void {
    this.last = value;
  }

  never(): Promise<never> {
    return new Promise(() => undefined);
  }
}

async function wrapped(target: unknown = new Thing()) {
  const { party } = await system();
  const [server, client] = [party(), party()];
  await listen(server.ipc, "thing", (port) => Comlink.expose(target, port));
  const port = await openPort(client.ipc, "thing");
  return { server, client, port, remote: Comlink.wrap<Thing>(port) };
}

test("methods, properties, nested ones, and setting them", async () => {
  const { remote } = await wrapped();
  expect(await remote.increment()).toBe(1);
  expect(await remote.increment(5)).toBe(6);
  expect(await remote.counter).toBe(6);
  const nested = remote.nested as unknown as Comlink.Remote<Thing["nested"]>;
  expect(await nested.value).toBe(7);
  expect(await nested.twice(21)).toBe(42);
  // Comlink's way to set: an assignment that cannot be awaited.
  (remote as unknown as { counter: number }).counter = 100;
  expect(await remote.counter).toBe(100);
});

test("a function and a class can be exposed", async () => {
  const { remote } = await wrapped((a: number, b: number) => a + b);
  expect(await (remote as unknown as (a: number, b: number) => Promise<number>)(3, 4)).toBe(7);
  const other = await wrapped(Thing);
  const instance = await new (other.remote as unknown as new () => Promise<Comlink.Remote<Thing>>)();
  expect(await instance.increment(2)).toBe(2);
});

test("errors are thrown there and caught here, other values too", async () => {
  const { remote } = await wrapped();
  const error = (await (remote.fail() as Promise<never>).catch((e: unknown) => e)) as Error;
  expect([error.name, error.message]).toEqual(["RangeError", "on purpose"]);
  await expect(remote.failWith({ not: "an error" })).rejects.toEqual({ not: "an error" });
});

test("callbacks through proxy", async () => {
  const { remote } = await wrapped();
  const seen: number[] = [];
  const callback = Comlink.proxy((n: number) => {
    seen.push(n);
    return n * 10;
  });
  expect(await remote.visit(callback as unknown as (n: number) => Promise<number>)).toBe(30);
  expect(seen).toEqual([1, 2]);
});

test("listeners of events, with a transfer handler for what they get", async () => {
  const target = new EventTarget();
  Comlink.transferHandlers.set("event", {
    canHandle: (value): value is Event => value instanceof Event,
    serialize: ({ type }: Event) => [{ type }, []],
    deserialize: ({ type }: { type: string }) => ({ type }) as Event,
  });
  onTestFinished(() => void Comlink.transferHandlers.delete("event"));
  const { remote } = await wrapped(target);
  const seen: string[] = [];
  const listener = Comlink.proxy((event: Event) => void seen.push(event.type));
  await (remote as unknown as Comlink.Remote<EventTarget>).addEventListener("one", listener);
  target.dispatchEvent(new Event("one"));
  target.dispatchEvent(new Event("two"));
  target.dispatchEvent(new Event("one"));
  await settle();
  expect(seen).toEqual(["one", "one"]);
});

test("many calls at once are answered each with its own", async () => {
  const { remote } = await wrapped((n: number) => n * 2);
  const twice = remote as unknown as (n: number) => Promise<number>;
  const answers = await Promise.all(Array.from({ length: 500 }, (_, n) => twice(n)));
  expect(answers).toEqual(Array.from({ length: 500 }, (_, n) => n * 2));
});

test("proxies as results, and callbacks through them", async () => {
  const { remote } = await wrapped();
  const child = await remote.child();
  expect(await child.name).toBe("child");
  expect(await child.rename("x")).toBe("renamed x");
});

test("transferred buffers arrive, and are detached here", async () => {
  const { remote } = await wrapped();
  const buffer = new ArrayBuffer(100_000);
  expect(await remote.bytes(Comlink.transfer(buffer, [buffer]))).toBe(100_000);
  expect(buffer.byteLength).toBe(0);
  const given = await remote.give(1000);
  expect(new Uint8Array(given)).toEqual(new Uint8Array(1000).fill(5));
});

test("a transferred message port goes on working, both ways", async () => {
  const thing = new Thing();
  const { remote } = await wrapped(thing);
  const { port1, port2 } = new MessageChannel();
  await remote.keep(Comlink.transfer(port2, [port2]));
  const there = thing.last as MessagePort;
  const answer = new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data);
  });
  there.onmessage = ({ data }) => there.postMessage(`${data}, and back`);
  port1.postMessage("there");
  expect(await answer).toBe("there, and back");
  port1.close();
  await settle();
});

test("releaseProxy ends the connection on both sides", async () => {
  const thing = Object.assign(new Thing(), {
    finalized: false,
    [Comlink.finalizer]() {
      this.finalized = true;
    },
  });
  const { remote, port } = await wrapped(thing);
  let closed = false;
  port.addEventListener("close", () => {
    closed = true;
  });
  await remote.increment();
  remote[Comlink.releaseProxy]();
  await settle();
  expect([closed, thing.finalized]).toEqual([true, true]);
  expect(() => remote.increment()).toThrow("released");
});

test("createEndpoint gives a second way to the same object", async () => {
  const { remote } = await wrapped();
  const port = await remote[Comlink.createEndpoint]();
  const second = Comlink.wrap<Thing>(port);
  expect(await second.increment(3)).toBe(3);
  expect(await remote.counter).toBe(3);
});

test("what cannot be sent is an error for the caller, and the connection goes on", async () => {
  const { remote } = await wrapped();
  await expect((async () => remote.keep(() => 1))()).rejects.toThrow("found a function");
  await expect((async () => await remote.nested)()).rejects.toThrow("Unserializable return value");
  expect(await remote.increment()).toBe(1);
});

test("calls are answered with an error when the other side dies", async () => {
  const { server, remote } = await wrapped();
  const call = remote.never();
  await settle();
  server.die();
  await expect(call).rejects.toMatchObject({
    code: "ERR_VDSO_PEER_GONE",
    message: expect.stringContaining("closed or ended"),
  });
});

test("requests and answers arrive as they were posted; when the other side dies, those without an answer get an error", async () => {
  const { server, here, there, received } = await ports();
  const answers: unknown[] = [];
  here.onmessage = ({ data }) => void answers.push(data);
  class Answer {
    id = "c";
    own = 3;
  }
  const requests = ["a", "b", "c", "d", "e"].map((id) => ({ type: "GET", id, path: [id] }));
  for (const request of requests) here.postMessage(request);
  await settle();
  expect(received).toEqual(requests);
  const sent = [
    { before: 1, id: "b", behind: 2 },
    { id: "a", nested: { id: "a" } },
    new Answer(),
    { id: "a", again: true },
    { id: "unknown" },
    { id: 5 },
    Object.assign(Object.create(null), { id: "d" }),
  ];
  for (const answer of sent) there.postMessage(answer);
  await settle();
  expect(answers).toEqual(sent.map((answer) => ({ ...answer })));
  // Members in their order.
  expect(JSON.stringify(answers)).toBe(JSON.stringify(sent));
  const last: unknown[] = [];
  here.onmessage = ({ data }) => {
    last.push((data as { id: string }).id);
    // What is asked then gets an error too.
    if (last.length === 1) here.postMessage({ type: "GET", id: "f" });
  };
  server.die();
  await settle();
  expect(last).toEqual(["e", "f"]);
});

/** A channel, and what its first port receives. */
function listening() {
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const received: unknown[] = [];
  port1.addEventListener("message", ({ data }) => received.push(data));
  port1.start();
  return { port2, received };
}

async function ports({ start = true } = {}) {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const accepted = Promise.withResolvers<IpcPort>();
  await listen(server.ipc, "port", accepted.resolve);
  const here = await openPort(client.ipc, "port");
  const there = await accepted.promise;
  const received: unknown[] = [];
  there.addEventListener("message", ({ data }: PortMessage) => void received.push(data));
  if (start) there.start();
  await settle();
  return { server, client, here, there, received };
}

test("what is posted in one go arrives in its order, small and large; a listener that throws keeps nothing from the others", async () => {
  const { server, client, here, there, received } = await ports();
  const thrown = catchReports();
  there.addEventListener("message", ({ data }: PortMessage) => {
    if (data === 3) throw new Error("on purpose");
  });
  const also: unknown[] = [];
  there.onmessage = ({ data }) => void also.push(data);
  const sent = Array.from({ length: 200 }, (_, n) => (n % 20 === 19 ? "x".repeat(n * 500) : n));
  for (const value of sent) here.postMessage(value);
  await settle();
  expect(received).toEqual(sent);
  expect(also).toEqual(sent);
  expect(thrown).toEqual([new Error("on purpose")]);
  for (const { heap } of [server, client]) expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test.each([
  ["looks for messages", (ipc: Ipc) => void ipc.poll()],
  ["blocks the thread", (ipc: Ipc) => ipc.wait(0)],
  ["closes", (ipc: Ipc) => ipc.close()],
])("what was posted has been sent when its process %s", async (_, go) => {
  const { server, client, here, received } = await ports();
  for (let n = 0; n < 5; n++) here.postMessage(n);
  go(client.ipc);
  server.ipc.poll();
  expect(received).toEqual([0, 1, 2, 3, 4]);
});

test("what a port closes behind arrives before its end", async () => {
  const { here, there, received } = await ports();
  const events: unknown[] = [];
  there.addEventListener("close", () => void events.push([...received]));
  for (let n = 0; n < 5; n++) here.postMessage(n);
  here.close();
  await settle();
  expect(events).toEqual([[0, 1, 2, 3, 4]]);
});

test.each(["while it is told of others", "as soon as somebody listens"])(
  "messages that a listener takes %s come behind those before them",
  async (when) => {
    const { server, client, here, there } = await ports({ start: false });
    const seen: unknown[] = [];
    there.addEventListener("message", ({ data }: PortMessage) => {
      if (data === 0) for (let n = 5; n < 10; n++) here.postMessage(n);
      if (data === 0) client.ipc.poll();
      server.ipc.poll();
      seen.push(data);
    });
    const post = (): void => {
      for (let n = 0; n < 5; n++) here.postMessage(n);
      client.ipc.poll();
      server.ipc.poll();
    };
    if (when.startsWith("as soon")) post();
    there.start();
    if (!when.startsWith("as soon")) post();
    await settle();
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  },
);

test("a port that a listener closes tells its end, and nothing else any more", async () => {
  const { here, there } = await ports();
  const events: unknown[] = [];
  there.addEventListener("close", () => events.push("close"));
  there.addEventListener("message", ({ data }: PortMessage) => {
    events.push(data);
    there.close();
    events.push("closed");
  });
  for (let n = 0; n < 5; n++) here.postMessage(n);
  await settle();
  expect(events).toEqual([0, "closed", "close"]);
});

test("a listener that wants one event gets one; without a list of what to transfer, nothing is", async () => {
  const { here, there, received } = await ports();
  const once: unknown[] = [];
  there.addEventListener("message", ({ data }: PortMessage) => once.push(data), { once: true });
  here.postMessage(1, null);
  here.postMessage(2, {});
  here.postMessage(3);
  await settle();
  expect(once).toEqual([1]);
  expect(received).toEqual([1, 2, 3]);
});

test("what cannot be passed on by a callback, or by an instance, is an error for who waits for it", async () => {
  class Odd {
    shared(): SharedArrayBuffer {
      return new SharedArrayBuffer(8);
    }

    huge(): ArrayBuffer {
      return new ArrayBuffer(2 ** 26);
    }

    fine(n: number): number {
      return n + 1;
    }
  }
  const { remote } = await wrapped({ Odd, ask: (callback: () => Promise<unknown>) => callback() });
  const { Odd: RemoteOdd, ask } = remote as unknown as {
    Odd: new () => Promise<Comlink.Remote<Odd>>;
    ask(callback: unknown): Promise<unknown>;
  };
  const odd = await new RemoteOdd();
  await expect(odd.shared()).rejects.toThrow("found a SharedArrayBuffer");
  await expect(odd.huge()).rejects.toThrow("expected at most");
  await expect(ask(Comlink.proxy(() => new SharedArrayBuffer(8)))).rejects.toThrow("found a SharedArrayBuffer");
  await expect((async () => await odd.fine(new SharedArrayBuffer(8) as unknown as number))()).rejects.toThrow(
    "found a",
  );
  expect(await odd.fine(1)).toBe(2);
});

test("ports of a message that could not be posted are as before, and take nothing", async () => {
  const { client, here, there } = await ports();
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  for (let n = 0; n < 9000; n++) expect(() => here.postMessage([port2, () => 1])).toThrow("found a function");
  expect(client.ipc.stats()).toMatchObject({ pendingCalls: 1 });
  client.ipc.entity().close();
  const answer = new Promise((resolve) => port1.addEventListener("message", ({ data }) => resolve(data)));
  port1.start();
  there.onmessage = ({ ports: [port] }) => port?.postMessage("through");
  here.postMessage(port2, [port2]);
  expect(await answer).toBe("through");
});

test("a port that stands twice in a message is one", async () => {
  const { here, there } = await ports();
  const { port2, received } = listening();
  there.onmessage = ({ data, ports }) => {
    const [one, other] = data as [IpcPort, IpcPort];
    expect([one, ports]).toEqual([other, [one]]);
    one.postMessage("once");
  };
  here.postMessage([port2, port2], [port2]);
  await expect.poll(() => received).toEqual(["once"]);
  await settle();
  expect(received).toEqual(["once"]);
});

test("a port can be sent once, by whoever has it then", async () => {
  const { client, here, there } = await ports();
  const { port1, port2 } = new MessageChannel();
  const { port1: port3, port2: port4 } = new MessageChannel();
  onTestFinished(() => {
    for (const port of [port1, port3]) port.close();
  });
  const received: unknown[] = [];
  port1.addEventListener("message", ({ data }) => received.push(data));
  port1.start();
  there.onmessage = ({ ports: [port] }) => {
    if (!port) return;
    there.postMessage(port, [port]);
    expect(() => there.postMessage(port, [port])).toThrow("a port that was not sent yet");
  };
  here.onmessage = ({ data }) => (data as IpcPort).postMessage("back");
  here.postMessage(port2, [port2]);
  const before = client.ipc.stats();
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => here.postMessage({ other: port4, again: port2 }, [port4, port2]));
  expect(client.ipc.stats()).toEqual(before);
  await expect.poll(() => received).toEqual(["back"]);
  // Of a message that was not posted.
  here.postMessage({ other: port4 }, [port4]);
});

test("a port is sent once, also where a getter posts it, or it is posted where nobody is", async () => {
  const { client, here, there } = await ports();
  const { port1, port2 } = new MessageChannel();
  onTestFinished(() => port1.close());
  const got: IpcPort[] = [];
  there.onmessage = ({ ports: [port] }) => void got.push(port as IpcPort);
  const value = {
    port: port2,
    get x(): number {
      here.postMessage(port2, [port2]);
      return 1;
    },
  };
  await expectCode("ERR_VDSO_NOT_CLONABLE", () => here.postMessage(value, [port2]));
  await expect.poll(() => got.length).toBe(1);
  const other = await openPort(client.ipc, "port");
  other.close();
  other.postMessage(port2, [port2]);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(got.map(({ closed }) => closed)).toEqual([false]);
});

test.each([
  [true, ["late"]],
  [false, ["early", "late"]],
])("ports of messages that nobody gets end at once; told of what had arrived: %s", async (start, expected) => {
  const { here, there } = await ports({ start });
  const ended: string[] = [];
  const channel = (name: string): MessagePort => {
    const { port1, port2 } = new MessageChannel();
    port1.addEventListener("close", () => ended.push(name));
    port1.start();
    return port2;
  };
  const [early, late] = [channel("early"), channel("late")];
  here.postMessage(early, [early]);
  await settle();
  there.close();
  here.postMessage(late, [late]);
  here.close();
  await expect.poll(() => ended.sort()).toEqual(expected);
});

test("a port outlives the one that it was sent through", async () => {
  const { here, there } = await ports();
  const { port2, received } = listening();
  const arrived = new Promise<IpcPort>((resolve) => {
    there.onmessage = ({ data }) => resolve(data as IpcPort);
  });
  here.postMessage(port2, [port2]);
  here.close();
  const port = await arrived;
  await expect.poll(() => there.closed).toBe(true);
  port.postMessage("after");
  await expect.poll(() => received).toEqual(["after"]);
  const second = await ports();
  const thrown = catchReports();
  second.here.postMessage(new MessageChannel().port2);
  second.client.ipc.close();
  second.here.close();
  await settle();
  expect(thrown).toEqual([]);
});

test("a port that is sent through a closed one ends", async () => {
  const { here } = await ports();
  const { port1, port2 } = new MessageChannel();
  const ended = new Promise<void>((resolve) => port1.addEventListener("close", () => resolve()));
  port1.start();
  here.close();
  here.postMessage(port2, [port2]);
  await ended;
});

test("a port that was given up while it was opened, or refused, is nobody's after a while", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { party } = await system();
  const [server, client] = [party(), party()];
  let [opened, closed] = [0, 0];
  await listen(server.ipc, "port", (port) => {
    opened++;
    port.addEventListener("close", () => closed++);
    if (opened === 4) throw new RangeError("not today");
    abort.abort(new Error(`reason ${opened}`));
  });
  let abort = new AbortController();
  for (let n = 1; n <= 3; n++) {
    abort = new AbortController();
    await expect(openPort(client.ipc, "port", { signal: abort.signal })).rejects.toThrow(`reason ${n}`);
  }
  await settle();
  expect([opened, closed]).toEqual([3, 0]);
  vi.advanceTimersByTime(30_000);
  expect([opened, closed]).toEqual([3, 3]);
  await expect(openPort(client.ipc, "port")).rejects.toThrow("not today");
  expect([opened, closed]).toEqual([4, 4]);
  vi.useRealTimers();
  await client.ipc.entity().send(server.ipc.lookup("port")!, 4);
  await settle();
  expect([opened, server.ipc.stats().refused]).toEqual([4, 1]);
  await client.ipc.register(
    "no port",
    client.ipc.entity().serve(() => undefined),
  );
  await expectCode("ERR_VDSO_GARBAGE", () => openPort(server.ipc, "no port"));
  await expectCode("ERR_VDSO_TIMEOUT", () => openPort(server.ipc, "nobody", { timeoutMs: 5 }));
});

test.each(["dies", "closes"])("who asks a client that %s before its port is open gets an error", async (how) => {
  const { party } = await system();
  const [server, client] = [party(), party()];
  const asked = Promise.withResolvers<{ call: Promise<unknown> }>();
  await listen(server.ipc, "port", (port) =>
    asked.resolve({ call: Promise.resolve(Comlink.wrap<{ hello(): number }>(port).hello()) }),
  );
  await client.ipc.entity().call(server.ipc.lookup("port")!, 4);
  const { call } = await asked.promise;
  if (how === "dies") client.die();
  else client.ipc.close();
  await expect(call).rejects.toThrow("closed or ended");
});

test("a value that closes the port while it is posted is not sent", async () => {
  const { client, here, received } = await ports();
  const answers: unknown[] = [];
  here.onmessage = ({ data }) => void answers.push((data as { id: string }).id);
  const value = {
    type: "GET",
    id: "a",
    get path(): string {
      here.close();
      return "";
    },
  };
  here.postMessage(value);
  await settle();
  expect([received, answers]).toEqual([[], ["a"]]);
  expect(client.ipc.stats()).toMatchObject({ pendingCalls: 0 });
});

test("more ports than a process can have end the connection, not the process", async () => {
  const { server, client, here, there } = await ports();
  const closed = new Promise<void>((resolve) => there.addEventListener("close", () => resolve()));
  let { id } = client.ipc.entity();
  const liar = structured.encode(
    Array.from({ length: 9000 }, () => () => 1),
    () => ["port", id++],
  );
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, liar.length);
  // As its port would send it.
  const other = vi.spyOn(structured, "encode").mockImplementation(() => new Uint8Array(liar));
  here.postMessage("anything");
  other.mockRestore();
  await closed;
  for (let n = 0; n < 8000; n++) server.ipc.entity();
});

test("without room in the heap the caller is told; what is larger than the heap leaves the connection as it was", async () => {
  const { client, remote } = await wrapped();
  const call = async (bytes: number) => remote.bytes(new ArrayBuffer(bytes));
  await expectCode("ERR_VDSO_HEAP_SIZE", () => call(2 ** 26));
  expect(await call(10)).toBe(10);
  const giveBack = takeAll(client.heap);
  await expectCode("ERR_VDSO_OUT_OF_MEMORY", () => call(100_000));
  const late = Promise.allSettled([call(1), call(2), call(3)]);
  await settle();
  giveBack();
  for (const result of await late) {
    expect(result.status).toBe("rejected");
    expect(String((result as PromiseRejectedResult).reason)).toContain("expected room for");
  }
  expect(await call(10)).toBe(10);
});

test("what there is no room for is not sent before what was posted earlier; when there is none for that, the connection ends", async () => {
  const { client, here, received } = await ports();
  const refused: unknown[] = [];
  let closed = 0;
  here.addEventListener("close", () => closed++);
  here.onmessage = ({ data }) => void refused.push(data);
  const text = "x".repeat(100);
  here.postMessage(0);
  here.postMessage(text);
  const room = client.heap.loan(16384);
  let giveBack = takeAll(client.heap);
  room.release();
  expect(() => here.postMessage(new Uint8Array(9000))).toThrow("expected room for");
  await settle();
  expect(received).toEqual([0, text]);
  giveBack();
  here.postMessage(1);
  here.postMessage({ id: "a", type: "GET", path: [text] });
  giveBack = takeAll(client.heap);
  await settle();
  expect(received).toEqual([0, text, 1]);
  expect(closed).toBe(1);
  expect(refused).toMatchObject([{ id: "a", value: { value: { message: expect.stringContaining("expected room") } } }]);
  giveBack();
  expect(client.heap.stats()).toMatchObject({ ownedBlocks: 0 });
});

test("lengths and values of garbage are refused and counted; what came with them is delivered", async () => {
  const { party } = await system();
  const [server, liar] = [party(), party()];
  const received: unknown[] = [];
  await listen(server.ipc, "port", (port) => {
    port.onmessage = ({ data }) => void received.push(data);
  });
  const entity = liar.ipc.entity();
  const { data: port } = await entity.call(server.ipc.lookup("port")!, 4);
  entity.call(port as number, 1).catch(() => undefined);
  const part = (...bytes: number[]) => [0, 0, 0, bytes.length, ...bytes];
  const fine = part(...structured.encode("fine"));
  const standIns = [5, [], ["port"], ["port", "x"], ["port", 5], ["port", -1], ["port", server.ipc.lookup("port")]];
  const ports = standIns.map((token) => part(...structured.encode([() => 1], () => token)));
  const broken = [...ports, [1], [0, 0, 0], [0, 0, 0, 9, 1], [255, 255, 255, 255, 0], part(255, 255), [0, 0, 0, 0]];
  for (const bytes of broken) await entity.send(port as number, 3, new Uint8Array([...fine, ...bytes]));
  await entity.send(port as number, 3, new Uint8Array([...part(255, 255), ...fine]));
  await entity.send(port as number, 3);
  await settle();
  expect(received).toEqual(Array.from({ length: broken.length + 1 }, () => "fine"));
  expect(server.ipc.stats().refused).toBe(broken.length + 1);
});
