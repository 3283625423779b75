/**
 * A vDSO for JavaScript: code and shared state in one WebAssembly image, mapped into every thread.
 *
 * ```ts
 * import { Kernel } from "wasm-vdso";
 * import example from "./generated/example/example.js";
 *
 * await using kernel = await Kernel.boot({ vdsos: [example] });
 * const api = kernel.attach(example);
 * const worker = await kernel.spawn(new URL("./worker.js", import.meta.url));
 * await worker.exited;
 * ```
 */
export { type SiteArgument, type SourceSite, VdsoError, type VdsoErrorCode, VdsoPanic } from "./errors.ts";
export type { VdsoLibrary } from "./image/library.ts";
export type { LogLevel } from "./image/manifest.ts";
export { Kernel } from "./kernel/kernel.ts";
export type { LogLine } from "./kernel/log.ts";
export type { AdoptOptions, BootOptions, ShutdownOptions, SpawnOptions } from "./kernel/options.ts";
export type { Process } from "./kernel/process.ts";
export { type AttachArguments, type AttachOptions, attach, pidOf, setLogLevel, vvarOf } from "./loader/attach.ts";
export type { VdsoHandle } from "./loader/handle.ts";
export type { InstanceOptions } from "./loader/instance.ts";
export type { ImageLogLine } from "./loader/log-line.ts";
export { consoleLogger, type Logger, type LogSource, type LogThreshold } from "./loader/logger.ts";
export { type MapOptions, type Mapping, map } from "./loader/map.ts";
export type { Output, OutputMode, ResourceLimits } from "./platform/platform.ts";
export type { ExitReason, ExitStatus, ProcessInfo, ProcessState } from "./platform/protocol.ts";
