/**
 * Ports between processes: what Comlink, and other libraries that expect a MessagePort, talk through.
 *
 * ```ts
 * import * as Comlink from "comlink";
 * // The server.
 * await listen(ipc, "counter", (port) => Comlink.expose(new Counter(), port));
 * // The client.
 * const counter = Comlink.wrap<Counter>(await openPort(ipc, "counter"));
 * await counter.increment();
 * ```
 *
 * Comlink is used as it is. Message ports in messages, as its proxies have them, are joined to a port of ours on each side. Its requests are known by their
 * `type` and `id`, the next message from the other side with that `id` is the answer: while a request waits, the process stays alive; when the other side
 * ends, it is answered with an error, where over a MessagePort it would wait for ever.
 */
import { VdsoError } from "../errors.ts";
import { type EntityId, isOf, mailboxOf } from "./address.ts";
import type { Entity } from "./entity.ts";
import { ignoreGone, isGone } from "./entity.ts";
import { Fifo } from "./fifo.ts";
import { began, cancelled, type WaitOptions } from "./guard.ts";
import { giveBack, type Loan } from "./heap.ts";
import type { Ipc } from "./ipc.ts";
import { IncomingCall, LATER, type Message } from "./message.ts";
import { report } from "./turn.ts";
import { INLINE_BYTES } from "./wire.ts";

/** What listeners get. */
export interface PortMessage {
  readonly data: unknown;
  readonly ports: readonly (IpcPort | MessagePort)[];
}

/** As DOM types have it, for any kind of event; what comes is a {@link PortMessage}. */
type Listener = ((event: never) => void) | { handleEvent(event: never): void };

interface TransferOptions {
  readonly transfer?: readonly unknown[];
}

interface Listening {
  readonly listener: Listener;
  readonly once: boolean;
}

const Type = { Open: 1, Ready: 2, Data: 3, Connect: 4, Read: 5 } as const;

/** Stands in for a port: the entity to open. */
type Token = readonly ["port", EntityId];

/**
 * What is posted first goes at once; what follows in the same run of microtasks goes together, since one message costs as much as any other: each part
 * with its length before it. More than this goes by itself, so that whoever posts it is told when there is no room.
 */
const BATCH_BYTES = 8192;
const LENGTH_BYTES = 4;
/** A port that nobody has opened then is given up. */
const OPEN_MS = 30_000;
/** Of most messages. */
const NO_PORTS: readonly (IpcPort | MessagePort)[] = Object.freeze([]);

/** A port in a message that is on its way, and the one through which it is reached from the other side. */
interface Leaving {
  readonly port: IpcPort | MessagePort;
  readonly through: IpcPort;
}

/** Ports that went to another process in a message: they are joined to another, and cannot be to a second. */
const sent = new WeakSet<IpcPort | MessagePort>();

const NONE: readonly Leaving[] = Object.freeze([]);

/** One end of a connection between two processes. */
export class IpcPort {
  readonly #ipc: Ipc;
  readonly #entity: Entity;
  /** Lists that are never changed, only replaced: who listens or stops during an event does not disturb it. */
  readonly #listeners = new Map<string, readonly Listening[]>();
  /** Requests of this side. */
  readonly #asked = new Set<unknown>();
  /** Posted, and not sent: until this run of microtasks is over and the other side is there. */
  #batch = new Uint8Array(256);
  #batchBytes = 0;
  /** Something was posted in this run of microtasks. */
  #deferring = false;
  /** Until somebody listens, and until what came before was told. */
  readonly #arrived = new Fifo<PortMessage>();
  #started = false;
  #telling = false;
  #peer: EntityId | undefined;
  /** Ends the call that the connection is. */
  #finish: (() => void) | undefined;
  #release: (() => void) | undefined;
  #closed = false;
  #toldEnd = false;
  /** Are ports in messages to be real ones? */
  #bridged = false;
  #onmessage: ((event: PortMessage) => void) | null = null;
  /** Ports in the part that is being read, and what they were opened by. */
  #ports = NO_PORTS;
  readonly #portIds: EntityId[] = [];
  /** Ports in the message that is being posted. */
  #leaving = NONE;
  readonly #replace = (part: object): Token | undefined => this.#standIn(part);
  readonly #revive = (token: unknown): IpcPort | MessagePort => this.#open(token);

  private constructor(ipc: Ipc) {
    this.#ipc = ipc;
    this.#entity = ipc.entity();
    this.#entity.serve((message) => this.#receive(message), { keepAlive: false });
  }

