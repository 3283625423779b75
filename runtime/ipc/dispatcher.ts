/**
 * One per process: takes what arrives in the process's mailbox to its entities and to the calls that wait for it, and sends what they send.
 *
 * What a full mailbox does not take waits here, in order, for each receiver by itself. What nobody asks for yet is kept; when too much is kept and
 * nobody here waits for anything, the rest stays in the mailbox, and whoever sends to it waits. While somebody waits, taking goes on: the answer may lie
 * behind. What tells handlers to go on or to end - a caller takes more answers, has lost interest, has gone - is urgent: it overtakes the rest and is
 * always taken, since the handlers that it is for may be all that there is room for.
 */
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import { VdsoError } from "../errors.ts";
import { vvarOf } from "../loader/attach.ts";
import { nowMs } from "../platform/clock.ts";
import { type EntityId, idOf, localIn, localOf, mailboxOf, NUMBERS, numberIn } from "./address.ts";
import { Calls } from "./calls.ts";
import { type Codec, structured } from "./codec.ts";
import { Entity, ignoreGone } from "./entity.ts";
import { FIRST_ADDRESS } from "./failure.ts";
import { Fifo } from "./fifo.ts";
import { type CallOptions, cancelled, guard, timedOut, type WaitOptions } from "./guard.ts";
import { giveBack, type Heap, type Loan } from "./heap.ts";
import { type Answering, type AnswerKind, DONE, IncomingCall, Message } from "./message.ts";
import { type Frame, type Peer, Pending } from "./peer.ts";
import { type Delivery, Pump, type Pumped } from "./pump.ts";
import type { Line, Receiver } from "./stream.ts";
import { report } from "./turn.ts";
import { type Form, isUrgent, Kind, NOTHING, type Payload, Put, Wire } from "./wire.ts";

/** Counters since the start. */
export interface IpcStats {
  /** Messages that nobody has asked for yet, and those that handlers work on. */
  readonly kept: number;
  /** Calls of this process that wait for an answer. */
  readonly pendingCalls: number;
  /** Messages that wait for room in a mailbox. */
  readonly waitingToSend: number;
  /** Answers that nobody asked for, a second time, or from somebody else than was asked; those that a call given up meanwhile did not wait for. */
  readonly strayReplies: number;
  /** Answers to callers that had gone. */
  readonly orphanedReplies: number;
  /** Messages to entities that do not exist, or not any more. */
  readonly undeliverable: number;
  /** Frames that make no sense. */
  readonly refused: number;
}

/** vqueue's Watch. */
const SPACE = 1;
const URGENT_SPACE = 2;
/** Calls of one peer; the end of others is heard in its turn only. */
const MOST_URGED = 2 ** 16;
/** More than say that they have gone at once; they are not counted among the frames that wait. */
const URGENT = 1024;

const nothing = (): void => undefined;

export class Dispatcher implements Pumped, Answering {
  readonly wire: Wire;
  readonly #queues: VqueueApi;
  readonly #inbox: number;
  readonly #limit: number;
  readonly #onClosed: (entity: Entity) => void;
  readonly #onEnd: () => void;
  readonly #pump: Pump;
  readonly #entities: (Entity | undefined)[] = [];
  readonly #peers = new Map<number, Peer>();
  /** The last one that was looked up there. */
  #latest: Peer | undefined;
  readonly #pending = new Calls<Pending>();
  readonly #blocked = new Set<Peer>();
  /** Ended; what they had sent without a message is still to be freed. */
  readonly #departed = new Map<number, { goneAfter: number | undefined }>();
  /** Frames taken since the start. */
  #taken = 0;
  /** Somebody has gone whose messages may not all have been taken. */
  #partings = false;
  /** Some call's end is known to be in the mailbox. */
  #urged = false;
  readonly #deferred: (() => void)[] = [];
  #lastNumber = 0;
  #lastCall = 0;
  #waits = 0;
  #waitsElsewhere = 0;
  #handlers = 0;
  #closed = false;
  kept = 0;
  #strayReplies = 0;
  #orphanedReplies = 0;
  #undeliverable = 0;
  #refused = 0;

