import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, onTestFinished, test } from "vitest";
import vqueue, { QUEUE_LEN, type VqueueApi } from "../../generated/vqueue/vqueue.js";
import { type Mailbox, Mailboxes } from "../../runtime/ipc/mailbox.ts";
import { pidOf, vvarOf } from "../../runtime/loader/attach.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";

interface System {
  readonly mapping: Mapping<VqueueApi>;
  readonly api: VqueueApi;
  readonly mailboxes: Mailboxes;
}

async function boot(): Promise<System> {
  const mapping = (await map(vqueue)) as Mapping<VqueueApi>;
  const api = mapping.attach();
  return { mapping, api, mailboxes: new Mailboxes(api, vvarOf(api), pidOf(api)) };
}

async function echo(mapping: Mapping<VqueueApi>, sync: boolean): Promise<{ worker: Worker; id: number; pid: number }> {
  const worker = new Worker(new URL("./fixtures/echo.ts", import.meta.url), {
    workerData: { handle: mapping.handle, sync },
  });
  onTestFinished(async () => void (await worker.terminate()));
  const [{ id, pid }] = (await once(worker, "message")) as [{ id: number; pid: number }];
  return { worker, id, pid };
}

const numbers = (length: number): Uint8Array => Uint8Array.from({ length }, (_, index) => index);

describe("in one process", () => {
  test("a message arrives as it was sent", async () => {
    const { api, mailboxes } = await boot();
    const inbox = mailboxes.register();
    expect(inbox.tryReceive()).toBeUndefined();
    const message = { messageType: 2 ** 40 + 3, replyType: 2 ** 53, flags: 65535, data: numbers(64) };
    expect(inbox.trySend(message)).toBe(true);
    expect(inbox.tryReceive()).toEqual({ ...message, sender: pidOf(api) });
  });

  test("what does not fit is refused, and nothing is sent", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    expect(() => inbox.trySend({ messageType: 1, data: numbers(65) })).toThrow(/at most 64 bytes of data, found 65/);
    expect(inbox.tryReceive()).toBeUndefined();
  });

  test("urgent messages overtake", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    inbox.trySend({ messageType: 1 });
    inbox.trySend({ messageType: 2 }, { urgent: true });
    inbox.trySend({ messageType: 3 }, { urgent: true });
    expect([1, 2, 3].map(() => inbox.tryReceive()?.messageType)).toEqual([2, 3, 1]);
  });

  test("a full mailbox fails, waits, or drops the oldest, as its policy says", async () => {
    const { api, mailboxes } = await boot();
    const [fails, waits, drops] = (["fail", "wait", "drop-oldest"] as const).map((policy) =>
      mailboxes.register({ policy }),
    ) as [Mailbox, Mailbox, Mailbox];
    for (const mailbox of [fails, waits, drops]) {
      for (let item = 0; item < QUEUE_LEN; item++) expect(mailbox.trySend({ messageType: item })).toBe(true);
    }
    expect(fails.trySend({ messageType: 1 })).toBe(false);
    await expect(fails.send({ messageType: 1 })).rejects.toMatchObject({ code: "ERR_VDSO_MAILBOX_FULL" });
    await expect(waits.send({ messageType: 1 }, { timeoutMs: 5 })).rejects.toMatchObject({ code: "ERR_VDSO_TIMEOUT" });
    const sent = waits.send({ messageType: 1 });
    expect(waits.tryReceive()?.messageType).toBe(0);
    await sent;
    await drops.send({ messageType: QUEUE_LEN });
    expect(drops.tryReceive()?.messageType).toBe(1);
    expect(api.stats(drops.id)).toMatchObject({ dropped: 1, depth: QUEUE_LEN - 1, highWater: QUEUE_LEN });
  });

  test("a slot is filled and read in place; what is abandoned never was, what is put back comes again", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    inbox.claim()!.messageType = 1;
    inbox.abandon();
    const item = inbox.claim()!;
    item.messageType = 2;
    item.messageTypeBig = 2n ** 63n;
    item.setFloat64(7, 0.5);
    inbox.commit();
    expect(inbox.take()!.messageTypeBig).toBe(2n ** 63n);
    inbox.putBack();
    expect(inbox.take()!.getFloat64(7)).toBe(0.5);
    inbox.release();
    expect(inbox.take()).toBeUndefined();
    for (const wrong of [() => inbox.release(), () => inbox.commit(), () => inbox.putBack(), () => inbox.abandon()]) {
      expect(wrong).toThrow(expect.objectContaining({ code: "ERR_VDSO_SLOT" }));
    }
  });

  test("waits end by a message, a signal, a time-out or the end of the mailbox", async () => {
    const { mailboxes } = await boot();
    const inbox = mailboxes.register();
    const first = inbox.receive();
    inbox.trySend({ messageType: 5 });
    expect((await first).messageType).toBe(5);
    const abort = new AbortController();
    const second = inbox.receive({ signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(second).rejects.toThrow("enough");
    await expect(inbox.receive({ timeoutMs: 1 })).rejects.toMatchObject({ code: "ERR_VDSO_TIMEOUT" });
    const third = inbox.receive();
    inbox.close();
    await expect(third).rejects.toMatchObject({ code: "ERR_VDSO_MAILBOX_CLOSED" });
  });

  test("of several mailboxes the one that has something is selected", async () => {
    const { mailboxes } = await boot();
    const all = [mailboxes.register(), mailboxes.register(), mailboxes.register()];
    expect(mailboxes.selectSync(all, { timeoutMs: 1 })).toBeUndefined();
    const selected = mailboxes.select(all);
    all[1]!.trySend({ messageType: 1 });
    expect(await selected).toBe(all[1]);
    expect(mailboxes.selectSync(all)).toBe(all[1]);
  });

  test("ids that are stale, closed, foreign or of no mailbox are told apart", async () => {
    const { mapping, mailboxes } = await boot();
    const inbox = mailboxes.register();
    const other = mapping.attach();
    const foreign = new Mailboxes(other, vvarOf(other)).open(inbox.id);
    expect(() => foreign.take()).toThrow(expect.objectContaining({ code: "ERR_VDSO_MAILBOX_FOREIGN" }));
    expect(() => foreign.close()).toThrow(expect.objectContaining({ code: "ERR_VDSO_MAILBOX_FOREIGN" }));
    inbox.share(pidOf(other));
    expect(foreign.take()).toBeUndefined();
    inbox[Symbol.dispose]();
    expect(foreign.trySend({ messageType: 1 })).toBe(true);
    foreign[Symbol.dispose]();
    expect(() => foreign.trySend({ messageType: 1 })).toThrow(
      expect.objectContaining({ code: "ERR_VDSO_MAILBOX_CLOSED" }),
    );
    expect(mailboxes.register().id).not.toBe(inbox.id);
    expect(() => mailboxes.open(inbox.id)).toThrow(expect.objectContaining({ code: "ERR_VDSO_STALE_HANDLE" }));
    expect(() => mailboxes.open(1023)).toThrow(expect.objectContaining({ code: "ERR_VDSO_MAILBOX_ID" }));
    expect(() => mailboxes.open(0)).toThrow(expect.objectContaining({ code: "ERR_VDSO_STALE_HANDLE" }));
  });

  test("no mailbox is given out beyond the last, and closed ones are used again", async () => {
    const { mailboxes } = await boot();
    const all: Mailbox[] = [];
    const more = (): void => void all.push(mailboxes.register());
    expect(() => {
      for (;;) more();
    }).toThrow(expect.objectContaining({ code: "ERR_VDSO_MAILBOX_TABLE" }));
    all[3]!.trySend({ messageType: 9 });
    all[3]!.close();
    more();
    expect(all.at(-1)!.tryReceive()).toBeUndefined();
  });
});

