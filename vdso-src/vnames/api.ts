/**
 * Names of things that processes look up: each stands for one number, belongs to the process that added it, and ends with it.
 *
 * Adding is exclusive (`adder` holds who does it), so that a name is never there twice; looking up and removing never wait. A process that dies
 * while it adds leaves a WRITING entry and its pid in `adder`: the reaper takes both away, and until then others are told `Busy`.
 */
import { Entry, NAME_UNITS, NAME_WORDS, NAMES, shared } from "./layout";

export { NAME_UNITS, NAMES } from "./layout";

export enum Status {
  Ok,
  /** The name stands for something else. */
  Taken,
  /** All entries are in use. */
  NoRoom,
  /** Another process is adding a name, or died while it did: again. */
  Busy,
  /** No such name. */
  Unknown,
  /** The name belongs to another process. */
  Foreign,
  /** Empty, or too long. */
  Length,
  /** The caller has no pid. */
  NoProcess,
}

const STATE_MASK: u64 = 3 << 32;
const FREE: u64 = 0;
const WRITING: u64 = 1 << 32;
const READY: u64 = 2 << 32;
const VERSION: u64 = 1 << 34;
const VERSION_MASK: u64 = ~(VERSION - 1);
const OWNER_MASK: u64 = 0xffffffff;

let me: u32 = 0;
/** The name asked for, as entries hold it. */
const wanted = new StaticArray<u64>(NAME_WORDS);
let foundWord: u64 = 0;
let foundTarget: u64 = 0;

export function processInit(pid: u32): void {
  me = pid;
}

/** Takes away what an ended process had named. May be repeated. */
export function processDrop(pid: u32): void {
  if (pid == 0) return;
  for (let index: u32 = 0; index < NAMES; index++) {
    const entry = entryAt(index);
    const word = entry.word.load();
    if ((word & STATE_MASK) != FREE && <u32>(word & OWNER_MASK) == pid) entry.word.cas(word, freed(word));
  }
  // After its entry: who adds next sees no half of it.
  shared.adder.cas(pid, 0);
  announce();
}

/** Names a number. @param target - not 0 @returns Ok, Taken, NoRoom, Busy, Length, NoProcess */
export function add(name: string, target: f64): Status {
  if (me == 0) return Status.NoProcess;
  if (!want(name)) return Status.Length;
  if (!shared.adder.cas(0, me)) return Status.Busy;
  const status = addAlone(reinterpret<u64>(target));
  shared.adder.cas(me, 0);
  if (status == Status.Ok) announce();
  return status;
}

function addAlone(target: u64): Status {
  if (find() < NAMES) return Status.Taken;
  for (let index: u32 = 0; index < NAMES; index++) {
    const entry = entryAt(index);
    const word = entry.word.load();
    if ((word & STATE_MASK) != FREE) continue;
    const version = word & VERSION_MASK;
    const writing = version | WRITING | <u64>me;
    if (!entry.word.cas(word, writing)) continue;
    for (let k: u32 = 0; k < NAME_WORDS; k++) unchecked(entry.name[k]).store(unchecked(wanted[k]));
    entry.target.store(target);
    // SYNC name-ready: name and target are whole; pairs with `name-ready` in find().
    entry.word.cas(writing, version | READY | <u64>me);
    return Status.Ok;
  }
  return Status.NoRoom;
}

/** What a name stands for; 0 when there is no such name. */
export function lookup(name: string): f64 {
  if (!want(name) || find() == NAMES) return 0;
  return reinterpret<f64>(foundTarget);
}

/** Takes a name of this process away. @returns Ok, Unknown, Foreign, Length */
export function remove(name: string): Status {
  if (!want(name)) return Status.Length;
  const index = find();
  if (index == NAMES) return Status.Unknown;
  if (<u32>(foundWord & OWNER_MASK) != me) return Status.Foreign;
  if (!entryAt(index).word.cas(foundWord, freed(foundWord))) return Status.Unknown;
  announce();
  return Status.Ok;
}

/** Address of the word that changes with the names: read it, look up, wait while it has the value read. */
export function changesWord(): u32 {
  return <u32>changetype<usize>(shared.changes);
}

// @ts-ignore: decorator
@inline
function entryAt(index: u32): Entry {
  return unchecked(shared.entries[index]);
}

function freed(word: u64): u64 {
  return ((word & VERSION_MASK) + VERSION) | FREE;
}

function announce(): void {
  shared.changes.add(1);
  shared.changes.notify();
}

function want(name: string): bool {
  const units = <u32>name.length;
  if (units == 0 || units > NAME_UNITS) return false;
  for (let k: u32 = 0; k < NAME_WORDS; k++) {
    let word: u64 = 0;
    for (let unit: u32 = 0; unit < 4; unit++) {
      const at = k * 4 + unit;
      if (at < units) word |= <u64>load<u16>(changetype<usize>(name) + <usize>at * 2) << (unit * 16);
    }
    unchecked((wanted[k] = word));
  }
  return true;
}

/** Index of the entry with the name wanted; NAMES when there is none. */
function find(): u32 {
  for (let index: u32 = 0; index < NAMES; index++) {
    const entry = entryAt(index);
    const word = entry.word.load();
    if ((word & STATE_MASK) != READY || !isNamed(entry)) continue;
    const target = entry.target.load();
    // SYNC name-ready: still the entry whose name was read; pairs with `name-ready` in addAlone().
    if (entry.word.load() != word) continue;
    foundWord = word;
    foundTarget = target;
    return index;
  }
  return NAMES;
}

function isNamed(entry: Entry): bool {
  for (let k: u32 = 0; k < NAME_WORDS; k++) {
    if (unchecked(entry.name[k]).load() != unchecked(wanted[k])) return false;
  }
  return true;
}
