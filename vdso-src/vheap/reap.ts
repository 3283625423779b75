/**
 * Gets back what a process had that ended, wherever it was at that moment. Everything is found by owner and changed by a CAS from what was
 * read: it may be repeated, may itself die at any point, and others go on meanwhile, another reaper included.
 */
import { wordAt } from "./blocks";
import { PROCESSES, shared, UNITS } from "./layout";
import { BUSY, FREE, generationOf, INNER, makeWord, nextGeneration, OWNED, orderOf, ownerOf, PART, SENT, stateOf } from "./word";

export function enter(pid: u32): void {
  unchecked(shared.processes[pid & (PROCESSES - 1)]).store(pid);
}

export function isAttached(pid: u32): bool {
  return pid != 0 && unchecked(shared.processes[pid & (PROCESSES - 1)]).load() == pid;
}

export function reap(pid: u32): void {
  // SYNC receiver-ended: first nobody sends to it any more, then what was sent is freed; pairs with `receiver-ended` in transit.ts.
  unchecked(shared.processes[pid & (PROCESSES - 1)]).cas(pid, 0);
  // Each word, not each block: who lied about sizes hides nothing behind them. From left to right: a BUSY word comes before the PARTs that it covers.
  for (let unit: u32 = 0; unit < UNITS; unit++) {
    const word = wordAt(unit).load();
    const state = stateOf(word);
    if (state == SENT) {
      if (ownerOf(word) == pid || isStranded(unit, word, pid)) free(unit, word, nextGeneration(generationOf(word)));
    } else if (ownerOf(word) == pid) {
      // SYNC carved: parts that no BUSY word covers are blocks; pairs with `carved` in blocks.ts.
      if (state == OWNED) free(unit, word, nextGeneration(generationOf(word)));
      else if (state == PART) free(unit, word, generationOf(word));
      else if (state == BUSY) {
        // SYNC gathered: parts that one covers are not; pairs with `gathered` in blocks.ts.
        eraseParts(unit, orderOf(word), pid);
        free(unit, word, generationOf(word));
      }
    }
  }
}

/**
 * Frees the blocks that an ended process sent to this one and that no message named: the receiver knows, when it has taken every message.
 *
 * @returns how many
 */
export function discard(sender: u32, receiver: u32): u32 {
  let count: u32 = 0;
  for (let unit: u32 = 0; unit < UNITS; unit++) {
    const word = wordAt(unit).load();
    if (stateOf(word) != SENT || ownerOf(word) != receiver) continue;
    if (unchecked(shared.senders[unit]).load() != sender) continue;
    if (free(unit, word, nextGeneration(generationOf(word)))) count++;
  }
  return count;
}

/** Sent by the dead to somebody who ended as well, and was reaped before it was sent. */
function isStranded(unit: u32, word: u64, sender: u32): bool {
  return unchecked(shared.senders[unit]).load() == sender && !isAttached(ownerOf(word));
}

function eraseParts(start: u32, order: u32, pid: u32): void {
  const end = min(start + (1 << min(order, 25)), UNITS);
  for (let unit = start + 1; unit < end; unit++) {
    const word = wordAt(unit).load();
    if (stateOf(word) == PART && ownerOf(word) == pid) wordAt(unit).cas(word, makeWord(INNER, 0, generationOf(word), 0));
  }
}

function free(unit: u32, word: u64, generation: u64): bool {
  return wordAt(unit).cas(word, makeWord(FREE, orderOf(word), generation, 0));
}
