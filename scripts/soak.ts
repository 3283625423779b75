/**
 * `npm run soak -- [--minutes n | --seconds n | --kills n] [--parks n] [--calls n] [--tasks n [--task-kills n]]`
 *
 * Real threads send numbered items with checksums through one mailbox, and one of them is terminated every second, at a random moment; then another takes
 * its place. Nothing acknowledged may be lost, nothing may come twice, nobody may hang: else the exit code is 1. `--kills n` terminates as fast as it
 * can instead, n times. `--parks n` lets two threads park and wake each other n times before; a wake-up that is lost is a hang. `--calls n` makes
 * n calls between two threads instead, and looks at the memory; see soak/calls.ts. `--tasks n` runs n tasks on threads that are terminated `--task-kills`
 * times instead; see soak/tasks.ts. Ctrl-C ends it with a summary.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import vqueue, { Policy, QUEUE_LEN, Status, type VqueueApi } from "../generated/vqueue/vqueue.js";
import { attach, vvarOf } from "../runtime/loader/attach.ts";
import { type Mapping, map } from "../runtime/loader/map.ts";
import { soakCalls } from "./soak/calls.ts";
import { BATCH, FINDING_WORDS, FINDINGS, Finding, finished, makeTables, tick, WINDOW } from "./soak/items.ts";
import type { Job, Task } from "./soak/peer.ts";
import { soakTasks } from "./soak/tasks.ts";

const [PRODUCERS, CONSUMERS] = [3, 2];
/** Without any progress for so long, something hangs. */
const HANG_MS = 30_000;
const MAX_GENERATION = 2 ** 20;
const FIRST_INDEX = 10;
const SHOWN = 10;

const options = readOptions();
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort());

const mapping = (await map(vqueue)) as Mapping<VqueueApi>;
const api = attach(vqueue, mapping.handle, { pid: 2 });
const failures: string[] = [];

interface Options {
  readonly ms: number;
  readonly kills: number | undefined;
  readonly parks: number;
  readonly calls: number;
  readonly tasks: number;
  readonly taskKills: number;
}

