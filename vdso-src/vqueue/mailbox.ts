/**
 * Registration: who may receive from a mailbox, and when it can be used again.
 *
 * `owners` has one bit for each process that may receive (`anyone`: others may as well); the mailbox closes when the last one leaves. Each process keeps what it found there
 * in private memory, so that receiving does not look. Death: what its registrar leaves in phase Setup the reaper closes; else it takes the bit out. Who
 * shares says so in `Process.sharing` before: where both die, the reaper of the one that was shared with may have looked before the bit was there.
 */
import { lengthOf, CLAIMED, EMPTY, logOf, slotAt, stateOf, TAKEN, wordOf, wordTurn } from "./ring";
import { clear } from "./map";
import { ARRAY_LEN, Mailbox, PID_WORDS, PROCESSES, START_TURN } from "./layout";
import { boundId, ENDED, indexIn, mailboxAt, me, processAt, setBoundId, setReceivingId, setHead, setTail, touch } from "./process";
import { changePhase, CLOSED, FREE, idOf, inPhase, isOpen, OPEN, openGate, phaseOf, Policy, refusal, SETUP, setupGate, statusOfId } from "./gate";
import { Status } from "./status";
import { wakeAll } from "./waiting";

/** @returns the mailbox's id, or a Status */
export function registerMailbox(policy: Policy, anyone: bool): u32 {
  if (me == 0) return Status.NoProcess;
  for (let index: u32 = 0; index < ARRAY_LEN; index++) {
    const mailbox = mailboxAt(index);
    if (!isUnused(mailbox)) continue;
    // Before the CAS: a reaper that does not look here would leave the mailbox in Setup for ever.
    touch(me, index);
    if (!mailbox.registrar.cas(0, me)) continue;
    if (!isUnused(mailbox)) {
      mailbox.registrar.store(0);
      continue;
    }
    const before = mailbox.gate.load();
    const setup = setupGate(before);
    mailbox.gate.store(setup);
    const isFirst = before == FREE;
    // Words of 0 are those of a lane's first lap.
    const fresh = isFirst && START_TURN == 0;
    if (!fresh && !(renew(mailbox, true, isFirst) && renew(mailbox, false, isFirst))) {
      mailbox.gate.store(inPhase(setup, CLOSED));
      mailbox.registrar.store(0);
      continue;
    }
    resetRest(mailbox, policy, anyone);
    const open = inPhase(setup, OPEN);
    // SYNC mailbox-open: all that was set above; pairs with `mailbox-open` in bind().
    mailbox.gate.store(open);
    mailbox.registrar.store(0);
    const id = idOf(open, index);
    bind(id);
    setReceivingId(index, id);
    return id;
  }
  return Status.NoRoom;
}

function isUnused(mailbox: Mailbox): bool {
  const phase = phaseOf(mailbox.gate.load());
  return phase == FREE || phase == CLOSED;
}

/** What a registrar that died leaves behind. */
export function endRegistration(mailbox: Mailbox, process: u32): void {
  if (mailbox.registrar.load() != process) return;
  const gate = mailbox.gate.load();
  if (phaseOf(gate) == SETUP) changePhase(mailbox, gate, CLOSED);
  mailbox.registrar.cas(process, 0);
}

/** Moves a lane to a lap where nobody ever was, nor believes to be soon. @returns false when somebody still holds a slot */
function renew(mailbox: Mailbox, urgent: bool, isFirst: bool): bool {
  const length = lengthOf(urgent);
  let last = wordTurn(slotAt(mailbox, 0, urgent).word.load());
  for (let index: u32 = 0; index < length; index++) {
    const word = slotAt(mailbox, index, urgent).word.load();
    const state = stateOf(word);
    if (state == CLAIMED || state == TAKEN) return false;
    // Turns wrap with 45 bits: the later of two is the one less than half of that ahead.
    if (<i64>((wordTurn(word) - last) << 19) > 0) last = wordTurn(word);
  }
  // A slot may be in the lap after that, behind the first word of an empty run; and a former user may expect one to come to the next (see lane.ts).
  const turn = isFirst ? START_TURN : last + 3;
  for (let index: u32 = 0; index < length; index++) {
    const word = slotAt(mailbox, index, urgent).word;
    const seen = word.load();
    const state = stateOf(seen);
    // A producer of the registration before can still claim what it saw empty, until the word is changed.
    if (state == CLAIMED || state == TAKEN || !word.cas(seen, wordOf(turn, EMPTY))) return false;
  }
  const position = turn << logOf(urgent);
  if (urgent) {
    mailbox.urgentFirstPosition.store(position);
    mailbox.urgentTailHint.store(position);
    mailbox.urgentHeadHint.store(position);
  } else {
    mailbox.firstPosition.store(position);
    mailbox.tailHint.store(position);
    mailbox.headHint.store(position);
  }
  return true;
}

function resetRest(mailbox: Mailbox, policy: Policy, anyone: bool): void {
  mailbox.policy.store(policy);
  mailbox.anyone.store(u32(anyone));
  mailbox.pid.store(processAt(me).pid.load());
  mailbox.skipped.store(0);
  mailbox.dropped.store(0);
  mailbox.redelivered.store(0);
  mailbox.waits.store(0);
  mailbox.wakeUps.store(0);
  mailbox.highWater.store(0);
  for (let word: u32 = 0; word < PID_WORDS; word++) unchecked(mailbox.owners[word]).store(0);
  clear(mailbox);
  unchecked(mailbox.owners[me >> 6]).store(<u64>1 << (me & 63));
}

