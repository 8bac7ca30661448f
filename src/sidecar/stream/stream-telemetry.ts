import { PRIVATE_ADDRESS_REMEDY } from '../../config/private-addresses.ts';
import type { StreamPlan } from '../../config/plan.ts';
import type { Failure, Reason } from '../../core/session/classify-failure.ts';
import type { OutboxEntry, Outbox } from '../../core/events/outbox.ts';
import type { Control, SessionEffect, SessionState } from '../../core/session/session-model.ts';
import { unreachable } from '../../core/step.ts';
import type { HoldReason } from '../../core/events/consumer-health.ts';
import type { DeliveryTelemetry } from '../../delivery/delivery-ports.ts';
import type { Parcel } from '../../delivery/envelope.ts';
import type { Deps } from '../runtime/environment.ts';
import type { Intake } from './intake.ts';
import type { GapData } from './intake-note.ts';
import { StreamGauges } from './stream-gauges.ts';
import { streamStatus, type StatusFacts, type StreamTotals } from './stream-status.ts';
import { deadLetterLabel } from '../../core/vocabulary.ts';

type Telling = Effect<'promoted' | 'attempt-failed' | 'health' | 'halted' | 'fatal'>;
type Effect<K extends SessionEffect['kind']> = Extract<SessionEffect, { kind: K }>;

/** Unknown control types named in the audit log; beyond them only the count goes on. */
const UNKNOWN_NAMED = 50;

/**
 * Writes everything that is reported about one stream: audit records, metrics, log lines, status. It decides nothing.
 */
