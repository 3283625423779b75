/**
 * Typed services: an object of functions in one process, called from others.
 *
 * ```ts
 * // The server. Its type is all that clients import.
 * const files = {
 *   size: (path: string) => stat(path).size,
 *   async *lines(path: string) { yield* readLines(path); },
 *   async copy(from: string, to: string, progress: (done: number) => void, signal: AbortSignal) { ... },
 * };
 * export type Files = typeof files;
 * await expose(ipc, "files", files);
 *
 * // A client.
 * const files = await connect<Files>(ipc, "files");
 * await files.size("a.txt");
 * for await (const line of files.lines("a.txt")) console.log(line);
 * await files.copy("a", "b", (done) => bar.show(done), AbortSignal.timeout(1000));
 * await withOptions(files, { timeoutMs: 100 }).size("b.txt");
 * ```
 *
 * Arguments and results are copies. Functions among them stay where they are and are called from there, as long as somebody has them; an `AbortSignal`
 * aborts on the other side as well.
 */
import { VdsoError } from "../errors.ts";
import { type EntityId, isOf, mailboxOf } from "./address.ts";
import type { Entity } from "./entity.ts";
import { ignoreGone } from "./entity.ts";
import { checkOptions, type WaitOptions } from "./guard.ts";
import type { Ipc } from "./ipc.ts";
import { membersOnDemand } from "./members.ts";
import { IncomingCall, type Message } from "./message.ts";
import { codeOf, failed, nothing, RemoteCall, type Result, severalOf } from "./remote-call.ts";
import { Substituted } from "./wire.ts";

type AnyFunction = (...args: never[]) => unknown;

type RemoteResult<Result> = [Awaited<Result>] extends [never]
  ? Promise<never>
  : Awaited<Result> extends AsyncIterable<infer Item>
    ? AsyncIterable<Item>
    : Promise<Awaited<Result>>;

/** What a client sees of a service. Functions inside arguments and results have the types that the service gives them: let them return promises there. */
export type Remote<Api> = {
  readonly [Key in keyof Api as NonNullable<Api[Key]> extends AnyFunction ? Key : never]-?: NonNullable<
    Api[Key]
  > extends (...args: infer Args) => infer Result
    ? (...args: Args) => RemoteResult<Result>
    : never;
};

/** A service that is offered, until it is disposed of. */
export interface Service extends Disposable {
  readonly id: EntityId;
}

const Type = { Call: 1, Invoke: 2, Release: 3 } as const;

type Token = readonly ["function", owner: EntityId, id: number] | readonly ["signal"];

