/** What the benchmarks call: as little as a call can do. */

@vvar class VvarData {
  word: Atomic<u32>;
}
const shared = vvarRoot<VvarData>();

let calls: u32 = 0;

/** No arguments. */
export function tick(): u32 {
  return ++calls;
}

/** Two arguments. */
export function sum(a: u32, b: u32): u32 {
  return a + b;
}

/** One access to shared memory. */
export function count(): u32 {
  return shared.word.add(1);
}
