import type { StreamPlan } from '../config/plan.ts';
import type { HoldReason } from '../core/events/consumer-health.ts';
import { CrashSuspects } from '../core/events/crash-suspects.ts';
import type { OutboxEntry, Outbox } from '../core/events/outbox.ts';
import { earliest } from '../core/units.ts';
import { stampAttempt, type Parcel } from './envelope.ts';
import { ConsumerGate } from './consumer-gate.ts';
import { DeadLettering, type LetterAnswer } from './dead-lettering.ts';
import { CRASH, SUSPECTS_KEPT, type Delivery, type DeliveryPorts } from './delivery-ports.ts';

/** Sends events to one connected consumer. WebSocket and SSE implement it. */
export interface PullConsumer {
  /** Unacknowledged events that it accepts at one time. */
  readonly credit: number;
  /** Bytes written and not yet taken by its socket. */
  readonly bufferedBytes: number;
  deliver(epoch: number, entries: readonly OutboxEntry<Parcel>[]): void;
  /** Reports that everything up to this delivery id is covered by a stored checkpoint. */
  durable(upTo: string): void;
  /** Ends the connection: another consumer took over, or the replica stops. */
  dismiss(reason: 'takeover' | 'shutdown'): void;
}

/** Refusal of an acknowledgement, with its reason. */
export interface AckProblem {
  readonly id: string;
  readonly reason: 'malformed' | 'older_epoch' | 'not_delivered';
}

/** Refused acknowledgements that one answer names; the consumer has the others' ids itself. */
export const PROBLEMS_NAMED = 100;
/** Entries handed to a consumer before it is looked at again how much its socket owes. */
const CHUNK = 128;
/** Bytes that the socket of a consumer may owe before it gets more. */
const SOCKET_LIMIT_BYTES = 1024 * 1024;
/** Shortest delay that a negative acknowledgement can ask for. */
const MIN_NACK_DELAY_MS = 0;
/** Longest delay that a negative acknowledgement can ask for; a longer one is cut to it. */
const MAX_NACK_DELAY_MS = 3_600_000;

/** Characters of a consumer's own reason for a dead letter that are kept. */
const REASON_CHARS = 200;
/** Of what was with a consumer that was lost, the oldest so many are suspects: it works from the oldest on. */
const ACCUSED_MAX = 16;
/**
 * What the consumer holds for so long without an answer has not ended it; doubled with each loss that follows another
 * one soon, up to SURVIVED_MAX_MS.
 */
const SURVIVED_MS = 250;
/** Bounds the doubled SURVIVED_MS: a suspect that ended nothing in this time is acquitted. */
const SURVIVED_MAX_MS = 4000;
/** A loss after so long without one is the first again. */
const LOSSES_FORGOTTEN_MS = 60_000;
/** A consumer that stays connected for so long while it has nothing is well. */
const WELL_AFTER_MS = 2000;

/**
 * Delivers one stream by pull: at most one consumer, in stream order, explicit acknowledgements
 * (docs/consumer-protocol.md, "Pull"). Control events come in their place and hold nothing back.
 */
export class PullDelivery implements Delivery {
  readonly kind = 'pull';
  readonly #outbox: Outbox<Parcel>;
  readonly #ports: DeliveryPorts;
  #consumer: PullConsumer | undefined;
  #draining = false;
  readonly #gate: ConsumerGate;
  readonly #deadLettering: DeadLettering;
  readonly #suspects: CrashSuspects;
  /** The suspect that is alone with the consumer, and since when. */
  #lone: { readonly ord: number; readonly sinceMs: number } | undefined;
  /** The store's answers about letters; read in the stream's next turn. */
  #letters: LetterAnswer[] = [];
  #toldOrd = 0;
  #attachedMs = 0;
  #deliveredMs = 0;
  #lostMs = -Infinity;
  #survivedMs = SURVIVED_MS;

  constructor(plan: StreamPlan, outbox: Outbox<Parcel>, ports: DeliveryPorts) {
    this.#outbox = outbox;
    this.#ports = ports;
    this.#gate = new ConsumerGate(plan.consumer, ports);
    this.#deadLettering = new DeadLettering(outbox, ports, this.#gate, plan.consumer.maxAttempts);
    this.#suspects = new CrashSuspects(plan.consumer.crashLimit);
  }

