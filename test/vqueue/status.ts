/** As in vdso-src/vqueue/status.ts, written down once more: a test fails when the numbers that callers know change. */
export const Status = {
  Ok: 0,
  Full: 1,
  Empty: 2,
  TimedOut: 3,
  Range: 4,
  Stale: 5,
  Closed: 6,
  Foreign: 8,
  NotYours: 9,
  NoRoom: 11,
  Exists: 12,
  NoProcess: 13,
} as const;
