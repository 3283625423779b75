// A function to call in another thread.
export const add = (a, b) => a + b;

// The same, as pools that pass one value call it.
export const addTask = ({ a, b }) => a + b;
export const lengthOf = (bytes) => bytes.length;

/** About a millisecond of work, counted in shared memory. */
export function work(counter) {
  const until = performance.now() + 1;
  while (performance.now() < until) Math.random();
  Atomics.add(new Int32Array(counter.buffer, counter.byteOffset, 1), 0, 1);
}

/** Works for so long, and notes when it began and ended. */
export function burst({ times, task, taskMs }) {
  const now = () => performance.timeOrigin + performance.now();
  const began = now();
  times[2 * task] = began;
  while (now() - began < taskMs);
  times[2 * task + 1] = now();
}
