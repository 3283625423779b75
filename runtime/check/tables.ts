/** Growing typed arrays and hash tables over them: millions of states without an object for each. */

/** A growing list of 32-bit integers. */
export class IntList {
  items: Int32Array<ArrayBuffer>;
  length = 0;

  constructor(capacity = 1024) {
    this.items = new Int32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.items.length) this.grow(this.length + 1);
    this.items[this.length++] = value;
  }

  /** Makes room for `length` items in all. */
  grow(length: number): void {
    if (length <= this.items.length) return;
    const larger = new Int32Array(Math.max(length, this.items.length * 2));
    larger.set(this.items);
    this.items = larger;
  }
}

/** Vectors of equal width, each stored once and known by its number. */
export class VectorSet {
  readonly width: number;
  /** All vectors, one behind the other. */
  items: Int32Array<ArrayBuffer>;
  count = 0;
  private table: Int32Array;
  private mask: number;

  constructor(width: number, capacity = 1024) {
    this.width = width;
    this.items = new Int32Array(width * capacity);
    this.table = new Int32Array(capacity * 2).fill(-1);
    this.mask = this.table.length - 1;
  }

  private hash(source: Int32Array, from: number): number {
    let hash = 0x9e3779b9 | 0;
    for (let index = 0; index < this.width; index++) {
      hash = Math.imul(hash ^ source[from + index]!, 0x85ebca6b);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  /** Number of the vector at `from`; it is stored if it is new, and then the number is the old {@link VectorSet.count}. */
  add(source: Int32Array, from = 0): number {
    const { width, mask, table } = this;
    const items = this.items;
    let slot = this.hash(source, from) & mask;
    for (let id = table[slot]!; id >= 0; id = table[slot]!) {
      const base = id * width;
      let index = 0;
      while (index < width && items[base + index] === source[from + index]) index++;
      if (index === width) return id;
      slot = (slot + 1) & mask;
    }
    const id = this.count++;
    table[slot] = id;
    const base = id * width;
    if (base + width > items.length) {
      const larger = new Int32Array(items.length * 2);
      larger.set(items);
      this.items = larger;
    }
    for (let index = 0; index < width; index++) this.items[base + index] = source[from + index]!;
    if (this.count * 2 > table.length) this.rehash();
    return id;
  }

  private rehash(): void {
    const table = new Int32Array(this.table.length * 2).fill(-1);
    const mask = table.length - 1;
    for (let id = 0; id < this.count; id++) {
      let slot = this.hash(this.items, id * this.width) & mask;
      while (table[slot]! >= 0) slot = (slot + 1) & mask;
      table[slot] = id;
    }
    this.table = table;
    this.mask = mask;
  }
}

/** From three integers to one. */
export class TripleMap {
  private keys: Int32Array;
  private values: Int32Array;
  private mask: number;
  private count = 0;

  constructor(capacity = 4096) {
    this.keys = new Int32Array(capacity * 3);
    this.values = new Int32Array(capacity).fill(-1);
    this.mask = capacity - 1;
  }

  private slot(a: number, b: number, c: number): number {
    let hash = Math.imul(a, 0x85ebca6b) ^ Math.imul(b, 0xc2b2ae35) ^ Math.imul(c, 0x27d4eb2f);
    hash ^= hash >>> 15;
    hash = Math.imul(hash, 0x9e3779b1);
    hash ^= hash >>> 13;
    let slot = hash & this.mask;
    for (; this.values[slot]! >= 0; slot = (slot + 1) & this.mask) {
      const key = slot * 3;
      if (this.keys[key] === a && this.keys[key + 1] === b && this.keys[key + 2] === c) break;
    }
    return slot;
  }

  /** The value, or -1. */
  get(a: number, b: number, c: number): number {
    return this.values[this.slot(a, b, c)]!;
  }

  /** @param value - not negative. */
  set(a: number, b: number, c: number, value: number): void {
    const slot = this.slot(a, b, c);
    if (this.values[slot]! < 0) this.count++;
    this.values[slot] = value;
    this.keys.set([a, b, c], slot * 3);
    if (this.count * 2 > this.values.length) this.rehash();
  }

  private rehash(): void {
    const { keys, values } = this;
    this.keys = new Int32Array(keys.length * 2);
    this.values = new Int32Array(values.length * 2).fill(-1);
    this.mask = this.values.length - 1;
    for (let old = 0; old < values.length; old++) {
      if (values[old]! < 0) continue;
      const slot = this.slot(keys[old * 3]!, keys[old * 3 + 1]!, keys[old * 3 + 2]!);
      this.values[slot] = values[old]!;
      this.keys.set(keys.subarray(old * 3, old * 3 + 3), slot * 3);
    }
  }
}

/** Byte strings, each stored once and known by its number. */
export class BlobSet {
  private bytes = new Uint8Array(1 << 14);
  private readonly starts = new IntList();
  private table = new Int32Array(2048).fill(-1);
  private mask = 2047;
  count = 0;

  constructor() {
    this.starts.push(0);
  }

  private hash(source: Uint8Array, from: number, to: number): number {
    let hash = 0x811c9dc5 | 0;
    for (let index = from; index < to; index++) hash = Math.imul(hash ^ source[index]!, 0x01000193);
    return hash ^ (hash >>> 15);
  }

  add(source: Uint8Array, from = 0, to = source.length): number {
    const length = to - from;
    let slot = this.hash(source, from, to) & this.mask;
    for (let id = this.table[slot]!; id >= 0; id = this.table[slot]!) {
      const start = this.starts.items[id]!;
      if (this.starts.items[id + 1]! - start === length) {
        let index = 0;
        while (index < length && this.bytes[start + index] === source[from + index]) index++;
        if (index === length) return id;
      }
      slot = (slot + 1) & this.mask;
    }
    const id = this.count++;
    this.table[slot] = id;
    const start = this.starts.items[id]!;
    if (start + length > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.bytes.length * 2, start + length));
      larger.set(this.bytes);
      this.bytes = larger;
    }
    this.bytes.set(source.subarray(from, to), start);
    this.starts.push(start + length);
    if (this.count * 2 > this.table.length) {
      this.table = new Int32Array(this.table.length * 2).fill(-1);
      this.mask = this.table.length - 1;
      for (let old = 0; old < this.count; old++) {
        let place = this.hash(this.bytes, this.starts.items[old]!, this.starts.items[old + 1]!) & this.mask;
        while (this.table[place]! >= 0) place = (place + 1) & this.mask;
        this.table[place] = old;
      }
    }
    return id;
  }

  /** A view; valid until the next {@link BlobSet.add}. */
  get(id: number): Uint8Array {
    return this.bytes.subarray(this.starts.items[id]!, this.starts.items[id + 1]!);
  }
}
