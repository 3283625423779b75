/** Calls by their numbers. */

/** What a {@link Calls} holds; one of them at most. */
export interface Numbered<T> {
  readonly call: number;
  /** The next with the same hash. */
  next: T | undefined;
}

const FIRST_BITS = 4;

/**
 * A hash table, chained through what it holds: nothing is allocated for a call. A Map would move its entries to new memory each time that as many
 * have come and gone as it has room for.
 *
 * Source: multiplicative hashing, D. E. Knuth, The Art of Computer Programming, volume 3, section 6.4.
 */
export class Calls<T extends Numbered<T>> implements Iterable<T> {
  #size = 0;
  #shift = 32 - FIRST_BITS;
  #chains: (T | undefined)[] = new Array<T | undefined>(2 ** FIRST_BITS).fill(undefined);

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

  /** Adds one, in the place of one with the same number. */
  add(added: T): void {
    const same = this.get(added.call);
    if (same) this.delete(same);
    if (this.#size++ === this.#chains.length) this.#grow();
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
    this.#size--;
    return true;
  }

  /** Those that are there now; they may leave meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    const all: T[] = [];
    for (const first of this.#chains) for (let found = first; found; found = found.next) all.push(found);
    return all.values();
  }

  #hash(call: number): number {
    return Math.imul(call, 0x9e3779b1) >>> this.#shift;
  }

  #link(added: T): void {
    const at = this.#hash(added.call);
    added.next = this.#chains[at];
    this.#chains[at] = added;
  }

  #grow(): void {
    const all = [...this];
    this.#shift--;
    this.#chains = new Array<T | undefined>(this.#chains.length * 2).fill(undefined);
    for (const moved of all) this.#link(moved);
  }
}
