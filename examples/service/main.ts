/** `node examples/service/main.ts`: a client, in the kernel's thread, of a service in another process, which is killed and started again on the way. */
import vheap from "../../generated/vheap/vheap.js";
import vnames from "../../generated/vnames/vnames.js";
import vqueue from "../../generated/vqueue/vqueue.js";
import { Kernel } from "../../runtime/index.ts";
import { connect, Heap, Ipc } from "../../runtime/ipc/index.ts";
import type { Images } from "./images.ts";

const INVERT = 1;
const kernel = await Kernel.boot({ vdsos: [vqueue, vheap, vnames] });
const heap = new Heap(kernel.attach(vheap));
const ipc = new Ipc({ queues: kernel.attach(vqueue), heap, names: kernel.attach(vnames) });
const start = () => kernel.spawn(new URL("./images.ts", import.meta.url));

try {
  const server = await start();
  const images = await connect<Images>(ipc, "images", { timeoutMs: 10_000 });

  const size = await images.sizeOf("cat.png");
  console.log(`cat.png: ${size.width} x ${size.height}`);
  await images.sizeOf("cat.txt").catch((error: Error) => console.log(`${error.name}: ${error.message}`));

  let rows = 0;
  for await (const row of images.rows(size)) if (row.length === size.width && ++rows === 100) break;
  console.log(`${rows} rows, and the server was told to stop`);

  const seen: number[] = [];
  const never = new AbortController();
  console.log(await images.render(3, (done) => void seen.push(done), never.signal), `(${seen.join(", ")})`);

  const abort = new AbortController();
  const rendering = images.render(
    1_000_000,
    (done) => void (done === 5 && abort.abort(new Error("5 are enough"))),
    abort.signal,
  );
  await rendering.catch((error: Error) => console.log(`aborted: ${error.message}`));

  // A megabyte goes there and back, and is copied nowhere.
  const client = ipc.entity();
  const loan = heap.loan(1 << 20);
  loan.bytes.fill(1);
  {
    using answer = await client.call(await ipc.whenNamed("pixels"), INVERT, loan);
    console.log(`${answer.bytes?.length} pixels, the last is ${answer.bytes?.at(-1)}`);
  }

  const lost = images.render(1_000_000, () => undefined, never.signal);
  lost.catch((error: { code?: string }) => console.log(`the server was killed: ${error.code}`));
  await kernel.kill(server.pid);
  await lost.catch(() => undefined);

  // The same object reaches whoever has the name next.
  await start();
  await ipc.whenNamed("images", { timeoutMs: 10_000 });
  console.log("again:", (await images.sizeOf("dog.png")).width);
  const { ownedBytes, sentBytes } = heap.stats();
  console.log(`${ownedBytes + sentBytes} bytes are still lent`);
} finally {
  ipc.close();
  await kernel.shutdown({ timeoutMs: 1000 });
}
