/** Replays schedules that it reads from its input in a process of its own, and writes how each fails. */
import { text } from "node:stream/consumers";
import { check, replay } from "../../runtime/check/index.ts";
import { image } from "./images.ts";
import { structures } from "./structures.ts";

const jobs = JSON.parse(await text(process.stdin)) as { structure: string; index: number; schedule: string }[];
const failures: string[] = [];
for (const { structure, index, schedule } of jobs) {
  const { spec, bugs } = structures.find(({ name }) => name === structure)!;
  const { bug, config, spec: other } = bugs[index]!;
  const built = await image(structure, { ...config, BUG: String(bug) });
  const { failure } = await check({ ...spec, ...other, ...built, strategy: replay(schedule) });
  failures.push(`${failure?.kind}: ${failure?.message} ${JSON.stringify(failure?.trace)}`);
}
process.stdout.write(JSON.stringify(failures));
