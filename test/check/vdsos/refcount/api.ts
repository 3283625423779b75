/** A value that lives as long as somebody refers to it, and four ways to get that wrong. */

/** 0: none. */
const BUG: u32 = config("BUG", 0);
const MOST: u32 = 255;

@vvar class VvarData {
  published: Atomic<u32>;
  count: Atomic<u8>;
  value: u32;
}
const shared = vvarRoot<VvarData>();

/** Makes the value, with `references` references by its maker. */
export function publish(value: u32, references: u32): void {
  shared.value = value;
  // Bug 1: visible before it is counted.
  if (BUG == 1) {
    shared.published.store(1);
    shared.count.store(<u8>references);
  } else {
    shared.count.store(<u8>references);
    shared.published.store(1);
  }
}

/** Refers to the value so many times, if there is one, and not as many references as can be counted. */
export function acquire(references: u32): bool {
  if (shared.published.load() == 0) return false;
  // Bug 4: a count of 0 is brought back to life.
  if (BUG == 4) {
    shared.count.add(<u8>references);
    return true;
  }
  while (true) {
    const count = <u32>shared.count.load();
    if (count == 0 && BUG != 1) return false;
    // Bug 2: the count may wrap.
    if (count + references > MOST && BUG != 2) return false;
    if (shared.count.cas(<u8>count, <u8>(count + references))) return true;
  }
  return false;
}

/** The value; only for those who refer to it. */
export function read(): u32 {
  return shared.value;
}

/** Ends a reference; with the last one, the value. @returns was it the last? */
export function release(): bool {
  if (BUG == 3) {
    // The decision is made on a second look.
    shared.count.sub(1);
    if (shared.count.load() != 0) return false;
  } else if (shared.count.sub(1) != 1) return false;
  shared.published.store(0);
  shared.value = 0;
  return true;
}
