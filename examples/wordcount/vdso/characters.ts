/** Characters as GNU `wc` sees them in a UTF-8 locale, but that here every code point is printable which Unicode has not assigned yet. */

/** Neither: controls, and bytes that are no UTF-8. They stand in words, but do not make one. */
export const OTHER: u32 = 0;
export const SPACE: u32 = 1;
export const PRINTABLE: u32 = 2;

/** The kind of a character, and how many bytes it takes. */
// @ts-ignore: decorator
@inline
function character(kind: u32, bytes: u32): u32 {
  return (bytes << 2) | kind;
}

// @ts-ignore: decorator
@inline
export function kindOf(character: u32): u32 {
  return character & 3;
}

// @ts-ignore: decorator
@inline
export function bytesOf(character: u32): u32 {
  return character >> 2;
}

/** Looks at the character at `at`, in text that ends at `end`. A byte that is no part of UTF-8 is a character of its own. */
// @ts-ignore: decorator
@inline
export function characterAt(at: u32, end: u32): u32 {
  const byte = <u32>vvar.load<u8>(at);
  if (byte < 0x80) {
    if (byte - 0x21 < 0x5e) return character(PRINTABLE, 1);
    return character(byte == 0x20 || byte - 9 < 5 ? SPACE : OTHER, 1);
  }
  return beyondAscii(byte, at, end);
}

function beyondAscii(lead: u32, at: u32, end: u32): u32 {
  const bytes = encodedBytes(lead);
  if (bytes == 1 || at + bytes > end) return character(OTHER, 1);
  let point = lead & (0x7f >> bytes);
  for (let i: u32 = 1; i < bytes; i++) {
    const next = <u32>vvar.load<u8>(at + i);
    if ((next & 0xc0) != 0x80) return character(OTHER, 1);
    point = (point << 6) | (next & 0x3f);
  }
  // Longer than need be, a surrogate, or beyond Unicode.
  const least: u32 = bytes == 2 ? 0x80 : bytes == 3 ? 0x800 : 0x10000;
  if (point < least || point - 0xd800 < 0x800 || point > 0x10ffff) return character(OTHER, 1);
  if (isSpace(point)) return character(SPACE, bytes);
  // The separators of lines and paragraphs are controls to `wc`, and therefore no white space.
  return character(point < 0xa0 || (point | 1) == 0x2029 ? OTHER : PRINTABLE, bytes);
}

/** Bytes of the character that begins with `lead`; 1 when none does. */
function encodedBytes(lead: u32): u32 {
  if (lead < 0xc2) return 1;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 1;
}

/** Spaces beyond ASCII; `wc` counts those that do not break lines, too. */
function isSpace(point: u32): bool {
  if (point < 0x2000) return point == 0xa0 || point == 0x1680;
  return point <= 0x200a || point == 0x202f || point == 0x205f || point == 0x2060 || point == 0x3000;
}

/** The end of the last character that is whole. */
export function lastWhole(start: u32, end: u32): u32 {
  for (let back: u32 = 1; back < 4 && end - back > start; back++) {
    if (encodedBytes(vvar.load<u8>(end - back)) > back) return end - back;
  }
  return end;
}
