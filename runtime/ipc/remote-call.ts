/** A call of a service, as its caller sees it: a promise for the result, or the results one by one, whichever is asked for, whenever that is. */
import { VdsoError } from "../errors.ts";
import type { Message } from "./message.ts";
import { type Line, type Receiver, ReplyStream } from "./stream.ts";

const WINDOW = 16;
/** Results that nobody begins to read so long are given up. */
const UNREAD_MS = 30_000;

/** Tells who passes a result on whether it is several. */
export const severalOf: unique symbol = Symbol("several");

/** A promise that can be iterated over instead. */
export type Result = Promise<unknown> & {
  [Symbol.asyncIterator](): AsyncIterableIterator<unknown>;
  /** Are they several, once that is known? For who passes them on. */
  [severalOf]?(): Promise<boolean>;
};

type Ended = { readonly value: unknown } | { readonly error: unknown };

export const nothing = (): void => undefined;

/** One call: a promise for its result, or the results one after the other. */
export class RemoteCall implements Receiver {
  readonly window = WINDOW;
  readonly #decode: (answer: Message) => unknown;
  readonly #onFail: (error: unknown, isLost: boolean) => void;
  readonly #result = Promise.withResolvers<unknown>();
  readonly result: Result;
  #line: Line | undefined;
  /** Of several results, and of those that are read as such. */
  #stream: ReplyStream | undefined;
  /** How it ended before anybody read it so. */
  #end: Ended | undefined;
  #unsignal: (() => void) | undefined;
  /** While several results have come that nobody has begun to read. */
  #unread: ReturnType<typeof setTimeout> | undefined;
  /** Who wants to know whether they are several. */
  #known: PromiseWithResolvers<boolean> | undefined;
  readonly #isCallback: boolean;

  constructor(
    decode: (answer: Message) => unknown,
    isCallback: boolean,
    onFail: (error: unknown, isLost: boolean) => void,
  ) {
    this.#decode = decode;
    this.#isCallback = isCallback;
    this.#onFail = onFail;
    this.result = this.#result.promise as Result;
    this.result[Symbol.asyncIterator] = () => this.#read();
    this.result[severalOf] = () => this.#isSeveral();
  }

  async #isSeveral(): Promise<boolean> {
    if (this.#stream || this.#end) return this.#stream !== undefined;
    this.#known ??= Promise.withResolvers();
    return await this.#known.promise;
  }

  connect(line: Line, signals: readonly AbortSignal[]): void {
    this.#line = line;
    if (signals.length === 0) return;
    const signal = AbortSignal.any([...signals]);
    const abort = (): void => line.cancel(signal.reason);
    // By another argument, since it was looked at.
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    this.#unsignal = () => signal.removeEventListener("abort", abort);
  }

  push(answer: Message): boolean {
    if (!this.#stream) {
      this.#several();
      this.#unread = setTimeout(() => this.#drop(), UNREAD_MS);
      (this.#unread as { unref?(): void }).unref?.();
    }
    return this.#stream!.push(answer);
  }

  /** Nobody has begun to read. */
  #drop(error: unknown = severalResults()): void {
    clearTimeout(this.#unread);
    this.#unread = undefined;
    this.#line?.cancel(error);
    this.#stream?.drop(error);
  }

  #several(): ReplyStream {
    this.#stream = new ReplyStream(this.window);
    this.#stream.connect({
      credit: (count) => this.#line?.credit(count),
      cancel: (reason) => this.#line?.cancel(reason),
    });
    this.#known?.resolve(true);
    // May be read later; then the errors are, too.
    this.result.catch(nothing);
    this.#result.reject(severalResults());
    return this.#stream;
  }

  done(answer: Message): void {
    this.#unsignal?.();
    if (this.#stream) {
      this.#stream.done(answer);
      return;
    }
    // The result may outlive young memory: what it leads to would be taken along, and each call after the last.
    this.#line = undefined;
    this.#known?.resolve(false);
    try {
      this.#end = { value: this.#decode(answer) };
      this.#result.resolve(this.#end.value);
    } catch (error) {
      this.#end = { error };
      this.#result.reject(error);
    } finally {
      answer[Symbol.dispose]();
    }
  }

  fail(error: unknown, isLost: boolean): void {
    this.#unsignal?.();
    const isClosed = codeOf(error) === "ERR_VDSO_CLOSED";
    // Whoever calls back somebody who has gone learns of that by other means.
    if (this.#isCallback && (isLost || isClosed)) this.result.catch(nothing);
    if (!this.#stream) this.#end = { error };
    else if (this.#unread !== undefined && isClosed) this.#drop(error);
    else this.#stream.fail(error);
    this.#known?.resolve(this.#stream !== undefined);
    this.#result.reject(error);
    this.#onFail(error, isLost);
  }

  /** The results one by one. Not a generator: one that has not begun cannot be left. */
  #read(): AsyncIterableIterator<unknown> {
    clearTimeout(this.#unread);
    this.#unread = undefined;
    if (this.#end) {
      // Whoever reads the results gets the errors, too.
      this.result.catch(nothing);
      return listOf(this.#end);
    }
    const stream = this.#stream ?? this.#several();
    return {
      next: async () => {
        const { done, value: answer } = await stream.next();
        if (done) return { done, value: undefined };
        try {
          return { done: false, value: this.#decode(answer) };
        } catch (error) {
          await stream.return();
          throw error;
        } finally {
          answer[Symbol.dispose]();
        }
      },
      return: async () => {
        await stream.return();
        return { done: true, value: undefined };
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }
}

async function* listOf(end: Ended): AsyncGenerator<unknown> {
  if ("error" in end) throw end.error;
  // As many as functions return that return nothing.
  if (end.value !== undefined) yield end.value;
}

/** A call that was not made. */
export function failed(error: unknown): Result {
  const result = Promise.reject(error) as Result;
  result[Symbol.asyncIterator] = () => {
    result.catch(nothing);
    return listOf({ error });
  };
  return result;
}

function severalResults(): VdsoError {
  return new VdsoError(
    "ERR_VDSO_STREAM",
    "expected one result, found several: read them with `for await` instead of `await`",
  );
}

/** Of errors as they were made here, or copied: others may say, or do, anything when they are asked. */
export function codeOf(error: unknown): unknown {
  return error instanceof VdsoError ? error.code : undefined;
}
