/**
 * The vDSO: what this file exports is the API that every process calls directly, with no message in between.
 *
 * TypeScript syntax, compiled to WebAssembly. Numbers have their widths (`u32`, `u64`, `f64`, ...), there are no closures and no `any`.
 */

/** A constant: the environment (`LIMIT=10 npm run build`) or `vdso build --config LIMIT=10` overrides the default. */
export const LIMIT: u32 = config("LIMIT", 1000000);

/** Shared data: one copy for all processes. On a cache line of its own, since many threads write it. */
@vvar class VvarData {
  @align(64) total: Atomic<u32>;
}
const shared = vvarRoot<VvarData>();

/** Private data: every process has its own copy. */
let mine: u32 = 0;

/** Adds `n` to what all processes counted together. @returns the new total, or nothing when that would pass {@link LIMIT} */
export function add(n: u32): Option<u32> {
  assert(n > 0, "expected a positive number");
  let seen = shared.total.load();
  while (true) {
    if (n > LIMIT - seen) {
      log.warn("the limit of {} is reached", LIMIT);
      return Option.none<u32>();
    }
    // Another process may have been faster: then what it left is the value to try again with.
    const found = shared.total.compareExchange(seen, seen + n);
    if (found == seen) break;
    seen = found;
  }
  mine += n;
  return Option.some<u32>(seen + n);
}

/** What all processes counted together. */
export function total(): u32 {
  return shared.total.load();
}

/** What this process counted. */
export function ownCount(): u32 {
  return mine;
}
