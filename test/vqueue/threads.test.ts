/** vqueue between real threads. Set VQUEUE_KILLS for more terminations. */
import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { describe, expect, onTestFinished, test } from "vitest";
import { imageFrom } from "../check/images.ts";
import { instantiate, type Job, type Task, type Vqueue } from "./fixtures/peer.ts";

const KILLS = Number(process.env["VQUEUE_KILLS"] ?? 40);
const PAGE_BYTES = 65536;

interface System {
  readonly api: Vqueue;
  start(pid: number, task: Task): Promise<Worker>;
}

async function boot(constants: Record<string, string>): Promise<System> {
  const { image, manifest } = await imageFrom(join(import.meta.dirname, "../../vdso-src/vqueue"), constants);
  const module = new WebAssembly.Module(image);
  const pages = Math.ceil(manifest.layout.end / PAGE_BYTES);
  const vvar = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const api = instantiate(module, vvar);
  api["processInit"]!(1);
  const workers = new Set<Worker>();
  onTestFinished(async () => {
    await Promise.all([...workers].map((worker) => worker.terminate()));
  });
  return {
    api,
    async start(pid, task) {
      const workerData: Job = { module, vvar, pid, task };
      const worker = new Worker(new URL("./fixtures/peer.ts", import.meta.url), { workerData });
      workers.add(worker);
      worker.once("exit", () => workers.delete(worker));
      await once(worker, "message");
      return worker;
    },
  };
}

describe.each([4096, 1, 2, 7])("at queues of length %i", (length) => {
  test("16 processes send to 16 mailboxes, 128 items for each, in order", async () => {
    const { api, start } = await boot({ QUEUE_LEN: String(length), ARRAY_LEN: "16", PROCESSES: "32" });
    const mailboxes = Array.from({ length: 16 }, () => api["register"]!(0));
    const workers = await Promise.all(
      mailboxes.map((own, index) => start(index + 2, { kind: "all-to-all", mailboxes, own, each: 8, items: 128 })),
    );
    for (const [index, mailbox] of mailboxes.entries()) expect(api["share"]!(mailbox, index + 2)).toBe(0);
    const answers = workers.map((worker) => once(worker, "message"));
    for (const worker of workers) worker.postMessage("go");
    await Promise.all(answers);
    expect(mailboxes.map((mailbox) => api["depth"]!(mailbox))).toEqual(mailboxes.map(() => 0));
  }, 60_000);
});

describe.each([1, 7, 256])("killed at random moments, at a queue of length %i,", (length) => {
  test(
    "producers and consumers lose, double and block nothing",
    async () => {
      const { api, start } = await boot({
        QUEUE_LEN: String(length),
        ARRAY_LEN: "1",
        URGENT_LEN: "1",
        PROCESSES: "16",
      });
      const mailbox = api["register"]!(0);
      const [producers, consumers, perLane] = [2, 2, 4_000_000];
      const acknowledged = new Int32Array(new SharedArrayBuffer(4 * producers)).fill(-1);
      const current = new Int32Array(new SharedArrayBuffer(4 * consumers));
      const seen = new Uint8Array(new SharedArrayBuffer(producers * perLane));
      const lanes = Array.from({ length: producers + consumers }, (_, lane) => lane);
      const generations = lanes.map(() => 0);
      const redelivered = new Map<number, number>();
      const lost: number[] = [];

      const pidOf = (lane: number): number => generations[lane]! * 1024 + lane + 2;
      const launch = async (lane: number): Promise<Worker> => {
        const isProducer = lane < producers;
        // Numbers go on behind those that the one before may have sent without hearing of it.
        if (isProducer && generations[lane]! > 0) acknowledged[lane]! += 16;
        const worker = await start(
          pidOf(lane),
          isProducer
            ? { kind: "produce", mailbox, lane, acknowledged, batch: lane === 1, until: perLane, length }
            : { kind: "consume", mailbox, seen, perLane, current, at: lane - producers },
        );
        if (!isProducer) {
          expect(api["share"]!(mailbox, pidOf(lane))).toBe(0);
          worker.postMessage("go");
        }
        worker.on("error", (error) => lost.push(Number.NaN) && console.error(error));
        return worker;
      };
      const ranges: { lane: number; from: number; to: number }[] = [];
      const starts = lanes.map(() => 0);
      const settle = (lane: number): void => {
        if (lane < producers) {
          ranges.push({ lane, from: starts[lane]!, to: acknowledged[lane]! });
          starts[lane] = acknowledged[lane]! + 17;
        } else {
          const held = Atomics.exchange(current, lane - producers, 0);
          if (held !== 0) redelivered.set(held - 1, (redelivered.get(held - 1) ?? 0) + 1);
        }
      };
      const workers = await Promise.all(lanes.map(launch));
      for (let kill = 0; kill < KILLS; kill++) {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 12));
        const lane = kill % lanes.length;
        await workers[lane]!.terminate();
        settle(lane);
        api["processDrop"]!(pidOf(lane));
        generations[lane]!++;
        workers[lane] = await launch(lane);
      }
      for (const lane of [0, 1]) {
        await workers[lane]!.terminate();
        settle(lane);
        api["processDrop"]!(pidOf(lane));
      }
      // The consumers that are left empty it.
      for (let idle = 0; idle < 20; idle = api["depth"]!(mailbox) === 0 ? idle + 1 : 0) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      for (const lane of [2, 3]) {
        await workers[lane]!.terminate();
        settle(lane);
        api["processDrop"]!(pidOf(lane));
      }
      const doubled: number[] = [];
      let total = 0;
      for (const { lane, from, to } of ranges) {
        for (let number = from; number <= to; number++, total++) {
          const id = lane * perLane + number;
          if (seen[id] === 0 && !redelivered.has(id)) lost.push(id);
        }
      }
      for (let id = 0; id < seen.length; id++) {
        if (seen[id]! > 1 + (redelivered.get(id) ?? 0)) doubled.push(id);
      }
      expect({ lost: lost.slice(0, 5), doubled: doubled.slice(0, 5) }).toEqual({ lost: [], doubled: [] });
      expect(total).toBeGreaterThan(0);
      expect(api["corruptMailboxes"]!()).toBe(0);
    },
    120_000 + KILLS * 500,
  );
});
