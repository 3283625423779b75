import { parentPort } from "node:worker_threads";
import { add } from "./sched-work.js";

parentPort.on("message", ({ id, a, b }) => parentPort.postMessage({ id, value: add(a, b) }));
