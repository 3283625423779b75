/** Turns of the event loop. */
import { holdLoop } from "../platform/platform.ts";

let channel: MessageChannel | undefined;
const waiting: (() => void)[] = [];

/** Resolves in the next turn of the event loop: sooner than a timer would, and after everything that is queued now. */
export function nextTurn(): Promise<void> {
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

/** Keeps the event loop going, as nothing that waits for shared memory does. @returns a function that ends this */
export function hold(): () => void {
  const { port1 } = new MessageChannel();
  port1.onmessage = () => undefined;
  return () => port1.close();
}
