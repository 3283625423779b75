/** Boots a kernel, lets some processes count together, and reads the result where they left it: in shared memory. */
import { Kernel } from "wasm-vdso";
import library from "../generated/__name__/__name__.js";

// Ends with everything it started, also when something below throws.
await using kernel = await Kernel.boot({ vdsos: [library] });

const workers = await Promise.all(
  ["1000", "2000", "3000"].map((times) => kernel.spawn(new URL("./worker.ts", import.meta.url), { argv: [times] })),
);
await Promise.all(workers.map((worker) => worker.exited));

// The kernel's own attachment to the same image: the same shared data.
const api = kernel.attach(library);
console.log(`together: ${api.total()}, the kernel itself: ${api.ownCount()}`);
