/** A process that writes anything anywhere into the vVAR: the others' calls still return, with a status that has a name. Set VQUEUE_WRITES for more. */
import { join } from "node:path";
import { expect, test } from "vitest";
import { imageFrom } from "../check/images.ts";
import { instantiate, type Vqueue } from "./fixtures/peer.ts";

const WRITES = Number(process.env["VQUEUE_WRITES"] ?? 200_000);
const PAGE_BYTES = 65536;
const STATUSES = 15;
const CORRUPT = 7;
const FAILED = 2 ** 31;
/** After so many writes the vVAR is made anew: most mailboxes are out of use by then. */
const ROUND = 200;

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Ids are from 64 on. */
const statusIn = (result: number): number => (result >>> 0 < 64 ? result : 0);
const mapCall = (api: Vqueue, name: string) => api[name] as unknown as (id: number, ...numbers: bigint[]) => number;

test("calls on a vVAR that is overwritten at random end, and say what is wrong", async () => {
  const { image, manifest } = await imageFrom(join(import.meta.dirname, "../../vdso-src/vqueue"), {
    QUEUE_LEN: "5",
    URGENT_LEN: "2",
    ARRAY_LEN: "3",
    MAP_LEN: "2",
    PROCESSES: "8",
    SPIN: "3",
  });
  const module = new WebAssembly.Module(image);
  const { address, end } = manifest.layout;
  const pages = Math.ceil(end / PAGE_BYTES);
  const vvar = new WebAssembly.Memory({ initial: pages, maximum: pages, shared: true });
  const words = new Uint32Array(vvar.buffer);
  const below = random(20260);
  const interesting = [0, 1, 0xffffffff, 0x80000000, 0x20000, 0x50000, 0x70000, 0x10002];
  const outcomes = new Set<number>();

  for (let written = 0; written < WRITES; ) {
    words.fill(0);
    const peers = [2, 3].map((pid) => {
      const api = instantiate(module, vvar);
      api["processInit"]!(pid);
      return api;
    });
    const ids = [0, 1, 2].map((policy) => peers[0]!["register"]!(policy, 1));
    const held = new Set<number>();
    for (let k = 0; k < ROUND; k++, written++) {
      const at = (address >>> 2) + below((end - address) >>> 2);
      words[at] = below(2) === 0 ? interesting[below(interesting.length)]! : words[at]! ^ (1 << below(32));
      for (let call = 0; call < 3; call++) {
        const api = peers[below(2)]!;
        const id = ids[below(ids.length)]!;
        const item = [...held][below(held.size)] ?? below(end);
        const calls: (() => number)[] = [
          () => api["claim"]!(id),
          () => api["take"]!(id),
          () => api["claimUrgent"]!(id),
          () => api["commit"]!(id, item),
          () => api["release"]!(id, item),
          () => api["putBack"]!(id, item),
          () => api["abandon"]!(id, item),
          () => api["claimMany"]!(id, 1 + below(7)) >>> 0,
          () => api["commitMany"]!(id, api["lastIndex"]!(), below(7)),
          () => api["takeMany"]!(id, 1 + below(7)) >>> 0,
          () => api["releaseMany"]!(id, api["lastAddress"]!()),
          () => api["waitForItem"]!(id, 0),
          () => api["waitForSpace"]!(id, 0),
          () => api["peek"]!(id) * 0,
          () => api["depth"]!(id) * 0,
          () => api["stats"]!(id) * 0,
          () => (api["processDrop"]!(below(4) === 0 ? 7 : 6) ?? 0) * 0,
          () => api["share"]!(id, 3),
          () => api["statusOf"]!(id),
          () => statusIn(api["register"]!(below(3), 1)),
          () => (below(8) === 0 ? api["close"]!(id) : 0),
          () => (below(8) === 0 ? api["leave"]!(id) : 0),
          () => api["setPid"]!(id, below(2 ** 31)),
          () => api["getPid"]!(id) * 0,
          () => api["waitForUrgentSpace"]!(id, 0),
          () => api["watch"]!(id, below(3)),
          () => (api["unwatch"]!(id, below(3)) ?? 0) * 0,
          () => statusIn(api["waitAny"]!(0)),
          () => api["arm"]!() * 0,
          () => (api["disarm"]!() ?? 0) * 0,
          () => (api["passOn"]!(id, below(3)) ?? 0) * 0,
          () => (api["wakeOwners"]!(id) ?? 0) * 0,
          () => mapCall(api, "mapAdd")(id, BigInt(below(3)), 7n),
          () => mapCall(api, "mapGet")(id, BigInt(below(3))) * 0,
          () => mapCall(api, "mapPop")(id, BigInt(below(3))) * 0,
          () => api["mailboxWithIndex"]!(below(4)) * 0,
          () => api["policyOf"]!(id) * 0,
        ];
        const result = calls[below(calls.length)]!() >>> 0;
        if (result >= FAILED) outcomes.add(result - FAILED);
        else if (result < 64) outcomes.add(result);
        else if (result >= address && result < end) held.add(result);
        else expect.unreachable(`a call returned ${result}`);
      }
    }
    for (const pid of [2, 3]) peers[0]!["processDrop"]!(pid);
  }
  expect([...outcomes].filter((status) => status >= STATUSES)).toEqual([]);
  expect(outcomes).toContain(CORRUPT);
});
