/**
 * A process that writes anything anywhere into the vVAR, while CPUs and the kernel go on: every call returns, with a result that has a name, and a CPU
 * without work still comes to rest. Set VSCHED_WRITES for more.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { Failure, NAME_BYTES, type Policy, type VschedApi } from "../../generated/vsched/vsched.js";
import { buildVdso } from "../../runtime/build/index.ts";
import type { VdsoLibrary } from "../../runtime/image/library.ts";
import type { Manifest } from "../../runtime/image/manifest.ts";
import { attach, type Mapping, map } from "../../runtime/index.ts";

const WRITES = Number(process.env["VSCHED_WRITES"] ?? 40_000);
/** After so many writes the vVAR is made anew: most of it is out of use by then. */
const ROUND = 200;
const CALLS_PER_WRITE = 4;
/** Two words of bitmaps, one of them not full. */
const TASKS = 70;
const CPUS = 3;
const FAILURES: readonly number[] = Object.values(Failure);
/** In so many looks a CPU without work has found that there is none: each look before the last one takes something away. */
const LOOKS = 4 * TASKS;

const outDir = mkdtempSync(join(tmpdir(), "vsched-corruption-"));
afterAll(() => rmSync(outDir, { recursive: true, force: true }));

async function smallLibrary(): Promise<VdsoLibrary<VschedApi>> {
  await buildVdso({
    srcDir: join(import.meta.dirname, "..", "..", "vdso-src", "vsched"),
    outDir,
    imageName: "vsched-corrupt",
    config: { TASKS, CPUS, QUEUES: 6, WAIT_CELLS: 2, JOIN_CELLS: 1, DATA_BYTES: 96, NAMES: 3, TRACE_LEN: 8 },
  });
  const { default: library } = (await import(pathToFileURL(join(outDir, "vsched-corrupt.js")).href)) as {
    default: VdsoLibrary<VschedApi>;
  };
  return library;
}

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Where the 32-bit words of one field lie, however often it occurs: each field is hit as often as any other. */
function fieldsOf({ layout }: Manifest): number[][] {
  const structs = new Map(layout.structs.map((struct) => [struct.name, struct]));
  const fields = new Map<string, number[]>();
  const walk = (type: string, base: number, path: string): void => {
    for (const { name, offset, type: inner, size, length = 1, stride = size } of structs.get(type)!.fields) {
      for (let n = 0; n < length; n++) {
        const at = base + offset + n * stride;
        if (structs.has(inner)) walk(inner, at, `${path}.${name}`);
        else {
          const words = fields.get(`${path}.${name}`) ?? [];
          fields.set(`${path}.${name}`, words);
          for (let word = at >>> 2; word <= (at + stride - 1) >>> 2; word++)
            if (words.at(-1) !== word) words.push(word);
        }
      }
    }
  };
  walk(layout.root, layout.address, "");
  return [...fields.values()];
}

