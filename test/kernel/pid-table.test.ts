import { expect, onTestFinished, test, vi } from "vitest";
import { PidTable, PROCESS_LIMIT } from "../../runtime/kernel/pid-table.ts";
import { expectCode } from "../expect-code.ts";
import { boot, fixture } from "./system.ts";

test("hands out positive pids whose index is neither nobody's nor the kernel's", () => {
  const table = new PidTable();
  const pids = Array.from({ length: PROCESS_LIMIT }, () => table.allocate()!);
  expect(new Set(pids.map((pid) => pid & 1023)).size).toBe(PROCESS_LIMIT);
  expect(pids.every((pid) => (pid & 1023) >= 2)).toBe(true);
  expect(table.allocate()).toBeUndefined();
});

test("gives an index that comes back another pid", () => {
  const table = new PidTable();
  const seen = new Set<number>();
  for (let round = 0; round < 3 * PROCESS_LIMIT; round++) {
    const pid = table.allocate()!;
    expect(seen.has(pid)).toBe(false);
    seen.add(pid);
    table.release(pid);
  }
});

test("keeps a freed index out of use for as long as others are free", () => {
  const table = new PidTable();
  const first = table.allocate()!;
  table.release(first);
  const next = Array.from({ length: PROCESS_LIMIT - 1 }, () => table.allocate()! & 1023);
  expect(next).not.toContain(first & 1023);
  expect(table.allocate()! & 1023).toBe(first & 1023);
});

test("stays positive when the generations wrap around", () => {
  const table = new PidTable(2 ** 21 - 1);
  const pids = Array.from({ length: PROCESS_LIMIT }, () => table.allocate()!);
  expect(Math.max(...pids)).toBe(2 ** 31 - 1);
  for (const pid of pids) table.release(pid);
  expect(table.allocate()).toBe(2);
});

test("a kernel without a free pid starts nothing, and says how many processes there can be", async () => {
  const { kernel } = await boot();
  const spy = vi.spyOn(PidTable.prototype, "allocate").mockReturnValue(undefined);
  onTestFinished(() => spy.mockRestore());
  const error = await expectCode("ERR_VDSO_PROCESS_LIMIT", () => kernel.spawn(fixture("ends.ts")));
  expect(error.message).toContain(String(PROCESS_LIMIT));
  expect(kernel.processes()).toEqual([]);
});
