/**
 * Host objects that an image holds handles of. A handle is a number that is not given out again before 2^32 others were, so a stale
 * one is found out instead of meaning another object.
 *
 * The table's slot of a handle is its low bits; a handle is skipped while its slot is taken, and the table doubles when half full.
 */

interface Entry {
  readonly handle: number;
  readonly object: object;
  /** By the call that passed it. */
  lent: boolean;
  /** How often the image has retained it and not released it. */
  retained: number;
}

export class HostObjects {
  #slots: (Entry | undefined)[] = new Array(16).fill(undefined);
  #count = 0;
  /** Also a mark in time: handles lent later are greater, but for the wrap. */
  #next = 1;

  /** How many handles are valid. */
  get size(): number {
    return this.#count;
  }

  lend(object: object): number {
    if (this.#count * 2 >= this.#slots.length) this.#grow();
    const mask = this.#slots.length - 1;
    while (this.#next === 0 || this.#slots[this.#next & mask] !== undefined) this.#next = (this.#next + 1) >>> 0;
    const handle = this.#next;
    this.#next = (handle + 1) >>> 0;
    this.#slots[handle & mask] = { handle, object, lent: true, retained: 0 };
    this.#count++;
    return handle;
  }

  /** Ends a loan; harmless for a handle that is stale already. */
  giveBack(handle: number): void {
    const entry = this.#entry(handle);
    if (entry === undefined) return;
    entry.lent = false;
    this.#dropUnused(entry);
  }

  /** Ends all loans: no call is active that could have made them. */
  giveBackAll(): void {
    for (const entry of this.#slots) if (entry?.lent) this.giveBack(entry.handle);
  }

  /** Undefined for a stale handle. */
  get(handle: number): object | undefined {
    return this.#entry(handle)?.object;
  }

  /** False for a stale handle. */
  retain(handle: number): boolean {
    const entry = this.#entry(handle);
    if (entry === undefined) return false;
    entry.retained++;
    return true;
  }

  /** False for a stale handle, and for one that is not retained. */
  release(handle: number): boolean {
    const entry = this.#entry(handle);
    if (entry === undefined || entry.retained === 0) return false;
    entry.retained--;
    this.#dropUnused(entry);
    return true;
  }

  #entry(handle: number): Entry | undefined {
    const entry = this.#slots[handle & (this.#slots.length - 1)];
    return entry?.handle === handle >>> 0 ? entry : undefined;
  }

  #dropUnused(entry: Entry): void {
    if (entry.lent || entry.retained > 0) return;
    this.#slots[entry.handle & (this.#slots.length - 1)] = undefined;
    this.#count--;
  }

  #grow(): void {
    const slots = new Array<Entry | undefined>(this.#slots.length * 2).fill(undefined);
    // Entries that differ in their low bits still do in one bit more.
    for (const entry of this.#slots) if (entry) slots[entry.handle & (slots.length - 1)] = entry;
    this.#slots = slots;
  }
}