test("calls on a vVAR that is overwritten at random end, and say what is wrong", { timeout: 600_000 }, async () => {
  const library = await smallLibrary();
  const below = random(20260);
  const interesting = [0, 1, 0xffffffff, 0x80000000, 0x3ff, 0x10000, TASKS, CPUS, 7, 0x4000, 0x4001];
  const outcomes = new Set<number>();
  const unknown = new Set<string>();

  for (let written = 0; written < WRITES; ) {
    const mapping = (await map(library, { managed: true })) as Mapping<VschedApi>;
    const words = new Uint32Array(mapping.memory.buffer);
    const fields = fieldsOf(mapping.manifest);
    const peers = [2, 3, 4].map((pid) => attach(library, mapping.handle, { pid }));
    peers[0]!.configure(below(4) as Policy, 3);
    for (const cpu of peers.slice(0, 2)) cpu.startCpu(below(4) !== 0);
    peers[0]!.setTrace(below(2) === 0);
    let now = 1000;
    const queues = [
      peers[0]!.createQueue(true),
      peers[1]!.createMutex(true),
      peers[0]!.createSemaphore(1, true),
      peers[1]!.createEvent(true),
      peers[0]!.createBarrier(),
    ];
    const ids: number[] = [];
    const anyId = (): number => (below(16) === 0 ? below(2 ** 32) : (ids[below(ids.length)] ?? 0));
    const anyQueue = (): number => (below(16) === 0 ? below(2 ** 32) : queues[below(queues.length)]!);
    const deadline = (): number => (below(2) === 0 ? 0 : now + below(50));
    const affinity = (): number => (below(2) === 0 ? 0xffffffff : below(8));
    const keep = (id: number): number => {
      if (id >= 0) ids[below(40)] = id;
      return Math.min(id, 0);
    };

    let api = peers[0]!;
    const calls: Record<string, () => unknown> = {
      setNow: () => {
        now += below(20);
        api.setNow(now);
      },
      startCpu: () => api.startCpu(below(4) !== 0),
      stopCpu: () => (below(8) === 0 ? api.stopCpu() : 0),
      pickNext: () => keep(api.pickNext()),
      runNext: () => keep(api.runNext(now)),
      exitNext: () => keep(api.exitNext(3, now)),
      yieldNext: () => keep(api.yieldNext(now)),
      steal: () => api.steal(),
      tick: () => api.tick(),
      yieldNow: () => api.yieldNow(),
      preempt: () => api.preempt(),
      park: () => api.park(0),
      waitHere: () => api.waitHere(0),
      expire: () => api.expire(below(2) === 0),
      ringCpu: () => api.ringCpu(below(4)),
      loadOf: () => Math.min(api.loadOf(below(4)), 0),
      cpuStats: () => void api.cpuStats(below(4)),
      create: () => keep(api.create(1, 0, below(40) - 20, affinity(), below(4) === 0, below(2) === 0, below(2) === 0)),
      spawn: () => keep(api.spawn(1, 0, below(64), affinity(), below(4) === 0, below(2) === 0, below(2) === 0)),
      start: () => api.start(anyId()),
      bind: () => api.bind(),
      exit: () => api.exit(5),
      takeFinished: () => keep(api.takeFinished()),
      release: () => api.release(anyId()),
      cancel: () => api.cancel(anyId()),
      isCancelled: () => api.isCancelled(anyId()),
      join: () => api.join(anyId(), deadline()),
      joins: () => Math.min(api.joins(anyId()), 0),
      stateOfTask: () => api.stateOfTask(anyId()),
      whyOfTask: () => api.whyOfTask(anyId()),
      whyEnded: () => api.whyEnded(anyId()),
      exitCode: () => void api.exitCode(anyId()),
      kindOf: () => void api.kindOf(anyId()),
      entryOf: () => void api.entryOf(anyId()),
      dataBytes: () => api.dataBytes(anyId()),
      setDataBytes: () => api.setDataBytes(anyId(), below(200)),
      setPriority: () => api.setPriority(anyId(), below(64) - 20),
      setAffinity: () => api.setAffinity(anyId(), affinity()),
      migrate: () => api.migrate(anyId(), below(4)),
      taskStats: () => api.taskStats(anyId()).state,
      prepareWait: () => api.prepareWait(deadline(), below(2) === 0),
      cancelWait: () => api.cancelWait(),
      block: () => api.block(),
      unblock: () => api.unblock(anyId(), below(5) - 1, below(2) === 0),
      closeQueue: () => (below(16) === 0 ? api.closeQueue(anyQueue()) : 0),
      createQueue: () => {
        if (below(8) !== 0) return 0;
        const id = api.createQueue(below(2) === 0);
        if (id > 0) queues[below(queues.length)] = id;
        return Math.min(id, 0);
      },
      waitOn: () => api.waitOn(anyQueue(), deadline()),
      notifyOne: () => api.notifyOne(anyQueue()),
      notifyAll: () => api.notifyAll(anyQueue()),
      notifyTask: () => api.notifyTask(anyQueue(), anyId()),
      requeue: () => api.requeue(anyQueue(), anyQueue(), below(5)),
      lengthOf: () => api.lengthOf(anyQueue()),
      tryLock: () => api.tryLock(anyQueue()),
      lock: () => api.lock(anyQueue(), deadline()),
      unlock: () => api.unlock(anyQueue()),
      tryAcquire: () => api.tryAcquire(anyQueue()),
      lend: () => api.lend(below(2) === 0),
      setFull: () => api.setFull(below(4) === 0),
      taskFrom: () => void api.taskFrom(below(2 * TASKS)),
      valueOf: () => Math.min(api.valueOf(anyQueue()), 0),
      tryLockFor: () => api.tryLockFor(anyQueue(), anyId()),
      unlockFor: () => api.unlockFor(anyQueue(), anyId()),
      withdraw: () => api.withdraw(anyQueue(), below(3)),
      acquire: () => api.acquire(anyQueue(), deadline()),
      releasePermits: () => api.releasePermits(anyQueue(), below(3)),
      waitEvent: () => api.waitEvent(anyQueue(), deadline()),
      setEvent: () => api.setEvent(anyQueue()),
      resetEvent: () => api.resetEvent(anyQueue()),
      arrive: () => Math.min(api.arrive(anyQueue(), below(4)), 0),
      waitBarrier: () => api.waitBarrier(anyQueue(), below(3), deadline()),
      traced: () => void [api.traced(), api.traceWhat(below(2 ** 32)), api.traceWhere(below(2 ** 32))],
      nameNumber: () => api.nameNumber(`f${below(5)}`),
      nameOf: () => void expect(api.nameOf(below(4)).length).toBeLessThanOrEqual(NAME_BYTES),
      drop: () => (below(8) === 0 ? mapping.drop(2 + below(4)) : undefined),
    };
    const names = Object.keys(calls);

    for (let k = 0; k < ROUND && written < WRITES; k++, written++) {
      const field = fields[below(fields.length)]!;
      // The first of many are those in use.
      const at = field[below(2) === 0 ? below(field.length) : below(Math.min(field.length, 8))]!;
      words[at] = below(2) === 0 ? interesting[below(interesting.length)]! : words[at]! ^ (1 << below(32));
      for (let n = 0; n < CALLS_PER_WRITE; n++) {
        api = peers[below(peers.length)]!;
        const name = names[below(names.length)]!;
        const result = Number(calls[name]!() ?? 0);
        // The largest that is counted: permits, tasks, ticks of a phase.
        if (FAILURES.includes(result)) outcomes.add(result);
        else if (!(result >= 0)) unknown.add(`${name}: ${result}`);
      }
    }

    // What has been written stays; nobody writes more.
    for (api of peers) {
      if (api.bellAddress() === 0) continue;
      now += 100_000;
      api.setNow(now);
      let looks = 0;
      for (; looks < LOOKS; looks++) {
        if (api.exit(0) === 0 || api.cancelWait() === 0) continue;
        while (api.takeFinished() !== 0);
        if (api.expire(true) > 0 || api.pickNext() !== 0) continue;
        api.prepareIdle();
        const rests = !api.hasWork() && api.idleMs() !== 0;
        api.endIdle();
        if (rests) break;
      }
      expect(looks).toBeLessThan(LOOKS);
    }
    for (const pid of [2, 3, 4]) mapping.drop(pid);
  }
  expect([...unknown]).toEqual([]);
  for (const failure of FAILURES) expect(outcomes).toContain(failure);
});
