/**
 * Publish and subscribe: what one process publishes, all that subscribe get.
 *
 * ```ts
 * // The process that owns the topic.
 * const prices = await Topic.create<Price>(ipc, "prices");
 * prices.publish({ symbol: "X", price: 17 });
 *
 * // Others.
 * for await (const price of subscribe<Price>(ipc, "prices", { overflow: "dropOldest", limit: 100 })) show(price);
 * await publish(ipc, "prices", { symbol: "X", price: 18 });
 * ```
 *
 * The owner keeps the last value for those who come later, and for each subscriber what it has not read: each chooses how many, and what happens then.
 */
import { VdsoError } from "../errors.ts";
import type { Entity } from "./entity.ts";
import { Fifo } from "./fifo.ts";
import { began, checkOptions, type WaitOptions, within } from "./guard.ts";
import type { Ipc } from "./ipc.ts";
import { IncomingCall, type Message } from "./message.ts";
import { Encoded } from "./wire.ts";

/** What happens when a subscriber has not read so many: the oldest or the newest goes, its publishers wait, or the subscription ends with an error. */
export type Overflow = "dropOldest" | "dropNewest" | "wait" | "fail";

/** `timeoutMs` is for the topic to appear; the signal ends the subscription, too. */
export interface SubscribeOptions extends WaitOptions {
  /** Default: `"dropOldest"`. */
  readonly overflow?: Overflow;
  /** Values that the owner keeps for this subscriber besides those on their way (16 at most). Default: 1024. */
  readonly limit?: number;
}

const Type = { Subscribe: 1, Publish: 2 } as const;
const OVERFLOWS: readonly unknown[] = ["dropOldest", "dropNewest", "wait", "fail"];
const LIMIT = 1024;
const WINDOW = 16;

/** One subscriber, at the owner. */
class Subscription {
  readonly #call: IncomingCall;
  readonly #overflow: Overflow;
  readonly #limit: number;
  readonly #unread = new Fifo<unknown>();
  readonly #onEnd: (ended: Subscription) => void;
  #moved = Promise.withResolvers<void>();
  #over = false;
  dropped = 0;

  constructor(call: IncomingCall, overflow: Overflow, limit: number, onEnd: (ended: Subscription) => void) {
    this.#call = call;
    this.#overflow = overflow;
    this.#limit = limit;
    this.#onEnd = onEnd;
    call.signal.addEventListener("abort", () => this.end());
  }

