/** Mailboxes in hands that are careless: several coroutines at once, signals at bad moments, time-outs that are none, use after the end. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import vqueue, { type VqueueApi } from "../../generated/vqueue/vqueue.js";
import { type Mailbox, Mailboxes } from "../../runtime/ipc/mailbox.ts";
import { pidOf } from "../../runtime/loader/attach.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";

interface System {
  readonly mapping: Mapping<VqueueApi>;
  readonly api: VqueueApi;
  readonly mailboxes: Mailboxes;
}

async function boot(): Promise<System> {
  const mapping = (await map(vqueue)) as Mapping<VqueueApi>;
  const api = mapping.attach();
  return { mapping, api, mailboxes: new Mailboxes(api) };
}

const send = (mailbox: Mailbox, ...types: number[]): void => {
  for (const messageType of types) expect(mailbox.trySend({ messageType })).toBe(true);
};
const fill = (mailbox: Mailbox, urgent = false): void => {
  while (mailbox.trySend({ messageType: 1 }, { urgent }));
};
/** Long enough for everything that is pending to have gone to sleep. */
const settled = (): Promise<void> => sleep(10);
const code = (name: string): unknown => expect.objectContaining({ code: name });

describe("coroutines of one process", () => {
  test("that receive at once get each item once", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const received = Array.from({ length: 8 }, () => inbox.receive());
    await settled();
    send(inbox, 0, 1, 2, 3, 4, 5, 6, 7);
    const types = (await Promise.all(received)).map(({ messageType }) => messageType);
    expect(types.sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
  });

  test("that receive while another's loop reads an item in place do not take it away", async () => {
    const { api, mailboxes } = await boot();
    const inbox = mailboxes.register();
    send(inbox, 1, 2, 3, 4);
    const seen: number[][] = [];
    for await (const item of inbox) {
      const before = item.messageType;
      await settled();
      const { messageType } = await inbox.receive();
      seen.push([before, messageType, item.messageType]);
      if (seen.length === 2) break;
    }
    expect(seen).toEqual([
      [1, 2, 1],
      [3, 4, 3],
    ]);
    expect(api.stats(inbox.id)).toMatchObject({ depth: 0, redelivered: 0 });
  });

  test("that loop at once get each item once", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const seen: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const item of inbox) {
        const { messageType } = item;
        await settled();
        expect(item.messageType).toBe(messageType);
        seen.push(messageType);
      }
    };
    const loops = [loop(), loop(), loop()];
    send(inbox, 1, 2, 3, 4, 5, 6);
    while (seen.length < 6) await settled();
    inbox.close();
    await Promise.all(loops);
    expect(seen.sort()).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test("cannot lose a slot to one another", async () => {
    const { api, mailboxes } = await boot();
    const inbox = mailboxes.register();
    const item = inbox.claim()!;
    item.messageType = 1;
    expect(() => inbox.claim()).toThrow(code("ERR_VDSO_SLOT"));
    // Between claim and commit others may send.
    send(inbox, 2);
    inbox.commit();
    expect(inbox.take()!.messageType).toBe(1);
    expect(() => inbox.take()).toThrow(code("ERR_VDSO_SLOT"));
    expect(inbox.tryReceive()?.messageType).toBe(2);
    inbox.release();
    expect(api.stats(inbox.id)).toMatchObject({ depth: 0, skipped: 0 });
  });

  test("that use two Mailboxes over one attachment are both woken", async () => {
    const { mapping, api, mailboxes } = await boot();
    const other = new Mailboxes(api);
    const [a, b] = [mailboxes.register(), other.register()];
    const far = new Mailboxes(mapping.attach());
    for (const [waits, comes] of [
      [a, b],
      [b, a],
    ] as const) {
      const long = waits.receive();
      await settled();
      const short = comes.receive();
      await settled();
      send(far.open(comes.id), 1);
      await short;
      await settled();
      send(far.open(waits.id), 2);
      expect((await long).messageType).toBe(2);
    }
  });
});

