/** Random programs in random orders, some with processes that die, against what has to hold for every one of them. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Failure, Policy } from "../../generated/vsched/vsched.js";
import { join, Machine, type Program, pause } from "./machine.ts";

type Step =
  | { readonly kind: "yield" | "preempt" | "mutex" | "permit" | "barrier" }
  | { readonly kind: "join"; readonly back: number }
  | { readonly kind: "sleep"; readonly us: number }
  | { readonly kind: "spawn" };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom<Step>({ kind: "yield" }, { kind: "preempt" }, { kind: "mutex" }, { kind: "spawn" }),
  fc.record({ kind: fc.constant("join" as const), back: fc.integer({ min: 1, max: 5 }) }),
  fc.record({ kind: fc.constant("sleep" as const), us: fc.integer({ min: 1, max: 50 }) }),
);
const permit = fc.constant<Step>({ kind: "permit" });
const PERMITS = 2;

interface Run {
  readonly cpus: number;
  readonly policy: Policy;
  readonly programs: readonly (readonly Step[])[];
  /** Which CPU goes on; what is negative kills it. */
  readonly turns: readonly number[];
}

async function run({ cpus, policy, programs, turns }: Run): Promise<void> {
  const machine = await Machine.start(cpus, policy);
  const keep = true;
  const mutex = machine.cpus[0]!.createMutex(keep);
  const semaphore = machine.cpus[0]!.createSemaphore(PERMITS, keep);
  const ids: number[] = [];
  const ended = new Set<number>();
  const died = new Set<number>();
  const over = (id: number): boolean => ended.has(id) || died.has(id);
  let holder = 0;
  let permits = PERMITS;
  let now = 1;

  const program = (steps: readonly Step[], number: number): Program =>
    function* (_, id) {
      for (const each of steps) {
        switch (each.kind) {
          case "yield":
            yield pause;
            break;
          case "preempt":
            yield { do: "preempt" };
            break;
          case "spawn":
            spawn([]);
            break;
          case "sleep": {
            const until = now + each.us;
            yield { do: "wait", call: (cpu) => cpu.prepareWait(until) };
            break;
          }
          case "join": {
            const target = ids[number - each.back];
            if (target === undefined) break;
            yield join(target);
            expect(over(target), "a join returns when the task has ended").toBe(true);
            break;
          }
          case "mutex":
            yield { do: "wait", again: true, call: (cpu) => cpu.lock(mutex) };
            expect(holder === 0 || died.has(holder), "nobody else has the mutex").toBe(true);
            holder = id;
            yield pause;
            expect(holder).toBe(id);
            holder = 0;
            yield { do: "wait", call: (cpu) => cpu.unlock(mutex) };
            break;
          case "permit":
            yield { do: "wait", again: true, call: (cpu) => cpu.acquire(semaphore) };
            expect(--permits).toBeGreaterThanOrEqual(0);
            yield pause;
            permits++;
            yield { do: "wait", call: (cpu) => cpu.releasePermits(semaphore) };
        }
      }
      expect(ended.has(id)).toBe(false);
      ended.add(id);
      return number;
    };
  // Nobody's, so that the death of who spawned it takes nothing away.
  function spawn(steps: readonly Step[]): void {
    const number = ids.length;
    ids.push(machine.spawn(program(steps, number), policy === Policy.Priority ? number % 64 : (number % 40) - 20));
  }

  const tick = (): void => {
    now += 7;
    for (const cpu of machine.cpus) cpu.setNow(now);
  };
  for (const steps of programs) spawn(steps);
  for (const turn of turns) {
    tick();
    if (turn < 0) {
      const id = machine.kill((-turn - 1) % cpus);
      if (id !== 0) died.add(id);
    } else machine.step(turn % cpus);
  }
  for (let round = 0; round < 200; round++) {
    tick();
    machine.run();
  }
  expect(ids.filter((id) => !over(id))).toEqual([]);
  expect(machine.failures.filter((failure) => failure !== Failure.Stale)).toEqual([]);
}

const cpus = fc.integer({ min: 1, max: 4 });
const policy = fc.constantFrom<Policy>(...Object.values(Policy));
const programsOf = (steps: fc.Arbitrary<Step>) =>
  fc.array(fc.array(steps, { maxLength: 8 }), { minLength: 1, maxLength: 12 });

test("every task of a random program ends once, whatever the order", async () => {
  const turns = fc.array(fc.nat({ max: 3 }), { maxLength: 200 });
  const runs = fc.record({ cpus, policy, programs: programsOf(fc.oneof(step, permit)), turns });
  await fc.assert(fc.asyncProperty(runs, run), { numRuns: 150 });
}, 120_000);

test("when processes die at random, every task ends or died with its process, and nobody waits for ever", async () => {
  const turn = fc.oneof(
    { weight: 20, arbitrary: fc.nat({ max: 3 }) },
    { weight: 1, arbitrary: fc.integer({ min: -4, max: -1 }) },
  );
  const turns = fc.array(turn, { maxLength: 200 });
  const runs = fc.record({ cpus, policy, programs: programsOf(step), turns });
  await fc.assert(fc.asyncProperty(runs, run), { numRuns: 150 });
}, 120_000);
