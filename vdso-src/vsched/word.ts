/** The task word: its fields, and every transition by name. See `layout.ts` for the picture. */
import { State, TASKS, Why, wordAt } from "./layout";

const INDEX_BITS: u32 = 14;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
const STAMP: u64 = 1 << 32;
const GENERATIONS: u32 = 0xffff;

export function stateOf(word: u64): State {
  return <State>(<u32>word & 7);
}
export function whyOf(word: u64): Why {
  return <Why>((<u32>word >> 3) & 7);
}
export function whoOf(word: u64): u32 {
  return (<u32>word >> 6) & 1023;
}
export function stampOf(word: u64): u32 {
  return <u32>(word >> 32);
}
export function idOf(index: u32, word: u64): u32 {
  return ((<u32>word >> 16) << INDEX_BITS) | index;
}
/** Check the id with {@link find} first: this one may lie behind the table. */
export function indexOf(id: u32): u32 {
  return id & INDEX_MASK;
}

/** The word of a task that is not free; 0 when the id is stale or none. */
export function find(id: u32): u64 {
  const index = indexOf(id);
  if (index >= TASKS) return 0;
  const word = wordAt(index).load();
  return idOf(index, word) == id && stateOf(word) != State.Free ? word : 0;
}

/** Exited, or Ending. */
// @ts-ignore: decorator
@inline
export function hasEnded(word: u64): bool {
  return stateOf(word) >= State.Exited;
}

/** As those see it who do not end tasks. */
export function shownState(word: u64): State {
  return hasEnded(word) ? State.Exited : stateOf(word);
}

/** Is this task waiting, or about to, and has nothing ended the wait yet? */
export function waits(word: u64): bool {
  const state = stateOf(word);
  return state == State.Blocked || (state == State.Blocking && whyOf(word) == Why.None);
}

function successor(word: u64, state: State, why: Why, who: u32): u64 {
  return ((word + STAMP) & 0xffffffff_ffff0000) | (who << 6) | (<u32>why << 3) | <u32>state;
}

/** Every transition but those that change the generation. @returns the new word; 0 when somebody was faster */
function move(index: u32, word: u64, state: State, why: Why, who: u32): u64 {
  const next = successor(word, state, why, who);
  return wordAt(index).cas(word, next) ? next : 0;
}

/** Free -> Spawning, for the process with this pid; a new generation. */
export function claim(index: u32, word: u64, pid: u32): u64 {
  const generation = (<u32>word >> 16) == GENERATIONS ? 1 : (<u32>word >> 16) + 1;
  const next = (successor(word, State.Spawning, Why.None, pid & 1023) & 0xffffffff_0000ffff) | (generation << 16);
  return wordAt(index).cas(word, next) ? next : 0;
}

/** Spawning, Ending, Exited -> Free. Generation and reason stay until the slot is taken again, for joiners who come late. */
export function free(index: u32, word: u64): bool {
  return move(index, word, State.Free, whyOf(word), 0) != 0;
}

/** Spawning, Running, Blocking, Blocked, and Ready of another CPU -> Ready on this one. */
export function makeReady(index: u32, word: u64, why: Why, cpu: u32): u64 {
  return move(index, word, State.Ready, why, cpu);
}

/** Ready -> Running, by the CPU that it is ready on. */
export function run(index: u32, word: u64): u64 {
  return move(index, word, State.Running, whyOf(word), whoOf(word));
}

/** Running -> Blocking: the wait that begins has not been ended by anything. */
export function announce(index: u32, word: u64): u64 {
  return move(index, word, State.Blocking, Why.None, whoOf(word));
}

/** Blocking -> Blocking, with what ended the wait. Its CPU looks when it lets go. */
export function endAnnounced(index: u32, word: u64, why: Why): u64 {
  return move(index, word, State.Blocking, why, whoOf(word));
}

/** Blocking -> Running: the wait is not needed. */
export function takeBack(index: u32, word: u64): u64 {
  return move(index, word, State.Running, whyOf(word), whoOf(word));
}

/** Blocking, with nothing that ended the wait -> Blocked. */
export function letGo(index: u32, word: u64): u64 {
  return move(index, word, State.Blocked, Why.None, whoOf(word));
}

/** Blocked, Blocking -> the same with a new stamp, so that who looked before the waiter was moved to another queue fails. */
export function restamp(index: u32, word: u64): u64 {
  return move(index, word, stateOf(word), whyOf(word), whoOf(word));
}

/** Any state but Free, Ending, Exited -> Ending. Who did it goes on with `buried()`. */
export function end(index: u32, word: u64, why: Why): u64 {
  return move(index, word, State.Ending, why, whoOf(word));
}

/** Ending -> Exited: what follows on the end has been done. */
export function keep(index: u32, word: u64): u64 {
  return move(index, word, State.Exited, whyOf(word), whoOf(word));
}
