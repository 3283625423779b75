// One end of a queue, ours or another's: fills or sums up items of 11 doubles (88 bytes), the whole payload each time.
import { parentPort, workerData } from "node:worker_threads";
import { RingBuffer } from "ringbuf.js";
import { attach, vvarOf } from "../../dist/runtime/index.js";
import vqueue, { QUEUE_LEN, SLOT_BYTES } from "../../generated/vqueue/vqueue.js";
import { pin } from "./pin.ts";

const WORDS = 11;
const END = 0xffffffff;
/** From it on, what claimMany and takeMany return says why there is nothing. */
const FAILED = 0x80000000;
/** Looks before a rest. More are a loss where there are more threads than cores: who looks has the core of the one it waits for. */
const SPINS = 12;
/** Some ten microseconds: the other side gets ahead by many items, and both are faster for it. */
const PAUSES = 256;

const { role, kind, items, consumers, producers, gate, handle, queue, batch, rings, ports, array } = workerData;
const nap = new Int32Array(new SharedArrayBuffer(4));
const READY = 0;
const GO = 1;
const FINISHED = 2;

/** Between two looks: a look takes the line that the other side is about to write. */
function pause() {
  for (let k = 0; k < PAUSES; k++) Atomics.pause();
}

/** For rings, which cannot wait: as short a sleep as there is. */
function rest(tries) {
  if (tries > SPINS) Atomics.wait(nap, 0, 0, 0.05);
  else pause();
}

// Eleven doubles a call, without a loop and added up in pairs: a loop, and one long chain of additions, cost more than the queues that are compared.

function fill(words, at, value) {
  words[at] = value;
  words[at + 1] = value + 1;
  words[at + 2] = value + 2;
  words[at + 3] = value + 3;
  words[at + 4] = value + 4;
  words[at + 5] = value + 5;
  words[at + 6] = value + 6;
  words[at + 7] = value + 7;
  words[at + 8] = value + 8;
  words[at + 9] = value + 9;
  words[at + 10] = value + 10;
}

function sum(words, at) {
  const first = words[at] + words[at + 1] + (words[at + 2] + words[at + 3]);
  const second = words[at + 4] + words[at + 5] + (words[at + 6] + words[at + 7]);
  return first + second + (words[at + 8] + words[at + 9] + words[at + 10]);
}

/** Of all items. In memory: as a variable of a loop that is compiled while it runs, each new value of it is an object. */
const total = new Float64Array(1);

function vqueueEnds(api = attach(vqueue, handle), words = new Float64Array(vvarOf(api))) {
  return {
    send(value) {
      let item = api.claim(queue);
      for (let tries = 0; item < 64; item = api.claim(queue)) {
        if (++tries > SPINS) api.waitForSpace(queue, 10);
        else pause();
      }
      fill(words, item >>> 3, value);
      api.commit(queue, item);
    },
    sendEnd() {
      if (Atomics.add(gate, FINISHED, 1) !== producers - 1) return;
      for (let i = 0; i < consumers; i++) this.send(END);
    },
    receiveAll() {
      while (true) {
        let item = api.take(queue);
        for (let tries = 0; item < 64; item = api.take(queue)) {
          if (++tries > SPINS) api.waitForItem(queue, 10);
          else pause();
        }
        const at = item >>> 3;
        const end = words[at] === END;
        if (!end) total[0] += sum(words, at);
        api.release(queue, item);
        if (end) return;
      }
    },
  };
}

/** Batches: one call for many slots, which follow one another. */
function vqueueBatchEnds() {
  const api = attach(vqueue, handle);
  const words = new Float64Array(vvarOf(api));
  const stride = SLOT_BYTES >>> 3;
  const first = api.firstItem(queue) >>> 3;
  const end = first + QUEUE_LEN * stride;
  return {
    sendAll() {
      for (let sent = 0, tries = 0; sent < items; ) {
        const got = api.claimMany(queue, Math.min(batch, items - sent));
        if (got >= FAILED) {
          if (++tries > SPINS) api.waitForSpace(queue, 10);
          else pause();
          continue;
        }
        tries = 0;
        const start = api.lastIndex();
        for (let k = 0, at = first + start * stride; k < got; k++) {
          fill(words, at, sent++);
          at += stride;
          if (at === end) at = first;
        }
        api.commitMany(queue, start, got);
      }
    },
    receiveAll() {
      for (let received = 0, tries = 0; received < items; ) {
        const got = api.takeMany(queue, batch);
        if (got >= FAILED) {
          if (++tries > SPINS) api.waitForItem(queue, 10);
          else pause();
          continue;
        }
        tries = 0;
        const item = api.lastAddress();
        for (let k = 0, at = item >>> 3; k < got; k++) {
          total[0] += sum(words, at);
          at += stride;
          if (at === end) at = first;
        }
        api.releaseMany(queue, item);
        received += got;
      }
    },
  };
}

