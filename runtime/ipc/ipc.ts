/**
 * Messages, calls and streams between processes, with payloads of any size.
 *
 * ```ts
 * import { Heap, Ipc } from "wasm-vdso/ipc";
 * import { attach } from "wasm-vdso/process";
 * import vheap from "wasm-vdso/vdso/vheap";
 * import vnames from "wasm-vdso/vdso/vnames";
 * import vqueue from "wasm-vdso/vdso/vqueue";
 *
 * const ipc = new Ipc({ queues: attach(vqueue), heap: new Heap(attach(vheap)), names: attach(vnames) });
 *
 * // A server.
 * const server = ipc.entity().serve((message) => {
 *   const { a, b } = message.data as { a: number; b: number };
 *   return { sum: a + b };
 * });
 * await ipc.register("adder", server);
 *
 * // A client, in any process.
 * const client = ipc.entity();
 * const answer = await client.call(await ipc.whenNamed("adder"), 1, { a: 20, b: 22 });
 * console.log(answer.data); // { sum: 42 }
 * ```
 */
import type { VnamesApi } from "../../generated/vnames/vnames.js";
import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import { VdsoError } from "../errors.ts";
import { mayBlock } from "../platform/may-block.ts";
import type { EntityId } from "./address.ts";
import { type Codec, structured } from "./codec.ts";
import { Dispatcher, type IpcStats } from "./dispatcher.ts";
import type { Entity } from "./entity.ts";
import type { WaitOptions } from "./guard.ts";
import type { Heap } from "./heap.ts";
import { Names } from "./names.ts";
import type { Delivery } from "./pump.ts";

export interface IpcOptions {
  readonly queues: VqueueApi;
  readonly heap: Heap;
  readonly names: VnamesApi;
  /** For values. Both ends have to use the same. Default: what structured clone knows. */
  readonly codec?: Codec;
  /**
   * How messages get to their receivers. `adaptive` (default): looks for a while after each, then the event loop is woken. `eventLoop`: does not look.
   * `parked`: for threads that do nothing else; blocks the thread instead, which wakes it sooner, as long as only messages are waited for. `polling`: only in
   * {@link Ipc.poll} and in calls that block the thread.
   */
  readonly delivery?: Delivery;
  /**
   * Messages that are kept, since nobody has asked for them yet, and handlers that run: with so many nothing more is taken, and senders wait, unless this
   * process itself waits for an answer. Default: 16384.
   */
  readonly limit?: number;
}

const LIMIT = 16384;
const DELIVERIES: readonly Delivery[] = ["adaptive", "eventLoop", "parked", "polling"];

/** A process's side of all conversations: one per process and attachment of vqueue. */
export class Ipc implements Disposable {
  readonly #dispatcher: Dispatcher;
  readonly #names: Names;
  readonly #registered = new Map<string, Entity>();
  readonly heap: Heap;
  readonly codec: Codec;

  /**
   * @throws VdsoError `ERR_VDSO_NO_MAILBOX` - all mailboxes are in use.
   * @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not APIs that `attach` returned.
   * @throws VdsoError `ERR_VDSO_OPTION` - a limit, or a delivery, that is none.
   */
  constructor({ queues, heap, names, codec = structured, delivery = "adaptive", limit = LIMIT }: IpcOptions) {
    if (!Number.isInteger(limit) || limit < 1) {
      throw new VdsoError("ERR_VDSO_OPTION", `limit: expected a whole number from 1, found ${limit}`);
    }
    if (!DELIVERIES.includes(delivery)) {
      throw new VdsoError("ERR_VDSO_OPTION", `delivery: expected ${DELIVERIES.join(", ")}, found ${delivery}`);
    }
    if (delivery === "parked" && !mayBlock()) {
      throw new VdsoError(
        "ERR_VDSO_OPTION",
        "delivery: expected a thread that may block, for parked, found one that may not",
      );
    }
    this.heap = heap;
    this.codec = codec;
    const onClosed = (entity: Entity): void => this.#forget(entity);
    this.#dispatcher = new Dispatcher(queues, heap, codec, delivery, limit, onClosed, () => this.#names.close());
    this.#names = new Names(names, this.#dispatcher);
  }

  /**
   * Opens an entity: an id of this process that others can send to.
   *
   * @param tag - What kind of thing it is, 0 to 255; part of the id.
   * @throws VdsoError `ERR_VDSO_ENTITY_LIMIT` - 8191 are open.
   */
  entity(tag = 0): Entity {
    return this.#dispatcher.entity(tag);
  }

  /**
   * Gives an entity of this process a name. It ends with {@link unregister}, with the entity, or with the process.
   *
   * @param name - 1 to 64 UTF-16 code units.
   * @throws VdsoError `ERR_VDSO_NAME_TAKEN`, `ERR_VDSO_NO_ROOM`, `ERR_VDSO_NAMES_BUSY`, `ERR_VDSO_CLOSED`
   */
  async register(name: string, entity: Entity): Promise<void> {
    await this.#names.add(name, entity.id);
    if (entity.closed) {
      // While the table of names was busy.
      this.#names.remove(name);
      throw new VdsoError("ERR_VDSO_CLOSED", `name "${name}": expected an open entity, found one that was closed`);
    }
    this.#registered.set(name, entity);
  }

  /** @throws VdsoError `ERR_VDSO_NO_NAME`, `ERR_VDSO_NOT_OWNER` */
  unregister(name: string): void {
    this.#names.remove(name);
    this.#registered.delete(name);
  }

  #forget(entity: Entity): void {
    for (const [name, registered] of this.#registered) {
      if (registered !== entity) continue;
      this.#registered.delete(name);
      // This process may have lost it already.
      if (this.lookup(name) === entity.id) this.#names.remove(name);
    }
  }

  /** The entity with a name, if there is one now. */
  lookup(name: string): EntityId | undefined {
    return this.#names.find(name);
  }

  /** The entity with a name, as soon as there is one. */
  whenNamed(name: string, options: WaitOptions = {}): Promise<EntityId> {
    return this.#names.wait(name, options);
  }

  /** As {@link whenNamed}, blocks the thread: a signal counts before. */
  whenNamedSync(name: string, options: WaitOptions = {}): EntityId {
    return this.#names.waitSync(name, options);
  }

  /** Handles the messages that are there. @returns how many */
  poll(): number {
    return this.#dispatcher.poll();
  }

  /** Blocks the thread until a message may have come, at most so long, and handles it. */
  wait(timeoutMs: number = Number.POSITIVE_INFINITY): void {
    this.#dispatcher.wait(timeoutMs);
  }

  /** Keeps the process alive until what it returns is called. */
  hold(): () => void {
    this.#dispatcher.holdHandler();
    let held = true;
    return () => {
      if (held) this.#dispatcher.releaseHandler();
      held = false;
    };
  }

  /** Runs it when this run of microtasks is over, and before this Ipc blocks the thread or closes. */
  defer(run: () => void): void {
    this.#dispatcher.defer(run);
  }

  /** Calls the listener once, when the process of an entity has closed its Ipc or ended. @returns ends that */
  whenGone(id: EntityId, listener: () => void): () => void {
    return this.#dispatcher.whenGone(id, listener);
  }

  stats(): IpcStats {
    return this.#dispatcher.stats();
  }

  /** Closes all entities and the mailbox. Whoever waits for an answer gets an error at once. */
  close(): void {
    this.#dispatcher.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
