/**
 * A lock whose word is its owner's pid, so that the owner's death gives it back; and three ways to get it wrong.
 *
 * Source: the word as in U. Drepper, Futexes are tricky, https://www.akkadia.org/drepper/futex.pdf, with the owner in place of the 1.
 */

/** 0: none. */
const BUG: u32 = config("BUG", 0);
/** Somebody sleeps, or did. */
const SLEEPERS: u32 = 0x80000000;

@vvar class VvarData {
  word: Atomic<u32>;
  /** Bug 1 only: who has it, written after it was taken. */
  owner: Atomic<u32>;
  /** What the lock protects. */
  count: u32;
}
const shared = vvarRoot<VvarData>();

export function lock(pid: u32): void {
  const mine = BUG == 1 ? 1 : pid;
  if (!shared.word.cas(0, mine)) {
    while (true) {
      const word = shared.word.load();
      if (word == 0) {
        if (shared.word.cas(0, mine | SLEEPERS)) break;
        continue;
      }
      if ((word & SLEEPERS) == 0 && !shared.word.cas(word, word | SLEEPERS)) continue;
      shared.word.wait(word | SLEEPERS);
    }
  }
  if (BUG == 1) shared.owner.store(pid);
}

/** Adds to what the lock protects. */
export function increment(): u32 {
  shared.count = shared.count + 1;
  return shared.count;
}

export function unlock(): void {
  if (BUG == 1) shared.owner.store(0);
  if ((shared.word.exchange(0) & SLEEPERS) != 0) shared.word.notify(1);
}

/** Gives the lock back for a process that died. */
export function processDrop(pid: u32): void {
  // Bug 2: it does not.
  if (BUG == 2) return;
  const word = shared.word.load();
  const its = BUG == 1 ? shared.owner.load() == pid : (word & ~SLEEPERS) == pid;
  if (its) {
    if (BUG == 1) shared.owner.store(0);
    shared.word.exchange(0);
    // Bug 3: wakes only for what it released itself, not for what was released by one who died before it could wake.
    if (BUG == 3) shared.word.notify();
  }
  if (BUG != 3) shared.word.notify();
}
