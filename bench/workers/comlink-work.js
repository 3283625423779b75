import { workerData } from "node:worker_threads";
import { expose } from "comlink";
import { add } from "./sched-work.js";

expose({ add }, workerData);
