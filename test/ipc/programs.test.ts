/** Random programs against a model: for each entity, what was sent to it and not received. */
import fc from "fast-check";
import { beforeAll, expect, test } from "vitest";
import type { Entity } from "../../runtime/ipc/entity.ts";
import { buildQueues, type QueueLibrary, system } from "./system.ts";

const ENTITIES = 4;
let small: QueueLibrary;
beforeAll(async () => {
  small = await buildQueues({ QUEUE_LEN: 8, URGENT_LEN: 2, ARRAY_LEN: 4 });
});

interface Sent {
  readonly from: number;
  readonly type: number;
  readonly length: number;
  readonly stamp: number;
}

const index = fc.nat(ENTITIES - 1);
const type = fc.nat(2);
const step = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("send"),
      from: index,
      to: index,
      type,
      length: fc.constantFrom(4, 60, 64, 65, 3000),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("receive"), to: index, type: fc.option(type, { nil: undefined }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("reopen"), to: index }) },
);

test("every message is received once, by whom it was sent to, in order, or ends with its receiver", async () => {
  const { party } = await system(small);
  const parties = [party({ delivery: "polling" }), party({ delivery: "polling" })];
  const ipcOf = (at: number) => parties[at % 2]!.ipc;
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (program) => {
      const entities: Entity[] = Array.from({ length: ENTITIES }, (_, at) => ipcOf(at).entity());
      const model: Sent[][] = entities.map(() => []);
      let stamp = 0;
      for (const { kind, to, ...rest } of program) {
        if (kind === "send") {
          const { from, type, length } = rest as { from: number; type: number; length: number };
          const bytes = new Uint8Array(length).fill(length);
          new DataView(bytes.buffer).setUint32(0, ++stamp);
          let sent = entities[from]!.trySend(entities[to]!.id, type, bytes);
          if (!sent) {
            // Full: the receiver's process has to look.
            ipcOf(to).poll();
            sent = entities[from]!.trySend(entities[to]!.id, type, bytes);
          }
          expect(sent).toBe(true);
          model[to]!.push({ from, type, length, stamp });
        } else if (kind === "receive") {
          const wanted = (rest as { type: number | undefined }).type;
          const queue = model[to]!;
          const at = queue.findIndex((sent) => wanted === undefined || sent.type === wanted);
          const expected = at < 0 ? undefined : queue.splice(at, 1)[0];
          const message = entities[to]!.tryRecv(wanted);
          const { bytes } = message ?? {};
          expect(
            message && {
              from: entities.findIndex(({ id }) => id === message.from),
              type: message.type,
              length: bytes!.length,
              stamp: new DataView(bytes!.buffer, bytes!.byteOffset).getUint32(0),
            },
          ).toEqual(expected);
          message?.[Symbol.dispose]();
        } else {
          entities[to]!.close();
          entities[to] = ipcOf(to).entity();
          model[to] = [];
          for (const queue of model) {
            // The model knows senders by their place; a new one there is another.
            for (const [at, sent] of queue.entries()) if (sent.from === to) queue[at] = { ...sent, from: -1 };
          }
        }
      }
      for (const entity of entities) entity.close();
      for (const { ipc } of parties) ipc.poll();
      expect(parties[0]!.heap.stats()).toMatchObject({ ownedBlocks: 0, sentBlocks: 0 });
    }),
    { numRuns: 300 },
  );
});
