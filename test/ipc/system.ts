/** Processes for tests of messages: several in this thread, each with attachments of its own, so that nothing depends on timing. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, onTestFinished, vi } from "vitest";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import type vqueueLibrary from "../../generated/vqueue/vqueue.js";
import vqueue, { type VqueueApi } from "../../generated/vqueue/vqueue.js";
import { buildVdso } from "../../runtime/build/index.ts";
import { map } from "../../runtime/index.ts";
import { Heap, type Loan } from "../../runtime/ipc/heap.ts";
import { Ipc, type IpcOptions } from "../../runtime/ipc/ipc.ts";

export type QueueLibrary = typeof vqueueLibrary;

export interface Party {
  readonly ipc: Ipc;
  readonly heap: Heap;
  readonly queues: VqueueApi;
  readonly pid: number;
  /** What the kernel does when the process has ended. */
  die(): void;
}

/** A system that is closed after the test. */
export async function system(queues: QueueLibrary = vqueue) {
  const [queue, heap, names] = await Promise.all([map(queues), map(vheap), map(vnames)]);
  const parties: Ipc[] = [];
  onTestFinished(() => {
    for (const ipc of parties) ipc.close();
  });
  let nextPid = 2;

  function party(options: Partial<IpcOptions> = {}): Party {
    const pid = nextPid++;
    const ownHeap = new Heap(heap.attach({ pid }));
    const queues = queue.attach({ pid });
    const ipc = new Ipc({ queues, heap: ownHeap, names: names.attach({ pid }), ...options });
    parties.push(ipc);
    return {
      ipc,
      heap: ownHeap,
      queues,
      pid,
      die() {
        // The dead do not send; as far as vqueue goes, this one is in the same thread and would.
        Object.assign(queues, { claim: () => 5, claimUrgent: () => 5 });
        for (const mapping of [queue, heap, names]) mapping.drop(pid);
      },
    };
  }
  const handles = { queue: queue.handle, heap: heap.handle, names: names.handle };
  return { party, queue, heap, names, handles };
}

/** vqueue with constants of one's own. */
export async function buildQueues(config: Record<string, number>): Promise<QueueLibrary> {
  const outDir = mkdtempSync(join(tmpdir(), "vipc-test-"));
  afterAll(() => rmSync(outDir, { recursive: true, force: true }));
  const srcDir = join(import.meta.dirname, "..", "..", "vdso-src", "vqueue");
  await buildVdso({ srcDir, outDir, imageName: "vqueue", packageName: "wasm-vdso", config });
  const url = pathToFileURL(join(outDir, "vqueue.js")).href;
  return ((await import(url)) as { default: QueueLibrary }).default;
}

/** Lets everything happen that is due. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** @returns what is thrown at nobody until the end of the test: a process would end by it */
export function catchReports(): unknown[] {
  const thrown: unknown[] = [];
  const microtask = globalThis.queueMicrotask;
  const reports = vi.spyOn(globalThis, "queueMicrotask").mockImplementation((run) => {
    microtask(() => {
      try {
        run();
      } catch (error) {
        thrown.push(error);
      }
    });
  });
  onTestFinished(() => reports.mockRestore());
  return thrown;
}

/** Lends all that a heap has. @returns gives it back */
export function takeAll(heap: Heap): () => void {
  const loans: Loan[] = [];
  for (let bytes = 2 ** 25; bytes >= 64; bytes /= 2) {
    for (;;) {
      try {
        loans.push(heap.loan(bytes));
      } catch {
        break;
      }
    }
  }
  return () => {
    for (const loan of loans) loan.release();
  };
}
