/** Mutex, Semaphore, Condition, Barrier and Event, between tasks of all kinds in several threads. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { QUEUES } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import { vheap, vsched } from "../../runtime/sched/index.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import { Barrier, Condition, Event, Mutex, Semaphore } from "../../runtime/sched/sync.ts";
import { viewCpus } from "../../runtime/sched/viewer.ts";
import { expectCode } from "../expect-code.ts";

const url = new URL("./fixtures/sync-work.ts", import.meta.url);
type Work = typeof import("./fixtures/sync-work.ts");

let kernel: Kernel;
let scheduler: Scheduler;
let heap: Heap;
beforeAll(async () => {
  kernel = await Kernel.boot({ vdsos: [vsched, vheap], log: () => undefined });
  scheduler = await Scheduler.start(kernel, { cpus: 2 });
  heap = new Heap(kernel.attach(vheap));
});
afterAll(async () => {
  await scheduler?.close();
  await kernel?.shutdown({ timeoutMs: 500 });
});
const work = () => scheduler.module<Work>(url);
const threads = () => scheduler.module<Work>(url, { thread: true });
const code = (code: string) => ({ code });
/** Lets a coroutine wait, and gives its task once it does. */
async function waiting<T>(run: Parameters<typeof scheduler.spawn<T>>[0], signal?: AbortSignal) {
  const task = scheduler.spawn(run, signal && { signal });
  while (scheduler.api.taskStats(task.id).waits === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  return task;
}

test("a mutex holds between coroutines, functions of modules and threads", async () => {
  using mutex = new Mutex(scheduler);
  using counter = heap.loan(1);
  counter.bytes[0] = 0;
  await Promise.all([
    ...Array.from({ length: 3 }, () => work().counts(mutex, counter, 20)),
    ...Array.from({ length: 3 }, () => threads().countsInPlace(mutex, counter, 20)),
    ...Array.from(
      { length: 3 },
      () =>
        scheduler.spawn(async (task) => {
          for (let n = 0; n < 20; n++) {
            using _guard = await mutex.lock(task);
            const before = counter.bytes[0]!;
            await task.yieldNow();
            counter.bytes[0] = before + 1;
          }
        }).result,
    ),
  ]);
  expect(counter.bytes[0]).toBe(180);
});

test("a mutex is unlocked by a task that came back from something else, and by the end of a task that forgot to", async () => {
  using mutex = new Mutex(scheduler);
  const first = scheduler.spawn(async (task) => {
    using guard = await mutex.lock(task);
    await new Promise((resolve) => setTimeout(resolve, 5));
    return guard.held;
  });
  const second = scheduler.spawn(async (task) => {
    const guard = await mutex.lock(task);
    return guard.ownerDied;
  });
  expect(await Promise.all([first.result, second.result])).toEqual([true, false]);
  expect(
    await scheduler.spawn(async (task) => {
      using guard = await mutex.lock(task);
      return guard.ownerDied;
    }).result,
  ).toBe(true);
});

test("a mutex whose owner's process died says so to the next, once", async () => {
  using mutex = new Mutex(scheduler, { keep: true });
  using locked = new Event(scheduler, { keep: true });
  const died = expect(work().diesWith(mutex, locked)).rejects.toMatchObject(code("ERR_VDSO_TASK_KILLED"));
  await scheduler.spawn((task) => locked.wait(task)).result;
  const next = scheduler.spawn(async (task) => {
    using guard = await mutex.lock(task);
    return guard.ownerDied;
  });
  expect(await next.result).toBe(true);
  await died;
  expect(await threads().locksInPlace(mutex, 10_000)).toBe(false);
});

test("a mutex that its task has already is an error, and so is a guard that is used twice", async () => {
  using mutex = new Mutex(scheduler);
  await scheduler.spawn(async (task) => {
    using guard = await mutex.lock(task);
    await expect(mutex.lock(task)).rejects.toMatchObject(code("ERR_VDSO_CIRCLE"));
    await expectCode("ERR_VDSO_CIRCLE", () => mutex.tryLock(task));
    guard.unlock();
    expect(guard.held).toBe(false);
    await expectCode("ERR_VDSO_NOT_OWNER", () => guard.unlock());
    using condition = new Condition(task);
    await expect(condition.wait(task, guard)).rejects.toMatchObject(code("ERR_VDSO_NOT_OWNER"));
  }).result;
});

test("waits end when their time is up, when their signal says so, and when their task is cancelled", async () => {
  using mutex = new Mutex(scheduler);
  using none = new Semaphore(scheduler, 0);
  using never = new Event(scheduler);
  using barrier = new Barrier(scheduler, 2);
  using condition = new Condition(scheduler);
  using free = new Mutex(scheduler);
  using done = new Event(scheduler);
  const holder = await waiting(async (task) => {
    using _guard = await mutex.lock(task);
    await done.wait(task);
  });
  type Options = Parameters<Mutex["lock"]>[1];
  type Context = Parameters<Mutex["lock"]>[0];
  const waits: ((task: Context, options?: Options) => Promise<unknown>)[] = [
    async (task, options) => {
      using _guard = await mutex.lock(task, options);
    },
    (task, options) => none.acquire(task, options),
    (task, options) => never.wait(task, options),
    (task, options) => barrier.arrive(task, options),
    async (task, options) => {
      using guard = await free.lock(task);
      await condition.wait(task, guard, options).finally(() => expect(guard.held).toBe(true));
    },
  ];
  for (const wait of waits) {
    await expect(scheduler.spawn((task) => wait(task, { timeoutMs: 2 })).result).rejects.toMatchObject(
      code("ERR_VDSO_TIMEOUT"),
    );
    const abort = new AbortController();
    const aborted = await waiting((task) => wait(task, { signal: abort.signal }));
    abort.abort(new RangeError("enough"));
    await expect(aborted.result).rejects.toThrow("enough");
    await expect(scheduler.spawn((task) => wait(task, { signal: AbortSignal.abort("before") })).result).rejects.toBe(
      "before",
    );
    const cancelled = await waiting((task) => wait(task));
    cancelled.cancel();
    await expect(cancelled.result).rejects.toMatchObject(code("ERR_VDSO_CANCELLED"));
  }
  done.set();
  await holder.result;
  // Nobody of those who gave up is missing, or counted.
  expect(await scheduler.spawn(async (task) => mutex.tryLock(task)?.ownerDied).result).toBe(false);
  const met = [scheduler.spawn((task) => barrier.arrive(task)), scheduler.spawn((task) => barrier.arrive(task))];
  expect((await Promise.all(met.map(({ result }) => result))).sort()).toEqual([false, true]);
  await expect(threads().waitsInPlace(never, 2)).rejects.toMatchObject(code("ERR_VDSO_TIMEOUT"));
});

test("who gives up a wait at the moment at which it was chosen passes that on", async () => {
  using semaphore = new Semaphore(scheduler, 0);
  const abort = new AbortController();
  const first = await waiting((task) => semaphore.acquire(task, { signal: abort.signal }));
  const second = await waiting((task) => semaphore.acquire(task));
  semaphore.release();
  abort.abort("no more");
  const outcomes = await Promise.allSettled([first.result]);
  if (outcomes[0].status === "fulfilled") semaphore.release();
  await second.result;
  expect(semaphore.available).toBe(0);
});

test("a semaphore lets as many in as it has permits", async () => {
  using semaphore = new Semaphore(scheduler, 1);
  using inside = heap.loan(1);
  inside.bytes[0] = 0;
  const most = await Promise.all(Array.from({ length: 4 }, () => threads().sharesInPlace(semaphore, inside)));
  expect(Math.max(...most)).toBe(1);
  expect(semaphore.available).toBe(1);
  using permit = semaphore.tryAcquire();
  expect(permit).toBeDefined();
  expect(semaphore.tryAcquire()).toBeUndefined();
  semaphore.release(3);
  expect(semaphore.available).toBe(3);
});

test("a condition wakes a thread that waits for a change", async () => {
  using mutex = new Mutex(scheduler);
  using filled = new Condition(scheduler);
  using emptied = new Condition(scheduler);
  using box = heap.loan(1);
  box.bytes[0] = 0;
  const takers = [threads().takes(mutex, filled, emptied, box), threads().takes(mutex, filled, emptied, box)];
  for (const value of [3, 4]) {
    await scheduler.spawn(async (task) => {
      using guard = await mutex.lock(task);
      while (box.bytes[0] !== 0) await emptied.wait(task, guard);
      box.bytes[0] = value;
      filled.notifyAll();
    }).result;
  }
  expect((await Promise.all(takers)).sort()).toEqual([3, 4]);
});

test("a barrier opens for all when the last has arrived, round after round", async () => {
  using barrier = new Barrier(scheduler, 3);
  // Apart: a thread holds up its CPU. An executor that died in another test may be about to be replaced.
  const executors = () => viewCpus(scheduler.api).filter(({ cpu }) => cpu !== scheduler.cpu);
  while (executors().length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  const [one, other] = executors().map(({ cpu }) => cpu);
  const last = await Promise.all([
    scheduler.submit<number>(url, "meets", [barrier, 10], { affinity: [one!] }).result,
    scheduler.submit<number>(url, "meetsInPlace", [barrier, 10], { affinity: [other!], thread: true }).result,
    scheduler.spawn(async (task) => {
      let last = 0;
      for (let n = 0; n < 10; n++) if (await barrier.arrive(task)) last++;
      return last;
    }).result,
  ]);
  expect(last.reduce((sum, n) => sum + n)).toBe(10);
});

test("an event lets all go on, until it is reset", async () => {
  using event = new Event(scheduler);
  const before = [threads().waitsInPlace(event, 10_000), scheduler.spawn((task) => event.wait(task)).result];
  event.set();
  await Promise.all(before);
  expect(event.isSet).toBe(true);
  await scheduler.spawn((task) => event.wait(task)).result;
  event.reset();
  expect(event.isSet).toBe(false);
});

test("they are passed to tasks and come back as the same, and are found by their handles", async () => {
  using mutex = new Mutex(scheduler);
  using semaphore = new Semaphore(scheduler, 2);
  using condition = new Condition(scheduler);
  using barrier = new Barrier(scheduler, 3);
  using event = new Event(scheduler);
  const all = [mutex, semaphore, condition, barrier, event] as const;
  expect(await work().names([...all])).toEqual(["Mutex", "Semaphore", "Condition", "Barrier", "Event"]);
  const back = (await work().same([...all])) as (typeof all)[number][];
  expect(back.map(({ handle }) => handle)).toEqual(all.map(({ handle }) => handle));
  expect((back[3] as Barrier).parties).toBe(3);
  // In a value that goes through the heap.
  const [deep] = (await work().same([[mutex, "x".repeat(10_000)]])) as [[Mutex, string]];
  expect(deep[0].handle).toBe(mutex.handle);
  expect(Semaphore.at(scheduler, semaphore.handle).available).toBe(2);
  expect(Event.at(scheduler, event.handle).isSet).toBe(false);
  expect(Barrier.at(scheduler, barrier.handle, 3).parties).toBe(3);
  expect([Mutex.at(scheduler, mutex.handle), Condition.at(scheduler, condition.handle)]).toBeTruthy();
});

test("what is closed ends its waits, and is refused from then on", async () => {
  const mutex = new Mutex(scheduler);
  const semaphore = new Semaphore(scheduler, 0);
  const event = new Event(scheduler);
  const waiter = await waiting((task) => semaphore.acquire(task));
  for (const each of [mutex, semaphore, event]) each.close();
  const stale = code("ERR_VDSO_STALE_HANDLE");
  await expect(waiter.result).rejects.toMatchObject(stale);
  await expect(scheduler.spawn((task) => mutex.lock(task)).result).rejects.toMatchObject(stale);
  await expectCode("ERR_VDSO_STALE_HANDLE", () => semaphore.release());
  await expectCode("ERR_VDSO_STALE_HANDLE", () => event.isSet);
});

test("numbers out of range are refused, and so is one more than there is room for", async () => {
  for (const permits of [-1, 1.5, 2 ** 31, Number.NaN]) {
    await expectCode("ERR_VDSO_ARGUMENT", () => new Semaphore(scheduler, permits));
  }
  for (const parties of [0, 2.5, 65536]) await expectCode("ERR_VDSO_ARGUMENT", () => new Barrier(scheduler, parties));
  using semaphore = new Semaphore(scheduler, 1);
  for (const count of [-1, 0.5, 2 ** 32]) await expectCode("ERR_VDSO_ARGUMENT", () => semaphore.release(count));
  const wrong = scheduler.spawn((task) => semaphore.acquire(task, { timeoutMs: -1 }));
  await expect(wrong.result).rejects.toMatchObject(code("ERR_VDSO_ARGUMENT"));
  const many: Event[] = [];
  await expectCode("ERR_VDSO_QUEUE_LIMIT", () => {
    for (let n = 0; n <= QUEUES; n++) many.push(new Event(scheduler));
  });
  for (const event of many) event.close();
});