export class StreamTelemetry implements DeliveryTelemetry {
  readonly #plan: StreamPlan;
  readonly #deps: Deps;
  readonly #labels: { readonly client: string; readonly stream: string };
  readonly #unknown = new Set<string>();
  readonly #gauges: StreamGauges;
  #seen = { received: 0, duplicates: 0, poisoned: 0, conflicts: 0, floor: 0 };
  readonly #totals: StreamTotals = {
    gaps: 0,
    lastGap: undefined,
    delivered: 0,
    redelivered: 0,
    deadLettered: 0,
    parks: 0,
    lastFailure: undefined,
  };
  #unknownWordSaid = false;
  #stuck = false;

  constructor(plan: StreamPlan, deps: Deps) {
    this.#plan = plan;
    this.#deps = deps;
    this.#labels = { client: plan.client, stream: plan.name };
    this.#gauges = new StreamGauges(plan, deps);
  }

  /** Reports those effects of the session that only inform. */
  effect(
    effect: Telling,
    facts: {
      readonly session: SessionState;
      readonly continuityRate: number;
      readonly bufferedBytes: number;
      readonly connectionId: string;
    },
  ): void {
    switch (effect.kind) {
      case 'promoted':
        return this.promoted(effect, facts.connectionId);
      case 'attempt-failed':
        return this.attemptFailed(effect, facts.session, facts.continuityRate);
      case 'health':
        return this.health(effect, facts.connectionId, facts.bufferedBytes);
      case 'halted':
      case 'fatal':
        return this.halted(effect);
      default:
        return unreachable(effect);
    }
  }

  dial(effect: Effect<'dial'>, connectionId: string): void {
    this.#deps.metrics.dials.inc(this.#labels);
    if (effect.purpose !== 'first' || effect.attempt > 0)
      this.#audit('RECONNECT_ATTEMPT', { connectionId, attempt: effect.attempt, purpose: effect.purpose, delayMs: 0 });
  }

  ready(effect: Effect<'ready'>, session: SessionState, connectionId: string, continuityRate: number): void {
    this.connected(true);
    const first = session.totals.reconnects === 0;
    const latencyMs = Math.round(effect.latencyMs);
    this.#deps.metrics.reconnectLatency.observe(this.#labels, effect.latencyMs / 1000);
    this.#audit('connection.opened', { connectionId, purpose: effect.purpose, latencyMs });
    this.#deps.log.info({ ...this.#labels, connectionId, purpose: effect.purpose, latencyMs }, 'stream open');
    if (effect.acknowledged) this.#audit('reconnect_ack', { connectionId, latency: latencyMs });
    if (first) return;
    this.#deps.metrics.reconnects.inc(this.#labels);
    const { successes, attempts } = session.totals;
    this.#audit('RECONNECT_SUCCESS', {
      connectionId,
      latencyMs,
      successRate: attempts === 0 ? 0 : successes / attempts,
    });
    this.#audit('websocket_reconnection', {
      connectionId,
      retryCount: session.attempt,
      latencyMs,
      continuityRate,
      status: 'success',
    });
  }

  attemptFailed(effect: Effect<'attempt-failed'>, session: SessionState, continuityRate: number): void {
    this.#totals.lastFailure = { reason: effect.reason, at: new Date(this.#deps.nowEpochMs()).toISOString() };
    this.#deps.metrics.failures.inc({ ...this.#labels, reason: effect.reason });
    this.#audit('RECONNECT_FAIL', {
      attempt: effect.attempt,
      reason: effect.reason,
      retryInMs: Math.round(effect.retryInMs),
    });
    this.#audit('websocket_reconnection', {
      retryCount: session.attempt,
      latencyMs: Math.round(effect.latencyMs),
      continuityRate,
      status: effect.timeout ? 'timeout' : 'failure',
      reason: effect.reason,
    });
    this.#deps.log.warn(
      { ...this.#labels, reason: effect.reason, attempt: effect.attempt, retryInMs: Math.round(effect.retryInMs) },
      'stream not open; it is tried again',
    );
  }

  ended(connectionId: string, failure: Failure, text: string, pendingBytes: number): void {
    const fields = {
      socketId: connectionId,
      stage: failure.stage,
      status: failure.status,
      closeCode: failure.closeCode,
      error: failure.error,
      text,
      pendingBytes,
    };
    if (failure.closeCode === 1000) this.#audit('connection.closed', fields);
    else
      this.#audit('connection.dropped', {
        ...fields,
        reason:
          failure.error ??
          (failure.status === undefined
            ? `close_${String(failure.closeCode ?? 'none')}`
            : `http_${String(failure.status)}`),
      });
  }

  health(effect: Effect<'health'>, connectionId: string, pendingBytes: number): void {
    this.#audit('connection.health', {
      socketId: connectionId,
      state: { degraded: 'DEGRADED', recovered: 'ACTIVE', dead: 'DEAD' }[effect.verdict],
      reason: effect.reason,
    });
    if (effect.verdict === 'dead')
      this.#audit('connection.dropped', { socketId: connectionId, reason: effect.reason, pendingBytes });
  }

  terminated(gen: number, reason: Reason): void {
    this.#deps.log.debug({ ...this.#labels, gen, reason }, 'socket terminated');
  }

  /** Reports the newest round trip, if this pong answered a ping. */
  pong(session: SessionState): void {
    const latencyMs = session.main?.liveness?.latenciesMs.at(-1);
    if (latencyMs !== undefined) this.#deps.metrics.pingLatency.observe(this.#labels, latencyMs / 1000);
  }

  promoted(effect: Effect<'promoted'>, connectionId: string): void {
    this.#deps.log.info({ ...this.#labels, connectionId, purpose: effect.purpose }, 'the new connection took over');
  }

  halted(effect: Effect<'halted'> | Effect<'fatal'>): void {
    this.connected(false);
    if (effect.kind === 'fatal') this.#audit('fatal', { reason: effect.reason });
    else this.#audit('stream.halted', { reason: effect.reason });
    this.#deps.log.error(
      { ...this.#labels, reason: effect.reason },
      effect.kind === 'fatal'
        ? 'retries are exhausted; the stream is stopped'
        : 'the stream waits for another token or configuration',
    );
  }

  connected(open: boolean): void {
    this.#gauges.connected(open);
  }

  /** Ends the term. */
  over(): void {
    this.#gauges.over();
  }

  parked(bufferedBytes: number): void {
    this.#totals.parks += 1;
    this.#deps.metrics.parks.inc(this.#labels);
    this.#audit('stream.parked', { bufferedBytes });
    this.#deps.log.warn(
      { ...this.#labels, bufferedBytes },
      'the buffer is full; the stream is parked until the consumer catches up',
    );
  }

  gap(data: GapData): void {
    this.#totals.gaps += 1;
    this.#totals.lastGap = data;
    this.#gauges.gap(data);
    this.#deps.metrics.gaps.inc({ ...this.#labels, cause: data.cause });
    if (data.count !== undefined) this.#deps.metrics.missing.inc(this.#labels, data.count);
    this.#audit('gap.detected', { ...data });
    this.#deps.log.warn({ ...this.#labels, ...data }, 'gap');
  }

  control(control: Control, session: SessionState): void {
    if (control === 'token-mismatch') this.#audit('token.mismatch', { tokenId: session.main?.token.id });
  }

  unknownControl(type: string): void {
    this.#deps.metrics.controlUnknown.inc(this.#labels);
    const name = type.slice(0, 64);
    if (this.#unknown.has(name) || this.#unknown.size >= UNKNOWN_NAMED) return;
    this.#unknown.add(name);
    this.#audit('control.unknown', { type: name });
  }

  emptyBatch(): void {
    this.#deps.metrics.emptyBatches.inc(this.#labels);
  }

  handed(entries: readonly OutboxEntry<Parcel>[]): void {
    let again = 0;
    for (const entry of entries) if (entry.attempts > 1) again += 1;
    this.#totals.redelivered += again;
    this.#totals.delivered += entries.length - again;
    this.#deps.metrics.delivered.inc(this.#labels, entries.length - again);
    if (again > 0) this.#deps.metrics.redelivered.inc(this.#labels, again);
  }

  deadLettered(reason: string): void {
    this.#totals.deadLettered += 1;
    this.#deps.metrics.deadLettered.inc({ ...this.#labels, reason: deadLetterLabel(reason) });
  }

  held(reason: HoldReason): void {
    this.#audit('consumer.held', { reason });
    const hint =
      reason === 'consumer_address_refused'
        ? { hint: `the host of delivery.push.url resolves to a private address: ${PRIVATE_ADDRESS_REMEDY}` }
        : {};
    this.#deps.log.warn({ stream: this.#plan.name, reason, ...hint }, 'delivery is held');
  }

  released(): void {
    this.#audit('consumer.released', {});
    this.#deps.log.info({ stream: this.#plan.name }, 'delivery goes on');
  }

  unknownWord(word: string): void {
    if (this.#unknownWordSaid) return;
    this.#unknownWordSaid = true;
    this.#deps.log.warn(
      { stream: this.#plan.name, word },
      'the application answers 2xx with a status that is no known word; the event is delivered again (use ' +
        'SUCCESS, RETRY, DROP or DEADLETTER)',
    );
  }

  secret(value: string): void {
    this.#deps.secrets.add(value);
  }

  note(what: string, fields: Readonly<Record<string, unknown>>): void {
    this.#deps.log.debug({ stream: this.#plan.name, ...fields }, what);
  }

  /** Reports a written checkpoint. @param settled the last event that it covers. */
  checkpointed(settled: Parcel | undefined, nowMs: number): void {
    if (settled === undefined) return;
    this.#deps.metrics.ackLatency.observe(this.#labels, Math.max(0, nowMs - settled.receivedAtMs) / 1000);
  }

  /** Carries plain counters over into the metrics, once per turn. */
  turn(intake: Intake, outbox: Outbox<Parcel>): void {
    const { metrics } = this.#deps;
    const seen = {
      received: intake.received,
      duplicates: intake.duplicates,
      poisoned: intake.poisoned,
      conflicts: intake.conflicts,
      floor: outbox.floor,
    };
    if (seen.received > this.#seen.received) metrics.received.inc(this.#labels, seen.received - this.#seen.received);
    if (seen.duplicates > this.#seen.duplicates)
      metrics.duplicates.inc(this.#labels, seen.duplicates - this.#seen.duplicates);
    if (seen.poisoned > this.#seen.poisoned) metrics.poison.inc(this.#labels, seen.poisoned - this.#seen.poisoned);
    if (seen.conflicts > this.#seen.conflicts)
      metrics.conflicts.inc(this.#labels, seen.conflicts - this.#seen.conflicts);
    if (seen.floor > this.#seen.floor) metrics.acknowledged.inc(this.#labels, seen.floor - this.#seen.floor);
    this.#seen = seen;
    this.#gauges.progress(outbox);
  }

  status(facts: StatusFacts): Record<string, unknown> {
    const standing = this.#gauges.look({ ...facts, counted: facts.intake.continuityRate });
    this.#noteProgress(standing.noProgressMs);
    const at = { nowMs: this.#deps.nowMs(), nowEpochMs: this.#deps.nowEpochMs() };
    return streamStatus(this.#plan, facts, { standing, totals: this.#totals, ...at });
  }

  /** Logs once that nothing is settled although nothing holds delivery, and once that it goes on. */
  #noteProgress(noProgressMs: number | undefined): void {
    if ((noProgressMs !== undefined) === this.#stuck) return;
    this.#stuck = noProgressMs !== undefined;
    if (noProgressMs === undefined) return this.#deps.log.info(this.#labels, 'events are settled again');
    this.#audit('stream.no_progress', { noProgressMs: Math.round(noProgressMs) });
    this.#deps.log.error(
      { ...this.#labels, condition: 'NoProgress', noProgressMs: Math.round(noProgressMs) },
      'events wait, nothing holds them and nothing is settled; hand the lease over (holdfast hand-over) and ' +
        'report this with /status',
    );
  }

  #audit(event: Parameters<Deps['audit']['write']>[0], fields: Readonly<Record<string, unknown>>): void {
    this.#deps.audit.write(event, this.#plan.client, { stream: this.#plan.name, ...fields });
  }
}
