import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** A temporary folder with a vDSO in `src`, gone at the end of the scope. */
export class Project implements Disposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "vdso-test-")));
  readonly srcDir = join(this.folder, "src");
  readonly outDir = join(this.folder, "out");

  constructor(files: Readonly<Record<string, string>> = COUNTER) {
    for (const [path, text] of Object.entries(files)) this.write(path, text);
  }

  /** @param path - relative to `src` */
  write(path: string, text: string): void {
    const absolute = join(this.srcDir, path);
    mkdirSync(dirname(absolute), { recursive: true });
    writeFileSync(absolute, text);
  }

  remove(path: string): void {
    rmSync(join(this.srcDir, path), { recursive: true, force: true });
  }

  output(name: string): Buffer {
    return readFileSync(join(this.outDir, name));
  }

  /** All outputs by name: bytes as hexadecimal text and time of last change. */
  outputs(): Record<string, { hex: string; changed: number }> {
    const names = readdirSync(this.outDir).sort();
    return Object.fromEntries(
      names.map((name) => [
        name,
        { hex: this.output(name).toString("hex"), changed: statSync(join(this.outDir, name)).mtimeMs },
      ]),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Two files, two constants. */
export const COUNTER: Readonly<Record<string, string>> = {
  "api.ts": `
import { STEP } from "./step";

/** Where counting starts. */
export const START: u32 = config("START", 10);

@vvar class VvarData {
  count: Atomic<u32>;
}
const shared = vvarRoot<VvarData>();

/** Counts on. */
export function next(): u32 {
  return START + shared.count.add(STEP);
}
`,
  "step.ts": `
export const STEP: u32 = config("STEP", 1);
`,
};

/** Sets environment variables for the length of a scope. */
export function withEnvironment(values: Readonly<Record<string, string>>): Disposable {
  const before = Object.keys(values).map((name): [string, string | undefined] => [name, process.env[name]]);
  Object.assign(process.env, values);
  return {
    [Symbol.dispose]() {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    },
  };
}
