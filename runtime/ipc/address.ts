/**
 * Ids of entities: whole numbers that can be sent, stored and compared.
 *
 * ```
 * id     52            21 20   13 12      0
 *        | mailbox       | tag   | number  |      mailbox: of the process, with its generation; number: which of the process's entities
 * ```
 * A process gives out its numbers in turn, and again only after all others: until then a stale id is refused, not delivered to a successor.
 */
import { VdsoError } from "../errors.ts";

/** The id of an entity. */
export type EntityId = number;

const NUMBER_BITS = 13;
const LOCAL_SPAN = 2 ** 21;
/** Entities of one process at once, plus 1. */
export const NUMBERS: number = 2 ** NUMBER_BITS;
export const LOCAL_MASK: number = LOCAL_SPAN - 1;
const MAX_TAG = 255;

/** @returns what the process itself knows the entity by */
export function localOf(tag: number, number: number): number {
  if (Number.isInteger(tag) && tag >= 0 && tag <= MAX_TAG) return tag * NUMBERS + number;
  throw new VdsoError("ERR_VDSO_ARGUMENT", `tag: expected a whole number from 0 to ${MAX_TAG}, found ${tag}`);
}

export function numberIn(local: number): number {
  return local & (NUMBERS - 1);
}

export function idOf(mailbox: number, local: number): EntityId {
  return mailbox * LOCAL_SPAN + local;
}

/** @throws VdsoError `ERR_VDSO_BAD_ENTITY` - not an id at all. */
export function mailboxOf(id: EntityId): number {
  if (Number.isSafeInteger(id) && id >= LOCAL_SPAN) return Math.floor(id / LOCAL_SPAN);
  throw new VdsoError("ERR_VDSO_BAD_ENTITY", `expected the id of an entity, found ${id}`);
}

/** Is it an id, of an entity of the process with this mailbox? */
export function isOf(mailbox: number, id: unknown): id is EntityId {
  return Number.isSafeInteger(id) && Math.floor((id as number) / LOCAL_SPAN) === mailbox;
}

export function localIn(id: EntityId): number {
  // The remainder of a double by `%` takes ten times as long.
  return id - Math.floor(id / LOCAL_SPAN) * LOCAL_SPAN;
}

/** The type tag that an entity was made with. */
export function tagOf(id: EntityId): number {
  return Math.floor(localIn(id) / NUMBERS);
}
