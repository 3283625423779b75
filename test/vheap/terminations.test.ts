/** Real workers, terminated wherever they happen to be. */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { expect, onTestFinished, test } from "vitest";
import { board, newBoard, Word } from "./board.ts";
import { buildHeap, mapHeap } from "./built-heap.ts";
import { tiles } from "./small-heap.ts";

const PROCESSES = 3;
const DEATHS = 200;

test(`${DEATHS} processes are terminated while they trade buffers: nothing is lost, nothing has two owners`, async () => {
  const built = await buildHeap(1024);
  onTestFinished(() => built[Symbol.dispose]());
  const { mapping, words: heapWords, attach } = await mapHeap(built);
  const { heap } = attach();
  const shared = newBoard(PROCESSES, DEATHS);
  const { words, pids, deaths } = board(shared);
  const errors: unknown[] = [];
  const workers: Worker[] = [];
  onTestFinished(async () => {
    await Promise.all(workers.map((worker) => worker.terminate()));
  });

  const start = (place: number, generation: number): void => {
    const pid = generation * 1024 + 100 + place;
    Atomics.store(pids, place, pid);
    const workerData = { url: built.url, handle: mapping.handle, pid, shared };
    const worker = new Worker(new URL("./fixtures/trader.ts", import.meta.url), { workerData });
    worker.on("error", (error) => errors.push(error));
    workers[place] = worker;
  };
  for (let place = 0; place < PROCESSES; place++) start(place, 0);

  let reapedBytes = 0;
  for (let death = 0; death < DEATHS && errors.length === 0; death++) {
    const before = Atomics.load(words, Word.steps);
    // At work, and not always at the same place: some have only just begun.
    while (Atomics.load(words, Word.steps) === before && errors.length === 0)
      await new Promise((go) => setTimeout(go, 1));
    await new Promise((go) => setTimeout(go, (death * 7) % 11));
    const place = death % PROCESSES;
    const pid = pids[place]!;
    await workers[place]!.terminate();
    reapedBytes += heap.heldBy(pid);
    mapping.drop(pid);
    expect(heap.heldBy(pid)).toBe(0);
    Atomics.store(deaths, death, pid);
    Atomics.add(words, Word.deaths, 1);
    start(place, death + 1);
  }

  const exits = workers.map((worker) => once(worker, "exit"));
  // Those that have only just begun hear of the end as well.
  Atomics.store(words, Word.phase, 1);
  while (Atomics.load(words, Word.stopped) < PROCESSES && errors.length === 0)
    await new Promise((go) => setTimeout(go, 5));
  Atomics.store(words, Word.phase, 2);
  Atomics.notify(words, Word.phase);
  await Promise.all(exits);
  expect(errors).toEqual([]);
  expect(Atomics.load(words, Word.failures)).toBe(0);
  expect(reapedBytes).toBeGreaterThan(0);

  // Everything came back: by its owner's hand, by the reaper's, or by the receiver who tidied up.
  expect(tiles([...heapWords])).toBeInstanceOf(Array);
  expect(heap.stats()).toMatchObject({
    ownedBytes: 0,
    sentBytes: 0,
    busyBytes: 0,
    freeBytes: 65536,
    largestBytes: 65536,
  });
});
