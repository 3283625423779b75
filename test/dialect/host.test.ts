import { describe, expect, test } from "vitest";
import { VdsoPanic } from "../../runtime/errors.ts";
import { expectCode } from "../expect-code.ts";
import { type Api, run } from "./vdso.ts";

const SOURCE = {
  "api.ts": `
    import { tell } from "./below";
    import * as below from "./below";
    export enum Mode { Idle, Busy = 4 }
    @vvar class VvarData { total: Atomic<u32>; }
    const shared = vvarRoot<VvarData>();

    /** What the host does. */
    @host declare class Observer {
      /** The time. */
      static now(): f64;
      static mix(a: u8, b: i64, c: f32, d: bool, e: Mode, f: string): string;
      static modeOf(n: u32): Mode;
      static nothing(): void;
      static maybe(text: string | null): string | null;
      changed(value: u64): bool;
      note(text: string, mode: Mode): string;
      child(): Observer;
      store(load: u32): u32;
    }
    let kept: Observer = changetype<Observer>(0);

    export function now(): f64 { return Observer.now(); }
    export function mix(): string { return Observer.mix(255, -1, 0.5, true, Mode.Busy, "é😀"); }
    export function modeOf(n: u32): Mode { return Observer.modeOf(n); }
    export function maybe(text: string | null): string | null { return Observer.maybe(text); }
    export function changed(o: Observer, value: u64): bool { Observer.nothing(); return o.changed(value); }
    export function note(o: Observer, text: string): string { return o.note(text, Mode.Idle); }
    export function nephew(o: Observer, value: u64): bool { return o.child().child().changed(value); }
    export function keep(o: Observer): void { o.retain(); kept = o; }
    export function use(value: u64): bool { return kept.changed(value); }
    export function letGo(): void { kept.release(); }
    export function hygiene(o: Observer): u32 { return o.store(5); }
    export function elsewhere(o: below.Listener): u32 { return tell(o, 6); }
    export function back(o: Observer): Observer { return o; }

    @apistruct class Snapshot { n: u32; text: string; inner: Option<u32>; }
    export function outer(depth: u32): Snapshot {
      const mine = new Snapshot();
      mine.n = depth;
      mine.inner = Option.some(depth * 10);
      const text = Observer.mix(<u8>depth, 0, 0, false, Mode.Idle, "nested");
      mine.text = text;
      return mine;
    }
    export function burn(n: u32): Option<u32> { for (let i: u32 = 0; i < n; i++) new Snapshot(); return Option.some(n); }
  `,
  "below.ts": `
    @host export declare class Listener { heard(n: u32): u32; }
    export function tell(o: Listener, n: u32): u32 { return o.heard(n); }
  `,
};

const statics = {
  now: () => 1.25,
  mix: (...args: unknown[]) => args.map(String).join(),
  modeOf: (n: number) => (n === 0 ? 0 : 4),
  nothing: () => {},
  maybe: (text: string | null) => (text === null ? "null" : null),
};

class Observer {
  readonly seen: unknown[] = [];
  changed(value: bigint): boolean {
    this.seen.push(value);
    return value > 5n;
  }
  note(text: string, mode: number): string {
    return `${text}/${mode}`;
  }
  child(): Observer {
    return this;
  }
  store(load: number): number {
    return load * 2;
  }
}

test("static functions and methods take and return every type", async () => {
  const { api, dts } = await run(SOURCE, { host: { Observer: statics } });
  const observer = new Observer();
  expect(api["now"]!()).toBe(1.25);
  expect(api["mix"]!()).toBe("255,-1,0.5,true,4,é😀");
  expect([api["modeOf"]!(0), api["modeOf"]!(1)]).toEqual([0, 4]);
  expect([api["maybe"]!(null), api["maybe"]!("x")]).toEqual(["null", null]);
  expect([api["changed"]!(observer, 5n), api["changed"]!(observer, 1n << 63n)]).toEqual([false, true]);
  expect(observer.seen).toEqual([5n, 1n << 63n]);
  expect(api["note"]!(observer, "ü")).toBe("ü/0");
  expect(api["nephew"]!(observer, 9n)).toBe(true);
  expect(api["hygiene"]!(observer)).toBe(10);
  expect(api["elsewhere"]!({ heard: (n: number) => n + 1 })).toBe(7);
  expect(api["back"]!(observer)).toBe(observer);
  expect(dts).toContain("/** What the host does. */");
  expect(dts).toContain("/** The time. */");
});

