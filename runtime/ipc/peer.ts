/** What a process keeps of each other one that it has to do with, and of the calls between them. */
import type { Calls, Numbered } from "./calls.ts";
import type { Fifo } from "./fifo.ts";
import type { CallOptions } from "./guard.ts";
import type { IncomingCall, Message } from "./message.ts";
import type { Receiver } from "./stream.ts";
import type { Kind, Payload } from "./wire.ts";

/** A message that waits for room. */
export interface Frame {
  readonly kind: Kind;
  readonly type: number;
  readonly to: number;
  readonly call: number;
  readonly from: number;
  readonly payload: Payload;
  readonly window: number;
  cancelled: boolean;
  done(error?: unknown): void;
}

export interface Peer {
  readonly mailbox: number;
  readonly pid: number;
  readonly outbox: Fifo<Frame>;
  /** Urgent ones. Nobody is kept alive by them. */
  readonly urgent: Fifo<{ readonly kind: Kind; readonly type: number; readonly call: number }>;
  /** Calls from there that have no answer yet. */
  readonly inbound: Calls<IncomingCall>;
  /** Who wants to know of its end. */
  readonly listeners: Set<() => void>;
  /** The number of the last call that came from there. */
  lastCall: number | undefined;
  /** Calls whose end is still in the mailbox. */
  readonly urged: Set<number>;
  /** It has closed or ended: it counts as gone when so many frames were taken, all that it may have sent. */
  goneAfter: number | undefined;
}

/** @param isLost - Nobody there has, or keeps, what was sent. */
export type Reject = (error: unknown, isLost: boolean) => void;

/** A call of this process that waits for its answer. */
export class Pending implements Numbered<Pending> {
  /** Given when it is opened. */
  call = 0;
  next: Pending | undefined;
  readonly peer: Peer;
  readonly from: number;
  readonly background: boolean;
  readonly inTurn: boolean;
  readonly resolve: (answer: Message) => void;
  readonly reject: Reject;
  readonly receiver: Receiver | undefined;
  /** Not sent yet. */
  frame: Frame | undefined;
  unguard: (() => void) | undefined;

  constructor(
    peer: Peer,
    from: number,
    { background = false, inTurn = false }: CallOptions,
    resolve: (answer: Message) => void,
    reject: Reject,
    receiver?: Receiver,
  ) {
    this.peer = peer;
    this.from = from;
    this.background = background;
    this.inTurn = inTurn;
    this.resolve = resolve;
    this.reject = reject;
    this.receiver = receiver;
  }
}
