/**
 * The ABI fingerprint: API library, image and vVAR must agree on it before anybody calls anything.
 *
 * ```ts
 * await abiFingerprint(manifest); // "3f9c0b5e77a1d204"
 * ```
 */
import type { ApiFunction, HostFunction, Manifest } from "./manifest.ts";

/**
 * SHA-256, cut to 16 hex digits, over all that a wrong pairing would misread: layout, constants, signatures of exports and
 * interfaces, the enums and API structs that these use, and the places in private memory that the API library writes to.
 * Independent of the order of declarations, of messages, and of the code.
 */
export async function abiFingerprint(manifest: Omit<Manifest, "fingerprint">): Promise<string> {
  return hex((await sha256([new TextEncoder().encode(canonicalAbi(manifest))])).subarray(0, 8));
}

export async function sha256(parts: readonly Uint8Array[]): Promise<Uint8Array> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function canonicalAbi(manifest: Omit<Manifest, "fingerprint">): string {
  const { layout } = manifest;
  const used = new Set<string>();
  const type = (text: string): string => {
    for (const [name] of text.matchAll(/[\w$]+/g)) used.add(name);
    return text;
  };
  const signature = (fn: ApiFunction | HostFunction) => [
    fn.name,
    fn.params.map((parameter) => [parameter.name, type(parameter.type), parameter.default ?? null]),
    type(fn.result),
  ];
  const vvar = layout.structs.map((struct) => [
    struct.name,
    struct.size,
    struct.align,
    struct.fields.map((f) => [f.name, f.offset, type(f.type), f.size, f.length ?? null, f.stride ?? null]),
  ]);
  const exported = sorted(manifest.exports).map(signature);
  const interfaces = sorted(manifest.interfaces).map((host) => [
    host.name,
    sorted(host.functions).map((fn) => [fn.static, ...signature(fn)]),
  ]);
  // A struct may name further structs: go on until nothing new is reached.
  const structs = new Map<string, unknown>();
  for (let before = -1; before !== structs.size; ) {
    before = structs.size;
    for (const struct of manifest.structs) {
      if (!used.has(struct.name) || structs.has(struct.name)) continue;
      structs.set(struct.name, [struct.size, struct.fields.map((f) => [f.name, f.offset, type(f.type)])]);
    }
  }
  const { args, argsBytes, ringCursor, logLevel } = manifest.private;
  return JSON.stringify({
    name: manifest.name,
    layout: [layout.root, layout.address, layout.end, sortedEntries(vvar.map(([name, ...rest]) => [name, rest]))],
    constants: sorted(manifest.constants).map((c) => [c.name, c.type, String(c.value)]),
    enums: sorted(manifest.enums.filter((e) => used.has(e.name))).map((e) => [e.name, e.values]),
    structs: sortedEntries([...structs]),
    exports: exported,
    interfaces,
    private: [args, argsBytes, ringCursor, logLevel],
  });
}

function sorted<T extends { name: string }>(items: readonly T[]): T[] {
  return items.toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

function sortedEntries(entries: unknown[][]): unknown[][] {
  return entries.toSorted((a, b) => (String(a[0]) < String(b[0]) ? -1 : 1));
}
