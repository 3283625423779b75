/**
 * The example: one value shared by all processes, one private to each, values of every form in and out, calls into the host, and one log
 * line per level.
 */

/** The layout of the shared memory. */
@vvar class VvarData {
  value: Atomic<u64>;
}
const shared = vvarRoot<VvarData>();

/** Private data: each process has its own. */
let privateValue: u64 = 0;

/** What the host does for {@link test_call}. */
@host declare class TestTrait {
  test_fn1(value: u32): u32;
  test_fn2(value: u32): void;
  static test_fn3(value: u32): u32;
}

/** Two numbers; tuples cross the API as structs. */
@apistruct export class Pair {
  first: u32;
  second: u32;
}

/** What {@link test_args} returns. */
@apistruct export class TestArgs {
  option: Option<u32>;
  result: Result<u32, u32>;
  pair: Pair;
}

/** The value that all processes share. */
export function get_shared(): u64 {
  return shared.value.load();
}

/** Sets the value that all processes share. */
export function set_shared(value: u64): void {
  shared.value.store(value);
}

/** This process's own value. */
export function get_private(): u64 {
  return privateValue;
}

/** Sets this process's own value; no other process sees it. */
export function set_private(value: u64): void {
  privateValue = value;
}

/** @returns the same three, with 1 added to every number that is there */
export function test_args(option: Option<u32>, result: Result<u32, u32>, pair: Pair): TestArgs {
  const out = new TestArgs();
  if (option.isSome) out.option = Option.some<u32>(option.value + 1);
  out.result = result.isOk ? Result.ok<u32, u32>(result.value + 1) : Result.err<u32, u32>(result.error);
  out.pair.first = pair.first + 1;
  out.pair.second = pair.second + 1;
  return out;
}

/** Calls the three functions of the host object, in order. @returns the sum of what they returned */
export function test_call(object: TestTrait): u32 {
  const first = object.test_fn1(1);
  object.test_fn2(2);
  return first + TestTrait.test_fn3(3);
}

/** Writes one line per level to this process's log. */
export function test_log(): void {
  log.error("an error: {}", 1);
  log.warn("a warning: {}", 2.5);
  log.info("information: {}", true);
  log.debug("debugging: {}", get_shared());
  log.trace("a trace");
}