describe("a loop over the items", () => {
  test.each(["break", "return", "throw"])(
    "that ends by %s has received the item it was at, and no more",
    async (how) => {
      const { mailboxes } = await boot();
      const inbox = mailboxes.register();
      send(inbox, 1, 2);
      const loop = async (): Promise<void> => {
        for await (const item of inbox) {
          expect(item.messageType).toBe(1);
          if (how === "break") break;
          if (how === "return") return;
          throw new Error("enough");
        }
      };
      if (how === "throw") await expect(loop()).rejects.toThrow("enough");
      else await loop();
      expect(inbox.tryReceive()?.messageType).toBe(2);
    },
  );

  test("ends when its signal is aborted, also when there is more", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    send(inbox, 1, 2, 3);
    const abort = new AbortController();
    const seen: number[] = [];
    for await (const { messageType } of inbox.items({ signal: abort.signal })) {
      seen.push(messageType);
      abort.abort();
    }
    for await (const item of inbox.items({ signal: abort.signal })) expect.unreachable(String(item.messageType));
    expect(seen).toEqual([1]);
    expect(inbox.tryReceive()?.messageType).toBe(2);
  });

  test("ends when the mailbox is disposed of, also when others still receive from it", async () => {
    const { mapping, mailboxes } = await boot();
    const inbox = mailboxes.register();
    const other = mapping.attach();
    inbox.share(pidOf(other));
    const loop = (async () => {
      for await (const item of inbox) expect.unreachable(String(item.messageType));
    })();
    const waiting = inbox.receive();
    waiting.catch(() => undefined);
    await settled();
    inbox[Symbol.dispose]();
    await loop;
    await expect(waiting).rejects.toThrow(code("ERR_VDSO_MAILBOX_FOREIGN"));
  });
});

describe("a signal", () => {
  test("that was aborted before takes and sends nothing", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const signal = AbortSignal.abort(new Error("too late"));
    await expect(inbox.send({ messageType: 1 }, { signal })).rejects.toThrow("too late");
    expect(inbox.tryReceive()).toBeUndefined();
    send(inbox, 2);
    await expect(inbox.receive({ signal })).rejects.toThrow("too late");
    await expect(mailboxes.select([inbox], { signal })).rejects.toThrow("too late");
    expect(inbox.tryReceive()?.messageType).toBe(2);
  });

  test("that is aborted ends waits for items, for space and for any of several", async () => {
    const { mailboxes } = await boot();
    const [empty, full] = [mailboxes.register(), mailboxes.register({ policy: "wait" })];
    fill(full);
    const abort = new AbortController();
    const { signal } = abort;
    const waits = [
      empty.receive({ signal }),
      full.send({ messageType: 2 }, { signal }),
      mailboxes.select([empty], { signal }),
    ];
    const all = Promise.allSettled(waits);
    await settled();
    abort.abort(new Error("enough"));
    for (const result of await all) {
      expect(result).toMatchObject({ status: "rejected", reason: { message: "enough" } });
    }
    expect(full.tryReceive()?.messageType).toBe(1);
    send(full, 3);
  });
});

