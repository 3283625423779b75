/** A process of the example: does what the test asks for over a port. */
import { expose } from "comlink";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import { attach, current } from "../../runtime/process/index.ts";

export type TestResult<T, E> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: E };

export interface Pair {
  first: number;
  second: number;
}

/** What the process supplies for one call. */
export interface TestTrait {
  test_fn1(value: number): number;
  test_fn2(value: number): void;
}

export interface ExampleApi {
  get_shared(): bigint;
  set_shared(value: bigint): void;
  get_private(): bigint;
  set_private(value: bigint): void;
  test_args(
    option: number | undefined,
    result: TestResult<number, number>,
    pair: Pair,
  ): { option: number | undefined; result: TestResult<number, number>; pair: Pair };
  test_call(object: TestTrait): number;
  test_log(): void;
}

export type ExampleLibrary = VdsoLibrary<ExampleApi, { TestTrait: { test_fn3(value: number): number } }>;

/** What the host object of a call has gone through. */
export interface Called {
  readonly sum: number;
  readonly effects: readonly string[];
}

export interface Remote extends ExampleApi {
  call(): Called;
}

const { argv, data } = current();
const { default: example } = (await import(argv[0]!)) as { default: ExampleLibrary };
const effects: string[] = [];
const api = attach(example, {
  TestTrait: {
    test_fn3(value) {
      effects.push(`test_fn3(${value})`);
      return value * 100;
    },
  },
});

class Recorder implements TestTrait {
  total = 0;

  test_fn1(value: number): number {
    this.total += value;
    effects.push(`test_fn1(${value}) total ${this.total}`);
    return value * 10;
  }

  test_fn2(value: number): void {
    this.total += value;
    effects.push(`test_fn2(${value}) total ${this.total}`);
  }
}

const port = data as MessagePort;
const remote: Remote = { ...api, call: () => ({ sum: api.test_call(new Recorder()), effects }) };
expose(remote, port);
