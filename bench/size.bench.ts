/** Bytes of the images, and memory that a further process takes. */

import { once } from "node:events";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import bench from "../generated/bench/bench.js";
import { sections } from "../runtime/image/sections.ts";
import type { Group, Row } from "./group.ts";
import { firstVqueue, imageBytes, loadPackage } from "./package.ts";

const THREADS = 16;
const CODE_SECTION = 10;

function codeBytes(image: Uint8Array): number {
  const code = [...sections(new Uint8Array(image))].find(({ id }) => id === CODE_SECTION);
  return code ? code.end - code.start : 0;
}

function imageRows(name: string, read: () => Buffer): Row[] {
  const row = { unit: "bytes", better: "lower", peers: {} } as const;
  return [
    { ...row, name: `image ${name}`, ours: () => read().length },
    { ...row, name: `code of ${name}`, ours: () => codeBytes(read()) },
  ];
}

/** KiB of resident memory that each of several threads adds, once their start has settled. */
async function residentKib(start: () => Promise<unknown>): Promise<number> {
  await start();
  await sleep(300);
  const before = process.memoryUsage.rss();
  for (let i = 0; i < THREADS; i++) await start();
  await sleep(300);
  return (process.memoryUsage.rss() - before) / THREADS / 1024;
}

const images = readdirSync(join(import.meta.dirname, "..", "vdso-src"), { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "helper")
  .map((entry) => entry.name);

const group: Group = [
  ...images.flatMap((name) => imageRows(name, () => imageBytes(name))),
  ...imageRows("first vqueue", firstVqueue),
  {
    name: "resident memory per process",
    unit: "KiB",
    better: "lower",
    async ours() {
      const { Kernel } = await loadPackage();
      await using kernel = await Kernel.boot({ vdsos: [bench] });
      try {
        return await residentKib(() => kernel.spawn(new URL("./workers/attaching.js", import.meta.url)));
      } finally {
        await Promise.all(kernel.processes().map(({ pid }) => kernel.kill(pid)));
      }
    },
    peers: {
      async "bare worker"() {
        const workers: Worker[] = [];
        try {
          return await residentKib(async () => {
            const worker = new Worker(new URL("./workers/bare.js", import.meta.url));
            workers.push(worker);
            await once(worker, "message");
          });
        } finally {
          await Promise.all(workers.map((worker) => worker.terminate()));
        }
      },
    },
  },
];

export default group;
