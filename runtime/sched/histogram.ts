/**
 * A log-linear histogram of durations: eight steps for each doubling, so that a percentile is at most an eighth too large. Counting takes no
 * memory. As HdrHistogram does it, with fewer digits.
 *
 * @see http://hdrhistogram.org
 */
const STEPS = 8;
const STEP_BITS = 3;
/** 2^42 us are 50 days. */
const DOUBLINGS = 42;
/** Of the last bucket, beyond those that an integer of 31 bits has. */
const MORE_DOUBLINGS = DOUBLINGS + STEP_BITS - 1 - 31;

export interface Durations {
  readonly count: number;
  readonly meanMs: number;
  readonly maxMs: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
}

export class Histogram {
  readonly #counts = new Float64Array(DOUBLINGS * STEPS);
  #count = 0;
  #sum = 0;
  #max = 0;

  /** Counts a duration; less than nothing, as clocks of two threads may have it, is nothing. */
  record(us: number): void {
    const value = Math.max(us, 0);
    this.#counts[bucketOf(value)]!++;
    this.#count++;
    this.#sum += value;
    if (value > this.#max) this.#max = value;
  }

  /** The duration, in microseconds, that this share (0 to 1) of all does not exceed; 0 when there are none. */
  percentile(share: number): number {
    const wanted = Math.max(Math.ceil(share * this.#count), 1);
    let seen = 0;
    for (let bucket = 0; bucket < this.#counts.length; bucket++) {
      seen += this.#counts[bucket]!;
      if (seen >= wanted) return Math.min(upperEnd(bucket), this.#max);
    }
    return this.#max;
  }

  summary(): Durations {
    const ms = (share: number): number => this.percentile(share) / 1000;
    return {
      count: this.#count,
      meanMs: this.#count === 0 ? 0 : this.#sum / this.#count / 1000,
      maxMs: this.#max / 1000,
      p50Ms: ms(0.5),
      p90Ms: ms(0.9),
      p99Ms: ms(0.99),
    };
  }
}

/** By whole numbers: a logarithm costs more than all else here. */
function bucketOf(us: number): number {
  if (us >= 2 ** 31) {
    return bucketOf(Math.min(us / 2 ** MORE_DOUBLINGS, 2 ** 31 - 1)) + MORE_DOUBLINGS * STEPS;
  }
  const whole = us | 0;
  if (whole < STEPS) return whole;
  const doubling = 31 - Math.clz32(whole);
  return (doubling - STEP_BITS) * STEPS + (whole >> (doubling - STEP_BITS));
}

function upperEnd(bucket: number): number {
  if (bucket < STEPS) return bucket + 1;
  const doubling = Math.floor(bucket / STEPS) + STEP_BITS - 1;
  return ((bucket % STEPS) + STEPS + 1) * 2 ** (doubling - STEP_BITS);
}
