/** The policies against simulations of what they are meant to do, tick by tick. */
import fc from "fast-check";
import { expect, test } from "vitest";
import vsched, { Policy, type VschedApi } from "../../generated/vsched/vsched.js";
import { attach, map } from "../../runtime/index.ts";

async function oneCpu(policy: Policy, sliceTicks = 5, granularityUs = 1000): Promise<VschedApi> {
  const { handle } = await map(vsched, { managed: true });
  const cpu = attach(vsched, handle, { pid: 2 });
  cpu.configure(policy, sliceTicks, granularityUs);
  cpu.startCpu();
  return cpu;
}

// ------------------------------------------------------------------ CFS

/** Linux's sched_prio_to_weight: each step is 1.25 times the next. */
const WEIGHTS = [
  88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991,
  1586, 1277, 1024, 820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];
const weight = (nice: number): bigint => BigInt(WEIGHTS[nice + 20]!);

interface Simulated {
  readonly id: number;
  readonly nice: number;
  vruntime: bigint;
  order: number;
}

/** The algorithm in its simplest form: the smallest virtual run time runs; who is ahead of the next by more than the granularity is preempted. */
function simulateCfs(ids: readonly number[], nices: readonly number[], ticks: number, tickUs: number): number[] {
  const waiting: Simulated[] = ids.map((id, order) => ({ id, nice: nices[order]!, vruntime: 0n, order }));
  let order = ids.length;
  const ran: number[] = [];
  const least = (): Simulated =>
    waiting.reduce((best, it) =>
      it.vruntime < best.vruntime || (it.vruntime === best.vruntime && it.order < best.order) ? it : best,
    );
  const pick = (): Simulated => waiting.splice(waiting.indexOf(least()), 1)[0]!;
  let running = pick();
  for (let tick = 0; tick < ticks; tick++) {
    ran.push(running.id);
    running.vruntime += (BigInt(tickUs) << 20n) / weight(running.nice);
    if (waiting.length > 0 && running.vruntime > least().vruntime + (1000n << 10n)) {
      running.order = order++;
      waiting.push(running);
      running = pick();
    }
  }
  return ran;
}

function runTicks(cpu: VschedApi, ticks: number, tickUs: number, from = 0): number[] {
  const ran: number[] = [];
  let now = from;
  for (let tick = 0; tick < ticks; tick++) {
    ran.push(cpu.current() || cpu.pickNext());
    now += tickUs;
    cpu.setNow(now);
    if (cpu.tick()) cpu.preempt();
  }
  return ran;
}

test("CFS runs, tick for tick, what a simulation of the algorithm runs", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: -20, max: 19 }), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 20_000 }),
      async (nices, tickUs) => {
        const cpu = await oneCpu(Policy.Cfs);
        cpu.setNow(0);
        const ids = nices.map((nice) => cpu.spawn(0, 0, nice));
        expect(runTicks(cpu, 300, tickUs)).toEqual(simulateCfs(ids, nices, 300, tickUs));
      },
    ),
    { numRuns: 100 },
  );
});

test("CFS shares at nice -5, 0 and 5 over 10 000 ticks are within 1 % of the weights", async () => {
  const cpu = await oneCpu(Policy.Cfs);
  const nices = [-5, 0, 5];
  const ids = nices.map((nice) => cpu.spawn(0, 0, nice));
  cpu.setNow(0);
  const ran = runTicks(cpu, 10_000, 1000);
  expect(ran).toEqual(simulateCfs(ids, nices, 10_000, 1000));
  const total = nices.reduce((sum, nice) => sum + Number(weight(nice)), 0);
  for (const [i, id] of ids.entries()) {
    const share = ran.filter((it) => it === id).length / ran.length;
    const fair = Number(weight(nices[i]!)) / total;
    expect(Math.abs(share / fair - 1)).toBeLessThan(0.01);
  }
});

test("under CFS a task that slept comes back before those who ran, but does not catch up on all it missed", async () => {
  const cpu = await oneCpu(Policy.Cfs);
  const sleeper = cpu.spawn(0, 0, 0);
  const worker = cpu.spawn(0, 0, 0);
  expect(cpu.pickNext()).toBe(sleeper);
  cpu.prepareWait();
  cpu.block();
  runTicks(cpu, 1000, 1000);
  cpu.unblock(sleeper);
  const after = runTicks(cpu, 20, 1000, 1_000_000);
  const slept = after.slice(0, 10).filter((id) => id === sleeper).length;
  expect(slept).toBeGreaterThan(4);
  expect(slept).toBeLessThan(10);
  expect(after.filter((id) => id === worker).length).toBeGreaterThan(5);
});

