/**
 * `npx node scripts/prove-turns.ts` - in a page of Chromium (Debian's package, or `CHROMIUM=path`), with the built package: a CPU whose tasks always have
 * something to do leaves the page its events, and a chain of promises, for comparison, none.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { text } from "node:stream/consumers";

const dist = join(import.meta.dirname, "..", "dist");
const TIMEOUT_MS = 60_000;
const TYPES: Readonly<Record<string, string>> = { ".js": "text/javascript", ".wasm": "application/wasm" };

/** Events of a page by kind, and how many there were. */
type Counts = Readonly<Record<string, number>>;
interface Report {
  readonly withTasks: Counts;
  readonly withPromises: Counts;
  readonly error?: string;
}

const page = `<!doctype html><title>turns</title><body><script type="module">
  import { attach, map } from "/runtime/index.js";
  import { Cpu } from "/runtime/sched/cpu.js";
  import vsched from "/generated/vsched/vsched.js";

  /** What happens in the page while this goes on. */
  async function during(goOn) {
    const counts = { timers: 0, messages: 0, frames: 0, responses: 0, clicks: 0 };
    let over = false;
    const timer = setInterval(() => counts.timers++, 1);
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => { counts.messages++; port2.postMessage(0); };
    port2.postMessage(0);
    const frame = () => { counts.frames++; if (!over) requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    const ask = async () => { await fetch("/"); counts.responses += over ? 0 : 1; if (!over) void ask(); };
    void ask();
    document.body.onclick = () => counts.clicks++;
    const click = setInterval(() => document.body.click(), 1);
    await goOn(performance.now() + 1000);
    const seen = { ...counts };
    over = true;
    clearInterval(timer);
    clearInterval(click);
    port1.close();
    return seen;
  }

  const report = {};
  try {
    // Without a kernel, which starts Node's threads.
    const api = attach(vsched, (await map(vsched)).handle);
    const cpu = new Cpu(api, { dedicated: false, sliceMs: 10, spinUs: 100, attach });
    const running = cpu.run();
    report.withTasks = await during((end) => {
      const works = async (task) => {
        while (performance.now() < end) await task.yieldNow();
      };
      return Promise.all(Array.from({ length: 10 }, () => cpu.spawn(works).result));
    });
    report.withPromises = await during(async (end) => {
      while (performance.now() < end) await undefined;
    });
    cpu.stop();
    await running;
  } catch (error) {
    report.error = String(error?.stack ?? error);
  }
  await fetch("/report", { method: "POST", body: JSON.stringify(report) });
</script>`;

/** @returns a server of the package, isolated as shared memory wants it, and what the page reports */
function serve(): { readonly server: Server; readonly reported: Promise<Report> } {
  const { promise, resolve, reject } = Promise.withResolvers<Report>();
  const server = createServer((request, response) => {
    const { url = "/" } = request;
    if (url === "/report") {
      text(request).then((body) => resolve(JSON.parse(body) as Report), reject);
      response.end();
      return;
    }
    response.setHeader("Cross-Origin-Opener-Policy", "same-origin");
    response.setHeader("Cross-Origin-Embedder-Policy", "require-corp");
    const file = join(dist, url);
    response.setHeader("Content-Type", TYPES[extname(file)] ?? "text/html");
    if (url === "/") response.end(page);
    else if (existsSync(file)) createReadStream(file).pipe(response);
    else response.writeHead(404).end();
  });
  return { server, reported: promise };
}

const { server, reported } = serve();
await once(server.listen(0, "127.0.0.1"), "listening");
const { port } = server.address() as AddressInfo;
const profile = mkdtempSync(join(tmpdir(), "turns-"));
const browser = spawn(
  process.env["CHROMIUM"] ?? "chromium",
  ["--headless=new", "--no-sandbox", "--disable-gpu", `--user-data-dir=${profile}`, `http://127.0.0.1:${port}/`],
  { stdio: "ignore" },
);
const ended = once(browser, "exit");
try {
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no report after ${TIMEOUT_MS} ms`)), TIMEOUT_MS).unref();
  });
  const { withTasks, withPromises, error } = await Promise.race([reported, late, ended.then(fail)]);
  if (error !== undefined) throw new Error(error);
  console.table({ "with tasks": withTasks, "with promises alone": withPromises });
  const isFree = Object.values(withTasks).every((count) => count > 0);
  const isHeldUp = Object.values(withPromises).every((count) => count === 0);
  if (!isFree) throw new Error("expected events of each kind while tasks ran, found a kind without any");
  if (!isHeldUp) throw new Error("expected no events while promises alone ran, found some: this proves nothing");
} finally {
  browser.kill();
  await ended.catch(() => undefined);
  server.close();
  server.closeAllConnections();
  rmSync(profile, { recursive: true, force: true });
}

function fail(): never {
  throw new Error("the browser ended before the page had reported");
}
