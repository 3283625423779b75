/** A queue that is cheap at both ends, and keeps nothing that was taken. */
export class Fifo<T> {
  #items: (T | undefined)[] = [];
  #head = 0;
  #lapsed = 0;

  get length(): number {
    return this.#items.length - this.#head;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  peek(): T | undefined {
    return this.#items[this.#head];
  }

  shift(): T | undefined {
    if (this.#head === this.#items.length) return undefined;
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) {
      this.#items.length = 0;
      this.#head = 0;
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  /** One of the items counts no more. When such are more than half, they are thrown out: each is moved at most once for that. */
  lapse(counts: (item: T) => boolean): void {
    if (++this.#lapsed * 2 <= this.length) return;
    this.#items = this.#items.slice(this.#head).filter((item) => counts(item as T));
    this.#head = 0;
    this.#lapsed = 0;
  }

  /** Takes everything. */
  *drain(): Generator<T> {
    while (this.length > 0) yield this.shift() as T;
  }
}
