import { expect, test } from "vitest";
import vsched, { Failure, Policy, State, type VschedApi, Why } from "../../generated/vsched/vsched.js";
import { attach, type Mapping, map, vvarOf } from "../../runtime/index.ts";

async function system(): Promise<{ mapping: Mapping<VschedApi>; a: VschedApi; b: VschedApi }> {
  const mapping = (await map(vsched, { managed: true })) as Mapping<VschedApi>;
  const a = attach(vsched, mapping.handle, { pid: 2 });
  const b = attach(vsched, mapping.handle, { pid: 3 });
  a.configure(Policy.Fifo);
  a.startCpu();
  b.startCpu();
  return { mapping, a, b };
}

test("the task that a process ran ends with it, and its joiners go on", async () => {
  const { mapping, a, b } = await system();
  const victim = b.spawn(0, 0, 0, 0b01);
  expect(a.pickNext()).toBe(victim);
  const joiner = b.spawn(0, 0, 0, 0b10);
  expect(b.pickNext()).toBe(joiner);
  expect(b.join(victim)).toBe(2);
  expect(b.block()).toBe(0);
  mapping.drop(2);
  expect(b.pickNext()).toBe(joiner);
  expect(b.stateOfTask(victim)).toBe(State.Exited);
  expect(b.whyEnded(victim)).toBe(Why.Killed);
});

test("ready tasks move on to other CPUs, those that belong to the process end", async () => {
  const { mapping, a, b } = await system();
  const movable = [0, 1, 2, 3].map(() => b.spawn(0, 0));
  const bound = a.spawn(0, 0, 0, 0b01, true);
  mapping.drop(2);
  expect(b.whyEnded(bound)).toBe(Why.Dropped);
  const ran = movable.map(() => {
    const id = b.pickNext();
    b.exit(0);
    return id;
  });
  expect(ran.toSorted()).toEqual(movable.toSorted());
  expect(b.pickNext()).toBe(0);
});

test("tasks that no CPU is left for wait for the next one", async () => {
  const { mapping, a, b } = await system();
  const ids = [0, 1, 2].map(() => a.spawn(0, 0, 0, 0xffffffff, false, true));
  expect(b.stopCpu()).toBe(0);
  mapping.drop(2);
  const late = b.spawn(0, 0);
  const c = attach(vsched, mapping.handle, { pid: 4 });
  c.startCpu();
  const ran = [0, 1, 2, 3].map(() => {
    const id = c.pickNext();
    c.exit(0);
    return id;
  });
  expect(ran.toSorted()).toEqual([...ids, late].toSorted());
});

test("a mutex whose owner died tells so to the next", async () => {
  const { mapping, a, b } = await system();
  const mutex = b.createMutex();
  b.spawn(0, 0, 0, 0b01);
  a.pickNext();
  expect(a.lock(mutex)).toBe(0);
  const next = b.spawn(0, 0, 0, 0b10);
  b.pickNext();
  expect(b.lock(mutex)).toBe(2);
  expect(b.block()).toBe(0);
  mapping.drop(2);
  expect(b.pickNext()).toBe(next);
  expect(b.lock(mutex)).toBe(1);
  expect(b.unlock(mutex)).toBe(0);
  expect(b.lock(mutex)).toBe(0);
});

test("what a process did not finish to spawn, and what nobody will release, is free again", async () => {
  const { mapping, a, b } = await system();
  const unborn = a.create(0, 0);
  const ended = a.spawn(0, 0, 0, 0b10);
  b.pickNext();
  b.exit(0);
  const running = a.spawn(0, 0, 0, 0b10);
  b.pickNext();
  mapping.drop(2);
  for (const id of [unborn, ended]) expect(b.stateOfTask(id)).toBe(Failure.Stale);
  expect(b.stateOfTask(running)).toBe(State.Running);
  b.exit(0);
  expect(b.stateOfTask(running)).toBe(Failure.Stale);
  expect(b.whyEnded(running)).toBe(Why.None);
});

test("of what a process wanted to hear the end of, what has not begun ends with it, and the rest is asked to", async () => {
  const { mapping, a, b } = await system();
  const submit = (): number => a.spawn(0, 0, 0, 0b10, false, false, true);
  const [waiting, left, running, ready] = [submit(), submit(), submit(), submit()];
  // The first three have begun: one waits, one is ready again, one runs.
  expect(b.pickNext()).toBe(waiting);
  b.bind();
  b.prepareWait();
  b.block();
  expect(b.pickNext()).toBe(left);
  b.bind();
  b.prepareWait();
  b.block();
  a.unblock(left);
  expect(b.pickNext()).toBe(running);
  mapping.drop(2);
  expect(b.whyEnded(ready)).toBe(Why.Dropped);
  expect([waiting, left, running].map((id) => b.stateOfTask(id))).toEqual([State.Ready, State.Ready, State.Running]);
  expect([waiting, left, running].every((id) => b.isCancelled(id))).toBe(true);
  expect(b.whyOfTask(waiting)).toBe(Why.Cancelled);
  for (const id of [running, left, waiting]) {
    if (id !== running) expect(b.pickNext()).toBe(id);
    b.exit(0);
    expect(b.stateOfTask(id)).toBe(Failure.Stale);
  }
});

