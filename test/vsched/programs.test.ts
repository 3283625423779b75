import { describe, expect, test } from "vitest";
import { Failure, Policy, Why } from "../../generated/vsched/vsched.js";
import { join, Machine, type Program, pause } from "./machine.ts";

const policies = Object.entries(Policy);

describe.each(policies)("under %s", (_, policy) => {
  describe.each([1, 2, 8])("on %i CPUs", (cpus) => {
    test("a task that was spawned runs to its end, and its exit code is kept", async () => {
      const machine = await Machine.start(cpus, policy);
      const id = machine.spawn(function* () {
        yield pause;
        return 42;
      });
      machine.run();
      expect(machine.stateOf(id)).toBe("Exited");
      expect(machine.cpus[0]!.exitCode(id)).toBe(42);
      expect(machine.cpus[0]!.whyEnded(id)).toBe(Why.None);
    });

    test("tasks that yield all come to their end", async () => {
      const machine = await Machine.start(cpus, policy);
      const steps: number[] = [];
      const yields: Program = function* (_cpu, id) {
        for (let i = 0; i < 5; i++) {
          steps.push(id);
          yield pause;
        }
        return undefined;
      };
      const ids = Array.from({ length: 20 }, () => machine.spawn(yields));
      machine.run();
      expect(machine.ended.toSorted((a, b) => a - b)).toEqual(ids.toSorted((a, b) => a - b));
      expect(steps.length).toBe(100);
    });

    test("ten tasks that each join the next end in reverse order", async () => {
      const machine = await Machine.start(cpus, policy);
      const ids: number[] = [];
      for (let n = 0; n < 10; n++) {
        const next = n + 1;
        ids.push(
          machine.spawn(function* () {
            yield pause;
            if (next < 10) yield join(ids[next]!);
            return next;
          }),
        );
      }
      machine.run();
      expect(machine.ended).toEqual(ids.toReversed());
    });

    test("waiters are notified in the order in which they came", async () => {
      const machine = await Machine.start(cpus, policy);
      const queue = machine.cpus[0]!.createQueue();
      const woken: number[] = [];
      const waiter = (n: number): Program =>
        function* () {
          yield { do: "wait", call: (cpu) => cpu.waitOn(queue) };
          woken.push(n);
          return 0;
        };
      for (let n = 0; n < 30; n++) {
        machine.spawn(waiter(n));
        machine.run();
      }
      expect(machine.cpus[0]!.lengthOf(queue)).toBe(30);
      for (let n = 0; n < 10; n++) {
        expect(machine.cpus[0]!.notifyOne(queue)).toBe(1);
        machine.run();
      }
      expect(woken).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
      expect(machine.cpus[0]!.notifyAll(queue)).toBe(20);
      machine.run();
      expect(machine.ended.length).toBe(30);
      expect(machine.cpus[0]!.notifyOne(queue)).toBe(0);
    });

    test("tasks that hold a mutex in turn never hold it together", async () => {
      const machine = await Machine.start(cpus, policy);
      const mutex = machine.cpus[0]!.createMutex();
      let holders = 0;
      let most = 0;
      const holds: Program = function* () {
        for (let i = 0; i < 3; i++) {
          yield { do: "wait", again: true, call: (cpu) => cpu.lock(mutex) };
          most = Math.max(most, ++holders);
          yield pause;
          holders--;
          yield { do: "wait", call: (cpu) => cpu.unlock(mutex) };
        }
        return 0;
      };
      for (let n = 0; n < 12; n++) machine.spawn(holds);
      machine.run();
      expect(machine.failures).toEqual([]);
      expect(machine.ended.length).toBe(12);
      expect(most).toBe(1);
    });

    test("permits are never given out twice, and all tasks get one", async () => {
      const machine = await Machine.start(cpus, policy);
      const semaphore = machine.cpus[0]!.createSemaphore(3);
      let holders = 0;
      let most = 0;
      for (let n = 0; n < 12; n++) {
        machine.spawn(function* () {
          yield { do: "wait", again: true, call: (cpu) => cpu.acquire(semaphore) };
          most = Math.max(most, ++holders);
          yield pause;
          holders--;
          yield { do: "wait", call: (cpu) => cpu.releasePermits(semaphore) };
          return 0;
        });
      }
      machine.run();
      expect(machine.ended.length).toBe(12);
      expect(most).toBeLessThanOrEqual(3);
    });

    test("a barrier opens for all when the last has arrived, again and again", async () => {
      const machine = await Machine.start(cpus, policy);
      const barrier = machine.cpus[0]!.createBarrier();
      const rounds: number[] = [];
      for (let n = 0; n < 4; n++) {
        machine.spawn(function* (_cpu) {
          for (let round = 0; round < 3; round++) {
            rounds.push(round);
            let arrived = 0;
            yield {
              do: "wait",
              call: (cpu) => {
                arrived = cpu.arrive(barrier, 4);
                return 0;
              },
            };
            if ((arrived & 1) === 0)
              yield { do: "wait", again: true, call: (cpu) => cpu.waitBarrier(barrier, arrived >> 1) };
          }
          return 0;
        });
      }
      machine.run();
      expect(machine.ended.length).toBe(4);
      expect(rounds).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    });

    test("sleepers wake in the order of their deadlines, also those of a CPU that does not serve them", async () => {
      const machine = await Machine.start(cpus, policy);
      const woken: number[] = [];
      for (const us of [3000, 1000, 2000]) {
        machine.spawn(function* () {
          yield { do: "wait", call: (cpu) => cpu.prepareWait(us) };
          woken.push(us);
          return 0;
        });
      }
      for (const cpu of machine.cpus) cpu.setNow(1);
      machine.run();
      const last = machine.cpus.length - 1;
      for (const now of [999, 2500, 3500, 5000]) {
        machine.cpus[last]!.setNow(now);
        while (machine.step(last));
      }
      expect(woken).toEqual([1000, 2000, 3000]);
    });

    test("a circle of joins is reported to the task that closes it", async () => {
      const machine = await Machine.start(cpus, policy);
      const ids: number[] = [];
      for (let n = 0; n < 3; n++) {
        ids.push(
          machine.spawn(function* () {
            yield pause;
            yield join(ids[(n + 1) % 3]!);
            return 0;
          }),
        );
      }
      machine.run();
      expect(machine.failures).toEqual([Failure.Circle]);
      expect(machine.ended.length).toBe(3);
    });
  });
});
