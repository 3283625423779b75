/**
 * Runs a process's dispatcher: looks for work while there is some, for a while after, then parks until somebody sends.
 *
 * Looking takes turns with the microtasks that the work has set off, so that a chain of promises is never held up; a full turn of the event loop
 * comes in between every few milliseconds. How long to look is learned: longer when a message came soon after parking; when that was in vain - on a machine with
 * more threads than cores, whoever looks keeps the sender from running - not for a while, which doubles each time.
 */
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import { nextTurn } from "./turn.ts";

export type Delivery = "adaptive" | "eventLoop" | "polling";

export interface Pumped {
  /** Takes and handles up to so many messages. @returns how many */
  drain(most: number): number;
  /** Is there no room for more? */
  isFull(): boolean;
  /** Sends what had to wait. @returns was there anything? */
  flush(): boolean;
  /** Nothing is left to take. */
  onIdle(): void;
  /** Does anybody here wait for something? */
  isNeeded(): boolean;
}

const BATCH = 256;
/** Microtasks during which to look. */
const [LEAST_LOOKS, MOST_LOOKS] = [16, 512];
/** Times to park before looking longer is tried again, after it was in vain. */
const [FIRST_PAUSE, LONGEST_PAUSE] = [4, 256];
/** A message that comes so soon after parking was worth waiting for: waking up takes a good part of that. */
const WORTH_MS = 0.06;
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
  #mostLooks: number;
  #looks: number;
  #pause = 0;
  #nextPause = FIRST_PAUSE;
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
    this.#mostLooks = delivery === "adaptive" ? MOST_LOOKS : 0;
    this.#looks = delivery === "adaptive" ? LEAST_LOOKS : 0;
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
      this.#work.onIdle();
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
    this.#queues.waitAny(Math.min(timeoutMs, HEARTBEAT_MS));
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
    let idleLooks = 0;
    let turnEnds = performance.now() + TURN_MS;
    let rounds = 0;
    while (!this.#closed) {
      const flushed = this.#work.flush();
      const count = this.#work.isFull() ? 0 : this.#work.drain(BATCH);
      if (count > 0 || flushed) {
        if (idleLooks > LEAST_LOOKS) this.#nextPause = FIRST_PAUSE;
        idleLooks = 0;
      } else if (idleLooks++ >= this.#looks) {
        this.#work.onIdle();
        idleLooks = 0;
        const parked = performance.now();
        if (await this.#park()) {
          turnEnds = performance.now();
          if (this.#mostLooks > 0) this.#learn(turnEnds - parked < WORTH_MS);
          turnEnds += TURN_MS;
          continue;
        }
      }
      if (++rounds >= 64) {
        rounds = 0;
        if (performance.now() > turnEnds) {
          await nextTurn();
          turnEnds = performance.now() + TURN_MS;
        }
      }
      await undefined;
    }
  }

  /** @param soon - Did a message come soon after parking? */
  #learn(soon: boolean): void {
    if (this.#looks > LEAST_LOOKS) {
      this.#looks = LEAST_LOOKS;
      this.#pause = this.#nextPause;
      this.#nextPause = Math.min(this.#nextPause * 2, LONGEST_PAUSE);
    } else if (this.#pause > 0) this.#pause--;
    else if (soon) this.#looks = this.#mostLooks;
  }

  /** @returns did the event loop get its turn? */
  async #park(): Promise<boolean> {
    this.#watch();
    if (this.#held && !this.#work.isNeeded()) this.#release();
    const seen = Atomics.load(this.#words, this.#wake);
    // Entered among the sleepers first, looked second: a sender after that changes the value that was read before.
    if (this.#queues.arm() !== 0 || this.#closed) {
      this.#queues.disarm();
      // What is ready may be what somebody else of this attachment waits for: that one looks as well.
      Atomics.add(this.#words, this.#wake, 1);
      Atomics.notify(this.#words, this.#wake);
      return false;
    }
    this.#parked = true;
    const { async, value } = Atomics.waitAsync(this.#words, this.#wake, seen);
    if (async) await value;
    this.#parked = false;
    this.#queues.disarm();
    return async;
  }
}
