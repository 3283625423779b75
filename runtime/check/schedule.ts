/**
 * Schedules as text, for reports and for replaying them: `0x3 1 0.1 k0 rx2` is three steps of thread 0, one of thread 1, one of thread 0 with its second
 * outcome, the death of thread 0, two steps of the reaper. `K0`: thread 0 makes its access and dies before its call returns;
 * `h0`, `h0.1`: it dies in the middle of a copy or fill, of which the first or the last half is done.
 */
import { VdsoError } from "../errors.ts";
import { Act, actOf, branchOf, choice, threadOf } from "./machine.ts";

const ACTS: Readonly<Record<string, Act>> = { "": Act.step, k: Act.kill, K: Act.killAfter, h: Act.killWithin };
const LETTERS = Object.keys(ACTS);

export function writeSchedule(steps: readonly number[], reaper: number): string {
  const words: string[] = [];
  for (let index = 0; index < steps.length; ) {
    const step = steps[index]!;
    let count = 1;
    while (steps[index + count] === step) count++;
    const thread = threadOf(step) === reaper ? "r" : String(threadOf(step));
    const act = LETTERS[actOf(step)]!;
    const branch = branchOf(step) === 0 ? "" : `.${branchOf(step)}`;
    words.push(`${act}${thread}${branch}${count === 1 ? "" : `x${count}`}`);
    index += count;
  }
  return words.join(" ");
}

/** @throws VdsoError `ERR_VDSO_CHECK_SCHEDULE` - not the text of a schedule. */
export function readSchedule(text: string, reaper: number): number[] {
  const steps: number[] = [];
  for (const word of text.split(/\s+/).filter((part) => part !== "")) {
    const match = /^([kKh]?)(\d+|r)(?:\.(\d+))?(?:x(\d+))?$/.exec(word);
    if (!match || (match[2] === "r" && reaper < 0)) {
      throw new VdsoError("ERR_VDSO_CHECK_SCHEDULE", `"${word}" is no step of a schedule for these threads`);
    }
    const thread = match[2] === "r" ? reaper : Number(match[2]);
    const act = ACTS[match[1]!]!;
    for (let count = Number(match[4] ?? 1); count > 0; count--) steps.push(choice(thread, act, Number(match[3] ?? 0)));
  }
  return steps;
}
