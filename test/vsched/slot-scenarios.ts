/**
 * Small systems in which a slot is released and taken again as early as that is allowed. One thread, the owner, is a CPU that takes no tasks but
 * its own; another one runs, and ends, what the owner releases.
 */
import type { VschedApi } from "../../generated/vsched/vsched.js";
import { type CheckState, goal, type ThreadSpec } from "../../runtime/check/index.ts";
import { type Context, dead, FIRST, oneDies, QUEUE, type Scenario, type Steps, states, thread } from "./scenarios.ts";

const [READY, EXITED] = [2, 6];
/** Of what a thread does. */
type Part = (t: Context) => Steps<unknown>;
const ANYWHERE = 0xffffffff;
/** The affinity of what the first CPU alone runs. */
const OWNER = 0b01;

/** Nothing leaks. Without a CPU that takes it, a ready task, and who waits for it, waits for the next that starts. */
const nothingLeaks = goal("everybody ends, and every slot is free", (state: CheckState) => {
  const { threads, reaper } = state;
  if (reaper !== undefined && reaper.status !== "idle") return false;
  const words = states(state);
  if (dead(state, "executor") && words.includes(READY)) return true;
  return words.every((each) => each === 0) && threads.every(({ daemon, status }) => daemon || status !== "running");
});

/** Becomes a CPU when the owner has started the first task, takes it and ends it. */
const executor: ThreadSpec<VschedApi> = {
  // If the owner has died there may be nothing to take.
  daemon: true,
  *run(t) {
    yield* t.until("stateOfTask", [FIRST], (state) => state >= READY);
    yield* t.call("startCpu");
    yield* t.until("pickNext", [], (picked) => picked !== 0);
    yield* t.call("exit", 0);
  },
};

/** Takes a slot as soon as one is free. @returns the task, which is this process's and is released when it ends */
function takesSlot(t: Context, affinity = ANYWHERE): Steps<number> {
  return t.until("create", [1, 0, 0, affinity, true, true], (made) => made > 0);
}

/** Releases the first task as soon as it has ended, and takes its slot. @returns the next task, which is not started */
function* takesItsSlot(t: Context, affinity = ANYWHERE): Steps<number> {
  yield* t.until("stateOfTask", [FIRST], (state) => state === EXITED);
  yield* t.call("release", FIRST);
  return yield* takesSlot(t, affinity);
}

function* nothing(): Steps {}

/** A task of this thread alone waits for something that has not happened yet. */
function* waits(t: Context, wait: Part): Steps {
  yield* t.call("pickNext");
  yield* wait(t);
  yield* t.call("block");
}

/** Goes on with a task that has waited, or runs one that has not begun. */
function goesOn(t: Context): Steps<number> {
  return t.until("pickNext", [], (picked) => picked !== 0);
}

/** A task waits for another, whose slot is taken as soon as it has ended. */
const waitsForTheOld = (wait: Part, before: Part = nothing, after: Part = nothing): ThreadSpec<VschedApi> =>
  thread(function* (t) {
    yield* t.call("startCpu", false);
    yield* t.call("create", 1, 0);
    yield* before(t);
    yield* t.call("spawn", 1, 0, 0, OWNER, true, true);
    yield* waits(t, wait);
    yield* t.call("start", FIRST);
    const next = yield* takesItsSlot(t);
    yield* t.call("release", next);
    yield* goesOn(t);
    yield* after(t);
    yield* t.call("exit", 0);
  });

const joinsTheOld = waitsForTheOld((t) => t.call("join", FIRST));

/** For the mutex of one that ends without unlocking it. */
const waitsForMutex = waitsForTheOld(
  (t) => t.call("lock", QUEUE),
  (t) => t.call("tryLockFor", QUEUE, FIRST),
  function* (t) {
    yield* t.call("lock", QUEUE);
    yield* t.call("unlock", QUEUE);
  },
);

/** Tasks join the one that is in the slot of another that has just ended. */
const joinTheNew = (joiners: number): ThreadSpec<VschedApi> =>
  thread(function* (t) {
    yield* t.call("startCpu", false);
    yield* t.call("spawn", 1, 0);
    for (let n = 0; n < joiners; n++) yield* t.call("spawn", 1, 0, 0, OWNER, true, true);
    const next = yield* takesItsSlot(t, OWNER);
    for (let n = 0; n < joiners; n++) yield* waits(t, (t) => t.call("join", next));
    yield* t.call("start", next);
    for (let n = 0; n <= joiners; n++) {
      yield* goesOn(t);
      yield* t.call("exit", 0);
    }
  });

