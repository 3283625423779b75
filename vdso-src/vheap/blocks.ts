/**
 * Blocks: found, cut up, put together. A buddy system whose words are changed by CAS; no lists, no locks.
 *
 * Source: the binary buddy system, K. C. Knowlton, https://doi.org/10.1145/365628.365655, but with lazy and local coalescing: what is released stays
 * whole, and blocks are put together only when a request needs a larger one and only where it needs it.
 *
 * What a process has released itself it lends first: that is in its caches; then what it has sent and its receivers have released, which it need not search
 * for. That is in their caches, and each line that is written has to be fetched from there, which takes longer than from memory. So large blocks
 * (`HEAP_FAR_BYTES`) are taken from all of the heap in turn, until then nobody has them any more; small ones from close by, so that they do not cut up all
 * of it.
 *
 * Progress: lock-free. Each step is a bounded walk over words; a claim that fails has lost to another's. Nobody waits for anybody: a request
 * that saw others in the middle of something looks again a bounded number of times.
 *
 * A death leaves:
 * - before a claim: nothing; the block is free.
 * - while cutting (`carve`): a BUSY word that covers the whole block, or, once it is committed, the block lent and PART words for the rest.
 * - while putting together (`gather`): PART words, each a block, or, once it is committed, a BUSY word that covers all of them.
 * - afterwards: a block lent to the dead.
 * Each of these words names the owner: `reap.ts` frees them.
 */
import { makeHandle } from "./handle";
import { hinted, isHinted, recall, remember } from "./hints";
import { forgetSent, leaveSent, mayBeReturned, rememberSent, sentGeneration, sentUnit } from "./sent";
import { HEAP_FAR_BYTES, HEAP_HINTS, HEAP_PASSES, shared, UNIT_BYTES, UNITS } from "./layout";
import { BUSY, FREE, fits, generationOf, INNER, makeWord, nextGeneration, OWNED, orderOf, ownerOf, PART, stateOf, stride, wholeOrder } from "./word";

/** No block was to be had. */
export const NOTHING: f64 = 0;
/**
 * Words that a request looks at before it cuts up a larger block: where it found the last ones, since memory used lately is in the caches.
 */
const WINDOW: u32 = 1024;
/** After looks in vain, up to so many requests of the same size do without: a heap that fills up has nothing that fits better. */
const MOST_SKIPS: u32 = 31;
/** From this order on blocks are taken from all of the heap in turn. */
const FAR_ORDER: u32 = ctz(HEAP_FAR_BYTES / UNIT_BYTES);
/** Below it is every order. */
const ANY_ORDER: u32 = 32;
/** How often a request searches anew: what it found may be gone before it takes it. */
const SEARCHES: u32 = 4;

/** This process. Before `processInit`: nobody, which borrows nothing. */
let self: u32 = 0;
/** Where searches begin. */
let home: u32 = 0;
/** By order: requests that still do without a look, and how many did after the last one in vain. */
const skips = new StaticArray<u32>(32);
const lastSkips = new StaticArray<u32>(32);
/** What the last pass over the heap saw: a hash of all words, and whether others were in the middle of something. */
let passHash: u64 = 0;
let passMoved: bool = false;

export function setSelf(pid: u32): void {
  self = pid;
  // Spread, so that processes do not all try to take the same blocks.
  home = (pid * 0x9e3779b1) & (UNITS - 1);
}

export function me(): u32 {
  return self;
}

export function wordAt(unit: u32): Atomic<u64> {
  return unchecked(shared.words[unit]);
}

/**
 * Lends a block of this order, by what this process remembers; looks around for a smaller one before it cuts up one that is larger.
 *
 * @returns a handle, or {@link NOTHING}
 */
export function takeHinted(order: u32): f64 {
  let looked = order >= FAR_ORDER;
  for (let orders = hinted(order); orders != 0; orders = hinted(order)) {
    const found = ctz(orders);
    if (found > order && !looked) {
      looked = true;
      if (look(order, found)) continue;
    }
    const unit = recall(found);
    const word = wordAt(unit).load();
    if (stateOf(word) != FREE || orderOf(word) != found) continue;
    const handle = take(unit, word, order);
    if (handle != NOTHING) return handle;
  }
  return NOTHING;
}

