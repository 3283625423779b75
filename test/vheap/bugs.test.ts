/** What the interleavings are worth: each of these bugs is found. */
import { expect, test } from "vitest";
import { check, exhaustive } from "../../runtime/check/index.ts";
import { type HeapApi, scenarios } from "./scenarios.ts";
import { type Bug, type HeapVvar, heapImage } from "./small-heap.ts";

const bugs: readonly (Bug & { readonly title: string; readonly scenario: string })[] = [
  {
    title: "halves that are free before their block is committed",
    scenario: "two processes that cut up the same block",
    file: "blocks.ts",
    from: "right.store(makeWord(PART, half, generationOf(right.load()), self))",
    to: "right.store(makeWord(FREE, half, generationOf(right.load()), 0))",
  },
  {
    title: "a block claimed and cut in one step, so that a death loses the rest",
    scenario: "two processes that cut up the same block",
    file: "blocks.ts",
    from: "if (!wordAt(unit).cas(word, makeWord(BUSY, found, generation, self))) return NOTHING;",
    to: "if (!wordAt(unit).cas(word, makeWord(OWNED, order, generation, self))) return NOTHING;",
  },
  {
    title: "a block lent while the words of its parts are still there",
    scenario: "two processes that put the same crumbs together",
    file: "blocks.ts",
    from: "wordAt(start).store(makeWord(BUSY, order, generation, self));",
    to: "wordAt(start).store(makeWord(OWNED, order, generation, self));",
  },
  {
    title: "parts that are not given back when one cannot be had",
    scenario: "two processes that put the same crumbs together",
    file: "blocks.ts",
    from: "giveBack(start, unit);",
    to: "",
  },
  {
    title: "one look that is taken for the heap at one moment",
    scenario: "an allocator as a model has it, on one block",
    file: "blocks.ts",
    from: "if (quiet && !passMoved && passHash == before) return NOTHING;",
    to: "if (!passMoved) return NOTHING;",
  },
  {
    title: "a reaper that leaves the parts inside a block",
    scenario: "two processes that put the same crumbs together",
    file: "reap.ts",
    from: "eraseParts(unit, orderOf(word), pid);",
    to: "",
  },
  {
    title: "a reaper that frees first and then closes the door",
    scenario: "a block on its way to a process that may end",
    file: "reap.ts",
    from: "if (ownerOf(word) == pid || isStranded(unit, word, pid))",
    to: "if (isStranded(unit, word, pid))",
  },
  {
    title: "a sender that does not look whether the receiver ended meanwhile",
    scenario: "a block on its way to a process that may end",
    file: "transit.ts",
    from: "if (!isAttached(receiver)) return wordAt(unit).cas(sent, word) ? 0 : -1;",
    to: "",
  },
  {
    title: "a reaper that leaves what the dead sent to the dead",
    scenario: "a block on its way to a process that may end",
    file: "reap.ts",
    from: "|| isStranded(unit, word, pid)",
    to: "",
  },
  {
    title: "a block lent again whether or not its receiver has released it",
    scenario: "a block that its sender lends again when its receiver has released it",
    file: "blocks.ts",
    from: "if (wordAt(unit).cas(makeWord(FREE, order, generation, 0), makeWord(OWNED, order, generation, self))) {",
    to: "wordAt(unit).store(makeWord(OWNED, order, generation, self)); if (order < 99) {",
  },
  {
    title: "a handle that stays the same when its block is sent",
    scenario: "a handle that was used up",
    file: "transit.ts",
    from: "const generation = nextGeneration(generationOf(word));",
    to: "const generation = generationOf(word);",
  },
  {
    title: "a handle that stays the same when its block is released",
    scenario: "a handle that was used up",
    file: "api.ts",
    from: "makeWord(FREE, order, nextGeneration(generation), 0)",
    to: "makeWord(FREE, order, generation, 0)",
  },
  {
    title: "a block taken back without a look at who sent it",
    scenario: "a block that goes back to its sender",
    file: "api.ts",
    from: "if (!sentByMe(unit)) return HeapError.NotOwner;",
    to: "",
  },
];

for (const { title, scenario, ...bug } of bugs) test(`${title}: found`, () => isFound(scenario, bug));

async function isFound(title: string, bug: Bug): Promise<void> {
  const { constants, spec, deaths, reaperDeaths } = scenarios.find((scenario) => scenario.title === title)!;
  const image = await heapImage(constants, bug);
  const kills = deaths > 0 && { kills: { max: deaths, reaper: reaperDeaths } };
  const result = await check<HeapApi, HeapVvar>({ ...image, ...spec, ...kills, strategy: exhaustive() });
  expect(result.ok, String(result)).toBe(false);
}
