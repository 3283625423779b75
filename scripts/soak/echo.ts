/** The server of the soak test's calls: answers with what it got; type 0 ends it, type 3 tells its memory. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { Heap, Ipc } from "../../runtime/ipc/index.ts";
import { attach } from "../../runtime/process/index.ts";

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
const ipc = new Ipc({ queues: attach(vqueue), heap: new Heap(attach(vheap)), names: attach(vnames) });

export default async function main(): Promise<void> {
  const server = ipc.entity().serve(({ type, data, bytes }) => {
    if (type === 0) ipc.close();
    if (type !== 3) return type === 2 ? bytes : data;
    collect();
    return process.memoryUsage().heapUsed;
  });
  await ipc.register("echo", server);
}