function readOptions(): Options {
  const number = (name: string, text: string): number => {
    const value = Number(text);
    if (value >= 0 && text.trim() !== "") return value;
    return fail(`--${name}: expected a number, found ${text}`);
  };
  try {
    const { values } = parseArgs({
      options: {
        minutes: { type: "string" },
        seconds: { type: "string" },
        kills: { type: "string" },
        parks: { type: "string" },
        calls: { type: "string" },
        tasks: { type: "string" },
        "task-kills": { type: "string" },
      },
    });
    const ms =
      values.seconds === undefined
        ? number("minutes", values.minutes ?? "1") * 60_000
        : number("seconds", values.seconds) * 1000;
    return {
      ms,
      kills: values.kills === undefined ? undefined : number("kills", values.kills),
      parks: number("parks", values.parks ?? "0"),
      calls: number("calls", values.calls ?? "0"),
      tasks: number("tasks", values.tasks ?? "0"),
      taskKills: number("task-kills", values["task-kills"] ?? "0"),
    };
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(message: string): never {
  console.error(message);
  process.exit(2);
}

function show(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K${line}`);
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

async function start(pid: number, task: Task): Promise<Worker> {
  const workerData: Job = { handle: mapping.handle, pid, task };
  const worker = new Worker(new URL("./soak/peer.ts", import.meta.url), { workerData });
  worker.on("error", (error) => failures.push(`process ${pid}: ${error}`));
  await once(worker, "message");
  return worker;
}

/** Watches a number that has to grow. */
function watchdog(what: string): (progress: number) => void {
  let last = -1;
  let since = performance.now();
  return (progress) => {
    if (progress !== last) {
      last = progress;
      since = performance.now();
    } else if (performance.now() - since > HANG_MS) {
      failures.push(`${what}: no progress for ${HANG_MS / 1000} s at ${progress}`);
    }
  };
}

async function parkAndWake(turns: number): Promise<void> {
  const [a, b] = [api.register(Policy.Wait, true), api.register(Policy.Wait, true)];
  const done = new Int32Array(new SharedArrayBuffer(8));
  const workers = [
    await start(FIRST_INDEX, { kind: "park", from: a, to: b, begins: false, turns, done }),
    await start(FIRST_INDEX + 1, { kind: "park", from: b, to: a, begins: true, turns, done }),
  ];
  const check = watchdog("park and wake");
  while (Math.min(done[0]!, done[1]!) < turns && failures.length === 0 && !interrupted.signal.aborted) {
    await sleep(100);
    check(done[0]! + done[1]!);
    show(`park and wake: ${done[0]} of ${turns} turns`);
  }
  const parked = (api.stats(a)?.waits ?? 0) + (api.stats(b)?.waits ?? 0);
  await Promise.all(workers.map((worker) => worker.terminate()));
  for (const index of [0, 1]) mapping.drop(FIRST_INDEX + index);
  for (const id of [a, b]) api.close(id);
  show("");
  console.log(`park and wake: ${Math.min(done[0]!, done[1]!)} turns of two processes, parked ${parked} times`);
}

async function load(): Promise<void> {
  const mailbox = api.register(Policy.Wait, true);
  const tables = makeTables(PRODUCERS, CONSUMERS + 1);
  const words = new Uint32Array(vvarOf(api));
  const places = Array.from({ length: PRODUCERS + CONSUMERS }, (_, place) => place);
  const generations = places.map(() => 0);
  /** Items that may come once or never; that may come once more. */
  const uncertain = new Set<string>();
  const again = new Set<string>();
  const findings = new Map<string, { kind: number; item: string }>();
  let kills = 0;

  const pidOf = (place: number): number => (generations[place]! % MAX_GENERATION) * 1024 + FIRST_INDEX + place;
  const launch = (place: number): Promise<Worker> =>
    start(
      pidOf(place),
      place < PRODUCERS
        ? { kind: "produce", mailbox, lane: place, tables }
        : { kind: "consume", mailbox, consumer: place - PRODUCERS, tables },
    );
  const workers = await Promise.all(places.map(launch));

  /** Terminates a process, notes what nobody can know of its last item, and puts right what it left. */
  const end = async (place: number): Promise<void> => {
    await workers[place]!.terminate();
    if (place < PRODUCERS) {
      const next = tables.acknowledged[place]!;
      for (let k = 0; k < BATCH; k++) uncertain.add(`${place}:${(next + k) | 0}`);
      tables.acknowledged[place] = next + BATCH;
    } else {
      const at = 2 * (place - PRODUCERS);
      if (tables.held[at] !== 0) again.add(`${tables.held[at]! - 1}:${tables.held[at + 1]}`);
      tables.held[at] = 0;
    }
    mapping.drop(pidOf(place));
  };
  const replace = async (place: number): Promise<void> => {
    await end(place);
    kills++;
    generations[place]!++;
    workers[place] = await launch(place);
  };
  const collect = (): void => {
    for (let entry = 0; entry < FINDINGS; entry++) {
      const at = 1 + entry * FINDING_WORDS;
      const kind = Atomics.load(tables.findings, at);
      if (kind === 0) continue;
      const item = `${tables.findings[at + 1]}:${tables.findings[at + 2]}`;
      findings.set(`${kind} ${item}`, { kind, item });
      Atomics.store(tables.findings, at, 0);
    }
  };
  const total = (): number => tables.received.reduce((sum, count) => sum + (count >>> 0), 0);

  const began = performance.now();
  const goesOn = (): boolean => {
    if (failures.length > 0 || interrupted.signal.aborted) return false;
    return options.kills === undefined ? performance.now() - began < options.ms : kills < options.kills;
  };
  const check = watchdog("items received");
  const rate = setInterval(() => {
    collect();
    check(total());
    const seconds = (performance.now() - began) / 1000;
    show(`${seconds.toFixed(0)} s: ${total()} items, ${kills} terminations, ${failures.length} failures`);
  }, 200);

  if (options.kills === undefined) {
    while (goesOn()) {
      await sleep(Math.min(1000 * (0.5 + Math.random()), Math.max(0, options.ms - (performance.now() - began))));
      if (goesOn()) await replace(Math.floor(Math.random() * places.length));
    }
  } else {
    const killsForEver = async (place: number): Promise<void> => {
      while (goesOn()) {
        await sleep(Math.random() * 12);
        await replace(place);
      }
    };
    await Promise.all(places.map(killsForEver));
  }
  clearInterval(rate);

  for (const place of places) await end(place);
  for (let item = api.take(mailbox); item !== Status.Empty; item = api.take(mailbox)) {
    tick(tables, CONSUMERS, words, item >>> 2);
    api.release(mailbox, item);
    finished(tables, CONSUMERS);
    collect();
  }
  collect();
  for (const { kind, item } of findings.values()) {
    if (kind === Finding.Missing && uncertain.has(item)) continue;
    if (kind === Finding.Twice && again.has(item)) continue;
    failures.push(
      `item ${item} ${kind === Finding.Missing ? "is lost" : kind === Finding.Twice ? "came twice" : "is damaged"}`,
    );
  }
  for (let lane = 0; lane < PRODUCERS; lane++) {
    const next = tables.acknowledged[lane]!;
    for (let back = 1; back <= WINDOW; back++) {
      const number = (next - back) | 0;
      if (tables.seen[lane * WINDOW + (number & (WINDOW - 1))] === ((number + 1) | 0)) continue;
      if (number >= 0 && !uncertain.has(`${lane}:${number}`)) failures.push(`item ${lane}:${number} is lost`);
    }
  }
  const counters = api.stats(mailbox);
  const seconds = (performance.now() - began) / 1000;
  show("");
  console.log(
    `${seconds.toFixed(1)} s: ${total()} items of ${PRODUCERS} producers received by ${CONSUMERS} consumers, ${kills} terminations; ` +
      `${counters?.redelivered} delivered again, ${counters?.skipped} skipped, ${counters?.waits} waits, ${QUEUE_LEN} slots`,
  );
  // Everything can be used again.
  if (counters?.depth !== 0) failures.push(`expected an empty mailbox, found ${counters?.depth} items`);
  for (let slot = 0; slot < QUEUE_LEN; slot++) {
    if (api.commit(mailbox, api.claim(mailbox)) !== Status.Ok)
      failures.push(`slot ${slot} of the emptied mailbox cannot be claimed`);
  }
  if (api.corruptMailboxes() !== 0) failures.push("the mailbox is corrupt");
  api.close(mailbox);
}

if (options.parks > 0) await parkAndWake(options.parks);
if (options.calls > 0) failures.push(...(await soakCalls(options.calls, show, interrupted.signal)));
if (options.tasks > 0) failures.push(...(await soakTasks(options.tasks, options.taskKills, show, interrupted.signal)));
else if (options.calls === 0 && failures.length === 0 && !interrupted.signal.aborted) await load();
for (const failure of failures.slice(0, SHOWN)) console.error(failure);
if (failures.length > SHOWN) console.error(`and ${failures.length - SHOWN} more`);
console.log(failures.length === 0 ? "nothing lost, nothing doubled, nothing hung" : `${failures.length} failures`);
process.exit(failures.length === 0 ? 0 : 1);
