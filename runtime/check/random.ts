/**
 * Numbers from 0 to 1 that look random and are the same everywhere for the same seed.
 *
 * @see https://gist.github.com/tommyettinger/46a874533244883189143505d203312c - mulberry32
 */
export function generator(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
