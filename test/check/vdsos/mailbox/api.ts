/** A place for one item, in which both sides sleep while they have to wait, and four ways to get it wrong. */

/** 0: none. */
const BUG: u32 = config("BUG", 0);
const EMPTY: u32 = 0;
const WRITING: u32 = 1;
const FULL: u32 = 2;
const READING: u32 = 3;

@vvar class VvarData {
  state: Atomic<u32>;
  item: u32;
  /** Changes before each wake-up. */
  event: Atomic<u32>;
  sleepers: Atomic<u32>;
}
const box = vvarRoot<VvarData>();

export function put(item: u32): void {
  while (!box.state.cas(EMPTY, WRITING)) sleepUnless(EMPTY);
  box.item = item;
  // Bug 2: the sleepers are woken before there is anything for them.
  if (BUG == 2) {
    wake();
    box.state.store(FULL);
  } else {
    box.state.store(FULL);
    wake();
  }
}

export function take(): u32 {
  while (!box.state.cas(FULL, READING)) sleepUnless(FULL);
  // Bug 4: the place is marked free before its item is read.
  if (BUG == 4) box.state.store(EMPTY);
  const item = box.item;
  if (BUG != 4) box.state.store(EMPTY);
  wake();
  return item;
}

function sleepUnless(wanted: u32): void {
  const seen = box.event.load();
  box.sleepers.add(1);
  // Bug 1: not looked at again after the sleeper is counted.
  if (BUG == 1 || box.state.load() != wanted) box.event.wait(seen);
  box.sleepers.sub(1);
}

function wake(): void {
  if (box.sleepers.load() == 0) return;
  box.event.add(1);
  // Bug 3: one sleeper is woken, and it may be one who waits for the opposite.
  if (BUG == 3) box.event.notify(1);
  else box.event.notify();
}
