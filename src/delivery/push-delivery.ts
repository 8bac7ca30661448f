import { readFileSync } from 'node:fs';
import { PRIVATE_ADDRESS } from '../config/private-addresses.ts';
import type { StreamPlan } from '../config/plan.ts';
import type { Answer, HoldReason } from '../core/events/consumer-health.ts';
import { CrashSuspects } from '../core/events/crash-suspects.ts';
import type { OutboxEntry, Outbox } from '../core/events/outbox.ts';
import { earliest } from '../core/units.ts';
import { binaryHeaders } from './binary-headers.ts';
import { stampAttempt, type Parcel } from './envelope.ts';
import { ConsumerGate } from './consumer-gate.ts';
import { DeadLettering, type LetterAnswer } from './dead-lettering.ts';
import { CRASH, SUSPECTS_KEPT, type Delivery, type DeliveryPorts } from './delivery-ports.ts';
import { CONTENT_TYPES, pushBody } from './push-body.ts';
import { pushAnswers, type Posted } from './push-answers.ts';
import type { Probed, Push, PushTransport } from './push-transport.ts';

/** A consumer that is not well yet is asked again after this. */
const PROBE_EVERY_MS = 500;

/** Outcome of work that was under way; read in the stream's next turn. */
type Outcome =
  | { readonly kind: 'posted'; readonly entries: readonly OutboxEntry<Parcel>[]; readonly posted: Posted }
  | { readonly kind: 'probed'; readonly what: 'there' | 'well'; readonly found: Probed }
  | LetterAnswer;

/**
 * Delivers one stream by HTTP push (docs/consumer-protocol.md, "Push"). Batches are natural: while a request is under
 * way the next one gathers. "Down is not poison": refused connections hold the stream and count for nothing. An event
 * that ends the consumer again and again is isolated.
 */
export class PushDelivery implements Delivery {
  readonly kind = 'push';
  readonly #order: StreamPlan['delivery']['order'];
  readonly #push: Push;
  readonly #outbox: Outbox<Parcel>;
  readonly #ports: DeliveryPorts;
  readonly #transport: PushTransport;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #gate: ConsumerGate;
  readonly #deadLettering: DeadLettering;
  readonly #suspects: CrashSuspects;
  /** The suspect that is with the consumer: no other event goes meanwhile. */
  #lone: number | undefined;
  /** True after a suspect's turn: the others have theirs. */
  #othersNext = false;
  /** True when only suspects are left that can go. */
  #nothingElse = false;
  #outcomes: Outcome[] = [];
  #requests = 0;
  #draining = false;
  #healthy: boolean;
  #lookDueMs = 0;
  #looking = false;
  /**
   * Events per batch now: halved when a batch is refused as a whole, so that one bad event does not condemn its
   * neighbours.
   */
  #batchMax: number;
  #bearer: Readonly<Record<string, string>> = {};

  constructor(plan: StreamPlan, outbox: Outbox<Parcel>, ports: DeliveryPorts, way: PushWay) {
    this.#order = plan.delivery.order;
    this.#push = way.push;
    this.#outbox = outbox;
    this.#ports = ports;
    this.#transport = way.transport;
    this.#gate = new ConsumerGate(plan.consumer, ports);
    this.#deadLettering = new DeadLettering(outbox, ports, this.#gate, plan.consumer.maxAttempts);
    this.#suspects = new CrashSuspects(plan.consumer.crashLimit);
    this.#healthy = way.push.healthPath === undefined;
    const type = CONTENT_TYPES[way.push.contentMode];
    this.#headers = { 'content-type': `${type}; charset=utf-8`, 'user-agent': 'holdfast' };
    this.#batchMax = way.push.maxBatch;
    this.#readToken();
  }

  get ready(): boolean {
    return this.#healthy && this.#gate.hold === undefined;
  }

  get hold(): HoldReason | undefined {
    return this.#gate.reason ?? (this.#healthy ? undefined : 'consumer_down');
  }

  get idle(): boolean {
    return this.#requests === 0 && this.#deadLettering.idle;
  }

