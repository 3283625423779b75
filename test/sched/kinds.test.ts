/** Threads and native tasks, and how tasks of all kinds wait for each other. */
import { afterAll, beforeAll, expect, test } from "vitest";
import pollers, { type PollersApi } from "../../generated/pollers/pollers.js";
import vsched, { State, TASKS } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
const library = new URL("../../generated/pollers/pollers.js", import.meta.url);

let kernel: Kernel;
let scheduler: Scheduler;
let states: PollersApi;
beforeAll(async () => {
  kernel = await Kernel.boot({ vdsos: [vsched, pollers], log: () => undefined });
  scheduler = await Scheduler.start(kernel, { cpus: 2 });
  states = kernel.attach(pollers);
});
afterAll(async () => {
  await scheduler?.close();
  await kernel?.shutdown({ timeoutMs: 500 });
});
const thread = <T>(name: string, ...args: unknown[]) => scheduler.submit<T>(url, name, args, { thread: true });

test("a thread task sleeps without letting go of its thread, and returns its value", async () => {
  expect(await thread("sleepsInPlace", 20).result).toBe("slept");
});

test("thread tasks are called with the types of their module", async () => {
  const work = scheduler.module<typeof import("./fixtures/work.ts")>(url, { thread: true });
  expect(await work.sleepsInPlace(1)).toBe("slept");
});

test("a thread task that waits after it has awaited is refused, and its CPU goes on", async () => {
  await expect(thread("sleepsAfterAwait").result).rejects.toMatchObject({ code: "ERR_VDSO_TASK_BUSY" });
  expect(await thread("sleepsInPlace", 1).result).toBe("slept");
});

test("a thread task's error comes back with its stack", async () => {
  const error = (await thread("fails", "no").result.catch((thrown: unknown) => thrown)) as Error;
  expect([error.name, error.message]).toEqual(["RangeError", "no"]);
  expect(error.stack).toContain("work.ts");
});

test("a thread task that waits is cancelled, one that runs can look", async () => {
  const sleeper = thread("sleepsInPlace", 1e6);
  const begun = scheduler.api.createEvent(true);
  const looker = thread("looksWhetherCancelled", begun);
  await scheduler.spawn((self) => self.wait((image) => image.waitEvent(begun), true)).result;
  sleeper.cancel();
  looker.cancel();
  await expect(sleeper.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
  expect(await looker.result).toBe("cancelled");
  scheduler.api.closeQueue(begun);
});

test("threads hold a mutex in turn, on several CPUs", async () => {
  const { api } = scheduler;
  const mutex = api.createMutex();
  // There is a permit for whoever has the mutex.
  const permit = api.createSemaphore(1);
  const results = await Promise.all(Array.from({ length: 8 }, () => thread<number>("locks", mutex, permit).result));
  expect(results).toEqual(Array(8).fill(0));
  for (const queue of [mutex, permit]) expect(api.closeQueue(queue)).toBe(0);
});

test("a native task is polled until it has ended, and its value comes back", async () => {
  const task = scheduler.native(library, "countDown", states.create(100));
  expect(await task.result).toBeGreaterThanOrEqual(1);
});

test("native tasks move between threads in the middle", async () => {
  let most = 0;
  // Again if the operating system gave the second CPU no time.
  for (let round = 0; round < 20 && most < 2; round++) {
    // One CPU is held up at first, and then takes from the other what that has begun.
    const held = thread("spins", 30);
    const tasks = Array.from({ length: 200 }, () => scheduler.native(library, "countDown", states.create(5000)));
    await held.result;
    most = Math.max(...(await Promise.all(tasks.map(({ result }) => result))));
  }
  expect(most).toBeGreaterThan(1);
});

test("a native task that waits is polled again when it is woken, and not before", async () => {
  const state = states.create(1);
  const task = scheduler.native(library, "waitForFlag", state);
  await scheduler.submit(url, "add", [1, 2]).result;
  expect(task.ended).toBe(false);
  states.setFlag(state);
  scheduler.api.unblock(task.id);
  expect(await task.result).toBe(7);
});

test("a native task is cancelled while it waits and while it is polled", async () => {
  const waiting = scheduler.native(library, "waitForFlag", states.create(1));
  const abort = new AbortController();
  const busy = scheduler.native(library, "countDown", states.create(0x7fffffff), { signal: abort.signal });
  setTimeout(() => {
    waiting.cancel();
    abort.abort();
  }, 10);
  await expect(waiting.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
  await expect(busy.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
});

test("what is no poll function, or breaks its rules, is an error of the task", async () => {
  const code = (code: string) => ({ code });
  await expect(scheduler.native(library, "nothing", 0).result).rejects.toMatchObject(code("ERR_VDSO_NO_EXPORT"));
  await expect(scheduler.native(url, "add", 0).result).rejects.toMatchObject(code("ERR_VDSO_LIBRARY"));
  await expect(scheduler.native(library, "returnsNonsense", 0).result).rejects.toMatchObject(code("ERR_VDSO_POLL"));
  expect(await scheduler.native(library, "countDown", states.create(1)).result).toBe(1);
});

test("a poll function that panics takes its process with it, and no other task", async () => {
  const others = Array.from({ length: 20 }, () => scheduler.native(library, "countDown", states.create(50)).result);
  const task = scheduler.native(library, "panics", 0);
  await expect(task.result).rejects.toMatchObject({ code: "ERR_VDSO_TASK_KILLED" });
  expect((await Promise.all(others)).every((processes) => processes >= 1)).toBe(true);
  expect(await scheduler.native(library, "countDown", states.create(1)).result).toBe(1);
});

test("tasks of every kind join tasks of every kind", async () => {
  const portable = () => scheduler.submit(url, "sleeps", [5]);
  const targets = [
    () => scheduler.spawn((task) => task.sleep(5)),
    () =>
      scheduler.spawn(function* (task) {
        yield task.sleep(5);
      }),
    portable,
    () => thread("sleepsInPlace", 5),
    () => scheduler.native(library, "countDown", states.create(5000)),
  ];
  for (const target of targets) {
    const { id } = target();
    const joiners = [
      scheduler.spawn((self) => self.join(id).then(() => "joined")),
      scheduler.submit(url, "joins", [target().id]),
    ];
    expect(await Promise.all(joiners.map(({ result }) => result))).toEqual(["joined", "joined"]);
    // A thread may be on the CPU on which that function has begun: the next test.
    if (target !== portable) expect(await thread("joinsInPlace", target().id).result).toBe("joined");
  }
});

test("a thread that joins what has begun on its own CPU, or waits for that, is refused", async () => {
  await using other = await Kernel.boot({ vdsos: [vsched], log: () => undefined });
  await using single = await Scheduler.start(other, { cpus: 1 });
  const sleeper = single.submit(url, "sleeps", [1e6]);
  const joiner = single.spawn((self) => self.join(sleeper.id));
  await single.submit(url, "add", [1, 2]).result;
  for (const { id } of [sleeper, joiner]) {
    const refused = single.submit(url, "joinsInPlace", [id], { thread: true });
    await expect(refused.result).rejects.toMatchObject({ code: "ERR_VDSO_CIRCLE" });
  }
  sleeper.cancel();
  await expect(sleeper.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
  await joiner.result;
});

test("every one of these tasks has given its slot back", () => {
  const { api } = scheduler;
  const free: number[] = [];
  for (let id = api.create(0, 0); id > 0; id = api.create(0, 0)) free.push(id);
  for (const id of free) api.release(id);
  expect(free.length).toBe(TASKS);
  expect(api.stateOfTask(free[0]!)).not.toBe(State.Spawning);
});
