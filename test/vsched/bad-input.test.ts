import { beforeEach, expect, test } from "vitest";
import vsched, {
  CPUS,
  Failure,
  Policy,
  QUEUES,
  State,
  TASKS,
  TraceEvent,
  type VschedApi,
  Why,
} from "../../generated/vsched/vsched.js";
import { attach, type Mapping, map } from "../../runtime/index.ts";

let mapping: Mapping<VschedApi>;
let cpu: VschedApi;
beforeEach(async () => {
  mapping = (await map(vsched, { managed: true })) as Mapping<VschedApi>;
  cpu = attached(2);
  cpu.startCpu();
});
const attached = (pid: number): VschedApi => attach(vsched, mapping.handle, { pid });

test("a full task table is refused, and an exited task's slot is used again with another id", () => {
  const ids = Array.from({ length: TASKS }, () => cpu.spawn(0, 0));
  expect(new Set(ids).size).toBe(TASKS);
  expect(cpu.spawn(0, 0)).toBe(Failure.Full);
  const id = cpu.pickNext();
  cpu.exit(5);
  expect(cpu.spawn(0, 0)).toBe(Failure.Full);
  expect(cpu.release(id)).toBe(0);
  const next = cpu.spawn(0, 0);
  expect(next).toBeGreaterThan(0);
  expect(next).not.toBe(id);
  expect(next & 0x3fff).toBe(id & 0x3fff);
});

test("ids of tasks that are no more, of none and of nonsense are refused everywhere", () => {
  const stale = cpu.spawn(0, 0);
  cpu.pickNext();
  cpu.exit(9);
  cpu.release(stale);
  const runner = cpu.spawn(0, 0);
  cpu.pickNext();
  for (const id of [stale, 0, 0x3fffffff, 0xffffffff]) {
    expect(cpu.start(id)).toBe(Failure.Stale);
    expect(cpu.release(id)).toBe(Failure.Stale);
    expect(cpu.cancel(id)).toBe(Failure.Stale);
    expect(cpu.join(id)).toBe(Failure.Stale);
    expect(cpu.unblock(id)).toBe(Failure.Stale);
    expect(cpu.stateOfTask(id)).toBe(Failure.Stale);
    expect(cpu.whyOfTask(id)).toBe(Failure.Stale);
    expect(cpu.setPriority(id, 0)).toBe(Failure.Stale);
    expect(cpu.setAffinity(id, 0xffffffff)).toBe(Failure.Stale);
    expect(cpu.migrate(id, 0)).toBe(Failure.Stale);
    expect(cpu.taskStats(id).state).toBe(Failure.Stale);
    expect(cpu.isCancelled(id)).toBe(false);
    expect([cpu.kindOf(id), cpu.entryOf(id)]).toEqual([0, 0]);
  }
  expect(cpu.current()).toBe(runner);
  // What ended it is known until its slot is used again.
  expect([cpu.whyEnded(stale), cpu.whyEnded(0), cpu.whyEnded(runner)]).toEqual([
    Why.None,
    Failure.State,
    Failure.State,
  ]);
});

test("calls about the running task are refused when none runs", () => {
  expect(cpu.current()).toBe(0);
  expect(cpu.exit(0)).toBe(Failure.State);
  expect(cpu.block()).toBe(Failure.State);
  expect(cpu.prepareWait()).toBe(Failure.State);
  expect(cpu.cancelWait()).toBe(Failure.State);
  expect(cpu.bind()).toBe(Failure.State);
  expect(cpu.yieldNow()).toBe(false);
  expect(cpu.tick()).toBe(false);
  const other = cpu.spawn(0, 0);
  expect(cpu.join(other)).toBe(Failure.State);
  expect(cpu.lock(cpu.createMutex())).toBe(Failure.State);
});

test("a process that is no CPU takes nothing, and its calls do no harm", () => {
  const guest = attached(3);
  cpu.spawn(0, 0);
  expect(guest.pickNext()).toBe(0);
  expect(guest.steal()).toBe(0);
  expect(guest.takeFinished()).toBe(0);
  expect(guest.stopCpu()).toBe(Failure.State);
  expect([guest.prepareIdle(), guest.hasWork(), guest.bellAddress(), guest.expire(true)]).toEqual([0, false, 0, 0]);
  guest.endIdle();
  guest.park(0);
  guest.ringCpu(0xffffffff);
  expect(guest.loadOf(0xffffffff)).toBe(-1);
  expect(guest.cpuStats(0xffffffff).live).toBe(false);
});

