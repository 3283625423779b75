/** Constants and layout of the shared memory. */

/** Buffers for chunks of files. Two at least: the reader fills one while another is counted. */
export const BUFFERS: u32 = config.range("BUFFERS", 64, 2, 4096);
/** Bytes of a buffer, so of a chunk. Longer than any word of the table, see {@link WORD_BYTES}. */
export const BUFFER_BYTES: u32 = config.range("BUFFER_BYTES", 65536, 128, 16777216);
/** Slots of the table of words. */
export const TABLE_LEN: u32 = config.powerOfTwo("TABLE_LEN", 65536);
/** Bytes for the texts of the words in the table. */
export const ARENA_BYTES: u32 = config.range("ARENA_BYTES", 4194304, 4096, 268435456);
/** Longest word that the table takes. */
export const WORD_BYTES: u32 = 64;

/** What happened to a file. */
export enum Outcome {
  Counted,
  /** Found in a folder, and has NUL bytes. */
  Binary,
  Unreadable,
}
export const OUTCOMES: u32 = 3;

/** Pids end in an index below this number. */
export const PROCESSES: u32 = 1024;

@vvar class Buffer {
  @align(64) @len(BUFFER_BYTES) bytes: FixedArray<u8>;
}

/** What one process has counted. It alone writes; a cache line of its own, so that nobody else's writes slow it down. */
@vvar export class Tally {
  @align(64) chunks: Atomic<u64>;
  lines: Atomic<u64>;
  words: Atomic<u64>;
  bytes: Atomic<u64>;
}

/** A slot of the table of words. */
@vvar export class Word {
  /** Address of the word's text in the arena; 0 while the slot is empty. Set once. */
  text: Atomic<u32>;
  count: Atomic<u64>;
}

/** The text of a word, in the arena; its bytes follow. */
@vvar export class Text {
  hash: u32;
  bytes: u32;
}

@vvar class VvarData {
  @len(OUTCOMES) files: FixedArray<Atomic<u32>>;
  /** Words that the table did not take: too long, or no room. */
  @align(64) unlisted: Atomic<u64>;
  /** Bytes of the arena that are given out. */
  @align(64) arenaUsed: Atomic<u32>;
  @len(PROCESSES) tallies: FixedArray<Tally>;
  @len(TABLE_LEN) words: FixedArray<Word>;
  @align(64) @len(ARENA_BYTES) arena: FixedArray<u8>;
  @len(BUFFERS) buffers: FixedArray<Buffer>;
}

export const shared = vvarRoot<VvarData>();
