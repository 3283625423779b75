// A worker that does nothing, and stays until it is ended.
import { parentPort } from "node:worker_threads";

parentPort?.postMessage("ready");
setInterval(() => {}, 60_000);
