/**
 * Mailboxes over vqueue: bounded queues of 88-byte items between processes.
 *
 * ```ts
 * import { Mailboxes } from "wasm-vdso/ipc";
 * import { attach } from "wasm-vdso/process";
 * import vqueue from "wasm-vdso/vdso/vqueue";
 *
 * const mailboxes = new Mailboxes(attach(vqueue));
 * using inbox = mailboxes.register({ policy: "wait" });
 * // elsewhere: await mailboxes.open(id).send({ messageType: 7, data: new Uint8Array([1, 2, 3]) });
 * for await (const item of inbox) console.log(item.messageType, item.bytes());
 * ```
 */
import { Policy, Status, type VqueueApi, Watch } from "../../generated/vqueue/vqueue.js";
import { VdsoError } from "../errors.ts";
import { pidOf, vvarOf } from "../loader/attach.ts";
import { nowMs } from "../platform/clock.ts";
import { FIRST_ADDRESS, failure, isOver } from "./failure.ts";
import { checkOptions, type WaitOptions } from "./guard.ts";
import { checkLength, Item, type Message, read, type Views, viewsOf, write } from "./item.ts";
import { Waiter } from "./waiter.ts";

export type { WaitOptions } from "./guard.ts";
export { DATA_BYTES, type Item, type Message } from "./item.ts";

/** What a sender meets when the mailbox is full: an error, a wait, or room because the oldest item is dropped (and counted). */
export type FullPolicy = "fail" | "wait" | "drop-oldest";

const POLICIES: Readonly<Record<FullPolicy, Policy>> = {
  fail: Policy.Fail,
  wait: Policy.Wait,
  "drop-oldest": Policy.DropOldest,
};

export interface RegisterOptions {
  /** Default: `"fail"`. */
  readonly policy?: FullPolicy;
  /** May every other process receive as well, without {@link Mailbox.share}? Default: false. */
  readonly anyone?: boolean;
}

export interface SendOptions extends WaitOptions {
  /** Overtakes all that is not urgent. Default: false. */
  readonly urgent?: boolean;
}

/** What the mailboxes of one attachment share. */
interface Shared {
  readonly api: VqueueApi;
  readonly views: Views;
  readonly waiter: Waiter;
  /** Default sender of messages. */
  readonly pid: number;
}

/** The mailboxes of one attachment to a vqueue image. */
export class Mailboxes {
  readonly #shared: Shared;

  /**
   * @param vvar - The attachment's vVAR.
   * @param pid - Sender to write into messages that name none.
   * @throws VdsoError `ERR_VDSO_NOT_ATTACHED` - not an API that `attach` returned.
   */
  constructor(api: VqueueApi, vvar: ArrayBufferLike = vvarOf(api), pid = pidOf(api)) {
    const views = viewsOf(vvar);
    this.#shared = { api, views, waiter: new Waiter(api, views.i32), pid };
  }

