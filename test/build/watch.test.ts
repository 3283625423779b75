import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type BuildConfig, BuildError, type BuildResult, watchVdso } from "../../runtime/build/index.ts";
import { COUNTER, Project } from "./project.ts";

/** Watches for the length of a scope; results come one at a time from `next`. */
class Watch implements AsyncDisposable {
  readonly ended: Promise<void>;
  readonly #stop = new AbortController();
  readonly #results: (BuildResult | BuildError)[] = [];
  #arrived = Promise.withResolvers<void>();

  constructor(project: Project, more: Partial<BuildConfig> = {}) {
    const { srcDir, outDir } = project;
    this.ended = watchVdso(
      { srcDir, outDir, imageName: "counter", ...more },
      {
        signal: this.#stop.signal,
        onResult: (result) => {
          this.#results.push(result);
          this.#arrived.resolve();
        },
      },
    );
  }

  /** Results that nobody has taken. */
  get pending(): number {
    return this.#results.length;
  }

  async next(): Promise<BuildResult | BuildError> {
    while (this.#results.length === 0) {
      await this.#arrived.promise;
      this.#arrived = Promise.withResolvers<void>();
    }
    return this.#results.shift()!;
  }

  async built(): Promise<BuildResult> {
    const result = await this.next();
    if (result instanceof BuildError) throw result;
    return result;
  }

  async failed(): Promise<BuildError> {
    const result = await this.next();
    if (result instanceof BuildError) return result;
    throw new Error("expected a failed build, found a good one");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.ended;
  }
}

test("a watch builds at once, then again for a change in any source, in one go for changes that come together", async () => {
  using project = new Project();
  await using watch = new Watch(project);
  const first = await watch.built();
  expect(first.changed).toBe(true);
  project.write("step.ts", `export const STEP: u32 = config("STEP", 2);`);
  const second = await watch.built();
  project.write("step.ts", `export const STEP: u32 = config("STEP", 3);`);
  project.write("api.ts", `${COUNTER["api.ts"]}export function more(): void {}\n`);
  const third = await watch.built();
  expect(new Set([first, second, third].map(({ fingerprint }) => fingerprint)).size).toBe(3);
  expect(watch.pending).toBe(0);
});

test("a watch survives errors and reports the mended build, also one that equals the last good one", async () => {
  using project = new Project();
  await using watch = new Watch(project);
  const good = await watch.built();
  project.write("step.ts", "export const STEP: u32 = ;");
  expect((await watch.failed()).code).toBe("ERR_VDSO_BUILD");
  project.write("step.ts", COUNTER["step.ts"]!);
  const mended = await watch.built();
  expect(mended.fingerprint).toBe(good.fingerprint);
  expect(mended.changed).toBe(false);
});

test("a watch sees a file outside of the folder that is imported", async () => {
  using project = new Project({
    "api.ts": COUNTER["api.ts"]!.replace("./step", "../../shared/step"),
    "../shared/step.ts": COUNTER["step.ts"]!,
  });
  // `../../shared` from the vDSO's folder one level further down.
  mkdirSync(join(project.srcDir, "inner"));
  renameSync(join(project.srcDir, "api.ts"), join(project.srcDir, "inner", "api.ts"));
  await using watch = new Watch(project, { srcDir: join(project.srcDir, "inner") });
  const first = await watch.built();
  project.write("../shared/step.ts", `export const STEP: u32 = config("STEP", 7);`);
  expect((await watch.built()).fingerprint).not.toBe(first.fingerprint);
});

test("a watch sees a file that is replaced by a rename, as editors do", async () => {
  using project = new Project();
  await using watch = new Watch(project);
  await watch.built();
  for (const step of [2, 3]) {
    const beside = join(project.folder, "step.ts.new");
    writeFileSync(beside, `export const STEP: u32 = config("STEP", ${step});`);
    renameSync(beside, join(project.srcDir, "step.ts"));
    expect((await watch.built()).changed).toBe(true);
  }
});

test("a watch waits for an import, an api.ts and a folder that are not there yet", async () => {
  using project = new Project({});
  await using watch = new Watch(project);
  expect((await watch.failed()).code).toBe("ERR_VDSO_SOURCE_FOLDER");
  mkdirSync(project.srcDir);
  expect((await watch.failed()).code).toBe("ERR_VDSO_NO_API");
  project.write("api.ts", COUNTER["api.ts"]!);
  expect((await watch.failed()).code).toBe("ERR_VDSO_BUILD");
  project.write("step.ts", COUNTER["step.ts"]!);
  expect((await watch.built()).changed).toBe(true);
});

test("a watch goes on when its folder is removed and made again", async () => {
  using project = new Project();
  await using watch = new Watch(project);
  await watch.built();
  rmSync(project.srcDir, { recursive: true });
  expect((await watch.failed()).code).toBe("ERR_VDSO_SOURCE_FOLDER");
  mkdirSync(project.srcDir);
  writeFileSync(join(project.srcDir, "step.ts"), COUNTER["step.ts"]!);
  writeFileSync(join(project.srcDir, "api.ts"), COUNTER["api.ts"]!);
  for (let result = await watch.next(); result instanceof BuildError; ) result = await watch.next();
  project.write("step.ts", `export const STEP: u32 = config("STEP", 5);`);
  expect((await watch.built()).changed).toBe(true);
});

test("a watch with wrong options fails at once instead of waiting for ever", async () => {
  using project = new Project();
  await expect(new Watch(project, { imageName: "no name" }).ended).rejects.toMatchObject({
    code: "ERR_VDSO_IMAGE_NAME",
  });
});

test("a watch whose signal is aborted ends, also during a build", async () => {
  using project = new Project();
  const { srcDir, outDir } = project;
  const results: unknown[] = [];
  const onResult = (result: unknown) => void results.push(result);
  await watchVdso({ srcDir, outDir }, { signal: AbortSignal.abort(), onResult });
  const stop = new AbortController();
  const ended = watchVdso({ srcDir, outDir }, { signal: stop.signal, onResult });
  stop.abort();
  await ended;
  expect(results).toEqual([]);
});
