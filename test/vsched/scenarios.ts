/**
 * Small systems whose every interleaving is tried. Threads are CPUs that run whatever they get; what a task does stands in its entry.
 * A queue has room for one waiter, so that a second one is a stray.
 */
import type { VschedApi } from "../../generated/vsched/vsched.js";
import {
  type CheckSpec,
  type CheckState,
  goal,
  type ThreadContext,
  type ThreadSpec,
  type ThreadStep,
} from "../../runtime/check/index.ts";

export type Context = ThreadContext<VschedApi>;
export type Steps<T = void> = Generator<ThreadStep, T, unknown>;
/** What a task does each time that it is picked. */
type Role = (t: Context, id: number) => Steps;

export interface Scenario {
  readonly title: string;
  /** Lengths of the tables: one task, one queue and two CPUs unless it needs others. A CPU less, and what it is not there for has fewer states. */
  readonly tables?: Readonly<Record<string, string>>;
  /** Has so many states that all of them are tried only when asked for. */
  readonly large?: true;
  readonly spec: Omit<CheckSpec<VschedApi>, "image">;
}

/** Ids of the first tasks and queues: generation 1, indices 0 and 1. */
export const FIRST = 1 << 14;
export const SECOND = FIRST + 1;
export const QUEUE = FIRST;
const OTHER_QUEUE = FIRST + 1;

const [READY, BLOCKING, BLOCKED, EXITED] = [2, 4, 5, 6];

const ends: Role = function* (t) {
  yield* t.call("exit", 7);
};

/** Announces a wait; 2: it has to wait. */
const waits = (wait: (t: Context) => Steps<number>): Role =>
  function* (t, id) {
    const resumed = (yield* t.call("whyOfTask", id)) !== 0;
    if (!resumed && (yield* wait(t)) === 2 && (yield* t.call("block")) === 0) return;
    yield* t.call("exit", 0);
  };

/** Announces a wait and keeps its thread. */
const waitsHere: Role = function* (t) {
  yield* t.call("prepareWait");
  yield* t.until("waitHere", [], (over) => over === 1);
  yield* t.call("exit", 0);
};

/** Tries again each time it is picked until it has what it wants, uses it and ends. */
const takes = (take: (t: Context) => Steps<number>, use: (t: Context) => Steps<number>): Role =>
  function* (t) {
    while (true) {
      const outcome = yield* take(t);
      if (outcome < 2) break;
      if ((yield* t.call("block")) === 0) return;
    }
    yield* use(t);
    yield* t.call("exit", 0);
  };

const locks = takes(
  (t) => t.call("lock", QUEUE),
  (t) => t.call("unlock", QUEUE),
);

/** Becomes a CPU, after a task has been started, spawns tasks with these entries, and runs what it gets. */
function cpu(
  roles: readonly Role[],
  spawns: readonly number[],
  first?: (t: Context) => Steps<unknown>,
  after?: number,
): ThreadSpec<VschedApi> {
  return {
    daemon: true,
    *run(t) {
      // Fewer interleavings, and none of those left out has anything to do with what is tried.
      if (after !== undefined) yield* t.until("stateOfTask", [after], (state) => state >= READY);
      yield* t.call("startCpu");
      for (const entry of spawns) yield* t.call("spawn", 1, entry);
      if (first) yield* first(t);
      while (true) {
        const id = yield* t.until("pickNext", [], (picked) => picked !== 0);
        yield* roles[yield* t.call("entryOf", id)]!(t, id);
      }
    },
  };
}

export const thread = (run: (t: Context) => Steps<unknown>): ThreadSpec<VschedApi> => ({
  *run(t) {
    yield* run(t);
  },
});

/** Begins when the first task has come so far: fewer interleavings, and none of those left out has anything to do with what is tried. */
const since = (state: number, run: (t: Context) => Steps<unknown>): ThreadSpec<VschedApi> => ({
  daemon: true,
  *run(t) {
    yield* t.until("stateOfTask", [FIRST], (found) => found >= state);
    yield* run(t);
  },
});

/** State of a task's word. */
export function states({ vvar }: CheckState): number[] {
  const words = vvar["words"] as readonly bigint[];
  return words.map((word) => Number(word & 7n));
}

