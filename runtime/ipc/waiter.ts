/**
 * Asynchronous waiting of one process for any number of mailboxes. A process has one wake word (vdso-src/vqueue/select.ts), so there is one
 * waiter for an attachment: it arms all watches, waits once by `Atomics.waitAsync`, and lets every pending attempt try again.
 */
import { Status, type VqueueApi, type Watch } from "../../generated/vqueue/vqueue.js";
import { FIRST_ADDRESS, failure } from "./failure.ts";

export interface WaitOptions {
  /** Ends the wait: its promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Default: no limit. */
  readonly timeoutMs?: number | undefined;
}

/** One thing to wait for. */
export interface Target {
  readonly mailbox: number;
  readonly what: Watch;
}

interface Pending {
  readonly targets: readonly Target[];
  /** Tries; true when it has settled its promise. */
  readonly attempt: () => boolean;
}

/** Long enough never to fire. */
const HOLD_MS = 2 ** 30;

export class Waiter {
  readonly #api: VqueueApi;
  readonly #words: Int32Array;
  readonly #pending = new Set<Pending>();
  #running = false;

  constructor(api: VqueueApi, words: Int32Array) {
    this.#api = api;
    this.#words = words;
  }

  /** Tries now, and again whenever one of the targets may be ready, until `attempt` returns something or throws. */
  until<T>(targets: readonly Target[], attempt: () => T | undefined, what: string, options: WaitOptions): Promise<T> {
    const { signal, timeoutMs } = options;
    return new Promise<T>((resolve, reject) => {
      signal?.throwIfAborted();
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#remove(pending);
      };
      const giveUp = (reason: unknown): void => {
        end();
        // It may have been woken for this just now: somebody else can use it.
        for (const target of targets) this.#api.passOn(target.mailbox, target.what);
        reject(reason);
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const pending: Pending = {
        targets,
        attempt: () => {
          try {
            const value = attempt();
            if (value === undefined) return false;
            end();
            resolve(value);
          } catch (error) {
            end();
            reject(error);
          }
          return true;
        },
      };
      if (pending.attempt()) return;
      for (const { mailbox, what: kind } of targets) {
        const status = this.#api.watch(mailbox, kind);
        if (status !== Status.Ok && status !== Status.Exists) return giveUp(failure(status, what));
      }
      this.#pending.add(pending);
      signal?.addEventListener("abort", onAbort);
      if (timeoutMs !== undefined && timeoutMs >= 0 && timeoutMs < HOLD_MS) {
        timer = setTimeout(() => giveUp(failure(Status.TimedOut, what)), timeoutMs);
      }
      this.#wake();
      if (!this.#running) void this.#run();
    });
  }

  #remove(pending: Pending): void {
    if (!this.#pending.delete(pending)) return;
    for (const target of pending.targets) {
      const stays = [...this.#pending].some(({ targets }) =>
        targets.some(({ mailbox, what }) => mailbox === target.mailbox && what === target.what),
      );
      if (!stays) this.#api.unwatch(target.mailbox, target.what);
    }
    // Taking a watch away disarmed the rest.
    this.#wake();
  }

  /** Makes a wait that is under way look again. */
  #wake(): void {
    const at = this.#api.wakeWord() >>> 2;
    if (at === 0) throw failure(Status.NoProcess, "wait");
    Atomics.add(this.#words, at, 1);
    Atomics.notify(this.#words, at);
  }

  async #run(): Promise<void> {
    this.#running = true;
    // `Atomics.waitAsync` does not keep a thread alive by itself.
    const hold = setInterval(() => undefined, HOLD_MS);
    try {
      while (this.#pending.size > 0) {
        const at = this.#api.wakeWord() >>> 2;
        const seen = Atomics.load(this.#words, at);
        if (this.#api.arm() < FIRST_ADDRESS) {
          const wait = Atomics.waitAsync(this.#words, at, seen);
          if (wait.async) await wait.value;
        } else await undefined;
        this.#api.disarm();
        // A copy: attempts end their own.
        for (const pending of [...this.#pending]) pending.attempt();
      }
    } finally {
      clearInterval(hold);
      this.#running = false;
    }
  }
}
