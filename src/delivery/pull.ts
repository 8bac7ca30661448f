import type { StreamPlan } from '../config/resolve.ts';
import type { HoldReason } from '../core/consumer.ts';
import type { Entry } from '../core/outbox.ts';
import { earliest } from '../core/units.ts';
import { stampAttempt, type Parcel } from './envelope.ts';
import { ConsumerGuard, IdleWaiters, settledWithin } from './guard.ts';
import type { Delivery, DeliveryHost } from './port.ts';

/** What a connected consumer must be able to do. WebSocket and SSE implement it. */
export interface PullConsumer {
  /** Unacknowledged events it accepts at one time. */
  readonly credit: number;
  /** Bytes written and not yet taken by its socket. */
  readonly bufferedBytes: number;
  deliver(epoch: number, entries: readonly Entry<Parcel>[]): void;
  /** Everything up to this delivery id is covered by a stored checkpoint. */
  durable(upTo: string): void;
  /** Another consumer took over, or we stop. */
  dismiss(reason: 'takeover' | 'shutdown'): void;
}

/** Why an acknowledgement was refused. */
export interface AckProblem {
  readonly id: string;
  readonly reason: 'malformed' | 'older_epoch' | 'not_delivered';
}

/** Entries handed to a socket in one go, and bytes it may owe before it gets more. */
const CHUNK = 128;
const SOCKET_LIMIT_BYTES = 1024 * 1024;
/** Bounds of the delay a negative acknowledgement may ask for. */
const MIN_NACK_DELAY_MS = 0;
const MAX_NACK_DELAY_MS = 3_600_000;

/** Pull delivery of one stream: at most one consumer, total order, explicit acknowledgements (docs/consumer-protocol.md, "Pull"). */
export class PullDelivery implements Delivery {
  readonly kind = 'pull';
  readonly #plan: StreamPlan;
  readonly #host: DeliveryHost;
  #consumer: PullConsumer | undefined;
  #draining = false;
  readonly #idle = new IdleWaiters();
  readonly #guard: ConsumerGuard;
  /** Entries on their way into the dead letters. */
  readonly #burying = new Set<number>();

  constructor(plan: StreamPlan, host: DeliveryHost) {
    this.#plan = plan;
    this.#host = host;
    this.#guard = new ConsumerGuard(plan.consumer, host);
  }

  get ready(): boolean {
    return this.#consumer !== undefined;
  }

  get hold(): HoldReason | undefined {
    return this.#guard.reason;
  }

  /** Connects a consumer; `seen` is the cursor of the last event it has: up to there nothing is sent again, though it still waits for acknowledgements. */
  attach(consumer: PullConsumer, seen?: string): void {
    this.#consumer = consumer;
    const ord = Number(seen?.split('.')[1] ?? 0);
    if (ord > 0) this.#host.outbox.assume(ord, this.#host.nowMs());
    this.pump();
  }

  /** The consumer is gone: what it had not acknowledged goes again to the next one. */
  detach(consumer: PullConsumer): void {
    if (this.#consumer !== consumer) return;
    this.#consumer = undefined;
    this.#host.outbox.recall(this.#host.nowMs());
    this.#after();
  }

  pump(): void {
    const consumer = this.#consumer;
    if (consumer === undefined || this.#draining) return;
    const { outbox } = this.#host;
    this.#expire(consumer);
    while (this.#host.open()) {
      const gate = this.#guard.allows();
      const allowed =
        gate === 'none' ? 0 : Math.min(gate === 'one' ? 1 - outbox.inFlight : CHUNK, consumer.credit - outbox.inFlight);
      if (allowed <= 0 || consumer.bufferedBytes > SOCKET_LIMIT_BYTES) return;
      const entries = outbox.take(allowed, this.#host.nowMs());
      if (entries.length === 0) return;
      this.#host.handed(entries);
      for (const entry of entries) if (entry.attempts > 1) stampAttempt(entry.item, entry.attempts);
      consumer.deliver(this.#host.epoch, entries);
    }
  }

  deadline(): number | undefined {
    return this.#consumer === undefined || this.#draining
      ? undefined
      : earliest(this.#host.outbox.deadline(this.#host.nowMs(), true), this.#guard.holdEndsAtMs);
  }

  /** @returns what could not be acknowledged; the rest is settled. Acknowledging twice is fine. */
  ack(ids: readonly string[]): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else this.#host.outbox.settle(found.ord);
    }
    if (problems.length < ids.length) this.#guard.note({ kind: 'ack' });
    this.#after();
    return problems;
  }

  /** Acknowledges everything handed over up to and including this id. */
  ackUpTo(id: string): readonly AckProblem[] {
    const found = this.#find(id);
    if ('reason' in found) return [found];
    this.#host.outbox.settleUpTo(found.ord);
    this.#guard.note({ kind: 'ack' });
    this.#after();
    return [];
  }

  nack(ids: readonly string[], delayMs: number): readonly AckProblem[] {
    const delay = Math.min(MAX_NACK_DELAY_MS, Math.max(MIN_NACK_DELAY_MS, delayMs));
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else if (found.entry !== undefined) this.#fault(found.entry, delay, 'negative_acknowledgement');
    }
    this.#after();
    return problems;
  }

  progress(ids: readonly string[]): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else this.#host.outbox.progress(found.ord, this.#host.nowMs());
    }
    return problems;
  }