test("sleepers of a process that died wake on another CPU, and its queues end", async () => {
  const { mapping, a, b } = await system();
  const queue = a.createQueue();
  const kept = a.createQueue(true);
  const sleeper = a.spawn(0, 0);
  a.pickNext();
  a.setNow(1000);
  a.prepareWait(2000);
  a.block();
  const waiter = b.spawn(0, 0, 0, 0b10);
  b.pickNext();
  b.waitOn(queue);
  b.block();
  mapping.drop(2);
  expect(b.whyOfTask(waiter)).toBe(Why.Dropped);
  expect(b.notifyOne(kept)).toBe(0);
  b.setNow(5000);
  expect(b.expire(true)).toBe(1);
  expect(b.whyOfTask(sleeper)).toBe(Why.TimedOut);
});

test("reaping may be repeated, and a CPU's number goes to the next process", async () => {
  const { mapping, a, b } = await system();
  a.spawn(0, 0);
  mapping.drop(2);
  mapping.drop(2);
  mapping.drop(77);
  expect(b.cpuStats(0).live).toBe(false);
  const c = attach(vsched, mapping.handle, { pid: 1026 });
  expect(c.startCpu()).toBe(0);
  expect(b.cpuStats(0).pid).toBe(1026);
});

test("stealing takes half of the richest CPU's tasks, and none that must stay", async () => {
  const { a, b } = await system();
  for (let n = 0; n < 1024; n++) a.spawn(0, 0, 0, 0b11);
  const onA = a.loadOf(0);
  for (let n = 0; n < 1024 - onA; n++) {
    b.pickNext();
    b.exit(0);
  }
  expect(b.steal()).toBe(onA / 2);
  expect([a.loadOf(0), a.loadOf(1)]).toEqual([onA / 2, onA / 2]);
  const stays = a.spawn(0, 0, 0, 0b01);
  while (b.pickNext() || (b.steal() > 0 && b.pickNext())) {
    expect(b.current()).not.toBe(stays);
    b.exit(0);
  }
  expect(a.pickNext()).toBe(stays);
});

test("a CPU whose task was ended from outside is free again", async () => {
  const { mapping, a, b } = await system();
  // It belongs to A, and runs on B.
  const guest = a.spawn(0, 0, 0, 0b10, true);
  expect(b.pickNext()).toBe(guest);
  mapping.drop(2);
  const next = b.spawn(0, 0);
  expect(b.exit(0)).toBe(Failure.State);
  expect(b.current()).toBe(0);
  expect(b.pickNext()).toBe(next);
});

test("a thief takes from another CPU when the richest has only tasks that have to stay", async () => {
  const { mapping, a, b } = await system();
  for (let n = 0; n < 10; n++) a.spawn(0, 0, 0, 0b01);
  const movable = [0, 1, 2].map(() => b.spawn(0, 0, 0, 0b110));
  const c = attach(vsched, mapping.handle, { pid: 4 });
  c.startCpu();
  expect(c.steal()).toBe(2);
  expect(movable).toContain(c.pickNext());
});

test("a CPU that was given back has no tasks that a thief could look for", async () => {
  const { mapping, a, b } = await system();
  for (let n = 0; n < 30; n++) a.spawn(0, 0);
  expect(b.stopCpu()).toBe(0);
  expect(a.loadOf(0)).toBe(30);
  for (let n = 0; n < 20; n++) {
    a.pickNext();
    a.exit(0);
  }
  const c = attach(vsched, mapping.handle, { pid: 4 });
  c.startCpu();
  expect(c.steal()).toBe(5);
});

test("a CPU that sleeps is called when a task that it could run gives way to one that it could not", async () => {
  const { a, b } = await system();
  const bell = new Int32Array(vvarOf(b), b.bellAddress(), 1);
  const free = a.spawn(0, 0);
  expect(a.pickNext()).toBe(free);
  const stays = a.spawn(0, 0, 0, 0b01);
  const seen = b.prepareIdle();
  expect(b.hasWork()).toBe(false);
  expect(a.yieldNow()).toBe(true);
  expect(a.pickNext()).toBe(stays);
  expect(Atomics.load(bell, 0)).not.toBe(seen);
  expect(b.hasWork()).toBe(true);
  expect(b.pickNext()).toBe(free);
});
