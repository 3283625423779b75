/** Heaps of a few units for the checker, and what must hold in each of their states. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { compile } from "../../runtime/build/compile.ts";
import { type Goal, goal, type SafetyPredicate, type ThreadView, type VvarStruct } from "../../runtime/check/index.ts";

export interface HeapImage {
  readonly image: Uint8Array<ArrayBuffer>;
  readonly sourceMap: string;
}

const built = new Map<string, Promise<HeapImage>>();

export interface Constants {
  readonly units: number;
  readonly hints?: number;
  readonly passes?: number;
  /** Units from which on blocks are taken from all of the heap in turn. */
  readonly far?: number;
}

/** A change of the sources that breaks them. */
export interface Bug {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** The shipped sources with other constants, or with a bug. */
export function heapImage({ units, hints = 2, passes = 3, far = 512 }: Constants, bug?: Bug): Promise<HeapImage> {
  const config = {
    HEAP_BYTES: `${units * 64}`,
    HEAP_HINTS: `${hints}`,
    HEAP_PASSES: `${passes}`,
    HEAP_FAR_BYTES: `${far * 64}`,
  };
  const key = JSON.stringify([config, bug]);
  let image = built.get(key);
  if (!image) {
    image = build(config, bug);
    built.set(key, image);
  }
  return image;
}

async function build(config: Readonly<Record<string, string>>, bug: Bug | undefined): Promise<HeapImage> {
  const folder = join(import.meta.dirname, "..", "..", "vdso-src", "vheap");
  const read = (path: string): string | undefined => {
    try {
      const text = readFileSync(join(folder, path), "utf8");
      return path === bug?.file ? text.replace(bug.from, bug.to) : text;
    } catch {
      return undefined;
    }
  };
  if (bug && !readFileSync(join(folder, bug.file), "utf8").includes(bug.from)) {
    throw new Error(`${bug.file} has no place for the bug: ${bug.from}`);
  }
  const options = { name: "vheap", package: "vheap", mode: "release", log: false, features: [], env: {} } as const;
  const result = await compile({ ...options, sources: { read }, config, sourceMap: true });
  const { image, sourceMap, diagnostics } = result;
  if (!image || sourceMap === undefined) throw new Error(diagnostics.map(({ message }) => message).join("\n"));
  return { image: new Uint8Array(image), sourceMap };
}

export const State = { inner: 0, free: 1, owned: 2, sent: 3, busy: 4, part: 5 } as const;

export interface Word {
  readonly unit: number;
  readonly state: number;
  readonly order: number;
  readonly generation: number;
  readonly owner: number;
}

export function decode(word: bigint, unit: number): Word {
  return {
    unit,
    state: Number(word & 7n),
    order: Number((word >> 3n) & 31n),
    generation: Number((word >> 8n) & 0x1ffffffn),
    owner: Number(word >> 33n),
  };
}

export function encode({ state, order, generation, owner }: Omit<Word, "unit">): bigint {
  return BigInt(state) | (BigInt(order) << 3n) | (BigInt(generation) << 8n) | (BigInt(owner) << 33n);
}

export const handleOf = (unit: number, generation: number): number => generation * 2 ** 25 + unit + 1;
export const unitOf = (handle: number): number => (handle % 2 ** 25) - 1;
export const generationOf = (handle: number): number => Math.floor(handle / 2 ** 25);

/** The part of the layout that rules look at. */
export interface HeapVvar extends VvarStruct {
  readonly words: readonly bigint[];
}

const show = ({ unit, state, order, generation, owner }: Word): string =>
  `unit ${unit}: ${Object.keys(State)[state] ?? state}, order ${order}, generation ${generation}, owner ${owner}`;

/** Blocks from left to right; what a BUSY block covers is not among them. A text when they do not tile the heap. */
export function tiles(words: readonly bigint[]): Word[] | string {
  const blocks: Word[] = [];
  for (let unit = 0; unit < words.length; ) {
    const word = decode(words[unit]!, unit);
    const units = 2 ** word.order;
    if (word.state === State.inner || word.state > State.part) return `no block begins at ${show(word)}`;
    if (unit % units !== 0 || unit + units > words.length) return `no such block fits: ${show(word)}`;
    for (let inner = unit + 1; inner < unit + units; inner++) {
      const inside = decode(words[inner]!, inner);
      const covered = word.state === State.busy && inside.state === State.part && inside.owner === word.owner;
      if (inside.state !== State.inner && !covered) return `${show(word)} covers ${show(inside)}`;
    }
    blocks.push(word);
    unit += units;
  }
  return blocks;
}

/** The handles that a thread has, by what its calls returned; those of the call that it is in may or may not be its own. */
export function handlesOf({ log, call }: ThreadView): { live: number[]; uncertain: Set<unknown> } {
  const live = new Set<number>();
  for (const { fn, args, result } of log) {
    const [handle] = args as [number];
    const answer = result as number;
    if (fn === "allocate" && answer > 0) live.add(answer);
    if (fn === "accept" && answer > 0) live.add(handle);
    if (fn === "takeBack" && answer === 0) live.add(handle);
    if (fn === "release" && answer === 0) live.delete(handle);
    if (fn === "transfer" && (answer > 0 || answer === -10)) live.delete(handle);
  }
  return { live: [...live], uncertain: new Set(call?.args ?? []) };
}

const isDead = ({ status }: ThreadView): boolean => status === "killed" || status === "panicked";

/** Holds in every state: blocks tile the heap, and who was told that a block is its own has it, alone. */
export const sound: SafetyPredicate<HeapVvar> = ({ threads, vvar }) => {
  const words = [...vvar.words];
  const blocks = tiles(words);
  if (typeof blocks === "string") return blocks;
  for (const thread of threads) {
    if (isDead(thread)) continue;
    const { live, uncertain } = handlesOf(thread);
    for (const handle of live) {
      if (uncertain.has(handle)) continue;
      const word = decode(words[unitOf(handle)]!, unitOf(handle));
      const own = word.state === State.owned && word.owner === thread.pid && word.generation === generationOf(handle);
      if (!own) return `${thread.name} has handle ${handle}, but ${show(word)}`;
    }
  }
  return threads.map((sender) => lostInTransit(sender, threads, words)).find((text) => text !== undefined) ?? true;
};

/** What a thread has sent is on its way, or with somebody. */
function lostInTransit(
  sender: ThreadView,
  threads: readonly ThreadView[],
  words: readonly bigint[],
): string | undefined {
  for (const { fn, args, result } of sender.log) {
    const handle = result as number;
    if (fn !== "transfer" || handle <= 0) continue;
    const receiver = threads.find(({ pid }) => pid === args[1])!;
    const word = decode(words[unitOf(handle)]!, unitOf(handle));
    if (word.state === State.sent && word.owner === receiver.pid && word.generation === generationOf(handle)) continue;
    const ends = threads.flatMap(({ log, call }) => [...log, ...(call ? [{ ...call, result: 1 }] : [])]);
    const arrived = ends.some(
      (end) =>
        (end.fn === "accept" && end.args[0] === handle && (end.result as number) > 0) ||
        (end.fn === "takeBack" && end.args[0] === handle && (end.result as number) >= 0) ||
        (end.fn === "discardFrom" && end.args[0] === sender.pid),
    );
    if (!arrived && !isDead(receiver)) return `${sender.name} has sent handle ${handle}, but ${show(word)}`;
  }
  return undefined;
}

/** When everything is over: what is not in a survivor's hands is free. */
export const nothingLost: Goal<HeapVvar> = goal(
  "everything that no survivor has is free",
  ({ threads, reaper, vvar }) => {
    if (reaper !== undefined && reaper.status !== "idle") return false;
    if (threads.some(({ status }) => status === "running" || status === "sleeping")) return false;
    const blocks = tiles([...vvar.words]);
    if (typeof blocks === "string") return false;
    const toSurvivor = ({ state: word, owner }: Word): boolean =>
      word === State.sent && threads.some((thread) => thread.pid === owner && !isDead(thread));
    const held = blocks.filter((block) => block.state !== State.free && !toSurvivor(block));
    const live = threads.filter((thread) => !isDead(thread)).flatMap((thread) => handlesOf(thread).live);
    return held.length === live.length && held.every(({ unit }) => live.some((handle) => unitOf(handle) === unit));
  },
);
