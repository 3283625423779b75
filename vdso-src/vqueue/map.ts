/**
 * A mailbox's map from message types to notification ids: which coroutine, callback, ... waits for a message of this type.
 *
 * ```
 * word   63     16 15  12 11 10 9          0
 *        | version | state   | pid & 1023 |      FREE --claim--> WRITING --publish--> READY --remove--> FREE, version + 1
 * ```
 * Only the owner in the word writes the type and the id, between claim and publish; so nobody else frees an entry that it is writing, but after its
 * death. A reader copies both and then sees by the word that they belonged
 * together. A new registration changes every word, and the gate is read between a word and the CAS on it: so nobody who believes in the registration
 * before adds to, or removes from, this one. Death: WRITING and READY entries of the dead one become FREE.
 */
import { MAP_LEN, Mailbox, MapEntry } from "./layout";
import { me } from "./process";
import { isOpen, refusal } from "./gate";
import { Status } from "./status";

/** Matches every message type that has no entry of its own. */
export const WILDCARD: u64 = 0xffffffffffffffff;

const STATE_MASK: u64 = 3 << 10;
const FREE: u64 = 0;
const WRITING: u64 = 1 << 10;
const READY: u64 = 2 << 10;
const VERSION: u64 = 1 << 16;
const VERSION_MASK: u64 = ~(VERSION - 1);
const OWNER_MASK: u64 = 1023;

// @ts-ignore: decorator
@inline
function entryAt(mailbox: Mailbox, index: u32): MapEntry {
  return unchecked(mailbox.map[index]);
}

/** Which entry is this type's? MAP_LEN when none is. */
let foundWord: u64 = 0;
let foundNotification: u64 = 0;
function find(mailbox: Mailbox, msgType: u64): u32 {
  for (let index: u32 = 0; index < MAP_LEN; index++) {
    const entry = entryAt(mailbox, index);
    const word = entry.word.load();
    if ((word & STATE_MASK) != READY || entry.msgType.load() != msgType) continue;
    const notification = entry.notification.load();
    // SYNC map-entry: still the entry whose type was read; pairs with `map-entry` in add().
    if (entry.word.load() != word) continue;
    foundWord = word;
    foundNotification = notification;
    return index;
  }
  return MAP_LEN;
}

/** Two processes that add one type at one moment may both succeed; each pop then removes one. */
export function add(mailbox: Mailbox, id: u32, msgType: u64, notification: u64): Status {
  if (find(mailbox, msgType) != MAP_LEN) return Status.Exists;
  for (let index: u32 = 0; index < MAP_LEN; index++) {
    const entry = entryAt(mailbox, index);
    const word = entry.word.load();
    if ((word & STATE_MASK) != FREE) continue;
    const writing = (word & VERSION_MASK) | WRITING | me;
    if (!isOpen(mailbox, id)) return refusal(mailbox, id);
    if (!entry.word.cas(word, writing)) continue;
    entry.msgType.store(msgType);
    entry.notification.store(notification);
    // SYNC map-entry: type and id are whole; pairs with `map-entry` in find().
    if (entry.word.cas(writing, (word & VERSION_MASK) | READY | me)) return Status.Ok;
    // The mailbox was registered again, which changed the version.
    entry.word.sub(WRITING | me);
    return refusal(mailbox, id);
  }
  return Status.NoRoom;
}

/** The id for this type, or the wildcard's. */
export function get(mailbox: Mailbox, msgType: u64): Option<u64> {
  if (find(mailbox, msgType) == MAP_LEN && find(mailbox, WILDCARD) == MAP_LEN) return Option.none();
  return Option.some<u64>(foundNotification);
}

/** The same, and removes the entry. */
export function pop(mailbox: Mailbox, id: u32, msgType: u64): Option<u64> {
  // Each round that fails, another process removed an entry.
  for (let round: u32 = 0; round <= MAP_LEN; round++) {
    let index = find(mailbox, msgType);
    if (index == MAP_LEN) index = find(mailbox, WILDCARD);
    if (index == MAP_LEN || !isOpen(mailbox, id)) break;
    const notification = foundNotification;
    if (entryAt(mailbox, index).word.cas(foundWord, freed(foundWord))) return Option.some<u64>(notification);
  }
  return Option.none();
}

function freed(word: u64): u64 {
  return ((word & VERSION_MASK) + VERSION) | FREE;
}

/** Frees every entry but those that somebody is writing, and changes all words. */
export function clear(mailbox: Mailbox): void {
  for (let index: u32 = 0; index < MAP_LEN; index++) {
    const word = entryAt(mailbox, index).word;
    word.add(VERSION);
    const seen = word.load();
    if ((seen & STATE_MASK) == READY) word.cas(seen, freed(seen));
  }
}

/** Frees the entries of a process that died. */
export function reapMap(mailbox: Mailbox, process: u32): void {
  for (let index: u32 = 0; index < MAP_LEN; index++) {
    const entry = entryAt(mailbox, index);
    const word = entry.word.load();
    if ((word & OWNER_MASK) != <u64>process) continue;
    // Others may take a whole entry out; of one that is not, they change the version at most.
    if ((word & STATE_MASK) == READY) entry.word.cas(word, freed(word));
    else if ((word & STATE_MASK) == WRITING) entry.word.sub(WRITING | process);
  }
}
