import { expect, onTestFinished, test } from "vitest";
import { countFiles } from "../../examples/wordcount/job.ts";
import vqueue from "../../generated/vqueue/vqueue.js";
import wordcount, { TABLE_LEN } from "../../generated/wordcount/wordcount.js";
import { Kernel } from "../../runtime/index.ts";
import { endlessFile, folder } from "./program.ts";

async function boot(): Promise<Kernel> {
  const kernel = await Kernel.boot({ vdsos: [vqueue, wordcount], log: () => {} });
  onTestFinished(() => kernel.shutdown({ timeoutMs: 0 }));
  return kernel;
}

test.each(["counter-2", "reader"])("when %s is killed, the job fails and says so", async (victim) => {
  const kernel = await boot();
  let victimPid: number | undefined;
  const job = countFiles(kernel, {
    paths: [endlessFile()],
    processes: 2,
    onProgress: ({ total }) => {
      if (total.bytes === 0n || victimPid !== undefined) return;
      victimPid = kernel.processes().find(({ name }) => name === victim)!.pid;
      void kernel.kill(victimPid);
    },
  });
  await expect(job).rejects.toThrow(`${victim} ended before its work was done (killed)`);
});

test("words are listed by how often they occur, then by the alphabet; every other one is accounted for", async () => {
  const long = "w".repeat(65);
  const paths = [folder({ "a.txt": `b a c b ${long} é b a\n`, "b.txt": `é é\n${long}\n` })];
  const { topWords, total, unlisted } = await countFiles(await boot(), { paths, processes: 2 });
  expect(topWords).toEqual([
    { word: "b", times: 3n },
    { word: "é", times: 3n },
    { word: "a", times: 2n },
    { word: "c", times: 1n },
  ]);
  expect(unlisted).toBe(2n);
  expect(total.words).toBe(11n);
});

test("words beyond the room of the table are counted, and reported as not listed", async () => {
  const words = Array.from({ length: 200_000 }, (_, n) => `word-${n}`);
  const kernel = await boot();
  const { total, unlisted } = await countFiles(kernel, {
    paths: [folder({ "a.txt": words.join("\n") })],
    processes: 3,
  });
  const counts = kernel.attach(wordcount);
  let listed = 0n;
  for (let slot = 0; slot < TABLE_LEN; slot++) listed += counts.timesOf(slot);
  expect(total.words).toBe(200_000n);
  expect(unlisted).toBeGreaterThan(0n);
  expect(listed + unlisted).toBe(total.words);
});

test("many processes that count the same words at the same time lose none", async () => {
  const text = "one two three\n".repeat(100_000);
  const { topWords } = await countFiles(await boot(), {
    paths: [folder({ "a.txt": text, "b.txt": text })],
    processes: 8,
  });
  expect(topWords.map(({ times }) => times)).toEqual([200_000n, 200_000n, 200_000n]);
});
