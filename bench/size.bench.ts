/** Bytes of the images, and memory that a further process takes. */

import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import bench from "../generated/bench/bench.js";
import { sections } from "../runtime/image/sections.ts";
import type { Group, Row } from "./group.ts";
import { imageBytes, loadBuild, loadPackage } from "./package.ts";

const THREADS = 16;
const CODE_SECTION = 10;

/** The queue that vqueue began as, which no death may happen in: kept for the checker's tests. */
const FIRST_VQUEUE = join(import.meta.dirname, "..", "test", "check", "vdsos", "turns");

async function built(srcDir: string): Promise<Uint8Array> {
  const { buildVdso } = await loadBuild();
  const outDir = mkdtempSync(join(tmpdir(), "vdso-bench-"));
  try {
    return readFileSync((await buildVdso({ srcDir, outDir })).image);
  } finally {
    rmSync(outDir, { recursive: true, force: true });
  }
}

function codeBytes(image: Uint8Array): number {
  const code = [...sections(new Uint8Array(image))].find(({ id }) => id === CODE_SECTION);
  return code ? code.end - code.start : 0;
}

function imageRows(name: string, read: () => Uint8Array | Promise<Uint8Array>): Row[] {
  const row = { unit: "bytes", better: "lower", peers: {} } as const;
  return [
    { ...row, name: `image ${name}`, ours: async () => (await read()).length },
    { ...row, name: `code of ${name}`, ours: async () => codeBytes(await read()) },
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
  ...imageRows("first vqueue", () => built(FIRST_VQUEUE)),
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
