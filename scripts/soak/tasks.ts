/**
 * `npm run soak -- --tasks n [--task-kills k]`: n tasks on real threads, under each policy a quarter of them. They spawn, join, wait, sleep, lock, cancel
 * and migrate each other at random, while the threads are terminated at random moments, k times in all, and others take their places.
 *
 * Every task is accounted for: it ended once, by its own exit, or on a thread that was terminated while it had the task, or with the process that it was
 * bound to. The judge reads from the vVAR what a thread had when it was terminated, before the kernel hears of it.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import vsched, { Failure, Policy, State, TASKS, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { findPlace } from "../../runtime/image/decode.ts";
import { attach } from "../../runtime/loader/attach.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";
import {
  Born,
  CANCELS,
  ENDED,
  JOINS,
  LIMIT,
  LOCKS,
  MUTEXES,
  makeTally,
  NEXT,
  PERMITS,
  PLACES,
  reports,
  SEMAPHORES,
  SERIAL,
  type Tally,
  WAITS,
} from "./tally.ts";
import { spawnTask, type TaskCpuJob } from "./task-cpu.ts";

const FIRST_INDEX = 10;
const MAX_GENERATION = 2 ** 20;
const OWN_PID = 2;
/** Tasks of this thread that are under way at once, and tasks in all above which it begins none. */
const ROOTS = 500;
const CROWD = 4000;
const HANG_MS = 30_000;
const LOOK_MS = 20;
const NONE_DEAD = 0;
const DIED = 1;

interface Totals {
  kills: number;
  ended: number;
  died: number;
  refused: number;
  joins: number;
  cancels: number;
  waits: number;
  locks: number;
}

/** @returns what went wrong */
export async function soakTasks(
  total: number,
  kills: number,
  show: (line: string) => void,
  signal: AbortSignal,
): Promise<string[]> {
  const began = performance.now();
  const policies = Object.entries(Policy);
  const sum: Totals = { kills: 0, ended: 0, died: 0, refused: 0, joins: 0, cancels: 0, waits: 0, locks: 0 };
  for (const [n, [name, policy]] of policies.entries()) {
    const share = (of: number): number =>
      Math.floor((of * (n + 1)) / policies.length) - Math.floor((of * n) / policies.length);
    const run = await Run.start(policy as Policy, share(total), share(kills));
    const failures = await run.finish((line) => show(`${name}: ${line}`), signal);
    for (const key of Object.keys(sum) as (keyof Totals)[]) sum[key] += run.totals[key];
    if (failures.length > 0) return failures.map((failure) => `${name}: ${failure}`);
    if (signal.aborted) break;
  }
  show("");
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `${sum.ended + sum.died + sum.refused} tasks in ${seconds.toFixed(1)} s, ${sum.kills} terminations: ${sum.ended} ended by themselves, ` +
      `${sum.died} died with a thread, ${sum.refused} were refused by a full table; ${sum.joins} joins, ${sum.waits} waits, ${sum.locks} locks, ${sum.cancels} cancels`,
  );
  return [];
}

/** One system of CPUs, from its start to its account. */
class Run {
  readonly totals: Totals = { kills: 0, ended: 0, died: 0, refused: 0, joins: 0, cancels: 0, waits: 0, locks: 0 };
  readonly #mapping: Mapping<VschedApi>;
  readonly #api: VschedApi;
  readonly #tally: Tally;
  readonly #total: number;
  readonly #kills: number;
  readonly #job: Omit<TaskCpuJob, "pid" | "place">;
  readonly #words: BigUint64Array;
  readonly #bytes: Int32Array;
  readonly #home: { readonly at: number; readonly stride: number };
  readonly #workers: Worker[] = [];
  readonly #generations = new Array<number>(PLACES).fill(0);
  readonly #failures: string[] = [];
  /** Serial numbers of the tasks that this thread has to be told of. */
  readonly #roots = new Map<number, number>();
  /** All before it are accounted for. */
  #settled = 0;