  get ready(): boolean {
    return this.#consumer !== undefined;
  }

  get hold(): HoldReason | undefined {
    return this.#gate.reason;
  }

  get idle(): boolean {
    return (this.#outbox.inFlight === 0 || this.#consumer === undefined) && this.#deadLettering.idle;
  }

  /**
   * Connects a consumer; `seen` is the cursor of its last event: up to there nothing is sent again, though it still
   * waits for acknowledgements.
   */
  attach(consumer: PullConsumer, seen?: string): void {
    this.#consumer = consumer;
    this.#attachedMs = this.#ports.clock.nowMs();
    this.#lone = undefined;
    const ord = Number(seen?.split('.')[1] ?? 0);
    if (ord > 0) {
      this.#outbox.assume(ord, this.#ports.clock.nowMs());
      this.#acquitUpTo(ord);
    }
    this.#ports.wake();
  }

  /**
   * Disconnects a consumer: events that it had not acknowledged go again to the next one. @param how `lost`: without a
   * close.
   */
  detach(consumer: PullConsumer, how: 'left' | 'lost'): void {
    if (this.#consumer !== consumer) return;
    this.#consumer = undefined;
    const nowMs = this.#ports.clock.nowMs();
    const back = this.#outbox.recall(nowMs);
    const lone = this.#lone?.ord;
    this.#lone = undefined;
    if (how === 'lost') this.#accuse(back, lone, nowMs);
    this.#ports.wake();
  }

  /** Goes on with a consumer that has room again, or asks for more. */
  roused(): void {
    this.#ports.wake();
  }

  pump(nowMs: number): void {
    for (const letter of this.#letters.splice(0)) this.#buried(letter, nowMs);
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    this.#tellDurable(consumer);
    if (this.#draining) return;
    this.#expire(consumer, nowMs);
    if (this.#suspects.size > 0 && !this.#pumpSuspects(consumer, nowMs)) return;
    this.#pumpOthers(consumer, nowMs);
  }

  deadline(nowMs: number): number | undefined {
    if (this.#consumer === undefined || this.#draining) return undefined;
    const lone = this.#lone === undefined ? undefined : this.#lone.sinceMs + this.#survivedMs;
    const well = this.#attachedMs + WELL_AFTER_MS;
    const proof = this.#suspects.size > 0 && well > nowMs ? well : undefined;
    const survived =
      this.#suspects.size > 0 && this.#outbox.inFlight > 0 ? this.#deliveredMs + this.#survivedMs : undefined;
    return earliest(this.#outbox.deadline(nowMs, true), this.#gate.deadline(nowMs), lone, proof, survived);
  }

  /** Settles these. Returns the ids that could not be acknowledged; acknowledging twice is fine. */
  ack(ids: readonly string[]): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else this.#settle(found.ord);
    }
    if (problems.length < ids.length) this.#gate.note({ kind: 'ack' }, 0, this.#ports.clock.nowMs());
    this.#ports.wake();
    return problems;
  }

  /** Acknowledges everything handed over up to and including this id. */
  ackUpTo(id: string): readonly AckProblem[] {
    const found = this.#find(id);
    if ('reason' in found) return [found];
    this.#outbox.settleUpTo(found.ord);
    this.#acquitUpTo(found.ord);
    this.#suspects.proved(undefined);
    this.#gate.note({ kind: 'ack' }, 0, this.#ports.clock.nowMs());
    this.#ports.wake();
    return [];
  }

  nack(ids: readonly string[], delayMs: number): readonly AckProblem[] {
    const delay = Math.min(MAX_NACK_DELAY_MS, Math.max(MIN_NACK_DELAY_MS, delayMs));
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else if (found.entry !== undefined) this.#fault(found.entry, delay);
    }
    this.#ports.wake();
    return problems;
  }

  progress(ids: readonly string[]): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else this.#outbox.progress(found.ord, this.#ports.clock.nowMs());
    }
    return problems;
  }

  /** Dead-letters events that the consumer will never take. */
  term(ids: readonly string[], reason: string): readonly AckProblem[] {
    const problems: AckProblem[] = [];
    const nowMs = this.#ports.clock.nowMs();
    for (const id of ids) {
      const found = this.#find(id);
      if ('reason' in found) problems.push(found);
      else if (found.entry !== undefined) this.#bury(found.entry, `terminated:${reason.slice(0, REASON_CHARS)}`, nowMs);
    }
    this.#ports.wake();
    return problems;
  }

  suspects(): readonly { readonly ord: number; readonly losses: number }[] {
    return this.#suspects.convicting(SUSPECTS_KEPT);
  }

  suspect(ord: number, losses: number): void {
    if (this.#suspects.accuse(ord, losses)) this.#outbox.suspect(ord, true);
  }

  drain(): void {
    this.#draining = true;
  }

  close(): void {
    this.#draining = true;
    this.#consumer = undefined;
  }

  // --- what goes ---

  #pumpOthers(consumer: PullConsumer, nowMs: number): void {
    while (this.#ports.lease.isOpen(this.#ports.clock.nowMs())) {
      const gate = this.#gate.allows(nowMs);
      const { inFlight } = this.#outbox;
      const allowed =
        gate === 'none' || gate === 'probe'
          ? 0
          : Math.min(gate === 'one' ? 1 - inFlight : CHUNK, consumer.credit - inFlight);
      if (allowed <= 0 || consumer.bufferedBytes > SOCKET_LIMIT_BYTES) return;
      const entries = this.#outbox.take(allowed, nowMs);
      if (entries.length === 0) return;
      this.#deliver(consumer, entries);
    }
  }

  /**
   * Sends suspects one by one, in order, before anything newer; one that was lost alone lets the others pass until one
   * of them is taken. Returns whether the others may go.
   */
  #pumpSuspects(consumer: PullConsumer, nowMs: number): boolean {
    if (!this.#loneSurvived(nowMs)) return false;
    // As the deadline computes it: a difference may round to less.
    if (nowMs >= this.#attachedMs + WELL_AFTER_MS) this.#suspects.proved(undefined);
    const [next] = this.#suspects.turns(false);
    if (next === undefined || (next.losses > 0 && !next.proved)) return true;
    if (!this.#mayGoAlone(consumer, nowMs)) return false;
    const entry = this.#outbox.takeOne(next.ord, nowMs);
    if (entry === undefined) return true;
    this.#lone = { ord: next.ord, sinceMs: nowMs };
    this.#deliver(consumer, [entry]);
    return false;
  }

  /**
   * Acquits a suspect that the consumer has had long enough without ending. Returns whether none is alone with it now.
   */
  #loneSurvived(nowMs: number): boolean {
    if (this.#lone === undefined) return true;
    if (this.#lone.sinceMs + this.#survivedMs > nowMs) return false;
    this.#acquit(this.#lone.ord);
    this.#lone = undefined;
    return true;
  }

  /** Returns whether one event may be handed over alone: the consumer has had its other events for a while already. */
  #mayGoAlone(consumer: PullConsumer, nowMs: number): boolean {
    const { inFlight } = this.#outbox;
    const alone = inFlight === 0 || nowMs >= this.#deliveredMs + this.#survivedMs;
    if (!alone || consumer.credit <= inFlight || !this.#ports.lease.isOpen(this.#ports.clock.nowMs())) return false;
    return this.#gate.allows(nowMs) !== 'none';
  }

  #deliver(consumer: PullConsumer, entries: readonly OutboxEntry<Parcel>[]): void {
    this.#deliveredMs = this.#ports.clock.nowMs();
    this.#ports.telemetry.handed(entries);
    for (const entry of entries) if (entry.attempts > 1) stampAttempt(entry.item, entry.attempts);
    consumer.deliver(this.#ports.epoch, entries);
  }

  /** Reports up to where a checkpoint is stored, whenever it has moved. */
  #tellDurable(consumer: PullConsumer): void {
    const { storedOrd } = this.#outbox;
    if (storedOrd <= this.#toldOrd) return;
    this.#toldOrd = storedOrd;
    consumer.durable(`${String(this.#ports.epoch)}.${String(storedOrd)}`);
  }

  // --- what came of it ---

  #settle(ord: number): void {
    if (!this.#outbox.settle(ord)) return;
    this.#acquit(ord);
    this.#suspects.proved(ord);
  }

  #accuse(back: readonly OutboxEntry<Parcel>[], lone: number | undefined, nowMs: number): void {
    if (back.length === 0) return;
    const soon = nowMs - this.#lostMs < LOSSES_FORGOTTEN_MS;
    this.#survivedMs = soon ? Math.min(SURVIVED_MAX_MS, this.#survivedMs * 2) : SURVIVED_MS;
    this.#lostMs = nowMs;
    const convicted = lone !== undefined && this.#suspects.lostAlone(lone);
    const entry = lone === undefined ? undefined : this.#outbox.entry(lone);
    for (const { ord } of back.slice(0, ACCUSED_MAX)) this.suspect(ord, 0);
    if (convicted && entry !== undefined) this.#bury(entry, CRASH, nowMs);
  }

  #acquit(ord: number): void {
    if (this.#lone?.ord === ord) this.#lone = undefined;
    if (!this.#suspects.has(ord)) return;
    this.#suspects.clear(ord);
    this.#outbox.suspect(ord, false);
  }

  #acquitUpTo(ord: number): void {
    for (const one of this.#suspects.all()) if (one <= ord) this.#acquit(one);
  }

  #find(id: string): { readonly ord: number; readonly entry: OutboxEntry<Parcel> | undefined } | AckProblem {
    const match = /^(\d{1,16})\.(\d{1,15})$/.exec(id);
    if (match === null) return { id: id.slice(0, 64), reason: 'malformed' };
    if (Number(match[1]) !== this.#ports.epoch) return { id, reason: 'older_epoch' };
    const ord = Number(match[2]);
    const entry = this.#outbox.entry(ord);
    if (entry === undefined)
      return ord >= 1 && ord <= this.#outbox.floor ? { ord, entry } : { id, reason: 'not_delivered' };
    return entry.attempts === 0 ? { id, reason: 'not_delivered' } : { ord, entry };
  }

  /**
   * Expires overdue acknowledgements. Events still in our own socket buffer cannot have been acknowledged: that is not
   * the consumer's fault.
   */
  #expire(consumer: PullConsumer, nowMs: number): void {
    if (consumer.bufferedBytes > 0) return;
    for (const entry of this.#outbox.expire(nowMs)) {
      this.#acquit(entry.ord);
      this.#ports.telemetry.note('acknowledgement overdue', { ord: entry.ord, faults: entry.faults });
      const death = this.#deadLettering.exhausted(entry.faults, 'ack_timeout');
      if (death !== undefined) this.#bury(entry, death, nowMs);
    }
  }

  #fault(entry: OutboxEntry<Parcel>, delayMs: number): void {
    if (entry.state !== 'sent') return;
    const nowMs = this.#ports.clock.nowMs();
    this.#acquit(entry.ord);
    const death = this.#deadLettering.exhausted(entry.faults + 1, 'negative_acknowledgement');
    if (death !== undefined) return this.#bury(entry, death, nowMs);
    this.#outbox.retry(entry.ord, delayMs, nowMs, true);
  }

  #bury(entry: OutboxEntry<Parcel>, reason: string, nowMs: number): void {
    this.#deadLettering
      .begin(entry, reason, nowMs)
      ?.then((letter) => {
        this.#letters.push(letter);
        this.#ports.wake();
      })
      .catch((error: unknown) => {
        this.#ports.telemetry.note('dead letter failed', { error: String(error) });
      });
  }

  #buried({ entry, answer }: LetterAnswer, nowMs: number): void {
    this.#deadLettering.ended();
    if (answer === 'stored') return this.#settle(entry.ord);
    // Held as in push mode: no further event may die until there is room.
    if (answer === 'full') this.#gate.note({ kind: 'hold', reason: 'storm_guard' }, entry.ord, nowMs);
    this.#deadLettering.again(entry, nowMs);
  }
}