  /**
   * Registers a mailbox that this process receives from.
   *
   * @throws VdsoError `ERR_VDSO_MAILBOX_TABLE` - all are in use.
   */
  register({ policy = "fail", anyone = false }: RegisterOptions = {}): Mailbox {
    const number = POLICIES[policy];
    if (number === undefined) {
      const found = JSON.stringify(policy);
      throw new VdsoError("ERR_VDSO_OPTION", `register: expected "fail", "wait" or "drop-oldest", found ${found}`);
    }
    const id = this.#shared.api.register(number, anyone);
    if (id < FIRST_ADDRESS) throw failure(id, "register");
    return new Mailbox(id, this.#shared);
  }

  /**
   * A mailbox by its id, to send to, or to receive from if its owner shared it.
   *
   * @throws VdsoError `ERR_VDSO_MAILBOX_ID`, `ERR_VDSO_STALE_HANDLE`, `ERR_VDSO_MAILBOX_CLOSED`, `ERR_VDSO_MAILBOX_CORRUPT` - it cannot be used.
   */
  open(id: number): Mailbox {
    const status = this.#shared.api.statusOf(id);
    if (status !== Status.Ok) throw failure(status, `mailbox ${id}`);
    return new Mailbox(id, this.#shared);
  }

  /**
   * Waits until one of several mailboxes has an item, or is closed; returns that one.
   *
   * @throws VdsoError `ERR_VDSO_ARGUMENT` - no mailbox, or a time-out that is none; `ERR_VDSO_MAILBOX_FOREIGN` - one is not this process's;
   * `ERR_VDSO_TIMEOUT`; the signal's reason.
   */
  async select(mailboxes: readonly Mailbox[], options: WaitOptions = {}): Promise<Mailbox> {
    checkSome(mailboxes);
    const { api, waiter } = this.#shared;
    const targets = mailboxes.map(({ id }) => ({ mailbox: id, what: Watch.Item }));
    const attempt = (): Mailbox | undefined =>
      mailboxes.find(({ id }) => {
        const status = api.waitForItem(id, 0);
        if (status === Status.Foreign) throw failure(status, `mailbox ${id}: select`);
        return status !== Status.Empty && status !== Status.TimedOut;
      });
    return waiter.until(targets, attempt, "select", options);
  }

  /** The same, and blocks this thread. Returns `undefined` when time is up. */
  selectSync(mailboxes: readonly Mailbox[], options: Pick<WaitOptions, "timeoutMs"> = {}): Mailbox | undefined {
    checkOptions(options);
    checkSome(mailboxes);
    const closed = mailboxes.find(({ id }) => isOver(this.#shared.api.statusOf(id)));
    return closed ?? this.#shared.waiter.aside(() => this.#selectWatched(mailboxes, options.timeoutMs));
  }

  #selectWatched(mailboxes: readonly Mailbox[], timeoutMs: number | undefined): Mailbox | undefined {
    const { api } = this.#shared;
    const added: Mailbox[] = [];
    try {
      for (const mailbox of mailboxes) {
        const status = api.watch(mailbox.id, Watch.Item);
        if (status === Status.Ok) added.push(mailbox);
        else if (status !== Status.Exists) throw failure(status, `mailbox ${mailbox.id}: select`);
      }
      const end = deadline(timeoutMs);
      for (;;) {
        const id = api.waitAny(left(end));
        const found = mailboxes.find((mailbox) => mailbox.id === id);
        if (found !== undefined || id === Status.TimedOut) return found;
      }
    } finally {
      for (const { id } of added) api.unwatch(id, Watch.Item);
    }
  }
}

/** A mailbox as one process uses it. Methods named `try...` never wait, `...Sync` block the thread. */
export class Mailbox implements AsyncIterable<Item>, Disposable {
  /** For other processes: a number below 2^32, for as long as the mailbox is registered. */
  readonly id: number;
  readonly #shared: Shared;
  readonly #claimed: Item;
  readonly #taken: Item;
  /** For copies: what a caller has claimed or taken in place is another slot. */
  readonly #copied: Item;
  #left = false;

  /** Made by {@link Mailboxes}. */
  constructor(id: number, shared: Shared) {
    this.id = id;
    this.#shared = shared;
    this.#claimed = new Item(shared.views);
    this.#taken = new Item(shared.views);
    this.#copied = new Item(shared.views);
  }

  /**
   * Claims a slot to fill in place; `commit()` or `abandon()` it. Returns `undefined` when the mailbox is full. The object is the same at each call,
   * and its fields hold what the slot held before.
   *
   * @throws VdsoError `ERR_VDSO_SLOT` - one is claimed already. `ERR_VDSO_STALE_HANDLE`, `ERR_VDSO_MAILBOX_CLOSED`, `ERR_VDSO_MAILBOX_CORRUPT` - the mailbox cannot be used.
   */
  claim(urgent = false): Item | undefined {
    if (this.#claimed.at !== 0) throw this.#held("claim");
    const at = this.#claim(urgent);
    if (at < FIRST_ADDRESS) return this.#nothing(at, "claim");
    this.#claimed.at = at;
    return this.#claimed;
  }

  /** Hands the claimed item to the receivers. @throws VdsoError `ERR_VDSO_SLOT` - none is claimed. */
  commit(): void {
    const { at } = this.#claimed;
    this.#claimed.at = 0;
    const status = this.#shared.api.commit(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "commit");
  }

  /** Gives the claimed slot up. @throws VdsoError `ERR_VDSO_SLOT` - none is claimed. */
  abandon(): void {
    const { at } = this.#claimed;
    this.#claimed.at = 0;
    const status = this.#shared.api.abandon(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "abandon");
  }

  /**
   * Takes the oldest item, to read in place; `release()` or `putBack()` it. Returns `undefined` when there is none. If this process dies
   * before, the item is delivered again.
   *
   * @throws VdsoError `ERR_VDSO_SLOT` - one is taken already. `ERR_VDSO_MAILBOX_FOREIGN` - not this process's. Others as for {@link Mailbox.claim}.
   */
  take(): Item | undefined {
    if (this.#taken.at !== 0) throw this.#held("take");
    const at = this.#shared.api.take(this.id);
    if (at < FIRST_ADDRESS) return this.#nothing(at, "take");
    this.#taken.at = at;
    return this.#taken;
  }

  /** Done with the taken item. @throws VdsoError `ERR_VDSO_SLOT` - none is taken. */
  release(): void {
    const { at } = this.#taken;
    this.#taken.at = 0;
    const status = this.#shared.api.release(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "release");
  }

  /** Leaves the taken item to the next receiver. @throws VdsoError `ERR_VDSO_SLOT` - none is taken. */
  putBack(): void {
    const { at } = this.#taken;
    this.#taken.at = 0;
    const status = this.#shared.api.putBack(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "putBack");
  }

  /** Sends if there is room now. @throws VdsoError - as {@link Mailbox.claim}; `ERR_VDSO_ITEM_LENGTH` - too much data. */
  trySend(message: Message, { urgent = false }: Pick<SendOptions, "urgent"> = {}): boolean {
    checkLength(message.data);
    const at = this.#claim(urgent);
    if (at < FIRST_ADDRESS) {
      this.#nothing(at, "send");
      return false;
    }
    this.#copied.at = at;
    try {
      write(this.#copied, message, this.#shared.pid);
    } catch (error) {
      // A field that is no number: nobody may be held up by the slot.
      this.#shared.api.abandon(this.id, at);
      throw error;
    }
    const status = this.#shared.api.commit(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "send");
    return true;
  }

  /**
   * Sends. When the mailbox is full: waits if its policy says so, else fails.
   *
   * @throws VdsoError `ERR_VDSO_MAILBOX_FULL`, `ERR_VDSO_TIMEOUT`, and as {@link Mailbox.trySend}; the signal's reason.
   */
  async send(message: Message, options: SendOptions = {}): Promise<void> {
    checkOptions(options);
    if (this.trySend(message, options)) return;
    if (!this.#waits) throw this.#failure(Status.Full, "send");
    const what = options.urgent ? Watch.UrgentSpace : Watch.Space;
    const attempt = (): true | undefined => this.trySend(message, options) || undefined;
    await this.#shared.waiter.until([{ mailbox: this.id, what }], attempt, `mailbox ${this.id}: send`, options);
  }

  /** The same, and blocks this thread. */
  sendSync(message: Message, options: Omit<SendOptions, "signal"> = {}): void {
    checkOptions(options);
    const end = deadline(options.timeoutMs);
    const { api } = this.#shared;
    while (!this.trySend(message, options)) {
      if (!this.#waits) throw this.#failure(Status.Full, "send");
      const status = options.urgent ? api.waitForUrgentSpace(this.id, left(end)) : api.waitForSpace(this.id, left(end));
      if (status === Status.TimedOut) throw this.#failure(status, "send");
    }
  }

  /** Receives a copy if there is an item now. @throws VdsoError - as {@link Mailbox.take}. */
  tryReceive(): Required<Message> | undefined {
    const at = this.#shared.api.take(this.id);
    if (at < FIRST_ADDRESS) return this.#nothing(at, "receive");
    this.#copied.at = at;
    const message = read(this.#copied);
    const status = this.#shared.api.release(this.id, at);
    if (status !== Status.Ok) throw this.#failure(status, "receive");
    return message;
  }

  /**
   * Receives a copy of the next item.
   *
   * @throws VdsoError `ERR_VDSO_TIMEOUT`, and as {@link Mailbox.take}; the signal's reason.
   */
  receive(options: WaitOptions = {}): Promise<Required<Message>> {
    const targets = [{ mailbox: this.id, what: Watch.Item }];
    return this.#shared.waiter.until(targets, () => this.tryReceive(), `mailbox ${this.id}: receive`, options);
  }

  /** The same, and blocks this thread. */
  receiveSync(options: Pick<WaitOptions, "timeoutMs"> = {}): Required<Message> {
    checkOptions(options);
    const end = deadline(options.timeoutMs);
    for (;;) {
      const message = this.tryReceive();
      if (message !== undefined) return message;
      const status = this.#shared.api.waitForItem(this.id, left(end));
      if (status === Status.TimedOut) throw this.#failure(status, "receive");
    }
  }

  /**
   * The items as they come, each to be read in place until the next is asked for; ends when the mailbox is closed, this process leaves it, or
   * the signal aborts. An item whose loop body threw counts as received. Each loop has an object of its own, so several may go on at once.
   */
  async *items(options: Pick<WaitOptions, "signal"> = {}): AsyncGenerator<Item, void, undefined> {
    const { api, views, waiter } = this.#shared;
    const targets = [{ mailbox: this.id, what: Watch.Item }];
    const item = new Item(views);
    const attempt = (): Item | undefined => {
      const at = api.take(this.id);
      if (at < FIRST_ADDRESS) return this.#nothing(at, "items");
      item.at = at;
      return item;
    };
    while (!options.signal?.aborted) {
      try {
        if (attempt() === undefined) await waiter.until(targets, attempt, `mailbox ${this.id}: items`, options);
      } catch (error) {
        if (this.#left || options.signal?.aborted || isOver(api.statusOf(this.id))) return;
        throw error;
      }
      try {
        yield item;
      } finally {
        const status = api.release(this.id, item.at);
        item.at = 0;
        if (status !== Status.Ok) this.#nothing(status, "items");
      }
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Item, void, undefined> {
    return this.items();
  }

  /** Makes another process, which has to be attached, a receiver and owner of this mailbox too. */
  share(pid: number): void {
    const status = this.#shared.api.share(this.id, pid);
    if (status !== Status.Ok) throw this.#failure(status, "share");
  }

  /** Closes it for everybody: what it holds is lost, who waits gets `ERR_VDSO_MAILBOX_CLOSED`. Only for its owners. */
  close(): void {
    const status = this.#shared.api.close(this.id);
    if (status !== Status.Ok) throw this.#failure(status, "close");
  }

  /**
   * Receives no more: the mailbox closes when its last owner has left. What this process waits for there ends. For those who are no owners it does
   * nothing, and a second time neither.
   */
  [Symbol.dispose](): void {
    if (this.#shared.api.leave(this.id) !== Status.Ok) return;
    this.#left = true;
    this.#shared.waiter.retry();
  }

  #claim(urgent: boolean): number {
    const { api } = this.#shared;
    return urgent ? api.claimUrgent(this.id) : api.claim(this.id);
  }

  #held(what: string): VdsoError {
    return new VdsoError(
      "ERR_VDSO_SLOT",
      `mailbox ${this.id}: ${what}: expected the slot before to be finished, found it held`,
    );
  }

  get #waits(): boolean {
    return this.#shared.api.policyOf(this.id) === Policy.Wait;
  }

  #nothing(status: number, what: string): undefined {
    if (status === Status.Full || status === Status.Empty || status === Status.Busy) return undefined;
    throw this.#failure(status, what);
  }

  #failure(status: number, what: string): VdsoError {
    return failure(status, `mailbox ${this.id}: ${what}`);
  }
}

function checkSome(mailboxes: readonly Mailbox[]): void {
  if (mailboxes.length > 0) return;
  throw new VdsoError("ERR_VDSO_ARGUMENT", "select: expected at least one mailbox, found none");
}

function deadline(timeoutMs: number | undefined): number {
  return timeoutMs === undefined ? Infinity : nowMs() + timeoutMs;
}

function left(end: number): number {
  return end === Infinity ? -1 : Math.max(0, end - nowMs());
}