  /**
   * @param onClosed - Called with each entity that has closed.
   * @param onEnd - Called once all have.
   */
  constructor(
    queues: VqueueApi,
    heap: Heap,
    codec: Codec,
    delivery: Delivery,
    limit: number,
    onClosed: (entity: Entity) => void,
    onEnd: () => void,
  ) {
    this.#onClosed = onClosed;
    this.#onEnd = onEnd;
    this.#queues = queues;
    this.#inbox = queues.register();
    if (this.#inbox < FIRST_ADDRESS) {
      throw new VdsoError(
        "ERR_VDSO_NO_MAILBOX",
        "expected a free mailbox for this process, found all in use (constant ARRAY_LEN of vqueue)",
      );
    }
    this.#limit = limit;
    this.wire = new Wire(queues, heap, codec, this.#inbox);
    this.#pump = new Pump(queues, this.#inbox, vvarOf(queues), delivery, this);
  }

  // What is needed, and for how long.

  /** Somebody waits. */
  hold(): void {
    this.#waits++;
    this.#pump.hold();
    // Taking may have stopped because nobody did.
    if (this.kept >= this.#limit) this.#pump.kick();
  }

  release(): void {
    this.#waits--;
    this.#pump.relax();
  }

  /** Somebody waits for something else than messages. */
  holdElsewhere(): void {
    this.#waitsElsewhere++;
    this.hold();
  }

  releaseElsewhere(): void {
    this.#waitsElsewhere--;
    this.release();
  }

  holdHandler(): void {
    this.#handlers++;
    this.#pump.hold();
  }

  releaseHandler(): void {
    this.#handlers--;
    this.#pump.relax();
  }

  isNeeded(): boolean {
    return this.#waits + this.#handlers > 0;
  }

  isIdle(): boolean {
    if (this.kept > 0 || this.#waitsElsewhere > 0) return false;
    for (const { inbound } of this.#peers.values()) for (const { standing } of inbound) if (!standing) return false;
    return true;
  }

  isFull(): boolean {
    return this.kept >= this.#limit && this.#waits === 0;
  }

  unkeep(): void {
    if (this.kept-- === this.#limit) this.#pump.kick();
  }

  // Entities.

  entity(tag: number): Entity {
    this.#checkOpen();
    for (let tries = 1; tries < NUMBERS; tries++) {
      this.#lastNumber = (this.#lastNumber % (NUMBERS - 1)) + 1;
      if (this.#entities[this.#lastNumber]) continue;
      const local = localOf(tag, this.#lastNumber);
      const entity = new Entity(this, idOf(this.#inbox, local), local);
      this.#entities[this.#lastNumber] = entity;
      return entity;
    }
    throw new VdsoError(
      "ERR_VDSO_ENTITY_LIMIT",
      `expected fewer than ${NUMBERS - 1} open entities in this process, found all in use`,
    );
  }

  /** The entity has closed. */
  remove(entity: Entity, error: VdsoError): void {
    const { local } = entity;
    this.#entities[numberIn(local)] = undefined;
    this.#onClosed(entity);
    for (const pending of this.#pending) if (pending.from === local) this.#cancel(pending, error);
    for (const peer of this.#peers.values()) {
      for (const incoming of peer.inbound) {
        if (incoming.to !== local) continue;
        incoming.lose(error);
        if (!incoming.answered) incoming.refuse(noEntity()).catch(ignoreGone);
      }
    }
  }

  // Sending.

  send(from: number, to: EntityId, type: number, data: unknown, options: WaitOptions): Promise<void> {
    const peer = this.#peerFor(to);
    const frame = this.#post(peer, Kind.Message, type, localIn(to), 0, from, this.wire.pack(data), 0);
    return frame ? this.#sent("send", peer, frame, options) : DONE;
  }

  trySend(from: number, to: EntityId, type: number, data: unknown): boolean {
    const peer = this.#peerFor(to);
    // Behind what waits already.
    if (peer.outbox.length > 0 && !(this.flush() && peer.outbox.length === 0)) return false;
    const payload = this.wire.pack(data);
    const put = this.#put(peer, Kind.Message, type, localIn(to), 0, from, payload, 0);
    if (put === Put.Full) this.wire.unpack(payload);
    return put === Put.Ok;
  }

  call(from: number, to: EntityId, type: number, data: unknown, options: CallOptions): Promise<Message> {
    const peer = this.#peerFor(to);
    const payload = this.wire.pack(data);
    return new Promise((resolve, reject) => {
      const pending = new Pending(peer, from, options, resolve, reject);
      this.#open(pending, localIn(to), type, payload, options);
    });
  }

  callSync(from: number, to: EntityId, type: number, data: unknown, options: WaitOptions): Message {
    const peer = this.#peerFor(to);
    const payload = this.wire.pack(data);
    const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
    const ends = nowMs() + timeoutMs;
    let answer: Message | undefined;
    let failure: { readonly error: unknown } | undefined;
    const pending = new Pending(
      peer,
      from,
      {},
      (message) => {
        answer = message;
      },
      (error) => {
        failure = { error };
      },
    );
    this.#open(pending, localIn(to), type, payload, { signal });
    // By the value that is sent, since it was looked at.
    if (signal?.aborted) this.#cancel(pending, signal.reason);
    for (;;) {
      this.poll();
      if (answer) return answer;
      if (failure) throw failure.error;
      const left = ends - nowMs();
      if (left > 0) this.wait(left);
      else this.#cancel(pending, timedOut("callSync", timeoutMs));
    }
  }

  /** A call with several answers. */
  converse(from: number, to: EntityId, type: number, data: unknown, options: WaitOptions, receiver: Receiver): Line {
    const peer = this.#peerFor(to);
    const payload = this.wire.pack(data);
    const pending = new Pending(
      peer,
      from,
      {},
      (last) => receiver.done(last),
      (error, isLost) => receiver.fail(error, isLost),
      receiver,
    );
    this.#open(pending, localIn(to), type, payload, options, receiver.window);
    return {
      credit: (count) => this.#urge(peer, Kind.Credit, count, pending.call),
      cancel: (reason = cancelled()) => this.#cancel(pending, reason),
    };
  }

  #open(pending: Pending, to: number, type: number, payload: Payload, options: WaitOptions, window = 0): void {
    do this.#lastCall = (this.#lastCall + 1) >>> 0;
    while (this.#pending.get(this.#lastCall));
    pending.call = this.#lastCall;
    const frame = this.#post(pending.peer, Kind.Call, type, to, pending.call, pending.from, payload, window);
    this.#pending.add(pending);
    if (!pending.background) this.hold();
    if (frame) {
      pending.frame = frame;
      frame.done = (error) => {
        pending.frame = undefined;
        if (error !== undefined) this.#settle(pending).reject(error, true);
      };
    }
    pending.unguard = guard("call", options, (reason) => this.#cancel(pending, reason));
  }

  /** Gives a call up, and tells its server. */
  #cancel(pending: Pending, reason: unknown): void {
    if (!this.#pending.has(pending)) return;
    this.#settle(pending);
    const { frame } = pending;
    if (frame) this.#drop(pending.peer, frame);
    else this.#sayCancelled(pending, reason);
    pending.reject(reason, frame !== undefined);
  }

  #settle(pending: Pending): Pending {
    this.#pending.delete(pending);
    pending.unguard?.();
    if (!pending.background) this.release();
    return pending;
  }

  /** In its turn; and at once, to a server that has no room for what comes before. */
  #sayCancelled({ peer, call, inTurn }: Pending, reason: unknown): void {
    const payload = this.#packReason(reason);
    // What it means to a peer that has gone needs no sending.
    if (this.#closed || this.#peers.get(peer.mailbox) !== peer) {
      this.wire.unpack(payload);
      return;
    }
    try {
      this.#post(peer, Kind.Cancel, 0, 0, call, 0, payload, 0);
    } catch (error) {
      ignoreGone(error);
    }
    if (!inTurn) this.#urge(peer, Kind.Urge, 0, call);
  }

  #urge(peer: Peer, kind: Kind, type: number, call: number): void {
    if (this.#peers.get(peer.mailbox) !== peer) return;
    peer.urgent.push({ kind, type, call });
    if (peer.urgent.length > 1 || this.#flushUrgent(peer)) return;
    this.#blocked.add(peer);
    this.#queues.watch(peer.mailbox, URGENT_SPACE);
    this.#pump.kick();
  }

  /** @returns is everything sent, or nobody there? */
  #flushUrgent(peer: Peer): boolean {
    for (let next = peer.urgent.peek(); next; next = peer.urgent.peek()) {
      const put = this.wire.put(peer, next.kind, next.type, 0, next.call, 0, NOTHING, 0);
      if (put === Put.Full) return false;
      peer.urgent.shift();
    }
    return true;
  }

  #sent(what: string, peer: Peer, frame: Frame, options: WaitOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      frame.done = (error) => {
        unguard?.();
        if (error === undefined) resolve();
        else reject(error);
      };
      const unguard = guard(what, options, (reason) => {
        this.#drop(peer, frame);
        frame.done(reason);
      });
    });
  }

  /** A frame that waits is not sent after all. */
  #drop(peer: Peer, frame: Frame): void {
    if (frame.cancelled) return;
    frame.cancelled = true;
    peer.outbox.lapse(({ cancelled }) => !cancelled);
    this.wire.unpack(frame.payload);
    this.release();
  }

  /** @returns the frame, when it has to wait */
  #post(
    peer: Peer,
    kind: Kind,
    type: number,
    to: number,
    call: number,
    from: number,
    payload: Payload,
    window: number,
  ): Frame | undefined {
    if (peer.outbox.length === 0 && this.#put(peer, kind, type, to, call, from, payload, window) === Put.Ok)
      return undefined;
    // The bytes may be the codec's, or change before they are sent.
    const kept = payload.bytes ? { ...payload, bytes: new Uint8Array(payload.bytes) } : payload;
    const frame: Frame = { kind, type, to, call, from, payload: kept, window, cancelled: false, done: nothing };
    peer.outbox.push(frame);
    this.hold();
    if (peer.outbox.length === 1) {
      this.#blocked.add(peer);
      this.#queues.watch(peer.mailbox, SPACE);
      this.#pump.kick();
    }
    return frame;
  }

  /** @throws VdsoError `ERR_VDSO_PEER_GONE` and what makes a loan impossible to hand over; nothing was sent then. */
  #put(
    peer: Peer,
    kind: Kind,
    type: number,
    to: number,
    call: number,
    from: number,
    payload: Payload,
    window: number,
  ): Put {
    let failure: unknown;
    try {
      const put = this.wire.put(peer, kind, type, to, call, from, payload, window);
      if (put !== Put.Gone) return put;
    } catch (error) {
      const { code } = error as VdsoError;
      if (code !== "ERR_VDSO_NO_PROCESS" && code !== "ERR_VDSO_RECEIVER_ENDED") failure = error;
    }
    this.wire.unpack(payload);
    throw failure ?? peerGone(peer.mailbox);
  }

  /** Runs it when this run of microtasks is over, and before the thread blocks or the mailbox closes. */
  defer(run: () => void): void {
    if (this.#deferred.push(run) === 1) queueMicrotask(() => this.#runDeferred());
  }

  #runDeferred(): void {
    for (const run of this.#deferred.splice(0)) run();
  }

  flush(): boolean {
    if (this.#blocked.size === 0) return false;
    let some = false;
    for (const peer of this.#blocked) if (this.#flushPeer(peer)) some = true;
    return some;
  }

  #flushPeer(peer: Peer): boolean {
    const before = peer.urgent.length;
    this.#flushUrgent(peer);
    const some = this.#flushFrames(peer) || peer.urgent.length < before;
    if (peer.urgent.length === 0) this.#queues.unwatch(peer.mailbox, URGENT_SPACE);
    if (peer.outbox.length === 0) this.#queues.unwatch(peer.mailbox, SPACE);
    if (peer.urgent.length + peer.outbox.length === 0) this.#blocked.delete(peer);
    // That may have disarmed whoever is parked.
    this.#pump.kick();
    return some;
  }

  #flushFrames(peer: Peer): boolean {
    let some = false;
    for (let frame = peer.outbox.peek(); frame; frame = peer.outbox.peek()) {
      if (frame.cancelled) {
        peer.outbox.shift();
        some = true;
        continue;
      }
      const { kind, type, to, call, from, payload, window } = frame;
      let failure: unknown;
      try {
        if (this.#put(peer, kind, type, to, call, from, payload, window) === Put.Full) return some;
      } catch (error) {
        failure = error;
      }
      // Before anybody hears of it, who may give up others.
      peer.outbox.shift();
      some = true;
      frame.cancelled = true;
      this.release();
      frame.done(failure);
    }
    return some;
  }

  // Answering.

  answer(call: IncomingCall, kind: AnswerKind, data: unknown, options: WaitOptions): Promise<void> {
    if (this.#isOrphaned(call, data)) return DONE;
    const payload = isError(kind) ? this.#packError(data) : this.wire.pack(data);
    // It was there a moment ago: packing runs no code but the codec's.
    const peer = this.#known(call.mailbox);
    if (peer === undefined) {
      this.wire.unpack(payload);
      return DONE;
    }
    let sent = DONE;
    try {
      const frame = this.#post(peer, kind, 0, localIn(call.from), call.call, call.to, payload, 0);
      if (frame) sent = this.#sent("answer", peer, frame, options);
    } catch (error) {
      if (kind === Kind.Answer) throw error;
      this.#unheard(peer, call, data, error);
      return DONE;
    }
    if (kind === Kind.Answer) return sent;
    if (sent === DONE) {
      peer.inbound.delete(call);
      return DONE;
    }
    // As long as the answer can be given up the call is unanswered.
    return sent.then(
      () => void peer.inbound.delete(call),
      (error: unknown) => this.#unheard(peer, call, data, error),
    );
  }

  /** The answer was not sent. When its caller has gone, it is nobody's; otherwise that is the error of who gave it. */
  #unheard(peer: Peer, call: IncomingCall, data: unknown, error: unknown): void {
    // Not by the error: it may be the reason for which the answer was given up.
    if (this.#closed || (this.#peers.get(peer.mailbox) === peer && this.#queues.statusOf(peer.mailbox) === 0))
      throw error;
    peer.inbound.delete(call);
    this.#orphan(data);
  }

  takenBack(call: IncomingCall): void {
    call.refuse(noEntity()).catch(ignoreGone);
  }

  /** Has the caller gone? Then what was handed over to nobody is given back. */
  #isOrphaned(call: IncomingCall, data: unknown): boolean {
    if (!this.#closed && this.#known(call.mailbox)?.inbound.has(call)) return false;
    this.#orphan(data);
    return true;
  }

  #orphan(data: unknown): void {
    this.#orphanedReplies++;
    giveBack(data);
  }

  /** Without the stack: for a server that hangs as many of them wait as it has calls. */
  #packReason(reason: unknown): Payload {
    if (isCancelled(reason)) return NOTHING;
    if (!(reason instanceof Error)) return this.#packError(reason);
    try {
      const { name, message, cause, code } = reason as Error & { code?: unknown };
      return this.#packError(Object.assign(new Error(message), { name, cause, code, stack: "" }));
    } catch {
      return NOTHING;
    }
  }

  /** An error that cannot be sent as it is, or for which there is no room, goes as its beginning. */
  #packError(error: unknown): Payload {
    try {
      return this.wire.packEncoded(structured.encode(error));
    } catch {
      const short = new Error(beginningOf(error));
      short.stack = "";
      return this.wire.packEncoded(structured.encode(short));
    }
  }

  // Receiving.

  /** Handles what there is, without waiting. */
  poll(): number {
    this.#runDeferred();
    this.flush();
    const count = this.drain(Number.POSITIVE_INFINITY);
    this.#pump.checkPeers();
    return count;
  }

  /** Blocks the thread until there may be something to {@link poll}, at most so long. */
  wait(timeoutMs: number): void {
    this.#runDeferred();
    // Who blocks the thread waits.
    this.hold();
    try {
      if (this.drain(1) > 0) return;
      this.#pump.wait(timeoutMs);
      if (this.drain(1) === 0) this.checkPeers();
    } finally {
      this.release();
    }
  }

  /** Takes and handles up to so many messages; without room for more, only what is urgent. */
  drain(most: number): number {
    let count = 0;
    while (count < most && (!this.isFull() || this.wire.isUrgentNext()) && this.wire.take()) {
      count++;
      if (!isUrgent(this.wire.kind)) this.#taken++;
      if (this.wire.sender >= FIRST_ADDRESS) this.#dispatch();
      else this.#refuse();
    }
    if (this.#urged && this.isFull()) this.#endUrged();
    if (this.#partings) {
      this.#partings = false;
      this.checkPeers();
    }
    return count;
  }

  #dispatch(): void {
    const { wire } = this;
    switch (wire.kind) {
      case Kind.Message:
      case Kind.Call:
        this.#incoming();
        return;
      case Kind.Reply:
      case Kind.Failure:
      case Kind.Refusal:
      case Kind.Answer:
        this.#answered();
        return;
      case Kind.Credit:
        this.#peers.get(wire.sender)?.inbound.get(wire.call)?.addCredit(wire.type);
        return;
      case Kind.Cancel:
        this.#ended();
        return;
      case Kind.Urge:
        this.#noteUrged(wire);
        return;
      case Kind.Gone:
        // It has overtaken what was sent before: that counts first.
        this.#partings = true;
        return;
      default:
        this.#refuse();
    }
  }

  /** The frame makes no sense. */
  #refuse(): void {
    this.wire.discard();
    this.#refused++;
  }

  #noteUrged({ sender, call }: Wire): void {
    const peer = this.#peer(sender);
    if (!peer || peer.urged.size === MOST_URGED) return;
    // Numbers go up: has its end come before this?
    const isToCome = peer.lastCall === undefined || ((call - peer.lastCall) | 0) > 0;
    if (!isToCome && !peer.inbound.get(call)) return;
    peer.urged.add(call);
    this.#urged = true;
  }

  /** There is no room for what comes before the ends of these calls. */
  #endUrged(): void {
    this.#urged = false;
    for (const peer of this.#peers.values()) {
      for (const call of peer.urged) {
        const incoming = peer.inbound.get(call);
        if (incoming) this.#endCall(peer, incoming);
      }
      if (peer.urged.size > 0) this.#urged = true;
    }
  }

