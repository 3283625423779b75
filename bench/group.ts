/** The form of a benchmark: groups of rows, each row one piece of work done by us and by the alternatives. */

/**
 * One measurement, made in a process of its own, so that no variant warms or spoils the code of another.
 *
 * @returns the figure, in the row's unit
 */
export type Measure = () => number | Promise<number>;

interface RowHead {
  readonly name: string;
  readonly unit: string;
  readonly better: "higher" | "lower";
}

/** Measured one after the other, each in processes of its own. */
export interface SeparateRow extends RowHead {
  readonly ours: Measure;
  readonly peers: Readonly<Record<string, Measure>>;
}

/** Measured in the same threads, in short turns: for what depends most on which cores a process happens to be given. */
export interface JointRow extends RowHead {
  /** Names of the alternatives. */
  readonly against: readonly string[];
  /** @returns the figures: ours, then those of `against` */
  readonly together: () => readonly number[] | Promise<readonly number[]>;
}

export type Row = SeparateRow | JointRow;

/** The default export of `<group>.bench.ts`. */
export type Group = readonly Row[];

/** Name of our variant in tables and on the command line. */
export const OURS = "ours";

/**
 * Nanoseconds that one of `iterations` steps takes: the best of several rounds, since a round can only be disturbed to be slower.
 *
 * @param loop - Does that many steps and returns something made of their results, so that none can be left out.
 */
export function nanosecondsEach(iterations: number, loop: (iterations: number) => number, rounds = 7): number {
  let best = Number.POSITIVE_INFINITY;
  let sink = 0;
  for (let round = 0; round < rounds; round++) {
    const start = process.hrtime.bigint();
    sink += loop(iterations);
    best = Math.min(best, Number(process.hrtime.bigint() - start) / iterations);
  }
  if (Number.isNaN(sink)) throw new Error("a loop returned no number");
  return best;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