  /** A port that waits for its other end. */
  static accept(ipc: Ipc): IpcPort {
    return new IpcPort(ipc);
  }

  /** Ends it unless its other end has come. */
  giveUp(): void {
    if (this.#peer === undefined) this.#lose();
  }

  /** The other end of a port that waits. */
  static connect(ipc: Ipc, id: EntityId): IpcPort {
    const port = new IpcPort(ipc);
    const abort = new AbortController();
    port.#finish = () => abort.abort(cancelled());
    // Lasts as long as the connection, so that each side learns of the other's end.
    port.#entity.call(id, Type.Open, undefined, { background: true, inTurn: true, signal: abort.signal }).then(
      () => port.#lose(),
      () => port.#lose(),
    );
    port.#ready(id);
    return port;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** What {@link IpcPort.connect} takes. */
  get id(): EntityId {
    return this.#entity.id;
  }

  #ready(peer: EntityId): void {
    this.#peer = peer;
    this.#flush();
  }

  #receive(message: Message): unknown {
    if (message.type === Type.Open && message instanceof IncomingCall) {
      if (this.#peer !== undefined)
        throw new VdsoError("ERR_VDSO_CLOSED", "expected a port without another end, found one that has it");
      message.signal.addEventListener("abort", () => this.#lose());
      this.#finish = () => void message.reply().catch(ignoreGone);
      this.#ready(message.from);
      return LATER;
    }
    if (message.type === Type.Data && message.from === this.#peer) this.#deliver(message);
    return undefined;
  }

  #deliver(message: Message): void {
    // The other side can still write what it lent: decoded is a copy.
    const bytes = new Uint8Array(message.bytes ?? []);
    message[Symbol.dispose]();
    try {
      this.#read(bytes);
    } catch (error) {
      if ((error as Partial<VdsoError>).code === "ERR_VDSO_GARBAGE") throw error;
      // What the other side asks for is too much for this one: ports, say.
      this.#tell();
      this.#lose(error);
    } finally {
      this.#tell();
    }
  }

  #read(bytes: Uint8Array): void {
    const view = new DataView(bytes.buffer);
    let failure: unknown;
    for (let start = 0; start < bytes.length && !this.#closed; ) {
      const begin = start + LENGTH_BYTES;
      const end = begin <= bytes.length ? begin + view.getUint32(start) : Number.NaN;
      if (!(end <= bytes.length)) {
        throw new VdsoError("ERR_VDSO_GARBAGE", `expected a part of ${bytes.length} bytes, found it to end at ${end}`);
      }
      try {
        this.#readPart(bytes.subarray(begin, end));
      } catch (error) {
        // The others were sent by themselves.
        failure = error;
      }
      start = end;
    }
    if (failure !== undefined) throw failure;
  }

