/** A process of the soak test: a producer, a consumer, or one half of a pair that parks at every turn. Runs until it is terminated, or done. */
import { parentPort, workerData } from "node:worker_threads";
import vqueue, { QUEUE_LEN, SLOT_BYTES, Status, type VqueueApi } from "../../generated/vqueue/vqueue.js";
import { attach, vvarOf } from "../../runtime/loader/attach.ts";
import type { VdsoHandle } from "../../runtime/loader/handle.ts";
import { BATCH, fill, finished, type Tables, tick } from "./items.ts";

export interface Job {
  readonly handle: VdsoHandle;
  readonly pid: number;
  readonly task: Task;
}

export type Task =
  | { readonly kind: "produce"; readonly mailbox: number; readonly lane: number; readonly tables: Tables }
  | { readonly kind: "consume"; readonly mailbox: number; readonly consumer: number; readonly tables: Tables }
  /** Answers in `to` each item of `from`, `turns` times; one of the two begins. */
  | {
      readonly kind: "park";
      readonly from: number;
      readonly to: number;
      readonly begins: boolean;
      readonly turns: number;
      /** Turns so far. */
      readonly done: Int32Array;
    };

const FIRST_ADDRESS = 64;
const FAILED = 2 ** 31;

function expectOk(status: Status, call: string): void {
  if (status !== Status.Ok) throw new Error(`${call}: expected Ok, found status ${status}`);
}

function produce(api: VqueueApi, words: Uint32Array, task: Extract<Task, { kind: "produce" }>): never {
  const { mailbox, lane, tables } = task;
  const first = api.firstItem(mailbox);
  for (let number = Atomics.load(tables.acknowledged, lane), round = 0; ; round++) {
    // Singly and in batches, in turn.
    const count = round % 64 < 32 ? 1 : BATCH;
    const got = api.claimMany(mailbox, count);
    if (got >= FAILED) {
      if (got - FAILED === Status.Full) api.waitForSpace(mailbox, -1);
      else if (got - FAILED !== Status.Busy) throw new Error(`claimMany: status ${got - FAILED}`);
      continue;
    }
    const start = api.lastIndex();
    for (let k = 0; k < got; k++) {
      fill(words, (first + ((start + k) % QUEUE_LEN) * SLOT_BYTES) >>> 2, lane, (number + k) | 0);
    }
    expectOk(api.commitMany(mailbox, start, got), "commitMany");
    number = (number + got) | 0;
    Atomics.store(tables.acknowledged, lane, number);
  }
}

function consume(api: VqueueApi, words: Uint32Array, task: Extract<Task, { kind: "consume" }>): never {
  const { mailbox, consumer, tables } = task;
  for (;;) {
    const item = api.take(mailbox);
    if (item < FIRST_ADDRESS) {
      if (item === Status.Empty) api.waitForItem(mailbox, -1);
      else if (item !== Status.Busy) throw new Error(`take: status ${item}`);
      continue;
    }
    tick(tables, consumer, words, item >>> 2);
    expectOk(api.release(mailbox, item), "release");
    finished(tables, consumer);
  }
}

function park(api: VqueueApi, { from, to, begins, turns, done }: Extract<Task, { kind: "park" }>): void {
  api.setSpin(0);
  const send = (): void => expectOk(api.commit(to, api.claim(to)), "commit");
  if (begins) send();
  for (let turn = 0; turn < turns; turn++) {
    let item = api.take(from);
    for (; item < FIRST_ADDRESS; item = api.take(from)) api.waitForItem(from, -1);
    expectOk(api.release(from, item), "release");
    if (!begins || turn < turns - 1) send();
    Atomics.store(done, Number(begins), turn + 1);
  }
}

const { handle, pid, task } = workerData as Job;
const api = attach(vqueue, handle, { pid });
const words = new Uint32Array(vvarOf(api));
parentPort!.postMessage("ready");
if (task.kind === "produce") produce(api, words, task);
else if (task.kind === "consume") consume(api, words, task);
else park(api, task);
