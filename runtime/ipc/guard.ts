/** Time-outs and signals, the same for everything that waits. */
import { VdsoError } from "../errors.ts";
import { nowMs } from "../platform/clock.ts";

export interface WaitOptions {
  /** Gives up: the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Gives up after so long, with `ERR_VDSO_TIMEOUT`. Default: never. */
  readonly timeoutMs?: number | undefined;
}

/** Of calls that stand for something else than work to wait for. */
export interface CallOptions extends WaitOptions {
  /** Does not keep the process alive. Default: it does. */
  readonly background?: boolean;
  /** When it is given up, its server hears of that in its turn among what was sent, also if it has no room for that. Default: then at once. */
  readonly inTurn?: boolean;
}

/** Timers cannot wait longer, and fire at once instead. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Calls `giveUp`, once, when it is time to; not before this returns.
 *
 * @returns ends that; undefined when there is nothing to end
 */
export function guard(
  what: string,
  { signal, timeoutMs }: WaitOptions,
  giveUp: (reason: unknown) => void,
): (() => void) | undefined {
  if (signal === undefined && timeoutMs === undefined) return undefined;
  const abort = (): void => giveUp(signal?.reason);
  let over = false;
  signal?.addEventListener("abort", abort, { once: true });
  // By the value that is sent, since it was looked at.
  if (signal?.aborted) queueMicrotask(() => over || abort());
  const expire = (): void => giveUp(timedOut(what, timeoutMs!));
  const timer = timeoutMs !== undefined && timeoutMs <= LONGEST_TIMER_MS ? setTimeout(expire, timeoutMs) : undefined;
  return () => {
    over = true;
    signal?.removeEventListener("abort", abort);
    clearTimeout(timer);
  };
}

/** @throws the signal's reason; VdsoError `ERR_VDSO_ARGUMENT` - a signal, or a time-out, that is none. */
export function checkOptions({ signal, timeoutMs }: WaitOptions): void {
  if (signal !== undefined) {
    if (!(signal instanceof AbortSignal)) {
      throw new VdsoError("ERR_VDSO_ARGUMENT", `signal: expected an AbortSignal, found a ${typeof signal}`);
    }
    signal.throwIfAborted();
  }
  if (timeoutMs === undefined || (typeof timeoutMs === "number" && timeoutMs >= 0)) return;
  throw new VdsoError("ERR_VDSO_ARGUMENT", `timeoutMs: expected a number that is not negative, found ${timeoutMs}`);
}

/** Waits for it as long as that is wanted; it goes on by itself then. */
export async function within<T>(what: string, promise: Promise<T>, options: WaitOptions): Promise<T> {
  const gaveUp = Promise.withResolvers<never>();
  const unguard = guard(what, options, gaveUp.reject);
  if (!unguard) return await promise;
  try {
    return await Promise.race([promise, gaveUp.promise]);
  } finally {
    unguard();
  }
}

/** For what waits in several steps. @returns the options for the step that begins now */
export function began(options: WaitOptions): () => WaitOptions {
  const { signal, timeoutMs } = options;
  if (timeoutMs === undefined) return () => options;
  const ends = nowMs() + timeoutMs;
  return () => ({ signal, timeoutMs: Math.max(Math.ceil(ends - nowMs()), 0) });
}

/** @param reason - The caller's: its `cause`. */
export function cancelled(reason?: unknown): VdsoError {
  return new VdsoError(
    "ERR_VDSO_CANCELLED",
    "expected a caller that waits, found that it has cancelled the call",
    reason === undefined ? undefined : { cause: reason },
  );
}

export function timedOut(what: string, timeoutMs: number): VdsoError {
  return new VdsoError("ERR_VDSO_TIMEOUT", `${what}: expected an end within ${timeoutMs} ms, found none`);
}
