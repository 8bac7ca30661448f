import { readFileSync } from 'node:fs';
import { Pool } from 'undici';
import { guardedLookup, PRIVATE_ADDRESS } from '../config/addresses.ts';
import { isLoopbackHost } from '../config/hosts.ts';
import type { StreamPlan } from '../config/resolve.ts';
import { answerOfBodyStatus, answerOfStatus, type Answer, type HoldReason } from '../core/consumer.ts';
import type { Entry } from '../core/outbox.ts';
import { binaryHeaders } from './binary.ts';
import { eventIdOf, stampAttempt, type Parcel } from './envelope.ts';
import { ConsumerGuard, IdleWaiters, settledWithin } from './guard.ts';
import type { Delivery, DeliveryHost } from './port.ts';

type Push = NonNullable<StreamPlan['delivery']['push']>;

/** Largest answer body read; only a small status object is expected there. */
const ANSWER_LIMIT_BYTES = 1024 * 1024;
const HEALTH_EVERY_MS = 5000;
const HEALTH_TIMEOUT_MS = 500;

/**
 * HTTP push to the consumer (docs/consumer-protocol.md, "Push"). Batches are natural: while a request is under way the next one gathers.
 * "Down is not poison": refused connections hold the stream and count for nothing.
 */
export class PushDelivery implements Delivery {
  readonly kind = 'push';
  readonly #plan: StreamPlan;
  readonly #push: Push;
  readonly #host: DeliveryHost;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #guard: ConsumerGuard;
  #requests = 0;
  #draining = false;
  #closed = false;
  #healthy: boolean;
  #healthDueMs = 0;
  #healthAsked = false;
  readonly #idle = new IdleWaiters();
  /** Events per batch now: halved when a batch is refused as a whole, so that one bad event does not condemn its neighbours. */
  #batchMax: number;
  #bearer: Readonly<Record<string, string>> = {};

