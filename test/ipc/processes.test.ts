/** In real processes. */
import { expect, onTestFinished, test } from "vitest";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { Kernel } from "../../runtime/index.ts";
import type { EntityId } from "../../runtime/ipc/address.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import { Ipc } from "../../runtime/ipc/ipc.ts";
import type { Delivery } from "../../runtime/ipc/pump.ts";
import { expectCode } from "../expect-code.ts";
import { CLOSE, HAS_SERVED, type Tally, TICKS } from "./fixtures/message-types.ts";

const url = new URL("./fixtures/ipc-process.ts", import.meta.url);

async function boot(delivery?: Delivery) {
  const kernel = await Kernel.boot({ vdsos: [vqueue, vheap, vnames], log: () => undefined });
  onTestFinished(() => kernel.shutdown({ timeoutMs: 0 }));
  const heap = new Heap(kernel.attach(vheap));
  const ipc = new Ipc({ queues: kernel.attach(vqueue), heap, names: kernel.attach(vnames) });
  onTestFinished(() => ipc.close());

  const serve = (name: string, role = "server") => kernel.spawn(url, { data: { role, servers: [name], delivery } });
  async function run(servers: readonly string[], coroutines: number, calls: number) {
    const { port1, port2 } = new MessageChannel();
    const tally = new Promise<Tally>((resolve) => port1.addEventListener("message", ({ data }) => resolve(data)));
    port1.start();
    const data = { role: "client", servers, coroutines, calls, port: port2, delivery };
    const process = await kernel.spawn(url, { data, transfer: [port2] });
    const result = Promise.all([tally, process.exited]);
    return result.then(([found, { reason }]) => {
      port1.close();
      expect(reason).toBe("return");
      return found;
    });
  }
  return { kernel, ipc, heap, serve, run };
}

const DELIVERIES = ["adaptive", "eventLoop", "parked"] as const;

test.each(DELIVERIES)(
  "%s: 1000 coroutines call one server 10 times each, and every process ends when nothing is pending",
  async (delivery) => {
    const { ipc, heap, serve, run } = await boot(delivery);
    const server = await serve("one");
    expect(await run(["one"], 1000, 10)).toEqual({ answered: 10_000, rejected: 0, wrong: 0, strayReplies: 0 });
    await ipc.entity().send(await ipc.whenNamed("one"), CLOSE);
    expect((await server.exited).reason).toBe("return");
    expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  },
);

