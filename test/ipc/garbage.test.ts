/** A peer that writes whatever it likes into items. */
import fc from "fast-check";
import { expect, test } from "vitest";
import vqueue from "../../generated/vqueue/vqueue.js";
import { vvarOf } from "../../runtime/index.ts";
import { mailboxOf } from "../../runtime/ipc/address.ts";
import { expectCode } from "../expect-code.ts";
import { settle, system } from "./system.ts";

test("frames of garbage are refused and counted; everything else goes on", async () => {
  const { party, queue, heap } = await system(vqueue);
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  server.serve((message) => message.data);
  const pid = 500;
  const liar = queue.attach({ pid });
  const lender = heap.attach({ pid });
  const words = new Uint32Array(vvarOf(liar));
  const floats = new Float64Array(vvarOf(liar));
  const mine = liar.register();
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

test("answers from somebody else than was asked, unasked ones and second ones are counted, and their buffers freed", async () => {
  const { party, queue, heap } = await system();
  const [a, b] = [party(), party()];
  const [client, server] = [a.ipc.entity(), b.ipc.entity()];
  const pid = 500;
  const liar = queue.attach({ pid });
  const lender = heap.attach({ pid });
  const words = new Uint32Array(vvarOf(liar));
  const floats = new Float64Array(vvarOf(liar));
  const own = liar.register();
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
