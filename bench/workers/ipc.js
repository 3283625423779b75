// The other end of calls and buffers: over vipc, over Comlink, over Comlink through a port of vipc, over a bare MessagePort.
import { parentPort, workerData } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { attach } from "../../dist/runtime/index.js";
import { Heap, Ipc, listen } from "../../dist/runtime/ipc/index.js";
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { pin } from "./pin.ts";

const ACK_EVERY = 8;
const { kind, delivery, handles, read, pinned } = workerData;
if (pinned) pin(1);

/** As in queue.js: begins with a double, and reads the length before the loop. */
function sum(bytes) {
  const words = new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length >>> 3);
  const count = words.length;
  let total = words[0];
  for (let i = 1; i < count; i++) total += words[i];
  return total;
}

if (kind === "vipc" || kind === "comlink-vipc") {
  const heap = new Heap(attach(vheap, handles.heap));
  const ipc = new Ipc({ queues: attach(vqueue, handles.queues), heap, names: attach(vnames, handles.names), delivery });
  if (kind === "comlink-vipc") {
    await listen(ipc, "server", (port) => Comlink.expose({ echo: (value) => value }, port));
  } else {
    let received = 0;
    const server = ipc.entity();
    server.serve((message) => {
      if (message.type === 1) return message.data;
      if (read) sum(message.bytes);
      if (++received % ACK_EVERY === 0) void server.send(message.from, 3);
    });
    await ipc.register("server", server);
  }
} else if (kind === "comlink") {
  Comlink.expose({ echo: (value) => value }, nodeEndpoint(parentPort));
} else {
  let received = 0;
  parentPort.on("message", (buffer) => {
    if (read) sum(new Uint8Array(buffer));
    if (++received % ACK_EVERY === 0) parentPort.postMessage(0);
  });
}
parentPort.postMessage("ready");
