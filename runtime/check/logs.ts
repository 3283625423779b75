/** What threads have called and been answered: lists that share their beginnings, each known by its number. */
import { IntList, TripleMap } from "./tables.ts";
import { show, stepText } from "./values.ts";

export interface LogEntry {
  readonly step: number;
  readonly result: number;
}

export interface Step {
  readonly fn: string;
  readonly args: readonly unknown[];
  readonly text: string;
}

export class Logs {
  /** In place of a step: the entry is a death that the reaper was told of, its result the number of the thread. */
  static readonly DEATH = -1;
  /** The empty log. */
  static readonly EMPTY = 0;

  /** Results by number. */
  readonly values: unknown[] = [];
  private readonly valueNumbers = new Map<string, number>();
  private readonly steps: Step[] = [];
  private readonly stepNumbers = new Map<string, number>();
  private readonly before = new IntList();
  private readonly stepOf = new IntList();
  private readonly resultOf = new IntList();
  private readonly numbers = new TripleMap();
  private readonly lists: (readonly LogEntry[])[] = [[]];

  constructor() {
    this.before.push(-1);
    this.stepOf.push(Logs.DEATH);
    this.resultOf.push(-1);
  }

  /** Number of a value; equal values have the same. */
  value(value: unknown): number {
    const key = show(value);
    let number = this.valueNumbers.get(key);
    if (number === undefined) {
      number = this.values.push(typeof value === "object" ? Object.freeze(value) : value) - 1;
      this.valueNumbers.set(key, number);
    }
    return number;
  }

  addStep(fn: string, args: readonly unknown[]): number {
    const text = stepText(fn, args);
    let number = this.stepNumbers.get(text);
    if (number === undefined) {
      number = this.steps.push({ fn, args: [...args], text }) - 1;
      this.stepNumbers.set(text, number);
    }
    return number;
  }

  step(number: number): Step {
    return this.steps[number]!;
  }

  append(log: number, step: number, result: number): number {
    const known = this.numbers.get(log, step, result);
    if (known >= 0) return known;
    const number = this.before.length;
    this.before.push(log);
    this.stepOf.push(step);
    this.resultOf.push(result);
    this.numbers.set(log, step, result, number);
    return number;
  }

  /** All entries, the oldest first. */
  entries(log: number): readonly LogEntry[] {
    let list = this.lists[log];
    if (!list) {
      const before = this.entries(this.before.items[log]!);
      list = [...before, { step: this.stepOf.items[log]!, result: this.resultOf.items[log]! }];
      this.lists[log] = list;
    }
    return list;
  }
}
