/** What every process in Node begins with. It loads little: its time is part of every spawn. */
import { nodeBoot, nodeHost } from "../runtime/platform/node-process.ts";
import { start } from "../runtime/process/start.ts";

void start(nodeHost(), nodeBoot());
