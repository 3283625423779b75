/**
 * The shared heap: blocks of memory that processes lend to each other. Allocate, write, transfer, read, release, from any process.
 *
 * Sizes are powers of two from 64 bytes to the whole heap; a block begins at a multiple of its size, from the heap's start.
 * A request is refused only when every part of the heap of its size, rounded up, holds a byte that is lent: nothing fragments for good.
 *
 * Who writes what: see `word.ts`. What a death leaves behind: `blocks.ts` for what the allocator does, `transit.ts` for blocks on their way.
 */
import { me, noteSent, NOTHING, orderFor, setSelf, takeFound, takeGathered, takeHinted, takeReturned, wordAt } from "./blocks";
import { handleGeneration, makeHandle, NO_UNIT, unitOf } from "./handle";
import { remember } from "./hints";
import { HEAP_BYTES, shared, UNIT_BYTES } from "./layout";
import { discard, enter, isAttached as attached, reap } from "./reap";
import { forgetUnsent } from "./sent";
import { bytesOf, HeapStats, look } from "./stats";
import { arrive, send, sentByMe } from "./transit";
import { FREE, fits, generationOf, makeWord, nextGeneration, OWNED, orderOf, ownerOf, SENT, sameButOrder, stateOf, wholeOrder } from "./word";

export { HEAP_BYTES, HEAP_FAR_BYTES, HEAP_HINTS, HEAP_PASSES } from "./layout";

/** Why a call was refused; each is returned in the place of its result. */
export enum HeapError {
  /** No free memory of that size. */
  OutOfMemory = -1,
  /** More than the whole heap. */
  TooLarge = -2,
  /** No bytes. */
  NoBytes = -3,
  /** Not a handle at all. */
  BadHandle = -4,
  /** The block was released, and not lent again since. */
  DoubleFree = -5,
  /** The handle is of an earlier life of the block: it was released or transferred. */
  Stale = -6,
  /** Another process has it. */
  NotOwner = -7,
  /** It was sent to this process, which has not accepted it; or this process sent it. */
  InTransit = -8,
  /** No such process is attached, or it has ended. The block stays with the caller. */
  NoProcess = -9,
  /** The receiver ended after it had got the block, which was freed with it. */
  ReceiverEnded = -10,
  /** Nothing was free, but others were in the middle of something: again, and it may be. */
  Busy = -11,
  /** It has not ended: its messages may still come. */
  Attached = -12,
  /** Somebody wrote garbage where the block's word was. */
  Corrupt = -13,
}

/** Runs once. */
export function init(): void {
  wordAt(0).store(makeWord(FREE, wholeOrder(), 0, 0));
}

export function processInit(pid: u32): void {
  setSelf(pid);
  enter(pid);
}

/** Frees everything that an ended process had. May be repeated. */
export function processDrop(pid: u32): void {
  reap(pid);
}

/**
 * Lends a block; what is in it is whatever its last user left.
 *
 * @param bytes - 1 to {@link HEAP_BYTES}
 * @returns its handle, positive; or a {@link HeapError}: `OutOfMemory`, `TooLarge`, `NoBytes`, `Busy`
 */
export function allocate(bytes: u32): f64 {
  if (bytes - 1 >= HEAP_BYTES) return bytes == 0 ? HeapError.NoBytes : HeapError.TooLarge;
  const order = orderFor(bytes);
  let handle = takeReturned(order);
  if (handle != NOTHING) return handle;
  handle = takeHinted(order);
  if (handle != NOTHING) return handle;
  handle = takeFound(order);
  if (handle != NOTHING) return handle;
  handle = takeGathered(order);
  if (handle > 0) return handle;
  if (handle < 0) return HeapError.Busy;
  shared.refusals.add(1);
  return HeapError.OutOfMemory;
}

/**
 * Gives a block back, which its owner alone may.
 *
 * @returns 0; or a {@link HeapError}: `BadHandle`, `DoubleFree`, `Stale`, `NotOwner`, `InTransit`, `Corrupt`
 */
export function release(handle: f64): i32 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const generation = handleGeneration(handle);
  const word = wordAt(unit).load();
  const order = orderOf(word);
  if (!sameButOrder(word, makeWord(OWNED, 0, generation, me()))) return complain(word, generation);
  const freed = makeWord(FREE, order, nextGeneration(generation), 0);
  // Nobody but this process changes the word of a block that it owns.
  if (!fits(unit, order) || !wordAt(unit).cas(word, freed)) return HeapError.Corrupt;
  remember(order, unit);
  return 0;
}

/** Where a block of this process begins in the vVAR, in bytes; or a {@link HeapError} as {@link release} has them. */
export function offsetOf(handle: f64): i32 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const word = wordAt(unit).load();
  if (!sameButOrder(word, makeWord(OWNED, 0, handleGeneration(handle), me()))) return complain(word, handleGeneration(handle));
  return <i32>changetype<usize>(shared.data) + <i32>(unit * UNIT_BYTES);
}

