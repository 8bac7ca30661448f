import { WebSocket } from 'ws';
import type { OutboxEntry } from '../core/events/outbox.ts';
import type { Parcel } from './envelope.ts';
import { PROBLEMS_NAMED, type AckProblem, type PullConsumer } from './pull-delivery.ts';
import type { PullEndpoint } from './pull-endpoint.ts';

/** Pings to the consumer, so that a half-open local socket is noticed. */
const PING_EVERY_MS = 15_000;
/** A frame of several events is closed once it has this many bytes: larger ones cost fresh memory pages each time. */
const FRAME_BYTES = 49_152;
/** Delivery ids that one answer of a consumer may name. */
export const MAX_IDS = 10_000;
/** Largest credit that a consumer can grant. */
const MAX_CREDIT = 100_000;

/** Close codes of ours (docs/consumer-protocol.md). */
const CLOSE_TAKEOVER = 4000;
const CLOSE_MALFORMED = 4400;
const CLOSE_SHUTDOWN = 1001;
const CLOSE_NORMAL = 1000;
/** Answers that a consumer does not read; one that owes more is closed. */
const OWED_LIMIT_BYTES = 1024 * 1024;

const EVENT = Buffer.from('{"type":"event","id":"');
const CONTROL = Buffer.from('{"type":"control","id":"');
const MIDDLE = Buffer.from('","event":');
const END = Buffer.from('}');
const BATCH = Buffer.from('{"type":"events","events":[');
const BATCH_END = Buffer.from(']}');
const COMMA = Buffer.from(',');

/** Sends events to one consumer on the WebSocket subprotocol holdfast.v1, and reads its acknowledgements. */
export class PullWebsocket implements PullConsumer {
  readonly #ws: WebSocket;
  readonly #delivery: PullEndpoint;
  #epoch = '';
  readonly #batch: number;
  readonly #pinger: NodeJS.Timeout;
  #alive = true;
  credit: number;

