/**
 * The concurrency checker: runs threads against a shipped image in every order that its accesses to the vVAR allow, kills them where
 * it hurts, and shows the shortest way to what goes wrong.
 *
 * ```ts
 * import { check } from "wasm-vdso/check";
 * import counter from "./generated/counter/counter.js";
 *
 * const result = await check({
 *   image: counter,
 *   threads: {
 *     *a(t) { yield* t.call("increment"); },
 *     *b(t) { yield* t.call("increment"); },
 *   },
 *   safety: ({ threads, vvar }) => threads.some((t) => t.status !== "finished") || vvar.count === 2n,
 * });
 * console.log(String(result));
 * ```
 */
export type { VvarStruct, VvarValue } from "../image/decode.ts";
export { check } from "./check.ts";
export { acknowledgedDelivered, goal, survivorsFinish } from "./goals.ts";
export type { FailureKind } from "./judge.ts";
export { type Choose, linearizable } from "./linearizable.ts";
export type { CheckFailure, CheckResult, KillPointReport, Tier, TierReport } from "./report.ts";
export type { SourcePosition } from "./source-map.ts";
export type {
  AnyApi,
  CallRecord,
  CheckSpec,
  CheckState,
  Goal,
  HistoryRule,
  HostImplementations,
  ImageSource,
  Kills,
  Limits,
  Panic,
  Races,
  SafetyPredicate,
  ThreadBody,
  ThreadContext,
  ThreadSpec,
  ThreadStatus,
  ThreadStep,
  ThreadView,
} from "./spec.ts";
export { exhaustive, pct, preemptions, random, replay, type Strategy } from "./strategies.ts";
export type { TraceAccess, TraceStep } from "./trace.ts";
