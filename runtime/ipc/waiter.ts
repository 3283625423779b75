/**
 * Asynchronous waiting of one process for any number of mailboxes. A process has one wake word (vdso-src/vqueue/select.ts), so there is one
 * waiter for an attachment: it arms all watches, waits once by `Atomics.waitAsync`, and lets every pending attempt try again.
 */
import { Status, type VqueueApi, type Watch } from "../../generated/vqueue/vqueue.js";
import { FIRST_ADDRESS, failure } from "./failure.ts";
import { checkOptions, type WaitOptions } from "./guard.ts";
import { nextTurn } from "./turn.ts";

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

/** Looks at what is ready, and may be somebody else's who needs the event loop for it, before that gets its turn. */
const BARREN = 16;
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
      checkOptions(options);
      let timer: ReturnType<typeof setTimeout> | undefined;
      const end = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", onAbort);
        this.#remove(pending);
      };
      const giveUp = (reason: unknown): void => {
        end();
        pass();
        reject(reason);
      };
      const onAbort = (): void => giveUp(signal?.reason);
      const pass = (): void => {
        // It may have been woken for this just now: somebody else can use it.
        for (const target of targets) this.#api.passOn(target.mailbox, target.what);
      };
      const pending: Pending = {
        targets,
        attempt: () => {
          try {
            const value = attempt();
            if (value === undefined) return false;
            end();
            resolve(value);
          } catch (error) {
            giveUp(error);
          }
          return true;
        },
      };
      if (pending.attempt()) return;
      this.#pending.add(pending);
      for (const { mailbox, what: kind } of targets) {
        const status = this.#api.watch(mailbox, kind);
        if (status !== Status.Ok && status !== Status.Exists) return giveUp(failure(status, what));
      }
      signal?.addEventListener("abort", onAbort);
      if (timeoutMs !== undefined && timeoutMs >= 0 && timeoutMs < HOLD_MS) {
        timer = setTimeout(() => giveUp(failure(Status.TimedOut, what)), timeoutMs);
      }
      this.#wake();
      if (!this.#running) void this.#run();
    });
  }

  /** Lets everything that is pending try again: this process may not have what it waits for any more. */
  retry(): void {
    if (this.#pending.size > 0) this.#wake();
  }

  /** Runs `block`, which blocks the thread, with nothing watched but what it watches itself. */
  aside<T>(block: () => T): T {
    const targets = [...this.#pending].flatMap((pending) => pending.targets);
    for (const { mailbox, what } of targets) this.#api.unwatch(mailbox, what);
    try {
      return block();
    } finally {
      // One that cannot be watched any more is told why when it tries again.
      for (const { mailbox, what } of targets) this.#api.watch(mailbox, what);
      this.retry();
    }
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
    let barren = 0;
    // `Atomics.waitAsync` does not keep a thread alive by itself.
    const hold = setInterval(() => undefined, HOLD_MS);
    try {
      while (this.#pending.size > 0) {
        const at = this.#api.wakeWord() >>> 2;
        const seen = Atomics.load(this.#words, at);
        if (this.#api.arm() < FIRST_ADDRESS) {
          const wait = Atomics.waitAsync(this.#words, at, seen);
          if (wait.async) await wait.value;
          barren = 0;
        } else if (++barren % BARREN === 0) await nextTurn();
        else await undefined;
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