/** Is there a free block close by that fits better than one of order `below`? Then it is remembered. */
function look(order: u32, below: u32): bool {
  const left = unchecked(skips[order]);
  if (left > 0) {
    unchecked((skips[order] = left - 1));
    return false;
  }
  const found = search(order, below, false);
  const next: u32 = found ? 0 : min(unchecked(lastSkips[order]) * 2 + 1, MOST_SKIPS);
  unchecked((lastSkips[order] = next));
  unchecked((skips[order] = next));
  return found;
}

/** A block was sent. Where another is better than the same again, that need not be known. */
export function noteSent(order: u32, unit: u32, generation: u64): void {
  if (order < FAR_ORDER) rememberSent(order, unit, generation);
}

/**
 * Lends a block of this order that this process has sent and that its receiver has released, unless it remembers one that it has released itself.
 *
 * @returns a handle, or {@link NOTHING}
 */
export function takeReturned(order: u32): f64 {
  if (isHinted(order) || !mayBeReturned(order)) return NOTHING;
  const unit = sentUnit(order);
  const sent = sentGeneration(order);
  const generation = nextGeneration(sent);
  // No look before: it would fetch the line twice, once to read and once to write.
  if (wordAt(unit).cas(makeWord(FREE, order, generation, 0), makeWord(OWNED, order, generation, self))) {
    forgetSent(order);
    return makeHandle(unit, generation);
  }
  if (generationOf(wordAt(unit).load()) == sent) leaveSent(order);
  else forgetSent(order);
  return NOTHING;
}

/** Lends a block of this order, wherever one is. @returns a handle, or {@link NOTHING} */
export function takeFound(order: u32): f64 {
  for (let round: u32 = 0; round < SEARCHES; round++) {
    if (!search(order, ANY_ORDER, true)) break;
    const handle = takeHinted(order);
    if (handle != NOTHING) return handle;
  }
  return NOTHING;
}

/**
 * Lends a block of this order if one can be made by putting free ones together.
 *
 * Two passes that read the same words, generations included, with nothing in motion, saw the heap as it was at one moment: then there is none.
 *
 * @returns a handle; {@link NOTHING}: there is none; -1: others were in the middle of something, up to the last pass
 */
export function takeGathered(order: u32): f64 {
  let quiet = false;
  let before: u64 = 0;
  for (let pass: u32 = 0; pass < HEAP_PASSES; pass++) {
    const handle = gatherPass(order);
    if (handle != NOTHING) return handle;
    if (quiet && !passMoved && passHash == before) return NOTHING;
    quiet = !passMoved;
    before = passHash;
  }
  return -1;
}

/** Takes the free block whose word this is, at least as large as asked for, and cuts off the rest. */
function take(unit: u32, word: u64, order: u32): f64 {
  const found = orderOf(word);
  const generation = generationOf(word);
  if (found == order) {
    if (!wordAt(unit).cas(word, makeWord(OWNED, order, generation, self))) return NOTHING;
    return makeHandle(unit, generation);
  }
  if (!wordAt(unit).cas(word, makeWord(BUSY, found, generation, self))) return NOTHING;
  carve(unit, found, order, generation);
  return makeHandle(unit, generation);
}

/** Cuts a BUSY block down to `order` and frees the rest. */
function carve(unit: u32, from: u32, order: u32, generation: u64): void {
  for (let half = from; half > order; ) {
    half--;
    const right = wordAt(unit + (1 << half));
    right.store(makeWord(PART, half, generationOf(right.load()), self));
  }
  // SYNC carved: from here on the parts are blocks of their own; pairs with `carved` in reap.ts. A store: the block is ours.
  wordAt(unit).store(makeWord(OWNED, order, generation, self));
  for (let half = from; half > order; ) {
    half--;
    const right = wordAt(unit + (1 << half));
    right.store(makeWord(FREE, half, generationOf(right.load()), 0));
    remember(half, unit + (1 << half));
  }
}