function* makesMutex(t: Context): Steps {
  yield* t.call("createMutex", true);
}

/** Makes a task that another thread runs, releases it, and takes its slot. */
const releases = thread(function* (t) {
  yield* t.call("spawn", 1, 0);
  const next = yield* takesItsSlot(t);
  yield* t.call("release", next);
});

/** The same, but is told of the task's end. */
const isTold = thread(function* (t) {
  yield* t.call("startCpu", false);
  yield* t.call("spawn", 1, 0, 0, ANYWHERE, false, false, true);
  const ended = yield* t.until("takeFinished", [], (id) => id !== 0);
  yield* t.call("release", ended);
  const next = yield* takesSlot(t);
  yield* t.call("release", next);
});

/** Makes a task that is released when it ends, and waits for its slot. */
const forgets = (bound: boolean): ThreadSpec<VschedApi> =>
  thread(function* (t) {
    yield* t.call("spawn", 1, 0, 0, ANYWHERE, bound, true);
    const next = yield* takesSlot(t);
    yield* t.call("release", next);
  });

const oldJoined = { owner: joinsTheOld, executor };
const newJoined = { owner: joinTheNew(1), executor };
const locked = { owner: waitsForMutex, executor };

export const slotScenarios: readonly Scenario[] = [
  {
    title: "a slot that is taken again before the joiner of the task that it had is woken",
    tables: { TASKS: "2" },
    spec: { threads: oldJoined, goals: [nothingLeaks] },
  },
  {
    title: "a joined task's slot that is taken again, and one of the CPUs dies",
    tables: { TASKS: "2" },
    spec: { threads: oldJoined, kills: { max: 1 }, goals: [nothingLeaks] },
  },
  {
    title: "a slot that is taken again, and joined, before the joiners of the task that it had are looked for",
    tables: { TASKS: "2" },
    spec: { threads: newJoined, goals: [nothingLeaks] },
  },
  {
    title: "a slot that is taken again, and joined by two, one of them a stray",
    tables: { TASKS: "3" },
    spec: { threads: { owner: joinTheNew(2), executor }, goals: [nothingLeaks] },
  },
  {
    title: "a slot that is taken again, and joined, and one of the CPUs dies",
    tables: { TASKS: "2" },
    spec: { threads: newJoined, kills: { max: 1 }, goals: [nothingLeaks] },
  },
  {
    title: "a slot that is taken again before the mutex of the task that it had is let go",
    tables: { TASKS: "2" },
    spec: { setup: makesMutex, threads: locked, goals: [nothingLeaks] },
  },
  {
    title: "the slot of a task that ends with a mutex is taken again, and one of the CPUs dies",
    tables: { TASKS: "2" },
    spec: { setup: makesMutex, threads: locked, kills: { max: 1 }, goals: [nothingLeaks] },
  },
  {
    title: "a task that is released while it ends, and who does either or the reaper dies",
    tables: { CPUS: "1" },
    spec: { threads: { owner: releases, executor }, kills: oneDies, goals: [nothingLeaks] },
  },
  {
    title: "a task that is released when it ends, and its CPU or the reaper dies",
    tables: { CPUS: "1" },
    spec: { threads: { owner: forgets(false), executor }, kills: oneDies, goals: [nothingLeaks] },
  },
  {
    title: "a task of another process that is released when it ends, and that process, its CPU or the reaper dies",
    tables: { CPUS: "1" },
    spec: { threads: { owner: forgets(true), executor }, kills: oneDies, goals: [nothingLeaks] },
  },
  {
    title:
      "a task that is released by one who has just been told of its end, and who tells, who is told or the reaper dies",
    spec: { threads: { owner: isTold, executor }, kills: oneDies, goals: [nothingLeaks] },
  },
  {
    title: "a joined task's slot that is taken again, and one of the CPUs dies, the reaper too",
    large: true,
    tables: { TASKS: "2" },
    spec: { threads: oldJoined, kills: oneDies, goals: [nothingLeaks] },
  },
  {
    title: "the slot of a task that ends with a mutex is taken again, and one of the CPUs dies, the reaper too",
    large: true,
    tables: { TASKS: "2" },
    spec: { setup: makesMutex, threads: locked, kills: oneDies, goals: [nothingLeaks] },
  },
];
