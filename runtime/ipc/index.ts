/**
 * What processes say to each other: messages, calls, streams, services, topics; and what these are made of, mailboxes and the shared heap.
 *
 * ```ts
 * import { connect, expose, Heap, Ipc } from "wasm-vdso/ipc";
 * import { attach } from "wasm-vdso/process";
 * import vheap from "wasm-vdso/vdso/vheap";
 * import vnames from "wasm-vdso/vdso/vnames";
 * import vqueue from "wasm-vdso/vdso/vqueue";
 *
 * const ipc = new Ipc({ queues: attach(vqueue), heap: new Heap(attach(vheap)), names: attach(vnames) });
 * await expose(ipc, "adder", { add: (a: number, b: number) => a + b });
 * // In another process:
 * const adder = await connect<{ add(a: number, b: number): number }>(ipc, "adder");
 * console.log(await adder.add(20, 22));
 * ```
 */
export { type EntityId, tagOf } from "./address.ts";
export { type Codec, type Replace, type Revive, structured } from "./codec.ts";
export { IpcPort, listen, openPort, type PortMessage } from "./comlink.ts";
export type { IpcStats } from "./dispatcher.ts";
export type { Entity, Handler } from "./entity.ts";
export type { CallOptions, WaitOptions } from "./guard.ts";
export { Heap, type HeapStats, Loan } from "./heap.ts";
export { Ipc, type IpcOptions } from "./ipc.ts";
export {
  DATA_BYTES,
  type FullPolicy,
  type Item,
  Mailbox,
  Mailboxes,
  type Message,
  type RegisterOptions,
  type SendOptions,
} from "./mailbox.ts";
export { IncomingCall, Message as IncomingMessage } from "./message.ts";
export type { Delivery } from "./pump.ts";
export { connect, expose, type Remote, type Service, withOptions } from "./service.ts";
export type { ReplyStream, StreamOptions } from "./stream.ts";
export { type Overflow, publish, type SubscribeOptions, subscribe, Topic } from "./topic.ts";
