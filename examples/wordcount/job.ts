/**
 * The whole job: one process reads, others count, all on the same shared memory.
 *
 * ```ts
 * await using kernel = await Kernel.boot({ vdsos: [vqueue, wordcount] });
 * const { total } = await countFiles(kernel, { paths: ["README.md"], processes: 2 });
 * ```
 */
import vqueue, { Policy, type VqueueApi } from "../../generated/vqueue/vqueue.js";
import wordcount, {
  BUFFERS,
  type Counts,
  Outcome,
  TABLE_LEN,
  type WordcountApi,
} from "../../generated/wordcount/wordcount.js";
import type { Kernel, Process } from "../../runtime/index.ts";
import { FIRST_ADDRESS, Messages } from "./messages.ts";

export interface Job {
  /** Files and folders. */
  readonly paths: readonly string[];
  /** How many processes count. */
  readonly processes: number;
  /** Called every now and then while the job runs. */
  readonly onProgress?: (soFar: Totals) => void;
}

export interface Totals {
  readonly total: Counts;
  /** Files that are done. */
  readonly files: number;
}

export interface Report extends Totals {
  readonly processes: readonly { readonly name: string; readonly counts: Counts }[];
  /** Most frequent first. */
  readonly topWords: readonly TopWord[];
  /** Words that are counted, but were too long or too many for the table behind `topWords`. */
  readonly unlisted: bigint;
  /** Files in folders that are skipped because they are no text. */
  readonly binary: number;
  readonly unreadable: number;
}

export interface TopWord {
  readonly word: string;
  readonly times: bigint;
}

const PROGRESS_MS = 100;
const TOP_WORDS = 10;

/** Counts, on a kernel that was booted for this. Rejects when one of the processes fails; the others go on until the kernel is shut down. */
export async function countFiles(kernel: Kernel, job: Job): Promise<Report> {
  const queues = kernel.attach(vqueue);
  const counts = kernel.attach(wordcount);
  const chunks = register(queues);
  const free = register(queues);
  const freeBuffers = new Messages(queues, free);
  for (let buffer = 0; buffer < BUFFERS; buffer++) freeBuffers.send({ kind: "free", buffer });

  const counters = await Promise.all(
    Array.from({ length: job.processes }, (_, index) =>
      kernel.spawn(new URL("./counter.ts", import.meta.url), {
        name: `counter-${index + 1}`,
        argv: [`${chunks}`, `${free}`],
      }),
    ),
  );
  const reader = await kernel.spawn(new URL("./reader.ts", import.meta.url), {
    name: "reader",
    argv: [`${chunks}`, `${free}`, `${job.processes}`, ...job.paths],
  });

  const timer = setInterval(() => job.onProgress?.(totals(counts, counters)), PROGRESS_MS);
  try {
    await Promise.all([reader, ...counters].map(endsWell));
  } finally {
    clearInterval(timer);
  }
  return {
    ...totals(counts, counters),
    processes: counters.map(({ pid, name }) => ({ name, counts: counts.countsOf(pid) })),
    topWords: topWords(counts),
    unlisted: counts.unlisted(),
    binary: counts.files(Outcome.Binary),
    unreadable: counts.files(Outcome.Unreadable),
  };
}

/** A queue of the kernel's, which everybody may receive from: it outlives the processes that use it. */
function register(queues: VqueueApi): number {
  const queue = queues.register(Policy.Fail, true);
  if (queue < FIRST_ADDRESS) throw new Error("all queues are taken");
  return queue;
}

/** Without one of its processes the job cannot be finished: its chunk is lost, or nobody reads on. */
async function endsWell({ name, exited }: Process): Promise<void> {
  const { code, reason } = await exited;
  if (code !== 0) throw new Error(`${name} ended before its work was done (${reason})`);
}

function totals(counts: WordcountApi, counters: readonly Process[]): Totals {
  const total = { chunks: 0n, lines: 0n, words: 0n, bytes: 0n };
  for (const { pid } of counters) {
    const { chunks, lines, words, bytes } = counts.countsOf(pid);
    total.chunks += chunks;
    total.lines += lines;
    total.words += words;
    total.bytes += bytes;
  }
  return { total, files: counts.files(Outcome.Counted) };
}

function topWords(counts: WordcountApi): TopWord[] {
  return Array.from({ length: TABLE_LEN }, (_, slot) => ({ slot, times: counts.timesOf(slot) }))
    .filter(({ times }) => times > 0n)
    .map(({ slot, times }) => ({ word: counts.wordOf(slot), times }))
    .sort((a, b) => Number(b.times - a.times) || (a.word < b.word ? -1 : 1))
    .slice(0, TOP_WORDS);
}