  constructor(plan: StreamPlan, push: Push, host: DeliveryHost) {
    this.#plan = plan;
    this.#push = push;
    this.#host = host;
    this.#guard = new ConsumerGuard(plan.consumer, host);
    const url = new URL(push.url);
    this.#path = url.pathname + url.search;
    const timeout = plan.delivery.ackTimeout;
    this.#pool = new Pool(url.origin, {
      connections: push.contentMode === 'batch' ? 1 : push.concurrency,
      pipelining: 1,
      headersTimeout: timeout,
      bodyTimeout: timeout,
      connect: {
        timeout: Math.min(timeout, 5000),
        ...(isLoopbackHost(url.hostname) ? {} : { lookup: guardedLookup(plan.allowPrivate) }),
      },
      keepAliveTimeout: 10_000,
    });
    this.#healthy = push.healthPath === undefined;
    const type = {
      structured: 'application/cloudevents+json',
      batch: 'application/cloudevents-batch+json',
      binary: 'application/json',
    }[push.contentMode];
    this.#headers = { 'content-type': `${type}; charset=utf-8`, 'user-agent': 'holdfast' };
    this.#batchMax = push.maxBatch;
    this.#readToken();
  }

  get ready(): boolean {
    return this.#healthy && this.#guard.hold === undefined;
  }

  get hold(): HoldReason | undefined {
    return this.#guard.reason ?? (this.#healthy ? undefined : 'consumer_down');
  }

  deadline(): number | undefined {
    if (this.#draining) return undefined;
    if (!this.#healthy) return this.#healthAsked ? undefined : this.#healthDueMs;
    return this.#guard.holdEndsAtMs ?? this.#host.outbox.deadline(this.#host.nowMs(), false);
  }

  pump(): void {
    if (this.#draining) return;
    if (!this.#healthy) return this.#askHealth();
    const allowed = this.#guard.allows();
    if (allowed === 'none') return;
    const limit = allowed === 'one' ? 1 : this.#push.contentMode === 'batch' ? 1 : this.#push.concurrency;
    while (this.#requests < limit && this.#host.open()) {
      const entries = this.#take(allowed);
      if (entries.length === 0) return;
      this.#send(entries);
    }
  }

  finish(limitMs: number): Promise<boolean> {
    return settledWithin(this.#host, limitMs);
  }

  async drain(limitMs: number): Promise<void> {
    this.#draining = true;
    if (this.#requests === 0) return;
    await this.#idle.wait(limitMs);
  }

  close(): void {
    this.#draining = true;
    this.#closed = true;
    void this.#pool.destroy();
  }

  #take(allowed: 'all' | 'one'): readonly Entry<Parcel>[] {
    const now = this.#host.nowMs();
    const { outbox } = this.#host;
    const max = this.#push.contentMode === 'batch' && allowed === 'all' ? this.#batchMax : 1;
    if (this.#plan.delivery.order === 'stream') return outbox.takeRun(max, now);
    if (this.#push.contentMode === 'batch') return outbox.takeBatch(max, now);
    const entry = outbox.takeKeyed(now);
    return entry === undefined ? [] : [entry];
  }

  #send(entries: readonly Entry<Parcel>[]): void {
    this.#requests += 1;
    this.#host.handed(entries);
    for (const entry of entries) stampAttempt(entry.item, entry.attempts);
    this.#post(entries)
      .then(
        (answers) => {
          this.#settleAll(entries, answers);
        },
        (error: unknown) => {
          this.#failed(entries, error);
        },
      )
      .finally(() => {
        this.#finished();
      })
      .catch((error: unknown) => {
        this.#host.note('push settle failed', { error: String(error) });
      });
  }

  #finished(): void {
    this.#requests -= 1;
    if (this.#requests === 0) this.#idle.release();
    this.#host.settled();
    this.pump();
  }

  async #post(entries: readonly Entry<Parcel>[]): Promise<readonly Answer[]> {
    const first = entries[0];
    if (first === undefined) return [];
    const binary = this.#push.contentMode === 'binary';
    const body =
      this.#push.contentMode === 'batch'
        ? batchOf(entries)
        : binary
          ? first.item.ce.subarray(first.item.dataAt, first.item.dataEnd)
          : first.item.ce;
    const headers = { ...this.#headers, ...this.#bearer, ...(binary ? binaryHeaders(first.item) : {}) };
    // The whole answer must be there in time: the library's own timeouts start anew with every byte.
    const signal = AbortSignal.timeout(this.#plan.delivery.ackTimeout);
    const response = await this.#pool.request({ method: 'POST', path: this.#path, headers, body, signal });
    const status = response.statusCode;
    const answer = answerOfStatus(status, retryAfterOf(response.headers['retry-after']));
    const length = response.headers['content-length'];
    if (answer.kind !== 'ack' || length === '0' || status === 204) {
      await response.body.dump({ limit: ANSWER_LIMIT_BYTES });
      return entries.map(() => answer);
    }
    const text = await boundedText(response.body);
    return this.#push.contentMode === 'batch' ? batchAnswers(entries, text) : [answerOfBodyStatus(statusIn(text))];
  }

  #failed(entries: readonly Entry<Parcel>[], error: unknown): void {
    if (this.#closed) return; // our own doing says nothing about the consumer
    const code =
      error instanceof Error && 'code' in error && typeof error.code === 'string'
        ? error.code
        : error instanceof Error
          ? error.name
          : 'unknown';
    if (!DOWN.has(code)) {
      const timeout =
        code === 'TimeoutError' ||
        code === 'AbortError' ||
        code === 'UND_ERR_HEADERS_TIMEOUT' ||
        code === 'UND_ERR_BODY_TIMEOUT' ||
        code === 'UND_ERR_ABORTED';
      this.#settleAll(
        entries,
        entries.map(() => ({ kind: 'retry', counted: true, reason: timeout ? 'ack_timeout' : 'bad_answer' })),
      );
      return;
    }
    this.#hold({ kind: 'hold', reason: code === PRIVATE_ADDRESS ? 'consumer_address_refused' : 'consumer_down' });
    for (const entry of entries) this.#host.outbox.retry(entry.ord, 0, this.#host.nowMs(), false);
  }

  #settleAll(entries: readonly Entry<Parcel>[], answers: readonly Answer[]): void {
    const whole =
      entries.length > 1 &&
      answers.every((answer) => answer.kind === 'dead-letter' || (answer.kind === 'retry' && answer.counted));
    if (whole) {
      this.#batchMax = Math.max(1, Math.floor(entries.length / 2));
      for (const entry of entries) this.#settle(entry, { kind: 'retry', counted: false, reason: 'batch_refused' });
      return;
    }
    if (answers.every((answer) => answer.kind === 'ack'))
      this.#batchMax = Math.min(this.#push.maxBatch, this.#batchMax * 2);
    entries.forEach((entry, index) => {
      this.#settle(entry, answers[index] ?? RETRY_MISSING);
    });
  }

  #settle(entry: Entry<Parcel>, answer: Answer): void {
    const nowMs = this.#host.nowMs();
    switch (answer.kind) {
      case 'ack':
      case 'drop':
        this.#guard.note(answer);
        this.#host.outbox.settle(entry.ord);
        return;
      case 'hold':
        this.#hold(answer);
        this.#host.outbox.retry(entry.ord, 0, nowMs, false);
        return;
      case 'retry': {
        if (answer.counted && entry.faults + 1 >= this.#plan.consumer.maxAttempts)
          return this.#bury(entry, `attempts_exhausted:${answer.reason}`);
        const delay = this.#guard.delayMs(entry.faults + 1, answer.retryAfterMs);
        this.#host.outbox.retry(entry.ord, delay, nowMs, answer.counted);
        return;
      }
      case 'dead-letter':
        return this.#bury(entry, answer.reason);
    }
  }

  /** Dead-letters one event, unless so many die that the consumer must be at fault. */
  #bury(entry: Entry<Parcel>, reason: string): void {
    const effects = this.#guard.note({ kind: 'dead-letter', reason });
    const later = (): void => {
      this.#host.outbox.retry(entry.ord, this.#guard.delayMs(entry.faults), this.#host.nowMs(), false);
    };
    if (effects.some((effect) => effect.kind === 'spare')) return later();
    this.#requests += 1; // the event is in our hands until the store has it
    this.#host
      .deadLetter(entry, reason)
      .then(
        (answer) => {
          if (answer === 'stored') this.#host.outbox.settle(entry.ord);
          else {
            this.#hold({ kind: 'hold', reason: 'storm_guard' });
            later();
          }
        },
        () => {
          later();
        },
      )
      .finally(() => {
        this.#finished();
      })
      .catch((error: unknown) => {
        this.#host.note('dead letter failed', { error: String(error) });
      });
  }

  #hold(answer: Extract<Answer, { kind: 'hold' }>): void {
    // Requests that were under way together fail together: that is one finding, not one per request.
    const { hold } = this.#guard;
    if (hold !== undefined && hold.reason === answer.reason && this.#host.nowMs() < hold.untilMs) return;
    if (answer.reason === 'consumer_rejected') this.#readToken();
    this.#guard.note(answer);
  }

  /** The consumer's token is a file that may be replaced: it is read again when the consumer refuses us. */
  #readToken(): void {
    if (this.#push.tokenFile === undefined) return;
    try {
      const token = readFileSync(this.#push.tokenFile, 'utf8').trim();
      this.#host.secret(token);
      if (/^[\x21-\x7e]+$/.test(token)) this.#bearer = { authorization: `Bearer ${token}` };
    } catch {
      this.#host.note('the token file for the consumer cannot be read', { file: this.#push.tokenFile });
    }
  }

  /** Nothing is delivered before the app says it is well; then one OPTIONS, whose answer is noted and never fatal. */
  #askHealth(): void {
    if (this.#healthAsked || this.#host.nowMs() < this.#healthDueMs) return;
    this.#healthAsked = true;
    const path = this.#push.healthPath ?? '/';
    this.#pool
      .request({ method: 'GET', path, headersTimeout: HEALTH_TIMEOUT_MS, bodyTimeout: HEALTH_TIMEOUT_MS })
      .then(async (response) => {
        await response.body.dump();
        if (response.statusCode < 200 || response.statusCode > 299) return;
        this.#healthy = true;
        const options = await this.#pool.request({
          method: 'OPTIONS',
          path: this.#path,
          headersTimeout: HEALTH_TIMEOUT_MS,
        });
        await options.body.dump();
        this.#host.note('consumer is healthy', { optionsStatus: options.statusCode });
      })
      .catch((error: unknown) => {
        // Not there yet: asked again below.
        if (error instanceof Error && 'code' in error && error.code === PRIVATE_ADDRESS)
          this.#hold({ kind: 'hold', reason: 'consumer_address_refused' });
      })
      .finally(() => {
        this.#healthAsked = false;
        this.#healthDueMs = this.#host.nowMs() + HEALTH_EVERY_MS;
        this.#host.settled();
        this.pump();
      })
      .catch((error: unknown) => {
        this.#host.note('health check failed', { error: String(error) });
      });
  }
}

/** Errors that say nobody is there, as opposed to somebody who answers badly. */
const DOWN: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_SOCKET',
  'UND_ERR_DESTROYED',
  'UND_ERR_CLOSED',
  PRIVATE_ADDRESS,
]);

