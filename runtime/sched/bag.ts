/** What a {@link Bag} holds. */
export interface Placed {
  /** Its place; -1: in none. */
  place: number;
}

/** A set in no order whose members know their places: nothing is hashed, and nothing allocated for one that comes and goes. */
export class Bag<T extends Placed> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  /** @param added - in no bag */
  add(added: T): void {
    added.place = this.#members.push(added) - 1;
  }

  /** @returns was it there? */
  delete(deleted: T): boolean {
    const { place } = deleted;
    if (place < 0) return false;
    const last = this.#members.pop() as T;
    if (last !== deleted) {
      this.#members[place] = last;
      last.place = place;
    }
    deleted.place = -1;
    return true;
  }

  /** Those that are there now; they may leave meanwhile. */
  [Symbol.iterator](): ArrayIterator<T> {
    return [...this.#members].values();
  }
}