test("4 clients call 4 servers, 1000 coroutines 10 times each", async () => {
  const { kernel, heap, serve, run } = await boot();
  const names = ["a", "b", "c", "d"];
  await Promise.all(names.map((name) => serve(name)));
  const tallies = await Promise.all(names.map(() => run(names, 1000, 10)));
  expect(tallies).toEqual(names.map(() => ({ answered: 10_000, rejected: 0, wrong: 0, strayReplies: 0 })));
  for (const { pid } of kernel.processes()) await kernel.kill(pid);
  expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test.each(["server", "receiver"])(
  "a parked %s does nothing else while it waits for messages, but what an answer waits for",
  async (role) => {
    const { ipc, serve } = await boot("parked");
    await serve("one", role);
    const [client, server] = [ipc.entity(), await ipc.whenNamed("one")];
    const ticks = async (afterMs = 0) => (await client.call(server, TICKS, afterMs)).data as number;
    const first = await ticks();
    await new Promise((resolve) => setTimeout(resolve, 500));
    const idle = (await ticks()) - first;
    // Ten turns of the event loop a second.
    expect(idle).toBeGreaterThan(0);
    expect(idle).toBeLessThan(20);
    expect((await ticks(500)) - first - idle).toBeGreaterThan(2 * idle);
  },
);

test.each(DELIVERIES)(
  "%s: 4 clients call 4 servers, of which one is killed half-way and started again",
  async (delivery) => {
    const { kernel, ipc, heap, serve, run } = await boot(delivery);
    const names = ["a", "b", "c", "d"];
    const [mortal] = await Promise.all(names.map((name) => serve(name)));
    const running = Promise.all(names.map(() => run(names, 1000, 10)));
    // A quarter of all calls goes to each.
    await ipc.entity().call(await ipc.whenNamed("a"), HAS_SERVED, 5000);
    await kernel.kill(mortal!.pid);
    await serve("a");
    for (const { answered, rejected, wrong, strayReplies } of await running) {
      expect({ all: answered + rejected, wrong, strayReplies }).toEqual({ all: 10_000, wrong: 0, strayReplies: 0 });
      expect(answered).toBeGreaterThanOrEqual(7500);
    }
    const { data: served } = await ipc.entity().call(await ipc.whenNamed("a"), HAS_SERVED, 0);
    expect(served).toBeGreaterThan(0);
    for (const { pid } of kernel.processes()) await kernel.kill(pid);
    expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
  },
);

test("calls to a server that is killed again and again are answered or rejected; none hangs, no memory is lost", async () => {
  const { kernel, heap, serve, run } = await boot();
  let [killing, kills] = [true, 0];
  const killer = (async () => {
    while (killing) {
      const server = await serve("mortal");
      await new Promise((resolve) => setTimeout(resolve, 20 + kills * 10));
      if (!killing) return;
      await kernel.kill(server.pid);
      kills++;
    }
  })();
  const tallies = await Promise.all([run(["mortal"], 200, 20), run(["mortal"], 200, 20)]);
  killing = false;
  await killer;
  for (const { answered, rejected, wrong } of tallies) {
    expect(answered + rejected).toBe(4000);
    expect(wrong).toBe(0);
  }
  expect(kills).toBeGreaterThan(0);
  for (const { pid } of kernel.processes()) await kernel.kill(pid);
  expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("messages of processes that send at the same time arrive in the order of each", async () => {
  const { kernel, ipc, heap } = await boot();
  const receiver = ipc.entity();
  await ipc.register("receiver", receiver);
  const [senders, messages] = [3, 20_000];
  for (let n = 0; n < senders; n++) {
    await kernel.spawn(url, { data: { role: "sender", servers: ["receiver"], calls: messages } });
  }
  const next = new Map<EntityId, number>();
  for (let ended = 0; ended < senders; ) {
    const { from, type, data } = await receiver.recvAny();
    const expected = next.get(from) ?? 0;
    if (type === CLOSE) ended++;
    else expect((data as { n: number }).n).toBe(expected);
    next.set(from, expected + 1);
  }
  expect([...next.values()]).toEqual(Array.from({ length: senders }, () => messages + 1));
  expect(heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
});

test("a thread that blocks calls, receives and waits for names as well as one that does not", async () => {
  const { kernel, ipc, serve } = await boot();
  const server = await serve("one");
  const client = ipc.entity();
  const id = ipc.whenNamedSync("one", { timeoutMs: 60_000 });
  for (let n = 0; n < 200; n++) {
    using answer = client.callSync(id, 1, { n, pad: "x".repeat(n) }, { timeoutMs: 60_000 });
    expect(answer.data).toEqual({ n: n * 2, pad: "x".repeat(n) });
  }
  await client.send(client.id, 5, "kept");
  expect(client.recvSync(5).data).toBe("kept");
  await expectCode("ERR_VDSO_TIMEOUT", () => client.recvSync(5, { timeoutMs: 1 }));
  await expectCode("ERR_VDSO_TIMEOUT", () => ipc.whenNamedSync("two", { timeoutMs: 1 }));
  await expectCode("ERR_VDSO_TIMEOUT", () => client.callSync(client.id, 6, undefined, { timeoutMs: 1 }));
  await kernel.kill(server.pid);
  await expectCode("ERR_VDSO_PEER_GONE", () => client.callSync(id, 1, { n: 1, pad: "" }));
});
