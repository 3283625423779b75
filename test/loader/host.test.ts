import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import type { LibraryRuntime } from "../../runtime/image/library.ts";
import { HostObjects } from "../../runtime/loader/host-objects.ts";
import { type Mapping, map } from "../../runtime/loader/map.ts";
import { expectCode } from "../expect-code.ts";
import { loadSample, type SampleApi, type SampleHost, sampleHost, Watcher } from "./sample.ts";

const { library } = await loadSample();

let mapping: Mapping<SampleApi, SampleHost>;

beforeEach(async () => {
  mapping = await map(library);
});

describe("interfaces", () => {
  test("are called as members of what the process supplied", () => {
    const clock = {
      time: 12.5,
      now() {
        return this.time;
      },
      greet: (whom: string) => `${whom}!`,
      self: () => new Watcher(),
    };
    const api = mapping.attach({ host: { Observer: clock } });
    expect(api["now"]!()).toBe(12.5);
    expect(api["greet"]!("you")).toBe("you!");
  });

  test("call methods on the objects passed, with effects on them", () => {
    const api = mapping.attach({ host: sampleHost() });
    const watcher = new Watcher();
    expect(api["tell"]!(watcher, 2n ** 64n - 1n)).toBe(true);
    expect(api["tell"]!(watcher, 2n)).toBe(false);
    expect(watcher.seen).toEqual([2n ** 64n - 1n, 2n]);
  });

  test("may return host objects", () => {
    const watcher = new Watcher();
    const api = mapping.attach({ host: sampleHost({ self: () => watcher }) });
    expect(api["selfChanged"]!(3n)).toBe(true);
    expect(watcher.seen).toEqual([3n]);
  });

  test("return strings that stay whole while more of them are returned", () => {
    const api = mapping.attach({ host: sampleHost({ greet: (whom) => whom.repeat(10) }) });
    for (let round = 0; round < 100; round++) expect(api["greet"]!("abc")).toBe("abc".repeat(10));
  });

  test.each<[string, Partial<SampleHost["Observer"]>, () => unknown[], string]>([
    ["now", { now: () => "1" }, () => [], 'expected Observer.now to return number (f64), found "1"'],
    ["now", { now: () => undefined }, () => [], "found undefined"],
    ["greet", { greet: () => 5 }, () => ["x"], "expected Observer.greet to return string, found 5"],
    ["greet", { greet: () => "x".repeat(5000) }, () => ["x"], "expected Observer.greet to return a value of at most"],
    ["tell", {}, () => [{ changed: () => 1 }, 1n], "expected Observer#changed to return boolean, found 1"],
  ])("have their results checked: %s", async (name, changes, args, message) => {
    const api = mapping.attach({ host: sampleHost(changes) });
    const error = await expectCode("ERR_VDSO_HOST_RESULT", () => api[name]!(...args()));
    expect(error.message).toContain(message);
    expect(api["add"]!(1, 2)).toBe(3);
  });

  test("that return an object without methods are refused", async () => {
    const api = mapping.attach({ host: sampleHost({ self: () => ({}) }) });
    await expectCode("ERR_VDSO_INTERFACE", () => api["selfChanged"]!(1n));
  });

  test("may call back into the image, whose temporaries survive that", () => {
    const api: SampleApi = mapping.attach({
      host: sampleHost({
        greet(whom) {
          api["moveCursor"]!(9999);
          return whom === "end" ? "end" : `${whom} ${api["greet"]!("end")} ${api["echoText"]!("echo")}`;
        },
      }),
    });
    api["moveCursor"]!(77);
    expect(api["greet"]!("outer")).toBe("outer end echo");
    expect(api["cursor"]!()).toBe(77);
  });
});

describe("handles", () => {
  test("are stale after the call that passed them: using one is a panic", async () => {
    const api = mapping.attach({ host: sampleHost() });
    api["hold"]!(new Watcher());
    const error = await expectCode("ERR_VDSO_PANIC", () => api["tellKept"]!(1n));
    expect(error.message).toContain("stale handle");
  });

  test("are valid after the call when the image retains them, until it releases them", async () => {
    const api = mapping.attach({ host: sampleHost() });
    const watcher = new Watcher();
    api["keep"]!(watcher);
    for (let round = 0; round < 100; round++) api["tell"]!(new Watcher(), 1n);
    expect(api["tellKept"]!(5n)).toBe(true);
    expect(api["kept"]!()).toBe(watcher);
    expect(watcher.seen).toEqual([5n]);
    api["letGo"]!();
    await expectCode("ERR_VDSO_PANIC", () => api["tellKept"]!(1n));
  });

  test("released more often than retained are a panic", async () => {
    const api = mapping.attach({ host: sampleHost() });
    api["keep"]!(new Watcher());
    api["letGo"]!();
    await expectCode("ERR_VDSO_PANIC", () => api["letGo"]!());
  });

  test("are given back also when the call fails, and when a later argument is refused", () => {
    const given: unknown[] = [];
    const failing: LibraryRuntime = {
      exports: {
        tell() {
          throw new Error("no");
        },
      },
      memory: new WebAssembly.Memory({ initial: 1 }),
      host: {},
      dead: undefined,
      lend: () => 7,
      giveBack: (handle) => given.push(handle),
      object: () => ({}),
      badArgument() {
        throw new Error("bad");
      },
      badNull() {
        throw new Error("null");
      },
      trapped: (error) => error,
    };
    const api = library.bind(failing);
    expect(() => api["tell"]!(new Watcher(), 1n)).toThrow("no");
    expect(given).toEqual([7]);
    expect(() => api["tell"]!(new Watcher(), 1)).toThrow("bad");
    expect(given).toEqual([7]);
  });
});

describe("the table of host objects", () => {
  test("behaves as a map from numbers that are never given out twice", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(4), fc.nat(40)), { maxLength: 200 }), (steps) => {
        const table = new HostObjects();
        const model = new Map<number, { object: object; lent: boolean; retained: number }>();
        const given: number[] = [];
        const settle = (handle: number): void => {
          const entry = model.get(handle);
          if (entry && !entry.lent && entry.retained === 0) model.delete(handle);
        };
        for (const [step, which] of steps) {
          const handle = given[which % Math.max(1, given.length)] ?? 12345;
          const entry = model.get(handle);
          if (step <= 1) {
            const object = {};
            const fresh = table.lend(object);
            expect(given).not.toContain(fresh);
            given.push(fresh);
            model.set(fresh, { object, lent: true, retained: 0 });
          } else if (step === 2) {
            table.giveBack(handle);
            if (entry) entry.lent = false;
          } else if (step === 3) {
            expect(table.retain(handle)).toBe(entry !== undefined);
            if (entry) entry.retained++;
          } else {
            expect(table.release(handle)).toBe(entry !== undefined && entry.retained > 0);
            if (entry && entry.retained > 0) entry.retained--;
          }
          settle(handle);
          for (const one of given) expect(table.get(one)).toBe(model.get(one)?.object);
          expect(table.size).toBe(model.size);
        }
        table.giveBackAll();
        expect(table.size).toBe([...model.values()].filter((entry) => entry.retained > 0).length);
      }),
      { numRuns: 200 },
    );
  });
});
