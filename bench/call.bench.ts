/** What a call of the generated API costs, against the bare export and against a call that everybody knows. */

import bench from "../generated/bench/bench.js";
import { type Group, nanosecondsEach } from "./group.ts";
import { bareExports, loadPackage } from "./package.ts";

const CALLS = 20_000_000;

async function api() {
  const { map } = await loadPackage();
  return (await map(bench)).attach();
}

async function exports() {
  const { map } = await loadPackage();
  return bareExports(bench.image(), (await map(bench)).memory) as Promise<
    {
      tick(): number;
      sum(a: number, b: number): number;
      count(): number;
    } & WebAssembly.Exports
  >;
}

// Each variant has a loop of its own, as in a program: a loop shared by two callees would measure the sharing. Its own arithmetic stays in 32
// bits: an overflow into floating point throws the optimised code away half-way, and what the engine makes next is a matter of luck.
const group: Group = [
  {
    name: "no arguments",
    unit: "ns",
    better: "lower",
    async ours() {
      const { tick } = await api();
      return nanosecondsEach(CALLS, (n) => {
        let last = 0;
        for (let i = 0; i < n; i++) last = (last + tick()) | 0;
        return last;
      });
    },
    peers: {
      async "bare export"() {
        const { tick } = await exports();
        return nanosecondsEach(CALLS, (n) => {
          let last = 0;
          for (let i = 0; i < n; i++) last = (last + (tick() >>> 0)) | 0;
          return last;
        });
      },
      "performance.now()": () =>
        nanosecondsEach(CALLS / 4, (n) => {
          let last = 0;
          for (let i = 0; i < n; i++) last += performance.now();
          return last;
        }),
    },
  },
  {
    name: "two u32",
    unit: "ns",
    better: "lower",
    async ours() {
      const { sum } = await api();
      return nanosecondsEach(CALLS, (n) => {
        let last = 0;
        for (let i = 0; i < n; i++) last = (last + sum(i, 7)) | 0;
        return last;
      });
    },
    peers: {
      async "bare export"() {
        const { sum } = await exports();
        return nanosecondsEach(CALLS, (n) => {
          let last = 0;
          for (let i = 0; i < n; i++) last = (last + (sum(i, 7) >>> 0)) | 0;
          return last;
        });
      },
    },
  },
  {
    name: "atomic add on shared memory",
    unit: "ns",
    better: "lower",
    async ours() {
      const { count } = await api();
      return nanosecondsEach(CALLS, (n) => {
        let last = 0;
        for (let i = 0; i < n; i++) last = (last + count()) | 0;
        return last;
      });
    },
    peers: {
      "Atomics.add"() {
        const words = new Uint32Array(new SharedArrayBuffer(4));
        return nanosecondsEach(CALLS, (n) => {
          let last = 0;
          for (let i = 0; i < n; i++) last = (last + Atomics.add(words, 0, 1)) | 0;
          return last;
        });
      },
    },
  },
];

export default group;
