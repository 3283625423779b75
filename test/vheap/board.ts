/** Where the processes of a test leave handles for each other. */
export interface Shared {
  readonly words: SharedArrayBuffer;
  readonly pids: SharedArrayBuffer;
  readonly deaths: SharedArrayBuffer;
  readonly slots: SharedArrayBuffer;
}

/** Places in `words`, and the number of messages that wait for one process at most. */
export const Word = { phase: 0, deaths: 1, failures: 2, steps: 3, stopped: 4, slots: 4 } as const;

export function newBoard(processes: number, deaths: number): Shared {
  return {
    words: new SharedArrayBuffer(5 * 4),
    pids: new SharedArrayBuffer(processes * 4),
    deaths: new SharedArrayBuffer(deaths * 4),
    slots: new SharedArrayBuffer(processes * Word.slots * 8),
  };
}

export function board(shared: Shared) {
  return {
    words: new Int32Array(shared.words),
    pids: new Int32Array(shared.pids),
    deaths: new Int32Array(shared.deaths),
    slots: new BigInt64Array(shared.slots),
  };
}
