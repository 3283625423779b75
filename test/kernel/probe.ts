/** Images that count what the kernel does with them. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { buildVdso } from "../../runtime/build/index.ts";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import { Project } from "../build/project.ts";

export interface ProbeApi {
  /** Calls of `processInit`. */
  inits(): number;
  /** Calls of `processDrop`. */
  drops(): number;
  /** Pid of the last `processDrop`. */
  lastDropped(): number;
  /** The shared value; 13 panics. */
  set(value: number): void;
  get(): number;
  setPrivate(value: number): void;
  getPrivate(): number;
  /** What `processInit` was given. */
  pid(): number;
  /** Logs a warning, and a line below the default level. */
  say(value: number): void;
  /** Traps for 0. */
  divide(by: number): number;
  /** Asks the host. */
  now(): number;
}

export type ProbeLibrary = VdsoLibrary<ProbeApi, { Clock: { now(): number } }>;

export interface Probe extends Disposable {
  readonly library: ProbeLibrary;
  readonly url: string;
}

/** @param atDrop - Statements of `processDrop` besides counting. */
export async function buildProbe(name: string, atDrop = ""): Promise<Probe> {
  const project = new Project({ "api.ts": source(atDrop) });
  const { srcDir, outDir } = project;
  await buildVdso({ srcDir, outDir, imageName: name, packageName: "probe", verbose: 0 });
  const url = pathToFileURL(join(outDir, `${name}.js`)).href;
  const { default: library } = (await import(url)) as { default: ProbeLibrary };
  return { library, url, [Symbol.dispose]: () => project[Symbol.dispose]() };
}

const source = (atDrop: string): string => `
@vvar class VvarData {
  inits: Atomic<u32>;
  drops: Atomic<u32>;
  dropped: Atomic<u32>;
  value: Atomic<u32>;
}
const shared = vvarRoot<VvarData>();

@host declare class Clock {
  static now(): u32;
}

let own: u32 = 0;
let privateValue: u32 = 0;

export function processInit(pid: u32): void {
  shared.inits.add(1);
  own = pid;
}
export function processDrop(pid: u32): void {
  ${atDrop}
  shared.drops.add(1);
  shared.dropped.store(pid);
}
export function inits(): u32 { return shared.inits.load(); }
export function drops(): u32 { return shared.drops.load(); }
export function lastDropped(): u32 { return shared.dropped.load(); }
export function set(value: u32): void {
  assert(value != 13, "unlucky number");
  shared.value.store(value);
}
export function get(): u32 { return shared.value.load(); }
export function setPrivate(value: u32): void { privateValue = value; }
export function getPrivate(): u32 { return privateValue; }
export function pid(): u32 { return own; }
export function say(value: u32): void {
  log.warn("value {}", value);
  log.debug("hidden {}", value);
}
export function divide(by: u32): u32 { return 100 / by; }
export function now(): u32 { return Clock.now(); }
`;
