/** No task waits while a CPU that could run it idles: shown by the trace, after every step of random programs. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { Policy, TraceEvent, type VschedApi } from "../../generated/vsched/vsched.js";
import { Machine, type Program, pause } from "./machine.ts";

const ANYWHERE = 0xffffffff;

type Step =
  | { readonly kind: "yield" }
  | { readonly kind: "preempt" }
  | { readonly kind: "sleep"; readonly us: number }
  | { readonly kind: "spawn"; readonly mask: number };

/** What the trace says: which tasks are ready, and which CPUs are parked. */
class Follower {
  readonly ready = new Set<number>();
  readonly parked = new Set<number>();
  readonly #api: VschedApi;
  #read = 0;

  constructor(api: VschedApi) {
    this.#api = api;
    api.setTrace(true);
  }

  follow(): void {
    for (const end = this.#api.traced(); this.#read < end; this.#read++) {
      const event = Number(this.#api.traceWhat(this.#read) & 255n);
      const where = this.#api.traceWhere(this.#read);
      const [cpu, task] = [Number(where >> 32n), Number(where & 0xffffffffn)];
      switch (event) {
        case TraceEvent.Spawn:
        case TraceEvent.Wake:
        case TraceEvent.Yield:
        case TraceEvent.Preempt:
          this.ready.add(task);
          break;
        case TraceEvent.Run:
          expect(this.ready.delete(task), "a task that runs was ready").toBe(true);
          break;
        case TraceEvent.Park:
          expect(this.parked.has(cpu), "a CPU that parks was awake").toBe(false);
          this.parked.add(cpu);
          break;
        case TraceEvent.Unpark:
          expect(this.parked.delete(cpu), "a CPU that wakes was parked").toBe(true);
      }
    }
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.constantFrom<Step>({ kind: "yield" }, { kind: "preempt" }),
  fc.record({ kind: fc.constant("sleep" as const), us: fc.integer({ min: 1, max: 60 }) }),
  // Mostly anywhere: what may run on a few CPUs only holds up those.
  fc.record({ kind: fc.constant("spawn" as const), mask: fc.constantFrom(ANYWHERE, ANYWHERE, 1, 2, 3, 6) }),
);
const runs = fc.record({
  cpus: fc.integer({ min: 1, max: 4 }),
  policy: fc.constantFrom<Policy>(...Object.values(Policy)),
  programs: fc.array(fc.array(step, { maxLength: 8 }), { minLength: 1, maxLength: 10 }),
  turns: fc.array(fc.nat({ max: 3 }), { maxLength: 300 }),
});

test("no task waits while a CPU that could run it idles", { timeout: 120_000 }, async () => {
  let waited = 0;
  let idled = 0;
  await fc.assert(
    fc.asyncProperty(runs, async ({ cpus, policy, programs, turns }) => {
      const machine = await Machine.start(cpus, policy);
      const trace = new Follower(machine.cpus[0]!);
      const masks = new Map<number, number>();
      const live = 2 ** cpus - 1;
      let now = 1;

      const spawn = (steps: readonly Step[], mask: number, from: VschedApi): void => {
        const allowed = mask === ANYWHERE || (mask & live) === 0 ? ANYWHERE : mask;
        masks.set(machine.spawn(program(steps), 0, from, allowed), allowed);
      };
      const program = (steps: readonly Step[]): Program =>
        function* (cpu) {
          for (const each of steps) {
            if (each.kind === "yield") yield pause;
            else if (each.kind === "preempt") yield { do: "preempt" };
            else if (each.kind === "spawn") spawn([{ kind: "yield" }], each.mask, cpu);
            else {
              const until = now + each.us;
              yield { do: "wait", call: (api) => api.prepareWait(until) };
            }
          }
          return 0;
        };

      const turn = (number: number): boolean => {
        const cpu = machine.cpus[number]!;
        now += 3;
        for (const api of machine.cpus) api.setNow(now);
        const worked = !trace.parked.has(number) || cpu.idleMs() === 0 ? machine.step(number) : false;
        if (!worked && !trace.parked.has(number)) {
          cpu.prepareIdle();
          if (cpu.hasWork()) cpu.endIdle();
        } else if (worked) cpu.endIdle();
        trace.follow();
        // Whoever is awake and free takes one of them next.
        const free = machine.cpus.filter((api, cpu) => !trace.parked.has(cpu) && api.current() === 0).length;
        for (const parked of trace.parked) {
          const waiting = [...trace.ready].filter((task) => ((masks.get(task) ?? ANYWHERE) >>> parked) & 1);
          if (waiting.length > free) expect.unreachable(`tasks ${waiting} wait, CPU ${parked} idles`);
        }
        waited = Math.max(waited, trace.ready.size);
        idled = Math.max(idled, trace.parked.size);
        return worked;
      };
      for (const steps of programs) spawn(steps, ANYWHERE, machine.cpus[0]!);
      for (const number of turns) turn(number % cpus);
      for (let rest = 0; rest < 200; rest++) for (let number = 0; number < cpus; number++) turn(number);
      expect(machine.ended.length).toBe(masks.size);
    }),
    { numRuns: 100 },
  );
  // It has seen both.
  expect(waited).toBeGreaterThan(3);
  expect(idled).toBeGreaterThan(1);
});