export const dead = (state: CheckState, name: string): boolean => state.thread(name).status === "killed";

/** Everything that was spawned has ended, and it was all spawned by those who are alive to spawn. */
const allEnd = (spawns: Readonly<Record<string, number>>) =>
  goal("every task ends", (state) => {
    const spawned = Object.entries(spawns).every(
      ([name, count]) =>
        dead(state, name) || state.thread(name).log.filter(({ fn }) => fn === "spawn").length === count,
    );
    const reaped = state.reaper === undefined || state.reaper.status === "idle";
    const cpus = state.vvar["cpus"] as readonly { readonly live: number }[];
    // A ready task without any CPU waits for the next that starts.
    const nobody = cpus.every(({ live }) => live === 0);
    return (
      spawned && reaped && states(state).every((each) => each === 0 || each === EXITED || (nobody && each === READY))
    );
  });

/** The same, but a task waits for ever when the only one who would have woken it has died. */
const allEndUnless = (waker: string, spawns: Readonly<Record<string, number>>) => {
  const { holds } = allEnd(spawns);
  return goal("every task ends, or its waker has died", (state) => holds(state) || dead(state, waker));
};

/** Every task ends once this one is dead. */
const allEndIfDead = (name: string) => {
  const { holds } = allEnd({});
  return goal(`every task ends when ${name} has died`, (state) => !dead(state, name) || holds(state));
};

/** Nobody picks a task more often than it became ready. */
const picksAreEarned = (wakers: readonly string[]) => (state: CheckState) => {
  const picked = state.calls("pickNext").length;
  const ready = state.calls("spawn").length + state.calls().filter(({ fn }) => wakers.includes(fn)).length;
  // A call that has not returned yet may have made a task ready.
  const underWay = state.threads.filter(({ call }) => call !== undefined && call.fn !== "pickNext").length;
  return picked <= ready + underWay || `${picked} picks of ${ready} ready tasks`;
};

const endedOnce = (state: CheckState) => {
  const ended = state.calls("notifyAll").filter(({ result }) => result === 1).length;
  return ended <= 1 || "one wait was ended twice";
};

export const oneDies = { max: 1, reaper: 1 };

/** One task, spawned here, that a third one moves there. */
const movedTask = {
  a: cpu([ends], [0]),
  b: cpu([ends], [], undefined, FIRST),
  mover: since(READY, (t) => t.call("migrate", FIRST, 1)),
};

