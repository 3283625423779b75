import fc from "fast-check";
import { expect, test } from "vitest";
import { Calls, type Numbered } from "../../runtime/ipc/calls.ts";

interface Member extends Numbered<Member> {
  readonly call: number;
}

const member = (call: number): Member => ({ call, next: undefined });
/** Few numbers, so that they come again, and any. */
const number = fc.oneof(fc.nat(40), fc.integer({ min: 0, max: 2 ** 32 - 1 }));
const operation = fc.record({ adds: fc.boolean(), call: number });

test("the table holds what a Map would hold", () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 300 }), (operations) => {
      const calls = new Calls<Member>();
      const model = new Map<number, Member>();
      for (const { adds, call } of operations) {
        const known = model.get(call);
        if (adds) {
          if (known) continue;
          const added = member(call);
          calls.add(added);
          model.set(call, added);
        } else {
          expect(calls.delete(known ?? member(call))).toBe(known !== undefined);
          model.delete(call);
        }
        expect(calls.get(call)).toBe(model.get(call));
        expect(calls.size).toBe(model.size);
      }
      expect(new Set(calls)).toEqual(new Set(model.values()));
    }),
  );
});

test("who goes over the table may empty it meanwhile", () => {
  const calls = new Calls<Member>();
  for (let call = 0; call < 100; call++) calls.add(member(call));
  let count = 0;
  for (const each of calls) {
    calls.delete(each);
    count++;
  }
  expect([count, calls.size]).toEqual([100, 0]);
});
