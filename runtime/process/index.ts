/**
 * What code inside a process uses.
 *
 * ```ts
 * import { attach, current } from "wasm-vdso/process";
 * import example from "./generated/example/example.js";
 *
 * const api = attach(example, { Observer: { now: () => performance.now() } });
 *
 * export default async function main() {
 *   while (!current().stopping) api.add(1);
 * }
 * ```
 */
export { pidOf, vvarOf } from "../loader/attach.ts";
export { adopted } from "./adopted.ts";
export { attach } from "./attach.ts";
export { current, type Process } from "./context.ts";
export type { KernelCalls } from "./kernel-calls.ts";
