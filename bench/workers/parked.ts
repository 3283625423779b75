import type { VqueueApi } from "../../generated/vqueue/vqueue.js";
import type { Delivery } from "../../runtime/ipc/index.ts";

/** Threads that are measured parked do not look before they block. */
export function queuesOf(queues: VqueueApi, delivery: Delivery): VqueueApi {
  if (delivery === "polling") queues.setSpin(0);
  return queues;
}