function ringEnds() {
  const buffers = rings.map((storage) => new RingBuffer(storage, Float64Array));
  const item = new Float64Array(WORDS);
  let turn = 0;
  const push = (buffer) => {
    for (let tries = 0; buffer.push(item) === 0; ) rest(++tries);
  };
  return {
    send(value) {
      fill(item, 0, value);
      push(buffers[turn]);
      turn = (turn + 1) % buffers.length;
    },
    sendEnd() {
      fill(item, 0, END);
      for (const buffer of buffers) push(buffer);
    },
    receiveAll() {
      for (let open = buffers.length, tries = 0; open > 0; turn = (turn + 1) % buffers.length) {
        if (buffers[turn].pop(item) === 0) rest(++tries);
        else {
          tries = 0;
          if (item[0] === END) open--;
          else total[0] += sum(item, 0);
        }
      }
    },
  };
}

/** One connection; many items with one call. */
function ringBatchEnds() {
  const [buffer] = rings.map((storage) => new RingBuffer(storage, Float64Array));
  const block = new Float64Array(WORDS * batch);
  return {
    sendAll() {
      for (let sent = 0; sent < items; ) {
        const count = Math.min(batch, items - sent);
        for (let k = 0; k < count; k++) fill(block, k * WORDS, sent++);
        // It takes part of it when there is no room for all.
        for (let at = 0, tries = 0; at < count * WORDS; ) {
          const pushed = buffer.push(block.subarray(at, count * WORDS));
          at += pushed;
          if (pushed === 0) rest(++tries);
        }
      }
    },
    receiveAll() {
      for (let received = 0; received < items; ) {
        const wanted = Math.min(batch, items - received) * WORDS;
        for (let at = 0, tries = 0; at < wanted; ) {
          const popped = buffer.pop(block.subarray(at, wanted));
          at += popped;
          if (popped === 0) rest(++tries);
        }
        for (let at = 0; at < wanted; at += WORDS) total[0] += sum(block, at);
        received += wanted / WORDS;
      }
    },
  };
}

/**
 * The least that can be done: two positions and typed arrays, exactly two threads, no waiting, nobody dies. Each side looks at the other's position only when
 * it has to.
 *
 * @param stamped - each item has a word of its own beside it, which each side reads before and writes after: as in every queue that more than two share
 */
function arrayEnds(stamped) {
  const words = new Float64Array(array);
  const positions = new Int32Array(array);
  // Each on a line of its own.
  const [TAIL, HEAD, FIRST, STRIDE, LENGTH] = [0, 32, 32, 12, 4096];
  const at = (position) => FIRST + (position & (LENGTH - 1)) * STRIDE;
  /** Does each of them say what it has to? They do. */
  function look(start, count, stamp) {
    if (!stamped) return;
    for (let k = 0; k < count; k++) if (words[at(start + k) + WORDS] > stamp) throw new Error("expected an older word");
  }
  function mark(start, count, stamp) {
    if (!stamped) return;
    for (let k = 0; k < count; k++) words[at(start + k) + WORDS] = stamp;
  }
  return {
    sendAll() {
      for (let tail = 0, head = 0; tail < items; ) {
        const count = Math.min(batch, items - tail);
        if (tail + count - head > LENGTH) {
          head = Atomics.load(positions, HEAD);
          if (tail + count - head > LENGTH) pause();
          continue;
        }
        look(tail, count, tail);
        for (let k = 0; k < count; k++) fill(words, at(tail + k), tail + k);
        mark(tail, count, tail);
        tail += count;
        Atomics.store(positions, TAIL, tail);
      }
    },
    receiveAll() {
      for (let tail = 0, head = 0; head < items; ) {
        const count = Math.min(batch, tail - head);
        if (count === 0) {
          tail = Atomics.load(positions, TAIL);
          if (tail === head) pause();
          continue;
        }
        look(head, count, head);
        for (let k = 0; k < count; k++) total[0] += sum(words, at(head + k));
        mark(head, count, head);
        head += count;
        Atomics.store(positions, HEAD, head);
      }
    },
  };
}

function portEnds() {
  const item = new Float64Array(WORDS);
  let turn = 0;
  return {
    send(value) {
      fill(item, 0, value);
      ports[turn].postMessage(item);
      turn = (turn + 1) % ports.length;
    },
    sendEnd() {
      fill(item, 0, END);
      for (const port of ports) port.postMessage(item);
    },
    receiveAll() {
      const { promise, resolve } = Promise.withResolvers();
      let open = ports.length;
      for (const port of ports) {
        port.on("message", (received) => {
          if (received[0] !== END) total[0] += sum(received, 0);
          else if (--open === 0) resolve();
        });
      }
      return promise;
    },
  };
}

const arrays = { array: () => arrayEnds(false), stamps: () => arrayEnds(true) };
const singles = { vqueue: vqueueEnds, ring: ringEnds, port: portEnds, ...arrays };
const batches = { vqueue: vqueueBatchEnds, ring: ringBatchEnds, ...arrays };
if (producers === 1) pin(role === "producer" ? 0 : 1);
const ends = (batch === 1 ? singles : batches)[kind]();
Atomics.add(gate, READY, 1);
Atomics.notify(gate, READY);
Atomics.wait(gate, GO, 0);
if (role === "producer" && ends.sendAll) ends.sendAll();
else if (role === "producer") {
  for (let i = 0; i < items; i++) ends.send(i);
  ends.sendEnd();
}
if (role === "consumer") await ends.receiveAll();
parentPort.postMessage(total[0]);
for (const port of ports ?? []) port.close();
