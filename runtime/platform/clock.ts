/** Asked for once: in Node the global is a getter. */
const { performance } = globalThis;
const { timeOrigin } = performance;

/** Milliseconds of this thread's clock. */
export function nowMs(): number {
  return performance.now();
}

/** Microseconds of a clock that all threads share. */
export function sharedNowUs(): number {
  return (timeOrigin + performance.now()) * 1000;
}