  private constructor(mapping: Mapping<VschedApi>, policy: Policy, total: number, kills: number) {
    this.#mapping = mapping;
    this.#total = total;
    this.#kills = kills;
    this.#tally = makeTally(total);
    this.#api = attach(vsched, mapping.handle, { pid: OWN_PID });
    const api = this.#api;
    api.configure(policy, 3);
    api.startCpu(false);
    const many = (count: number, make: () => number): number[] => Array.from({ length: count }, make);
    this.#job = {
      handle: mapping.handle,
      tally: this.#tally,
      queues: many(3, () => api.createQueue(true)),
      mutexes: many(MUTEXES, () => api.createMutex(true)),
      semaphores: many(SEMAPHORES, () => api.createSemaphore(PERMITS, true)),
    };
    const { layout } = mapping.manifest;
    const { buffer } = mapping.memory;
    this.#words = new BigUint64Array(buffer, findPlace(layout, "words").at, TASKS);
    this.#bytes = new Int32Array(buffer);
    this.#home = { at: findPlace(layout, "tasks[0].home").at, stride: findPlace(layout, "tasks").stride! };
  }

  static async start(policy: Policy, total: number, kills: number): Promise<Run> {
    const run = new Run((await map(vsched, { managed: true })) as Mapping<VschedApi>, policy, total, kills);
    await Promise.all(run.#generations.map((_, place) => run.#launch(place)));
    return run;
  }

  #pidOf(place: number): number {
    return (this.#generations[place]! % MAX_GENERATION) * 1024 + FIRST_INDEX + place;
  }

  async #launch(place: number): Promise<void> {
    const pid = this.#pidOf(place);
    const workerData: TaskCpuJob = { ...this.#job, pid, place };
    const worker = new Worker(new URL("./task-cpu.ts", import.meta.url), { workerData });
    worker.on("error", (error) => this.#failures.push(`process ${pid}: ${error}`));
    this.#workers[place] = worker;
    await once(worker, "message");
  }

  /** Terminates a CPU, and notes what dies with it. */
  async #end(place: number): Promise<void> {
    await this.#workers[place]!.terminate();
    const pid = this.#pidOf(place);
    const cpu = Array.from({ length: PLACES + 1 }, (_, n) => n).find((n) => this.#api.cpuStats(n).pid === pid);
    const { making, ended, dead, born } = this.#tally;
    const unborn = making[place]! - 1;
    let begun = false;
    for (let index = 0; index < TASKS; index++) {
      const word = Number(Atomics.load(this.#words, index) & 0xffffffffn);
      const [state, who] = [word & 7, (word >>> 6) & 1023];
      if (state === State.Free || state >= State.Exited || state === State.Spawning) continue;
      const serial = this.#bytes[(this.#api.dataAddress(index) >>> 2) + SERIAL]!;
      if (serial === unborn) begun = true;
      const ran = (state === State.Running || state === State.Blocking) && who === cpu;
      const bound = Atomics.load(this.#bytes, (this.#home.at + index * this.#home.stride) >>> 2) === pid;
      if (ran || bound) Atomics.store(dead, serial, DIED);
    }
    if (unborn >= 0 && born[unborn] === Born.BeingMade && !begun && Atomics.load(ended, unborn) === 0) {
      Atomics.store(dead, unborn, DIED);
    }
    Atomics.store(making, place, 0);
    this.#mapping.drop(pid);
  }

  async #killsForEver(place: number, signal: AbortSignal): Promise<void> {
    while (this.#goesOn(signal) && this.totals.kills < this.#kills) {
      await sleep(Math.random() * 30);
      if (!this.#goesOn(signal) || this.totals.kills >= this.#kills) return;
      this.totals.kills++;
      await this.#end(place);
      this.#generations[place]!++;
      await this.#launch(place);
      this.#allow();
    }
  }

  /** Tasks are begun as terminations go on, so that these are spread over all of them. */
  #allow(): void {
    const part = this.#kills === 0 ? 1 : Math.min((this.totals.kills + PLACES) / this.#kills, 1);
    Atomics.store(this.#tally.counters, LIMIT, Math.floor(this.#total * part));
  }

  #goesOn(signal: AbortSignal): boolean {
    return this.#failures.length === 0 && !signal.aborted && this.#settled < this.#total;
  }

  async finish(show: (line: string) => void, signal: AbortSignal): Promise<string[]> {
    const { counters, findings } = this.#tally;
    this.#allow();
    const killing = Promise.all(this.#generations.map((_, place) => this.#killsForEver(place, signal)));
    let progress = -1;
    let stillMs = 0;
    let looked = performance.now();
    let shown = looked;
    while (this.#goesOn(signal)) {
      const busy = this.#spawnRoots();
      this.#takeFinished();
      this.#settle();
      if (Atomics.load(findings, 0) > 0) break;
      const now = performance.now();
      const sum = this.#settled + Atomics.load(counters, ENDED) + this.totals.kills;
      if (sum !== progress) [progress, stillMs] = [sum, 0];
      // The whole process may have been stopped meanwhile: a look counts for no more than it takes when it was not.
      else stillMs += Math.min(now - looked, 10 * LOOK_MS);
      looked = now;
      if (stillMs > HANG_MS) this.#failures.push(this.#hang());
      if (now - shown > 200) {
        shown = now;
        show(`${counters[ENDED]} of ${this.#total} tasks, ${this.totals.kills} of ${this.#kills} terminations`);
      }
      await sleep(busy ? 0 : LOOK_MS / 10);
    }
    await killing;
    for (let place = 0; place < PLACES; place++) await this.#end(place);
    this.#takeFinished();
    this.#failures.push(...reports(this.#tally));
    if (this.#failures.length === 0 && !signal.aborted) this.#account();
    return this.#failures;
  }

  /** @returns may there be more soon? */
  #spawnRoots(): boolean {
    const { counters } = this.#tally;
    const crowded = (): boolean => counters[NEXT]! - counters[ENDED]! > CROWD;
    let count = 0;
    while (this.#roots.size < ROOTS && counters[NEXT]! < counters[LIMIT]! && !crowded() && count < ROOTS) {
      const id = spawnTask(this.#api, this.#bytes, this.#tally, PLACES, { tell: true });
      if (id === 0) break;
      this.#roots.set(id, this.#bytes[(this.#api.dataAddress(id) >>> 2) + SERIAL]!);
      count++;
    }
    return count > 0;
  }

  /** A task of this thread is told of once, with what has been ticked off for it. */
  #takeFinished(): void {
    const { ended, dead } = this.#tally;
    const api = this.#api;
    for (let id = api.takeFinished(); id !== 0; id = api.takeFinished()) {
      const serial = this.#roots.get(id);
      if (serial === undefined) {
        this.#failures.push(`task with id ${id} was told of twice, or is none of this thread's`);
        continue;
      }
      this.#roots.delete(id);
      const [why, code] = [api.whyEnded(id), api.exitCode(id)];
      const expected = ended[serial]! - 1;
      const right = why === Why.None ? code === expected && dead[serial] === NONE_DEAD : dead[serial] !== NONE_DEAD;
      if (!right) {
        const how = dead[serial] ? "died" : `ended with ${expected}`;
        this.#failures.push(`task ${serial}, which ${how}, was told of with reason ${why} and code ${code}`);
      }
      api.release(id);
    }
  }

  #isOver(serial: number): boolean {
    const { born, ended, dead, making } = this.#tally;
    if (ended[serial] !== 0 || dead[serial] !== NONE_DEAD || born[serial] === Born.Refused) return true;
    // Its number was taken by somebody who was terminated before anything else.
    if (making.includes(serial + 1) || Atomics.load(born, serial) !== Born.No) return false;
    dead[serial] = DIED;
    return true;
  }

  #settle(): void {
    const next = Math.min(Atomics.load(this.#tally.counters, NEXT), this.#total);
    while (this.#settled < next && this.#isOver(this.#settled)) this.#settled++;
  }

  #hang(): string {
    const { ids, born, on } = this.#tally;
    const lost = this.#settled;
    const state = this.#api.stateOfTask(ids[lost]!);
    const name = Object.entries(State).find(([, value]) => value === state)?.[0] ?? state;
    return (
      `no progress for ${HANG_MS / 1000} s at ${this.#settled}; task ${lost} (born ${born[lost]}, on ${on[lost]}) is ${name}, ` +
      `${JSON.stringify(this.#api.taskStats(ids[lost]!))}`
    );
  }

  /** All have ended, or died; and everything can be used again. */
  #account(): void {
    const { born, ended, dead, counters } = this.#tally;
    const { totals } = this;
    for (let serial = 0; serial < this.#total; serial++) {
      if (!this.#isOver(serial)) this.#failures.push(`task ${serial} is forgotten`);
      else if (dead[serial] !== NONE_DEAD) totals.died++;
      else if (ended[serial] !== 0) totals.ended++;
      else if (born[serial] === Born.Refused) totals.refused++;
    }
    for (const [id, serial] of this.#roots) this.#failures.push(`nobody told of the end of task ${serial}, id ${id}`);
    [totals.joins, totals.cancels] = [counters[JOINS]!, counters[CANCELS]!];
    [totals.waits, totals.locks] = [counters[WAITS]!, counters[LOCKS]!];
    const api = this.#api;
    for (const queue of [...this.#job.queues, ...this.#job.mutexes, ...this.#job.semaphores]) {
      const length = api.lengthOf(queue);
      if (length !== 0) this.#failures.push(`queue ${queue}: expected nobody who waits, found ${length}`);
    }
    const slots: number[] = [];
    for (
      let id = api.create(1, 0, 0, 0xffffffff, false, true);
      id > 0;
      id = api.create(1, 0, 0, 0xffffffff, false, true)
    ) {
      slots.push(id);
    }
    for (const id of slots) api.release(id);
    if (slots.length !== TASKS) this.#failures.push(`expected ${TASKS} free slots at the end, found ${slots.length}`);
    const id = api.spawn(1, 0, 0, 1, true, true);
    if (api.pickNext() !== id) this.#failures.push("a task that is spawned at the end does not run");
    for (const mutex of this.#job.mutexes) {
      const locked = api.tryLock(mutex);
      if (locked !== 0 && locked !== 1) this.#failures.push(`mutex ${mutex} cannot be locked at the end: ${locked}`);
      else if (api.unlock(mutex) !== 0) this.#failures.push(`mutex ${mutex} cannot be unlocked at the end`);
    }
    if (api.exit(0) === Failure.State) this.#failures.push("a task that runs at the end cannot exit");
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));
}
