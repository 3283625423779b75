/** A turn of the event loop. */
export function nextTurn(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const immediate = (globalThis as { setImmediate?: (callback: () => void) => void }).setImmediate;
  if (immediate) immediate(resolve);
  else setTimeout(resolve, 0);
  return promise;
}
