/**
 * Messages and buffers between processes.
 *
 * ```ts
 * import { Mailboxes } from "wasm-vdso/ipc";
 * import { attach } from "wasm-vdso/process";
 * import vqueue from "wasm-vdso/vdso/vqueue";
 *
 * const mailboxes = new Mailboxes(attach(vqueue));
 * using inbox = mailboxes.register({ policy: "wait" });
 * for await (const item of inbox) console.log(item.messageType, item.bytes());
 * ```
 */
export { Heap, type HeapStats, Loan } from "./heap.ts";
export {
  DATA_BYTES,
  type FullPolicy,
  type Item,
  Mailbox,
  Mailboxes,
  type Message,
  type RegisterOptions,
  type SendOptions,
  type WaitOptions,
} from "./mailbox.ts";