describe.each([false, true])("with another thread, blocking: %s,", (sync) => {
  test("messages go there and come back in order", async () => {
    const { mapping, mailboxes } = await boot();
    const { worker, id } = await echo(mapping, sync);
    const inbox = mailboxes.register({ policy: "wait" });
    const there = mailboxes.open(id);
    for (let number = 1; number <= 200; number++) {
      await there.send({ messageType: number, replyType: inbox.id, data: numbers(number % 65) });
      if (number % 50 === 0) {
        for (let back = number - 49; back <= number; back++) {
          expect(await inbox.receive()).toMatchObject({ messageType: back, data: numbers(back % 65) });
        }
      }
    }
    const exit = once(worker, "exit");
    there.trySend({ messageType: 0 });
    expect(await exit).toEqual([0]);
  });

  test("the death of a receiver ends waits for space in its mailbox", async () => {
    const { mapping, mailboxes } = await boot();
    const { worker, id, pid } = await echo(mapping, sync);
    const there = mailboxes.open(id);
    // It is held up by the first answer, which our mailbox has no room for; so its own fills up.
    const blocked = mailboxes.register({ policy: "wait" });
    while (blocked.trySend({ messageType: 1 }));
    const sendsForEver = async (): Promise<never> => {
      for (;;) await there.send({ messageType: 1, replyType: blocked.id });
    };
    const waiting = sendsForEver();
    await worker.terminate();
    mapping.drop(pid);
    await expect(waiting).rejects.toMatchObject({ code: "ERR_VDSO_MAILBOX_CLOSED" });
  });
});