describe("a time-out of", () => {
  test.each([-1, -Infinity, Number.NaN])("%d ms is refused, everywhere", async (timeoutMs) => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const refused = code("ERR_VDSO_ARGUMENT");
    await expect(inbox.receive({ timeoutMs })).rejects.toThrow(refused);
    await expect(inbox.send({ messageType: 1 }, { timeoutMs })).rejects.toThrow(refused);
    await expect(mailboxes.select([inbox], { timeoutMs })).rejects.toThrow(refused);
    expect(() => inbox.receiveSync({ timeoutMs })).toThrow(refused);
    expect(() => inbox.sendSync({ messageType: 1 }, { timeoutMs })).toThrow(refused);
    expect(() => mailboxes.selectSync([inbox], { timeoutMs })).toThrow(refused);
    expect(inbox.tryReceive()).toBeUndefined();
  });

  test.each([2 ** 31, 2 ** 53, 1e300, Infinity])("%d ms does not end at once", async (timeoutMs) => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const received = inbox.receive({ timeoutMs });
    await settled();
    send(inbox, 1);
    expect((await received).messageType).toBe(1);
    send(inbox, 2);
    expect(mailboxes.selectSync([inbox], { timeoutMs })).toBe(inbox);
    expect(inbox.receiveSync({ timeoutMs }).messageType).toBe(2);
  });

  test.each([0, 0.5, 3])("%d ms ends waits for items, for space and for any of several", async (timeoutMs) => {
    const { mailboxes } = await boot();
    const [empty, full] = [mailboxes.register(), mailboxes.register({ policy: "wait" })];
    fill(full);
    fill(full, true);
    const late = code("ERR_VDSO_TIMEOUT");
    await expect(empty.receive({ timeoutMs })).rejects.toThrow(late);
    await expect(mailboxes.select([empty], { timeoutMs })).rejects.toThrow(late);
    expect(() => empty.receiveSync({ timeoutMs })).toThrow(late);
    expect(mailboxes.selectSync([empty], { timeoutMs })).toBeUndefined();
    for (const urgent of [false, true]) {
      await expect(full.send({ messageType: 1 }, { timeoutMs, urgent })).rejects.toThrow(late);
      expect(() => full.sendSync({ messageType: 1 }, { timeoutMs, urgent })).toThrow(late);
    }
  });
});

describe("to wait for any of several", () => {
  test("mailboxes there have to be some", async () => {
    const { mailboxes } = await boot();
    await expect(mailboxes.select([])).rejects.toThrow(code("ERR_VDSO_ARGUMENT"));
    expect(() => mailboxes.selectSync([])).toThrow(code("ERR_VDSO_ARGUMENT"));
  });

  test("of which one is another's is refused, and nothing stays watched", async () => {
    const { mapping, api, mailboxes } = await boot();
    const own = mailboxes.register();
    const foreign = mailboxes.open(new Mailboxes(mapping.attach()).register().id);
    await expect(mailboxes.select([own, foreign])).rejects.toThrow(code("ERR_VDSO_MAILBOX_FOREIGN"));
    expect(() => mailboxes.selectSync([own, foreign])).toThrow(code("ERR_VDSO_MAILBOX_FOREIGN"));
    // Vqueue's Watch.Item, and Status.Ok: it is not watched yet.
    expect(api.watch(own.id, 0)).toBe(0);
  });

  test("of which one is closed returns that one", async () => {
    const { mailboxes } = await boot();
    const [a, b] = [mailboxes.register(), mailboxes.register()];
    const selected = mailboxes.select([a, b]);
    await settled();
    b.close();
    expect(await selected).toBe(b);
    expect(mailboxes.selectSync([a, b])).toBe(b);
  });

  test("blocks until its own are ready, whatever else is pending, and leaves that pending", async () => {
    const { mailboxes } = await boot();
    const [pending, own] = [mailboxes.register(), mailboxes.register()];
    const received = pending.receive();
    await settled();
    send(pending, 1);
    expect(mailboxes.selectSync([own], { timeoutMs: 3 })).toBeUndefined();
    expect((await received).messageType).toBe(1);
  });

  test("one that is left meanwhile is refused", async () => {
    const { mapping, mailboxes } = await boot();
    const inbox = mailboxes.register();
    const other = mapping.attach();
    inbox.share(pidOf(other));
    const selected = mailboxes.select([inbox]);
    selected.catch(() => undefined);
    await settled();
    inbox[Symbol.dispose]();
    await expect(selected).rejects.toThrow(code("ERR_VDSO_MAILBOX_FOREIGN"));
  });
});

test("a mailbox that is disposed of twice, and used after, says so", async () => {
  const { mailboxes } = await boot();
  const inbox = mailboxes.register();
  inbox[Symbol.dispose]();
  inbox[Symbol.dispose]();
  const closed = code("ERR_VDSO_MAILBOX_CLOSED");
  for (const use of [
    () => inbox.trySend({ messageType: 1 }),
    () => inbox.tryReceive(),
    () => inbox.claim(),
    () => inbox.take(),
    () => inbox.receiveSync(),
    () => inbox.sendSync({ messageType: 1 }),
    () => inbox.close(),
    () => inbox.share(2),
  ]) {
    expect(use).toThrow(closed);
  }
  await expect(inbox.receive()).rejects.toThrow(closed);
  await expect(inbox.send({ messageType: 1 })).rejects.toThrow(closed);
  for await (const item of inbox) expect.unreachable(String(item.messageType));
});

