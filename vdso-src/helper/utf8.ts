/**
 * Text in the vVAR. A string parameter is an ordinary (UTF-16) string for the time of the call; in the vVAR text is kept as UTF-8.
 *
 * ```ts
 * export function setName(name: string): void {
 *   shared.nameBytes = utf8.write(shared.name, name, NAME_BYTES);
 * }
 * export function getName(): string {
 *   return utf8.read(shared.name, shared.nameBytes);
 * }
 * ```
 */
import { __temporary } from "./temporaries";
import { __address } from "./vvar";
import { __vvar_load_u8, __vvar_store_u8 } from "./intrinsics";

// @ts-ignore: decorator
@global
export namespace utf8 {
  /** Bytes that `text` takes; a lone surrogate counts as U+FFFD. */
  export function length(text: string): u32 {
    let bytes: u32 = 0;
    for (let i = 0, n = text.length; i < n; i++) {
      const unit = <u32>text.charCodeAt(i);
      if (unit < 0x80) bytes += 1;
      else if (unit < 0x800) bytes += 2;
      else if (isPair(text, i)) {
        bytes += 4;
        i++;
      } else bytes += 3;
    }
    return bytes;
  }

  /** Writes as many whole characters as fit in `maxBytes` bytes of the vVAR. @returns bytes written */
  export function write<D>(to: D, text: string, maxBytes: u32): u32 {
    const start = __address(to);
    let at = start;
    const end = start + maxBytes;
    for (let i = 0, n = text.length; i < n; i++) {
      let code = <u32>text.charCodeAt(i);
      const pair = isPair(text, i);
      if (pair) code = 0x10000 + ((code & 0x3ff) << 10) + (<u32>text.charCodeAt(i + 1) & 0x3ff);
      else if ((code & 0xf800) == 0xd800) code = 0xfffd;
      const bytes: u32 = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
      if (at + bytes > end) break;
      if (bytes == 1) __vvar_store_u8(at, code);
      else {
        __vvar_store_u8(at, (0xf00 >> bytes) & 0xff | code >> (6 * (bytes - 1)));
        for (let k: u32 = 1; k < bytes; k++) __vvar_store_u8(at + k, 0x80 | (code >> (6 * (bytes - 1 - k))) & 0x3f);
      }
      at += bytes;
      if (pair) i++;
    }
    return <u32>(at - start);
  }

  /** The text in `bytes` bytes of the vVAR (at most 2 KiB); what is not UTF-8 becomes U+FFFD, a byte at a time. A temporary. */
  export function read<S>(from: S, bytes: u32): string {
    const start = __address(from);
    const size = min<u32>(bytes, 2048);
    const object = __temporary(8 + 2 * size);
    let to = object + 8;
    for (let i: u32 = 0; i < size; ) {
      const lead = __vvar_load_u8(start + i);
      const length: u32 = lead < 0x80 ? 1 : lead >= 0xc2 && lead < 0xe0 ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead < 0xf5 ? 4 : 0;
      let code: u32 = length == 1 ? lead : length == 0 || i + length > size ? 0xfffd : lead & (0x7f >> length);
      let used: u32 = 1;
      if (length > 1 && i + length <= size) {
        for (; used < length; used++) {
          const next = __vvar_load_u8(start + i + used);
          if ((next & 0xc0) != 0x80) break;
          code = (code << 6) | (next & 0x3f);
        }
        const least: u32 = length == 2 ? 0x80 : length == 3 ? 0x800 : 0x10000;
        if (used < length || code < least || code > 0x10ffff || (code & 0xfffff800) == 0xd800) {
          code = 0xfffd;
          used = 1;
        }
      }
      i += used;
      if (code >= 0x10000) {
        store<u16>(to, <u16>(0xd800 + ((code - 0x10000) >> 10)));
        to += 2;
        code = 0xdc00 + ((code - 0x10000) & 0x3ff);
      }
      store<u16>(to, <u16>code);
      to += 2;
    }
    // The header of an AssemblyScript string: class id, then the length in bytes.
    store<u32>(object, idof<string>());
    store<u32>(object + 4, <u32>(to - object - 8));
    return changetype<string>(object + 8);
  }
}

function isPair(text: string, i: i32): bool {
  return (
    (<u32>text.charCodeAt(i) & 0xfc00) == 0xd800 && i + 1 < text.length && (<u32>text.charCodeAt(i + 1) & 0xfc00) == 0xdc00
  );
}
