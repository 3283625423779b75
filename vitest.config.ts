import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    // A process per file: tests start worker threads of their own, and one that ends badly must not take others along.
    pool: "forks",
    maxWorkers: 2,
    // Generous, because a machine may be slow: no test is meant to come near it.
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