test("priorities, CPUs, counts and kinds out of range are refused", () => {
  expect(cpu.spawn(0, 0, 20)).toBe(Failure.Range);
  expect(cpu.spawn(0, 0, -21)).toBe(Failure.Range);
  expect(cpu.spawn(0, 0, 0, 0b10)).toBe(Failure.NoCpu);
  expect(cpu.spawn(0, 0, 0, 0)).toBe(Failure.NoCpu);
  const id = cpu.spawn(0, 0);
  expect(cpu.setPriority(id, 100)).toBe(Failure.Range);
  expect(cpu.setAffinity(id, 0b100)).toBe(Failure.NoCpu);
  expect(cpu.migrate(id, 1)).toBe(Failure.NoCpu);
  expect(cpu.migrate(id, CPUS)).toBe(Failure.NoCpu);
  expect(cpu.unblock(id, CPUS)).toBe(Failure.NoCpu);
  expect(cpu.createSemaphore(0x80000000)).toBe(Failure.Range);
  const semaphore = cpu.createSemaphore(0x7fffffff);
  expect(cpu.releasePermits(semaphore, 1)).toBe(Failure.Range);
  const barrier = cpu.createBarrier();
  expect(cpu.arrive(barrier, 0)).toBe(Failure.Range);
  cpu.pickNext();
  const mutex = cpu.createMutex();
  expect(cpu.unlock(mutex)).toBe(Failure.Owner);
  expect(cpu.lock(mutex)).toBe(0);
  expect(cpu.lock(mutex)).toBe(Failure.Owner);
  for (const queue of [mutex, 0, 0xffffffff]) {
    expect(cpu.acquire(queue)).toBe(Failure.Stale);
    expect(cpu.setEvent(queue)).toBe(Failure.Stale);
    expect(cpu.waitBarrier(queue, 0)).toBe(Failure.Stale);
  }
  expect(cpu.configure(Policy.Fifo)).toBe(false);
});

test("queues end with their waiters told, their slots are used again with other ids, and there are not more than there is room for", () => {
  const queue = cpu.createQueue();
  const waiter = cpu.spawn(0, 0);
  cpu.pickNext();
  expect(cpu.waitOn(queue)).toBe(2);
  expect(cpu.block()).toBe(0);
  expect(cpu.closeQueue(queue)).toBe(0);
  expect(cpu.whyOfTask(waiter)).toBe(Why.Dropped);
  expect(cpu.closeQueue(queue)).toBe(Failure.Stale);
  expect(cpu.notifyOne(queue)).toBe(Failure.Stale);
  expect(cpu.requeue(queue, queue, 1)).toBe(Failure.Stale);
  const ids = Array.from({ length: QUEUES }, () => cpu.createQueue());
  expect(ids.every((id) => id > 0 && id !== queue)).toBe(true);
  expect(cpu.createQueue()).toBe(Failure.Full);
});

test("as many CPUs as there is room for, and one more is refused", () => {
  const more = Array.from({ length: CPUS }, (_, n) => attached(3 + n).startCpu());
  expect(more.slice(0, -1)).toEqual(Array.from({ length: CPUS - 1 }, (_, n) => n + 1));
  expect(more.at(-1)).toBe(Failure.Full);
});

test("a task that joins itself is told", () => {
  const id = cpu.spawn(0, 0);
  cpu.pickNext();
  expect(cpu.join(id)).toBe(Failure.Circle);
  expect(cpu.stateOfTask(id)).toBe(State.Running);
});

test("a task that is bound to a process does not leave it, whoever asks for that", () => {
  const other = attached(3);
  other.startCpu();
  const id = cpu.spawn(0, 0, 0, 0b01, true);
  expect(cpu.setAffinity(id, 0b10)).toBe(Failure.State);
  expect(cpu.migrate(id, 1)).toBe(Failure.NoCpu);
  cpu.pickNext();
  cpu.prepareWait();
  cpu.block();
  expect(other.unblock(id, 1)).toBe(1);
  expect([other.pickNext(), cpu.pickNext()]).toEqual([0, id]);
});

test("who joins whom is known while it waits", () => {
  const target = cpu.spawn(0, 0, 1);
  const joiner = cpu.spawn(0, 0);
  cpu.pickNext();
  cpu.yieldNow();
  expect(cpu.pickNext()).toBe(joiner);
  expect(cpu.joins(joiner)).toBe(0);
  expect(cpu.join(target)).toBe(2);
  expect([cpu.joins(joiner), cpu.joins(target), cpu.joins(0)]).toEqual([target, 0, 0]);
  expect(cpu.block()).toBe(0);
});

