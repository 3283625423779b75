/** Why a call did not do what it was asked for. Below every address and every mailbox id, so that one number can be either. */
export enum Status {
  Ok,
  /** No slot can be claimed. */
  Full,
  /** Nothing can be taken. */
  Empty,
  /** Time is up. */
  TimedOut,
  /** The id's mailbox does not exist in this image. */
  Range,
  /** The id is of a registration that is over, or never was. */
  Stale,
  /** The mailbox was closed. */
  Closed,
  /** The mailbox was corrupt and is out of use. */
  Corrupt,
  /** The caller may not receive from, or change, this mailbox. */
  Foreign,
  /** The caller has not claimed, or not taken, this slot. */
  NotYours,
  /** Every attempt was overtaken by others; try again. */
  Busy,
  /** All mailboxes, or all entries of the map, are in use. */
  NoRoom,
  /** There is such an entry already. */
  Exists,
  /** The caller has no pid: `processInit` did not run. */
  NoProcess,
  /** A message's length is beyond what an item holds. */
  TooLong,
}
