/** Ends a task's wait: the one place where a waiting task is made to go on. */
import { allows, announce, choose, NONE, NOWHERE, ring } from "./cpu";
import { cpuAt, CPUS, shared, State, taskAt, Why } from "./layout";
import { event, TraceEvent } from "./trace";
import { endAnnounced, idOf, makeReady, stateOf, whoOf } from "./word";

/**
 * Ends the wait of a task that waited by this word.
 *
 * @param target - CPU to go to, if it may run there; NONE: the best
 * @returns false: somebody was faster
 */
export function wake(index: u32, word: u64, why: Why, target: u32 = NONE): bool {
  const last = whoOf(word);
  if (stateOf(word) == State.Blocking) {
    // Its CPU looks at the reason before it lets go, so that nobody has to wait for it; only its thread may stand still meanwhile.
    if (endAnnounced(index, word, why) == 0) return false;
    if (last < CPUS) ring(last);
    return true;
  }
  const task = taskAt(index);
  let cpu = target;
  if (cpu != NONE && !allows(task.affinity.load(), cpu, cpuAt(cpu))) cpu = NONE;
  if (cpu == NONE) cpu = choose(task.affinity.load(), last);
  if (cpu == NONE) cpu = NOWHERE;
  task.order.store(shared.nextOrder.add(1));
  const ready = makeReady(index, word, why, cpu);
  if (ready == 0) return false;
  event(TraceEvent.Wake, cpu, idOf(index, ready));
  announce(index, ready);
  return true;
}