/** Readies this process's private data for a mailbox that it has not used under this id. */
export function bind(id: u32): Status {
  if (me == 0) return Status.NoProcess;
  const index = indexIn(id);
  const refused = statusOfId(id);
  if (refused != Status.Ok) return refused;
  touch(me, index);
  const mailbox = mailboxAt(index);
  const tail = boundedPosition(mailbox.tailHint.load(), false);
  const urgentTail = boundedPosition(mailbox.urgentTailHint.load(), true);
  const head = boundedPosition(mailbox.headHint.load(), false);
  const urgentHead = boundedPosition(mailbox.urgentHeadHint.load(), true);
  // SYNC mailbox-open: the hints above are those of this registration if it is still open; pairs with `mailbox-open` in registerMailbox().
  if (!isOpen(mailbox, id)) return statusOfId(id);
  setTail(index, false, tail);
  setTail(index, true, urgentTail);
  setHead(index, false, head);
  setHead(index, true, urgentHead);
  setBoundId(index, id);
  return Status.Ok;
}

/** A hint that somebody spoilt must not lead out of the lane; that it is wrong comes out at its slot. */
function boundedPosition(hint: u64, urgent: bool): u64 {
  const mask = (<u64>1 << logOf(urgent)) - 1;
  return (hint & mask) < <u64>lengthOf(urgent) ? hint : hint & ~mask;
}

/** May this process receive? Remembers a yes. */
export function authorise(id: u32): Status {
  const index = indexIn(id);
  if (index >= ARRAY_LEN) return Status.Range;
  // Bound is not yet open: 0 is what a process is bound to that used no mailbox, and one that it did use may be closed.
  const refused = boundId(index) == id ? statusOfId(id) : bind(id);
  if (refused != Status.Ok) return refused;
  const mailbox = mailboxAt(index);
  if (mailbox.anyone.load() == 0 && !isOwner(mailbox, me)) return Status.Foreign;
  setReceivingId(index, id);
  return Status.Ok;
}

/** May this process close the mailbox, share it, change its map? */
export function authoriseOwner(id: u32): Status {
  const refused = statusOfId(id);
  if (refused != Status.Ok) return refused;
  if (me == 0) return Status.NoProcess;
  return isOwner(mailboxAt(indexIn(id)), me) ? Status.Ok : Status.Foreign;
}

function isOwner(mailbox: Mailbox, process: u32): bool {
  return ((unchecked(mailbox.owners[process >> 6]).load() >> (process & 63)) & 1) != 0;
}

/** Lets another process receive as well. */
export function addOwner(id: u32, pid: u32): Status {
  const refused = authoriseOwner(id);
  if (refused != Status.Ok) return refused;
  const process = pid & 1023;
  if (process == 0 || process >= PROCESSES || processAt(process).pid.load() != pid) return Status.NoProcess;
  const sharing = processAt(me).sharing;
  // SYNC sharing: said before it is done, so that the reaper can undo it where both die; pairs with `sharing` in endSharing().
  sharing.store((<u64>pid << 32) | id);
  const status = addLiving(id, pid, process);
  sharing.store(0);
  return status;
}

function addLiving(id: u32, pid: u32, process: u32): Status {
  const mailbox = mailboxAt(indexIn(id));
  // Its reaper has to look here, also if it never uses the mailbox.
  touch(process, indexIn(id));
  const bit = <u64>1 << (process & 63);
  const before = unchecked(mailbox.owners[process >> 6]).or(bit);
  // SYNC owners: entered first, looked second: it may have died meanwhile, and its reaper been here; pairs with `owners` in reap().
  const isAlive = processAt(process).pid.load() == pid;
  // Or the mailbox is another registration's by now, where it has no business.
  if (isAlive && isOpen(mailbox, id)) return Status.Ok;
  if ((before & bit) == 0) removeOwner(mailbox, process);
  return isAlive ? refusal(mailbox, id) : Status.NoProcess;
}

/** What a process leaves that died while it shared: perhaps an owner that is dead too, and whose reaper has been here before. */
export function endSharing(sharer: u32): void {
  const sharing = processAt(sharer).sharing;
  // SYNC sharing: pairs with `sharing` in addOwner().
  const said = sharing.load();
  const index = indexIn(<u32>said);
  const pid = <u32>(said >> 32);
  const process = pid & 1023;
  if (process != 0 && process < PROCESSES && index < ARRAY_LEN) {
    const found = processAt(process).pid.load();
    if (found == 0 || (found & ENDED) != 0) removeOwner(mailboxAt(index), process);
    // Its place is another's by now, who may be an owner in its own right: but its end must be seen here.
    else if (found != pid) touch(process, index);
  }
  sharing.store(0);
}

/** Takes a process out of those who may receive; closes the mailbox after the last one. */
export function removeOwner(mailbox: Mailbox, process: u32): void {
  const gate = mailbox.gate.load();
  unchecked(mailbox.owners[process >> 6]).and(~(<u64>1 << (process & 63)));
  for (let word: u32 = 0; word < PID_WORDS; word++) {
    if (unchecked(mailbox.owners[word]).load() != 0) return;
  }
  if (phaseOf(gate) == OPEN) closeFrom(mailbox, gate);
}

export function closeMailbox(id: u32): Status {
  const refused = authoriseOwner(id);
  if (refused != Status.Ok) return refused;
  closeFrom(mailboxAt(indexIn(id)), openGate(id));
  return Status.Ok;
}

function closeFrom(mailbox: Mailbox, open: u64): void {
  if (changePhase(mailbox, open, CLOSED)) wakeAll(mailbox);
}