test("an item that is taken when its mailbox is closed can still be read and released", async () => {
  const { mailboxes } = await boot();
  const inbox = mailboxes.register();
  send(inbox, 7);
  const item = inbox.take()!;
  inbox.close();
  expect(item.messageType).toBe(7);
  inbox.release();
  expect(() => inbox.take()).toThrow(code("ERR_VDSO_MAILBOX_CLOSED"));
});

test("a message that cannot be written holds up nobody", async () => {
  const { api, mailboxes } = await boot();
  const inbox = mailboxes.register();
  expect(() => inbox.trySend({ messageType: Symbol("x") as unknown as number })).toThrow(TypeError);
  send(inbox, 2);
  expect(inbox.tryReceive()?.messageType).toBe(2);
  expect(api.depth(inbox.id)).toBe(0);
});

test("space in either lane wakes who waits for it, in whatever order they came", async () => {
  for (const first of [false, true]) {
    const { mapping, mailboxes } = await boot();
    const inbox = mailboxes.register({ policy: "wait" });
    fill(inbox);
    fill(inbox, true);
    const open = (): Mailbox => new Mailboxes(mapping.attach()).open(inbox.id);
    const a = open().send({ messageType: 2 }, { urgent: first });
    await settled();
    const b = open().send({ messageType: 3 }, { urgent: !first });
    await settled();
    // The urgent one comes first.
    expect(inbox.tryReceive()).toBeDefined();
    await (first ? a : b);
    while (inbox.tryReceive());
    await Promise.all([a, b]);
  }
});

describe("Node", () => {
  const program = async (body: string): Promise<{ out: string; errors: string; code: number }> => {
    const folder = join(import.meta.dirname, "../..");
    const source = `
      import vqueue from ${JSON.stringify(join(folder, "generated/vqueue/vqueue.js"))};
      import { Mailboxes } from ${JSON.stringify(join(folder, "runtime/ipc/mailbox.ts"))};
      import { map } from ${JSON.stringify(join(folder, "runtime/loader/map.ts"))};
      const mapping = await map(vqueue);
      const mailboxes = new Mailboxes(mapping.attach());
      const far = new Mailboxes(mapping.attach());
      const inbox = mailboxes.register({ policy: "wait" });
      const abort = new AbortController();
      ${body}`;
    const child = spawn(process.execPath, ["--input-type=module", "--eval", source], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    onTestFinished(() => void child.kill("SIGKILL"));
    const [out, errors, [exit]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, "exit")]);
    return { out, errors, code: exit };
  };

  test.each([
    ["goes when nothing is pending", `await inbox.send({ messageType: 1 }); await inbox.receive();`, ""],
    [
      "stays while a receive is pending, and goes after",
      `inbox.receive({ timeoutMs: 150 }).catch(({ code }) => console.log(code));`,
      "ERR_VDSO_TIMEOUT\n",
    ],
    [
      "stays while a send waits for space, and goes after",
      `while (inbox.trySend({ messageType: 1 }));
       inbox.send({ messageType: 2 }).then(() => console.log("sent"));
       setTimeout(() => inbox.tryReceive(), 100).unref();`,
      "sent\n",
    ],
    [
      "goes when what is pending is aborted",
      `inbox.receive({ signal: abort.signal }).catch(() => console.log("aborted")); setTimeout(() => abort.abort(), 50);`,
      "aborted\n",
    ],
    [
      "goes when a loop is left",
      `setTimeout(() => far.open(inbox.id).trySend({ messageType: 1 }), 50);
       for await (const item of inbox) { console.log(item.messageType); break; }`,
      "1\n",
    ],
    ["goes at once when told to, with something pending", `inbox.receive(); process.exit();`, ""],
  ])("%s", async (_, body, out) => {
    expect(await program(body)).toEqual({ out, errors: "", code: 0 });
  });
});