/** Retry-After in seconds or as a date. */
function retryAfterOf(header: string | string[] | undefined): number | undefined {
  const value = Array.isArray(header) ? header[0] : header;
  if (value === undefined) return undefined;
  const ms = /^\d{1,9}$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) && ms > 0 ? ms : undefined;
}

const RETRY_MISSING: Answer = { kind: 'retry', counted: true, reason: 'missing_in_batch_answer' };
const COMMA = Buffer.from(',');
const OPEN = Buffer.from('[');
const CLOSE = Buffer.from(']');

function batchOf(entries: readonly Entry<Parcel>[]): Buffer {
  const parts: Buffer[] = [OPEN];
  entries.forEach((entry, index) => {
    if (index > 0) parts.push(COMMA);
    parts.push(entry.item.ce);
  });
  parts.push(CLOSE);
  return Buffer.concat(parts);
}

/** 2xx with an empty body: all are taken. With a Dapr bulk list: each by its id, a missing one is a retry, and a failure un-acks the later ones of its key. */
function batchAnswers(entries: readonly Entry<Parcel>[], text: string): readonly Answer[] {
  const list = statusesIn(text);
  if (list === undefined) return entries.map(() => ({ kind: 'ack' as const }));
  const failedKeys = new Set<string>();
  return entries.map((entry) => {
    if (failedKeys.has(entry.key)) return { kind: 'retry', counted: false, reason: 'after_failed_entry' };
    const answer = list.has(eventIdOf(entry.item))
      ? answerOfBodyStatus(list.get(eventIdOf(entry.item)))
      : RETRY_MISSING;
    if (answer.kind === 'retry') failedKeys.add(entry.key);
    return answer;
  });
}

function statusesIn(text: string): ReadonlyMap<string, unknown> | undefined {
  const body = parse(text);
  const statuses = typeof body === 'object' && body !== null && 'statuses' in body ? body.statuses : undefined;
  if (!Array.isArray(statuses)) return undefined;
  const out = new Map<string, unknown>();
  for (const one of statuses as unknown[]) {
    if (typeof one !== 'object' || one === null) continue;
    const id = 'entryId' in one ? one.entryId : 'id' in one ? one.id : undefined;
    if (typeof id === 'string') out.set(id, 'status' in one ? one.status : undefined);
  }
  return out;
}

function statusIn(text: string): unknown {
  const body = parse(text);
  return typeof body === 'object' && body !== null && 'status' in body ? body.status : undefined;
}

function parse(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // any 2xx is an acknowledgement, whatever its body says
  }
}

async function boundedText(stream: AsyncIterable<Buffer>): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of stream) {
    size += part.length;
    if (size > ANSWER_LIMIT_BYTES) return ''; // 2xx is an acknowledgement whatever follows
    parts.push(part);
  }
  return Buffer.concat(parts).toString('utf8');
}
