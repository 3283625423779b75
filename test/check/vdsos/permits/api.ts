/** Permits, each with its owner's pid, given back when the owner dies; and three ways to get it wrong. */
export const PERMITS: u32 = config("PERMITS", 1);
/** 0: none. */
const BUG: u32 = config("BUG", 0);
const PIDS: u32 = 8;

@vvar class VvarData {
  @len(PERMITS) owners: FixedArray<Atomic<u32>>;
  /** Bugs 1 to 3 only: how many permits are left, and how many each process has. */
  left: Atomic<u32>;
  @len(PIDS) held: FixedArray<Atomic<u32>>;
}
const shared = vvarRoot<VvarData>();

export function init(): void {
  shared.left.store(PERMITS);
}

/** Takes a permit, if one is left. */
export function acquire(pid: u32): bool {
  if (BUG == 0) {
    for (let permit: u32 = 0; permit < PERMITS; permit++) if (shared.owners[permit].cas(0, pid)) return true;
    return false;
  }
  while (true) {
    const left = shared.left.load();
    if (left == 0) return false;
    // Bug 1: the claim is recorded before it is made, so that the reaper gives back what was never taken.
    if (BUG == 1) shared.held[pid].add(1);
    if (shared.left.cas(left, left - 1)) {
      // Bug 3 (and 2): the owner is written after the claim, so that who dies in between takes the permit along.
      if (BUG != 1) shared.held[pid].add(1);
      return true;
    }
    if (BUG == 1) shared.held[pid].sub(1);
  }
  return false;
}

/** Gives a permit back. */
export function release(pid: u32): void {
  if (BUG == 0) {
    for (let permit: u32 = 0; permit < PERMITS; permit++) if (shared.owners[permit].cas(pid, 0)) return;
    return;
  }
  shared.held[pid].sub(1);
  shared.left.add(1);
}

export function processDrop(pid: u32): void {
  if (BUG == 0) {
    for (let permit: u32 = 0; permit < PERMITS; permit++) shared.owners[permit].cas(pid, 0);
    return;
  }
  if (BUG == 2) {
    // Bug 2, not idempotent: who dies between the two lines has the next one add the same permits again.
    shared.left.add(shared.held[pid].load());
    shared.held[pid].store(0);
  } else shared.left.add(shared.held[pid].exchange(0));
}
