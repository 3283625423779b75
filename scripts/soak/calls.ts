/**
 * `npm run soak -- --calls n`: n calls of a server in another thread, hundreds in flight, values and bytes in and beyond an item. Every answer is checked;
 * memory is looked at in between, after a collection, and must stay where it was.
 */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { Kernel } from "../../runtime/index.ts";
import { Heap, Ipc } from "../../runtime/ipc/index.ts";

const IN_FLIGHT = 512;
const SAMPLES = 40;
/** Part of the run after which memory has to stay: code is optimised, pools have their size. */
const WARM = 0.25;
const MIB = 2 ** 20;
/** What may come on top, in MiB: what collections leave from one time to the next; the resident set is the allocators' as well. */
const SLACK = { client: 4, server: 4, resident: 64 } as const;
const WATCH_MS = 50;

interface Sample {
  /** MiB of JavaScript's heap here and in the server, and of the whole process. */
  readonly client: number;
  readonly server: number;
  readonly resident: number;
}

/** @returns what went wrong */
export async function soakCalls(total: number, show: (line: string) => void, signal: AbortSignal): Promise<string[]> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const kernel = await Kernel.boot({ vdsos: [vqueue, vheap, vnames] });
  const [queues, heap] = [kernel.attach(vqueue), new Heap(kernel.attach(vheap))];
  const ipc = new Ipc({ queues, heap, names: kernel.attach(vnames) });
  const server = await kernel.spawn(new URL("./echo.ts", import.meta.url));
  const echo = await ipc.whenNamed("echo");
  const client = ipc.entity();
  const failures: string[] = [];
  const highest = { depth: 0, kept: 0, waitingToSend: 0, lentBytes: 0 };
  const began = performance.now();
  let done = 0;

  const watch = setInterval(() => {
    const { kept, waitingToSend } = ipc.stats();
    const { ownedBytes, sentBytes } = heap.stats();
    const depth = [0, 1].reduce((sum, index) => sum + queues.depth(queues.mailboxWithIndex(index)), 0);
    const now = { depth, kept, waitingToSend, lentBytes: ownedBytes + sentBytes };
    for (const key of Object.keys(now) as (keyof typeof now)[]) highest[key] = Math.max(highest[key], now[key]);
    show(`${done} of ${total} calls, ${Math.round(done / (performance.now() - began))} thousand a second`);
  }, WATCH_MS);

  const one = async (n: number): Promise<void> => {
    // Of eight: five small values, one beyond an item, bytes of both kinds.
    const kind = n % 8;
    if (kind > 5) {
      const bytes = new Uint8Array(kind === 6 ? 60 : 3000).fill(n);
      using answer = await client.call(echo, 2, bytes);
      const found = answer.bytes;
      if (found?.length !== bytes.length || found[0] !== (n & 255) || found.at(-1) !== (n & 255)) wrong(n);
      return;
    }
    const value = { n, text: kind === 5 ? "x".repeat(500) : "small" };
    using answer = await client.call(echo, 1, value);
    const found = answer.data as typeof value;
    if (found.n !== n || found.text !== value.text) wrong(n);
  };
  const wrong = (n: number): void => void failures.push(`call ${n} has an answer that is another's`);
  const goesOn = (): boolean => !signal.aborted && failures.length === 0;

  const samples: Sample[] = [];
  try {
    for (let part = 1; part <= SAMPLES && goesOn(); part++) {
      const end = Math.floor((total * part) / SAMPLES);
      let next = done;
      const caller = async (): Promise<void> => {
        while (next < end && goesOn()) {
          await one(next++);
          done++;
        }
      };
      await Promise.all(Array.from({ length: IN_FLIGHT }, caller));
      using memory = await client.call(echo, 3);
      collect();
      const { heapUsed, rss } = process.memoryUsage();
      samples.push({ client: heapUsed / MIB, server: (memory.data as number) / MIB, resident: rss / MIB });
      const { ownedBlocks, sentBlocks } = heap.stats();
      if (ownedBlocks + sentBlocks > 0)
        failures.push(`${ownedBlocks + sentBlocks} buffers are lent, and nothing is under way`);
    }
    const { kept, pendingCalls, waitingToSend, strayReplies, orphanedReplies, undeliverable, refused } = ipc.stats();
    const left = { kept, pendingCalls, waitingToSend, strayReplies, orphanedReplies, undeliverable, refused };
    for (const [name, count] of Object.entries(left))
      if (count !== 0) failures.push(`${name}: expected 0 at the end, found ${count}`);
    await client.send(echo, 0);
    await server.exited;
  } finally {
    clearInterval(watch);
    ipc.close();
    await kernel.shutdown({ timeoutMs: 1000 });
  }
  const seconds = (performance.now() - began) / 1000;
  show("");
  console.log(
    `${done} calls in ${seconds.toFixed(1)} s, ${Math.round(done / seconds / 1000)} thousand a second, ${IN_FLIGHT} in flight`,
  );
  console.log(
    `at most ${highest.depth} items in mailboxes, ${highest.waitingToSend} messages that waited for room, ${highest.kept} kept, ${highest.lentBytes} bytes lent`,
  );
  return [...failures, ...judge(samples)];
}

/** Memory is flat when no third of what comes after the warm-up is higher than the first. */
function judge(samples: readonly Sample[]): string[] {
  const steady = samples.slice(Math.floor(samples.length * WARM));
  const third = Math.floor(steady.length / 3);
  if (third === 0) return [];
  return (Object.keys(SLACK) as (keyof Sample)[]).flatMap((name) => {
    const medians = [0, 1, 2].map((part) =>
      median(steady.slice(part * third, (part + 1) * third).map((each) => each[name])),
    );
    console.log(`${name}: ${medians.map((mib) => mib.toFixed(1)).join(", ")} MiB in the thirds after the warm-up`);
    const growth = Math.max(...medians) - medians[0]!;
    return growth > SLACK[name] ? [`${name}: expected memory that stays, found ${growth.toFixed(1)} MiB more`] : [];
  });
}

function median(numbers: number[]): number {
  return numbers.sort((a, b) => a - b)[numbers.length >> 1]!;
}
