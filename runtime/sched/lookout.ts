/**
 * How long a thread looks for news before it sleeps. To look is cheap when news come soon, since waking a thread takes tens of microseconds on both
 * sides, and a waste when they do not. So the time follows what the last waits took: it grows while they were short, and shrinks with each long one.
 *
 * @see https://www.kernel.org/doc/html/latest/virt/kvm/halt-polling.html
 */
import { sharedNowUs } from "../platform/clock.ts";

/** Where it grows from, and below which it looks only once: two threads that sleep for long may share a core, which who looks keeps from the other. */
const LEAST_US = 10;
/** Looks between two readings of the clock. */
const LOOKS = 20;

export class Lookout {
  readonly #most: number;
  readonly #least: number;
  #us: number;
  #began = 0;

  /** @param mostUs - never looks longer; 0: only once */
  constructor(mostUs: number) {
    this.#most = mostUs;
    this.#least = Math.min(LEAST_US, mostUs);
    this.#us = this.#least;
  }

  /**
   * @param now - in microseconds, of the shared clock
   * @returns have news come while it looked? If not: sleep, then call {@link slept}
   */
  look(hasNews: () => boolean, now = sharedNowUs()): boolean {
    this.#began = now;
    if (this.#us === 0) return hasNews();
    const until = this.#began + this.#us;
    do {
      for (let n = 0; n < LOOKS; n++) if (hasNews()) return true;
    } while (sharedNowUs() < until);
    return false;
  }

  /** For who does something else than to look. @returns for how many microseconds; then, if news have not come, sleep, and call {@link slept} */
  begin(now: number): number {
    this.#began = now;
    return this.#us;
  }

  /** News have come. @param now - in microseconds, of the shared clock */
  slept(now = sharedNowUs()): void {
    const us = now - this.#began;
    if (us > this.#most) this.#us = this.#us > this.#least ? this.#us / 2 : 0;
    else this.#us = Math.min(Math.max(this.#us * 2, this.#least), this.#most);
  }
}
