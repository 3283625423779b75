/** Random programs of calls, streams, topics and ends against a model that says what each caller may be told. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Entity } from "../../runtime/ipc/entity.ts";
import type { IncomingCall, Message } from "../../runtime/ipc/message.ts";
import { subscribe, Topic } from "../../runtime/ipc/topic.ts";
import { type Party, system } from "./system.ts";

const PARTIES = 3;
const party = fc.nat(PARTIES - 1);
const size = fc.constantFrom(0, 3, 60, 70, 2000);
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("call" as const), from: party, to: party, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("late" as const), from: party, to: party, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("fail" as const), from: party, to: party, size }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("abort" as const), from: party, to: party, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("stream" as const), from: party, to: party, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("close" as const), from: party, to: party, size }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("die" as const), from: party, to: party, size }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("turn" as const), from: party, to: party, size }) },
);

const turn = () => new Promise((resolve) => setImmediate(resolve));

function serve(entity: Entity): Entity {
  return entity.serve((message: Message) => {
    const { data, type } = message;
    if (type === 1) return { echoed: data };
    if (type === 2) return turn().then(() => data);
    if (type === 3) throw new RangeError(`no: ${(data as string).length}`);
    if (type === 4)
      return new Promise((resolve) => (message as IncomingCall).signal.addEventListener("abort", resolve));
    return (async function* () {
      for (let n = 0; n < 40; n++) yield { n, data };
    })();
  });
}

test("every call is answered with what is its own, or told why not; every stream is in order; nothing is left", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (program) => {
      const { party: open, heap } = await system();
      const parties: Party[] = Array.from({ length: PARTIES }, () => open());
      const servers = parties.map(({ ipc }) => serve(ipc.entity()));
      const clients = parties.map(({ ipc }) => ipc.entity());
      const ended = new Set<number>();
      /** Parties that closed or died at some time: calls from and to them may be rejected. */
      const unsteady = new Set<number>();
      /** By party: calls that it gave up. Their answers may have been on the way. */
      const givenUp = parties.map(() => 0);
      const outcomes: Promise<void>[] = [];
      const judge = (from: number, to: number, outcome: Promise<void>): void => {
        const judged = outcome.catch((error: { code?: string }) => {
          if (!unsteady.has(from) && !unsteady.has(to)) throw error;
          expect(["ERR_VDSO_PEER_GONE", "ERR_VDSO_NO_ENTITY", "ERR_VDSO_CLOSED"]).toContain(error.code);
        });
        judged.catch(() => undefined);
        outcomes.push(judged);
      };
      for (const { kind, from, to, size } of program) {
        // Who has died says nothing any more.
        if (kind === "turn") await turn();
        else if (kind === "close") {
          unsteady.add(to);
          servers[to]!.close();
        } else if (kind === "die") {
          if (ended.size + 1 === PARTIES || ended.has(to)) continue;
          ended.add(to);
          unsteady.add(to);
          clients[to]!.close();
          parties[to]!.die();
        } else if (!ended.has(from)) {
          const data = "x".repeat(size);
          const [client, id] = [clients[from]!, servers[to]!.id];
          if (kind === "call")
            judge(
              from,
              to,
              client.call(id, 1, data).then((m) => expect(m.data).toEqual({ echoed: data })),
            );
          if (kind === "late")
            judge(
              from,
              to,
              client.call(id, 2, data).then((m) => expect(m.data).toBe(data)),
            );
          if (kind === "fail") {
            const failed = client.call(id, 3, data).then(
              () => expect.unreachable(),
              (error: Error) => {
                if (!(error instanceof RangeError)) throw error;
                expect(error.message).toBe(`no: ${size}`);
              },
            );
            judge(from, to, failed);
          }
          if (kind === "abort") {
            const abort = new AbortController();
            const reason = new Error("enough");
            const call = client.call(id, 4, data, { signal: abort.signal }).then(
              () => expect.unreachable(),
              (error: unknown) => {
                if (error !== reason) throw error;
              },
            );
            judge(from, to, call);
            givenUp[from]!++;
            void turn().then(() => abort.abort(reason));
          }
          if (kind === "stream") {
            if (size === 70) givenUp[from]!++;
            const read = async (): Promise<void> => {
              let next = 0;
              for await (const message of client.stream(id, 5, data, { window: 1 + (size % 7) })) {
                expect(message.data).toEqual({ n: next++, data });
                if (size === 70 && next === 7) return;
              }
              expect(next).toBe(40);
            };
            judge(from, to, read());
          }
        }
      }
      await Promise.all(outcomes);
      for (const at of ended) expect(servers[at]!.closed || unsteady.has(at)).toBe(true);
      for (let turns = 0; turns < 8; turns++) await turn();
      for (const [at, { ipc }] of parties.entries()) {
        if (ended.has(at)) continue;
        expect(ipc.stats()).toMatchObject({ pendingCalls: 0, waitingToSend: 0, refused: 0 });
        expect(ipc.stats().strayReplies).toBeLessThanOrEqual(givenUp[at]!);
        if (ended.size === 0) expect(ipc.stats().kept).toBe(0);
      }
      for (const { ipc } of parties) ipc.close();
      for (const { pid } of parties) heap.drop(pid);
      expect(open().heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
    }),
    { numRuns: 40 },
  );
});

test("subscribers get what their policy says, whatever is published, read and left in which order", async () => {
  const move = fc.oneof(
    { weight: 5, arbitrary: fc.constant("publish" as const) },
    { weight: 4, arbitrary: fc.constant("read" as const) },
    { weight: 2, arbitrary: fc.constant("turn" as const) },
  );
  await fc.assert(
    fc.asyncProperty(
      fc.array(move, { maxLength: 120 }),
      fc.constantFrom("dropOldest" as const, "dropNewest" as const),
      fc.integer({ min: 1, max: 5 }),
      async (moves, overflow, limit) => {
        const { party: open } = await system();
        const [owner, reader] = [open(), open()];
        const topic = await Topic.create<number>(owner.ipc, "t");
        let published = 0;
        await topic.publish(published);
        const values = subscribe<number>(reader.ipc, "t", { overflow, limit });
        const seen: number[] = [(await values.next()).value as number];
        for (const kind of moves) {
          if (kind === "publish") await topic.publish(++published);
          else if (kind === "turn") await turn();
          else if (published > seen.at(-1)! && topic.dropped === 0) seen.push((await values.next()).value as number);
        }
        // What is left, up to one that says that it is the last.
        await expect.poll(() => topic.subscribers).toBe(1);
        const unread = published - seen.at(-1)!;
        if (topic.dropped === 0) {
          for (let n = 0; n < unread; n++) seen.push((await values.next()).value as number);
          expect(seen).toEqual(Array.from({ length: published + 1 }, (_, n) => n));
        } else {
          const count = unread - topic.dropped;
          for (let n = 0; n < count; n++) seen.push((await values.next()).value as number);
          // In order, none twice, and exactly as many missing as were counted.
          expect(seen.every((value, at) => at === 0 || value > seen[at - 1]!)).toBe(true);
          expect(seen.length).toBe(published + 1 - topic.dropped);
          if (overflow === "dropOldest") expect(seen.at(-1)).toBe(published);
        }
        await values.return(undefined);
        owner.ipc.close();
        reader.ipc.close();
      },
    ),
    { numRuns: 40 },
  );
});
