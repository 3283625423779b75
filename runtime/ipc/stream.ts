/** Many answers to one call, with flow control: the server sends as many as there is room for, and waits. */
import { VdsoError } from "../errors.ts";
import { Fifo } from "./fifo.ts";
import type { WaitOptions } from "./guard.ts";
import type { Message } from "./message.ts";
import { MAX_WINDOW } from "./wire.ts";

export interface StreamOptions extends WaitOptions {
  /** Answers that may wait to be read; 1 to 2047. Default: 16. */
  readonly window?: number;
}

const WINDOW = 16;

/** What gets the answers. */
export interface Receiver {
  readonly window: number;
  /** @returns false: more than there was room for */
  push(answer: Message): boolean;
  /** The last one. */
  done(answer: Message): void;
  /** @param isLost - Nobody there has, or keeps, what was sent. */
  fail(error: unknown, isLost: boolean): void;
}

/** What it tells the server. */
export interface Line {
  credit(count: number): void;
  cancel(reason?: unknown): void;
}

/** The answers, one at a time. Leaving a `for await` early cancels the call. */
export class ReplyStream implements AsyncIterableIterator<Message>, Receiver {
  readonly window: number;
  readonly #answers = new Fifo<Message>();
  readonly #readers = new Fifo<PromiseWithResolvers<IteratorResult<Message>>>();
  #line: Line | undefined;
  #owed = 0;
  #over = false;
  #error: unknown;
  #failed = false;

  constructor(window: number = WINDOW) {
    if (!Number.isInteger(window) || window < 1 || window > MAX_WINDOW) {
      throw new VdsoError(
        "ERR_VDSO_ARGUMENT",
        `window: expected a whole number from 1 to ${MAX_WINDOW}, found ${window}`,
      );
    }
    this.window = window;
  }

  connect(line: Line): void {
    this.#line = line;
  }

  push(message: Message): boolean {
    if (this.#over || this.#answers.length >= this.window) {
      message[Symbol.dispose]();
      return this.#over;
    }
    this.#give(message);
    return true;
  }

  #give(message: Message): void {
    const reader = this.#readers.shift();
    if (reader) {
      this.#consumed();
      reader.resolve({ done: false, value: message });
    } else this.#answers.push(message);
  }

  done(last: Message): void {
    const wasOver = this.#over;
    this.#over = true;
    // Most often it says nothing.
    if (wasOver || last.bytes === undefined) last[Symbol.dispose]();
    else this.#give(last);
    this.#end();
  }

  #end(): void {
    this.#over = true;
    for (const reader of this.#readers.drain()) reader.resolve({ done: true, value: undefined });
  }

  fail(error: unknown): void {
    this.#over = true;
    const reader = this.#readers.shift();
    if (reader) reader.reject(error);
    else {
      this.#failed = true;
      this.#error = error;
    }
    this.#end();
  }

  /** Gives back what nobody has read; who reads later gets the error. */
  drop(error: unknown): void {
    for (const message of this.#answers.drain()) message[Symbol.dispose]();
    this.fail(error);
  }

  next(): Promise<IteratorResult<Message>> {
    const value = this.#answers.shift();
    if (value) {
      this.#consumed();
      return Promise.resolve({ done: false, value });
    }
    if (this.#failed) {
      this.#failed = false;
      return Promise.reject(this.#error);
    }
    if (this.#over) return Promise.resolve({ done: true, value: undefined });
    const reader = Promise.withResolvers<IteratorResult<Message>>();
    this.#readers.push(reader);
    return reader.promise;
  }

  return(): Promise<IteratorResult<Message>> {
    const wasOver = this.#over;
    this.#end();
    if (!wasOver) this.#line?.cancel();
    this.#failed = false;
    for (const message of this.#answers.drain()) message[Symbol.dispose]();
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Room is told of by halves of the window, not one by one. */
  #consumed(): void {
    if (++this.#owed * 2 < this.window || this.#over) return;
    this.#line?.credit(this.#owed);
    this.#owed = 0;
  }
}
