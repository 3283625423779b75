/** Goals that have to stay reachable from every state. */
import type { VvarStruct } from "../image/decode.ts";
import type { CallRecord, CheckState, Goal } from "./spec.ts";
import { show } from "./values.ts";

/** Every thread that is still alive and no daemon can finish, and the reaper can finish what it has to reap. */
export function survivorsFinish(): Goal {
  return {
    name: "survivors finish",
    holds: ({ threads, reaper }) =>
      (reaper === undefined || reaper.status === "idle") &&
      threads.every(({ daemon, status }) => daemon || (status !== "running" && status !== "sleeping")),
  };
}

/**
 * What was acknowledged to a sender reaches a receiver, also when somebody dies. A receiver that dies in a call counts as not having received.
 *
 * ```ts
 * acknowledgedDelivered({
 *   sent: ({ fn, args, result }) => (fn === "tryPush" && result === true ? args[0] : undefined),
 *   received: ({ fn, result }) => (fn === "tryPop" ? result : undefined),
 * });
 * ```
 */
export function acknowledgedDelivered(options: {
  /** The item that a call's return acknowledges, or `undefined`. */
  readonly sent: (call: CallRecord) => unknown;
  /** The item that a call delivered, or `undefined`. */
  readonly received: (call: CallRecord) => unknown;
}): Goal {
  const items = (state: CheckState, of: (call: CallRecord) => unknown): string[] =>
    state
      .calls()
      .map(of)
      .filter((item) => item !== undefined)
      .map(show);
  return {
    name: "what was acknowledged is delivered",
    holds: (state) => {
      const received = new Set(items(state, options.received));
      return items(state, options.sent).every((item) => received.has(item));
    },
  };
}

/** A goal of one's own. */
export function goal<Vvar = VvarStruct>(name: string, holds: (state: CheckState<Vvar>) => boolean): Goal<Vvar> {
  return { name, holds };
}
