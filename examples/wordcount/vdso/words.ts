/**
 * How often each word occurs: a table that all processes fill at the same time, without locks.
 *
 * Open addressing with linear probing. A slot is empty until the address of a text is put into it by one CAS, and never changes
 * afterwards. Texts lie in the arena, out of which each process takes blocks for itself.
 *
 * Who writes what: the text's bytes whoever owns the block, before the text is published; a slot's count everybody, atomically.
 * Progress: lock-free, at most `PROBES` steps. A process that dies leaves at most the rest of its block unused.
 */
import { ARENA_BYTES, shared, TABLE_LEN, Text, WORD_BYTES } from "./layout";

/** Slots that are looked at before a word counts as not listed. */
const PROBES: u32 = 128;
const BLOCK_BYTES: u32 = 4096;
const TEXT_HEADER: u32 = 8;
const MASK: u32 = TABLE_LEN - 1;

/** What is left of this process's block of the arena. */
let free: u32 = 0;
let freeEnd: u32 = 0;

export const HASH_START: u32 = 0x811c9dc5;

/** FNV-1a, http://www.isthe.com/chongo/tech/comp/fnv/ */
// @ts-ignore: decorator
@inline
export function hashByte(hash: u32, byte: u32): u32 {
  return (hash ^ byte) * 0x01000193;
}

/** Counts a word. @returns false when the table has no room for it */
export function add(word: u32, bytes: u32, hash: u32): bool {
  if (bytes > WORD_BYTES) return false;
  let index = hash ^ (hash >> 15);
  for (let probe: u32 = 0; probe < PROBES; probe++, index++) {
    const slot = unchecked(shared.words[index & MASK]);
    // SYNC word-text: the text is written before its address; pairs with `word-text` at the CAS below.
    let text = slot.text.load();
    if (text == 0) {
      const own = write(word, bytes, hash);
      if (own == 0) return false;
      // SYNC word-text: publishes the text. If another process was faster, ours is written again or overwritten by the next word.
      text = slot.text.compareExchange(0, own);
      if (text == 0) {
        free = (own + TEXT_HEADER + bytes + 3) & ~3;
        text = own;
      }
    }
    if (same(text, word, bytes, hash)) {
      slot.count.add(1);
      return true;
    }
  }
  return false;
}

/** Writes a text to where the next one goes; it is ours to overwrite until it is published. @returns its address, 0 without room */
function write(word: u32, bytes: u32, hash: u32): u32 {
  if (free + TEXT_HEADER + bytes > freeEnd) {
    const used = shared.arenaUsed.load();
    if (used + BLOCK_BYTES > ARENA_BYTES) return 0;
    const block = shared.arenaUsed.add(BLOCK_BYTES);
    if (block + BLOCK_BYTES > ARENA_BYTES) return 0;
    free = <u32>changetype<usize>(shared.arena) + block;
    freeEnd = free + BLOCK_BYTES;
  }
  const text = changetype<Text>(<usize>free);
  text.hash = hash;
  text.bytes = bytes;
  vvar.copy(free + TEXT_HEADER, word, bytes);
  return free;
}

function same(address: u32, word: u32, bytes: u32, hash: u32): bool {
  const text = changetype<Text>(<usize>address);
  if (text.hash != hash || text.bytes != bytes) return false;
  for (let i: u32 = 0; i < bytes; i++) {
    if (vvar.load<u8>(address + TEXT_HEADER + i) != vvar.load<u8>(word + i)) return false;
  }
  return true;
}

/** The word in a slot; empty when there is none. */
export function textAt(index: u32): string {
  const address = shared.words[index].text.load();
  if (address == 0) return "";
  return utf8.read(address + TEXT_HEADER, changetype<Text>(<usize>address).bytes);
}
