/** Random programs of services, callbacks, results one by one and ends against a model that says what each caller may be told. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { connect, expose, type Remote, type Service, withOptions } from "../../runtime/ipc/service.ts";
import { type Party, settle, system } from "./system.ts";

const PARTIES = 3;
const party = fc.nat(PARTIES - 1);
const kinds = ["echo", "fail", "count", "early", "left", "late", "visit", "give", "abort", "time", "missing"] as const;
const step = fc.record({
  kind: fc.oneof(
    { weight: 12, arbitrary: fc.constantFrom(...kinds) },
    { weight: 2, arbitrary: fc.constant("turn" as const) },
    { weight: 2, arbitrary: fc.constantFrom("dispose" as const, "close" as const, "die" as const) },
  ),
  from: party,
  to: party,
  size: fc.constantFrom(0, 1, 3, 40, 2000),
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

function api() {
  const left = { count: 0 };
  const wait = (signal: AbortSignal): Promise<never> =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  return {
    left,
    echo: (value: unknown) => value,
    fail(size: number): never {
      throw new RangeError(`no: ${size}`);
    },
    async *count(to: number) {
      try {
        for (let n = 0; n < to; n++) yield { n, pad: "x".repeat(n % 90) };
      } finally {
        left.count++;
      }
    },
    async visit(size: number, callback: (n: number) => Promise<number>) {
      let sum = 0;
      for (let n = 0; n < size; n++) sum += await callback(n);
      return sum;
    },
    give: (size: number) => async (n: number) => n + size,
    wait,
  };
}
type Api = Omit<ReturnType<typeof api>, "left">;

/** What a caller may be told of an end. */
const ENDS = ["ERR_VDSO_PEER_GONE", "ERR_VDSO_NO_ENTITY", "ERR_VDSO_CLOSED"];

async function read(
  results: AsyncIterable<{ n: number; pad: string }>,
  most = Number.POSITIVE_INFINITY,
): Promise<number> {
  let next = 0;
  for await (const { n, pad } of results) {
    expect([n, pad.length]).toEqual([next, next % 90]);
    if (++next === most) break;
  }
  return next;
}

async function failure(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (value) => {
      throw new Error(`expected an error, found ${String(value)}`);
    },
    (error: unknown) => error,
  );
}

/** Calls, and judges what comes of it. */
async function call(kind: (typeof kinds)[number], remote: Remote<Api>, size: number): Promise<void> {
  const short = Math.min(size, 60);
  const judge = (error: unknown, expected: object): void => {
    if (ENDS.includes((error as { code: string }).code)) throw error;
    expect(error).toMatchObject(expected);
  };
  switch (kind) {
    case "echo": {
      const value = { size, text: "x".repeat(size), list: [size, null] };
      expect(await remote.echo(value)).toEqual(value);
      return;
    }
    case "fail":
      judge(await failure(remote.fail(size)), { name: "RangeError", message: `no: ${size}` });
      return;
    case "count":
      expect(await read(remote.count(short))).toBe(short);
      return;
    case "late": {
      const results = remote.count(short);
      // Who has not begun to read is told of errors like everybody.
      (results as unknown as Promise<unknown>).catch(() => undefined);
      await turn();
      await turn();
      expect(await read(results)).toBe(short);
      return;
    }
    case "early":
      expect(await read(remote.count(1e9), 1 + short)).toBe(1 + short);
      return;
    case "left":
      await remote.count(1e9)[Symbol.asyncIterator]().return?.();
      return;
    case "visit": {
      let next = 0;
      const visit = async (n: number): Promise<number> => {
        expect(n).toBe(next++);
        return n * 2;
      };
      expect(await remote.visit(short, visit)).toBe(short < 2 ? 0 : short * (short - 1));
      return;
    }
    case "give": {
      const add = await remote.give(size);
      expect(await add(5)).toBe(size + 5);
      return;
    }
    case "abort": {
      const abort = new AbortController();
      const reason = new RangeError("enough");
      void turn().then(() => abort.abort(reason));
      const error = await failure(remote.wait(abort.signal));
      if (error !== reason) throw error;
      return;
    }
    case "time":
      judge(await failure(withOptions(remote, { timeoutMs: 1 }).wait(new AbortController().signal)), {
        code: "ERR_VDSO_TIMEOUT",
      });
      return;
    case "missing": {
      const { missing } = remote as unknown as { missing(): Promise<unknown> };
      judge(await failure(missing()), { code: "ERR_VDSO_NO_METHOD" });
      return;
    }
  }
}

test("every call of a service is answered with what is its own, or told why not; nothing is left", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 30 }), async (program) => {
      const { party: open, heap } = await system();
      const parties: Party[] = Array.from({ length: PARTIES }, () => open());
      const services: Service[] = [];
      for (const [at, { ipc }] of parties.entries()) services.push(await expose(ipc, `service ${at}`, api()));
      const remotes = await Promise.all(
        parties.map(({ ipc }) => Promise.all(parties.map((_, at) => connect<Api>(ipc, `service ${at}`)))),
      );
      const ended = new Set<number>();
      /** Whose calls, and calls to whom, may be rejected. */
      const unsteady = new Set<number>();
      const dead = new Set<number>();
      const outcomes: { readonly from: number; readonly judged: Promise<void> }[] = [];
      for (const { kind, from, to, size } of program) {
        if (kind === "turn") await turn();
        else if (kind === "dispose") {
          unsteady.add(to);
          services[to]![Symbol.dispose]();
        } else if (kind === "close" || kind === "die") {
          if (ended.size + 1 === PARTIES || ended.has(to)) continue;
          ended.add(to);
          unsteady.add(to);
          if (kind === "close") parties[to]!.ipc.close();
          else {
            dead.add(to);
            parties[to]!.die();
          }
        } else if (!ended.has(from)) {
          const judged = call(kind, remotes[from]![to]!, size).catch((error: { code?: string }) => {
            if (!unsteady.has(from) && !unsteady.has(to)) throw error;
            expect(ENDS).toContain(error.code);
          });
          judged.catch(() => undefined);
          outcomes.push({ from, judged });
        }
      }
      // The dead are told nothing.
      await Promise.all(outcomes.map(({ from, judged }) => (dead.has(from) ? undefined : judged)));
      await settle();
      for (const [at, { ipc }] of parties.entries()) {
        if (ended.has(at)) continue;
        expect(ipc.stats()).toMatchObject({ pendingCalls: 0, waitingToSend: 0, refused: 0, kept: 0 });
      }
      for (const { ipc } of parties) ipc.close();
      const { ownedBlocks, sentBlocks } = heap.attach({ pid: 900 }).stats();
      expect({ ownedBlocks, sentBlocks }).toEqual({ ownedBlocks: 0, sentBlocks: 0 });
    }),
    { numRuns: 60 },
  );
});