  /** @returns what to wait for before the next, if anything */
  push(value: unknown): Promise<void> | undefined {
    if (this.#over) return undefined;
    if (this.#unread.length >= this.#limit) {
      if (this.#overflow === "fail") {
        this.end();
        this.#call
          .fail(
            new VdsoError(
              "ERR_VDSO_OVERFLOW",
              `expected a subscriber with at most ${this.#limit} unread values, found more`,
            ),
          )
          .catch(() => undefined);
        return undefined;
      }
      if (this.#overflow !== "wait") this.dropped++;
      if (this.#overflow === "dropNewest") return undefined;
      if (this.#overflow === "dropOldest") this.#unread.shift();
    }
    this.#unread.push(value);
    this.#move();
    return this.#overflow === "wait" && this.#unread.length >= this.#limit ? this.#room() : undefined;
  }

  async #room(): Promise<void> {
    while (!this.#over && this.#unread.length >= this.#limit) await this.#moved.promise;
  }

  #move(): void {
    this.#moved.resolve();
    this.#moved = Promise.withResolvers();
  }

  end(): void {
    this.#over = true;
    this.#onEnd(this);
    this.#move();
  }

  /** Sends what there is as fast as it is read. */
  async *values(): AsyncGenerator<unknown> {
    while (!this.#over || this.#unread.length > 0) {
      if (this.#unread.length === 0) await this.#moved.promise;
      else {
        const value = this.#unread.shift();
        this.#move();
        yield value;
      }
    }
  }
}

/** A topic, at its owner. */
export class Topic<T> implements Disposable {
  readonly #ipc: Ipc;
  readonly #entity: Entity;
  readonly #subscriptions = new Set<Subscription>();
  #last: { readonly value: unknown } | undefined;

  private constructor(ipc: Ipc) {
    this.#ipc = ipc;
    this.#entity = ipc.entity();
    this.#entity.serve((message) => this.#serve(message));
  }

  /**
   * Opens a topic. Keeps the process alive until it is disposed of.
   *
   * @throws VdsoError `ERR_VDSO_NAME_TAKEN`, `ERR_VDSO_NO_ROOM`
   */
  static async create<T>(ipc: Ipc, name: string): Promise<Topic<T>> {
    const topic = new Topic<T>(ipc);
    try {
      await ipc.register(name, topic.#entity);
    } catch (error) {
      topic.#entity.close();
      throw error;
    }
    return topic;
  }

  get subscribers(): number {
    return this.#subscriptions.size;
  }

  /** Values that subscribers with a policy of dropping have missed. */
  get dropped(): number {
    let dropped = 0;
    for (const subscription of this.#subscriptions) dropped += subscription.dropped;
    return dropped;
  }

  /**
   * Gives a value, as it is now, to all subscribers. Resolves when those that want publishers to wait have room for the next; who gives that up has published
   * all the same.
   *
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent; nobody gets anything.
   * @throws VdsoError `ERR_VDSO_CLOSED` - the topic was disposed of, or its Ipc closed.
   */
  async publish(value: T, options: WaitOptions = {}): Promise<void> {
    checkOptions(options);
    if (this.#entity.closed) {
      throw new VdsoError("ERR_VDSO_CLOSED", "expected an open topic, found one that was disposed of");
    }
    const waits = this.#publish(value);
    if (waits) await within("publish", waits, options);
  }

  #publish(published: unknown): Promise<unknown> | undefined {
    const value = this.#snapshot(published);
    this.#last = { value };
    const waits: Promise<void>[] = [];
    for (const subscription of this.#subscriptions) {
      const wait = subscription.push(value);
      if (wait) waits.push(wait);
    }
    return waits.length > 0 ? Promise.all(waits) : undefined;
  }

  /** As it is now: the publisher may change it, and bytes may lie in memory that goes back to their sender. Encoded once, for all subscribers. */
  #snapshot(value: unknown): unknown {
    if (value === undefined) return undefined;
    if (value instanceof Uint8Array) return new Uint8Array(value);
    return new Encoded(new Uint8Array(this.#ipc.codec.encode(value)));
  }

  #serve(message: Message): unknown {
    if (message.type === Type.Publish) return this.#publish(message.data)?.then(() => undefined);
    if (message.type !== Type.Subscribe || !(message instanceof IncomingCall)) {
      throw new VdsoError("ERR_VDSO_GARBAGE", `expected a subscription or a value, found type ${message.type}`);
    }
    const asked = message.data;
    if (!message.streams || !Array.isArray(asked)) {
      throw new VdsoError("ERR_VDSO_GARBAGE", "expected a subscription, found the call of something else");
    }
    const [overflow, limit] = asked as [Overflow, number];
    checkSubscription(overflow, limit);
    const subscription = new Subscription(message, overflow, limit, (ended) => this.#subscriptions.delete(ended));
    this.#subscriptions.add(subscription);
    if (this.#last) subscription.push(this.#last.value);
    return subscription.values();
  }

  [Symbol.dispose](): void {
    if (this.#entity.closed) return;
    for (const subscription of this.#subscriptions) subscription.end();
    this.#entity.close();
  }
}

function checkSubscription(overflow: unknown, limit: number): void {
  if (!OVERFLOWS.includes(overflow)) {
    throw new VdsoError(
      "ERR_VDSO_OPTION",
      `overflow: expected one of ${OVERFLOWS.join(", ")}, found ${String(overflow)}`,
    );
  }
  if (!Number.isInteger(limit) || limit < 1) {
    throw new VdsoError("ERR_VDSO_OPTION", `limit: expected a whole number from 1, found ${limit}`);
  }
}

/**
 * The values of a topic, from the last one that was published before on. Leaving the loop ends the subscription.
 *
 * @throws VdsoError `ERR_VDSO_PEER_GONE`, `ERR_VDSO_NO_ENTITY` - the owner has ended or closed the topic.
 * @throws VdsoError `ERR_VDSO_OVERFLOW` - with `overflow: "fail"`.
 */
export async function* subscribe<T>(ipc: Ipc, name: string, options: SubscribeOptions = {}): AsyncGenerator<T> {
  const { overflow = "dropOldest", limit = LIMIT, ...waits } = options;
  checkSubscription(overflow, limit);
  const owner = await ipc.whenNamed(name, waits);
  using entity = ipc.entity();
  const { signal } = options;
  const values = entity.stream(owner, Type.Subscribe, [overflow, limit], { window: WINDOW, ...(signal && { signal }) });
  for await (const message of values) {
    const { data } = message;
    const value = data instanceof Uint8Array ? new Uint8Array(data) : data;
    message[Symbol.dispose]();
    yield value as T;
  }
}

/** Publishes in a topic of another process. Resolves when its subscribers have it, or room for it. */
export async function publish<T>(ipc: Ipc, name: string, value: T, options: WaitOptions = {}): Promise<void> {
  const left = began(options);
  const owner = await ipc.whenNamed(name, options);
  using entity = ipc.entity();
  using _ = await entity.call(owner, Type.Publish, value, left());
}
