/** One end of conversations: what a process has an id for. */

import { VdsoError } from "../errors.ts";
import { nowMs } from "../platform/clock.ts";
import { type EntityId, tagOf } from "./address.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { Fifo } from "./fifo.ts";
import { type CallOptions, checkOptions, guard, timedOut, type WaitOptions } from "./guard.ts";
import { giveBack } from "./heap.ts";
import { DONE, IncomingCall, LATER, type Message, noStream } from "./message.ts";
import { type Line, type Receiver, ReplyStream, type StreamOptions } from "./stream.ts";
import { report } from "./turn.ts";

/** Gets every message; what it returns answers a call, what it throws fails it. The message is disposed of when it has ended. */
export type Handler = (message: Message | IncomingCall) => unknown;

interface Waiter {
  readonly order: number;
  /** Gave up: the next is asked instead. */
  over: boolean;
  take(message: Message): void;
  refuse(error: unknown): void;
}

interface Kept {
  readonly order: number;
  readonly message: Message;
}

/** Any type. */
const ANY = -1;
/** Types whose queues of waiters stay when they are empty. */
const FEW_TYPES = 64;

export class Entity implements Disposable {
  readonly id: EntityId;
  readonly local: number;
  readonly #dispatcher: Dispatcher;
  readonly #kept = new Map<number, Fifo<Kept>>();
  readonly #waiters = new Map<number, Fifo<Waiter>>();
  #keptCount = 0;
  #waiting = 0;
  #order = 0;
  #handler: Handler | undefined;
  #keepsAlive = false;
  #closed = false;

  /** Made by `ipc.entity()`. */
  constructor(dispatcher: Dispatcher, id: EntityId, local: number) {
    this.#dispatcher = dispatcher;
    this.id = id;
    this.local = local;
  }