/**
 * Remembers the free blocks close by of at least this order and below another; if there is none and it may go `far`, the next one wherever
 * it is.
 *
 * @returns is there one?
 */
function search(order: u32, below: u32, far: bool): bool {
  const start = home;
  let found: u32 = 0;
  let seen: u32 = 0;
  for (let distance: u32 = 0; distance < UNITS && (seen < WINDOW || (far && found == 0)); seen++) {
    const unit = (start + distance) & (UNITS - 1);
    const word = wordAt(unit).load();
    const size = orderOf(word);
    if (stateOf(word) == FREE && size >= order && size < below && fits(unit, size)) {
      remember(size, unit);
      // The next search begins where this one had to go, or behind what it found.
      if (order >= FAR_ORDER) home = (unit + stride(unit, word)) & (UNITS - 1);
      else if (seen >= WINDOW) home = unit;
      // What is found beyond that would take the place of what is remembered.
      if (++found == HEAP_HINTS) break;
    }
    distance += stride(unit, word);
  }
  return found != 0;
}

/** Goes over the whole heap once; takes a block as soon as one is there or can be put together. */
function gatherPass(order: u32): f64 {
  const units: u32 = 1 << order;
  passHash = 0;
  passMoved = false;
  let free: u32 = 0;
  for (let unit: u32 = 0; unit < UNITS; ) {
    const word = wordAt(unit).load();
    const state = stateOf(word);
    passHash = rotl((passHash ^ word) * 0x9e3779b97f4a7c15, 29);
    if ((unit & (units - 1)) == 0) free = 0;
    if (state == FREE && fits(unit, orderOf(word))) {
      if (orderOf(word) >= order) {
        const handle = take(unit, word, order);
        if (handle != NOTHING) return handle;
        passMoved = true;
      } else if (free == (unit & (units - 1))) {
        // Free from the beginning of this part of the heap up to here.
        free += 1 << orderOf(word);
        if (free == units) {
          const handle = gather(unit + (1 << orderOf(word)) - units, order);
          if (handle != NOTHING) return handle;
          passMoved = true;
        }
      }
    } else if (state == BUSY || state == PART) passMoved = true;
    unit += stride(unit, word);
  }
  return NOTHING;
}

/** Puts the free blocks from `start` on together into one of this order, and takes it. */
function gather(start: u32, order: u32): f64 {
  const end = start + (1 << order);
  // From left to right, so that of several who gather the one furthest to the right goes on.
  for (let unit = start; unit < end; ) {
    const word = wordAt(unit).load();
    const size = orderOf(word);
    const taken = stateOf(word) == FREE && size < order && fits(unit, size);
    if (!taken || !wordAt(unit).cas(word, makeWord(PART, size, generationOf(word), self))) {
      giveBack(start, unit);
      return NOTHING;
    }
    unit += 1 << size;
  }
  const first = wordAt(start).load();
  const generation = generationOf(first);
  // SYNC gathered: from here on the parts are one block; pairs with `gathered` in reap.ts. A store: the parts are ours.
  wordAt(start).store(makeWord(BUSY, order, generation, self));
  for (let unit = start + min(1 << orderOf(first), 1 << order); unit < end; ) {
    const word = wordAt(unit).load();
    wordAt(unit).store(makeWord(INNER, 0, generationOf(word), 0));
    unit += stride(unit, word);
  }
  wordAt(start).store(makeWord(OWNED, order, generation, self));
  return makeHandle(start, generation);
}

/** Frees the parts that {@link gather} has taken before it met one that it could not have. */
function giveBack(start: u32, end: u32): void {
  for (let unit = start; unit < end; ) {
    const word = wordAt(unit).load();
    if (stateOf(word) == PART && ownerOf(word) == self) wordAt(unit).store(makeWord(FREE, orderOf(word), generationOf(word), 0));
    unit += stride(unit, word);
  }
}

/** Order of the smallest block that holds so many bytes; more than {@link wholeOrder} for more than the heap. */
export function orderFor(bytes: u32): u32 {
  return 32 - clz((bytes - 1) >> 6);
}
