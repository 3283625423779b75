/**
 * Calls with an answer between kernel and process, by comlink. Either end opens a channel with its first call: it sends one port
 * of a fresh pair over the control port and keeps the other; the receiver serves on what it gets. comlink is loaded here and only here,
 * and only then: it would cost every process a few milliseconds at its start.
 */
import type { Remote } from "comlink";
import { holdLoop } from "./platform.ts";
import type { CallsMessage } from "./protocol.ts";

export interface Channel<Service> {
  readonly remote: Remote<Service>;
  readonly port: MessagePort;
}

/** Opens a channel to the service behind `control`. Its port does not hold the event loop; a caller who waits has to. */
export async function openCalls<Service>(control: MessagePort): Promise<Channel<Service>> {
  const { port1, port2 } = new MessageChannel();
  const message: CallsMessage = { kind: "calls", port: port2 };
  control.postMessage(message, [port2]);
  const { wrap } = await import("comlink");
  const remote = wrap<Service>(port1);
  holdLoop(port1, false);
  return { remote, port: port1 };
}

/** Answers the calls that arrive on `port`; those sent before this are waiting in it. */
export async function serveCalls<Service>(port: MessagePort, service: Service): Promise<void> {
  const { expose } = await import("comlink");
  expose(service, port);
  holdLoop(port, false);
}
