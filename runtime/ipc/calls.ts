/** Calls by their numbers. */

/** What a {@link Calls} holds; one of them at most. */
export interface Numbered<T> {
  readonly call: number;
  /** The next with the same hash. */
  next: T | undefined;
}

const FIRST_CHAINS = 16;
/** More are given back when nothing is left. */
const MOST_IDLE_CHAINS = 4096;

/**
 * A hash table, chained through what it holds: nothing is allocated for a call. A Map would move its entries to new memory each time that as many
 * have come and gone as it has room for. Most chains are empty or of one, since to look at another call would mostly fetch it from memory.
 */
export class Calls<T extends Numbered<T>> implements Iterable<T> {
  #size = 0;
  #chains: (T | undefined)[] = emptyChains(FIRST_CHAINS);

  get size(): number {
    return this.#size;
  }

  get(call: number): T | undefined {
    let found = this.#chains[this.#hash(call)];
    while (found !== undefined && found.call !== call) found = found.next;
    return found;
  }

  has(member: T): boolean {
    return this.get(member.call) === member;
  }

  /** @param added - its number is not there yet */
  add(added: T): void {
    if (++this.#size * 2 > this.#chains.length) this.#grow();
    this.#link(added);
  }

  /** @returns was it there? */
  delete(deleted: T): boolean {
    const at = this.#hash(deleted.call);
    let before: T | undefined;
    for (let found = this.#chains[at]; found !== deleted; found = found.next) {
      if (found === undefined) return false;
      before = found;
    }
    if (before) before.next = deleted.next;
    else this.#chains[at] = deleted.next;
    deleted.next = undefined;
    // All chains are gone over at times.
    if (--this.#size === 0 && this.#chains.length > MOST_IDLE_CHAINS) this.#chains = emptyChains(FIRST_CHAINS);
    return true;
  }

  /** Those that are there now; they may leave meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    const all: T[] = [];
    for (const first of this.#chains) for (let found = first; found; found = found.next) all.push(found);
    return all.values();
  }

  /** Numbers in turn are neighbours; those of a caller that talks to many in turn, which come in steps, lie as far apart as others. */
  #hash(call: number): number {
    return (call ^ (call >>> 7) ^ (call >>> 14)) & (this.#chains.length - 1);
  }

  #link(added: T): void {
    const at = this.#hash(added.call);
    added.next = this.#chains[at];
    this.#chains[at] = added;
  }

  #grow(): void {
    const all = this[Symbol.iterator]();
    this.#chains = emptyChains(this.#chains.length * 2);
    for (const moved of all) this.#link(moved);
  }
}

function emptyChains<T>(length: number): (T | undefined)[] {
  return new Array<T | undefined>(length).fill(undefined);
}
