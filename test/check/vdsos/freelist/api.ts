/**
 * Nodes in a stack that is shared without a lock; its head carries a tag that changes with every pop. And two ways to get it wrong.
 *
 * Source: R. K. Treiber, Systems programming: coping with parallelism (1986); tags as in IBM System/370's free lists.
 */
export const NODES: u32 = config("NODES", 2);
/** 0: none. */
const BUG: u32 = config("BUG", 0);
const INDEX: u32 = 0xff;

@vvar class VvarData {
  /** Tag in the upper 24 bits, number of the first node and 1 in the lower 8. */
  head: Atomic<u32>;
  @len(NODES) next: FixedArray<Atomic<u32>>;
  @len(NODES) used: FixedArray<Atomic<u32>>;
}
const list = vvarRoot<VvarData>();

export function init(): void {
  for (let node: u32 = 0; node < NODES; node++) list.next[node].store(node + 1 < NODES ? node + 2 : 0);
  list.head.store(1);
}

/** A node that nobody else has. */
export function alloc(): Option<u32> {
  while (true) {
    const head = list.head.load();
    const first = head & INDEX;
    if (first == 0) return Option.none<u32>();
    const next = list.next[first - 1].load();
    // Bug 1: no tag, so that a head that was taken and given back looks as if nothing had happened.
    const tag = BUG == 1 ? 0 : (head & ~INDEX) + INDEX + 1;
    if (!list.head.cas(head, tag | next)) continue;
    list.used[first - 1].store(1);
    return Option.some(first - 1);
  }
  return Option.none<u32>();
}

/** Gives a node back. @returns was it in use? */
export function free(node: u32): bool {
  assert(node < NODES, "no such node");
  // Bug 2: of two who give it back at once, both may find it in use.
  if (BUG == 2) {
    if (list.used[node].load() == 0) return false;
    list.used[node].store(0);
  } else if (list.used[node].exchange(0) == 0) return false;
  while (true) {
    const head = list.head.load();
    list.next[node].store(head & INDEX);
    if (list.head.cas(head, (head & ~INDEX) | (node + 1))) return true;
  }
  return false;
}
