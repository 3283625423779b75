/** Generators as coroutines: what they yield says for what they wait. */
import type { Coroutine } from "./coroutine.ts";
import { Task } from "./task.ts";

type Waits = Generator<unknown, unknown, unknown>;

export function isGenerator(value: unknown): value is Waits {
  return typeof value === "object" && Object.prototype.toString.call(value) === "[object Generator]";
}

/**
 * Runs a generator as a task that runs now. `yield` gives way, without a promise; `yield task` joins that task, `yield promise` waits for it,
 * and both give its value or throw what it rejects with. Whatever it waited for, it goes on by the policy.
 */
export function drive(coroutine: Coroutine, generator: Waits, end: (ok: boolean, value: unknown) => void): void {
  const goOn = (next: () => IteratorResult<unknown, unknown>): void => {
    let step: IteratorResult<unknown, unknown>;
    try {
      step = next();
    } catch (error) {
      end(false, error);
      return;
    }
    if (step.done) end(true, step.value);
    else if (step.value === undefined) coroutine.giveWay(giveNothing);
    else wait(step.value);
  };
  const giveNothing = (): void => goOn(() => generator.next());
  const enter = (next: () => IteratorResult<unknown, unknown>): void => {
    if (coroutine.isRunning) goOn(next);
    else void coroutine.enter().then(() => goOn(next));
  };
  const wait = (target: unknown): void => {
    Promise.resolve(target instanceof Task ? coroutine.join(target) : target).then(
      (value) => enter(() => generator.next(value)),
      (error: unknown) => enter(() => generator.throw(error)),
    );
  };
  giveNothing();
}
