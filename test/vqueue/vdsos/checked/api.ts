/** vqueue as the checker sees it: one mailbox that every process may receive from and has used before, so that only what is checked interleaves. */
import * as vqueue from "../../../../vdso-src/vqueue/api";
import { authorise } from "../../../../vdso-src/vqueue/mailbox";
import { mailboxAt } from "../../../../vdso-src/vqueue/process";
import { enlist, ITEM, resign, wakeNext } from "../../../../vdso-src/vqueue/waiting";

export {
  abandon,
  arm,
  claim,
  claimMany,
  claimUrgent,
  close,
  commit,
  commitMany,
  disarm,
  lastAddress,
  lastIndex,
  leave,
  mapAdd,
  mapGet,
  mapPop,
  passOn,
  peek,
  processDrop,
  putBack,
  register,
  release,
  releaseMany,
  share,
  statusOf,
  take,
  takeMany,
  unwatch,
  waitAny,
  waitForItem,
  waitForSpace,
  waitForUrgentSpace,
  wakeOwners,
  wakeWord,
  watch,
} from "../../../../vdso-src/vqueue/api";

const MAILBOX: u32 = 1024;
/** In 32-bit words: the first of the item's data. */
const DATA: usize = 24;

/** Registers the mailbox; everybody may receive. */
export function prepare(policy: vqueue.Policy): u32 {
  vqueue.processInit(1);
  return vqueue.register(policy, true);
}

export function processInit(pid: u32): void {
  vqueue.processInit(pid);
  authorise(MAILBOX);
}

/** @returns is it sent? */
export function push(value: u32): bool {
  const item = vqueue.claim(MAILBOX);
  if (item < 64) return false;
  vvar.store<u32>(<usize>item + DATA, value);
  vqueue.commit(MAILBOX, item);
  return true;
}

/** Makes a process that is still to come an owner of the first mailbox: share() is for those who are there. */
export function enter(process: u32): void {
  unchecked(mailboxAt(0).owners[0]).or(<u64>1 << process);
}

/** What is left to do of a wait, and of a commit, that began before the first mailbox was closed. */
export function finishLate(): void {
  enlist(mailboxAt(0), ITEM);
  resign(mailboxAt(0), ITEM);
  wakeNext(mailboxAt(0), ITEM, 1);
}

/** Sends an item that says nothing. */
export function pushTo(mailbox: u32): bool {
  const item = vqueue.claim(mailbox);
  return item >= 64 && vqueue.commit(mailbox, item) == vqueue.Status.Ok;
}

export function popFrom(mailbox: u32): bool {
  const item = vqueue.take(mailbox);
  return item >= 64 && vqueue.release(mailbox, item) == vqueue.Status.Ok;
}

/** Takes an item and leaves it to the next. */
export function returnOne(): bool {
  const item = vqueue.take(MAILBOX);
  return item >= 64 && vqueue.putBack(MAILBOX, item) == vqueue.Status.Ok;
}

/** Claims a slot and gives it up. */
export function giveUpOne(): bool {
  const item = vqueue.claim(MAILBOX);
  return item >= 64 && vqueue.abandon(MAILBOX, item) == vqueue.Status.Ok;
}

export function pushUrgent(value: u32): bool {
  const item = vqueue.claimUrgent(MAILBOX);
  if (item < 64) return false;
  vvar.store<u32>(<usize>item + DATA, value);
  vqueue.commit(MAILBOX, item);
  return true;
}

/** @returns the value, 0: nothing. The item is finished when this returns. */
export function pop(): u32 {
  const item = vqueue.take(MAILBOX);
  if (item < 64) return 0;
  const value = vvar.load<u32>(<usize>item + DATA);
  // Wiped: who reads it once more gets nothing, and states that differ by nothing else are one.
  vvar.store<u32>(<usize>item + DATA, 0);
  vqueue.release(MAILBOX, item);
  return value;
}

/** Sends `first`, `first + 1`, ... in one batch. @returns how many */
export function pushMany(first: u32, count: u32): u32 {
  const got = vqueue.claimMany(MAILBOX, count);
  if (<i32>got < 0) return 0;
  const start = vqueue.lastIndex();
  for (let k: u32 = 0; k < got; k++) {
    const index = (start + k) % vqueue.QUEUE_LEN;
    vvar.store<u32>(<usize>vqueue.firstItem(MAILBOX) + index * vqueue.SLOT_BYTES + DATA, first + k);
  }
  vqueue.commitMany(MAILBOX, start, got);
  return got;
}

/** @returns up to four values, one a byte, the oldest the lowest; 0: nothing */
export function popMany(count: u32): u32 {
  const got = vqueue.takeMany(MAILBOX, min(count, 4));
  if (<i32>got < 0) return 0;
  let values: u32 = 0;
  let item = vqueue.lastAddress();
  const end = vqueue.firstItem(MAILBOX) + vqueue.QUEUE_LEN * vqueue.SLOT_BYTES;
  for (let k: u32 = 0; k < got; k++) {
    values |= vvar.load<u32>(<usize>item + DATA) << (8 * k);
    item += vqueue.SLOT_BYTES;
    if (item == end) item = vqueue.firstItem(MAILBOX);
  }
  vqueue.releaseMany(MAILBOX, vqueue.lastAddress());
  return values;
}

/** The same, and sleeps while there is nothing; at most `tries` times. */
export function popWaiting(tries: u32): u32 {
  for (let k: u32 = 0; k < tries; k++) {
    const value = pop();
    if (value != 0) return value;
    vqueue.waitForItem(MAILBOX, -1);
  }
  return 0;
}

export function pushWaiting(value: u32, tries: u32): bool {
  for (let k: u32 = 0; k < tries; k++) {
    if (push(value)) return true;
    vqueue.waitForSpace(MAILBOX, -1);
  }
  return false;
}
