/**
 * What the policies differ in: the key by which a CPU's run queue is ordered, and when a task has run long enough. One heap serves all.
 *
 *   Fifo, RoundRobin   order in which they became ready; who was preempted within its slice: before all others
 *   Cfs                virtual run time, then order
 *   Priority           level, then order
 */
import { Cpu, cpuAt, CPUS, LEVELS, Policy, shared, Task, Why } from "./layout";
import { whyOf } from "./word";

/** Virtual time is counted in 1/1024 us at nice 0; 58 bits of it last for centuries. The 6 bits above say in whose time. */
const TIME_BITS: u64 = 58;
const TIME_MASK: u64 = (1 << TIME_BITS) - 1;
/** In nobody's time: of a task that has not run. */
const NEW: u32 = 63;
/** A sleeper comes back at most this far before those who ran: 3 ms at nice 0, half of Linux's latency target. */
const SLEEPER_BONUS: u64 = 3000 << 10;
/** Orders begin in the middle: what goes to the front is before it. */
export const FIRST_ORDER: u64 = 1 << 40;
let front: u64 = FIRST_ORDER;

/** Linux's weights of the nice values -20 to 19, @see https://github.com/torvalds/linux/blob/v6.1/kernel/sched/core.c */
const WEIGHTS: StaticArray<u32> = [
  88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904, 3906, 3121, 2501, 1991, 1586, 1277, 1024,
  820, 655, 526, 423, 335, 272, 215, 172, 137, 110, 87, 70, 56, 45, 36, 29, 23, 18, 15,
];

function weightOf(nice: i32): u64 {
  return unchecked(WEIGHTS[<u32>(min(max(nice, -20), 19) + 20)]);
}

/** Can a task have this priority? */
export function isPriority(priority: i32): bool {
  if (shared.policy.load() == Policy.Priority) return priority >= 0 && priority < LEVELS;
  return priority >= -20 && priority <= 19;
}

/** Sets up a task that nobody else can see yet. */
export function prepare(task: Task): void {
  const policy = shared.policy.load();
  if (policy == Policy.Cfs) task.vruntime.store((<u64>NEW) << TIME_BITS);
  else if (policy == Policy.RoundRobin) task.slice.store(shared.sliceTicks.load());
}

/** A task's virtual run time in the time of a CPU: it stays as far ahead or behind as it was where it last ran. */
function vruntimeIn(task: Task, cpu: u32): u64 {
  const packed = task.vruntime.load();
  const frame = <u32>(packed >> TIME_BITS);
  const own = packed & TIME_MASK;
  if (frame == cpu) return own;
  const here = cpuAt(cpu).minVruntime.load();
  if (frame >= CPUS) return here;
  const moved = <i64>(here + own - cpuAt(frame).minVruntime.load());
  return moved < 0 ? 0 : <u64>moved;
}

/** The key of a task that is ready on a CPU. `word` says whether it slept before. */
export function keyOf(task: Task, word: u64, cpu: u32): u64 {
  const policy = shared.policy.load();
  if (policy == Policy.Cfs) {
    const vruntime = vruntimeIn(task, cpu);
    if (whyOf(word) == Why.None) return vruntime;
    const least = cpuAt(cpu).minVruntime.load();
    return max(vruntime, least > SLEEPER_BONUS ? least - SLEEPER_BONUS : 0);
  }
  const order = task.order.load();
  return policy == Policy.Priority ? (<u64>(<u32>task.priority.load() & 63) << TIME_BITS) | order : order;
}

/** A task that had this key begins to run. */
export function begin(task: Task, cpu: Cpu, number: u32, key: u64): void {
  if (shared.policy.load() != Policy.Cfs) return;
  task.vruntime.store((<u64>number << TIME_BITS) | (key & TIME_MASK));
  if (key > cpu.minVruntime.load()) cpu.minVruntime.store(key);
}

/** A task has run for so many microseconds. `waiting`: the first key of those that wait here. */
export function charge(task: Task, cpu: Cpu, number: u32, elapsed: u64, waiting: u64): void {
  if (shared.policy.load() != Policy.Cfs) return;
  const ran = (elapsed << 20) / weightOf(task.priority.load());
  const vruntime = (vruntimeIn(task, number) + ran) & TIME_MASK;
  task.vruntime.store((<u64>number << TIME_BITS) | vruntime);
  // Also while nothing else is picked: who comes back after a long sleep is measured against those who ran.
  const least = min(vruntime, waiting);
  if (least > cpu.minVruntime.load()) cpu.minVruntime.store(least);
}

/** May a task that becomes ready go before one that was ready already? */
export function reorders(): bool {
  const policy = shared.policy.load();
  return policy == Policy.Cfs || policy == Policy.Priority;
}

/** Has the running task run long enough? `waiting`: are others ready here, the first with this key? */
export function isOver(task: Task, number: u32, waiting: bool, key: u64): bool {
  const policy = shared.policy.load();
  if (policy == Policy.RoundRobin) {
    const slice = task.slice.load();
    if (slice > 1) {
      task.slice.store(slice - 1);
      return false;
    }
    task.slice.store(0);
    return true;
  }
  if (!waiting || policy == Policy.Fifo) return false;
  if (policy == Policy.Priority) return <i32>(key >> TIME_BITS) < task.priority.load();
  return vruntimeIn(task, number) > key + shared.granularity.load();
}

/** The running task gives up its CPU: to the back of its equals, but to the front if it was preempted within its slice. CFS has no places, only times. */
export function requeue(task: Task, preempted: bool): void {
  const policy = shared.policy.load();
  const sliced = policy == Policy.RoundRobin;
  if (preempted && policy != Policy.Cfs && (!sliced || task.slice.load() > 0)) {
    task.order.store(--front);
    return;
  }
  if (sliced) task.slice.store(shared.sliceTicks.load());
  task.order.store(shared.nextOrder.add(1));
}
