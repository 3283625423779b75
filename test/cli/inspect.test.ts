import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { buildVdso } from "../../runtime/build/index.ts";
import { Project } from "../build/project.ts";
import { vdso } from "./vdso.ts";

const SOURCE = {
  "api.ts": `
export const SLOTS: u32 = config("SLOTS", 4);
export enum Mode { Idle, Busy = 5 }
@vvar class Slot { at: f64; used: bool; }
@vvar class VvarData {
  count: Atomic<u64>;
  @align(64) @len(SLOTS) slots: FixedArray<Slot>;
}
const shared = vvarRoot<VvarData>();
@host declare class Clock { static now(): f64; tick(n: u32): bool; }
@apistruct export class Pair { a: u32; b: u32; }
export function touch(i: u32, clock: Clock): Mode {
  assert(i < SLOTS, "no such slot");
  if (!clock.tick(i)) log.warn("declined");
  shared.slots[i].at = Clock.now();
  return Mode.Busy;
}
export function pair(): Pair { return new Pair(); }
`,
};

test("inspect shows layout, exports, constants, interface and sizes", async () => {
  using project = new Project(SOURCE);
  const { image } = await buildVdso({ srcDir: project.srcDir, outDir: project.outDir, imageName: "slots" });
  const { code, stdout, stderr } = await vdso(["inspect", image]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  for (const line of [
    /^slots$/m,
    /^ {2}panics +[1-9]/m,
    /^ {2}log lines +1$/m,
    /^ +1024 +0 +8 +count +Atomic<u64>$/m,
    /^ +1088 +64 +64 +slots +FixedArray<Slot>, 4 of 16 bytes$/m,
    /^ +8 +1 +used +bool$/m,
    /^ {2}touch\(i: u32, clock: Clock\): Mode$/m,
    /^ {2}SLOTS +u32 +4 +config$/m,
    /^ {2}Mode +Idle = 0, Busy = 5$/m,
    /^ {2}Clock\.now\(\): f64$/m,
    /^ {2}Clock#tick\(n: u32\): bool$/m,
    /^ {2}Pair \{ a: u32; b: u32 \}$/m,
    /^ {2}code +\d+$/m,
    /^ {2}custom "vdso" +\d+$/m,
  ]) {
    expect(stdout).toMatch(line);
  }
});

test("inspect --json has the whole manifest and sizes that add up to the file's", async () => {
  using project = new Project(SOURCE);
  const { image } = await buildVdso({ srcDir: project.srcDir, outDir: project.outDir, imageName: "slots" });
  const { stdout } = await vdso(["inspect", image, "--json"]);
  const { bytes, sections, manifest } = JSON.parse(stdout);
  expect(manifest).toMatchObject({ name: "slots", layout: { root: "VvarData", address: 1024 } });
  const header = 8;
  expect(sections.reduce((sum: number, section: { bytes: number }) => sum + section.bytes, header)).toBe(bytes);
});

test("inspect --wat shows the code as text", async () => {
  using project = new Project(SOURCE);
  const { image } = await buildVdso({ srcDir: project.srcDir, outDir: project.outDir, imageName: "slots" });
  const { code, stdout } = await vdso(["inspect", image, "--wat"]);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^\(module/);
  expect(stdout).toContain(`(export "touch"`);
});

test("inspect refuses what is no image, is damaged or is not there, each with its own code", async () => {
  using project = new Project(SOURCE);
  const { image } = await buildVdso({ srcDir: project.srcDir, outDir: project.outDir, imageName: "slots" });
  const bytes = project.output("slots.wasm");
  const damaged = Buffer.from(bytes);
  damaged[bytes.length - 20]! ^= 1;
  const cases: [Buffer, string][] = [
    [Buffer.from("#!/bin/sh\n"), "ERR_VDSO_IMAGE_MAGIC"],
    [bytes.subarray(0, 100), "ERR_VDSO_IMAGE_TRUNCATED"],
    [Buffer.from("0061736d01000000", "hex"), "ERR_VDSO_IMAGE_FOREIGN"],
    [damaged, "ERR_VDSO_IMAGE_CORRUPT"],
  ];
  const path = join(project.folder, "x.wasm");
  for (const [content, expected] of cases) {
    writeFileSync(path, content);
    const { code, stdout, stderr } = await vdso(["inspect", path]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
    expect(stderr).toContain(`[${expected}]`);
  }
  const missing = await vdso(["inspect", `${image}.not`]);
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("[ERR_VDSO_IMAGE_MISSING]");
});

test("what inspect refuses it names", async () => {
  using project = new Project();
  const path = join(project.folder, "x.wasm");
  writeFileSync(path, "#!/bin/sh\n");
  expect((await vdso(["inspect", path])).stderr).toContain(`error: ${path}: `);
});
