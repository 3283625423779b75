/** The same programs under each policy, on few and on many CPUs, all on real threads. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import vsched, { Policy, TraceEvent } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import { Barrier } from "../../runtime/sched/sync.ts";
import { until } from "./system.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
const syncUrl = new URL("./fixtures/sync-work.ts", import.meta.url);

const systems = Object.entries(Policy).flatMap(([name, policy]) =>
  [1, 2, 8].map((cpus): [string, number, Policy] => [name, cpus, policy]),
);

describe.each(systems)("under %s on %i CPUs", (_, cpus, policy) => {
  let kernel: Kernel;
  let scheduler: Scheduler;
  beforeAll(async () => {
    kernel = await Kernel.boot({ vdsos: [vsched], log: () => undefined });
    scheduler = await Scheduler.start(kernel, { cpus, policy });
  });
  afterAll(async () => {
    await scheduler?.close();
    await kernel?.shutdown({ timeoutMs: 500 });
  });

  test("as many threads as CPUs run at the same time: they meet without letting go of them", async () => {
    using barrier = new Barrier(scheduler, cpus);
    const meet = () => scheduler.submit<number>(syncUrl, "meetsInPlace", [barrier, 5], { thread: true }).result;
    // Twice as many as fit: each lot of them meets among itself, since none ends before all of it have met.
    const last = await Promise.all(Array.from({ length: 2 * cpus }, meet));
    expect(last.reduce((sum, times) => sum + times)).toBe(10);
  });

  test("coroutines of several threads that wait on a queue are woken in the order in which they came", async () => {
    const { api } = scheduler;
    const queue = api.createQueue();
    const woken: number[] = [];
    for (let n = 0; n < 10; n++) {
      const task =
        n % 2 === 0
          ? scheduler.submit(url, "waitsOn", [queue])
          : scheduler.spawn((self) => self.wait((image) => image.waitOn(queue)));
      void task.result.then(() => woken.push(n));
      await until(() => api.lengthOf(queue) === n + 1);
    }
    for (let n = 0; n < 5; n++) {
      expect(api.notifyOne(queue)).toBe(1);
      await until(() => woken.length === n + 1);
    }
    expect(woken).toEqual([0, 1, 2, 3, 4]);
    expect(api.notifyAll(queue)).toBe(5);
    await until(() => woken.length === 10);
    expect(api.notifyOne(queue)).toBe(0);
    api.closeQueue(queue);
  });

  test("each wake-up from another thread, before, while or after a task lets go of its CPU, ends one wait", async () => {
    const rounds = 50;
    const here = Array.from({ length: 5 }, () =>
      scheduler.spawn(async (self) => {
        for (let n = 0; n < rounds; n++) await self.wait((image) => image.prepareWait());
      }),
    );
    const there = Array.from({ length: 5 }, () => scheduler.submit(url, "waitsForWakers", [rounds]));
    const wakers = [
      ...here.map(({ id }) => scheduler.submit(url, "wakes", [id, rounds])),
      ...there.map(({ id }) =>
        scheduler.spawn(async (self) => {
          for (let woken = 0; woken < rounds; await self.yieldNow()) woken += self.api.unblock(id) === 1 ? 1 : 0;
        }),
      ),
    ];
    await Promise.all([...here, ...there, ...wakers].map(({ result }) => result));
    // Were one wake-up lost, its waiter would wait; did one end two waits, its waker would go on.
    expect([...here, ...there, ...wakers].every(({ ended }) => ended)).toBe(true);
  });

  test("ten tasks, half threads and half coroutines, that each join the next end in reverse order", async () => {
    const { api } = scheduler;
    const gate = api.createEvent();
    api.setTrace(true);
    const ids = [scheduler.spawn((self) => self.wait((image) => image.waitEvent(gate), true)).id];
    const tasks = Array.from({ length: 10 }, (_, n) => {
      const next = ids[n]!;
      const task =
        n % 2 === 0
          ? scheduler.submit(url, "joinsInPlace", [next], { thread: true })
          : scheduler.spawn((self) => self.join(next));
      ids.push(task.id);
      return task.result;
    });
    api.setEvent(gate);
    await Promise.all(tasks);
    api.setTrace(false);
    api.closeQueue(gate);
    // In the order of the ring: times are those that each thread told last.
    const ended: number[] = [];
    for (let entry = 0; entry < api.traced(); entry++) {
      if (Number(api.traceWhat(entry) & 255n) === TraceEvent.Exit) {
        ended.push(Number(api.traceWhere(entry) & 0xffffffffn));
      }
    }
    expect(ended).toEqual(ids);
  });
});