/** Bytes that a block of this process holds; or a {@link HeapError} as {@link release} has them. */
export function capacityOf(handle: f64): i32 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const word = wordAt(unit).load();
  if (!sameButOrder(word, makeWord(OWNED, 0, handleGeneration(handle), me()))) return complain(word, handleGeneration(handle));
  return fits(unit, orderOf(word)) ? <i32>(UNIT_BYTES << orderOf(word)) : HeapError.Corrupt;
}

/**
 * Hands a block over to another process, which has to {@link accept} it. The handle ends with this; the new one goes into the message.
 *
 * @returns the new handle; or a {@link HeapError}: those of {@link release}, `NoProcess`, `ReceiverEnded`
 */
export function transfer(handle: f64, receiver: u32): f64 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const generation = handleGeneration(handle);
  const word = wordAt(unit).load();
  if (!sameButOrder(word, makeWord(OWNED, 0, generation, me()))) return complain(word, generation);
  if (!fits(unit, orderOf(word))) return HeapError.Corrupt;
  const sent = send(unit, word, receiver);
  if (sent > 0) {
    noteSent(orderOf(word), unit, nextGeneration(generation));
    return sent;
  }
  return sent == 0 ? HeapError.NoProcess : HeapError.ReceiverEnded;
}

/**
 * The handle that {@link transfer} will return for a block of this process, if nothing else becomes of it before: to write it where the receiver looks
 * before the block is sent, so that the receiver finds the block when the sender dies right after that.
 */
export function sentHandle(handle: f64): f64 {
  const unit = unitOf(handle);
  return unit == NO_UNIT ? HeapError.BadHandle : makeHandle(unit, nextGeneration(handleGeneration(handle)));
}

/**
 * Takes over a block that was sent to this process.
 *
 * @param handle - from the message
 * @returns bytes that the block holds; or a {@link HeapError}: those of {@link release}
 */
export function accept(handle: f64): i32 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const generation = handleGeneration(handle);
  const word = wordAt(unit).load();
  if (!sameButOrder(word, makeWord(SENT, 0, generation, me()))) {
    const accepted = stateOf(word) == OWNED && generationOf(word) == generation;
    return accepted ? HeapError.NotOwner : complain(word, generation);
  }
  if (!fits(unit, orderOf(word)) || !arrive(unit, word)) return HeapError.Corrupt;
  return <i32>(UNIT_BYTES << orderOf(word));
}

/**
 * Takes a block back that this process sent and that was not accepted yet: its message could not be sent.
 *
 * @param handle - from {@link transfer}
 * @returns 0; or a {@link HeapError}: those of {@link release}; `NotOwner`: it was accepted
 */
export function takeBack(handle: f64): i32 {
  const unit = unitOf(handle);
  if (unit == NO_UNIT) return HeapError.BadHandle;
  const generation = handleGeneration(handle);
  const word = wordAt(unit).load();
  if (stateOf(word) != SENT || generationOf(word) != generation) return complain(word, generation);
  if (!sentByMe(unit)) return HeapError.NotOwner;
  if (!fits(unit, orderOf(word))) return HeapError.Corrupt;
  // Accepted, or freed with its receiver, since it was looked at.
  if (!arrive(unit, word)) return complain(wordAt(unit).load(), generation);
  forgetUnsent(orderOf(word), unit);
  return 0;
}

/**
 * Frees what an ended process sent to this one without a message that names it. For the receiver, after it has taken all of its messages.
 *
 * @returns how many blocks; or a {@link HeapError}: `Attached`
 */
export function discardFrom(sender: u32): i32 {
  if (attached(sender)) return HeapError.Attached;
  return <i32>discard(sender, me());
}

/** Is a process with this pid attached? */
export function isAttached(pid: u32): bool {
  return attached(pid);
}

/** What is lent, and what is left. Looks at every block. */
export function stats(): HeapStats {
  return look();
}

/** Bytes that a process owns or that are on their way to it. Looks at every block. */
export function heldBy(pid: u32): u32 {
  return bytesOf(pid);
}

/** Why a word is not what a handle of this process expects. */
function complain(word: u64, generation: u64): i32 {
  const state = stateOf(word);
  if (state > 5) return HeapError.Corrupt;
  if (generationOf(word) != generation) {
    return state == FREE && generationOf(word) == nextGeneration(generation) ? HeapError.DoubleFree : HeapError.Stale;
  }
  if (state == SENT) return HeapError.InTransit;
  return state == OWNED && ownerOf(word) != me() ? HeapError.NotOwner : HeapError.Stale;
}
