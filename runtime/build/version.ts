/** This package's version, as images name their builder; a test holds it against package.json. */
export const VERSION = "0.1.0";
export const BUILDER = `wasm-vdso ${VERSION}`;