  get tag(): number {
    return tagOf(this.id);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Sends a message. Messages of one process to another arrive in the order of their sends. Resolves when it lies in the receiver's mailbox,
   * at once unless that is full.
   *
   * @param type - A number from 0 to 2^32 - 1, for the receiver to choose by.
   * @param data - Bytes; a loan, which is handed over; nothing; anything else goes through the codec.
   * @throws VdsoError `ERR_VDSO_PEER_GONE` - the receiver's process has closed or ended. A loan stays with the caller, unless it went with a process that ended in this moment.
   * @throws VdsoError `ERR_VDSO_BAD_ENTITY` - not an id. `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent.
   * @throws VdsoError `ERR_VDSO_OUT_OF_MEMORY`, `ERR_VDSO_HEAP_SIZE` - the heap has no room for it, or never has.
   */
  send(to: EntityId, type: number, data?: unknown, options: WaitOptions = {}): Promise<void> {
    try {
      this.#checkOpen();
      checkType(type);
      checkOptions(options);
      return this.#dispatcher.send(this.local, to, type, data, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Sends a message, or returns false when the receiver's mailbox is full; a loan then has another handle. Otherwise as {@link send}. */
  trySend(to: EntityId, type: number, data?: unknown): boolean {
    this.#checkOpen();
    checkType(type);
    return this.#dispatcher.trySend(this.local, to, type, data);
  }

  /**
   * Sends a message and waits for its answer. Dispose of the answer when it carries many bytes.
   *
   * @throws VdsoError `ERR_VDSO_PEER_GONE`, `ERR_VDSO_NO_ENTITY` - the server has closed or ended, before the call or during it.
   * @throws VdsoError `ERR_VDSO_TIMEOUT` - and the signal's reason; the server learns of both.
   * @throws - a copy of whatever the server failed with; what {@link send} throws.
   */
  call(to: EntityId, type: number, data?: unknown, options: CallOptions = {}): Promise<Message> {
    try {
      this.#checkOpen();
      checkType(type);
      checkOptions(options);
      return this.#dispatcher.call(this.local, to, type, data, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** As {@link call}, blocks the thread. Other messages that arrive meanwhile are kept or started, as ever; only their handlers can fire a signal. */
  callSync(to: EntityId, type: number, data?: unknown, options: WaitOptions = {}): Message {
    this.#checkOpen();
    checkType(type);
    checkOptions(options);
    return this.#dispatcher.callSync(this.local, to, type, data, options);
  }

  /** Sends a message and gives its answers as they come. The server is ahead of the reader by `window` at most. */
  stream(to: EntityId, type: number, data?: unknown, options: StreamOptions = {}): ReplyStream {
    this.#checkOpen();
    checkType(type);
    checkOptions(options);
    const stream = new ReplyStream(options.window);
    stream.connect(this.converse(to, type, data, options, stream));
    return stream;
  }

  /** As {@link stream}, for a receiver of one's own. */
  converse(to: EntityId, type: number, data: unknown, options: WaitOptions, receiver: Receiver): Line {
    this.#checkOpen();
    return this.#dispatcher.converse(this.local, to, type, data, options, receiver);
  }

  /** Waits for the next message of a type; waiters of a type are served in their order. What nobody waits for is kept. */
  recv(type: number, options: WaitOptions = {}): Promise<Message> {
    try {
      checkType(type);
      return this.#receive(type, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Waits for the next message of any type. */
  recvAny(options: WaitOptions = {}): Promise<Message> {
    try {
      return this.#receive(ANY, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The next message of a type, or of any, if there is one; looks into the mailbox as well. */
  tryRecv(type?: number): Message | undefined {
    this.#checkOpen();
    const found = this.#takeKept(type ?? ANY);
    if (found) return found;
    this.#dispatcher.poll();
    return this.#takeKept(type ?? ANY);
  }

  /** As {@link recv}, or {@link recvAny} without a type; blocks the thread. Only handlers that run meanwhile can fire a signal. */
  recvSync(type?: number, options: WaitOptions = {}): Message {
    checkOptions(options);
    const { signal, timeoutMs = Number.POSITIVE_INFINITY } = options;
    const ends = nowMs() + timeoutMs;
    for (;;) {
      const message = this.tryRecv(type);
      if (message) return message;
      signal?.throwIfAborted();
      const left = ends - nowMs();
      if (left <= 0) throw timedOut("recvSync", timeoutMs);
      this.#dispatcher.wait(left);
    }
  }

  #receive(type: number, options: WaitOptions): Promise<Message> {
    this.#checkOpen();
    checkOptions(options);
    const found = this.#takeKept(type);
    if (found) return Promise.resolve(found);
    const { promise, resolve, reject } = Promise.withResolvers<Message>();
    const waiters = this.#waiters.get(type) ?? new Fifo<Waiter>();
    this.#waiters.set(type, waiters);
    const end = (): void => {
      waiter.over = true;
      this.#waiting--;
      this.#dispatcher.release();
      unguard?.();
    };
    const waiter: Waiter = {
      order: this.#order++,
      over: false,
      take(message) {
        end();
        resolve(message);
      },
      refuse: (error) => {
        end();
        waiters.lapse(({ over }) => !over);
        this.#forget(type, waiters);
        reject(error);
      },
    };
    waiters.push(waiter);
    this.#waiting++;
    this.#dispatcher.hold();
    const unguard = guard("recv", options, waiter.refuse);
    return promise;
  }

  /**
   * Hands all messages to a function from now on, those that were kept first.
   *
   * @param keepAlive - Keeps the process alive until {@link close}. Default: yes.
   */
  serve(handler: Handler, { keepAlive = true } = {}): this {
    this.#checkOpen();
    if (keepAlive && !this.#keepsAlive) {
      this.#keepsAlive = true;
      this.#dispatcher.holdHandler();
    }
    this.#handler = handler;
    for (let message = this.#takeKept(ANY); message; message = this.#takeKept(ANY)) this.#start(message, handler);
    return this;
  }

  /** A message has arrived. */
  deliver(message: Message): void {
    if (this.#handler) {
      this.#start(message, this.#handler);
      return;
    }
    const waiter = this.#waiting > 0 ? this.#nextWaiter(message.type) : undefined;
    if (waiter) {
      waiter.take(message);
      return;
    }
    const kept = this.#kept.get(message.type) ?? new Fifo<Kept>();
    this.#kept.set(message.type, kept);
    kept.push({ order: this.#order++, message });
    this.#keptCount++;
    this.#dispatcher.kept++;
  }

  #nextWaiter(type: number): Waiter | undefined {
    const own = firstWaiter(this.#waiters.get(type));
    const any = firstWaiter(this.#waiters.get(ANY));
    const from = any && (!own || any.order < own.order) ? ANY : type;
    const waiters = this.#waiters.get(from);
    const waiter = waiters?.shift();
    if (waiters) this.#forget(from, waiters);
    return waiter;
  }

  /** Types may be numbers that are used once. */
  #forget(type: number, waiters: Fifo<Waiter>): void {
    if (waiters.length === 0 && this.#waiters.size > FEW_TYPES && this.#waiters.get(type) === waiters)
      this.#waiters.delete(type);
  }

  #takeKept(type: number): Message | undefined {
    if (this.#keptCount === 0) return undefined;
    const from = type === ANY ? this.#oldest() : type;
    const queue = this.#kept.get(from);
    const message = queue?.shift()?.message;
    if (!message) return undefined;
    if (queue?.length === 0) this.#kept.delete(from);
    this.#keptCount--;
    this.#dispatcher.unkeep();
    return message;
  }

  #oldest(): number {
    let [oldest, order] = [ANY, Number.POSITIVE_INFINITY];
    for (const [type, queue] of this.#kept) {
      const first = queue.peek()?.order ?? Number.POSITIVE_INFINITY;
      if (first < order) [oldest, order] = [type, first];
    }
    return oldest;
  }

  #start(message: Message, handler: Handler): void {
    this.#dispatcher.kept++;
    let result: unknown;
    let later: Promise<unknown> | undefined;
    try {
      result = handler(message);
      // A promise: whatever it is, it settles once.
      if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") later = Promise.resolve(result);
    } catch (error) {
      this.#fail(message, error);
      return;
    }
    if (later) {
      later.then(
        (value) => this.#finish(message, value),
        (error: unknown) => this.#fail(message, error),
      );
    } else this.#finish(message, result);
  }

  #finish(message: Message, result: unknown): void {
    if (message instanceof IncomingCall) message.standing = result === LATER;
    if (!(message instanceof IncomingCall) || message.answered || result === LATER) {
      this.#over(message);
      return;
    }
    let results: AsyncIterator<unknown> | undefined;
    try {
      results = isIterable(result) ? result[Symbol.asyncIterator]() : undefined;
    } catch (error) {
      this.#fail(message, error);
      return;
    }
    if (results) {
      this.#feed(message, results).then(
        () => this.#over(message),
        (error: unknown) => this.#fail(message, error),
      );
      return;
    }
    // Before what it may be a view of is given back.
    const sent = message.reply(result);
    this.#over(message);
    if (sent === DONE) return;
    sent
      .catch((error: unknown) => {
        giveBack(result);
        return message.answered ? undefined : message.fail(error);
      })
      .catch(ignoreGone);
  }

  /** Until all results are sent, or nobody wants them any more: that may be long before the next one is there. */
  #feed(call: IncomingCall, iterator: AsyncIterator<unknown>): Promise<void> {
    const { signal, streams } = call;
    return new Promise((resolve, reject) => {
      const leave = (reason: unknown): void => {
        (async () => iterator.return?.())().catch(() => undefined);
        reject(reason);
      };
      if (!streams) leave(noStream());
      else if (signal.aborted) leave(signal.reason);
      else {
        const abort = (): void => leave(signal.reason);
        signal.addEventListener("abort", abort, { once: true });
        sendAll(call, iterator)
          .then(resolve, reject)
          .finally(() => signal.removeEventListener("abort", abort));
      }
    });
  }

  #fail(message: Message, error: unknown): void {
    const answers = message instanceof IncomingCall && !message.answered;
    this.#over(message);
    if (answers) message.fail(error).catch(ignoreGone);
    else if ((error as Partial<VdsoError> | undefined)?.code === "ERR_VDSO_GARBAGE") this.#dispatcher.countRefused();
    else if (!(message instanceof IncomingCall)) report(error);
  }

  #over(message: Message): void {
    message[Symbol.dispose]();
    this.#dispatcher.unkeep();
  }

  /** Refuses what comes from now on. Whoever waits for it or for an answer of it gets `ERR_VDSO_NO_ENTITY`, own waits `ERR_VDSO_CLOSED`. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    const error = new VdsoError("ERR_VDSO_CLOSED", "expected an open entity, found one that was closed");
    for (const waiters of this.#waiters.values()) {
      for (const waiter of waiters.drain()) if (!waiter.over) waiter.refuse(error);
    }
    for (let kept = this.#takeKept(ANY); kept; kept = this.#takeKept(ANY)) kept[Symbol.dispose]();
    this.#dispatcher.remove(this, error);
    if (this.#keepsAlive) this.#dispatcher.releaseHandler();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#closed) throw new VdsoError("ERR_VDSO_CLOSED", "expected an open entity, found one that was closed");
  }
}

async function sendAll(call: IncomingCall, iterator: AsyncIterator<unknown>): Promise<void> {
  for await (const result of { [Symbol.asyncIterator]: () => iterator }) {
    try {
      await call.answer(result);
    } catch (error) {
      giveBack(result);
      throw error;
    }
  }
  if (!call.answered) await call.reply();
}

function firstWaiter(waiters: Fifo<Waiter> | undefined): Waiter | undefined {
  while (waiters?.peek()?.over) waiters.shift();
  return waiters?.peek();
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof (value as Partial<AsyncIterable<unknown>> | undefined | null)?.[Symbol.asyncIterator] === "function";
}

function checkType(type: number): void {
  if (type >>> 0 === type) return;
  throw new VdsoError("ERR_VDSO_ARGUMENT", `type: expected a whole number from 0 to ${2 ** 32 - 1}, found ${type}`);
}

/** A caller that has gone needs no answer. */
export function ignoreGone(error: unknown): void {
  if (!isGone(error)) throw error;
}

export function isGone(error: unknown): boolean {
  const code = (error as Partial<VdsoError> | undefined)?.code;
  return code === "ERR_VDSO_PEER_GONE" || code === "ERR_VDSO_CLOSED" || code === "ERR_VDSO_CANCELLED";
}
