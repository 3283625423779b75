/**
 * A machine in one thread: a vVAR, one attachment per CPU, and programs that are generators. Whoever calls {@link Machine.step} decides
 * which CPU goes on, so that every order can be tried and repeated.
 */
import vsched, { Failure, type Policy, State, type VschedApi } from "../../generated/vsched/vsched.js";
import { attach, type Mapping, map, pidOf } from "../../runtime/index.ts";

/** What a program does: each yield is one call about itself. `true` from a wait: it had to wait. */
export type Program = (cpu: VschedApi, id: number) => Generator<Action, number | undefined, void>;
export type Action =
  | { readonly do: "yield" }
  | { readonly do: "preempt" }
  /** The call says 2: wait, and call again if `again`. */
  | { readonly do: "wait"; readonly call: (cpu: VschedApi) => number; readonly again?: boolean };

export const pause: Action = { do: "yield" };
export const join = (id: number): Action => ({ do: "wait", call: (cpu) => cpu.join(id) });

interface Started {
  readonly run: Generator<Action, number | undefined, void>;
  /** Call to make when it goes on. */
  retry: ((cpu: VschedApi) => number) | undefined;
}

export class Machine {
  readonly mapping: Mapping<VschedApi>;
  readonly cpus: VschedApi[] = [];
  /** Programs by entry. */
  readonly #programs: Program[] = [];
  readonly #started = new Map<number, Started>();
  /** Ids in the order in which they ended. */
  readonly ended: number[] = [];
  /** Results of waits that were failures. */
  readonly failures: number[] = [];

  private constructor(mapping: Mapping<VschedApi>) {
    this.mapping = mapping;
  }

  static async start(cpus: number, policy: Policy): Promise<Machine> {
    const mapping = await map(vsched, { managed: true });
    const machine = new Machine(mapping as Mapping<VschedApi>);
    for (let number = 0; number < cpus; number++) {
      const cpu = attach(vsched, mapping.handle, { pid: number + 2 });
      if (number === 0) cpu.configure(policy);
      cpu.startCpu();
      machine.cpus.push(cpu);
    }
    return machine;
  }

  spawn(program: Program, priority = 0, from: VschedApi = this.cpus[0]!, affinity = 0xffffffff): number {
    const id = from.spawn(1, this.#programs.push(program) - 1, priority, affinity);
    if (id < 0) throw new Error(`spawn: ${id}`);
    return id;
  }

  /** A CPU's process dies, and another takes its place. @returns the task that died with it, 0 if none did */
  kill(number: number): number {
    const died = this.cpus[number]!.current();
    const pid = pidOf(this.cpus[number]!);
    this.mapping.drop(pid);
    const cpu = attach(vsched, this.mapping.handle, { pid: pid + 1024 });
    cpu.startCpu();
    this.cpus[number] = cpu;
    return died;
  }

  /** One CPU does one thing. @returns false: it had nothing to do */
  step(number: number): boolean {
    const cpu = this.cpus[number]!;
    const id = cpu.current() || cpu.pickNext() || (cpu.steal() > 0 ? cpu.pickNext() : 0);
    if (id === 0) return cpu.expire(true) > 0;
    let task = this.#started.get(id);
    if (!task) {
      task = { run: this.#programs[cpu.entryOf(id)]!(cpu, id), retry: undefined };
      this.#started.set(id, task);
    }
    const { retry } = task;
    task.retry = undefined;
    if (retry) {
      this.#wait(cpu, task, retry, true);
      return true;
    }
    const { done, value } = task.run.next();
    if (done) {
      this.#started.delete(id);
      this.ended.push(id);
      cpu.exit(value ?? 0);
    } else if (value.do === "yield") cpu.yieldNow();
    else if (value.do === "preempt") cpu.preempt();
    else this.#wait(cpu, task, value.call, value.again ?? false);
    return true;
  }

  #wait(cpu: VschedApi, task: Started, call: (cpu: VschedApi) => number, again: boolean): void {
    const outcome = call(cpu);
    if (outcome < 0) this.failures.push(outcome);
    if (outcome !== 2) return;
    if (again) task.retry = call;
    cpu.block();
  }

  /** Steps all CPUs in turn until none has anything to do. */
  run(limit = 1_000_000): void {
    for (let idle = 0, turn = 0; idle < this.cpus.length; turn++) {
      if (turn > limit) throw new Error("the machine does not come to rest");
      idle = this.step(turn % this.cpus.length) ? 0 : idle + 1;
    }
  }

  stateOf(id: number): string {
    const state = this.cpus[0]!.stateOfTask(id);
    return state === Failure.Stale ? "Stale" : Object.entries(State).find(([, value]) => value === state)![0];
  }
}
