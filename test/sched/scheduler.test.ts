import { afterAll, beforeAll, describe, expect, test } from "vitest";
import vsched, { DATA_BYTES, Policy, TASKS } from "../../generated/vsched/vsched.js";
import { Kernel } from "../../runtime/index.ts";
import { Scheduler } from "../../runtime/sched/scheduler.ts";
import type { TaskContext } from "../../runtime/sched/task.ts";
import { expectCode } from "../expect-code.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");

describe("with two executors", () => {
  let kernel: Kernel;
  let scheduler: Scheduler;
  beforeAll(async () => {
    kernel = await Kernel.boot({ vdsos: [vsched], log: () => undefined });
    scheduler = await Scheduler.start(kernel, { cpus: 2 });
  });
  afterAll(async () => {
    await scheduler?.close();
    await kernel?.shutdown({ timeoutMs: 500 });
  });
  const work = () => scheduler.module<Work>(url);

  test("functions of modules run on other threads, and their results come back", async () => {
    expect(await work().add(1, 2)).toBe(3);
    expect(await work().fibonacci(15)).toBe(610);
    expect(await work().thread()).not.toBe(0);
  });

  test("values of all kinds arrive as they were", async () => {
    const values = [
      undefined,
      null,
      true,
      -0,
      1.5,
      -7,
      2 ** 40,
      Number.NaN,
      123456789012345678901234567890n,
      -5n,
      "héllo 🌍",
      [1, [2, "x"]],
      { a: 1, b: { c: [] }, __proto__: null },
      new Uint8Array([1, 2, 255]),
      new Date(86_400_000),
      new Map([["a", 1]]),
      new Set([1, "x"]),
    ];
    for (const value of values) expect(await work().echo(value)).toEqual(value);
  });

  test("an error keeps its name, its message and the stack of where it was thrown", async () => {
    const error = (await work()
      .fails("no such thing")
      .catch((thrown: unknown) => thrown)) as Error;
    expect(error.name).toBe("RangeError");
    expect(error.message).toBe("no such thing");
    expect(error.stack).toContain("work.ts");
  });

  test("a function that waits for something else leaves its CPU to others", async () => {
    const hearers = Promise.all([work().hears("go on"), work().hears("go on")]);
    // If one of them held its CPU, not all of these would come back.
    await Promise.all(Array.from({ length: 50 }, (_, i) => work().add(i, 1)));
    const channel = new BroadcastChannel("go on");
    // Again and again: one may not have begun to listen.
    const timer = setInterval(() => channel.postMessage(0), 5);
    try {
      expect(await hearers).toEqual(["heard", "heard"]);
    } finally {
      clearInterval(timer);
      channel.close();
    }
  });

  test("a function that sleeps by its context goes on in the same thread", async () => {
    expect(await work().sleeps(5)).toBeGreaterThan(0);
  });

  test("thousands of tasks in flight all come back, each with its own result", async () => {
    const results = await Promise.all(Array.from({ length: 5000 }, (_, i) => work().add(i, 1)));
    expect(results).toEqual(Array.from({ length: 5000 }, (_, i) => i + 1));
  });

  test("tasks go on while this thread is blocked", async () => {
    const tasks = Array.from({ length: 40 }, () => work().spins(10));
    const before = executed();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    expect(executed() - before).toBeGreaterThan(0);
    await Promise.all(tasks);
  });
  const executed = (): number =>
    scheduler.stats().reduce((sum, { pid, switches }) => sum + (pid === 1 ? 0 : switches), 0);

  test("what does not fit or cannot be sent is refused, and the task's slot is free again", async () => {
    await expectCode("ERR_VDSO_TOO_LARGE", () => scheduler.submit(url, "echo", ["x".repeat(DATA_BYTES)]));
    await expectCode("ERR_VDSO_NOT_CLONABLE", () => scheduler.submit(url, "echo", [() => undefined]));
    await expect(work().large(DATA_BYTES)).rejects.toMatchObject({ code: "ERR_VDSO_TOO_LARGE" });
    await expectCode("ERR_VDSO_ARGUMENT", () => scheduler.submit(url, "echo", [1], { priority: 20 }));
    expect(await work().echo(1)).toBe(1);
  });

  test("a module or an export that does not exist is an error of the task", async () => {
    await expect(scheduler.submit(url, "nothing").result).rejects.toMatchObject({ code: "ERR_VDSO_NO_EXPORT" });
    await expect(scheduler.submit(new URL("./missing.ts", url), "x").result).rejects.toThrow("Cannot find module");
    expect(await work().echo(1)).toBe(1);
  });

  test("coroutines of this thread sleep, yield and join each other", async () => {
    const order: string[] = [];
    const first = scheduler.spawn(async (task) => {
      await task.sleep(10);
      order.push("first");
      return 1;
    });
    const second = scheduler.spawn(async (task) => {
      for (let i = 0; i < 3; i++) await task.yieldNow();
      order.push("second");
      return (await task.join(first)) + 1;
    });
    expect(await second.result).toBe(2);
    expect(order).toEqual(["second", "first"]);
  });

  test("a coroutine that awaits promises of the host goes on when they resolve", async () => {
    const task = scheduler.spawn(async (context) => {
      await new Promise((resolve) => setTimeout(resolve, 5));
      await context.yieldNow();
      await fetch("data:text/plain,x").then((response) => response.text());
      return context.id;
    });
    expect(await task.result).toBe(task.id);
  });

  test("ten tasks that each join the next end in reverse order", async () => {
    const ended: number[] = [];
    const tasks: ReturnType<typeof scheduler.spawn<void>>[] = [];
    for (let n = 0; n < 10; n++) {
      tasks.push(
        scheduler.spawn(async (task) => {
          await task.yieldNow();
          const next = tasks[n + 1];
          if (next) await task.join(next);
          ended.push(n);
        }),
      );
    }
    await Promise.all(tasks.map(({ result }) => result));
    expect(ended).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  });

  test("generators are coroutines: they give way, join and wait by what they yield", async () => {
    const order: string[] = [];
    const other = scheduler.spawn(function* () {
      for (let n = 0; n < 3; n++) {
        order.push(`other ${n}`);
        yield;
      }
      return 5;
    });
    const task = scheduler.spawn(function* (context) {
      order.push("begins");
      yield;
      order.push("goes on");
      const joined = (yield other) as number;
      const awaited = (yield new Promise((resolve) => setTimeout(resolve, 1, 2))) as number;
      yield context.sleep(1);
      const failed = scheduler.spawn(() => {
        throw new RangeError("no such thing");
      });
      try {
        yield failed;
      } catch (error) {
        order.push((error as Error).message);
      }
      return joined + awaited;
    });
    expect(await task.result).toBe(7);
    expect(order).toEqual(["other 0", "begins", "other 1", "goes on", "other 2", "no such thing"]);
    await expect(
      scheduler.spawn(function* () {
        yield;
        throw new RangeError("at the end");
      }).result,
    ).rejects.toThrow("at the end");
  });

  test("ten thousand coroutines that give way at once need no stack", async () => {
    let ended = 0;
    const tasks = Array.from({ length: 10_000 }, () =>
      scheduler.spawn(async (task) => {
        for (let n = 0; n < 3; n++) await task.yieldNow();
        ended++;
      }),
    );
    await Promise.all(tasks.map(({ result }) => result));
    expect(ended).toBe(10_000);
  });

  test("a coroutine that ends without awaiting its wait ends, and calls of its context after that are refused", async () => {
    let context: TaskContext | undefined;
    const task = scheduler.spawn((own) => {
      context = own;
      void own.sleep(1e6);
      return Promise.resolve(1);
    });
    expect(await task.result).toBe(1);
    await expect(context!.yieldNow()).rejects.toMatchObject({ code: "ERR_VDSO_STALE_HANDLE" });
  });

  test("a wait that is tried again ends when its time is up", async () => {
    const mutex = scheduler.api.createMutex();
    const holder = scheduler.spawn(async (task) => {
      await task.wait((api) => api.lock(mutex));
      await task.sleep(30);
    });
    const late = scheduler.spawn(async (task) => {
      await task.yieldNow();
      const deadline = (performance.timeOrigin + performance.now() + 5) * 1000;
      return task.wait((api) => api.lock(mutex, deadline), true);
    });
    expect(await late.result).toBe(2);
    await holder.result;
    scheduler.api.closeQueue(mutex);
  });

  test("a wait whose call throws after it was announced is none", async () => {
    const task = scheduler.spawn(async (task) => {
      const thrown = task.wait((api) => {
        api.prepareWait();
        throw new RangeError("in between");
      });
      await expect(thrown).rejects.toThrow("in between");
      await task.sleep(1);
      return "went on";
    });
    expect(await task.result).toBe("went on");
  });

  test("a circle of joins is an error of the task that closes it, and names the circle", async () => {
    const tasks: ReturnType<typeof scheduler.spawn<number>>[] = [];
    for (let n = 0; n < 2; n++) {
      tasks.push(
        scheduler.spawn(async (task) => {
          await task.yieldNow();
          return task.join(tasks[1 - n]!);
        }),
      );
    }
    const outcomes = await Promise.allSettled(tasks.map(({ result }) => result));
    const [a, b] = tasks.map(({ id }) => id);
    for (const outcome of outcomes) expect(outcome).toMatchObject({ reason: { code: "ERR_VDSO_CIRCLE" } });
    expect(String((outcomes[1] as PromiseRejectedResult).reason)).toContain(`${b} waits for ${a} waits for ${b}`);
  });

  test("a task that looked at the time, worked and ended is charged for the work, and not the next one", async () => {
    const now = () => Math.floor((performance.timeOrigin + performance.now()) * 1000);
    let ended = 0;
    const works = scheduler.spawn((task) => {
      task.shouldYield();
      for (const until = now() + 3000; ended < until; ended = now());
    });
    const next = scheduler.spawn(() => scheduler.stats()[0]!.sinceUs);
    await works.result;
    expect(await next.result).toBeGreaterThanOrEqual(ended);
  });

  test("a task that joins itself is refused, with the circle", async () => {
    const self: ReturnType<typeof scheduler.spawn> = scheduler.spawn((task) => task.join(self));
    await expect(self.result).rejects.toMatchObject({
      code: "ERR_VDSO_CIRCLE",
      message: expect.stringContaining(`${self.id} waits for ${self.id}`),
    });
  });

  test("a task ends with the value that it exits with, from within its calls", async () => {
    const order: string[] = [];
    const task = scheduler.spawn(async (task) => {
      const inner = async (): Promise<never> => {
        try {
          await task.yieldNow();
          return task.exit(scheduler.current);
        } finally {
          order.push("left");
        }
      };
      await inner();
    });
    expect(await task.result).toBe(task.id);
    expect(order).toEqual(["left"]);
    expect(scheduler.current).toBe(0);
    expect(await scheduler.submit(url, "exits", [{ deep: 1 }]).result).toEqual({ deep: 1 });
    expect(await scheduler.submit(url, "exits", [2], { thread: true }).result).toBe(2);
  });

  test("who makes tasks faster than they are done waits until some have ended", async () => {
    const sums: Promise<number>[] = [];
    for (let n = 0; n < 3 * TASKS; n++) {
      if (n % 500 === 0) await scheduler.drain(500);
      sums.push(work().add(n, 1));
    }
    await scheduler.drain(1);
    expect((await Promise.all(sums)).length).toBe(3 * TASKS);
  });

  test("a task that heeds nothing is ended with its thread, and another takes its place", async () => {
    const hangs = scheduler.submit(url, "hangs", [], { thread: true });
    expect(await scheduler.kill(scheduler.spawn(() => 1))).toBe(false);
    while (scheduler.api.taskStats(hangs.id).switches === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    hangs.cancel();
    expect(await scheduler.kill(hangs)).toBe(true);
    await expect(hangs.result).rejects.toMatchObject({ code: "ERR_VDSO_TASK_KILLED" });
    expect(await work().add(1, 1)).toBe(2);
    expect(await scheduler.kill(hangs)).toBe(false);
  });

  test("a cancelled task does not begin, or hears of it at its wait and by its signal", async () => {
    const before = scheduler.spawn(() => 1);
    before.cancel();
    await expect(before.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });

    let heard = false;
    const sleeper = scheduler.spawn(async (task) => {
      task.signal.addEventListener("abort", () => {
        heard = true;
      });
      await task.sleep(1e6);
    });
    setTimeout(() => sleeper.cancel(), 10);
    await expect(sleeper.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
    expect(heard).toBe(true);

    const abort = new AbortController();
    const remote = scheduler.submit(url, "sleeps", [1e6], { signal: abort.signal });
    setTimeout(() => abort.abort(), 20);
    await expect(remote.result).rejects.toMatchObject({ code: "ERR_VDSO_CANCELLED" });
  });

  test("tasks wait for each other by the image's mutexes", async () => {
    const mutex = scheduler.api.createMutex();
    let inside = 0;
    let most = 0;
    const tasks = Array.from({ length: 20 }, () =>
      scheduler.spawn(async (task) => {
        expect(await task.wait((api) => api.lock(mutex), true)).toBe(0);
        most = Math.max(most, ++inside);
        await task.yieldNow();
        inside--;
        await task.wait((api) => api.unlock(mutex));
      }),
    );
    await Promise.all(tasks.map(({ result }) => result));
    expect(most).toBe(1);
    scheduler.api.closeQueue(mutex);
  });

  test("a task whose process ends in the middle is an error, the others are done by the CPU that takes its place", async () => {
    const fatal = scheduler.submit(url, "dies");
    const others = Promise.all(Array.from({ length: 200 }, (_, i) => work().add(i, 1)));
    await expect(fatal.result).rejects.toMatchObject({ code: "ERR_VDSO_TASK_KILLED" });
    expect((await others).length).toBe(200);
    const outcomes = await Promise.allSettled([work().dies(), work().dies()]);
    expect(outcomes.every(({ status }) => status === "rejected")).toBe(true);
    expect(await work().add(1, 1)).toBe(2);
  });

  test("more tasks than the table has room for are refused, and there is room again afterwards", async () => {
    const tasks: Promise<unknown>[] = [];
    await expectCode("ERR_VDSO_TASK_LIMIT", () => {
      for (let i = 0; i <= TASKS; i++) tasks.push(scheduler.spawn(() => i).result);
    });
    await Promise.all(tasks);
    expect(await work().add(1, 1)).toBe(2);
  });

  test("a second scheduler on the same kernel is refused", async () => {
    await expect(Scheduler.start(kernel)).rejects.toMatchObject({ code: "ERR_VDSO_SCHED_STARTED" });
  });
});

test("a scheduler that is closed has done what it was given, and refuses more", async () => {
  await using kernel = await Kernel.boot({ vdsos: [vsched] });
  const scheduler = await Scheduler.start(kernel, { cpus: 1, policy: Policy.Cfs });
  const work = scheduler.module<Work>(url);
  await expectCode("ERR_VDSO_TOO_LARGE", () => scheduler.loan(1));
  const results = Promise.all([work.add(1, 2), work.sleeps(20), scheduler.spawn((task) => task.sleep(5)).result]);
  await scheduler.close();
  expect((await results)[0]).toBe(3);
  await expectCode("ERR_VDSO_SHUTDOWN", () => scheduler.spawn(() => 1));
  expect(kernel.processes()).toEqual([]);
});

test("options out of range are refused", async () => {
  await using kernel = await Kernel.boot({ vdsos: [vsched] });
  for (const cpus of [-1, 1.5, 1000]) {
    await expect(Scheduler.start(kernel, { cpus })).rejects.toMatchObject({ code: "ERR_VDSO_ARGUMENT" });
  }
});
