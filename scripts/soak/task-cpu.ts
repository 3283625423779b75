/**
 * A CPU of the soak test of tasks: runs whatever it gets until it is terminated. A task's steps follow from its serial number; where it stands is in its
 * bytes, so that any CPU can go on with it.
 */
import { parentPort, workerData } from "node:worker_threads";
import vsched, { CPUS, Failure, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { attach, vvarOf } from "../../runtime/loader/attach.ts";
import type { VdsoHandle } from "../../runtime/loader/handle.ts";
import {
  ABOUT,
  Born,
  CANCELLED,
  CANCELS,
  CHILD,
  codeOf,
  DOING,
  ENDED,
  hash,
  JOINS,
  LIMIT,
  LOCKS,
  NEXT,
  PERMITS,
  report,
  SERIAL,
  STEP,
  TASK_WORDS,
  type Tally,
  WAITS,
  Wrong,
} from "./tally.ts";

export interface TaskCpuJob {
  readonly handle: VdsoHandle;
  readonly pid: number;
  readonly place: number;
  readonly tally: Tally;
  readonly queues: readonly number[];
  readonly mutexes: readonly number[];
  readonly semaphores: readonly number[];
}

const ANYWHERE = 0xffffffff;
const WAIT = 2;
const MAX_STEPS = 6;
/** Tasks under way above which nobody spawns more. */
const CROWD = 6000;
/** Tasks back from the newest that are joined and cancelled. */
const NEAR = 500;
const PARK_MS = 5;
const ROUNDS_PER_LOOK = 64;

/** What a task does: 0 nothing that takes more than one step. */
const Doing = { Nothing: 0, Join: 1, Lock: 2, Hold: 3, Acquire: 4, JoinChild: 5, Wait: 6 } as const;

export function spawnTask(
  api: VschedApi,
  words: Int32Array,
  tally: Tally,
  place: number,
  how: { readonly affinity?: number; readonly bound?: boolean; readonly detached?: boolean; readonly tell?: boolean },
): number {
  const { counters, born, ids, making } = tally;
  let serial = Atomics.load(counters, NEXT);
  // Announced first: who is terminated leaves no number that nobody knows of.
  for (; ; serial = Atomics.load(counters, NEXT)) {
    Atomics.store(making, place, serial + 1);
    if (serial >= born.length) {
      Atomics.store(making, place, 0);
      return 0;
    }
    if (Atomics.compareExchange(counters, NEXT, serial, serial + 1) === serial) break;
  }
  Atomics.store(born, serial, Born.BeingMade);
  const { affinity = ANYWHERE, bound = false, detached = false, tell = false } = how;
  const id = api.create(1, 0, hash(serial, -3) % 20, affinity, bound, detached, tell);
  if (id > 0) {
    const at = api.dataAddress(id) >>> 2;
    words.fill(0, at, at + TASK_WORDS);
    words[at + SERIAL] = serial;
    Atomics.store(ids, serial, id);
  }
  const refused = id < 0 ? id : api.start(id);
  Atomics.store(born, serial, refused < 0 ? Born.Refused : Born.Yes);
  if (refused < 0 && refused !== Failure.Full) report(tally, Wrong.Refused, serial, refused);
  Atomics.store(making, place, 0);
  return refused < 0 ? 0 : id;
}

/** One CPU's view of the task that it runs. */
class TaskCpu {
  readonly #api: VschedApi;
  readonly #words: Int32Array;
  readonly #job: TaskCpuJob;
  readonly #cpu: number;
  // Of the running task.
  #id = 0;
  #at = 0;
  #serial = 0;

  constructor(job: TaskCpuJob) {
    this.#job = job;
    this.#api = attach(vsched, job.handle, { pid: job.pid });
    this.#words = new Int32Array(vvarOf(this.#api));
    this.#cpu = this.#api.startCpu(true);
    if (this.#cpu < 0) throw new Error(`startCpu: ${this.#cpu}`);
  }

  run(): never {
    const api = this.#api;
    for (let round = 0; ; round++) {
      api.setNow(this.#now());
      api.expire(round % ROUNDS_PER_LOOK === 0);
      let id = api.pickNext();
      if (id === 0 && api.expire(true) + api.steal() > 0) id = api.pickNext();
      if (id === 0) api.park(PARK_MS);
      else this.#step(id);
    }
  }

  #now(): number {
    return (performance.timeOrigin + performance.now()) * 1000;
  }

  #step(id: number): void {
    const { on, ended, dead } = this.#job.tally;
    this.#id = id;
    this.#at = this.#api.dataAddress(id) >>> 2;
    this.#serial = this.#get(SERIAL);
    const serial = this.#serial;
    const before = Atomics.exchange(on, serial, this.#job.pid);
    if (Atomics.load(dead, serial) !== 0) report(this.#job.tally, Wrong.RunsAfterDeath, serial, before);
    else if (before !== 0) report(this.#job.tally, Wrong.RunsTwice, serial, before);
    if (Atomics.load(ended, serial) !== 0) report(this.#job.tally, Wrong.RunsAfterEnd, serial, before);
    while (this.#goOn() && this.#act());
  }

  #get(word: number): number {
    return this.#words[this.#at + word]!;
  }

  #set(word: number, value: number): void {
    this.#words[this.#at + word] = value;
  }

  #count(counter: number): void {
    Atomics.add(this.#job.tally.counters, counter, 1);
  }

  /** Goes on with what the task was doing. @returns does it still run, with nothing left of that? */
  #goOn(): boolean {
    const api = this.#api;
    const about = this.#get(ABOUT);
    const why = api.whyOfTask(this.#id);
    switch (this.#get(DOING)) {
      case Doing.Join:
        if (why === Why.Notified) this.#joined(about);
        break;
      case Doing.JoinChild:
        if (why === Why.Notified) this.#joined(about);
        api.release(this.#get(CHILD));
        break;
      case Doing.Lock:
        // Who was notified and does not ask again keeps the mutex from the others.
        if (why === Why.Cancelled) break;
        return this.#lock(about);
      case Doing.Hold:
        return this.#unlock(about);
      case Doing.Acquire:
        if (why !== Why.Notified) break;
        return this.#acquire(about);
    }
    this.#set(DOING, Doing.Nothing);
    if (!api.isCancelled(this.#id)) return true;
    this.#end(CANCELLED);
    return false;
  }

  /** The next step. @returns does it still run? */
  #act(): boolean {
    const api = this.#api;
    const { tally, queues, mutexes, semaphores } = this.#job;
    const step = this.#get(STEP);
    const dice = hash(this.#serial, step);
    if (step >= dice % MAX_STEPS) {
      this.#end(codeOf(this.#serial));
      return false;
    }
    this.#set(STEP, step + 1);
    const choice = dice >>> 8;
    const queue = queues[choice % queues.length]!;
    const soon = this.#now() + (choice % 2000);
    switch ((dice >>> 4) % 16) {
      case 0:
        return this.#giveUp(() => api.yieldNow());
      case 1:
        return this.#giveUp(() => api.preempt());
      case 2:
        return this.#giveUp(() => {
          api.tick();
          return api.yieldNow();
        });
      case 3:
      case 4:
        this.#spawn({ detached: true });
        return true;
      case 5:
        this.#spawn({ detached: true, bound: true, affinity: (1 << this.#cpu) >>> 0 });
        return true;
      case 6:
        return this.#joinChild();
      case 7:
      case 8:
        return this.#join(this.#neighbour(choice));
      case 9:
        return this.#lock(choice % mutexes.length);
      case 10:
        return this.#acquire(choice % semaphores.length);
      case 11:
        api.cancel(Atomics.load(tally.ids, this.#neighbour(choice)));
        this.#count(CANCELS);
        return true;
      case 12:
        return this.#wait(Doing.Wait, 0, api.prepareWait(soon));
      case 13:
        return this.#wait(Doing.Wait, 0, api.waitOn(queue, soon + 20_000));
      case 14:
        api.notifyOne(queue);
        if (choice % 8 === 0) api.notifyAll(queue);
        if (choice % 4 === 0) api.requeue(queue, queues[(choice + 1) % queues.length]!, 3);
        return true;
      default:
        api.migrate(Atomics.load(tally.ids, this.#neighbour(choice)), choice % CPUS);
        api.setPriority(this.#id, choice % 20);
        return this.#sleepsHere(soon);
    }
  }

  /** Gives way, and takes nothing of the task after that. */
  #giveUp(by: () => boolean): false {
    Atomics.store(this.#job.tally.on, this.#serial, 0);
    if (!by()) report(this.#job.tally, Wrong.Refused, this.#serial);
    return false;
  }

  /** @returns does it still run? */
  #wait(doing: number, about: number, outcome: number): boolean {
    this.#set(ABOUT, about);
    if (outcome !== WAIT) {
      if (outcome < 0 && outcome !== Failure.Stale && outcome !== Failure.Circle) {
        report(this.#job.tally, Wrong.Refused, this.#serial, outcome);
      }
      return true;
    }
    const { on } = this.#job.tally;
    this.#set(DOING, doing);
    this.#count(WAITS);
    Atomics.store(on, this.#serial, 0);
    if (this.#api.block() === 0) return false;
    Atomics.store(on, this.#serial, this.#job.pid);
    return this.#goOn();
  }

  /** Its thread stands still. */
  #sleepsHere(until: number): true {
    const api = this.#api;
    if (api.prepareWait(until) !== WAIT) return true;
    while (api.waitHere(1) === 0) {
      api.setNow(this.#now());
      api.expire();
    }
    return true;
  }

  #neighbour(choice: number): number {
    const next = Atomics.load(this.#job.tally.counters, NEXT);
    return Math.max(Math.min(next, this.#job.tally.born.length) - 1 - (choice % NEAR), 0);
  }

  #spawn(how: Parameters<typeof spawnTask>[4]): number {
    const { counters } = this.#job.tally;
    const next = Atomics.load(counters, NEXT);
    if (next >= Atomics.load(counters, LIMIT) || next - Atomics.load(counters, ENDED) > CROWD) return 0;
    return spawnTask(this.#api, this.#words, this.#job.tally, this.#job.place, how);
  }

  #join(target: number): boolean {
    const id = Atomics.load(this.#job.tally.ids, target);
    if (id === 0) return true;
    const outcome = this.#api.join(id);
    if (outcome === 1 || outcome === Failure.Stale) this.#joined(target);
    return this.#wait(Doing.Join, target, outcome);
  }

  #joinChild(): boolean {
    const id = this.#spawn({});
    if (id === 0) return true;
    this.#set(CHILD, id);
    const serial = this.#words[(this.#api.dataAddress(id) >>> 2) + SERIAL]!;
    const outcome = this.#api.join(id);
    if (outcome !== WAIT) {
      if (outcome === 1) this.#joined(serial);
      this.#api.release(id);
    }
    return this.#wait(Doing.JoinChild, serial, outcome);
  }

  #joined(target: number): void {
    const { ended, dead } = this.#job.tally;
    this.#count(JOINS);
    if (Atomics.load(ended, target) === 0 && Atomics.load(dead, target) === 0) {
      report(this.#job.tally, Wrong.JoinedTooEarly, this.#serial, target);
    }
  }

  #lock(mutex: number): boolean {
    const { holders } = this.#job.tally;
    const outcome = this.#api.lock(this.#job.mutexes[mutex]!);
    if (outcome !== 0 && outcome !== 1) return this.#wait(Doing.Lock, mutex, outcome);
    const before = Atomics.exchange(holders, mutex, this.#serial + 1);
    if (outcome === 0 && before !== 0) report(this.#job.tally, Wrong.MutexHeldTwice, this.#serial, before - 1);
    this.#count(LOCKS);
    this.#set(DOING, Doing.Hold);
    this.#set(ABOUT, mutex);
    return this.#giveUp(() => this.#api.yieldNow());
  }

  #unlock(mutex: number): boolean {
    Atomics.store(this.#job.tally.holders, mutex, 0);
    this.#set(DOING, Doing.Nothing);
    const outcome = this.#api.unlock(this.#job.mutexes[mutex]!);
    if (outcome !== 0) report(this.#job.tally, Wrong.Refused, this.#serial, outcome);
    return this.#goOn();
  }

  #acquire(semaphore: number): boolean {
    const { permits } = this.#job.tally;
    const outcome = this.#api.acquire(this.#job.semaphores[semaphore]!, this.#now() + 5000);
    if (outcome !== 0) return this.#wait(Doing.Acquire, semaphore, outcome);
    // Between the two its death keeps the permit.
    const out = Atomics.add(permits, semaphore, 1) + 1;
    if (out > PERMITS) report(this.#job.tally, Wrong.TooManyPermits, this.#serial, out);
    Atomics.sub(permits, semaphore, 1);
    this.#api.releasePermits(this.#job.semaphores[semaphore]!);
    this.#set(DOING, Doing.Nothing);
    return this.#goOn();
  }

  #end(code: number): void {
    const { ended, on } = this.#job.tally;
    if (Atomics.compareExchange(ended, this.#serial, 0, 1 + code) !== 0) {
      report(this.#job.tally, Wrong.RunsAfterEnd, this.#serial, code);
    }
    Atomics.store(on, this.#serial, 0);
    this.#count(ENDED);
    const outcome = this.#api.exit(code);
    if (outcome !== 0) report(this.#job.tally, Wrong.Refused, this.#serial, outcome);
  }
}

if (parentPort) {
  const cpu = new TaskCpu(workerData as TaskCpuJob);
  parentPort.postMessage("ready");
  cpu.run();
}
