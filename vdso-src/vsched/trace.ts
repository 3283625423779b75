/**
 * The trace ring: what happened to which task on which CPU, and when. Off, it costs one load and a branch.
 *
 * An entry is two words that are written one after the other: a reader that meets the writer may see them of two events. Old entries are
 * overwritten.
 */
import { now } from "./cpu";
import { shared, TRACE_LEN } from "./layout";

export enum TraceEvent {
  Spawn,
  Run,
  Yield,
  Preempt,
  Block,
  Wake,
  Exit,
  Steal,
  Migrate,
  /** A CPU has nothing to do. */
  Park,
  /** It is called, or wakes by itself. */
  Unpark,
}

// @ts-ignore: decorator
@inline
export function event(what: TraceEvent, cpu: u32, task: u32): void {
  if (shared.traceOn.load() != 0) record(what, cpu, task);
}

function record(what: TraceEvent, cpu: u32, task: u32): void {
  const entry = unchecked(shared.trace[shared.nextTrace.add(1) & (TRACE_LEN - 1)]);
  entry.what.store((now << 8) | <u64>what);
  entry.where.store((<u64>cpu << 32) | task);
}
