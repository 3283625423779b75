/** Names of entities, over vnames. */
import type { VnamesApi } from "../../generated/vnames/vnames.js";
import { VdsoError, type VdsoErrorCode } from "../errors.ts";
import { vvarOf } from "../loader/attach.ts";
import { nowMs } from "../platform/clock.ts";
import type { EntityId } from "./address.ts";
import { checkOptions, guard, timedOut, type WaitOptions } from "./guard.ts";

/** vnames's Status, but for Ok. */
const BUSY = 3;
const REFUSALS: Readonly<Record<number, readonly [code: VdsoErrorCode, expected: string, found: string]>> = {
  1: ["ERR_VDSO_NAME_TAKEN", "a name that is free", "one that another entity has"],
  2: ["ERR_VDSO_NO_ROOM", "room for another name", "the table full (constant NAMES of vnames)"],
  3: ["ERR_VDSO_NAMES_BUSY", "a moment without others that register", "none for a second"],
  4: ["ERR_VDSO_NO_NAME", "a name that was registered", "none"],
  5: ["ERR_VDSO_NOT_OWNER", "a name of this process", "one of another process"],
  6: ["ERR_VDSO_ARGUMENT", "a name of 1 to 64 UTF-16 code units", "another length"],
  7: ["ERR_VDSO_NOT_ATTACHED", "an attachment with a pid", "none"],
};
/** vnames's NAME_UNITS. */
const LONGEST = 64;
const BUSY_MS = 1000;
const RETRY_MS = 1;

export interface Holding {
  holdElsewhere(): void;
  releaseElsewhere(): void;
}

export class Names {
  readonly #api: VnamesApi;
  readonly #holding: Holding;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #changes: number;
  readonly #waits = new Set<(reason: unknown) => void>();
  #closed: VdsoError | undefined;

  constructor(api: VnamesApi, holding: Holding) {
    this.#api = api;
    this.#holding = holding;
    this.#words = new Int32Array(vvarOf(api));
    this.#changes = api.changesWord() >>> 2;
  }

  /** What a name stands for now. */
  find(name: string): EntityId | undefined {
    return this.#api.lookup(name) || undefined;
  }

  async add(name: string, id: EntityId): Promise<void> {
    const ends = nowMs() + BUSY_MS;
    let status = this.#api.add(name, id);
    // Somebody adds a name, or died while he did and is not reaped yet.
    while (status === BUSY && nowMs() < ends) {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      status = this.#api.add(name, id);
    }
    this.#check(name, status);
  }

  remove(name: string): void {
    this.#check(name, this.#api.remove(name));
  }

  /** Waits until a name stands for something. */
  async wait(name: string, options: WaitOptions): Promise<EntityId> {
    checkOptions(options);
    this.#checkWait(name);
    const gaveUp = Promise.withResolvers<never>();
    // The race may be over when it is given up.
    gaveUp.promise.catch(() => undefined);
    let over = false;
    const giveUp = (reason: unknown): void => {
      over = true;
      gaveUp.reject(reason);
    };
    const unguard = guard(`wait for the name "${name}"`, options, giveUp);
    this.#waits.add(giveUp);
    this.#holding.holdElsewhere();
    try {
      while (!over) {
        const seen = Atomics.load(this.#words, this.#changes);
        const id = this.find(name);
        if (id !== undefined) return id;
        const { value } = Atomics.waitAsync(this.#words, this.#changes, seen, NAP_MS);
        await Promise.race([value, gaveUp.promise]);
      }
      return await gaveUp.promise;
    } finally {
      this.#holding.releaseElsewhere();
      this.#waits.delete(giveUp);
      unguard?.();
    }
  }

  /** As {@link wait}, blocks the thread. */
  waitSync(name: string, options: WaitOptions): EntityId {
    checkOptions(options);
    this.#checkWait(name);
    const { timeoutMs = Number.POSITIVE_INFINITY } = options;
    const ends = nowMs() + timeoutMs;
    for (;;) {
      const seen = Atomics.load(this.#words, this.#changes);
      const id = this.find(name);
      if (id !== undefined) return id;
      const left = ends - nowMs();
      if (left <= 0) throw timedOut(`wait for the name "${name}"`, timeoutMs);
      Atomics.wait(this.#words, this.#changes, seen, Math.min(left, NAP_MS));
    }
  }

  /** Ends all waits. */
  close(): void {
    this.#closed = new VdsoError("ERR_VDSO_CLOSED", "expected an open Ipc, found one that was closed");
    for (const giveUp of this.#waits) giveUp(this.#closed);
  }

  #checkWait(name: string): void {
    if (this.#closed) throw this.#closed;
    // No such name would ever come.
    if (name.length === 0 || name.length > LONGEST) this.#check(name, 6);
  }

  #check(name: string, status: number): void {
    if (status === 0) return;
    const [code, expected, found] = REFUSALS[status]!;
    throw new VdsoError(code, `name "${name}": expected ${expected}, found ${found}`);
  }
}

/** An abandoned wait does not stay for ever. */
const NAP_MS = 1000;
