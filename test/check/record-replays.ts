/**
 * `node test/check/record-replays.ts > test/check/fixtures/replays-<version>.json`
 *
 * Finds one bug of each structure and writes down its schedule, how it fails and how many states the search saw, together with the image: what another version
 * of Node has to come to. Run it under the version that the recording is to be of (22 takes `--experimental-strip-types`), when the traces or the
 * specifications change.
 */
import { check, exhaustive } from "../../runtime/check/index.ts";
import { image } from "./images.ts";
import { structures } from "./structures.ts";

/** What is written down of one bug. */
export interface Recording {
  readonly structure: string;
  /** Place among the structure's bugs. */
  readonly index: number;
  /** Base64. */
  readonly image: string;
  readonly states: number;
  readonly schedule: string;
  readonly kind: string;
  readonly message: string;
  /** Thread, event, instruction, field and value of each step. */
  readonly trace: readonly string[];
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const recordings: Recording[] = [];
  for (const { name, spec, bugs } of structures) {
    const index = bugs.length - 1;
    const { bug, config, spec: other } = bugs[index]!;
    const { image: bytes } = await image(name, { ...config, BUG: String(bug) });
    const { failure, states } = await check({ ...spec, ...other, image: bytes, strategy: exhaustive() });
    const { schedule, kind, message, trace } = failure!;
    recordings.push({
      structure: name,
      index,
      image: Buffer.from(bytes).toString("base64"),
      states,
      schedule,
      kind,
      message,
      trace: traceLines(trace),
    });
  }
  process.stdout.write(`${JSON.stringify({ node: process.version, recordings }, null, 2)}\n`);
}

/** A trace as the lines of a {@link Recording}. */
export function traceLines(
  trace: readonly {
    thread: string;
    event: string;
    access?: { op: string; field: string; value: string } | undefined;
  }[],
): readonly string[] {
  return trace.map(({ thread, event, access }) =>
    [thread, event, access?.op, access?.field, access?.value].filter((part) => part !== undefined).join(" "),
  );
}
