/**
 * What the soak test's processes and its judge share: how an item is written and checked, and the table in which it is ticked off.
 *
 * Each producer's place is a lane; its items are numbered without end (modulo 2^32). `seen` has a window of WINDOW numbers for each lane, by number modulo
 * WINDOW: the last number received there, plus 1. Whoever receives `n` must find `n - WINDOW` there; `n` itself means that it came twice, anything else
 * that `n - WINDOW` never came. A mailbox's ring holds up who is a lap ahead, so that no item is a window late.
 */

/** Power of two, and many times longer than a mailbox. */
export const WINDOW = 65536;
/** Items that a producer sends at once, at most: so many may have been sent when it dies, without anybody having heard of it. */
export const BATCH = 8;
/** Words of an item: sender, number, a checksum over them in all others. */
const [SENDER, NUMBER, WORDS] = [0, 1, 22];

/** What a consumer found wrong. 0: nothing stands here. */
export const Finding = { Missing: 1, Twice: 2, Damaged: 3 } as const;
export type Finding = (typeof Finding)[keyof typeof Finding];
/** Entries of the table of findings, and 32-bit words of one: kind, lane, number. */
export const FINDINGS = 4096;
export const FINDING_WORDS = 3;

export interface Tables {
  /** Next number that each lane has not been acknowledged. */
  readonly acknowledged: Int32Array;
  readonly seen: Int32Array;
  /** Items received, for each consumer; and the item that it holds: lane plus 1 (0: none) and number. */
  readonly received: Int32Array;
  readonly held: Int32Array;
  /** First word: entries ever written. */
  readonly findings: Int32Array;
}

export function makeTables(producers: number, consumers: number): Tables {
  const words = (count: number): Int32Array => new Int32Array(new SharedArrayBuffer(4 * count));
  const seen = words(producers * WINDOW);
  // As if the window before the first had been received.
  for (let at = 0; at < seen.length; at++) seen[at] = (at % WINDOW) + 1 - WINDOW;
  return {
    acknowledged: words(producers),
    seen,
    received: words(consumers),
    held: words(2 * consumers),
    findings: words(1 + FINDINGS * FINDING_WORDS),
  };
}

export function fill(words: Uint32Array, at: number, lane: number, number: number): void {
  words[at + SENDER] = lane;
  words[at + NUMBER] = number;
  for (let k = 2; k < WORDS; k++) words[at + k] = checksum(lane, number, k);
}

function checksum(lane: number, number: number, k: number): number {
  return (Math.imul(lane + 1, 0x9e3779b1) ^ Math.imul(number, k)) >>> 0;
}

/** Ticks off the item at this word; `consumer` holds it. */
export function tick(tables: Tables, consumer: number, words: Uint32Array, at: number): void {
  const lane = words[at + SENDER]!;
  const number = words[at + NUMBER]! | 0;
  for (let k = 2; k < WORDS; k++) {
    if (words[at + k] === checksum(lane, number, k)) continue;
    report(tables, Finding.Damaged, lane, number);
    return;
  }
  Atomics.store(tables.held, 2 * consumer + 1, number);
  Atomics.store(tables.held, 2 * consumer, lane + 1);
  const place = lane * WINDOW + (number & (WINDOW - 1));
  const before = Atomics.load(tables.seen, place);
  // Before it is ticked: who dies in between has the item delivered again, and found again.
  if (before === ((number + 1) | 0)) report(tables, Finding.Twice, lane, number);
  else if (before !== ((number + 1 - WINDOW) | 0)) report(tables, Finding.Missing, lane, (number - WINDOW) | 0);
  Atomics.store(tables.seen, place, number + 1);
}

/** The item that was ticked off is released. */
export function finished(tables: Tables, consumer: number): void {
  Atomics.store(tables.held, 2 * consumer, 0);
  Atomics.add(tables.received, consumer, 1);
}

function report({ findings }: Tables, kind: Finding, lane: number, number: number): void {
  const at = 1 + (Atomics.add(findings, 0, 1) % FINDINGS) * FINDING_WORDS;
  Atomics.store(findings, at + 1, lane);
  Atomics.store(findings, at + 2, number);
  Atomics.store(findings, at, kind);
}
