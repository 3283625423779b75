/**
 * Counts lines, words and bytes of files that are cut into chunks, and how often each word occurs: as `wc -lwc` of GNU coreutils 9.1 does
 * in a UTF-8 locale. A word is what stands between white space and has at least one printable character.
 *
 * A reader fills a buffer, cuts what it read behind the last white space, and passes on which buffer it was; a counter calls
 * {@link count}. Who may use a buffer is not decided here: the one who was told its number last.
 */
import { bytesOf, characterAt, kindOf, lastWhole, OTHER, PRINTABLE, SPACE } from "./characters";
import { BUFFERS, Outcome, OUTCOMES, PROCESSES, shared, TABLE_LEN, Tally } from "./layout";
import { add, HASH_START, hashByte, textAt } from "./words";

export { BUFFER_BYTES, BUFFERS, Outcome, TABLE_LEN, WORD_BYTES } from "./layout";

/** Where a chunk begins: only a word longer than a whole chunk is ever torn. */
export enum Start {
  /** Where a word may begin. */
  Fresh,
  /** Inside a word that is not counted yet, because nothing in it was printable. */
  InWord,
  /** Inside a word that is counted. */
  InCountedWord,
}

/** How to cut a chunk. */
@apistruct export class Cut {
  /** Bytes that belong to this chunk; what follows is for the next one. */
  bytes: u32;
  /** Where the next chunk begins. */
  next: Start;
}

/** What a process has counted. */
@apistruct export class Counts {
  chunks: u64;
  lines: u64;
  words: u64;
  bytes: u64;
}

/** Written by this process only. */
let own: Tally = changetype<Tally>(0);

export function processInit(pid: u32): void {
  own = unchecked(shared.tallies[pid % PROCESSES]);
  own.chunks.store(0);
  own.lines.store(0);
  own.words.store(0);
  own.bytes.store(0);
}

/** The address of a buffer in the vVAR. */
export function bufferAddress(buffer: u32): u32 {
  assert(buffer < BUFFERS, "no such buffer");
  return <u32>changetype<usize>(unchecked(shared.buffers[buffer]).bytes);
}

/** Finds where to cut a chunk that the file goes on behind, so that no word is torn unless it is longer than the chunk. */
export function cut(buffer: u32, bytes: u32, start: Start): Cut {
  const first = bufferAddress(buffer);
  const end = lastWhole(first, first + bytes);
  const result = new Cut();
  for (let at = end; at > first; ) {
    at--;
    const character = characterAt(at, end);
    if (kindOf(character) == SPACE) {
      result.bytes = at + bytesOf(character) - first;
      result.next = Start.Fresh;
      return result;
    }
  }
  result.bytes = end - first;
  result.next = start == Start.InCountedWord || hasPrintable(first, end) ? Start.InCountedWord : Start.InWord;
  return result;
}

function hasPrintable(first: u32, end: u32): bool {
  for (let at = first; at < end; ) {
    const character = characterAt(at, end);
    if (kindOf(character) == PRINTABLE) return true;
    at += bytesOf(character);
  }
  return false;
}

/** Counts a chunk. */
export function count(buffer: u32, bytes: u32, start: Start): void {
  const first = bufferAddress(buffer);
  const end = first + bytes;
  let lines: u64 = 0;
  let words: u64 = 0;
  let unlisted: u64 = 0;

  let at = first;
  while (at < end) {
    // A word, or nothing.
    const begin = at;
    const torn = begin == first && start != Start.Fresh;
    let isWord = false;
    let hash = HASH_START;
    let character: u32 = 0;
    while (at < end) {
      character = characterAt(at, end);
      const kind = kindOf(character);
      if (kind == SPACE) break;
      if (kind != OTHER) isWord = true;
      for (const next = at + bytesOf(character); at < next; at++) hash = hashByte(hash, vvar.load<u8>(at));
    }
    if (isWord && !(torn && start == Start.InCountedWord)) {
      words++;
      if (torn || !add(begin, at - begin, hash)) unlisted++;
    }
    // The white space behind it.
    while (at < end) {
      character = characterAt(at, end);
      if (kindOf(character) != SPACE) break;
      if (vvar.load<u8>(at) == 0x0a) lines++;
      at += bytesOf(character);
    }
  }

  // Stores, not additions: no other process writes here.
  own.chunks.store(own.chunks.load() + 1);
  own.lines.store(own.lines.load() + lines);
  own.words.store(own.words.load() + words);
  own.bytes.store(own.bytes.load() + bytes);
  if (unlisted > 0) shared.unlisted.add(unlisted);
}

/** What a process has counted so far. */
export function countsOf(pid: u32): Counts {
  const tally = unchecked(shared.tallies[pid % PROCESSES]);
  const counts = new Counts();
  counts.chunks = tally.chunks.load();
  counts.lines = tally.lines.load();
  counts.words = tally.words.load();
  counts.bytes = tally.bytes.load();
  return counts;
}

/** How often the word in a slot of the table occurs; 0 for an empty slot. */
export function timesOf(slot: u32): u64 {
  assert(slot < TABLE_LEN, "no such slot");
  return unchecked(shared.words[slot]).count.load();
}

/** The word in a slot of the table. */
export function wordOf(slot: u32): string {
  assert(slot < TABLE_LEN, "no such slot");
  return textAt(slot);
}

/** Words that were counted, but are not in the table: longer than it takes, or it was full. */
export function unlisted(): u64 {
  return shared.unlisted.load();
}

/** The reader is done with a file. */
export function fileDone(outcome: Outcome): void {
  assert(<u32>outcome < OUTCOMES, "no such outcome");
  unchecked(shared.files[outcome]).add(1);
}

/** Files with this outcome so far. */
export function files(outcome: Outcome): u32 {
  assert(<u32>outcome < OUTCOMES, "no such outcome");
  return unchecked(shared.files[outcome]).load();
}