  /** @param batch events per frame the consumer asked for; 1 = one frame each. */
  constructor(ws: WebSocket, delivery: PullEndpoint, options: { readonly batch: number; readonly credit: number }) {
    this.#ws = ws;
    this.#delivery = delivery;
    this.#batch = options.batch;
    this.credit = options.credit;
    ws.on('message', (data: Buffer, isBinary) => {
      this.#onFrame(data, isBinary);
    });
    ws.on('pong', () => {
      this.#alive = true;
    });
    ws.on('close', (code) => {
      this.#gone(code === CLOSE_NORMAL || code === CLOSE_SHUTDOWN ? 'left' : 'lost');
    });
    ws.on('error', () => undefined); // 'close' follows and is enough
    this.#pinger = setInterval(() => {
      this.#checkAlive();
    }, PING_EVERY_MS);
    this.#pinger.unref();
  }

  get bufferedBytes(): number {
    return this.#ws.bufferedAmount;
  }

  deliver(epoch: number, entries: readonly OutboxEntry<Parcel>[]): void {
    this.#epoch = String(epoch);
    if (this.#batch === 1) {
      for (const entry of entries) this.#send(Buffer.concat(this.#frame(entry, [])));
      return;
    }
    let parts: Buffer[] = [];
    let bytes = 0;
    let count = 0;
    for (const entry of entries) {
      parts.push(count === 0 ? BATCH : COMMA);
      this.#frame(entry, parts);
      count += 1;
      bytes += entry.bytes;
      if (count < this.#batch && bytes < FRAME_BYTES) continue;
      parts.push(BATCH_END);
      this.#send(Buffer.concat(parts));
      parts = [];
      bytes = 0;
      count = 0;
    }
    if (count > 0) this.#send(Buffer.concat([...parts, BATCH_END]));
  }

  durable(upTo: string): void {
    this.#reply({ type: 'ackok', upTo, durable: true });
  }

  dismiss(reason: 'takeover' | 'shutdown'): void {
    this.#ws.close(reason === 'takeover' ? CLOSE_TAKEOVER : CLOSE_SHUTDOWN, reason);
  }

  #frame(entry: OutboxEntry<Parcel>, parts: Buffer[]): Buffer[] {
    parts.push(
      entry.item.control === undefined ? EVENT : CONTROL,
      Buffer.from(`${this.#epoch}.${String(entry.ord)}`, 'latin1'),
      MIDDLE,
      entry.item.ce,
      END,
    );
    return parts;
  }

  #send(frame: Buffer): void {
    this.#ws.send(frame, { binary: false }, () => {
      if (this.#ws.bufferedAmount === 0) this.#delivery.pump();
    });
  }

  #onFrame(data: Buffer, isBinary: boolean): void {
    const message = isBinary ? undefined : parseObject(data);
    if (message === undefined) {
      this.#delivery.detach(this, 'left');
      return this.#ws.close(CLOSE_MALFORMED, 'not a JSON object');
    }
    switch (message['type']) {
      case 'credit':
        return this.#onCredit(message['n']);
      case 'ack':
        return this.#onAck(message);
      case 'nack':
        return this.#answer(this.#withIds(message, (ids) => this.#delivery.nack(ids, numberOr(message['delayMs'], 0))));
      case 'progress':
        return this.#answer(this.#withIds(message, (ids) => this.#delivery.progress(ids)));
      case 'term':
        return this.#answer(
          this.#withIds(message, (ids) =>
            this.#delivery.term(ids, typeof message['reason'] === 'string' ? message['reason'] : 'unspecified'),
          ),
        );
      default:
        return this.#reply({
          type: 'error',
          code: 'HF_API_BODY',
          reason: 'unknown type; use credit, ack, nack, progress or term',
        });
    }
  }

  #onCredit(n: unknown): void {
    if (typeof n !== 'number' || !Number.isInteger(n) || n < 0 || n > MAX_CREDIT)
      return this.#reply({
        type: 'error',
        code: 'HF_API_BODY',
        reason: `credit.n must be an integer from 0 to ${String(MAX_CREDIT)}`,
      });
    this.credit = n;
    this.#delivery.pump();
  }

  #onAck(message: Readonly<Record<string, unknown>>): void {
    const upTo = message['upTo'];
    this.#answer(
      typeof upTo === 'string'
        ? this.#delivery.ackUpTo(upTo)
        : this.#withIds(message, (ids) => this.#delivery.ack(ids)),
    );
  }

  #withIds(
    message: Readonly<Record<string, unknown>>,
    act: (ids: readonly string[]) => readonly AckProblem[],
  ): readonly AckProblem[] {
    const ids = idsOf(message['ids']);
    if (ids !== undefined) return act(ids);
    this.#reply({
      type: 'error',
      code: 'HF_API_BODY',
      reason: `ids must be a list of at most ${String(MAX_IDS)} delivery ids`,
    });
    return [];
  }

  #answer(problems: readonly AckProblem[]): void {
    if (problems.length > 0)
      this.#reply({ type: 'error', code: 'HF_API_ACK_UNKNOWN', problems: problems.slice(0, PROBLEMS_NAMED) });
  }

  #reply(message: Readonly<Record<string, unknown>>): void {
    if (this.#ws.readyState !== WebSocket.OPEN) return;
    // Events stop before this; the bytes left are answers to a consumer that sends and does not read.
    if (this.#ws.bufferedAmount > OWED_LIMIT_BYTES + FRAME_BYTES * 4) {
      this.#delivery.detach(this, 'left');
      return this.#ws.close(CLOSE_MALFORMED, 'answers are not read');
    }
    this.#ws.send(JSON.stringify(message));
  }

  #checkAlive(): void {
    if (!this.#alive) return this.#ws.terminate();
    this.#alive = false;
    this.#ws.ping();
  }

  #gone(how: 'left' | 'lost'): void {
    clearInterval(this.#pinger);
    this.#delivery.detach(this, how);
  }
}

/** Returns a list of delivery ids; undefined when the value is not one. */
export function idsOf(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.length <= MAX_IDS && value.every((id) => typeof id === 'string')
    ? value
    : undefined;
}

/** Returns a number as it is, anything else as the fallback. */
export function numberOr(value: unknown, fallback: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : fallback;
}

/** Returns a JSON object; undefined when the data is none. */
export function parseObject(data: Buffer): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(data.toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined; // the caller answers
  }
}
