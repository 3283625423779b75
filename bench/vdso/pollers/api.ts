/** Native tasks: their state in the vVAR, their code exported poll functions. */

/** States at once. */
export const STATES: u32 = config.range("STATES", 1024, 1, 65536);
/** What {@link countDown} and {@link waitForFlag} return while they have not ended. */
const AGAIN: i32 = -1;
const WAIT: i32 = -2;

@vvar class VvarData {
  next: Atomic<u32>;
  @len(STATES) left: FixedArray<Atomic<u32>>;
  /** Bit n: polled by the process whose pid's index is n. */
  @len(STATES) pollers: FixedArray<Atomic<u64>>;
}
const shared = vvarRoot<VvarData>();

let ownBit: u64 = 0;

export function processInit(pid: u32): void {
  ownBit = <u64>1 << (<u64>pid & 63);
}

/** A state that says how often {@link countDown} is to be polled. @returns its number */
export function create(polls: u32): u32 {
  const state = shared.next.add(1) % STATES;
  shared.left[state].store(polls);
  shared.pollers[state].store(0);
  return state;
}

/** @returns -1 until it has been polled often enough, then how many processes polled it */
export function countDown(state: u32, task: u32): i32 {
  const left = unchecked(shared.left[state % STATES]);
  unchecked(shared.pollers[state % STATES]).or(ownBit);
  if (left.load() > 1) {
    left.store(left.load() - 1);
    return AGAIN;
  }
  return <i32>popcnt(unchecked(shared.pollers[state % STATES]).load());
}

/** @returns -2 until {@link create}'s number is 0 */
export function waitForFlag(state: u32, task: u32): i32 {
  return unchecked(shared.left[state % STATES]).load() == 0 ? 7 : WAIT;
}

export function setFlag(state: u32): void {
  shared.left[state % STATES].store(0);
}

/** A poll function that panics. */
export function panics(state: u32, task: u32): i32 {
  assert(state != state);
  return 0;
}

/** A poll function that breaks the rules. */
export function returnsNonsense(state: u32, task: u32): i32 {
  return -77;
}
