/** Deaths around a process that only submits: of executors in the middle of its tasks, and its own while its tasks are elsewhere. */
import { expect, test } from "vitest";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import type { Kernel } from "../../runtime/index.ts";
import { Heap } from "../../runtime/ipc/heap.ts";
import type { Scheduler } from "../../runtime/sched/scheduler.ts";
import { type TaskView, viewTasks } from "../../runtime/sched/viewer.ts";
import type { LateTaker } from "./fixtures/late-taker.ts";
import type { Submission } from "./fixtures/submitter.ts";
import { until, withScheduler } from "./system.ts";

const url = new URL("./fixtures/work.ts", import.meta.url);
const submitter = new URL("./fixtures/submitter.ts", import.meta.url);
const taker = new URL("./fixtures/late-taker.ts", import.meta.url);
type Work = typeof import("./fixtures/work.ts");
type Outcome = [call: number, code: string | undefined];

interface System {
  readonly kernel: Kernel;
  readonly scheduler: Scheduler;
  readonly heap: Heap;
  /** Starts a process that submits these calls. @returns its pid */
  submits(...calls: Submission["calls"]): Promise<number>;
  /** What it said of the next call that ended. */
  outcome(): Promise<Outcome>;
}

const withSystem = (use: (system: System) => Promise<void>): Promise<void> =>
  withScheduler(
    { cpus: 1 },
    async (scheduler, kernel) => {
      const channel = new BroadcastChannel(`submitter ${Math.random()}`);
      const heard: Outcome[] = [];
      channel.onmessage = (event) => heard.push((event as MessageEvent<Outcome>).data);
      try {
        await use({
          kernel,
          scheduler,
          heap: new Heap(kernel.attach(vheap)),
          async submits(...calls) {
            const data: Submission = { url: url.href, calls, channel: channel.name };
            return (await kernel.spawn(submitter, { data })).pid;
          },
          async outcome() {
            await until(() => heard.length > 0);
            return heard.shift()!;
          },
        });
      } finally {
        channel.close();
      }
    },
    [vheap],
  );
function inUse(heap: Heap): number {
  const { ownedBytes, sentBytes } = heap.stats();
  return ownedBytes + sentBytes;
}

test.each([0, 1, 2, 3])(
  "an executor that dies when it has sent %i of a result's three buffers: the process that waits hears of it, and keeps none",
  (sent) =>
    withSystem(async ({ heap, submits, outcome }) => {
      const pid = await submits({ name: "diesWhileSending", args: [sent] });
      expect(await outcome()).toEqual([0, "ERR_VDSO_TASK_KILLED"]);
      expect(heap.heldBy(pid)).toBe(0);
      await until(() => inUse(heap) === 0);
    }),
);

test("a process that dies while its tasks run, wait and are ready elsewhere leaves neither tasks nor memory behind", () =>
  withSystem(async ({ kernel, scheduler, heap, submits }) => {
    const bytes = new Uint8Array(10_000);
    const pid = await submits(
      { name: "holds", args: [bytes, 1e6] },
      { name: "runsUntilCancelled", args: [bytes], thread: true },
      ...Array.from({ length: 20 }, () => ({ name: "echo", args: [bytes] })),
    );
    const theirs = (): TaskView[] => viewTasks(scheduler.api).filter(({ kind }) => kind !== "coroutine");
    await until(() => theirs().some(({ kind, state }) => kind === "thread" && state === "running"));
    expect(
      theirs()
        .map(({ state }) => state)
        .toSorted(),
    ).toEqual([...Array(20).fill("ready"), "running", "waiting"]);
    const joiners = theirs().map(({ task }) => scheduler.spawn((self) => self.join(task)).result);
    await kernel.kill(pid);
    await Promise.all(joiners);
    await until(() => theirs().length === 0 && inUse(heap) === 0);
    const work = scheduler.module<Work>(url);
    expect(await work.echo(bytes)).toEqual(bytes);
  }));

test.each([
  ["told", true],
  ["died before it could tell", false],
])(
  "a result of an executor that ended and %s is taken before the Ipc of its receiver frees what that had sent",
  (_, told) =>
    withScheduler(
      { cpus: 1 },
      async (_scheduler, kernel) => {
        const channel = new BroadcastChannel(`taker ${Math.random()}`);
        try {
          const heard = new Promise((resolve) => {
            channel.onmessage = (event) => resolve((event as MessageEvent).data);
          });
          const data: LateTaker = { url: url.href, bytes: 10_000, told, channel: channel.name };
          const { pid } = await kernel.spawn(taker, { data });
          expect(await heard).toEqual([70_000, 0]);
          await kernel.kill(pid);
        } finally {
          channel.close();
        }
      },
      [vheap, vqueue, vnames],
    ),
);