  /** The consumer will never take these: dead letters. */
  term(ids: readonly string[], reason: string): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else if (found.entry !== undefined && found.entry.state !== 'settled')
        this.#bury(found.entry, `terminated:${reason.slice(0, 200)}`);
    }
    return problems;
  }

  /** The settled prefix up to `ord` is stored. */
  stored(ord: number): void {
    if (ord > 0) this.#consumer?.durable(`${String(this.#host.epoch)}.${String(ord)}`);
  }

  finish(limitMs: number): Promise<boolean> {
    return this.#consumer === undefined
      ? Promise.resolve(this.#host.outbox.backlog === 0)
      : settledWithin(this.#host, limitMs);
  }

  async drain(limitMs: number): Promise<void> {
    this.#draining = true;
    if (this.#host.outbox.inFlight === 0 || this.#consumer === undefined) return;
    await this.#idle.wait(limitMs);
  }

  close(): void {
    this.#draining = true;
    this.#consumer = undefined;
  }

  #after(): void {
    this.#host.settled();
    if (this.#host.outbox.inFlight === 0) this.#idle.release();
    this.pump();
  }

  #find(id: string): { readonly ord: number; readonly entry: Entry<Parcel> | undefined } | AckProblem {
    const match = /^(\d{1,16})\.(\d{1,15})$/.exec(id);
    if (match === null) return { id: id.slice(0, 64), reason: 'malformed' };
    if (Number(match[1]) !== this.#host.epoch) return { id, reason: 'older_epoch' };
    const ord = Number(match[2]);
    const entry = this.#host.outbox.entry(ord);
    if (entry === undefined)
      return ord >= 1 && ord <= this.#host.outbox.floor ? { ord, entry } : { id, reason: 'not_delivered' };
    return entry.attempts === 0 ? { id, reason: 'not_delivered' } : { ord, entry };
  }

  /** Overdue acknowledgements. What our own socket buffer still holds cannot have been acknowledged: that is not the consumer's fault. */
  #expire(consumer: PullConsumer): void {
    if (consumer.bufferedBytes > 0) return;
    for (const entry of this.#host.outbox.expire(this.#host.nowMs())) {
      this.#host.note('acknowledgement overdue', { ord: entry.ord, faults: entry.faults });
      if (entry.faults >= this.#plan.consumer.maxAttempts) this.#bury(entry, 'attempts_exhausted:ack_timeout');
    }
  }

  #fault(entry: Entry<Parcel>, delayMs: number, reason: string): void {
    if (entry.state !== 'sent') return;
    if (entry.faults + 1 >= this.#plan.consumer.maxAttempts) return this.#bury(entry, `attempts_exhausted:${reason}`);
    this.#host.outbox.retry(entry.ord, delayMs, this.#host.nowMs(), true);
  }

  /** Dead-letters one event, once; a storm of them holds the stream instead (a bad deploy must not drain it). */
  #bury(entry: Entry<Parcel>, reason: string): void {
    if (this.#burying.has(entry.ord)) return;
    const again = (): void => {
      entry.dueAtMs = this.#host.nowMs() + this.#guard.delayMs(entry.faults);
    };
    if (entry.state === 'sent') this.#host.outbox.retry(entry.ord, 0, this.#host.nowMs(), false);
    if (this.#guard.note({ kind: 'dead-letter', reason }).some((effect) => effect.kind === 'spare')) return again();
    this.#burying.add(entry.ord);
    entry.dueAtMs = Infinity; // not handed over again while the store writes
    this.#host
      .deadLetter(entry, reason)
      .then(
        (answer) => {
          if (answer === 'stored') this.#host.outbox.settle(entry.ord);
          else again();
        },
        () => {
          again();
        },
      )
      .finally(() => {
        this.#burying.delete(entry.ord);
        this.#after();
      })
      .catch((error: unknown) => {
        this.#host.note('dead letter failed', { error: String(error) });
      });
  }
}
