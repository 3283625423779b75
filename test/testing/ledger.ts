/** An image whose processes keep two sums equal under locks that survive the death of their owner. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildVdso } from "../../runtime/build/index.ts";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import { Project } from "../build/project.ts";

export interface LedgerApi {
  /** Waits until the lock is this process's. */
  acquire(lock: number): void;
  release(lock: number): void;
  /** Is it anybody's? */
  held(lock: number): boolean;
  /** Adds to both sums, under lock 0; panics for 13. */
  book(amount: number): void;
  equal(): boolean;
}

export interface Ledger extends Disposable {
  readonly library: VdsoLibrary<LedgerApi>;
  readonly url: URL;
}

export async function buildLedger(): Promise<Ledger> {
  const project = new Project({ "api.ts": SOURCE });
  const { srcDir, outDir } = project;
  await buildVdso({ srcDir, outDir, imageName: "ledger", packageName: "test", verbose: 0 });
  const url = pathToFileURL(join(outDir, "ledger.js"));
  const { default: library } = (await import(url.href)) as { default: VdsoLibrary<LedgerApi> };
  return { library, url, [Symbol.dispose]: () => project[Symbol.dispose]() };
}

const SOURCE = `
@vvar class VvarData {
  @len(2) owners: FixedArray<Atomic<u32>>;
  left: Atomic<u64>;
  right: Atomic<u64>;
  deaths: Atomic<u32>;
}
const shared = vvarRoot<VvarData>();

let own: u32 = 0;

export function processInit(pid: u32): void {
  own = pid;
}

export function processDrop(pid: u32): void {
  shared.deaths.add(1);
  if (shared.owners[0].load() == pid) shared.right.store(shared.left.load());
  for (let lock: u32 = 0; lock < 2; lock++) {
    if (shared.owners[lock].load() == pid) release(lock);
  }
}

export function acquire(lock: u32): void {
  const owner = shared.owners[lock];
  while (true) {
    const seen = owner.compareExchange(0, own);
    if (seen == 0) return;
    owner.wait(seen);
  }
}

export function release(lock: u32): void {
  shared.owners[lock].store(0);
  shared.owners[lock].notify();
}

export function held(lock: u32): bool {
  return shared.owners[lock].load() != 0;
}

export function book(amount: u32): void {
  assert(amount != 13, "unlucky amount");
  acquire(0);
  shared.left.add(amount);
  shared.right.add(amount);
  release(0);
}

export function equal(): bool {
  acquire(0);
  const same = shared.left.load() == shared.right.load();
  release(0);
  return same;
}
`;
