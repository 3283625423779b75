/** Which host is this? */

// `process` alone proves nothing: bundlers define one for browsers.
export const isNode = typeof process === "object" && typeof process.versions?.node === "string";
