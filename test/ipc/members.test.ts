import { expect, test } from "vitest";
import { membersOnDemand } from "../../runtime/ipc/members.ts";

test("a member is made once, when it is first asked for", () => {
  const made: string[] = [];
  const members = membersOnDemand((name) => {
    made.push(name);
    return () => name;
  }) as Record<string, () => string>;
  expect(made).toEqual([]);
  expect(members["add"]!()).toBe("add");
  expect(members["add"]).toBe(members["add"]);
  expect(members["toString"]!()).toBe("toString");
  expect(made).toEqual(["add", "toString"]);
  expect(structuredClone(members)).toEqual({});
});

test("where nothing may be added to it, members are made all the same", () => {
  const members = Object.freeze(membersOnDemand((name) => name)) as Record<string, string>;
  expect(members["add"]).toBe("add");
});

test("it is awaited like any value, and no member can be replaced", async () => {
  const members = membersOnDemand((name) => name) as Record<string, unknown>;
  expect(await members).toBe(members);
  expect(members[Symbol.toPrimitive as unknown as string]).toBeUndefined();
  for (const name of ["new", "known"]) {
    if (name === "known") expect(members[name]).toBe(name);
    expect(() => {
      members[name] = 1;
    }).toThrow(TypeError);
    expect(members[name]).toBe(name);
  }
});
