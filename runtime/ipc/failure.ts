/** What a status of vqueue means to those who call the library: one error each. */
import { Status } from "../../generated/vqueue/vqueue.js";
import { VdsoError, type VdsoErrorCode } from "../errors.ts";

/** Below it, what vqueue returns for an address or an id is a `Status`. */
export const FIRST_ADDRESS = 64;

const FAILURES: Readonly<Record<number, readonly [code: VdsoErrorCode, expected: string, found: string]>> = {
  [Status.Full]: ["ERR_VDSO_MAILBOX_FULL", "space", "a mailbox that is full"],
  [Status.TimedOut]: ["ERR_VDSO_TIMEOUT", "an answer in time", "none"],
  [Status.Range]: ["ERR_VDSO_MAILBOX_ID", "the id of a mailbox of this image", "another number"],
  [Status.Stale]: ["ERR_VDSO_STALE_HANDLE", "an id of a registration that is not over", "a stale one"],
  [Status.Closed]: ["ERR_VDSO_MAILBOX_CLOSED", "an open mailbox", "one that was closed or whose receivers ended"],
  [Status.Corrupt]: ["ERR_VDSO_MAILBOX_CORRUPT", "a sound mailbox", "one in whose words something impossible stands"],
  [Status.Foreign]: ["ERR_VDSO_MAILBOX_FOREIGN", "a mailbox that this process receives from", "another's"],
  [Status.NotYours]: ["ERR_VDSO_SLOT", "a slot that this process holds", "another"],
  [Status.NoRoom]: ["ERR_VDSO_MAILBOX_TABLE", "a free mailbox (ARRAY_LEN) or map entry (MAP_LEN)", "none"],
  [Status.Exists]: ["ERR_VDSO_MAILBOX_EXISTS", "a message type without an entry", "one with"],
  [Status.NoProcess]: ["ERR_VDSO_MAILBOX_PROCESS", "a process that is attached", "none"],
};

/** @param what - `mailbox 1024: send` */
export function failure(status: number, what: string): VdsoError {
  const [code, expected, found] = FAILURES[status] ?? ["ERR_VDSO_MAILBOX_STATUS", "a status", String(status)];
  return new VdsoError(code, `${what}: expected ${expected}, found ${found}`);
}

/** Is the mailbox gone for good, for this id? */
export function isOver(status: number): boolean {
  return status === Status.Closed || status === Status.Stale || status === Status.Corrupt;
}
