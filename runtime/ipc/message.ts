/** What arrived: a message, a call, or an answer to one. */
import { VdsoError } from "../errors.ts";
import type { EntityId } from "./address.ts";
import type { Numbered } from "./calls.ts";
import type { Codec, Revive } from "./codec.ts";
import { began, checkOptions, guard, type WaitOptions } from "./guard.ts";
import type { Loan } from "./heap.ts";
import { Form, Kind } from "./wire.ts";

/** How a call is answered: the dispatcher's side of it. */
export interface Answering {
  /** @returns when the answer is on its way */
  answer(call: IncomingCall, kind: AnswerKind, data: unknown, options: WaitOptions): Promise<void>;
  /** One that was on its way was not sent after all, and its entity has closed. */
  takenBack(call: IncomingCall): void;
}

export type AnswerKind = typeof Kind.Answer | typeof Kind.Reply | typeof Kind.Failure | typeof Kind.Refusal;

/** What was sent at once: nobody has to wait, and nothing can fail any more. */
export const DONE: Promise<void> = Promise.resolve();

/** One object for all answers. */
const FOR_EVER: WaitOptions = {};

/** What a handler returns that answers later by itself: the call is none of those that it works on. */
export const LATER: unique symbol = Symbol("later");

/** Up to here values are copied to where the last one was: memory for each would cost more than the copy. */
const COPY_BYTES = 16384;
let idleCopy: Uint8Array | undefined = new Uint8Array(COPY_BYTES);

/** A message that was received. `using` gives back what it holds; so does reading a value. */
export class Message implements Disposable {
  /** Who sent it. Only as honest as the sender. */
  readonly from: EntityId;
  /** What the sender gave as its type. */
  readonly type: number;
  readonly #codec: Codec;
  readonly #form: Form;
  #bytes: Uint8Array | undefined;
  #loan: Loan | undefined;
  #value: unknown;
  #read = false;
  #broken: { readonly error: unknown } | undefined;

  /** Made by the dispatcher. */
  constructor(
    from: EntityId,
    type: number,
    codec: Codec,
    form: Form,
    bytes: Uint8Array | undefined,
    loan: Loan | undefined,
  ) {
    this.from = from;
    this.type = type;
    this.#codec = codec;
    this.#form = form;
    this.#bytes = bytes;
    this.#loan = loan;
  }

  /**
   * What was sent: undefined, bytes, or a value. Bytes beyond 64 lie in shared memory until the message is disposed of.
   *
   * @throws VdsoError `ERR_VDSO_GARBAGE` - the sender wrote no value.
   */
  get data(): unknown {
    return this.#form === Form.Value ? this.decode() : this.bytes;
  }

  /** The bytes that were sent; a value's are the codec's. */
  get bytes(): Uint8Array | undefined {
    return this.#bytes ?? this.#loan?.bytes;
  }