export const scenarios: readonly Scenario[] = [
  {
    title: "a wake-up that comes before, while or after the task lets go of its CPU",
    tables: { CPUS: "1" },
    spec: {
      threads: {
        cpu: cpu([waits((t) => t.call("prepareWait"))], [0]),
        waker: thread((t) => t.until("unblock", [FIRST], (woken) => woken === 1)),
      },
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a wake-up of a task whose thread stands still while it waits, or is about to",
    tables: { CPUS: "1" },
    spec: {
      threads: {
        cpu: cpu([waitsHere], [0]),
        waker: thread((t) => t.until("unblock", [FIRST], (woken) => woken === 1)),
      },
      kills: { ...oneDies, threads: ["cpu"] },
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a CPU that dies with the task that it runs, against a waker",
    spec: {
      threads: {
        cpu: cpu([waits((t) => t.call("prepareWait"))], [0]),
        waker: { ...thread((t) => t.until("unblock", [FIRST], (woken) => woken === 1)), daemon: true },
      },
      kills: { ...oneDies, threads: ["cpu"] },
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a task that is stolen while its CPU picks it",
    tables: { TASKS: "2" },
    spec: {
      threads: {
        a: cpu([ends], [0, 0]),
        b: cpu([ends], [], (t) => t.call("steal")),
      },
      safety: picksAreEarned([]),
      goals: [allEnd({ a: 2 })],
    },
  },
  {
    title: "a CPU or a thief that dies in the middle of a steal",
    spec: {
      threads: {
        a: cpu([ends], [0]),
        b: cpu([ends], [], (t) => t.call("steal")),
      },
      kills: oneDies,
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a join against the exit",
    tables: { TASKS: "2" },
    spec: {
      threads: {
        a: cpu([ends, waits((t) => t.call("join", FIRST))], [0, 1]),
        b: cpu([ends, waits((t) => t.call("join", FIRST))], []),
      },
      goals: [allEnd({ a: 2 })],
    },
  },
  {
    title: "a join against the exit, and one of the CPUs dies",
    tables: { TASKS: "2" },
    spec: {
      threads: {
        a: cpu([ends, waits((t) => t.call("join", FIRST))], [0, 1]),
        b: cpu([ends, waits((t) => t.call("join", FIRST))], [], undefined, SECOND),
      },
      kills: { max: 1 },
      goals: [allEnd({ a: 2 })],
    },
  },
  {
    title: "two waiters, one of them a stray, and two notifications",
    tables: { TASKS: "2", CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createQueue");
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE))], [0, 0]),
        n: thread(function* (t) {
          yield* t.until("notifyOne", [QUEUE], (woken) => woken === 1);
          yield* t.until("notifyOne", [QUEUE], (woken) => woken === 1);
        }),
      },
      goals: [allEnd({ cpu: 2 })],
    },
  },
  {
    title: "a waiter that is moved to another queue against one who notifies the first",
    tables: { QUEUES: "2", CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createQueue");
        yield* t.call("createQueue");
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE))], [0]),
        mover: since(BLOCKING, function* (t) {
          const moved = yield* t.call("requeue", QUEUE, OTHER_QUEUE, 1);
          yield* t.until("notifyAll", [moved === 1 ? OTHER_QUEUE : QUEUE], (woken) => woken === 1);
        }),
        first: since(BLOCKING, (t) => t.call("notifyAll", QUEUE)),
      },
      safety: endedOnce,
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a mutex between two CPUs",
    tables: { TASKS: "2" },
    spec: {
      *setup(t) {
        yield* t.call("createMutex");
      },
      threads: {
        a: cpu([locks], [0]),
        b: cpu([locks], [0]),
      },
      safety: (state) => {
        const locked = state.calls("lock").filter(({ result }) => Number(result) < 2).length;
        const unlocked = state.calls("unlock").length;
        const unlocking = state.threads.filter(({ call }) => call?.fn === "unlock").length;
        return locked - unlocked - unlocking <= 1 || "two tasks hold the mutex";
      },
      goals: [allEnd({ a: 1, b: 1 })],
    },
  },
  {
    title: "a task that dies with a mutex",
    tables: { TASKS: "2" },
    spec: {
      *setup(t) {
        yield* t.call("createMutex");
      },
      threads: {
        a: cpu([locks], [0]),
        b: cpu([locks], [0], undefined, FIRST),
      },
      kills: { max: 1, threads: ["a"] },
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a sleeper whose CPU dies or is busy is woken by another process",
    spec: {
      threads: {
        a: cpu([waits((t) => t.call("prepareWait", 5))], [0]),
        other: {
          daemon: true,
          *run(t) {
            yield* t.call("setNow", 5000);
            yield* t.until("expire", [true], (woken) => woken > 0);
          },
        },
      },
      kills: { max: 1, threads: ["a"] },
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "permits that are released while a waiter helps itself",
    tables: { TASKS: "2", CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createSemaphore", 0);
      },
      threads: {
        cpu: cpu(
          [
            takes(
              (t) => t.call("acquire", QUEUE),
              (t) => t.call("entryOf", SECOND),
            ),
          ],
          [0, 0],
        ),
        giver: thread(function* (t) {
          yield* t.call("releasePermits", QUEUE);
          yield* t.call("releasePermits", QUEUE);
        }),
      },
      goals: [allEnd({ cpu: 2 })],
    },
  },
  {
    title: "a CPU that goes to sleep while a task becomes ready where it would have to wait",
    tables: { TASKS: "3" },
    spec: {
      threads: {
        // Keeps its CPU until the other one has run what it spawned.
        busy: thread(function* (t) {
          yield* t.call("startCpu");
          yield* t.call("spawn", 1, 0, 0, 0b01);
          yield* t.until("pickNext", [], (picked) => picked !== 0);
          const spawned = yield* t.call("spawn", 1, 0);
          yield* t.until("stateOfTask", [spawned], (state) => state === EXITED);
          yield* t.call("exit", 0);
        }),
        sleepy: thread(function* (t) {
          yield* t.until("stateOfTask", [FIRST], (state) => state >= READY);
          yield* t.call("startCpu");
          yield* t.call("spawn", 1, 0, 0, 0b10);
          yield* t.until("pickNext", [], (picked) => picked !== 0);
          yield* t.call("exit", 0);
          yield* t.call("park");
          yield* t.until("hasWork", [], (work) => work);
          yield* t.until("pickNext", [], (picked) => picked !== 0);
          yield* t.call("exit", 0);
        }),
      },
    },
  },
  {
    title: "a task that is moved to another CPU while the first one picks it",
    spec: {
      threads: {
        a: cpu([ends], [0]),
        b: cpu([ends], [], undefined, FIRST),
        mover: { ...thread((t) => t.call("migrate", FIRST, 1)), daemon: true },
      },
      safety: picksAreEarned([]),
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a task that is moved to another CPU, and who moves it dies, the reaper too",
    large: true,
    spec: {
      threads: movedTask,
      kills: { ...oneDies, threads: ["mover"] },
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a task that is moved to another CPU, and one of the CPUs dies",
    large: true,
    spec: {
      threads: movedTask,
      kills: { max: 1, threads: ["a", "b"] },
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a wake-up against a waker, or a CPU, that dies in the middle of it",
    tables: { CPUS: "1" },
    spec: {
      threads: {
        cpu: cpu([waits((t) => t.call("prepareWait"))], [0]),
        waker: { ...thread((t) => t.until("unblock", [FIRST], (woken) => woken === 1)), daemon: true },
      },
      kills: oneDies,
      goals: [allEndUnless("waker", { cpu: 1 })],
    },
  },
  {
    title: "a notification by one who dies in the middle of it, and another one",
    large: true,
    tables: { CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createQueue");
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE))], [0]),
        first: since(BLOCKING, (t) => t.call("notifyOne", QUEUE)),
        // Finds it unless the other did.
        second: since(BLOCKED, (t) => t.call("notifyOne", QUEUE)),
      },
      kills: { max: 1, threads: ["first"], reaper: 1 },
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a waiter that is moved to another queue by one who dies in the middle of it",
    large: true,
    tables: { QUEUES: "2", CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createQueue");
        yield* t.call("createQueue");
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE))], [0]),
        mover: since(BLOCKING, (t) => t.call("requeue", QUEUE, OTHER_QUEUE, 1)),
        // Once it waits, it does so on one of the two: when not on the first, then on the other for good.
        notifier: since(BLOCKED, function* (t) {
          if ((yield* t.call("notifyAll", QUEUE)) === 1) return;
          yield* t.until("notifyAll", [OTHER_QUEUE], (woken) => woken === 1);
        }),
      },
      kills: { max: 1, threads: ["mover"], reaper: 1 },
      safety: endedOnce,
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a queue that is closed against one who begins to wait on it",
    tables: { CPUS: "1" },
    spec: {
      *setup(t) {
        yield* t.call("createQueue", true);
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE))], [0]),
        closer: { ...thread((t) => t.call("closeQueue", QUEUE)), daemon: true },
      },
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a task that is cancelled before, while or after it begins to wait, and its CPU or the other dies",
    tables: { CPUS: "1" },
    spec: {
      threads: {
        cpu: cpu([waits((t) => t.call("prepareWait"))], [0]),
        canceller: { ...thread((t) => t.until("cancel", [FIRST], (outcome) => outcome >= 0)), daemon: true },
      },
      kills: oneDies,
      goals: [allEndUnless("canceller", { cpu: 1 })],
    },
  },
  {
    title: "a task that begins and waits, while the one dies who wanted to hear of its end",
    spec: {
      threads: {
        cpu: cpu([waits((t) => t.call("prepareWait"))], []),
        submitter: {
          daemon: true,
          *run(t) {
            yield* t.until("cpuStats", [0], ({ live }) => live);
            yield* t.call("startCpu", false);
            yield* t.call("spawn", 1, 0, 0, 0xffffffff, false, false, true);
            // Until it dies.
            yield* t.until("stateOfTask", [FIRST], (state) => state < 0);
          },
        },
      },
      kills: { max: 1, threads: ["submitter"], reaper: 1 },
      goals: [allEndIfDead("submitter")],
    },
  },
  {
    title: "a deadline that passes while its waiter is notified",
    spec: {
      *setup(t) {
        yield* t.call("createQueue");
      },
      threads: {
        cpu: cpu([waits((t) => t.call("waitOn", QUEUE, 5))], [0]),
        notifier: { ...thread((t) => t.call("notifyOne", QUEUE)), daemon: true },
        other: {
          daemon: true,
          *run(t) {
            yield* t.call("setNow", 5000);
            yield* t.until("expire", [true], (woken) => woken > 0);
          },
        },
      },
      safety: picksAreEarned(["notifyOne", "expire"]),
      goals: [allEnd({ cpu: 1 })],
    },
  },
  {
    title: "a sleeper of a busy CPU, and any of the two dies, the reaper too",
    spec: {
      threads: {
        a: cpu([waits((t) => t.call("prepareWait", 5))], [0]),
        other: {
          daemon: true,
          *run(t) {
            yield* t.call("setNow", 5000);
            yield* t.until("expire", [true], (woken) => woken > 0);
          },
        },
      },
      kills: oneDies,
      goals: [allEndUnless("other", { a: 1 })],
    },
  },
  {
    title: "a CPU that is given back while another spawns for it",
    tables: { TASKS: "2" },
    spec: {
      threads: {
        a: cpu([ends], [0]),
        leaving: since(READY, function* (t) {
          yield* t.call("startCpu");
          yield* t.until("stopCpu", [], (outcome) => outcome === 0);
        }),
        spawner: since(READY, (t) => t.call("spawn", 1, 0)),
      },
      goals: [allEnd({ a: 1, spawner: 1 })],
    },
  },
  {
    title: "a CPU that may begin nothing for a while, against a thief, and one of them dies",
    spec: {
      threads: {
        a: cpu([ends], [0], function* (t) {
          yield* t.call("setFull", true);
          yield* t.call("pickNext");
          yield* t.call("setFull", false);
        }),
        b: cpu([ends], [], (t) => t.call("steal"), FIRST),
      },
      kills: { max: 1 },
      goals: [allEnd({ a: 1 })],
    },
  },
  {
    title: "a thread that is lent and taken back while it has stolen a task, and one of the CPUs or the reaper dies",
    spec: {
      threads: {
        a: cpu([ends], [0]),
        lent: since(READY, function* (t) {
          yield* t.call("startCpu", false);
          yield* t.call("lend", true);
          yield* t.call("steal");
          yield* t.call("lend", false);
        }),
      },
      kills: oneDies,
      goals: [allEndUnless("a", { a: 1 })],
    },
  },
  {
    title: "a task that becomes ready where no CPU may run it while a thread is lent, and its spawner dies",
    tables: { CPUS: "1" },
    spec: {
      threads: {
        lent: {
          daemon: true,
          *run(t) {
            yield* t.call("startCpu", false);
            yield* t.call("lend", true);
            yield* t.until("pickNext", [], (picked) => picked !== 0);
            yield* t.call("exit", 0);
          },
        },
        spawner: thread((t) => t.call("spawn", 1, 0)),
      },
      kills: { max: 1, threads: ["spawner"], reaper: 1 },
      goals: [allEnd({ spawner: 1 })],
    },
  },
  {
    title: "a join against the exit, and any of the CPUs or the reaper dies",
    large: true,
    tables: { TASKS: "2" },
    spec: {
      threads: {
        a: cpu([ends, waits((t) => t.call("join", FIRST))], [0, 1]),
        b: cpu([ends, waits((t) => t.call("join", FIRST))], [], undefined, SECOND),
      },
      kills: oneDies,
      goals: [allEnd({ a: 2 })],
    },
  },
  {
    title: "a mutex whose holder or waiter dies, the reaper too",
    large: true,
    tables: { TASKS: "2" },
    spec: {
      *setup(t) {
        yield* t.call("createMutex", true);
      },
      threads: {
        a: cpu([locks], [0]),
        b: cpu([locks], [0], undefined, FIRST),
      },
      kills: { ...oneDies, threads: ["a"] },
      goals: [allEnd({ a: 1 })],
    },
  },
];