/** A process's own end of all services, for the callbacks that it gives away and those that it gets. */
class Endpoint {
  readonly entity: Entity;
  readonly #ipc: Ipc;
  /** Each time that a function is lent has a number of its own: ended twice is ended once. */
  readonly #lent = new Map<number, AnyFunction>();
  /** By borrower's mailbox: what it has not given back. All of it ends with the borrower. */
  readonly #borrowers = new Map<number, Set<number>>();
  readonly #borrowed = new WeakMap<object, Token>();
  /** Functions of others that this process has. When it has one no longer, its owner is told. */
  readonly #released = new FinalizationRegistry<readonly [owner: EntityId, id: number]>(([owner, id]) => {
    if (!this.entity.closed) this.entity.send(owner, Type.Release, id).catch(ignoreGone);
  });
  #lastId = 0;

  constructor(ipc: Ipc) {
    this.#ipc = ipc;
    this.entity = ipc.entity();
    this.entity.serve((message) => this.#serve(message), { keepAlive: false });
  }

  #serve(message: Message): unknown {
    if (message.type === Type.Release) {
      this.release(message.from, message.data as number);
      return undefined;
    }
    const [id, args] = this.request(message, Type.Invoke);
    const run = this.#lent.get(id as number);
    if (!run) throw noMethod(`callback ${described(id)}`);
    return this.answer(run(...args), message.from);
  }

  /**
   * What is called, and with what.
   *
   * @throws VdsoError `ERR_VDSO_GARBAGE` - that is no call.
   */
  request(message: Message, type: number): readonly [subject: unknown, args: never[]] {
    if (message instanceof IncomingCall && message.type === type) {
      const request = this.decode(message, () => message.signal);
      if (Array.isArray(request) && Array.isArray(request[1])) return request as [unknown, never[]];
    }
    throw new VdsoError("ERR_VDSO_GARBAGE", `expected the call of a function, found a message of type ${message.type}`);
  }

  /** The borrower has it no longer, or never got it. */
  release(borrower: EntityId, id: number): void {
    if (this.#borrowers.get(mailboxOf(borrower))?.delete(id)) this.#lent.delete(id);
  }

  #lend(run: AnyFunction, borrower: EntityId): Token {
    const known = this.#borrowed.get(run);
    // Back to where it came from: there it is itself again.
    if (known?.[0] === "function" && mailboxOf(known[1]) === mailboxOf(borrower)) return known;
    const id = ++this.#lastId;
    this.#lent.set(id, run);
    this.#lentTo(borrower).add(id);
    return ["function", this.entity.id, id];
  }

  #lentTo(borrower: EntityId): Set<number> {
    const mailbox = mailboxOf(borrower);
    const known = this.#borrowers.get(mailbox);
    if (known) return known;
    const ids = new Set<number>();
    this.#borrowers.set(mailbox, ids);
    this.#ipc.whenGone(borrower, () => {
      this.#borrowers.delete(mailbox);
      for (const id of ids) this.#lent.delete(id);
    });
    return ids;
  }

  /** With stand-ins for functions and signals. @param lent - Gets the numbers of the functions that were lent with it. */
  encode(
    value: unknown,
    borrower: EntityId,
    onSignal?: (signal: AbortSignal) => void,
    lent: number[] = [],
  ): Substituted {
    const replace = (part: object): Token | undefined => {
      if (typeof part === "function") {
        const token = this.#lend(part as AnyFunction, borrower);
        if (token[0] === "function" && token[1] === this.entity.id) lent.push(token[2]);
        return token;
      }
      if (!(part instanceof AbortSignal) || !onSignal) return undefined;
      onSignal(part);
      return ["signal"];
    };
    return new Substituted(value, replace, () => {
      for (const id of lent) this.release(borrower, id);
    });
  }

  decode(message: Message, signal?: () => AbortSignal): unknown {
    const sender = mailboxOf(message.from);
    return message.decode((part) => {
      const [kind, owner, id] = Array.isArray(part) ? (part as unknown[]) : [];
      if (kind === "signal" && signal) return signal();
      // Its own, or one of ours that comes back.
      if (kind === "function" && Number.isSafeInteger(id) && (owner === this.entity.id || isOf(sender, owner)))
        return this.#borrow(owner, id as number);
      throw new VdsoError(
        "ERR_VDSO_GARBAGE",
        `expected a stand-in for a function or a signal, found ${described(part)} of kind ${described(kind)}`,
      );
    });
  }

  #borrow(owner: EntityId, id: number): AnyFunction {
    // One of our own came back.
    if (owner === this.entity.id) {
      const run = this.#lent.get(id);
      if (!run) throw noMethod(`callback ${id}`);
      return run;
    }
    const borrowed = (...args: unknown[]): Result => this.call(owner, Type.Invoke, id, args);
    this.#borrowed.set(borrowed, ["function", owner, id]);
    this.#released.register(borrowed, [owner, id]);
    return borrowed;
  }

  /** What a function returned, for its caller. */
  answer(result: unknown, caller: EntityId): unknown {
    const several = (result as Partial<Result> | undefined | null)?.[severalOf];
    if (several) return this.#passOn(result as Result, several(), caller);
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === "function") {
      return (result as PromiseLike<unknown>).then((value) => this.answer(value, caller));
    }
    if (isIterable(result)) return this.#answers(result, caller);
    return needsNoCodec(result) ? result : this.encode(result, caller);
  }

  /** What another service returned. */
  async #passOn(result: Result, several: Promise<boolean>, caller: EntityId): Promise<unknown> {
    return (await several) ? this.#answers(result, caller) : this.answer(await result, caller);
  }

  #answers(results: AsyncIterable<unknown>, caller: EntityId): AsyncIterable<unknown> {
    const iterator = results[Symbol.asyncIterator]();
    const encoded = async ({ done, value }: IteratorResult<unknown>): Promise<IteratorResult<unknown>> =>
      done ? { done, value } : { done: false, value: this.encode(await value, caller) };
    // Not a generator: one that waits for the next result could not be left.
    return {
      [Symbol.asyncIterator]: () => ({
        next: async () => encoded(await iterator.next()),
        return: async () => (await iterator.return?.()) ?? { done: true, value: undefined },
      }),
    };
  }

  call(
    to: EntityId,
    type: number,
    subject: unknown,
    args: readonly unknown[],
    options: WaitOptions = {},
    onFail: (error: unknown) => void = nothing,
  ): Result {
    const signals: AbortSignal[] = [];
    const lent: number[] = [];
    const onSignal = (signal: AbortSignal): void => {
      signal.throwIfAborted();
      signals.push(signal);
    };
    const data = this.encode([subject, args], to, onSignal, lent);
    const call = new RemoteCall(
      (answer) => this.decode(answer),
      type === Type.Invoke,
      (error, isLost) => {
        if (isLost) data.undo();
        onFail(error);
      },
    );
    try {
      checkOptions(options);
      call.connect(this.entity.converse(to, type, data, options, call), signals);
    } catch (error) {
      call.fail(ofArguments(error), true);
    }
    return call.result;
  }
}

