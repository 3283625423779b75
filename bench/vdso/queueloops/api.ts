/** vqueue with loops inside WebAssembly around it, so that a benchmark measures the queue and not the calls. */
import { claim, claimMany, commit, commitMany, firstItem, lastAddress, lastIndex, QUEUE_LEN, release, releaseMany, take, takeMany } from "../../../vdso-src/vqueue/api";

export { claim, claimMany, commit, commitMany, firstItem, lastAddress, lastIndex, processDrop, processInit, QUEUE_LEN, register, release, releaseMany, share, take, takeMany } from "../../../vdso-src/vqueue/api";

const STRIDE: u32 = 96;

// @ts-ignore: decorator
@inline
function fill(item: usize, value: u64): void {
  for (let word: usize = 0; word < 88; word += 8) vvar.store<u64>(item + word, value + word);
}

// @ts-ignore: decorator
@inline
function sum(item: usize): u64 {
  let total: u64 = 0;
  for (let word: usize = 0; word < 88; word += 8) total += vvar.load<u64>(item + word);
  return total;
}

/** Sends `count` items with full payloads, as fast as there is space. */
export function produce(mailbox: u32, count: u32): void {
  for (let i: u32 = 0; i < count; ) {
    const item = claim(mailbox);
    if (item < 64) continue;
    fill(item, i++);
    commit(mailbox, item);
  }
}

/** Receives `count` items. @returns the sum of all payloads */
export function consume(mailbox: u32, count: u32): u64 {
  let total: u64 = 0;
  for (let i: u32 = 0; i < count; ) {
    const item = take(mailbox);
    if (item < 64) continue;
    total += sum(item);
    release(mailbox, item);
    i++;
  }
  return total;
}

export function produceMany(mailbox: u32, count: u32, batch: u32): void {
  const first = firstItem(mailbox);
  for (let i: u32 = 0; i < count; ) {
    const got = claimMany(mailbox, min(batch, count - i));
    if (<i32>got < 0) continue;
    const start = lastIndex();
    for (let k: u32 = 0; k < got; k++) {
      let index = start + k;
      if (index >= QUEUE_LEN) index -= QUEUE_LEN;
      fill(first + index * STRIDE, i++);
    }
    commitMany(mailbox, start, got);
  }
}

export function consumeMany(mailbox: u32, count: u32, batch: u32): u64 {
  let total: u64 = 0;
  const first = firstItem(mailbox);
  for (let i: u32 = 0; i < count; ) {
    const got = takeMany(mailbox, min(batch, count - i));
    if (<i32>got < 0) continue;
    const start = lastIndex();
    for (let k: u32 = 0; k < got; k++) {
      let index = start + k;
      if (index >= QUEUE_LEN) index -= QUEUE_LEN;
      total += sum(first + index * STRIDE);
    }
    i += got;
    releaseMany(mailbox, lastAddress());
  }
  return total;
}

/** One thread: sends and receives `count` items in turn. */
export function pushPop(mailbox: u32, count: u32): u64 {
  let total: u64 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const item = claim(mailbox);
    fill(item, i);
    commit(mailbox, item);
    const taken = take(mailbox);
    total += sum(taken);
    release(mailbox, taken);
  }
  return total;
}
