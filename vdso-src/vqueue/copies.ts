/** Items by copy, for callers who do not fill and read slots in place. */
import { FULL, REDO, slotOf, stateOf } from "./ring";
import { ITEM_BYTES, Mailbox } from "./layout";
import { headPosition } from "./lane";

/** An item, outside of the vVAR. Its first 88 bytes are laid out like the item in a slot. */
@apistruct export class Message {
  /** Pid, or whatever sender and receiver agree on. */
  sender: u32;
  /** Bytes of data that count; 0 to 64. */
  length: u16;
  flags: u16;
  msgType: u64;
  repType: u64;
  data0: u64;
  data1: u64;
  data2: u64;
  data3: u64;
  data4: u64;
  data5: u64;
  data6: u64;
  data7: u64;
}

/** Fills a slot. */
export function write(item: u32, message: Message): void {
  vvar.copyIn(<usize>item, changetype<usize>(message), ITEM_BYTES);
}

/** Reads a slot. */
export function read(item: u32): Message {
  const message = new Message();
  vvar.copyOut(changetype<usize>(message), <usize>item, ITEM_BYTES);
  return message;
}

const ATTEMPTS: u32 = 16;

/** A copy of the item at a lane's head, if it is one moment's: the word did not change meanwhile. */
export function peekAt(mailbox: Mailbox, index: u32, urgent: bool): Message | null {
  for (let attempt: u32 = 0; attempt < ATTEMPTS; attempt++) {
    const slot = slotOf(mailbox, headPosition(mailbox, index, urgent), urgent);
    const word = slot.word.load();
    if (stateOf(word) != FULL && stateOf(word) != REDO) return null;
    const message = read(<u32>changetype<usize>(slot.item));
    // The payload is plain: a reader that was overtaken has read a mixture, and throws it away.
    if (slot.word.load() == word) return message;
  }
  return null;
}
