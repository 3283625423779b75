/**
 * Everything that builds vDSOs, for build scripts and plugins. Programs that only use images do not need it.
 *
 * ```ts
 * import { buildVdso } from "wasm-vdso/build";
 * await buildVdso({ srcDir: "vdso-src/counter", outDir: "generated/counter" });
 * ```
 */

export { buildVdso } from "./build.ts";
export { BuildError, formatDiagnostics } from "./build-error.ts";
export type { BuildConfig, ConstantValue } from "./config.ts";
export type { Diagnostic } from "./diagnostics.ts";
export type { BuildResult } from "./result.ts";
export { type WatchOptions, watchVdso } from "./watch.ts";