  #readPart(bytes: Uint8Array): void {
    this.#ports = NO_PORTS;
    this.#portIds.length = 0;
    let data: unknown;
    try {
      data = this.#ipc.codec.decode(bytes, this.#revive);
    } catch (error) {
      for (const port of this.#ports) port.close();
      throw error;
    }
    if (this.#asked.delete(idOf(data))) this.#relax();
    this.#arrived.push({ data, ports: this.#ports });
  }

  /** Tells what has arrived, in order: a listener that takes messages meanwhile gets none of them before it has returned. */
  #tell(): void {
    if (this.#telling) return;
    this.#telling = true;
    while (this.#started) {
      const event = this.#arrived.shift();
      if (!event) break;
      this.#emit("message", event);
    }
    this.#telling = false;
    if (!this.#closed || this.#toldEnd) return;
    this.#toldEnd = true;
    this.#emit("close", { data: undefined, ports: NO_PORTS });
  }

  #open(token: unknown): IpcPort | MessagePort {
    const [kind, id] = Array.isArray(token) ? (token as unknown[]) : [];
    if (kind !== "port" || this.#peer === undefined || !isOf(mailboxOf(this.#peer), id)) {
      throw new VdsoError("ERR_VDSO_GARBAGE", "expected a stand-in for a port of the other side, found something else");
    }
    const known = this.#ports[this.#portIds.indexOf(id)];
    if (known) return known;
    let port: IpcPort | MessagePort = IpcPort.connect(this.#ipc, id);
    if (this.#bridged) {
      const { port1, port2 } = new MessageChannel();
      bridge(port1, port);
      port = port2;
    }
    this.#ports = [...this.#ports, port];
    this.#portIds.push(id);
    return port;
  }

  #emit(type: string, event: PortMessage): void {
    for (const { listener, once } of this.#listeners.get(type) ?? []) {
      if (once) this.removeEventListener(type, listener);
      tell(listener, event);
    }
    if (type === "message" && this.#onmessage) tell(this.#onmessage, event, this);
  }

  /**
   * Sends a copy. Buffers in `transfer` are detached here, ports there work on as ports.
   *
   * @throws VdsoError `ERR_VDSO_NOT_CLONABLE` - names the path to what cannot be sent; a port that was sent before.
   */
  postMessage(message: unknown, transfer?: readonly unknown[] | TransferOptions | null): void {
    const list = (Array.isArray(transfer) ? transfer : (transfer as TransferOptions | null)?.transfer) ?? [];
    const outer = this.#leaving;
    this.#leaving = NONE;
    try {
      // Encoded now: what cannot be sent is the caller's error. The value may close the port, too.
      const part = this.#closed ? undefined : this.#ipc.codec.encode(message, this.#replace);
      const id = requestId(message);
      if (part === undefined || this.#closed) {
        if (id !== undefined) queueMicrotask(() => this.#refuse(id));
        // They went where nobody is.
        for (const item of list) if (isPort(item) && !sent.has(item)) item.close();
        return;
      }
      for (const { port } of this.#leaving) checkUnsent(port);
      this.#post(part);
      if (id !== undefined) {
        this.#asked.add(id);
        this.#release ??= this.#ipc.hold();
      }
      for (const item of list) if (item instanceof ArrayBuffer && !item.detached) item.transfer();
      const leaving = this.#leaving;
      this.#leaving = NONE;
      for (const { port, through } of leaving) joinAny(port, through);
    } finally {
      // Those of a message that was not posted.
      for (const { through } of this.#leaving) through.close();
      this.#leaving = outer;
    }
  }

  /** @throws VdsoError `ERR_VDSO_OUT_OF_MEMORY`, `ERR_VDSO_HEAP_SIZE` - nothing was posted. */
  #post(part: Uint8Array): void {
    const bytes = LENGTH_BYTES + part.length;
    if (bytes > BATCH_BYTES && this.#peer !== undefined) {
      const loan = this.#ipc.heap.loan(bytes);
      try {
        this.#sendBatch();
      } catch (error) {
        loan[Symbol.dispose]();
        throw error;
      }
      writePart(loan.bytes, 0, part);
      this.#send(loan);
      return;
    }
    if (this.#batchBytes + bytes > BATCH_BYTES) this.#sendBatch();
    const start = this.#batchBytes;
    const end = start + bytes;
    if (end > this.#batch.length) {
      const larger = new Uint8Array(Math.max(end, this.#batch.length * 2));
      larger.set(this.#batch.subarray(0, start));
      this.#batch = larger;
    }
    writePart(this.#batch, start, part);
    this.#batchBytes = end;
    if (this.#deferring) return;
    try {
      this.#sendBatch();
    } catch (error) {
      this.#batchBytes = start;
      throw error;
    }
    this.#deferring = true;
    this.#ipc.defer(() => {
      this.#deferring = false;
      this.#flush();
    });
  }

  #flush(): void {
    try {
      this.#sendBatch();
    } catch (error) {
      this.#lose(error);
    }
  }

  /** @throws VdsoError - there is no room for it: it stays. */
  #sendBatch(): void {
    if (this.#batchBytes === 0 || this.#peer === undefined) return;
    const bytes = this.#batch.subarray(0, this.#batchBytes);
    let loan: Loan | undefined;
    if (bytes.length > INLINE_BYTES) {
      loan = this.#ipc.heap.loan(bytes.length);
      loan.bytes.set(bytes);
    }
    this.#batchBytes = 0;
    this.#send(loan ?? bytes);
  }

  #send(data: Uint8Array | Loan): void {
    this.#entity.send(this.#peer!, Type.Data, data).catch((error: unknown) => {
      giveBack(data);
      this.#lose(error);
    });
  }

  #standIn(part: object): Token | undefined {
    if (!isPort(part)) return undefined;
    // Ours would have to be moved; joining it to another does the same.
    const through = this.#leaving.find(({ port }) => port === part)?.through ?? this.#leave(part);
    return ["port", through.id];
  }

  #leave(port: IpcPort | MessagePort): IpcPort {
    checkUnsent(port);
    const through = this.#through();
    this.#leaving = [...this.#leaving, { port, through }];
    return through;
  }

  /** A port whose other end this one's other side will open, or nobody. */
  #through(): IpcPort {
    const through = IpcPort.accept(this.#ipc);
    const giveUp = (): void => through.giveUp();
    const leave = (): void => {
      if (this.#peer === undefined) giveUp();
      // Ends once the other side has read what was posted before, and opened what it found there; or has closed.
      else
        through.#entity.call(this.#peer, Type.Read, undefined, { background: true, inTurn: true }).then(giveUp, giveUp);
    };
    this.addEventListener("close", leave);
    through.addEventListener("close", () => this.removeEventListener("close", leave));
    return through;
  }

  #relax(): void {
    if (this.#asked.size > 0) return;
    this.#release?.();
    this.#release = undefined;
  }

  /** Answers a request in the place of the other side. */
  #refuse(id: unknown, reason: Error = gone()): void {
    this.#arrived.push({ data: thrown(id, reason), ports: NO_PORTS });
    this.#tell();
  }

  /** The other side has gone, or cannot be reached: the heap has no room, say. */
  #lose(error?: unknown): void {
    if (this.#closed) return;
    this.#end();
    const reason = error instanceof Error && !isGone(error) ? error : gone();
    for (const id of this.#asked) this.#arrived.push({ data: thrown(id, reason), ports: NO_PORTS });
    this.#tell();
  }

  /** Nothing is told after that, but the end. */
  close(): void {
    if (this.#closed) return;
    this.#end();
    for (const { ports } of this.#arrived.drain()) for (const port of ports) port.close();
    this.#tell();
  }

  #end(): void {
    this.#closed = true;
    // What was posted before arrives before, if there is room for it.
    this.#flush();
    this.#release?.();
    this.#finish?.();
    this.#entity.close();
  }

  /** Messages that came before are delivered then; so are they with the first listener's `start()` in Comlink. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#tell();
  }

  addEventListener(type: string, listener: Listener, options?: boolean | { readonly once?: boolean }): void {
    const listeners = this.#listeners.get(type) ?? [];
    if (listeners.some((each) => each.listener === listener)) return;
    const once = typeof options === "object" && options.once === true;
    this.#listeners.set(type, [...listeners, { listener, once }]);
  }

  removeEventListener(type: string, listener: Listener): void {
    const listeners = this.#listeners.get(type) ?? [];
    this.#listeners.set(
      type,
      listeners.filter((each) => each.listener !== listener),
    );
  }

  get onmessage(): ((event: PortMessage) => void) | null {
    return this.#onmessage;
  }

  set onmessage(listener: ((event: PortMessage) => void) | null) {
    this.#onmessage = listener;
    if (listener) this.start();
  }

  /** Ports in messages are real ones from now on: they go on through a real port. */
  useRealPorts(): void {
    this.#bridged = true;
  }
}

// Comlink closes what it has released only if it is called so.
Object.defineProperty(IpcPort, "name", { value: "MessagePort" });

function gone(): VdsoError {
  return new VdsoError(
    "ERR_VDSO_PEER_GONE",
    "expected the other end of the port to answer, found that it has closed or ended",
  );
}

/** A listener that throws keeps nothing from the others. */
function tell(listener: Listener, event: PortMessage, self?: IpcPort): void {
  try {
    if (typeof listener === "function") (listener as (event: PortMessage) => void).call(self, event);
    else (listener as { handleEvent(event: PortMessage): void }).handleEvent(event);
  } catch (error) {
    report(error);
  }
}

function writePart(bytes: Uint8Array, at: number, part: Uint8Array): void {
  const { length } = part;
  // A view for this would cost more than the rest.
  bytes[at] = length >>> 24;
  bytes[at + 1] = length >>> 16;
  bytes[at + 2] = length >>> 8;
  bytes[at + 3] = length;
  bytes.set(part, at + LENGTH_BYTES);
}

function isPort(item: unknown): item is IpcPort | MessagePort {
  return item instanceof IpcPort || item instanceof MessagePort;
}

function checkUnsent(port: IpcPort | MessagePort): void {
  if (!sent.has(port)) return;
  throw new VdsoError("ERR_VDSO_NOT_CLONABLE", "expected a port that was not sent yet, found one that was");
}

function joinAny(port: IpcPort | MessagePort, through: IpcPort): void {
  sent.add(port);
  if (port instanceof MessagePort) bridge(port, through);
  else if (port.closed) through.close();
  else join(port, through);
}

/** What comes in at one goes out at the other. */
function bridge(port: MessagePort, link: IpcPort): void {
  link.useRealPorts();
  port.addEventListener("message", ({ data }) => pass(data, NO_PORTS, port, link));
  port.addEventListener("close", () => link.close());
  link.addEventListener("message", (event: PortMessage) => port.postMessage(event.data, event.ports as MessagePort[]));
  link.addEventListener("close", () => port.close());
  port.start();
  link.start();
}

function join(one: IpcPort, other: IpcPort): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.addEventListener("message", ({ data, ports }: PortMessage) => pass(data, ports, from, to));
    from.addEventListener("close", () => to.close());
    from.start();
  }
}

/** Posts what has come: when that is impossible, whoever waits for an answer gets an error. */
function pass(data: unknown, ports: PortMessage["ports"], from: IpcPort | MessagePort, to: IpcPort): void {
  try {
    to.postMessage(data, ports);
  } catch (error) {
    const id = idOf(data);
    if (id === undefined) throw error;
    try {
      // A request's, or an answer's.
      (requestId(data) === undefined ? to : from).postMessage(thrown(id, error as Error));
    } catch {
      to.close();
    }
  }
}

const REQUESTS: ReadonlySet<unknown> = new Set(["GET", "SET", "APPLY", "CONSTRUCT", "ENDPOINT", "RELEASE"]);

/** The id of a message that is one of Comlink's requests. */
function requestId(message: unknown): string | undefined {
  const id = idOf(message);
  return typeof id === "string" && REQUESTS.has((message as { readonly type?: unknown }).type) ? id : undefined;
}

function idOf(message: unknown): unknown {
  return (message as { readonly id?: unknown } | null | undefined)?.id;
}

/** An answer that is an error, in Comlink's words. */
function thrown(id: unknown, { message, name, stack, code }: Error & { code?: unknown }): unknown {
  return { id, type: "HANDLER", name: "throw", value: { isError: true, value: { message, name, stack, code } } };
}

/**
 * Gives each process that opens the name a port of its own. Keeps this process alive until it is disposed of.
 *
 * @throws VdsoError `ERR_VDSO_NAME_TAKEN`, `ERR_VDSO_NO_ROOM`
 */
export async function listen(ipc: Ipc, name: string, onPort: (port: IpcPort) => void): Promise<Disposable> {
  const entity = ipc.entity();
  const ports = new Set<IpcPort>();
  entity.serve((message) => {
    if (message.type !== Type.Connect || !(message instanceof IncomingCall))
      throw new VdsoError("ERR_VDSO_GARBAGE", `expected a connection, found type ${message.type}`);
    const port = IpcPort.accept(ipc);
    ports.add(port);
    port.addEventListener("close", () => ports.delete(port));
    const giveUp = (): void => port.giveUp();
    const forget = ipc.whenGone(message.from, giveUp);
    // Whoever asked for it may have given up meanwhile.
    const timer = setTimeout(giveUp, OPEN_MS);
    (timer as { unref?(): void }).unref?.();
    port.addEventListener("close", () => {
      forget();
      clearTimeout(timer);
    });
    try {
      onPort(port);
    } catch (error) {
      port.close();
      throw error;
    }
    return port.id;
  });
  try {
    await ipc.register(name, entity);
  } catch (error) {
    entity.close();
    throw error;
  }
  return {
    [Symbol.dispose]() {
      if (entity.closed) return;
      entity.close();
      for (const port of ports) port.close();
    },
  };
}

/**
 * Waits for a name that somebody {@link listen}s to, and connects.
 *
 * @throws VdsoError `ERR_VDSO_TIMEOUT`, and the signal's reason; what the other side's `onPort` throws.
 */
export async function openPort(ipc: Ipc, name: string, options: WaitOptions = {}): Promise<IpcPort> {
  const left = began(options);
  const listener = await ipc.whenNamed(name, options);
  using asking = ipc.entity();
  const { data } = await asking.call(listener, Type.Connect, undefined, left());
  return IpcPort.connect(ipc, portId(data));
}

function portId(data: unknown): EntityId {
  if (typeof data === "number") return data as EntityId;
  throw new VdsoError("ERR_VDSO_GARBAGE", `expected the id of a port, found ${typeof data}: nobody listens there`);
}