/** Where something lies in the arguments, not in what is sent. */
function ofArguments(error: unknown): unknown {
  if (!(error instanceof VdsoError) || error.code !== "ERR_VDSO_NOT_CLONABLE") return error;
  return new VdsoError(error.code, error.message.replace(/^value\[1\]\[/, "arguments["), { cause: error.cause });
}
const endpoints = new WeakMap<Ipc, Endpoint>();

function endpointOf(ipc: Ipc): Endpoint {
  const known = endpoints.get(ipc);
  if (known && !known.entity.closed) return known;
  const endpoint = new Endpoint(ipc);
  endpoints.set(ipc, endpoint);
  return endpoint;
}

/**
 * Offers the functions of an object to all processes. Keeps this one alive until the service is disposed of.
 *
 * @throws VdsoError `ERR_VDSO_ARGUMENT` - not an object. `ERR_VDSO_NAME_TAKEN`, `ERR_VDSO_NO_ROOM` - the name cannot be had.
 */
export async function expose(ipc: Ipc, name: string, api: object): Promise<Service> {
  if (Object(api) !== api) {
    throw new VdsoError(
      "ERR_VDSO_ARGUMENT",
      `service "${name}": expected an object with functions, found ${String(api)}`,
    );
  }
  const endpoint = endpointOf(ipc);
  const entity = ipc.entity();
  entity.serve((message) => {
    const [method, args] = endpoint.request(message, Type.Call);
    const isName = typeof method === "string" && !(method in Object.prototype);
    const run = isName ? (api as Record<string, unknown>)[method] : undefined;
    if (typeof run !== "function") throw noMethod(`${described(method)} of service "${name}"`);
    return endpoint.answer(Reflect.apply(run, api, args), message.from);
  });
  try {
    await ipc.register(name, entity);
  } catch (error) {
    entity.close();
    throw error;
  }
  return {
    id: entity.id,
    [Symbol.dispose]() {
      entity.close();
    },
  };
}

/**
 * Waits for a service and returns its functions. After its process has ended, the next call goes to whoever has the name then.
 *
 * @throws VdsoError `ERR_VDSO_TIMEOUT`, and the signal's reason.
 */
export async function connect<Api>(ipc: Ipc, name: string, options: WaitOptions = {}): Promise<Remote<Api>> {
  let id: EntityId | undefined = await ipc.whenNamed(name, options);
  const forget = (error: unknown): void => {
    const code = codeOf(error);
    if (code === "ERR_VDSO_PEER_GONE" || code === "ERR_VDSO_NO_ENTITY") id = undefined;
  };
  const call = (method: string, args: unknown[], waits: WaitOptions): Result => {
    try {
      const endpoint = endpointOf(ipc);
      id ??= ipc.lookup(name);
      if (id !== undefined) return endpoint.call(id, Type.Call, method, args, waits, forget);
    } catch (error) {
      return failed(error);
    }
    return failed(
      new VdsoError("ERR_VDSO_PEER_GONE", `service "${name}": expected a process that offers it, found none`),
    );
  };
  const remoteWith = (waits: WaitOptions): object => {
    const remote = membersOnDemand(
      (method) =>
        (...args: unknown[]) =>
          call(method, args, waits),
    );
    variants.set(remote, (more) => remoteWith({ ...waits, ...more }));
    return remote;
  };
  return remoteWith({}) as Remote<Api>;
}

const variants = new WeakMap<object, (waits: WaitOptions) => object>();

/**
 * The same functions, whose calls are given up by a signal or after a time: until the last result, where there are several.
 *
 * @param remote - what {@link connect} returned
 * @throws VdsoError `ERR_VDSO_ARGUMENT` - it is something else.
 */
export function withOptions<R extends object>(remote: R, options: WaitOptions): R {
  const variant = variants.get(remote);
  if (variant) return variant(options) as R;
  throw new VdsoError("ERR_VDSO_ARGUMENT", "remote: expected what `connect` returned, found something else");
}

function isIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof (value as Partial<AsyncIterable<unknown>> | undefined | null)?.[Symbol.asyncIterator] === "function";
}

function needsNoCodec(value: unknown): boolean {
  return value === undefined || typeof value === "number" || typeof value === "string";
}

/** Of objects nothing: what they say of themselves may be a function of others. */
function described(subject: unknown): string {
  return typeof subject === "string" || typeof subject === "number" ? JSON.stringify(subject) : `a ${typeof subject}`;
}

function noMethod(what: string): VdsoError {
  return new VdsoError("ERR_VDSO_NO_METHOD", `expected a function that is offered, found none: ${what}`);
}
