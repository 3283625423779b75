// A process that attaches while it loads, and stays until it is ended. JavaScript, as a published program is.
import { attach, current } from "../../dist/runtime/process/index.js";
import bench from "../../generated/bench/bench.js";

attach(bench).tick();
current().onShutdown(() => {});
setInterval(() => {}, 60_000);
