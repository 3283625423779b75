/** Turns of the event loop. */
import { holdLoop } from "../platform/platform.ts";

const { setImmediate } = globalThis as { setImmediate?: (run: () => void) => unknown };
let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

/**
 * Resolves when the event loop has done what it has to do in a turn: messages, timers, input and output. In Node a message would not wait for that,
 * since ports hand over up to a thousand at a time.
 */
export function nextTurn(): Promise<void> {
  return setImmediate ? new Promise((resolve) => setImmediate(resolve)) : afterMicrotasks();
}

/** Resolves when every microtask has run: sooner than a timer would, and after everything that is queued now. */
export function afterMicrotasks(): Promise<void> {
  channel ??= open();
  const { port1, port2 } = channel;
  return new Promise((resolve) => {
    if (waiting.push(resolve) === 1) holdLoop(port1, true);
    port2.postMessage(0);
  });
}

function open(): MessageChannel {
  const opened = new MessageChannel();
  opened.port1.onmessage = () => {
    const resolve = waiting.shift();
    if (waiting.length === 0) holdLoop(opened.port1, false);
    resolve?.();
  };
  holdLoop(opened.port2, false);
  return opened;
}

/** Keeps the event loop going, as nothing that waits for shared memory does. */
export class LoopHold {
  #port: MessagePort | undefined;
  #held = false;

  set(held: boolean): void {
    if (held === this.#held) return;
    this.#held = held;
    if (!this.#port) {
      this.#port = new MessageChannel().port1;
      this.#port.onmessage = () => undefined;
    }
    holdLoop(this.#port, held);
  }

  /** For good. */
  end(): void {
    this.#held = false;
    this.#port?.close();
    this.#port = undefined;
  }
}