test("under CFS a task that moves to another CPU is as far ahead or behind there as it was", async () => {
  const { handle } = await map(vsched, { managed: true });
  const a = attach(vsched, handle, { pid: 2 });
  const b = attach(vsched, handle, { pid: 3 });
  a.configure(Policy.Cfs);
  a.startCpu();
  // B's clock is far ahead: its task has run for a minute.
  const [first, second] = [a.spawn(0, 0, 0), a.spawn(0, 0, 0)];
  b.startCpu();
  const other = b.spawn(0, 0, 0, 0b10);
  expect(b.pickNext()).toBe(other);
  for (let tick = 0; tick < 6000; tick++) {
    b.setNow(tick * 10_000);
    b.tick();
  }
  b.yieldNow();
  expect(b.pickNext()).toBe(other);
  expect(a.pickNext()).toBe(first);
  a.setNow(1);
  a.setNow(5000);
  a.tick();
  a.preempt();
  expect(a.migrate(second, 1)).toBe(0);
  expect(a.migrate(first, 1)).toBe(0);
  // In B's time `second` is level with the others and `first` is 5 ms ahead.
  b.yieldNow();
  const order = [0, 0, 0].map(() => {
    const id = b.pickNext();
    b.exit(0);
    return id;
  });
  expect(order.indexOf(second)).toBeLessThan(order.indexOf(first));
});

// ------------------------------------------------------------------ round-robin, FIFO, priority

test("round-robin runs, tick for tick, what a simulation of the algorithm runs", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 6 }),
      fc.array(fc.constantFrom("tick", "tick", "tick", "preempt", "yield", "spawn"), { maxLength: 200 }),
      async (tasks, slice, events) => {
        const cpu = await oneCpu(Policy.RoundRobin, slice);
        const queue = Array.from({ length: tasks }, () => ({ id: cpu.spawn(0, 0), left: slice }));
        for (const event of events) {
          const running = queue[0]!;
          expect(cpu.current() || cpu.pickNext()).toBe(running.id);
          const toTheBack = (): void => {
            queue.push({ id: queue.shift()!.id, left: slice });
          };
          if (event === "spawn") queue.push({ id: cpu.spawn(0, 0), left: slice });
          else if (event === "yield") {
            cpu.yieldNow();
            toTheBack();
          } else if (event === "preempt") {
            cpu.preempt();
          } else {
            const over = --running.left === 0;
            expect(cpu.tick()).toBe(over);
            if (over) {
              cpu.preempt();
              toTheBack();
            }
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("FIFO runs tasks in the order in which they became ready", async () => {
  const cpu = await oneCpu(Policy.Fifo);
  const ids = Array.from({ length: 100 }, () => cpu.spawn(0, 0));
  const ran: number[] = [];
  for (let n = 0; n < 200; n++) {
    ran.push(cpu.pickNext());
    expect(cpu.tick()).toBe(false);
    if (n < 100) cpu.yieldNow();
    else cpu.exit(0);
  }
  expect(ran).toEqual([...ids, ...ids]);
});

test("strict priority always runs the lowest level, in order within it, and a tick preempts for a lower one", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 63 }), { minLength: 1, maxLength: 60 }), async (levels) => {
      const cpu = await oneCpu(Policy.Priority);
      const tasks = levels.map((level) => ({ level, id: cpu.spawn(0, 0, level) }));
      const expected = tasks.toSorted((a, b) => a.level - b.level).map(({ id }) => id);
      const ran: number[] = [];
      for (const _ of tasks) {
        ran.push(cpu.pickNext());
        cpu.exit(0);
      }
      expect(ran).toEqual(expected);
    }),
    { numRuns: 50 },
  );
  const cpu = await oneCpu(Policy.Priority);
  const low = cpu.spawn(0, 0, 10);
  expect(cpu.pickNext()).toBe(low);
  cpu.spawn(0, 0, 10);
  expect(cpu.tick()).toBe(false);
  const high = cpu.spawn(0, 0, 9);
  expect(cpu.tick()).toBe(true);
  cpu.preempt();
  expect(cpu.pickNext()).toBe(high);
});

test("a ready task whose priority changes takes its new place", async () => {
  const cpu = await oneCpu(Policy.Priority);
  const first = cpu.spawn(0, 0, 5);
  const second = cpu.spawn(0, 0, 6);
  cpu.setPriority(first, 7);
  expect(cpu.pickNext()).toBe(second);
});