test("the calls that end or interrupt a task and pick the next do what the single ones do, at the time they are told", () => {
  const [sleeper, first, second] = [cpu.spawn(0, 0), cpu.spawn(0, 0), cpu.spawn(0, 0)];
  expect(cpu.runNext(100)).toBe(sleeper);
  cpu.prepareWait(250);
  cpu.block();
  expect(cpu.runNext(110)).toBe(first);
  expect(cpu.cpuStats(0).sinceUs).toBe(110);
  expect(cpu.yieldNext(200)).toBe(second);
  expect(cpu.exitNext(7, 300)).toBe(first);
  expect([cpu.exitCode(second), cpu.taskStats(first).runTimeUs]).toEqual([7, 90]);
  // Its time was up when the other ended.
  expect(cpu.exitNext(0, 310)).toBe(sleeper);
  expect(cpu.yieldNext(320)).toBe(sleeper);
  expect(cpu.exitNext(0, 330)).toBe(0);
});

test("a wait in the thread returns at once when it is over, and after its limit when it is not", () => {
  const id = cpu.spawn(0, 0);
  expect(cpu.waitHere(0)).toBe(Failure.State);
  cpu.pickNext();
  expect(cpu.waitHere(0)).toBe(Failure.State);
  cpu.prepareWait();
  expect(cpu.waitHere(1)).toBe(0);
  expect(cpu.unblock(id)).toBe(1);
  expect(cpu.waitHere()).toBe(1);
  expect(cpu.stateOfTask(id)).toBe(State.Running);
});

test("waiters move between queues in their order, and are found there", () => {
  const [first, second] = [cpu.createQueue(), cpu.createQueue()];
  const ids = Array.from({ length: 25 }, () => cpu.spawn(0, 0));
  for (const _ of ids) {
    cpu.pickNext();
    cpu.waitOn(first);
    cpu.block();
  }
  expect(cpu.requeue(first, second, 20)).toBe(20);
  expect([cpu.lengthOf(first), cpu.lengthOf(second)]).toEqual([5, 20]);
  expect(cpu.notifyTask(second, ids[7]!)).toBe(1);
  expect(cpu.notifyTask(second, ids[7]!)).toBe(0);
  expect(cpu.notifyTask(second, ids[22]!)).toBe(0);
  expect(cpu.notifyOne(second)).toBe(1);
  expect(cpu.pickNext()).toBe(ids[7]);
  cpu.exit(0);
  expect(cpu.pickNext()).toBe(ids[0]);
  cpu.exit(0);
  expect(cpu.notifyAll(second)).toBe(18);
  expect(cpu.notifyAll(first)).toBe(5);
});

test("the trace says what happened, in order, and costs nothing to read when it is off", () => {
  const quiet = cpu.spawn(0, 0);
  cpu.pickNext();
  cpu.exit(0);
  expect(cpu.traced()).toBe(0);
  cpu.setTrace(true);
  cpu.setNow(1000);
  const id = cpu.spawn(0, 0);
  cpu.pickNext();
  cpu.yieldNow();
  cpu.pickNext();
  cpu.exit(0);
  const events = Array.from({ length: cpu.traced() }, (_, n) => Number(cpu.traceWhat(n) & 255n));
  const { Spawn, Run, Yield, Exit } = TraceEvent;
  expect(events).toEqual([Spawn, Run, Yield, Run, Exit]);
  expect(cpu.traceWhat(0) >> 8n).toBe(1000n);
  expect(cpu.traceWhere(0)).toBe(BigInt(id));
  expect(id).not.toBe(quiet);
});

test("texts get numbers, the same for every process", () => {
  const other = attached(3);
  const number = cpu.nameNumber("file:///a.js#grüße");
  expect(other.nameNumber("file:///a.js#grüße")).toBe(number);
  expect(other.nameOf(number)).toBe("file:///a.js#grüße");
  expect(other.nameNumber("b")).not.toBe(number);
  expect([cpu.nameNumber(""), cpu.nameNumber("x".repeat(501))]).toEqual([Failure.Range, Failure.Range]);
  expect(cpu.nameOf(0xffffffff)).toBe("");
});

test("the end of a task is news for who wants to be told, also after a look for ready tasks", () => {
  const other = attached(3);
  other.startCpu();
  const id = cpu.spawn(0, 0, 0, 0b10, false, false, true);
  other.pickNext();
  other.exit(4);
  expect(cpu.pickNext()).toBe(0);
  expect([cpu.hasArrivals(), cpu.hasWork()]).toEqual([true, true]);
  expect(cpu.takeFinished()).toBe(id);
  expect(cpu.takeFinished()).toBe(0);
  expect([cpu.exitCode(id), cpu.hasArrivals(), cpu.hasWork()]).toEqual([4, false, false]);
});