  /** The value, with its stand-ins replaced; read once. */
  decode(revive?: Revive): unknown {
    if (this.#read) return this.#value;
    if (this.#broken) throw this.#broken.error;
    const shared = this.#loan?.bytes;
    if (this.#form !== Form.Value) return shared ? new Uint8Array(shared) : this.#bytes;
    if (!shared && !this.#bytes) return undefined;
    try {
      this.#value = shared ? this.#decodeCopy(shared, revive) : this.#codec.decode(this.#bytes!, revive);
      this.#read = true;
    } catch (error) {
      this.#broken = { error };
      throw error;
    } finally {
      this[Symbol.dispose]();
    }
    return this.#value;
  }

  /** The sender can still write what it lent: decoded is what was copied before. */
  #decodeCopy(shared: Uint8Array, revive: Revive | undefined): unknown {
    const own = shared.length <= COPY_BYTES ? idleCopy : undefined;
    if (!own) return this.#codec.decode(new Uint8Array(shared), revive);
    // Decoding may decode another message.
    idleCopy = undefined;
    try {
      own.set(shared);
      return this.#codec.decode(own.subarray(0, shared.length), revive);
    } finally {
      idleCopy = own;
    }
  }

  /** The buffer that came with the message, to keep: the message does not give it back any more. Undefined when the bytes were few. */
  takeLoan(): Loan | undefined {
    const loan = this.#loan;
    this.#loan = undefined;
    return loan;
  }

  [Symbol.dispose](): void {
    this.#loan?.[Symbol.dispose]();
    this.#loan = undefined;
  }
}

/** A message whose sender waits for an answer. */
export class IncomingCall extends Message implements Numbered<IncomingCall> {
  /** The caller's number for it. */
  readonly call: number;
  /** See {@link Numbered}. */
  next: IncomingCall | undefined;
  /** Mailbox of the caller. */
  readonly mailbox: number;
  /** The entity that was called. */
  readonly to: number;
  /** Answers that the caller takes; 0: one. */
  readonly window: number;
  /** It stands for a connection: nobody works on it. */
  standing = false;
  readonly #answering: Answering;
  #abort: AbortController | undefined;
  #lost: VdsoError | undefined;
  #answered = false;
  #credit: number;
  /** Who waits for credit, in order: gets it, or hears that there is none any more. */
  #waiting: Set<() => void> | undefined;

  constructor(
    answering: Answering,
    call: number,
    mailbox: number,
    to: number,
    window: number,
    from: EntityId,
    type: number,
    codec: Codec,
    form: Form,
    bytes: Uint8Array | undefined,
    loan: Loan | undefined,
  ) {
    super(from, type, codec, form, bytes, loan);
    this.#answering = answering;
    this.call = call;
    this.mailbox = mailbox;
    this.to = to;
    this.window = window;
    this.#credit = window;
  }

  get answered(): boolean {
    return this.#answered;
  }

  /** Does the caller take several answers? */
  get streams(): boolean {
    return this.window > 0;
  }

  /** Fires when the caller cancels, closes or ends. Of `ERR_VDSO_CANCELLED` the `cause` is a copy of the caller's reason. */
  get signal(): AbortSignal {
    this.#abort ??= new AbortController();
    if (this.#lost) this.#abort.abort(this.#lost);
    return this.#abort.signal;
  }

  /**
   * Answers; the last word to this caller. Resolves when the answer lies in the caller's mailbox, at once unless that is full. When the caller has gone,
   * nothing happens; a loan is given back then. What fails, or is given up, was not sent: the call is still unanswered.
   *
   * @throws VdsoError `ERR_VDSO_ANSWERED` - it was answered before.
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - this cannot be sent.
   * @throws VdsoError `ERR_VDSO_TIMEOUT`, and the signal's reason.
   */
  reply(data?: unknown, options: WaitOptions = FOR_EVER): Promise<void> {
    return this.#end(Kind.Reply, data, options);
  }

  /** Answers with an error: the call rejects with a copy of it, stack and code included. Otherwise as {@link reply}. */
  fail(error: unknown, options: WaitOptions = FOR_EVER): Promise<void> {
    return this.#end(Kind.Failure, error, options);
  }

  /** For the dispatcher: nobody got the call, or whoever did has closed. */
  refuse(error: VdsoError): Promise<void> {
    return this.#end(Kind.Refusal, error, FOR_EVER);
  }

  /**
   * Sends one answer of several; {@link reply} ends them. Resolves when the caller has room for the next. What fails, or is given up, was not sent.
   *
   * @throws VdsoError `ERR_VDSO_ANSWERED` - ended before. `ERR_VDSO_NO_STREAM` - the caller wants one answer.
   * @throws VdsoError `ERR_VDSO_CANCELLED`, `ERR_VDSO_PEER_GONE` - the caller takes no more.
   * @throws VdsoError `ERR_VDSO_TIMEOUT`, and the signal's reason.
   */
  async answer(data?: unknown, options: WaitOptions = FOR_EVER): Promise<void> {
    if (this.#answered) throw answered();
    if (!this.streams) throw noStream();
    checkOptions(options);
    const left = began(options);
    if (this.#lost) throw this.#lost;
    if (this.#credit > 0) this.#credit--;
    else await this.#granted(left());
    if (this.#lost) throw this.#lost;
    if (this.#answered) throw answered();
    try {
      await this.#answering.answer(this, Kind.Answer, data, left());
    } catch (error) {
      this.addCredit(1);
      throw error;
    }
  }

  #granted(options: WaitOptions): Promise<void> {
    this.#waiting ??= new Set();
    const waiting = this.#waiting;
    return new Promise((resolve, reject) => {
      const end = (): void => {
        unguard?.();
        waiting.delete(end);
        resolve();
      };
      waiting.add(end);
      const unguard = guard("answer", options, (reason) => {
        reject(reason);
        end();
      });
    });
  }

  #wake(): void {
    if (this.#waiting) for (const end of this.#waiting) end();
  }

  #end(kind: AnswerKind, data: unknown, options: WaitOptions): Promise<void> {
    if (this.#answered) return Promise.reject(answered());
    this.#answered = true;
    this.#wake();
    try {
      if (options !== FOR_EVER) checkOptions(options);
      const sent = this.#answering.answer(this, kind, data, options);
      return sent === DONE ? DONE : sent.catch((error: unknown) => this.#takeBack(kind, error));
    } catch (error) {
      return this.#takeBack(kind, error);
    }
  }

  #takeBack(kind: AnswerKind, error: unknown): Promise<never> {
    this.#answered = false;
    if (kind !== Kind.Refusal && this.#lost?.code === "ERR_VDSO_CLOSED") this.#answering.takenBack(this);
    return Promise.reject(error);
  }

  /** The caller has room for so many more. */
  addCredit(count: number): void {
    this.#credit = Math.min(this.#credit + count, this.window);
    if (!this.#waiting) return;
    for (const grant of this.#waiting) {
      if (this.#credit === 0) break;
      this.#credit--;
      grant();
    }
  }

  /** Nobody waits for an answer any more, or nobody works on it: of `ERR_VDSO_CLOSED` the entity has closed. */
  lose(reason: VdsoError): void {
    if (this.#lost) return;
    this.#lost = reason;
    this.#abort?.abort(reason);
    this.#wake();
  }
}

export function noStream(): VdsoError {
  return new VdsoError("ERR_VDSO_NO_STREAM", "expected a caller that takes several answers, found one that takes one");
}

function answered(): VdsoError {
  return new VdsoError("ERR_VDSO_ANSWERED", "expected a call that waits for its answer, found one that was answered");
}
