/** A turn of the event loop. */
export function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const immediate = (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate;
  if (immediate) immediate(resolve);
  else setTimeout(resolve, 0);
  return promise;
}

/** An error in code of the application that nobody waits for: as with a listener that throws, it is nobody's but the process's. */
export function report(error: unknown): void {
  queueMicrotask(() => {
    throw error;
  });
}
