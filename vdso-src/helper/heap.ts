/**
 * Private memory for what is made by `new`, by array literals in functions and by operations on strings: handed out in order, from behind
 * the image's own data to the end of the memory, and never taken back. Takes the place of the compiler's `rt/stub`, whose end of memory
 * is a bare trap.
 *
 *   block: | size | gc (unused, 2 words) | class id | bytes | content, aligned to 16 ...
 */
const ALIGN: usize = 15;
/** The size. */
const BLOCK: usize = 4;
/** The words from behind the size to the content. */
const OBJECT: usize = 16;

// @ts-ignore: decorator
@lazy let next: usize = ((__heap_base + BLOCK + ALIGN) & ~ALIGN) - BLOCK;

function roomBehind(at: usize, size: usize): usize {
  const room = ((size + BLOCK + ALIGN) & ~ALIGN) - BLOCK;
  const end = at + room;
  if (room < size || end < at || end > <usize>memory.size() << 16) throw new Error("private memory is used up");
  next = end;
  store<u32>(at - BLOCK, <u32>room);
  return room;
}

// @ts-ignore: decorator
@unsafe @global
export function __alloc(size: usize): usize {
  const at = next + BLOCK;
  roomBehind(at, size);
  return at;
}

// @ts-ignore: decorator
@unsafe @global
export function __realloc(at: usize, size: usize): usize {
  const before = <usize>load<u32>(at - BLOCK);
  if (size <= before) return at;
  if (at + before == next) {
    roomBehind(at, size);
    return at;
  }
  const moved = __alloc(max(size, before << 1));
  memory.copy(moved, at, before);
  return moved;
}

// @ts-ignore: decorator
@unsafe @global
export function __free(at: usize): void {
  if (at + load<u32>(at - BLOCK) == next) next = at - BLOCK;
}

// @ts-ignore: decorator
@unsafe @global
export function __new(size: usize, id: u32): usize {
  const at = __alloc(OBJECT + size);
  store<u32>(at + 8, id);
  store<u32>(at + 12, <u32>size);
  return at + OBJECT;
}

// @ts-ignore: decorator
@unsafe @global
export function __renew(content: usize, size: usize): usize {
  const at = __realloc(content - OBJECT, OBJECT + size);
  store<u32>(at + 12, <u32>size);
  return at + OBJECT;
}

// What a collector would need; there is none.
// @ts-ignore: decorator
@global @unsafe
export function __link(parent: usize, child: usize, expectMultiple: bool): void {}
// @ts-ignore: decorator
@global @unsafe
export function __pin(content: usize): usize {
  return content;
}
// @ts-ignore: decorator
@global @unsafe
export function __unpin(content: usize): void {}
// @ts-ignore: decorator
@global @unsafe
function __visit(content: usize, cookie: u32): void {}
// @ts-ignore: decorator
@global @unsafe
export function __collect(): void {}