  deadline(nowMs: number): number | undefined {
    if (this.#draining) return undefined;
    const look = this.#lookWanted ? this.#lookDueMs : undefined;
    if (!this.#healthy) return this.#looking ? undefined : this.#lookDueMs;
    // A hold that is over waits for an event that may try; it may not be due yet.
    return earliest(this.#gate.deadline(nowMs) ?? this.#outbox.deadline(nowMs, false), look);
  }

  pump(nowMs: number): void {
    this.#collect(nowMs);
    if (this.#draining) return;
    if (!this.#healthy) return this.#look('there', nowMs);
    if (this.#lookWanted) this.#look('well', nowMs);
    const allowed = this.#gate.allows(nowMs);
    if (allowed === 'probe') return this.#probe('there');
    if (allowed !== 'none') this.#handOver(allowed, nowMs);
  }

  drain(): void {
    this.#draining = true;
  }

  close(): void {
    this.#draining = true;
    this.#outcomes = []; // what our own end does to a request proves nothing about the consumer
    this.#transport.close();
  }

  suspects(): readonly { readonly ord: number; readonly losses: number }[] {
    return this.#suspects.convicting(SUSPECTS_KEPT);
  }

  suspect(ord: number, losses: number): void {
    if (this.#suspects.accuse(ord, losses)) this.#outbox.suspect(ord, true);
  }

  // --- what goes ---

  /** Sends as many requests as may be under way at one time. */
  #handOver(allowed: 'all' | 'one', nowMs: number): void {
    const limit = allowed === 'one' || this.#push.contentMode === 'batch' ? 1 : this.#push.concurrency;
    while (this.#requests < limit && this.#ports.lease.isOpen(this.#ports.clock.nowMs())) {
      const entries = this.#take(allowed, nowMs);
      if (entries.length === 0) return;
      this.#send(entries);
    }
  }

  #take(allowed: 'all' | 'one', nowMs: number): readonly OutboxEntry<Parcel>[] {
    if (this.#lone !== undefined) return [];
    if (this.#suspects.size === 0) return this.#takeOthers(allowed, nowMs);
    if (!this.#othersNext) {
      if (this.#requests > 0) return []; // a suspect goes alone: first the others come back
      const suspect = this.#takeSuspect(nowMs);
      if (suspect.length > 0) return suspect;
    }
    const others = this.#takeOthers(allowed, nowMs);
    if (others.length > 0 || this.#requests > 0) return others;
    this.#nothingElse = true;
    return this.#takeSuspect(nowMs);
  }

  #takeOthers(allowed: 'all' | 'one', nowMs: number): readonly OutboxEntry<Parcel>[] {
    const max = this.#push.contentMode === 'batch' && allowed === 'all' ? this.#batchMax : 1;
    if (this.#order === 'stream') return this.#outbox.takeRun(max, nowMs);
    if (this.#push.contentMode === 'batch') return this.#outbox.takeBatch(max, nowMs);
    const entry = this.#outbox.takeKeyed(nowMs);
    return entry === undefined ? [] : [entry];
  }

  #takeSuspect(nowMs: number): readonly OutboxEntry<Parcel>[] {
    const inOrder = this.#order === 'stream';
    for (const { ord, losses, proved } of this.#suspects.turns(inOrder)) {
      // Where no other event can go, the consumer has to prove in another way that it is well.
      const entry = losses > 0 && !proved ? undefined : this.#outbox.takeOne(ord, nowMs);
      if (entry === undefined) continue;
      this.#nothingElse = false;
      this.#lone = ord;
      this.#othersNext = true;
      return [entry];
    }
    return [];
  }

  #send(entries: readonly OutboxEntry<Parcel>[]): void {
    const [first] = entries;
    if (first === undefined) return;
    this.#requests += 1;
    this.#ports.telemetry.handed(entries);
    for (const entry of entries) stampAttempt(entry.item, entry.attempts);
    const { contentMode } = this.#push;
    const body = pushBody(first, entries, contentMode);
    const own = contentMode === 'binary' ? binaryHeaders(first.item) : {};
    this.#await(
      this.#transport
        .post({ ...this.#headers, ...this.#bearer, ...own }, body)
        .then((posted): Outcome => ({ kind: 'posted', entries, posted })),
    );
  }

  // --- what came of it ---

  /** Keeps the outcome for the stream's next turn. */
  #await(outcome: Promise<Outcome>): void {
    outcome
      .then((known) => {
        this.#outcomes.push(known);
        this.#ports.wake();
      })
      .catch((error: unknown) => {
        this.#ports.telemetry.note('delivery failed', { error: String(error) });
      });
  }

  #collect(nowMs: number): void {
    if (this.#outcomes.length === 0) return;
    for (const outcome of this.#outcomes.splice(0)) {
      if (outcome.kind === 'posted') this.#answered(outcome.entries, outcome.posted, nowMs);
      else if (outcome.kind === 'probed') this.#probed(outcome.what, outcome.found, nowMs);
      else this.#buried(outcome, nowMs);
    }
  }

  #answered(entries: readonly OutboxEntry<Parcel>[], posted: Posted, nowMs: number): void {
    this.#requests -= 1;
    const alone = this.#isLone(entries);
    if (alone) this.#lone = undefined;
    switch (posted.kind) {
      case 'lost':
        return this.#lost(entries, alone, nowMs);
      case 'down':
        return this.#down(entries, reasonOfDown(posted.code), nowMs);
      default:
        for (const { ord } of entries) this.#acquit(ord);
        return this.#decided(entries, pushAnswers(entries, posted, this.#push.contentMode === 'batch'), nowMs, alone);
    }
  }

  #isLone(entries: readonly OutboxEntry<Parcel>[]): boolean {
    const [first] = entries;
    return this.#lone !== undefined && entries.length === 1 && first?.ord === this.#lone;
  }

  /** Takes the consumer's answer: each entry has its outcome, except in a batch that is refused as a whole. */
  #decided(entries: readonly OutboxEntry<Parcel>[], answers: readonly Answer[], nowMs: number, alone: boolean): void {
    if (entries.length > 1 && answers.every(isRefusal)) return this.#halveBatch(entries, nowMs);
    if (answers.every((answer) => answer.kind === 'ack'))
      this.#batchMax = Math.min(this.#push.maxBatch, this.#batchMax * 2);
    if (!alone) this.#othersNext = false;
    entries.forEach((entry, index) => {
      this.#outcome(entry, answers[index] ?? { kind: 'retry', counted: true, reason: 'bad_answer' }, nowMs);
    });
  }

  #halveBatch(entries: readonly OutboxEntry<Parcel>[], nowMs: number): void {
    this.#batchMax = Math.max(1, Math.floor(entries.length / 2));
    for (const entry of entries)
      this.#outcome(entry, { kind: 'retry', counted: false, reason: 'batch_refused' }, nowMs);
  }

  /**
   * Suspects the entries of a lost connection: the consumer may have gone because of one of them, so each goes alone
   * from now on.
   */
  #lost(entries: readonly OutboxEntry<Parcel>[], alone: boolean, nowMs: number): void {
    const [only] = entries;
    const convicted = alone && only !== undefined && this.#suspects.lostAlone(only.ord);
    for (const { ord } of entries) if (this.#suspects.accuse(ord)) this.#outbox.suspect(ord, true);
    this.#down(convicted ? [] : entries, 'consumer_down', nowMs);
    if (convicted) this.#bury(only, CRASH, nowMs);
  }

  #down(entries: readonly OutboxEntry<Parcel>[], reason: HoldReason, nowMs: number): void {
    this.#hold({ kind: 'hold', reason }, nowMs);
    for (const entry of entries) this.#outbox.retry(entry.ord, 0, nowMs, false);
  }

  #acquit(ord: number): void {
    if (!this.#suspects.has(ord)) return;
    this.#suspects.clear(ord);
    this.#outbox.suspect(ord, false);
  }

  #outcome(entry: OutboxEntry<Parcel>, answer: Answer, nowMs: number): void {
    switch (answer.kind) {
      case 'ack':
      case 'drop':
        this.#gate.note(answer, entry.ord, nowMs);
        this.#outbox.settle(entry.ord);
        this.#suspects.proved(entry.ord);
        return;
      case 'hold':
        this.#hold(answer, nowMs);
        this.#outbox.retry(entry.ord, 0, nowMs, false);
        return;
      case 'unknown': {
        this.#ports.telemetry.unknownWord(answer.word);
        const spared = this.#gate.spares(answer, entry.ord, nowMs);
        return this.#failed(entry, { counted: !spared, reason: 'status_unknown' }, nowMs);
      }
      case 'retry':
        this.#gate.note(answer, entry.ord, nowMs);
        return this.#failed(entry, answer, nowMs);
      case 'dead-letter':
        return this.#bury(entry, answer.reason, nowMs);
    }
  }

  #failed(
    entry: OutboxEntry<Parcel>,
    why: { readonly counted: boolean; readonly reason: string; readonly retryAfterMs?: number },
    nowMs: number,
  ): void {
    const death = why.counted ? this.#deadLettering.exhausted(entry.faults + 1, why.reason) : undefined;
    if (death !== undefined) return this.#bury(entry, death, nowMs);
    const delay = this.#gate.delayMs(entry.faults + 1, why.retryAfterMs);
    this.#outbox.retry(entry.ord, delay, nowMs, why.counted);
  }

  #bury(entry: OutboxEntry<Parcel>, reason: string, nowMs: number): void {
    const answer = this.#deadLettering.begin(entry, reason, nowMs);
    if (answer !== undefined) this.#await(answer);
  }