  #endCall(peer: Peer, incoming: IncomingCall, reason?: unknown): void {
    peer.urged.delete(incoming.call);
    peer.inbound.delete(incoming);
    incoming.lose(cancelled(reason));
  }

  #ended(): void {
    const { wire } = this;
    const peer = this.#peers.get(wire.sender);
    const incoming = peer?.inbound.get(wire.call);
    if (peer && incoming) {
      this.#endCall(peer, incoming, this.#readReason());
      return;
    }
    peer?.urged.delete(wire.call);
    wire.discard();
  }

  #readReason(): unknown {
    const { wire } = this;
    try {
      const loan = wire.accept();
      using message = new Message(0, 0, structured, wire.form as Form, wire.bytes, loan);
      return message.decode();
    } catch {
      this.#refused++;
      return undefined;
    }
  }

  #incoming(): void {
    const { wire } = this;
    const { kind, sender, type, to, call, form, bytes, window } = wire;
    const from = idOf(sender, wire.from);
    const entity = this.#entities[numberIn(to)];
    const peer = this.#peer(sender);
    if (peer && kind === Kind.Call) peer.lastCall = call;
    let loan: Loan | undefined;
    let refusal: VdsoError | undefined;
    if (entity?.local === to) {
      try {
        loan = wire.accept();
      } catch (error) {
        this.#refused++;
        refusal = error as VdsoError;
      }
    } else {
      wire.discard();
      this.#undeliverable++;
      refusal = noEntity();
    }
    if (kind === Kind.Message) {
      if (!refusal) entity?.deliver(new Message(from, type, wire.codec, form as Form, bytes, loan));
      return;
    }
    const incoming = new IncomingCall(
      this,
      call,
      sender,
      to,
      window,
      from,
      type,
      wire.codec,
      form as Form,
      bytes,
      loan,
    );
    if (peer) replace(peer.inbound, incoming);
    if (refusal) incoming.refuse(refusal).catch(ignoreGone);
    else entity?.deliver(incoming);
    // Afterwards, so that whoever works on it hears of it.
    if (!peer || peer.goneAfter !== undefined) incoming.lose(peerGone(sender));
  }

  #answered(): void {
    const { wire } = this;
    const { kind, sender, type, call, form, bytes } = wire;
    const pending = this.#pending.get(call);
    // Who has not been asked yet cannot answer.
    const isAsked = pending?.peer.mailbox === sender && pending.frame === undefined;
    if (!isAsked || (kind === Kind.Answer && !pending.receiver)) {
      this.#strayReplies++;
      wire.discard();
      return;
    }
    let message: Message;
    try {
      const loan = wire.accept();
      message = new Message(
        idOf(sender, wire.from),
        type,
        isError(kind) ? structured : wire.codec,
        form as Form,
        bytes,
        loan,
      );
    } catch (error) {
      this.#refused++;
      this.#settle(pending).reject(error, false);
      return;
    }
    if (kind === Kind.Answer) {
      if (!pending.receiver?.push(message)) this.#refused++;
      return;
    }
    this.#settle(pending);
    if (isError(kind)) pending.reject(readError(message), kind === Kind.Refusal);
    else pending.resolve(message);
  }

  // Others come and go.

  #peerFor(to: EntityId): Peer {
    this.#checkOpen();
    const mailbox = mailboxOf(to);
    const peer = this.#peer(mailbox);
    if (peer) return peer;
    throw peerGone(mailbox);
  }

  #peer(mailbox: number): Peer | undefined {
    const known = this.#known(mailbox);
    if (known) return known;
    const pid = this.#queues.getPid(mailbox);
    if (pid === 0) return undefined;
    const peer: Peer = {
      mailbox,
      pid,
      outbox: new Fifo(),
      urgent: new Fifo(),
      inbound: new Calls(),
      lastCall: undefined,
      urged: new Set(),
      listeners: new Set(),
      goneAfter: undefined,
    };
    this.#peers.set(mailbox, peer);
    return peer;
  }

  /** Most often it is the one who was asked for last. */
  #known(mailbox: number): Peer | undefined {
    if (this.#latest?.mailbox !== mailbox) this.#latest = this.#peers.get(mailbox);
    return this.#latest;
  }

  /** Sees who has gone without a word. */
  checkPeers(): void {
    if (this.#closed) return;
    if (this.#queues.statusOf(this.#inbox) !== 0) {
      this.close();
      return;
    }
    for (const peer of this.#peers.values()) {
      if (this.#queues.statusOf(peer.mailbox) === 0) continue;
      const isNew = peer.goneAfter === undefined;
      const isAll = this.#hasAllOf(peer);
      // Whatever else it has sent: nobody there waits for these.
      if (isNew) for (const incoming of peer.inbound) incoming.lose(peerGone(peer.mailbox));
      // Whoever heard of that may have looked as well.
      if (this.#peers.get(peer.mailbox) !== peer) continue;
      if (isAll) this.#part(peer);
      else this.#partings = true;
    }
    const { heap } = this.wire;
    for (const [pid, departed] of this.#departed) {
      // Closed, but still there: what it sent may yet be freed by itself.
      if (heap.api.isAttached(pid) || !this.#hasAllOf(departed)) continue;
      heap.discardFrom(pid);
      this.#departed.delete(pid);
    }
  }

  /**
   * Was everything taken that somebody had sent who was seen to have ended? First seen, then counted: what came before is among what is there then.
   * Others may go on sending meanwhile, for ever.
   */
  #hasAllOf(gone: { goneAfter: number | undefined }): boolean {
    const left = this.#queues.depth(this.#inbox);
    gone.goneAfter ??= this.#taken + left;
    return left === 0 || this.#taken >= gone.goneAfter;
  }

  /** Calls the listener when the process of an entity has closed its Ipc or ended, once. @returns ends that */
  whenGone(id: EntityId, listener: () => void): () => void {
    this.#checkOpen();
    const peer = this.#peer(mailboxOf(id));
    if (peer) peer.listeners.add(listener);
    else queueMicrotask(listener);
    return () => peer?.listeners.delete(listener);
  }

  #part(peer: Peer): void {
    this.#peers.delete(peer.mailbox);
    this.#latest = undefined;
    this.#departed.set(peer.pid, { goneAfter: undefined });
    const error = peerGone(peer.mailbox);
    // The frames, and those calls that were not sent yet.
    if (this.#blocked.has(peer)) this.#flushPeer(peer);
    for (const pending of this.#pending) {
      // One that was rejected before may have given others up.
      if (pending.peer === peer && this.#pending.has(pending)) this.#settle(pending).reject(error, true);
    }
    for (const incoming of peer.inbound) incoming.lose(error);
    tellAll(peer.listeners);
  }

  /** Closes everything; who waits for this process learns of it. */
  close(): void {
    if (this.#closed) return;
    this.#runDeferred();
    for (const entity of this.#entities) entity?.close();
    // They get an answer while there is somebody to give it.
    this.drain(this.#queues.depth(this.#inbox) + URGENT);
    this.#closed = true;
    for (const peer of this.#blocked) this.#flushPeer(peer);
    for (const peer of this.#blocked) {
      for (const frame of peer.outbox.drain()) {
        if (frame.cancelled) continue;
        this.#drop(peer, frame);
        frame.done(
          new VdsoError("ERR_VDSO_CLOSED", "expected room before this process closed its mailbox, found none"),
        );
      }
    }
    this.#onEnd();
    this.#queues.close(this.#inbox);
    // Mailboxes of others may be anything but those of an Ipc.
    for (const { mailbox, listeners } of this.#peers.values()) {
      if (mailbox !== this.#inbox) this.wire.sayGone(mailbox);
      tellAll(listeners);
    }
    this.#pump.close();
  }

  /** What a sender wrote was no value. */
  countRefused(): void {
    this.#refused++;
  }

  stats(): IpcStats {
    let waitingToSend = 0;
    for (const { outbox } of this.#blocked) waitingToSend += outbox.length;
    return {
      kept: this.kept,
      pendingCalls: this.#pending.size,
      waitingToSend,
      strayReplies: this.#strayReplies,
      orphanedReplies: this.#orphanedReplies,
      undeliverable: this.#undeliverable,
      refused: this.#refused,
    };
  }

  #checkOpen(): void {
    if (this.#closed) throw new VdsoError("ERR_VDSO_CLOSED", "expected an open Ipc, found one that was closed");
  }
}

function tellAll(listeners: Iterable<() => void>): void {
  for (const listener of listeners) {
    try {
      listener();
    } catch (error) {
      report(error);
    }
  }
}

/** The answer to one whose number comes again is nobody's. */
function replace(calls: Calls<IncomingCall>, incoming: IncomingCall): void {
  const same = calls.get(incoming.call);
  if (same) calls.delete(same);
  calls.add(incoming);
}

function isError(kind: number): boolean {
  return kind === Kind.Failure || kind === Kind.Refusal;
}

/** Is that all there is to say of it? */
function isCancelled(reason: unknown): boolean {
  return reason instanceof VdsoError && reason.code === "ERR_VDSO_CANCELLED" && reason.cause === undefined;
}

function readError(message: Message): unknown {
  try {
    return message.decode();
  } catch (error) {
    return error;
  } finally {
    message[Symbol.dispose]();
  }
}

/** Fits into an item, as an error without a stack. */
function beginningOf(error: unknown): string {
  try {
    return String(error)
      .slice(0, 20)
      .replaceAll(/[^\x20-\x7e]/g, "?");
  } catch {
    return "not to be read";
  }
}

function noEntity(): VdsoError {
  return new VdsoError(
    "ERR_VDSO_NO_ENTITY",
    "expected an open entity with this id, found none: it was closed, or never was",
  );
}

function peerGone(mailbox: number): VdsoError {
  return new VdsoError(
    "ERR_VDSO_PEER_GONE",
    `expected a process that receives in mailbox ${mailbox}, found that it has closed or ended`,
  );
}
