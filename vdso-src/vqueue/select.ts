/**
 * Waiting for a mailbox, or for any of several: looks for a bounded while, then parks. How nobody sleeps for ever is in waiting.ts.
 *
 * The set of watches is private. A process that waits asynchronously (`Atomics.waitAsync` on `wakeWord()`) arms the set instead of parking, and
 * may park for something else meanwhile: both share the word and the bits, so whoever parked then makes the asynchronous side look again. Several may
 * wait asynchronously in one process: the bits stay while one of them does.
 */
import { hasItem, hasSpace } from "./lane";
import { ARRAY_LEN, COUNTERS, SPIN } from "./layout";
import { authorise, bind } from "./mailbox";
import { boundId, indexIn, mailboxAt, me, processAt } from "./process";
import { isOpen, MIXED, statusOfId } from "./gate";
import { Status } from "./status";
import { bumpOwn, bumpOwners, enlist, ITEM, resign, SPACE, wakeNext } from "./waiting";

/** What to wait for. */
export enum Watch {
  Item,
  Space,
  UrgentSpace,
}

const MAX_WATCHES: u32 = 1024;
/** Mailbox id, Watch; 4 bytes each. */
const watches: usize = memory.data(8192, 8);
let watched: u32 = 0;
/** How many in this process wait asynchronously, each on its own. */
let armed: u32 = 0;
/** Where to begin looking, so that no watch starves behind another. */
let nextFirst: u32 = 0;

/** Looks before parking: doubled when looking was enough, halved when it was not. */
let spinLimit: u32 = SPIN;
let spin: u32 = SPIN;

/** Sets how often this process looks before it parks, at most; default SPIN. */
export function setSpin(looks: u32): void {
  spinLimit = looks;
  spin = looks;
}

function readies(mailbox: u32, what: Watch): Status {
  if (what == Watch.Item) return authorise(mailbox);
  return boundId(indexIn(mailbox)) == mailbox ? statusOfId(mailbox) : bind(mailbox);
}

// @ts-ignore: decorator
@inline
function sleepsForSpace(what: Watch): bool {
  return what == Watch.Item ? ITEM : SPACE;
}

/** Is it worth a try? Also when the mailbox is not open any more: the try then says so. */
function isReady(mailbox: u32, what: Watch): bool {
  const index = indexIn(mailbox);
  const box = mailboxAt(index);
  if (what == Watch.Item ? hasItem(box, index) : hasSpace(box, index, what == Watch.UrgentSpace)) return true;
  return !isOpen(box, mailbox);
}

/** Enters this process among the sleepers of a mailbox. */
function enlistFor(mailbox: u32, what: Watch): void {
  enlist(mailboxAt(indexIn(mailbox)), sleepsForSpace(what), what == Watch.UrgentSpace ? MIXED : 0);
}

function nanoseconds(ms: f64): i64 {
  // NaN and negative: for ever. 100 days are for ever enough.
  return ms >= 0 ? <i64>(min(ms, 8.64e9) * 1e6) : -1;
}

/** Waits until an item can be taken. @param timeoutMs - negative: for ever @returns Ok, TimedOut, Empty (woken, but others were faster), or why not */
export function waitForItem(mailbox: u32, timeoutMs: f64 = -1): Status {
  return waitFor(mailbox, Watch.Item, timeoutMs);
}

/** Waits until a slot can be claimed; see {@link waitForItem}. */
export function waitForSpace(mailbox: u32, timeoutMs: f64 = -1): Status {
  return waitFor(mailbox, Watch.Space, timeoutMs);
}

/** Waits until a slot of the urgent lane can be claimed; see {@link waitForItem}. */
export function waitForUrgentSpace(mailbox: u32, timeoutMs: f64 = -1): Status {
  return waitFor(mailbox, Watch.UrgentSpace, timeoutMs);
}

function waitFor(mailbox: u32, what: Watch, timeoutMs: f64): Status {
  const refused = readies(mailbox, what);
  if (refused != Status.Ok) return refused;
  for (let look: u32 = 0; look < spin; look++) {
    if (!isReady(mailbox, what)) continue;
    spin = min(spinLimit, spin * 2);
    return statusOfId(mailbox);
  }
  if (isReady(mailbox, what)) return statusOfId(mailbox);
  if (timeoutMs == 0) return Status.TimedOut;
  spin = max(min(spinLimit, 16), spin / 2);
  const box = mailboxAt(indexIn(mailbox));
  const space = sleepsForSpace(what);
  const word = processAt(me).wake;
  const seen = word.load();
  let timedOut = false;
  enlistFor(mailbox, what);
  if (!isReady(mailbox, what)) {
    if (COUNTERS) box.waits.add(1);
    timedOut = word.wait(seen, nanoseconds(timeoutMs)) == 2;
  }
  const given = resign(box, space);
  if (armed != 0) bumpOwn();
  // Of another registration, it was for somebody who waits there.
  if (given && !isOpen(box, mailbox)) wakeNext(box, space, 1);
  if (isReady(mailbox, what)) return statusOfId(mailbox);
  return timedOut ? Status.TimedOut : Status.Empty;
}

// @ts-ignore: decorator
@inline
function watchedId(at: u32): u32 {
  return load<u32>(watches + <usize>at * 8);
}

