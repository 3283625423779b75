/**
 * Runs a process's dispatcher: looks for work while there is some, for a while after, then parks until somebody sends.
 *
 * Looking takes turns with the microtasks that the work has set off, so that a chain of promises is never held up; a full turn of the event loop
 * comes in between every few milliseconds. To look for as long as two wake-ups take is worth it where a message comes meanwhile more often than not, which
 * is counted. Where it is not - on a machine with more threads than cores, whoever looks keeps the sender from running - the pump parks at once, and tries
 * again after a number of times that doubles. It has to try by itself: two ends that both park wait longer for each other than either would have to look.
 */
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import { nowMs } from "../platform/clock.ts";
import { nextTurn } from "./turn.ts";

export type Delivery = "adaptive" | "eventLoop" | "parked" | "polling";

export interface Pumped {
  /** Takes and handles up to so many messages; without room for more, only what is urgent. @returns how many */
  drain(most: number): number;
  /** Is there no room for more? */
  isFull(): boolean;
  /** Sends what had to wait. @returns was there anything? */
  flush(): boolean;
  /** Somebody may have gone: a reaper wakes everybody. */
  checkPeers(): void;
  /** Does anybody here wait for something? */
  isNeeded(): boolean;
  /** Is nothing waited for, or worked on, but messages? */
  isIdle(): boolean;
}

const BATCH = 256;
/** How long to look: the other end may have to be woken first. */
const LOOK_MS = 0.1;
/** Rounds between two looks at the clock, which cost as much as a look for messages. */
const CLOCK_ROUNDS = 16;
/** What looking in vain takes away of what each message that came meanwhile has given, and the most that counts. */
const [LOSS, MOST_TRUST] = [3, 12];
/** Times to park before looking is tried again, after it was in vain. */
const [FIRST_PAUSE, LONGEST_PAUSE] = [4, 256];
/** Then the event loop gets its turn. */
const TURN_MS = 4;
const HEARTBEAT_MS = 100;
/** vqueue's Watch.Item. */
const ITEM = 0;

type Timer = { ref?(): void; unref?(): void };

export class Pump {
  readonly #queues: VqueueApi;
  readonly #inbox: number;
  readonly #work: Pumped;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #wake: number;
  readonly #adaptive: boolean;
  readonly #blocks: boolean;
  /** Above 0: looking is worth it. */
  #trust = 1;
  #pause = 0;
  #nextPause = FIRST_PAUSE;
  /** The wake word when peers were checked last. */
  #checkedAt: number;
  #watching = false;
  #closed = false;
  #parked = false;
  #held = false;
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  constructor(queues: VqueueApi, inbox: number, vvar: SharedArrayBuffer, delivery: Delivery, work: Pumped) {
    this.#queues = queues;
    this.#inbox = inbox;
    this.#work = work;
    this.#words = new Int32Array(vvar);
    this.#wake = queues.wakeWord() >>> 2;
    this.#adaptive = delivery === "adaptive";
    this.#blocks = delivery === "parked";
    this.#checkedAt = Atomics.load(this.#words, this.#wake);
    if (delivery !== "polling") void this.#run();
    else this.#parked = true;
  }