test("handles last for the call unless they are retained, and until they are released", async () => {
  const { api, another } = await run(SOURCE, { host: { Observer: statics } });
  const observer = new Observer();
  api["keep"]!(observer);
  expect(api["use"]!(6n)).toBe(true);
  api["letGo"]!();
  await expectCode("ERR_VDSO_PANIC", () => api["use"]!(6n));
  const other = another();
  await expectCode("ERR_VDSO_INTERFACE", () => other["changed"]!({}, 1n));
});

test("results of the wrong type and implementations that lack a function are refused by name", async () => {
  const { api, another } = await run(SOURCE, {
    host: { Observer: { ...statics, now: () => "late", modeOf: () => 3 } },
  });
  await expectCode("ERR_VDSO_HOST_RESULT", () => api["now"]!());
  await expectCode("ERR_VDSO_HOST_RESULT", () => another()["modeOf"]!(1));
  const error = await expectCode("ERR_VDSO_INTERFACE", () => another({ host: { Observer: { now: statics.now } } }));
  expect(error.message).toContain("Observer.mix");
});

describe("a host that calls the image again", () => {
  const nesting = async (inside: (api: Api, depth: number) => unknown): Promise<Api> => {
    let api: Api = {};
    const mix = (depth: number): string => String(inside(api, depth));
    ({ api } = await run(SOURCE, { host: { Observer: { ...statics, mix } } }));
    return api;
  };

  test("leaves the temporaries of the call that it interrupts alone, however many it makes", async () => {
    const api = await nesting((again, depth) => {
      for (let i = 0; i < 50; i++) again["burn"]!(1000);
      return depth === 1 ? "end" : JSON.stringify(again["outer"]!(depth - 1));
    });
    expect(api["outer"]!(3)).toEqual({
      n: 3,
      inner: 30,
      text: JSON.stringify({ n: 2, text: JSON.stringify({ n: 1, text: "end", inner: 10 }), inner: 20 }),
    });
    expect(api["burn"]!(3)).toBe(3);
  });

  test("panics rather than overwriting them when it goes too deep", async () => {
    const api = await nesting((again, depth) => JSON.stringify(again["outer"]!(depth + 1)));
    const error = await expectCode("ERR_VDSO_PANIC", () => api["outer"]!(1));
    expect(error.message).toContain("call each other too deep");
  });

  test("may throw: the call ends, and the next has all temporaries", async () => {
    let calls = 0;
    const api = await nesting((again) => {
      if (++calls % 5 !== 0) return again["outer"]!(1);
      throw new Error("host failed");
    });
    for (let i = 0; i < 20; i++) await expect(async () => api["outer"]!(1)).rejects.toThrow(/host failed|too deep/);
  });
});

test("a panic in a nested call is the death of the outer ones too", async () => {
  const died = await run(
    `@vvar class VvarData { n: u32; } const shared = vvarRoot<VvarData>();
    @host declare class Again { static call(n: u32): u32; }
    export function down(n: u32): u32 { if (n == 0) panic("bottom {}", n); return Again.call(n - 1); }`,
    { host: { Again: { call: (n: number) => died.api["down"]!(n) } } },
  );
  expect(() => died.api["down"]!(3)).toThrow(VdsoPanic);
  await expectCode("ERR_VDSO_DEAD", () => died.api["down"]!(3));
});
