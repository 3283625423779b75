/**
 * Handing a block over. Who owns it, and who frees it when somebody dies:
 *
 * | moment | word | owner | the sender dies | the receiver dies |
 * |---|---|---|---|---|
 * | before `transfer` commits | OWNED by the sender | sender | its reaper frees it | nothing; `transfer` refuses |
 * | sent, the message not committed | SENT to the receiver | receiver | stays, until the receiver calls `discardFrom` | its reaper frees it |
 * | the message committed | SENT to the receiver | receiver | stays: the message counts | its reaper frees it |
 * | `accept` done | OWNED by the receiver | receiver | nothing | its reaper frees it |
 *
 * Heap and queue are different memories: whether a dead sender's message was committed, only the receiver can tell, by taking what is in its queue.
 * So a sender claims its place in the queue, transfers, writes the new handle there and commits (or transfers first, and takes back when there is no place);
 * a receiver that hears of a sender's end takes all of its messages and then calls `discardFrom(sender)`.
 */
import { me, wordAt } from "./blocks";
import { makeHandle } from "./handle";
import { shared } from "./layout";
import { isAttached } from "./reap";
import { generationOf, makeWord, nextGeneration, OWNED, orderOf, SENT } from "./word";

/** Sends the block whose word this is. @returns its new handle; 0: the receiver is not attached; -1: the word changed */
export function send(unit: u32, word: u64, receiver: u32): f64 {
  if (!isAttached(receiver)) return 0;
  unchecked(shared.senders[unit]).store(me());
  // The sender's handle ends here: a block that comes back later is not the one it had.
  const generation = nextGeneration(generationOf(word));
  const sent = makeWord(SENT, orderOf(word), generation, receiver);
  // SYNC sent: the sender's pid is written before; pairs with `sent` in arrive().
  if (!wordAt(unit).cas(word, sent)) return -1;
  // SYNC receiver-ended: looked at again after the block is sent; pairs with `receiver-ended` in reap.ts. If it ended before, its reaper may
  // have passed this word: nobody has seen the new handle yet, so the old one comes back to life.
  if (!isAttached(receiver)) return wordAt(unit).cas(sent, word) ? 0 : -1;
  return makeHandle(unit, generation);
}

/** Makes a block in transit this process's own. */
export function arrive(unit: u32, word: u64): bool {
  // SYNC sent: pairs with `sent` in send().
  return wordAt(unit).cas(word, makeWord(OWNED, orderOf(word), generationOf(word), me()));
}

/** Did this process send the block that is in transit here? */
export function sentByMe(unit: u32): bool {
  return unchecked(shared.senders[unit]).load() == me();
}