  /** Something besides a message needs to be looked at. */
  kick(): void {
    if (!this.#parked) return;
    Atomics.add(this.#words, this.#wake, 1);
    Atomics.notify(this.#words, this.#wake);
  }

  /** Keeps the process alive as long as it is needed, and no longer. */
  hold(): void {
    if (this.#held || this.#closed) return;
    this.#held = true;
    // Also the safety net: a mailbox may close without anybody who could say so.
    this.#heartbeat ??= setInterval(() => {
      this.#work.checkPeers();
      this.kick();
    }, HEARTBEAT_MS);
    (this.#heartbeat as Timer).ref?.();
  }

  /** Called whenever less is needed; while the pump runs, it looks for itself before it parks. */
  relax(): void {
    if (this.#parked && this.#held && !this.#work.isNeeded()) this.#release();
  }

  #release(): void {
    this.#held = false;
    (this.#heartbeat as Timer | undefined)?.unref?.();
  }

  /** Blocks the thread until there may be something to do, at most so long. */
  wait(timeoutMs: number): void {
    this.#watch();
    this.checkPeers();
    this.#queues.waitAnySince(this.#checkedAt, Math.min(timeoutMs, HEARTBEAT_MS));
  }

  close(): void {
    this.#closed = true;
    this.#release();
    clearInterval(this.#heartbeat);
    this.kick();
  }

  #watch(): void {
    const wanted = !this.#work.isFull();
    if (wanted === this.#watching) return;
    this.#watching = wanted;
    if (wanted) this.#queues.watch(this.#inbox, ITEM);
    else this.#queues.unwatch(this.#inbox, ITEM);
    // Either has disarmed whoever is parked.
    this.kick();
  }

  async #run(): Promise<void> {
    // Looks in vain since there was something, and when to stop.
    let looks = 0;
    let looksEnd = 0;
    let turnEnds = nowMs() + TURN_MS;
    let rounds = 0;
    while (!this.#closed) {
      const flushed = this.#work.flush();
      const count = this.#work.drain(BATCH);
      this.checkPeers();
      if (count > 0 || flushed) {
        if (looks > 0) this.#gain();
        looks = 0;
      } else {
        if (looks++ === 0) looksEnd = this.#isWorthIt() ? nowMs() + LOOK_MS : 0;
        if (looksEnd === 0 || (looks % CLOCK_ROUNDS === 0 && nowMs() >= looksEnd)) {
          if (looksEnd > 0) this.#lose();
          looks = 0;
          if (await this.#park()) {
            turnEnds = nowMs() + TURN_MS;
            continue;
          }
        }
      }
      rounds += count >= CLOCK_ROUNDS ? CLOCK_ROUNDS : 1;
      if (rounds >= CLOCK_ROUNDS) {
        rounds = 0;
        if (nowMs() > turnEnds) {
          await nextTurn();
          turnEnds = nowMs() + TURN_MS;
        }
      }
      await undefined;
    }
  }

  #isWorthIt(): boolean {
    if (!this.#adaptive) return false;
    if (this.#trust === 0 && this.#pause-- === 0) this.#trust = 1;
    return this.#trust > 0;
  }

  /** A message came while this looked. */
  #gain(): void {
    if (this.#trust < MOST_TRUST) this.#trust++;
    else this.#nextPause = FIRST_PAUSE;
  }

  #lose(): void {
    this.#trust = Math.max(this.#trust - LOSS, 0);
    if (this.#trust > 0) return;
    this.#pause = this.#nextPause;
    this.#nextPause = Math.min(this.#nextPause * 2, LONGEST_PAUSE);
  }

  /** Has this process been woken since, perhaps by a reaper? */
  checkPeers(): void {
    const now = Atomics.load(this.#words, this.#wake);
    if (now === this.#checkedAt) return;
    // First read, then looked: what changes meanwhile is seen the next time.
    this.#checkedAt = now;
    this.#work.checkPeers();
  }

  /** What is not watched: urgent messages while there is no room for others, or that there is room again. */
  #hasMissed(): boolean {
    if (this.#work.isFull() && this.#work.drain(1) > 0) return true;
    return this.#work.isFull() === this.#watching || this.#closed;
  }

  /** @returns did the event loop get its turn? */
  async #park(): Promise<boolean> {
    if (this.#blocks) {
      // What has begun goes on as far as it can: nothing does while the thread is blocked.
      await nextTurn();
      if (this.#work.drain(BATCH) > 0) return true;
    }
    this.#watch();
    if (this.#held && !this.#work.isNeeded()) this.#release();
    const seen = Atomics.load(this.#words, this.#wake);
    this.#checkedAt = seen;
    this.#work.checkPeers();
    // Entered among the sleepers first, looked second: a sender after that changes the value that was read before.
    if (this.#queues.arm() !== 0 || this.#hasMissed()) {
      this.#queues.disarm();
      // What is ready may be what somebody else of this attachment waits for: that one looks as well.
      Atomics.add(this.#words, this.#wake, 1);
      Atomics.notify(this.#words, this.#wake);
      return false;
    }
    // Who waits for nothing has other things to do.
    if (this.#blocks && this.#work.isIdle() && this.#work.isNeeded()) {
      Atomics.wait(this.#words, this.#wake, seen, HEARTBEAT_MS);
      this.#queues.disarm();
      return true;
    }
    this.#parked = true;
    const { async, value } = Atomics.waitAsync(this.#words, this.#wake, seen);
    if (async) await value;
    this.#parked = false;
    this.#queues.disarm();
    return async;
  }
}
