import { once } from "node:events";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { Worker } from "node:worker_threads";
import { afterEach, beforeAll, expect, test } from "vitest";
import { type Mapping, map } from "../../runtime/loader/map.ts";
import { loadSample, type SampleApi, type SampleHost, sampleHost } from "./sample.ts";

const { folder, library } = await loadSample();

let script: URL;
const workers: Worker[] = [];

beforeAll(async () => {
  const loader = pathToFileURL(join(import.meta.dirname, "../../runtime/loader/attach.ts")).href;
  script = folder.write(
    "worker.mjs",
    `import { parentPort, workerData } from "node:worker_threads";
import { attach, pidOf } from ${JSON.stringify(loader)};
import sample from "./sample.mjs";
const host = { Observer: { now: () => 1, greet: (whom) => whom, self: () => ({ changed: () => true }) } };
try {
  const api = attach(sample, workerData.handle, { host });
  for (let round = 0; round < workerData.rounds; round++) api.count(1n);
  if (workerData.panic) api.fail(7n, true);
  parentPort.postMessage({ pid: pidOf(api), calls: [api.calls(), api.calls()] });
} catch (error) {
  parentPort.postMessage({ code: error.code, message: error.message });
}
`,
  );
});

afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.terminate())));

interface Answer {
  readonly pid: number;
  readonly calls: number[];
  readonly code: string;
  readonly message: string;
}

async function run(workerData: Readonly<Record<string, unknown>>): Promise<Answer> {
  const worker = new Worker(script, { workerData });
  workers.push(worker);
  const [answer] = await once(worker, "message");
  return answer as Answer;
}

test("workers that no kernel started attach from a cloned handle: the vVAR is shared, private data is not", async () => {
  const mapping: Mapping<SampleApi, SampleHost> = await map(library);
  const api = mapping.attach({ host: sampleHost() });
  const answers = await Promise.all([0, 1, 2].map(() => run({ handle: mapping.handle, rounds: 1000 })));
  expect(api["count"]!(0n)).toBe(3000n);
  expect(answers.map(({ calls }) => calls)).toEqual([
    [1, 2],
    [1, 2],
    [1, 2],
  ]);
  expect(new Set(answers.map(({ pid }) => pid)).size).toBe(3);
  for (const { pid } of answers) mapping.drop(pid);
  expect(api["dropped"]!()).toBe(1 + 2 + 3);
});

test("a panic in a worker leaves the others alone", async () => {
  const mapping = await map(library);
  const panicked = await run({ handle: mapping.handle, rounds: 1, panic: true });
  expect(panicked).toMatchObject({ code: "ERR_VDSO_PANIC", message: "sample: refused 7 and 0.5 [true] (api.ts:12:3)" });
  expect((await run({ handle: mapping.handle, rounds: 1 })).calls).toEqual([1, 2]);
  expect(mapping.attach({ host: sampleHost() })["count"]!(0n)).toBe(2n);
});

test("a worker refuses a handle whose vVAR a kernel manages, and a handle of another build", async () => {
  const managed = await map(library, { managed: true });
  expect((await run({ handle: managed.handle, rounds: 1 })).code).toBe("ERR_VDSO_PID");
  const handle = { ...managed.handle, fingerprint: "0123456789abcdef" };
  expect((await run({ handle, rounds: 1 })).code).toBe("ERR_VDSO_FINGERPRINT");
  expect(managed.attach({ host: sampleHost(), pid: 1 })["count"]!(0n)).toBe(0n);
});
