/**
 * Runs a function in several real processes at once: tests of vDSOs, and of programs whose processes share them.
 *
 * ```ts
 * import { runProcesses } from "wasm-vdso/testing";
 * import type { CounterApi } from "./generated/counter/counter.js";
 *
 * const run = await runProcesses({
 *   vdsos: [new URL("./generated/counter/counter.js", import.meta.url)],
 *   processes: 4,
 *   args: 1000,
 *   run({ attach, args, note }) {
 *     const counter = attach<CounterApi>("counter");
 *     for (let i = 0; i < args; i++) {
 *       note("counting", i);
 *       counter.add(1);
 *     }
 *   },
 *   kills: { count: 10, respawn: true },
 * });
 * assert(run.vvar("counter", "owner") === 0);
 * ```
 */
export { decodeVvar, type VvarSource, type VvarStruct, type VvarValue } from "../image/decode.ts";
export { type FormatOptions, formatVvar } from "../image/format.ts";
export type { CommonOptions, InlineOptions, KillOptions, ModuleOptions, TestProcess } from "./options.ts";
export type { Note } from "./record.ts";
export { type Exit, type Run, runProcesses } from "./run.ts";