  #buried({ entry, answer }: LetterAnswer, nowMs: number): void {
    this.#deadLettering.ended();
    if (answer === 'stored') {
      this.#suspects.clear(entry.ord);
      this.#outbox.settle(entry.ord);
      return;
    }
    if (answer === 'full') this.#hold({ kind: 'hold', reason: 'storm_guard' }, nowMs);
    this.#deadLettering.again(entry, nowMs);
  }

  #hold(answer: Extract<Answer, { kind: 'hold' }>, nowMs: number): void {
    // Requests that were under way together fail together: that is one finding, not one per request.
    const { hold } = this.#gate;
    if (hold !== undefined && hold.reason === answer.reason && nowMs < hold.untilMs) return;
    if (answer.reason === 'consumer_rejected') this.#readToken();
    this.#gate.note(answer, 0, nowMs);
  }

  // --- looking for the consumer ---

  /** True when a suspect keeps all others back: it may go again once the consumer is known to be well. */
  get #lookWanted(): boolean {
    return this.#nothingElse && !this.#looking && this.#suspects.unproved;
  }

  #look(what: 'there' | 'well', nowMs: number): void {
    if (this.#looking || nowMs < this.#lookDueMs) return;
    this.#looking = true;
    this.#probe(what);
  }

  #probe(what: 'there' | 'well'): void {
    if (this.#healthy && what === 'there') this.#gate.probed();
    this.#await(this.#transport.probe(what).then((found): Outcome => ({ kind: 'probed', what, found })));
  }

  /** Takes a probe's result. Delivers nothing before the consumer proves for the first time that it is well. */
  #probed(what: 'there' | 'well', found: Probed, nowMs: number): void {
    if (found === 'refused') this.#hold({ kind: 'hold', reason: 'consumer_address_refused' }, nowMs);
    if (this.#healthy && what === 'there') return this.#gate.found(found === 'there', nowMs);
    this.#looking = false;
    this.#lookDueMs = nowMs + PROBE_EVERY_MS;
    if (found !== 'there') return;
    if (what === 'well') return this.#suspects.proved(undefined);
    this.#healthy = true;
    this.#ports.telemetry.note('consumer is healthy', {});
  }

  /** Reads the consumer's token again when the consumer refuses it: it is a file that may be replaced. */
  #readToken(): void {
    if (this.#push.tokenFile === undefined) return;
    try {
      const token = readFileSync(this.#push.tokenFile, 'utf8').trim();
      this.#ports.telemetry.secret(token);
      if (/^[\x21-\x7e]+$/.test(token)) this.#bearer = { authorization: `Bearer ${token}` };
    } catch {
      this.#ports.telemetry.note('the token file for the consumer cannot be read', { file: this.#push.tokenFile });
    }
  }
}

/** The push options of a stream, and its connections. */
export interface PushWay {
  readonly push: Push;
  readonly transport: PushTransport;
}

function reasonOfDown(code: string): HoldReason {
  return code === PRIVATE_ADDRESS ? 'consumer_address_refused' : 'consumer_down';
}

function isRefusal(answer: Answer): boolean {
  return answer.kind === 'dead-letter' || (answer.kind === 'retry' && answer.counted);
}
