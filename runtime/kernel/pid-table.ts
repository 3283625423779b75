/**
 * Process numbers: `generation * 1024 + index`, a positive 32-bit integer. An image may use `pid & 1023` as an index into a table of its
 * own; the generation tells a process from the one that had the same index before it. Index 0 is nobody, index 1 is the kernel's.
 *
 * The table is the kernel's private memory: nothing in it comes from shared memory.
 */
export const KERNEL_PID = 1;

const INDEX_BITS = 10;
const INDEX_COUNT = 1 << INDEX_BITS;
const FIRST_INDEX = 2;
/** Generations that fit: the sign bit stays clear. */
const GENERATIONS = 2 ** (31 - INDEX_BITS);

/** Processes that can exist at once beside the kernel. */
export const PROCESS_LIMIT = INDEX_COUNT - FIRST_INDEX;

export class PidTable {
  /** Generation of the pid handed out last, by index. */
  readonly #generations: Uint32Array;
  /** Free indexes. The one free for longest goes first: a stale pid then stays recognisable for as long as possible. */
  readonly #free: number[] = [];

  /** @param firstGeneration - Not 0 only to reach the wrap-around of the generations sooner. */
  constructor(firstGeneration = 0) {
    this.#generations = new Uint32Array(INDEX_COUNT).fill(firstGeneration);
    for (let index = FIRST_INDEX; index < INDEX_COUNT; index++) this.#free.push(index);
  }

  /** A pid that is not in use, or `undefined` when all are. */
  allocate(): number | undefined {
    const index = this.#free.shift();
    return index === undefined ? undefined : this.#generations[index]! * INDEX_COUNT + index;
  }

  /** Gives back a pid of {@link allocate}; its index comes back with the next generation. */
  release(pid: number): void {
    const index = pid % INDEX_COUNT;
    this.#generations[index] = (this.#generations[index]! + 1) % GENERATIONS;
    this.#free.push(index);
  }
}
