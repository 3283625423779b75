/** From `spawn` to a process that has attached, against the start of a worker that does nothing. */

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import bench from "../generated/bench/bench.js";
import { type Group, median, nanosecondsEach } from "./group.ts";
import { bareExports, loadPackage } from "./package.ts";

const STARTS = 20;

async function medianMs(start: () => Promise<() => Promise<unknown>>): Promise<number> {
  // The first start pays for what the program pays once.
  await (await start())();
  const times: number[] = [];
  for (let i = 0; i < STARTS; i++) {
    const began = performance.now();
    const end = await start();
    times.push(performance.now() - began);
    await end();
  }
  return median(times);
}

const group: Group = [
  {
    name: "start of a thread until it is attached",
    unit: "ms",
    better: "lower",
    async ours() {
      const { Kernel } = await loadPackage();
      await using kernel = await Kernel.boot({ vdsos: [bench] });
      return await medianMs(async () => {
        const process = await kernel.spawn(new URL("./workers/attaching.js", import.meta.url));
        return () => kernel.kill(process.pid);
      });
    },
    peers: {
      "bare worker": () =>
        medianMs(async () => {
          const worker = new Worker(new URL("./workers/bare.js", import.meta.url));
          await once(worker, "message");
          return () => worker.terminate();
        }),
    },
  },
  {
    name: "attach in a thread that runs",
    unit: "us",
    better: "lower",
    async ours() {
      const { attach, map } = await loadPackage();
      const { handle } = await map(bench);
      return (
        nanosecondsEach(200, (n) => {
          for (let i = 0; i < n; i++) attach(bench, handle);
          return n;
        }) / 1000
      );
    },
    peers: {
      async "bare instance"() {
        const { map } = await loadPackage();
        const { handle, memory } = await map(bench);
        await bareExports(bench.image(), memory);
        const imports = {
          vdso: new Proxy({ vvar: memory }, { get: (own, name) => (name === "vvar" ? own.vvar : () => 0) }),
        };
        return (
          nanosecondsEach(200, (n) => {
            for (let i = 0; i < n; i++)
              new WebAssembly.Instance(handle.module, imports as unknown as WebAssembly.Imports);
            return n;
          }) / 1000
        );
      },
    },
  },
];

export default group;