// @ts-ignore: decorator
@inline
function watchedFor(at: u32): Watch {
  return load<u32>(watches + <usize>at * 8, 4);
}

function find(mailbox: u32, what: Watch): u32 {
  for (let at: u32 = 0; at < watched; at++) {
    if (watchedId(at) == mailbox && watchedFor(at) == what) return at;
  }
  return watched;
}

/** Adds to what {@link waitAny} and {@link arm} wait for. */
export function watch(mailbox: u32, what: Watch): Status {
  const refused = readies(mailbox, what);
  if (refused != Status.Ok) return refused;
  if (find(mailbox, what) < watched) return Status.Exists;
  if (watched == MAX_WATCHES) return Status.NoRoom;
  store<u32>(watches + <usize>watched * 8, mailbox);
  store<u32>(watches + <usize>watched * 8, what, 4);
  watched++;
  return Status.Ok;
}

/** Takes out of it again. */
export function unwatch(mailbox: u32, what: Watch): void {
  const at = find(mailbox, what);
  if (at == watched) return;
  const box = mailboxAt(indexIn(mailbox));
  // It was given a wake-up, perhaps after it had looked last.
  if (armed != 0 && resign(box, sleepsForSpace(what))) wakeNext(box, sleepsForSpace(what), 1);
  // Another watch may have had the same bit.
  if (armed != 0) bumpOwn();
  watched--;
  store<u64>(watches + <usize>at * 8, load<u64>(watches + <usize>watched * 8));
}

/** The next watch that is worth a try; `watched` when there is none. */
function nextReady(): u32 {
  for (let k: u32 = 0; k < watched; k++) {
    const at = (nextFirst + k) % watched;
    if (!isReady(watchedId(at), watchedFor(at))) continue;
    nextFirst = at + 1;
    return at;
  }
  return watched;
}

function enlistAll(): void {
  for (let at: u32 = 0; at < watched; at++) enlistFor(watchedId(at), watchedFor(at));
}

/**
 * Waits until there is something to do for any of the watches.
 *
 * @returns the mailbox's id, or a Status: TimedOut, Empty (woken, but others were faster; or nothing is watched)
 */
export function waitAny(timeoutMs: f64 = -1): u32 {
  return waitAnySince(processAt(me).wake.load(), timeoutMs);
}

/**
 * The same for who has looked at something else as well, after it had read this value of the {@link wakeWord}: does not park when the process has been woken
 * since.
 */
export function waitAnySince(seen: u32, timeoutMs: f64 = -1): u32 {
  for (let look: u32 = 0; look <= spin; look++) {
    const at = nextReady();
    if (at < watched) return watchedId(at);
  }
  if (watched == 0 || timeoutMs == 0) return timeoutMs == 0 ? Status.TimedOut : Status.Empty;
  enlistAll();
  let at = nextReady();
  let timedOut = false;
  if (at == watched) timedOut = processAt(me).wake.wait(seen, nanoseconds(timeoutMs)) == 2;
  for (let other: u32 = 0; other < watched; other++) {
    const id = watchedId(other);
    const box = mailboxAt(indexIn(id));
    const space = sleepsForSpace(watchedFor(other));
    if (!resign(box, space)) continue;
    // It was given a wake-up, and returns one mailbox: another's is for somebody else. Of another registration, it always was.
    const isOf = isOpen(box, id);
    if (isOf && (other == at || !isReady(id, watchedFor(other)))) continue;
    if (!isOf || at < watched) wakeNext(box, space, 1);
    if (at == watched) at = other;
  }
  if (at == watched) at = nextReady();
  if (armed != 0) bumpOwn();
  if (at < watched) return watchedId(at);
  return timedOut ? Status.TimedOut : Status.Empty;
}

/** Address of the word on which this process is woken: read it, arm(), wait while it has the value read. 0: not a process */
export function wakeWord(): u32 {
  return me == 0 ? 0 : <u32>changetype<usize>(processAt(me).wake);
}

/** Enters this process among the sleepers of all that it watches. @returns the id of a mailbox that is ready now; 0 when none is */
export function arm(): u32 {
  if (me == 0) return 0;
  enlistAll();
  armed++;
  const at = nextReady();
  return at < watched ? watchedId(at) : 0;
}

/** Takes this process out again. It has to try whatever it waits for then, or to pass on what it does not try. */
export function disarm(): void {
  if (armed == 0 || --armed != 0) return;
  for (let at: u32 = 0; at < watched; at++) resign(mailboxAt(indexIn(watchedId(at))), sleepsForSpace(watchedFor(at)));
}

/** Wakes the owners of a mailbox, whatever they wait for: one that has no room, and does not watch it, may want what is urgent all the same. */
export function wakeOwners(mailbox: u32): void {
  if (statusOfId(mailbox) == Status.Ok) bumpOwners(mailboxAt(indexIn(mailbox)));
}

/** Wakes the next who waits: for one that was woken, and does not want it any more, or may not have it. */
export function passOn(mailbox: u32, what: Watch): void {
  if (indexIn(mailbox) < ARRAY_LEN) wakeNext(mailboxAt(indexIn(mailbox)), sleepsForSpace(what), 1);
}
